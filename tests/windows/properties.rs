//! Random windows, groups, disorder, duplicates, gaps, lateness, clocks and shards: every result,
//! revision and counter must be the oracle's.

use std::collections::{BTreeMap, BTreeSet};

use flumen::windowing::merge::Complete;
use flumen::windowing::{Family, GroupNames, Kind};
use proptest::prelude::*;

use crate::oracle::{Expected, Oracle};
use crate::rig::{Event, Rig, layout, session, sliding};

#[derive(Clone, Debug)]
struct Arrival {
    after: i64,
    wall_jump: i64,
    /// With `false`, time only passes.
    brings: bool,
    events: Vec<Event>,
}

#[derive(Clone, Debug)]
struct Plan {
    families: Vec<Family>,
    windows: Vec<(Kind, usize, i64)>,
    delay: i64,
    idle_timeout: i64,
    started: Option<i64>,
    wall: i64,
    arrivals: Vec<Arrival>,
}

const FAMILIES: [Family; 4] =
    [Family::All, Family::Source, Family::Kind, Family::Given { slot: 0, names: GroupNames::Table(0) }];

fn event() -> impl Strategy<Value = Event> {
    let dims = (prop::option::weighted(0.7, 0..3u32), prop::option::weighted(0.7, 0..9u64));
    // Quarters: their sums are exact, so that they must agree to the last bit.
    (-60..60i64, 0..4u32, 0..3u16, dims, -4_000..4_000i64).prop_map(
        |(time, source, kind, (group, distinct), quarters)| Event {
            time,
            source,
            kind,
            group,
            distinct: distinct.map(|n| (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            value: quarters as f64 / 4.0,
        },
    )
}

fn arrival() -> impl Strategy<Value = Arrival> {
    let after = prop_oneof![8 => 1..6i64, 2 => 6..60i64];
    let jump = prop_oneof![20 => Just(0i64), 1 => -40..40i64];
    (after, jump, prop::bool::weighted(0.85), prop::collection::vec(event(), 0..7))
        .prop_map(|(after, wall_jump, brings, events)| Arrival { after, wall_jump, brings, events })
}

fn window() -> impl Strategy<Value = (Kind, usize, i64)> {
    let kind = prop_oneof![
        (1..40i64, 0.0..1.0f64)
            .prop_map(|(size, share)| sliding(size, ((size as f64 * share) as i64).clamp(1, size))),
        (1..40i64).prop_map(|size| sliding(size, size)),
        (1..25i64).prop_map(session),
    ];
    let lateness = prop_oneof![Just(0i64), 1..40i64];
    (kind, 0..FAMILIES.len(), lateness)
}

fn plan() -> impl Strategy<Value = Plan> {
    (
        prop::collection::vec(window(), 1..6),
        (0..12i64, 5..30i64, prop::option::of(900..1_100i64), 800..1_300i64),
        prop::collection::vec(arrival(), 1..40),
        // Event time goes on with the arrivals, at a pace of its own.
        0.0..4.0f64,
    )
        .prop_map(|(windows, (delay, idle_timeout, started, wall), mut arrivals, pace)| {
            let mut passed = 0;
            for arrival in &mut arrivals {
                passed += arrival.after;
                for event in &mut arrival.events {
                    event.time = 900 + (passed as f64 * pace) as i64 + event.time / 2;
                }
                // Now and then the very same event again.
                if let Some(again) = arrival.events.first().filter(|e| e.source == 1).cloned() {
                    arrival.events.push(again);
                }
            }
            Plan { families: FAMILIES.to_vec(), windows, delay, idle_timeout, started, wall, arrivals }
        })
}

/// Which shard owns an event: sessions of a group must stay together, so with session windows of
/// several families everything goes to one.
fn shard_of(plan: &Plan, event: &Event, shards: usize) -> usize {
    let sessions = plan.windows.iter().filter(|w| matches!(w.0, Kind::Session { .. }));
    let families: BTreeSet<usize> = sessions.map(|w| w.1).collect();
    let key = match families.iter().collect::<Vec<_>>()[..] {
        [] => event.value.to_bits() as usize,
        [1] => event.source as usize,
        [2] => usize::from(event.kind),
        // Events without a group are in no session.
        [3] => event.group.unwrap_or(0) as usize,
        _ => 0,
    };
    key % shards
}

fn exact_quantile(values: &[f64], q: f64) -> f64 {
    values[(q * (values.len() - 1) as f64) as usize]
}

fn check(got: &Complete, want: &Expected) -> Result<(), TestCaseError> {
    let closed = &got.closed;
    let name = (closed.window, closed.group, closed.start_us, closed.end_us);
    prop_assert_eq!(name, (want.window, want.group, want.start, want.end));
    let flags = (got.is_final, closed.revision, closed.partial);
    prop_assert_eq!(flags, (want.is_final, want.revision, want.partial), "{:?}", name);
    let sorted = |bounds: &[(i64, i64)]| bounds.iter().copied().collect::<BTreeSet<_>>();
    prop_assert_eq!(sorted(&closed.replaces), sorted(&want.replaces), "{:?}", name);
    let aggregate = &closed.aggregate;
    prop_assert_eq!(aggregate.event_count(), want.events.len() as u64);
    let field = aggregate.field(0).unwrap();
    let mut values: Vec<f64> = want.events.iter().map(|e| e.value).collect();
    values.sort_by(f64::total_cmp);
    let sum: f64 = values.iter().sum();
    let m = &field.moments;
    prop_assert_eq!(m.count(), values.len() as u64);
    prop_assert_eq!((m.sum(), m.min(), m.max()), (sum, values[0], values[values.len() - 1]));
    let mean = sum / values.len() as f64;
    let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / values.len() as f64;
    prop_assert!((m.std() - variance.sqrt()).abs() <= 1e-9 * variance.sqrt().max(1.0));
    for q in [0.5, 0.95, 0.99] {
        let (got, want) = (field.quantile(q).unwrap(), exact_quantile(&values, q));
        if values.len() <= 16 {
            prop_assert_eq!(got, want);
        } else {
            prop_assert!((got - want).abs() <= 0.01 * want.abs(), "{} instead of {}", got, want);
        }
    }
    let mut kinds: BTreeMap<u16, u64> = BTreeMap::new();
    let mut sources: BTreeMap<u32, u64> = BTreeMap::new();
    for event in &want.events {
        *kinds.entry(event.kind).or_default() += 1;
        *sources.entry(event.source).or_default() += 1;
    }
    prop_assert_eq!(aggregate.types().collect::<BTreeMap<_, _>>(), kinds);
    prop_assert_eq!(aggregate.top(usize::MAX).into_iter().collect::<BTreeMap<_, _>>(), sources);
    let distinct: BTreeSet<u64> = want.events.iter().filter_map(|e| e.distinct).collect();
    let counted = aggregate.distinct().map(|(_, d)| d.count()).sum::<u64>();
    prop_assert_eq!(counted, distinct.len() as u64);
    Ok(())
}

/// `lazy`: windows go on closing while later events come in.
fn compare(plan: &Plan, shards: usize, lazy: bool) -> Result<usize, TestCaseError> {
    let mut layout = layout(&plan.families, &plan.windows);
    layout.started_us = plan.started;
    let mut rig = Rig::new(&layout, plan.delay, plan.idle_timeout, shards);
    rig.lazy = lazy;
    let mut oracle = Oracle::new(&layout, plan.delay, plan.idle_timeout);
    let (mut mono, mut wall) = (100, plan.wall);
    let mut wanted = 0;
    for arrival in &plan.arrivals {
        mono += arrival.after;
        wall += arrival.after + arrival.wall_jump;
        let now = Rig::moment(mono, wall);
        if arrival.brings {
            // The parse thread filters what no window wants.
            let events: Vec<Event> = arrival.events.iter().filter(|e| is_wanted(plan, e)).cloned().collect();
            wanted += events.len() as u64;
            rig.arrive(now, &events, |event| shard_of(plan, event, shards));
            oracle.arrive(mono, wall, &events);
        } else {
            rig.pass(now);
            oracle.pass(mono, wall);
        }
        prop_assert!(lazy || rig.merger.watermark_us() == oracle.watermark);
        if let [engine] = &rig.shards[..]
            && !lazy
        {
            prop_assert_eq!(engine.open_windows(), oracle.open_windows());
        }
    }
    rig.drain();
    oracle.drain();
    prop_assert_eq!(rig.missed, oracle.missed, "windows that events came too late for");
    prop_assert_eq!((rig.applied_events, rig.late_events), (oracle.applied, oracle.late));
    prop_assert_eq!(oracle.applied + oracle.late, wanted);
    // Revisions of sessions may stand in another order than the oracle's within one arrival.
    for (got, want) in rig.results.iter().zip(&oracle.results) {
        check(got, want)?;
    }
    prop_assert_eq!(rig.results.len(), oracle.results.len());
    Ok(oracle.results.iter().filter(|r| r.revision > 0).count())
}

fn is_wanted(plan: &Plan, event: &Event) -> bool {
    plan.windows.iter().any(|&(_, family, _)| family != 3 || event.group.is_some())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn every_result_revision_and_counter_is_the_oracles(plan in plan()) {
        for shards in 1..=3 {
            compare(&plan, shards, false)?;
            compare(&plan, shards, true)?;
        }
    }
}

/// The plans must reach what they are meant to test.
#[test]
fn the_plans_reach_revisions_late_events_and_merged_sessions() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut results, mut revisions, mut replaced, mut late, mut partial) = (0, 0, 0, 0, 0);
    for _ in 0..300 {
        let plan = plan().new_tree(&mut runner).unwrap().current();
        let layout = layout(&plan.families, &plan.windows);
        let mut oracle = Oracle::new(&layout, plan.delay, plan.idle_timeout);
        let (mut mono, mut wall) = (100, plan.wall);
        for arrival in &plan.arrivals {
            mono += arrival.after;
            wall += arrival.after + arrival.wall_jump;
            oracle.arrive(mono, wall, &arrival.events);
        }
        oracle.drain();
        results += oracle.results.len();
        revisions += oracle.results.iter().filter(|r| r.revision > 0).count();
        replaced += oracle.results.iter().filter(|r| !r.replaces.is_empty()).count();
        partial += oracle.results.iter().filter(|r| r.partial).count();
        late += oracle.late;
    }
    println!(
        "{results} results, {revisions} revisions, {replaced} replacing others, {partial} partial, {late} late events"
    );
    assert!(results > 5_000 && revisions > 300 && replaced > 50 && partial > 300 && late > 100);
}
