//! Results as JSON, once for everybody.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::groups::Group;
use crate::aggregate::{Aggregate, FieldStats};
use crate::config::{Statistic, Window};
use crate::event::Member;
use crate::runtime::names::Dictionary;
use crate::windowing::Closed;

/// Sources named in a result.
const TOP_SOURCES: usize = 10;

#[derive(Serialize)]
struct Body<'a> {
    window: &'a str,
    kind: &'static str,
    window_start: f64,
    window_end: f64,
    #[serde(rename = "final")]
    is_final: bool,
    revision: u32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    partial: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    replaces: Vec<Bounds>,
    group: BTreeMap<Arc<str>, Option<Arc<str>>>,
    event_count: u64,
    aggregates: BTreeMap<Arc<str>, Stats>,
    event_types: BTreeMap<Arc<str>, u64>,
    top_sources: Vec<Source>,
    #[serde(skip_serializing_if = "Option::is_none")]
    distinct: Option<BTreeMap<String, u64>>,
}

#[derive(Serialize)]
struct Bounds {
    window_start: f64,
    window_end: f64,
}

#[derive(Serialize)]
struct Stats {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    avg: f64,
    std: f64,
    p50: f64,
    p95: f64,
    p99: f64,
}

#[derive(Serialize)]
struct Source {
    source: Arc<str>,
    count: u64,
}

/// A statistic of one field; `None` where there is no value.
pub fn statistic(field: &FieldStats, which: Statistic) -> Option<f64> {
    let m = &field.moments;
    if m.count() == 0 {
        return None;
    }
    Some(match which {
        Statistic::Count => m.count() as f64,
        Statistic::Sum => m.sum(),
        Statistic::Min => m.min(),
        Statistic::Max => m.max(),
        Statistic::Avg => m.avg(),
        Statistic::Std => m.std(),
        Statistic::P50 => field.quantile(0.50)?,
        Statistic::P95 => field.quantile(0.95)?,
        Statistic::P99 => field.quantile(0.99)?,
    })
}

fn stats(field: &FieldStats) -> Stats {
    let get = |which| statistic(field, which).unwrap_or(0.0);
    Stats {
        count: field.moments.count(),
        sum: get(Statistic::Sum),
        min: get(Statistic::Min),
        max: get(Statistic::Max),
        avg: get(Statistic::Avg),
        std: get(Statistic::Std),
        p50: get(Statistic::P50),
        p95: get(Statistic::P95),
        p99: get(Statistic::P99),
    }
}

/// Seconds since the epoch, as results and the API write times.
pub fn seconds(us: i64) -> f64 {
    us as f64 / 1e6
}

/// The busiest sources. Ties go by name, not by number: numbers depend on which thread saw a
/// source first, and results must not.
fn top_sources(aggregate: &Aggregate, names: &Dictionary) -> Vec<Source> {
    let all = aggregate.top(usize::MAX);
    let least = all.get(TOP_SOURCES - 1).map_or(0, |&(_, count)| count);
    let mut top: Vec<Source> = all
        .into_iter()
        .take_while(|&(_, count)| count >= least)
        .map(|(id, count)| Source { source: names.sources.name(id), count })
        .collect();
    top.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.source.cmp(&b.source)));
    top.truncate(TOP_SOURCES);
    top
}

/// A group as results show it.
pub fn group_map(group: &Group) -> BTreeMap<Arc<str>, Option<Arc<str>>> {
    group.iter().cloned().collect()
}

/// Distinct values of what the window asks for, 0 included.
fn distinct(window: &Window, slots: &[Member], aggregate: &Aggregate) -> Option<BTreeMap<String, u64>> {
    if window.distinct.is_empty() {
        return None;
    }
    let count = |member: &Member| {
        let slot = slots.iter().position(|known| known == member)?;
        aggregate.distinct().find(|&(known, _)| usize::from(known) == slot).map(|(_, d)| d.count())
    };
    Some(window.distinct.iter().map(|member| (member.label(), count(member).unwrap_or(0))).collect())
}

/// One result. `slots` are the dimensions that are counted, by slot.
pub fn result(
    window: &Window,
    closed: &Closed,
    group: &Group,
    is_final: bool,
    slots: &[Member],
    names: &Dictionary,
) -> String {
    let aggregate = &closed.aggregate;
    let bounds =
        |&(start, end): &(i64, i64)| Bounds { window_start: seconds(start), window_end: seconds(end) };
    let body = Body {
        window: &window.name,
        kind: window.kind.word(),
        window_start: seconds(closed.start_us),
        window_end: seconds(closed.end_us),
        is_final,
        revision: closed.revision,
        partial: closed.partial,
        replaces: closed.replaces.iter().map(bounds).collect(),
        group: group_map(group),
        event_count: aggregate.event_count(),
        aggregates: aggregate.fields().map(|(id, field)| (names.fields.name(id), stats(field))).collect(),
        event_types: aggregate.types().map(|(id, count)| (names.types.name(u32::from(id)), count)).collect(),
        top_sources: top_sources(aggregate, names),
        distinct: distinct(window, slots, aggregate),
    };
    to_json(&body)
}

/// Serialises what cannot fail: maps with string keys and finite numbers.
pub fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| {
        debug_assert!(false, "{error}");
        String::from("null")
    })
}
