use super::*;

#[test]
fn a_late_ack_is_charged_from_the_intended_time() {
    let mut waiting = VecDeque::from([
        Batch { intended_ns: 0, first: 1, last: 10 },
        Batch { intended_ns: 10_000_000, first: 11, last: 20 },
    ]);
    let mut latencies = Histogram::new_with_bounds(1_000, MAX_NS, 3).unwrap();
    acknowledge(&mut waiting, &mut latencies, 4, 5_000_000);
    assert_eq!(latencies.len(), 4);
    acknowledge(&mut waiting, &mut latencies, 20, 1_000_000_000);
    assert!(waiting.is_empty());
    assert_eq!(latencies.len(), 20);
    let near = |a: u64, b: u64| assert!(a.abs_diff(b) < b / 500, "{a} {b}");
    near(latencies.max(), 1_000_000_000);
    near(latencies.min(), 5_000_000);
}

#[test]
fn clients_with_less_than_an_event_a_tick_take_turns() {
    let sent = |tick| (0..100).map(|at| due(tick, 0.01, f64::from(at) / 100.0)).sum::<u64>();
    for tick in 1..=1_000 {
        // One a tick; a fraction that falls on the edge may come a tick later.
        assert!(sent(tick).abs_diff(tick) <= 1, "{} after tick {tick}", sent(tick));
    }
    let whole = |tick, at| due(tick, 3.0, f64::from(at) / 100.0);
    assert!((0..100).all(|at| whole(7, at) == 21));
}

#[test]
fn sources_come_in_turn_over_all_clients() {
    let of = |client, n| source(client, 3, n, 5);
    let first_ten: Vec<_> = (1..=4).flat_map(|n| (0..3).map(move |client| of(client, n))).take(10).collect();
    assert_eq!(first_ten, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
    assert_eq!((source(7, 9, 1, 0), source(7, 9, 100, 0)), (7, 7), "a client is a source");
}

/// A short step of two clients, 2.5 events a tick each; its report and what it printed.
fn step_against_a_server(write_each: bool) -> (Report, Vec<u8>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/ws/ingest", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let peers: Vec<_> = (0..2)
            .map(|_| {
                let stream = listener.accept().unwrap().0;
                std::thread::spawn(move || {
                    let mut socket = tungstenite::accept(stream).unwrap();
                    let mut frames = 0;
                    while socket.read().is_ok_and(|m| m.is_text()) {
                        frames += 1;
                        let ack =
                            format!(r#"{{"type":"ack","seq":{frames},"accepted":{frames},"rejected":0}}"#);
                        socket.send(ack.into()).unwrap();
                    }
                })
            })
            .collect();
        peers.into_iter().for_each(|p| p.join().unwrap());
    });
    let args = LoadArgs {
        url,
        clients: 2,
        rate: 500.0,
        duration: 0.4,
        suite: false,
        batch_ms: 10.0,
        write_each,
        sources: 0,
        json: true,
        hgrm: None,
    };
    let mut out = Vec::new();
    let mut reports = run(&args, &AtomicBool::new(false), &mut out).unwrap();
    server.join().unwrap();
    (reports.remove(0), out)
}

#[test]
fn a_step_against_a_server_that_acknowledges() {
    let (report, out) = step_against_a_server(false);
    assert_eq!(report.applied, report.sent);
    assert_eq!((report.unacknowledged, report.connection_errors), (0, 0));
    assert!(report.sent > 0 && report.sent <= 200, "{}", report.sent);
    let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(json[0]["sent"], report.sent);
}

#[test]
fn events_that_are_due_together_share_a_write_unless_told_otherwise() {
    let (report, _) = step_against_a_server(false);
    assert!(report.writes < report.sent, "{} writes of {} events", report.writes, report.sent);
    let (report, _) = step_against_a_server(true);
    assert_eq!(report.applied, report.sent);
    assert_eq!(report.writes, report.sent);
}
