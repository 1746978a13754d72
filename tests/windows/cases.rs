//! Hard cases of windows, one test each, with what Flink or Beam answers beside it. The pure
//! windowing; time is in units.

use flumen::aggregate::FieldStats;
use flumen::runtime::clock::Now;
use flumen::windowing::{Family, Kind};

use crate::rig::{Event, Rig, layout, session, sliding, tumbling};

const DELAY: i64 = 5;

/// A rig with one window, whose wall clock is far ahead: event time alone counts.
struct One {
    rig: Rig,
    arrivals: i64,
}

impl One {
    fn new(kind: Kind, family: Family, lateness: i64) -> Self {
        Self { rig: Rig::new(&layout(&[family], &[(kind, 0, lateness)]), DELAY, 1_000_000, 1), arrivals: 0 }
    }

    fn moment(&mut self) -> Now {
        self.arrivals += 1;
        Rig::moment(self.arrivals, i64::MAX / 2)
    }

    /// An event each, in this order, its time its value as well.
    fn events(mut self, times: &[i64]) -> Self {
        for &time in times {
            let now = self.moment();
            self.rig.arrive(now, &[Event::at(time, time as f64)], |_| 0);
        }
        let now = self.moment();
        self.rig.pass(now);
        self
    }

    /// Start, end, events, revision of the results so far.
    fn results(&self) -> Vec<(i64, i64, u64, u32)> {
        let results = self.rig.results.iter().map(|r| &r.closed);
        results.map(|c| (c.start_us, c.end_us, c.aggregate.event_count(), c.revision)).collect()
    }

    fn drained(mut self) -> Vec<(i64, i64, u64, u32)> {
        self.rig.drain();
        self.results()
    }
}

/// Flink T01: the start belongs to a window, the end to the next.
#[test]
fn an_event_exactly_on_a_boundary() {
    let results = One::new(tumbling(10), Family::All, 0).events(&[9, 10, 19, 20]).drained();
    assert_eq!(results, [(0, 10, 1, 0), (10, 20, 2, 0), (20, 30, 1, 0)]);
}

/// Flink T05: dropped, and counted by `numLateRecordsDropped`.
#[test]
fn late_with_no_allowed_lateness() {
    let one = One::new(tumbling(10), Family::All, 0).events(&[3, 15, 4]);
    assert_eq!(one.rig.missed, [(0, 4.0)]);
    assert_eq!(one.results(), [(0, 10, 1, 0)]);
}

/// Flink T06, T07: fires again with everything; T09: once a late event, where flumen folds those of
/// one arrival into one revision.
#[test]
fn late_within_allowed_lateness() {
    let mut one = One::new(tumbling(10), Family::All, 5).events(&[3, 15, 4]);
    assert_eq!(one.results(), [(0, 10, 1, 0), (0, 10, 2, 1)]);
    let now = one.moment();
    one.rig.arrive(now, &[Event::at(5, 5.0), Event::at(6, 6.0)], |_| 0);
    let one = one.events(&[]);
    assert_eq!(one.results()[2..], [(0, 10, 4, 2)]);
    assert!(one.rig.missed.is_empty());
}

/// Flink T08: the end plus the lateness is too late.
#[test]
fn late_beyond_allowed_lateness() {
    let one = One::new(tumbling(10), Family::All, 5).events(&[3, 19, 4, 20, 5]);
    assert_eq!(one.rig.missed, [(0, 5.0)], "4 came at watermark 14, 5 at 15");
    assert_eq!(one.results(), [(0, 10, 1, 0), (0, 10, 2, 1)]);
}

/// Flink T10: fires at once.
#[test]
fn a_late_event_may_be_the_first_of_its_window() {
    let one = One::new(tumbling(10), Family::All, 5).events(&[16, 4]);
    assert_eq!(one.results(), [(0, 10, 1, 0)]);
}

/// Flink S03: counts in the window that is open, and is not late.
#[test]
fn late_for_one_window_and_in_time_for_the_next() {
    let one = One::new(sliding(10, 5), Family::All, 0).events(&[7, 16, 8]);
    assert!(one.rig.missed.is_empty());
    assert_eq!(one.results(), [(0, 10, 1, 0)]);
    assert_eq!(one.drained()[1], (5, 15, 2, 0));
}

/// Flink and Beam: a session of one event is `[t, t + gap)`.
#[test]
fn a_session_of_one_event() {
    assert_eq!(One::new(session(10), Family::All, 0).events(&[7]).drained(), [(7, 17, 1, 0)]);
}

/// Flink E01 and E03: a gap exactly as long touches, one longer parts. (Beam: `[t, t + gap)` must
/// overlap, so there a gap exactly as long parts.)
#[test]
fn events_exactly_a_gap_apart() {
    let one = One::new(session(10), Family::All, 0).events(&[0, 10, 21]);
    assert_eq!(one.drained(), [(0, 20, 2, 0), (21, 31, 1, 0)]);
}

/// Flink E04.
#[test]
fn two_sessions_bridged() {
    assert_eq!(One::new(session(10), Family::All, 0).events(&[0, 14, 8]).drained(), [(0, 24, 3, 0)]);
}

/// Flink E15. One event can reach two sessions at most, for they are more than a gap apart; three
/// merge over two bridges that arrive together.
#[test]
fn three_sessions_bridged_at_once() {
    let mut one = One::new(session(10), Family::All, 0);
    let now = one.moment();
    one.rig.arrive(now, &[0, 30, 15].map(|time| Event::at(time, 0.0)), |_| 0);
    assert_eq!(one.rig.shards[0].open_windows(), 3);
    // By a clock that holds the watermark back, so that none of them closes before.
    let early = Rig::moment(2, 14);
    one.rig.arrive(early, &[Event::at(8, 8.0), Event::at(24, 24.0)], |_| 0);
    assert_eq!(one.rig.shards[0].open_windows(), 1);
    assert_eq!(one.drained(), [(0, 40, 5, 0)]);
}

/// Flink E08, E09: behind the watermark, but it joins an open session.
#[test]
fn a_session_extended_by_a_late_event() {
    let one = One::new(session(10), Family::All, 0).events(&[30, 34, 21]);
    assert!(one.rig.missed.is_empty(), "the watermark is at 29, and 21 reaches the session");
    assert_eq!(one.drained(), [(21, 44, 3, 0)]);
}

/// Flink E06: no word of the result that is out. flumen's revision names what it replaces.
#[test]
fn a_bridge_to_a_session_that_is_out_replaces_it() {
    let mut one = One::new(session(10), Family::All, 20).events(&[0, 16, 8]);
    assert_eq!(one.results(), [(0, 10, 1, 0)]);
    one.rig.drain();
    assert_eq!(one.results()[1], (0, 26, 3, 1));
    assert_eq!(one.rig.results[1].closed.replaces, [(0, 10)]);
}

/// Flink S02: windows that begin before the epoch are windows.
#[test]
fn sliding_windows_at_the_start_of_time() {
    let results = One::new(sliding(10, 5), Family::All, 0).events(&[0]).drained();
    assert_eq!(results, [(-5, 5, 1, 0), (0, 10, 1, 0)]);
    let results = One::new(sliding(10, 5), Family::All, 0).events(&[-1]).drained();
    assert_eq!(results, [(-10, 0, 1, 0), (-5, 5, 1, 0)]);
}

/// Flink S05 for the slide; Flink keeps each window by itself, so sizes never meet there.
#[test]
fn gcd_of_odd_sizes() {
    let sizes = [(tumbling(7), 0, 0), (tumbling(10), 0, 0), (sliding(9, 6), 0, 0), (sliding(10, 3), 0, 0)];
    let mut rig = Rig::new(&layout(&[Family::All], &sizes), DELAY, 1_000_000, 1);
    for time in 0..200 {
        rig.arrive(Rig::moment(time + 1, i64::MAX / 2), &[Event::at(time, 1.0)], |_| 0);
    }
    rig.drain();
    for result in &rig.results {
        let closed = &result.closed;
        let inside = (closed.start_us.max(0)..closed.end_us.min(200)).count() as u64;
        assert_eq!(closed.aggregate.event_count(), inside, "{:?}", (closed.window, closed.start_us));
    }
    let of = |window| rig.results.iter().filter(|r| r.closed.window == window).count();
    assert_eq!([of(0), of(1), of(2), of(3)], [29, 20, 35, 70]);
}

/// Flink: the same, with a key group each. One event a second and key, and all of them come out.
#[test]
fn one_key_and_a_million_keys() {
    for (kind, keys) in
        [(tumbling(10), 1), (session(10), 1), (tumbling(10), 1_000_000), (session(10), 1_000_000)]
    {
        let mut rig = Rig::new(&layout(&[Family::Source], &[(kind, 0, 0)]), DELAY, 1_000_000, 2);
        for arrival in 0..2 {
            let event = |source| Event { source, ..Event::at(arrival * 3, f64::from(source)) };
            let events: Vec<Event> = (0..keys).map(event).collect();
            rig.arrive(Rig::moment(arrival + 1, 1_000), &events, |e| e.source as usize % 2);
        }
        rig.arrive(Rig::moment(9, 1_000), &[Event { source: u32::MAX, ..Event::at(100, 0.0) }], |_| 0);
        rig.pass(Rig::moment(10, 1_000));
        assert_eq!(rig.results.len(), keys as usize);
        for result in &rig.results {
            let aggregate = &result.closed.aggregate;
            assert_eq!(aggregate.event_count(), 2);
            assert_eq!(aggregate.field(0).unwrap().moments.max(), f64::from(result.closed.group));
        }
    }
}

fn stats(values: impl IntoIterator<Item = f64>) -> FieldStats {
    let mut stats = FieldStats::default();
    values.into_iter().for_each(|value| stats.record(value));
    stats
}

/// Flink: SUM of DOUBLE adds up plainly and gives 0.
#[test]
fn sum_of_1e16_and_1_and_minus_1e16() {
    assert_eq!(stats([1e16, 1.0, -1e16]).moments.sum(), 1.0);
}

/// Flink: STDDEV_POP goes by sums of squares, which can come out negative: NaN.
#[test]
fn std_of_constants_is_0() {
    for constant in [0.1, 1e9 + 0.1, -1e-300, 1e300] {
        assert_eq!(stats([constant; 1_000]).moments.std(), 0.0, "{constant}");
    }
    let near: Vec<f64> = (0..1_000).map(|n| 1e9 + if n % 2 == 0 { 1e-3 } else { -1e-3 }).collect();
    let half = (near[0] - near[1]) / 2.0;
    assert!((stats(near).moments.std() / half - 1.0).abs() < 1e-6, "1e9 ± 1e-3");
}

/// Flink has no quantile; the rank is `floor(q * (n - 1))`, exact up to 16 values.
#[test]
fn quantiles_of_one_two_and_sixteen_values() {
    let of = |n: u32, q: f64| stats((0..n).rev().map(|i| f64::from(i) * 1.1)).quantile(q).unwrap();
    assert_eq!([of(1, 0.0), of(1, 0.5), of(1, 1.0)], [0.0; 3]);
    assert_eq!([of(2, 0.5), of(2, 0.99), of(2, 1.0)], [0.0, 0.0, 1.1]);
    for q in [0.0, 0.25, 0.5, 0.95, 0.99, 1.0] {
        assert_eq!(of(16, q), (q * 15.0).floor() * 1.1, "{q}");
    }
}

/// Flink needs an event to close a window. An idle thread sleeps until the moment at which silence
/// will have closed the next one, not longer and not shorter.
#[test]
fn silence_closes_at_the_time_foretold() {
    for kind in [tumbling(10), sliding(10, 5), session(7)] {
        let mut rig = Rig::new(&layout(&[Family::All], &[(kind, 0, 0)]), DELAY, 10, 1);
        rig.arrive(Rig::moment(100, 1_000), &[Event::at(503, 1.0)], |_| 0);
        let due_ns = rig.shards[0].next_close_ns(Rig::moment(100, 1_000)).unwrap();
        let due = (due_ns / crate::rig::NS_PER_UNIT) as i64;
        rig.pass(Rig::moment(due - 1, 1_000 + due - 101));
        assert!(rig.results.is_empty(), "{kind:?}");
        rig.pass(Rig::moment(due, 1_000 + due - 100));
        assert_eq!(rig.results.len(), 1, "{kind:?}");
    }
}
