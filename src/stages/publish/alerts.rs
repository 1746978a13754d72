//! Alert rules and what has come of them: a rule holds for the newest final result of a window and
//! group, it fires once it has held for long enough, and it is resolved by the first result that
//! it does not hold for, by the first that is missing, or by a reload without it. Only changes are told.
//!
//! What must hold: a result older than the newest one judged changes nothing (late events revise
//! old results); rules that do not hold have no state, and the number of states is bounded, for
//! strangers choose groups.

mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::encode::{group_map, seconds, statistic, to_json};
use super::groups::Groups;
use crate::config::{Alert, Statistic, Window, WindowKind};
use crate::event::time::format_rfc3339_us;
use crate::plan::windows::micros;
use crate::runtime::names::Dictionary;
use crate::windowing::Closed;

/// Groups that one rule holds or fires for at a time.
const MOST_STATES: usize = 10_000;

/// Something to tell: an alert has begun to fire, or is resolved.
#[derive(Debug)]
pub struct Change {
    /// As the stream and the API show it.
    pub json: Arc<str>,
    /// As the log shows it.
    pub line: String,
    /// How loud the log says it.
    pub loudness: tracing::Level,
    /// Whether it fires; otherwise it is resolved.
    pub fires: bool,
}

/// What names and numbers in a result mean.
pub struct Words<'a> {
    /// The configured windows.
    pub windows: &'a [Window],
    /// Their groups.
    pub groups: &'a Groups,
    /// Names behind the numbers.
    pub dictionary: &'a Dictionary,
    /// The wall clock, microseconds since the epoch.
    pub now_us: i64,
}

#[derive(Debug)]
struct Rule {
    alert: Alert,
    window: usize,
    hold_us: i64,
    /// From the end of one result to the end of the next, if there is one.
    next_us: i64,
    /// Results of all groups share their ends, for it is no session window.
    aligned: bool,
    newest_end_us: i64,
    /// Groups with a state.
    states: usize,
}

/// A rule that holds.
#[derive(Debug, Default)]
struct State {
    /// The end of the first result that it held for.
    since_us: i64,
    start_us: i64,
    end_us: i64,
    revision: u32,
    value: f64,
    /// Once it fires.
    fired: Option<Fired>,
}

/// What was told when a rule fired.
#[derive(Debug)]
struct Fired {
    at_us: i64,
    message: String,
    json: Arc<str>,
}

/// All rules and their states.
#[derive(Debug, Default)]
pub struct Alerts {
    rules: Vec<Rule>,
    /// By rule and group.
    states: BTreeMap<(usize, u32), State>,
    /// Firing alerts that found no place.
    pub untracked: u64,
}

impl Alerts {
    /// Takes over new rules. What fires by a rule that is not among them is resolved.
    pub fn replace(&mut self, alerts: &[Alert], words: &Words<'_>) -> Vec<Change> {
        let old = std::mem::take(&mut self.rules);
        for alert in alerts {
            let Some(window) = words.windows.iter().position(|w| w.name == alert.window) else {
                continue; // The configuration has been checked: it names windows that are there.
            };
            let next_us = micros(words.windows[window].kind.step());
            let before = old.iter().find(|rule| rule.alert == *alert);
            // A new rule looks on from where others of its window have come to.
            let beside =
                || old.iter().filter(|rule| rule.window == window).map(|rule| rule.newest_end_us).max();
            let newest_end_us = before.map(|rule| rule.newest_end_us).or_else(beside).unwrap_or(i64::MIN);
            let (alert, hold_us) = (alert.clone(), micros(alert.hold));
            let aligned = !matches!(words.windows[window].kind, WindowKind::Session { .. });
            self.rules.push(Rule { alert, window, hold_us, next_us, aligned, newest_end_us, states: 0 });
        }
        let mut changes = Vec::new();
        for ((rule, group), state) in std::mem::take(&mut self.states) {
            let rule = &old[rule];
            match self.rules.iter().position(|new| new.alert == rule.alert) {
                Some(at) => {
                    self.states.insert((at, group), state);
                    self.rules[at].states += 1;
                }
                None => changes.extend(resolved(rule, group, &state, None, words)),
            }
        }
        changes
    }

    /// Whether any rule looks at this window.
    pub fn watch(&self, window: usize) -> bool {
        self.rules.iter().any(|rule| rule.window == window)
    }

    /// A final result has come out.
    pub fn judge(&mut self, closed: &Closed, words: &Words<'_>) -> Vec<Change> {
        let mut changes = Vec::new();
        for (at, rule) in self.rules.iter_mut().enumerate().filter(|(_, r)| r.window == closed.window) {
            let key = (at, closed.group);
            if !rule.is_newest(closed, self.states.get(&key)) {
                continue;
            }
            rule.newest_end_us = rule.newest_end_us.max(closed.end_us);
            // The result between this one and the last is missing: that has ended.
            let over = |state: &State| closed.end_us > state.end_us.saturating_add(rule.next_us);
            if self.states.get(&key).is_some_and(over)
                && let Some(state) = self.states.remove(&key)
            {
                rule.states -= 1;
                changes.extend(resolved(rule, closed.group, &state, None, words));
            }
            let alert = &rule.alert;
            if closed.partial && more_might_undo(alert) {
                continue;
            }
            let field = words.dictionary.fields.id(&alert.field).and_then(|id| closed.aggregate.field(id));
            let value = field.and_then(|field| statistic(field, alert.statistic));
            let Some(value) = value.filter(|&value| holds(alert, value)) else {
                if let Some(state) = self.states.remove(&key) {
                    rule.states -= 1;
                    changes.extend(resolved(rule, closed.group, &state, Some((closed, value)), words));
                }
                continue;
            };
            if !self.states.contains_key(&key) {
                if rule.states >= MOST_STATES {
                    self.untracked += 1;
                    continue;
                }
                rule.states += 1;
            }
            let new = || State { since_us: closed.end_us, ..State::default() };
            let state = self.states.entry(key).or_insert_with(new);
            (state.start_us, state.end_us) = (closed.start_us, closed.end_us);
            (state.revision, state.value) = (closed.revision, value);
            if state.fired.is_none() && state.end_us - state.since_us >= rule.hold_us {
                changes.push(fire(rule, closed.group, state, words));
            }
        }
        changes
    }

    /// Results up to `watermark_us` are out: where the next one is missing there is nothing left
    /// that a rule could hold for.
    pub fn expire(&mut self, watermark_us: i64, words: &Words<'_>) -> Vec<Change> {
        let rules = &self.rules;
        let over = |&(rule, _): &(usize, u32), state: &State| {
            state.end_us.saturating_add(rules[rule].next_us) <= watermark_us
        };
        let gone: Vec<_> =
            self.states.iter().filter(|(key, state)| over(key, state)).map(|(&key, _)| key).collect();
        let mut changes = Vec::new();
        for (rule, group) in gone {
            if let Some(state) = self.states.remove(&(rule, group)) {
                self.rules[rule].states -= 1;
                changes.extend(resolved(&self.rules[rule], group, &state, None, words));
            }
        }
        changes
    }

    /// What fires now, as it was told, the newest last.
    pub fn firing(&self) -> Vec<Arc<str>> {
        let mut firing: Vec<_> = self.states.values().filter_map(|state| state.fired.as_ref()).collect();
        firing.sort_by_key(|fired| fired.at_us);
        firing.into_iter().map(|fired| Arc::clone(&fired.json)).collect()
    }

    /// Windows and groups that states refer to.
    pub fn groups(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        self.states.keys().map(|&(rule, group)| (self.rules[rule].window, group))
    }
}

impl Rule {
    /// Whether no newer result of the group has been judged, as far as is remembered.
    fn is_newest(&self, closed: &Closed, state: Option<&State>) -> bool {
        match state {
            _ if self.aligned => closed.end_us >= self.newest_end_us,
            Some(state) => closed.end_us >= state.end_us,
            // A new session is news; of one that is revised nobody knows what has come since.
            None => closed.revision == 0 || closed.end_us >= self.newest_end_us,
        }
    }
}

/// Whether events that are missing, as of before the start, could make it hold no longer.
fn more_might_undo(alert: &Alert) -> bool {
    match alert.statistic {
        Statistic::Count | Statistic::Sum | Statistic::Max => alert.below.is_some(),
        Statistic::Min => alert.above.is_some(),
        // What they would do, nobody knows.
        _ => false,
    }
}

fn holds(alert: &Alert, value: f64) -> bool {
    alert.above.is_some_and(|above| value > above) || alert.below.is_some_and(|below| value < below)
}

fn fire(rule: &Rule, group: u32, state: &mut State, words: &Words<'_>) -> Change {
    let bounds = (state.start_us, state.end_us, state.revision);
    let message = text::fill(&rule.alert, state.value, &text::values(&group_of(rule, group, words)));
    let change = change(rule, group, true, &message, bounds, Some(state.value), words);
    state.fired = Some(Fired { at_us: words.now_us, message, json: Arc::clone(&change.json) });
    change
}

/// If it has fired, it is resolved: by a result with a value, by one without, or by none.
fn resolved(
    rule: &Rule,
    group: u32,
    state: &State,
    by: Option<(&Closed, Option<f64>)>,
    words: &Words<'_>,
) -> Option<Change> {
    let message = &state.fired.as_ref()?.message;
    let bounds = by.map_or((state.start_us, state.end_us, state.revision), |(closed, _)| {
        (closed.start_us, closed.end_us, closed.revision)
    });
    Some(change(rule, group, false, message, bounds, by.and_then(|(_, value)| value), words))
}

fn group_of(rule: &Rule, group: u32, words: &Words<'_>) -> super::groups::Group {
    words.groups.of(rule.window, group, words.dictionary)
}

fn change(
    rule: &Rule,
    group: u32,
    fires: bool,
    message: &str,
    (start_us, end_us, revision): (i64, i64, u32),
    value: Option<f64>,
    words: &Words<'_>,
) -> Change {
    let alert = &rule.alert;
    let state = if fires { "firing" } else { "resolved" };
    let group = group_of(rule, group, words);
    let json = serde_json::json!({
        "name": alert.name,
        "state": state,
        "level": alert.level,
        "message": message,
        "window": alert.window,
        "group": group_map(&group),
        "revision": revision,
        "field": alert.field,
        "statistic": alert.statistic.word(),
        "value": value,
        "threshold": alert.above.or(alert.below),
        "window_start": seconds(start_us),
        "window_end": seconds(end_us),
        "time": format_rfc3339_us(words.now_us),
    });
    let line = text::line(alert, state, message, value, &text::values(&group));
    let loudness = match (fires, alert.level.as_str()) {
        (true, "critical") => tracing::Level::ERROR,
        (true, "warning") => tracing::Level::WARN,
        _ => tracing::Level::INFO,
    };
    Change { json: to_json(&json).into(), line, loudness, fires }
}

#[cfg(test)]
mod tests;
