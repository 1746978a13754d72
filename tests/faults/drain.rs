//! SIGTERM while something is wrong: the drain ends with 0, and what was acknowledged counts.

use std::io::Write;
use std::net::TcpStream;

use serde_json::json;

use crate::common::record::Record;
use crate::common::{Daemon, PATIENCE};
use crate::rig::{FalseClock, Greedy, Polite, Traced, can_trace, wait_backpressure};

/// Ends the daemon in order; the counters it says last.
fn drained(mut daemon: Daemon) -> String {
    daemon.signal("TERM");
    let (status, said) = daemon.wait_end();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("drained in") && said.contains("in_flight=0"), "{said}");
    said
}

/// A number of the line `drained in`.
fn last(said: &str, name: &str) -> u64 {
    let line = said.lines().find(|line| line.contains("drained in")).unwrap();
    let value = line.split(' ').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("{name} in {line}")).parse().unwrap()
}

#[test]
fn a_drain_ends_in_order_under_overload_and_with_readers_that_stall() {
    let record = Record::begin("faults", "drain_overload");
    if !can_trace("a drain under overload") {
        return;
    }
    let daemon = Daemon::start(1, 1, "");
    // Readers of the stream that read nothing, and clients of HTTP that do not finish their request.
    let stalled: Vec<_> = [&b"GET /stream/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], b"GET /api/st"]
        .into_iter()
        .cycle()
        .take(20)
        .map(|ask| {
            let mut stream = TcpStream::connect(daemon.http).unwrap();
            stream.write_all(ask).unwrap();
            stream
        })
        .collect();
    let polite = Polite::start(&daemon, "polite");
    polite.wait_more(20);
    let seen = polite.end();
    let held = Traced::hold(&daemon, "window-0");
    let greedy: Vec<_> = (0..3).map(|_| Greedy::start(&daemon, "greedy", 100)).collect();
    wait_backpressure(&daemon);
    daemon.signal("TERM");
    daemon.wait_said("draining, at most");
    held.let_go();
    let said = drained(daemon);
    assert!(last(&said, "applied") > seen.accepted, "{said}");
    assert_eq!(last(&said, "applied"), last(&said, "received"), "{said}");
    record.passed(json!({ "applied": last(&said, "applied"), "stalled_readers": stalled.len() / 2 }));
    // Their sockets are closed under them, which ends them.
    for client in greedy {
        client.leave();
    }
}

#[test]
fn a_drain_ends_in_order_after_a_stop_without_descriptors_and_with_a_false_clock() {
    let record = Record::begin("faults", "drain_faults");
    let Some((daemon, clock)) = FalseClock::daemon("drain", 2, 2, "") else {
        return;
    };
    let polite = Polite::start(&daemon, "polite");
    polite.wait_more(20);
    clock.set(3_600);
    polite.wait_more(20);
    daemon.leave_descriptors(0);
    let newcomer = TcpStream::connect(daemon.ingest).unwrap();
    newcomer.set_read_timeout(Some(PATIENCE)).unwrap();
    polite.wait_more(20);
    let seen = polite.end();
    // SIGTERM finds it stopped, and waits.
    daemon.signal("STOP");
    daemon.signal("TERM");
    clock.set(-3_600);
    daemon.signal("CONT");
    let said = drained(daemon);
    assert_eq!(last(&said, "applied"), seen.accepted, "{said}");
    assert!(!said.contains("panic"), "{said}");
    record.passed(json!({ "events": seen.sent, "applied": seen.accepted }));
}
