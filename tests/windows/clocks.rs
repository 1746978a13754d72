//! Hard cases of time: clocks, lanes, silence, restarts, time stamps. JSON in, results out,
//! through the daemon's own stages. Beside each stands what Flink or Beam does.

use flumen::event::Reject;
use serde_json::json;
use tungstenite::protocol::frame::coding::Data;

use crate::core::{Daemon, START_S, tumbling};

fn realtime(lanes: usize) -> Daemon {
    Daemon::start(vec![tumbling("realtime", 10)], lanes, 0.0)
}

fn rejected(daemon: &Daemon, reason: Reject) -> u64 {
    daemon.events().rejected[reason.index()]
}

/// Flink: takes it, and with periodic watermarks it closes everybody's windows (a known trap).
#[test]
fn far_future_is_rejected_and_moves_nothing() {
    let mut daemon = realtime(1);
    daemon.event(0, "honest", 0.0, 1.0);
    daemon.event(0, "broken", 3_600.0, 1.0);
    daemon.event(0, "honest", 0.5, 1.0);
    assert_eq!(rejected(&daemon, Reject::FutureTimestamp), 1);
    assert_eq!((daemon.events().applied, daemon.events().late), (2, 0));
    daemon.pass(30.0);
    assert_eq!(daemon.counts("realtime"), [(0, 2)]);
}

/// Flink and Beam: negative event times are times like others.
#[test]
fn negative_and_zero_epoch() {
    let mut daemon = realtime(1);
    for stamp in ["-10.5", "-10", "-0.001", "0", "\"1969-12-31T23:59:59Z\"", "\"1970-01-01T00:00:00Z\""] {
        daemon.send(0, &format!(r#"{{"source":"s","type":"t","timestamp":{stamp},"data":{{}}}}"#));
    }
    let drained = daemon.drain();
    let starts: Vec<_> = drained.counts("realtime").iter().map(|&(s, n)| (s + START_S, n)).collect();
    assert_eq!(starts, [(-20, 1), (-10, 3), (0, 2)]);
}

/// Flink SQL takes NaN and lets it poison sums; JSON has no NaN, MessagePack has.
#[test]
fn nan_and_infinity_are_refused() {
    let mut daemon = realtime(1);
    daemon.send(0, r#"{"source":"s","type":"t","data":{"value":NaN}}"#);
    daemon.send(0, r#"{"source":"s","type":"t","data":{"value":1e999}}"#);
    for value in [f64::NAN, f64::INFINITY] {
        let mut message = b"\x83\xa6source\xa1s\xa4type\xa1t\xa4data\x81\xa5value\xcb".to_vec();
        message.extend_from_slice(&value.to_be_bytes());
        daemon.send_bytes(0, Data::Binary, &message);
    }
    daemon.send(0, r#"{"source":"s","type":"t","data":{"value":1}}"#);
    assert_eq!((rejected(&daemon, Reject::InvalidJson), rejected(&daemon, Reject::BadNumber)), (1, 3));
    let drained = daemon.drain();
    assert_eq!(drained.results("realtime")[0]["aggregates"]["value"]["sum"], 1.0);
}

/// Flink: the user's own timestamp assigner has to know the unit.
#[test]
fn seconds_ms_us_and_ns_are_one_moment() {
    let mut daemon = realtime(1);
    for stamp in [
        format!("{START_S}.5"),
        format!("{START_S}500"),
        format!("{START_S}500000"),
        format!("{START_S}500000000"),
        String::from("\"2025-11-23T09:08:00.5Z\""),
        String::from("\"2025-11-23T10:08:00.5+01:00\""),
    ] {
        daemon.send(0, &format!(r#"{{"source":"s","type":"t","timestamp":{stamp},"data":{{}}}}"#));
    }
    assert_eq!(daemon.drain().counts("realtime"), [(0, 6)]);
}

/// Flink: the fast client carries the watermark ahead and the honest ones' events are dropped.
#[test]
fn a_clock_30_s_fast_makes_nobody_late() {
    let mut daemon = realtime(1);
    for second in 0..60 {
        let now = daemon.wall_s();
        daemon.event(0, "fast", now + 30.0, 1.0);
        daemon.event(0, "honest", now - 0.2, 1.0);
        daemon.event(0, "slower", now - 4.0 + f64::from(second % 3), 1.0);
        daemon.pass(0.997);
    }
    assert_eq!(daemon.events().late, 0);
    assert_eq!(daemon.events().applied, 180);
    assert!(daemon.counts("realtime").len() >= 4, "and windows close in time");
}

/// Flink: the same, late events only of the slow client.
#[test]
fn a_clock_an_hour_slow_makes_only_its_own_late() {
    let mut daemon = realtime(1);
    for _ in 0..60 {
        let now = daemon.wall_s();
        daemon.event(0, "honest", now, 1.0);
        daemon.event(0, "slow", now - 3_600.0, 1.0);
        daemon.pass(0.998);
    }
    // The first of the slow one came before any watermark was past it.
    let events = daemon.events();
    assert_eq!((events.applied, events.late), (60, 60));
    assert_eq!(daemon.missed(0), 60);
    let late = daemon.late_events();
    assert!(late.iter().all(|l| &*l.source == "slow" && !l.event.applied));
    assert_eq!(late.len(), 60, "each has a record");
}

/// Flink: an idle partition holds everybody's watermark up unless `withIdleness` is set.
#[test]
fn a_lane_without_traffic_holds_nothing_up() {
    let mut daemon = realtime(2);
    for second in 0..40 {
        daemon.event(0, "s", f64::from(second), 1.0);
        daemon.pass(0.999);
    }
    assert_eq!(daemon.counts("realtime"), [(0, 10), (10, 10), (20, 10)]);
}

/// Flink: the slow reader's watermark holds results back, as here; none of its events is late.
#[test]
fn a_lane_that_lags_5_s_delays_results_and_makes_nothing_late() {
    let mut daemon = realtime(2);
    for second in 0..30 {
        // Lane 1's parse thread works only every fifth second.
        daemon.stalled = if second % 5 == 4 { vec![] } else { vec![1] };
        daemon.event(0, "quick", f64::from(second), 1.0);
        daemon.event(1, "lagging", f64::from(second), 1.0);
        daemon.pass(0.998);
    }
    daemon.stalled.clear();
    daemon.pass(20.0);
    assert_eq!(daemon.events().late, 0);
    let results = daemon.results("realtime");
    assert_eq!(daemon.counts("realtime"), [(0, 20), (10, 20), (20, 20)], "each once, complete");
    assert!(results.iter().all(|r| r["revision"] == 0 && r["final"] == true));
}

/// Flink: without events the last window never closes (unless a timer of processing time is used).
#[test]
fn when_all_are_silent_the_last_window_closes() {
    let mut daemon = realtime(1);
    daemon.pass(3.0);
    daemon.event(0, "s", 3.0, 1.0);
    daemon.pass(11.9);
    assert_eq!(daemon.counts("realtime"), [], "3 s + 11.9 s - 5 s");
    daemon.pass(0.2);
    assert_eq!(daemon.counts("realtime"), [(0, 1)]);
}

/// Flink: event time stands still in the pause. Here it passes from the last event on, so what the
/// replay then brings from behind the watermark is late, in live use and in a replay alike.
#[test]
fn a_paused_replay_of_old_data() {
    let mut daemon = realtime(1);
    daemon.event(0, "s", -86_400.0, 1.0);
    daemon.pass(5.0);
    daemon.event(0, "s", -86_399.0, 1.0);
    daemon.pass(20.0);
    // -86,399 + 20 - 5: the watermark is at -86,384, and [-86,390, -86,380) is open.
    assert_eq!(daemon.counts("realtime"), [(-86_400, 2)]);
    daemon.event(0, "s", -86_391.0, 1.0);
    assert_eq!(daemon.events().late, 1, "its window has closed in the pause");
    daemon.event(0, "s", -86_385.0, 1.0);
    assert_eq!(daemon.events().late, 1, "behind the watermark, but its window is open");
    assert_eq!(daemon.drain().counts("realtime"), [(-86_400, 2), (-86_390, 1)]);
}

/// Flink: state comes back from a checkpoint. flumen keeps none, and says so: what was open at the
/// end or at the start is partial.
#[test]
fn a_restart_is_told_from_data() {
    let windows = || vec![tumbling("realtime", 10), tumbling("minute", 60)];
    let flags = |daemon: &Daemon, window: &str| -> Vec<_> {
        let results = daemon.results(window);
        results.iter().map(|r| (r["final"].clone(), r["partial"] == true)).collect()
    };
    let mut first = Daemon::start(windows(), 1, 0.0);
    for second in 0..24 {
        first.event(0, "s", f64::from(second), 1.0);
        first.pass(0.999);
    }
    let first = first.drain();
    assert_eq!(first.counts("realtime"), [(0, 10), (10, 10), (20, 4)]);
    let (whole, cut_off) = ((json!(true), false), (json!(false), true));
    assert_eq!(flags(&first, "realtime"), [whole.clone(), cut_off.clone(), cut_off.clone()]);
    assert_eq!(flags(&first, "minute"), std::slice::from_ref(&cut_off));
    // Again at once: the open windows were begun by another process.
    let mut second = Daemon::start(windows(), 1, 24.0);
    for at in 24..70 {
        second.event(0, "s", f64::from(at), 1.0);
        second.pass(0.999);
    }
    let began_before = (json!(true), true);
    let realtime = flags(&second, "realtime");
    assert_eq!(second.counts("realtime")[0], (20, 6));
    assert_eq!(realtime[..3], [began_before.clone(), whole.clone(), whole]);
    assert_eq!(flags(&second, "minute"), [began_before]);
    let sums = |daemon: &Daemon| daemon.counts("minute")[0].1;
    assert_eq!(sums(&first) + sums(&second), 60, "the two parts are the minute");
}
