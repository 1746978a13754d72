//! The daemon's wall clock jumps an hour forward and back, under load.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tungstenite::Message;

use crate::common::record::Record;
use crate::common::{Daemon, LAYOUTS, collect_windows, event, now_s, read_ack};
use crate::rig::FalseClock;

const HOUR_S: i64 = 3_600;
const EVENTS: u64 = 200;

/// Events of each window's newest results, and the sum of `value` in them.
fn totals(results: &[Value], window: &str) -> (u64, f64) {
    // What is final and what comes with the drain are results of different windows; a revision replaces.
    let mut newest = BTreeMap::new();
    for result in results.iter().filter(|r| r["window"] == window) {
        newest.insert(result["window_start"].as_f64().unwrap().to_bits(), result);
    }
    let count = newest.values().map(|r| r["event_count"].as_u64().unwrap()).sum();
    (count, newest.values().map(|r| r["aggregates"]["value"]["sum"].as_f64().unwrap()).sum())
}

/// Sends events one by one, each stamped with the true time and so much more, and says what the last ack
/// adds: accepted, rejected.
struct Client<'a> {
    daemon: &'a Daemon,
    socket: tungstenite::WebSocket<std::net::TcpStream>,
    sent: u64,
    acked: (u64, u64),
    watermark: f64,
}

impl Client<'_> {
    fn send(&mut self, ahead_s: i64) -> (u64, u64) {
        for _ in 0..EVENTS {
            self.socket.write(Message::text(event("clock", now_s() + ahead_s as f64, 2.0))).unwrap();
        }
        self.socket.flush().unwrap();
        self.sent += EVENTS;
        let (_, ack) = read_ack(&mut self.socket, self.sent);
        let now = (ack["accepted"].as_u64().unwrap(), ack["rejected"].as_u64().unwrap());
        let more = (now.0 - self.acked.0, now.1 - self.acked.1);
        self.acked = now;
        let watermark = self.daemon.reading("flumen_watermark_timestamp_seconds");
        assert!(
            watermark >= self.watermark,
            "the watermark went back, from {} to {watermark}",
            self.watermark
        );
        self.watermark = watermark;
        more
    }
}

#[test]
fn the_clock_jumps_and_clients_keep_their_time() {
    let record = Record::begin("faults", "clock_jumps");
    for (lanes, windows) in LAYOUTS {
        let Some((mut daemon, clock)) = FalseClock::daemon("clock-jumps", lanes, windows, "") else {
            return;
        };
        let results = collect_windows(&daemon);
        let socket = daemon.connect("/ws/ingest?ack=1");
        let mut client = Client { daemon: &daemon, socket, sent: 0, acked: (0, 0), watermark: f64::MIN };
        let (all, none) = ((EVENTS, 0), (0, EVENTS));
        assert_eq!(client.send(0), all);
        clock.set(HOUR_S);
        assert_eq!(client.send(0), all, "the largest event time counts, not the clock");
        clock.set(0);
        assert_eq!(client.send(0), all);
        // Behind by more than time.max_future: what clients say seems to come from the future.
        clock.set(-HOUR_S);
        assert_eq!(client.send(0), none);
        // Behind by less: event time stands, nothing is refused.
        clock.set(-30);
        assert_eq!(client.send(0), all);
        clock.set(0);
        assert_eq!(client.send(0), all);
        let Client { sent, acked, .. } = client;
        let stats = daemon.wait_received(sent);
        assert_eq!(stats["events"]["rejected_by_reason"]["future_timestamp"], EVENTS, "{stats}");
        assert_eq!((&stats["events"]["late"], &stats["events"]["applied"]), (&json!(0), &json!(acked.0)));
        // Durations are of the other clock.
        assert!(stats["uptime_seconds"].as_f64().unwrap() < 600.0, "{stats}");
        assert!(stats["processor"]["latency_ms"]["max"].as_f64().unwrap() < 600e3, "{stats}");
        daemon.signal("TERM");
        let (status, said) = daemon.wait_end();
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(!said.contains("panic") && !said.contains("has not turned"), "{said}");
        let results = results.join().unwrap();
        for window in ["realtime", "minute"] {
            assert_eq!(totals(&results, window), (acked.0, 2.0 * acked.0 as f64), "{window}");
        }
    }
    record.passed(json!({ "jumps": 5, "layouts": LAYOUTS.len(), "events": 6 * EVENTS, "rejected": EVENTS }));
}

#[test]
fn the_clock_jumps_and_clients_jump_along() {
    let record = Record::begin("faults", "clock_jumps_along");
    let Some((mut daemon, clock)) = FalseClock::daemon("clock-along", 1, 1, "") else {
        return;
    };
    let results = collect_windows(&daemon);
    let socket = daemon.connect("/ws/ingest?ack=1");
    let mut client = Client { daemon: &daemon, socket, sent: 0, acked: (0, 0), watermark: f64::MIN };
    let all = (EVENTS, 0);
    assert_eq!(client.send(0), all);
    clock.set(HOUR_S);
    assert_eq!(client.send(HOUR_S), all);
    // The windows in between end at once; their events are in them.
    let closed = daemon.json("/api/aggregates/minute?limit=10");
    assert_eq!(totals(closed.as_array().unwrap(), "minute").0, EVENTS, "{closed}");
    // Back: event time stands where it was, so these are late for all windows, and say so.
    clock.set(0);
    assert_eq!(client.send(0), all, "late events are accepted");
    let Client { sent, .. } = client;
    let stats = daemon.wait_received(sent);
    let (late, applied) = (&stats["events"]["late"], &stats["events"]["applied"]);
    assert_eq!((late, applied), (&json!(EVENTS), &json!(2 * EVENTS)), "{stats}");
    daemon.signal("TERM");
    assert_eq!(daemon.wait_end().0.code(), Some(0));
    assert_eq!(totals(&results.join().unwrap(), "realtime").0, 2 * EVENTS);
    record.passed(json!({ "jumps": 2, "events": 3 * EVENTS, "late": EVENTS }));
}
