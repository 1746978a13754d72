//! What a stranger who only sends events might try, and rare coincidences: found in a review.

use flumen::windowing::{Budget, Family, GroupNames};
use serde_json::Value;

use crate::core::{Daemon, START_S, tumbling};
use crate::rig::{Event, Rig, layout, session, sliding};

const WALL: i64 = i64::MAX / 2;

/// Two lanes stamp a message in the same nanosecond; each makes a published session longer.
#[test]
fn revisions_of_one_nanosecond_come_in_the_order_of_the_lanes() {
    for second in [90, 97] {
        let mut rig = Rig::new(&layout(&[Family::All], &[(session(10), 0, 1_000)]), 5, 1_000_000, 1);
        rig.arrive(Rig::moment(1, WALL), &[Event::at(100, 1.0)], |_| 0);
        rig.arrive(Rig::moment(2, WALL), &[Event::at(200, 1.0)], |_| 0);
        // [100, 110) is published.
        rig.arrive(Rig::moment(3, WALL), &[Event::at(95, 1.0)], |_| 0);
        rig.lane = 1;
        rig.arrive(Rig::moment(3, WALL), &[Event::at(second, 1.0)], |_| 0);
        rig.pass(Rig::moment(4, WALL));
        let told: Vec<_> = rig
            .results
            .iter()
            .map(|r| (r.closed.start_us, r.closed.revision, r.closed.replaces.clone()))
            .collect();
        assert_eq!(told[0], (100, 0, vec![]));
        assert_eq!(told[1], (95, 1, vec![(100, 110)]));
        let last = if second == 90 { (90, 2, vec![(95, 110)]) } else { (95, 2, vec![]) };
        assert_eq!(told[2], last);
    }
}

/// A message of events decades apart opens a thousand windows an event. Nothing is kept for them but
/// the slices, and they are handed out in pieces.
#[test]
fn isolated_events_cost_their_slices_only() {
    const EVENTS: i64 = 200;
    let mut rig = Rig::new(&layout(&[Family::All], &[(sliding(1_000, 1), 0, 0)]), 5, 1_000_000, 1);
    let events: Vec<Event> = (0..EVENTS).map(|n| Event::at(n * 10_000, 1.0)).collect();
    rig.arrive(Rig::moment(1, WALL), &events, |_| 0);
    let engine = &mut rig.shards[0];
    assert_eq!(engine.open_windows(), EVENTS as usize * 1_000);
    engine.advance(Rig::moment(2, WALL));
    let (mut out, mut results, mut largest) = (Vec::new(), 0, 0);
    while !engine.settle(&mut Budget::new(4_096), &mut out) {
        largest = largest.max(out.len());
        results += out.len();
        out.clear();
    }
    results += out.len();
    // The last event's windows are still open, but for those that end before the watermark.
    assert_eq!(results, (EVENTS as usize - 1) * 1_000);
    assert!(largest <= 8, "{largest} results in one piece: each is merged from 1,000 slices' room");
}

/// Windows of many groups that share their slices, so that every result is a copy: they go out while the windows are
/// being closed. What waits for all of them would take as much memory once more.
#[test]
fn results_of_many_groups_do_not_pile_up() {
    const GROUPS: u32 = 1_000;
    let by_group = Family::Given { slot: 0, names: GroupNames::Table(0) };
    let windows =
        [(sliding(10, 10), 0, 0), (session(5), 0, 0), (sliding(20, 10), 0, 0), (sliding(20, 20), 0, 0)];
    let mut rig = Rig::new(&layout(&[by_group], &windows), 0, 1_000_000, 1);
    let groups = |time| (0..GROUPS).map(move |group| Event { group: Some(group), ..Event::at(time, 1.0) });
    rig.arrive(Rig::moment(1, WALL), &groups(1).chain(groups(12)).collect::<Vec<_>>(), |_| 0);
    rig.mark(Rig::moment(2, WALL), 60);
    rig.results.clear();
    let (engine, merger) = (&mut rig.shards[0], &mut rig.merger);
    engine.advance(Rig::moment(3, WALL));
    let (mut out, mut results, mut waiting, mut most, mut settled) = (Vec::new(), 0, 0, 0, false);
    while !settled {
        settled = engine.settle(&mut Budget::new(16), &mut out);
        waiting += out.len();
        out.drain(..).for_each(|part| merger.add(0, part));
        merger.reached(0, engine.closed_us(), 0);
        while let Some(complete) = merger.next(false) {
            assert!(complete.is_final && !complete.closed.partial);
            (waiting, results) = (waiting - 1, results + 1);
        }
        most = most.max(waiting);
    }
    // [10, 20), the session, [0, 20) and [10, 30) of the sliding window, [0, 20) of the last.
    assert_eq!((results, waiting), (5 * GROUPS, 0));
    assert!(most <= GROUPS as usize, "{most} results wait: of one window of sessions at most");
}

/// A window that has just been closed is not shown as the live one without its events, while others close.
#[test]
fn a_closed_window_is_not_live() {
    let by_group = Family::Given { slot: 0, names: GroupNames::Table(0) };
    let windows = [(sliding(10, 10), 0, 0), (sliding(10, 10), 1, 0)];
    let mut rig = Rig::new(&layout(&[Family::All, by_group], &windows), 0, 1_000_000, 1);
    let events = (0..100).map(|group| Event { group: Some(group), ..Event::at(5, 1.0) });
    rig.arrive(Rig::moment(1, WALL), &events.collect::<Vec<_>>(), |_| 0);
    let engine = &mut rig.shards[0];
    assert_eq!(engine.newest(0, WALL).unwrap().aggregate.event_count(), 100);
    engine.mark(25);
    engine.advance(Rig::moment(2, WALL));
    let mut out = Vec::new();
    while !engine.settle(&mut Budget::new(8), &mut out) {
        assert!(out.is_empty() || engine.newest(0, WALL).is_none(), "behind {} results", out.len());
    }
    assert_eq!(out.len(), 101);
}

/// One client 59 s ahead, which is allowed, must not make the live window show itself alone.
#[test]
fn the_live_window_is_not_that_of_the_fastest_clock() {
    let mut rig = Rig::new(&layout(&[Family::All], &[(sliding(10, 10), 0, 0)]), 5, 1_000_000, 1);
    let events: Vec<Event> = (0..100).map(|n| Event::at(100 + n % 10, 1.0)).collect();
    rig.arrive(Rig::moment(1, 110), &events, |_| 0);
    rig.arrive(Rig::moment(2, 110), &[Event::at(169, 1.0)], |_| 0);
    let live = rig.shards[0].newest(0, 110).unwrap();
    assert_eq!((live.start_us, live.aggregate.event_count()), (100, 100));
}

/// A stranger takes all names of fields: an honest event loses the field at worst, never itself,
/// and fields that alerts look at stay known.
#[test]
fn a_flood_of_field_names_shuts_no_event_out() {
    let mut daemon = Daemon::start(vec![tumbling("w", 10)], 1, 0.0);
    for message in 0..17 {
        let fields: Vec<String> = (0..250).map(|n| format!("\"{:x}\":1", message * 250 + n)).collect();
        let (time, fields) = (START_S, fields.join(","));
        daemon.send(
            0,
            &format!(r#"{{"source":"stranger","type":"t","timestamp":{time},"data":{{{fields}}}}}"#),
        );
    }
    daemon.event(0, "honest", 1.0, 42.0);
    let time = START_S + 1;
    daemon.send(0, &format!(r#"{{"source":"honest","type":"t","timestamp":{time},"data":{{"unheard":1}}}}"#));
    assert_eq!((daemon.events().applied, daemon.events().rejected_total()), (19, 0));
    let results = daemon.drain().results("w");
    let fields = results[0]["aggregates"].as_object().unwrap();
    assert_eq!(fields["value"]["max"], 42.0, "an alert looks at it");
    assert_eq!(fields.get("unheard"), None::<&Value>);
}
