//! Windows with groups, filters and allowed lateness, as a user sees them: over real sockets,
//! with one and with two lanes and window threads.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use common::{Daemon, LAYOUTS, PATIENCE, now_s, read_ack, wait_for};
use serde_json::{Value, json};
use tungstenite::Message;

const CONFIG: &str = r#"
[time]
watermark_delay = "0s"
idle_timeout = "1h"
[limits]
keys = 20

[[window]]
name = "all"
kind = "tumbling"
size = "1s"

[[window]]
name = "regions"
kind = "tumbling"
size = "1s"
group_by = ["region", "type"]
where = "value >= 0 or has(metadata.force)"
fields = ["value"]
distinct = ["user"]
allowed_lateness = "10s"

[[window]]
name = "visits"
kind = "session"
gap = "2s"
group_by = ["source"]
allowed_lateness = "10s"
"#;

fn results(daemon: &Daemon, query: &str) -> Vec<Value> {
    match daemon.json(&format!("/api/aggregates/{query}")) {
        Value::Array(list) => list,
        other => panic!("{other}"),
    }
}

#[test]
fn groups_filters_revisions_and_late_events() {
    for (lanes, threads) in LAYOUTS {
        let daemon = Daemon::start(lanes, threads, CONFIG);
        // All of it before the daemon started, so that nothing is partial.
        let start = (now_s() - 1_000.0).floor();
        let mut socket = daemon.connect("/ws/ingest?ack=1");
        let mut sent = 0;
        let mut send = |at: f64, source: &str, data: Value| {
            let event = json!({"source": source, "type": "t", "timestamp": start + at, "data": data});
            socket.send(Message::text(event.to_string())).unwrap();
            sent += 1;
            // One message an ack, so that each is an arrival of its own.
            read_ack(&mut socket, sent);
        };
        send(0.1, "a", json!({"value": 1, "other": 5, "region": "eu", "user": "u1"}));
        send(0.2, "b", json!({"value": 3, "region": "eu", "user": "u2"}));
        send(0.3, "a", json!({"value": 2, "region": "us", "user": "u1"}));
        send(0.4, "c", json!({"value": 4}));
        send(0.5, "d", json!({"value": -4, "region": "eu"}));
        send(5.0, "a", json!({"value": 0, "region": "eu"}));
        let regions = wait_for("the groups of the first second", || {
            Some(results(&daemon, "regions")).filter(|r| r.len() == 3)
        });
        let group = |region: Value| json!({"region": region, "type": "t"});
        let of = |list: &[Value], region: Value| -> Value {
            list.iter().find(|r| r["group"] == group(region.clone())).unwrap().clone()
        };
        let eu = of(&regions, json!("eu"));
        assert_eq!((&eu["event_count"], &eu["distinct"]), (&json!(2), &json!({"user": 2})), "{eu}");
        assert_eq!(eu["aggregates"].as_object().unwrap().len(), 1, "only the fields asked for");
        assert_eq!((&eu["aggregates"]["value"]["max"], &eu["revision"]), (&json!(3.0), &json!(0)));
        assert_eq!((&eu["partial"], &eu["final"]), (&Value::Null, &json!(true)));
        assert_eq!(of(&regions, Value::Null)["distinct"], json!({"user": 0}));
        assert_eq!(results(&daemon, "all")[0]["event_count"], 5);

        // Late by 4 s: revises its group and the session of its source, and "all" misses it.
        send(0.9, "a", json!({"value": 9, "region": "eu", "user": "u1"}));
        let eu = wait_for("the revision", || {
            let list = results(&daemon, "regions?group=region%3Deu&group=type=t");
            assert!(list.len() == 1, "a revision takes the place of what it revises: {list:?}");
            Some(list[0].clone()).filter(|r| r["revision"] == 1)
        });
        assert_eq!((&eu["event_count"], &eu["aggregates"]["value"]["max"]), (&json!(3), &json!(9.0)));
        let visits = wait_for("the longer session", || {
            Some(results(&daemon, "visits?group=source=a")).filter(|v| v[0]["revision"] == 1)
        });
        assert_eq!(visits.len(), 1, "{visits:?}");
        assert_eq!(visits[0]["window_end"], start + 2.9);
        assert_eq!(visits[0]["replaces"], json!([{"window_start": start + 0.1, "window_end": start + 2.3}]));
        let late = &daemon.json("/api/late")[0];
        assert_eq!(
            (&late["source"], &late["type"], &late["applied"]),
            (&json!("a"), &json!("t"), &json!(true))
        );
        assert_eq!(late["windows"], json!(["all"]));
        assert!((late["behind_seconds"].as_f64().unwrap() - 4.1).abs() < 1e-3, "{late}");

        // Too late for every window.
        send(60.0, "a", json!({"value": 0, "region": "eu"}));
        send(1.0, "a", json!({"value": 1, "region": "eu"}));
        let stats = daemon.wait_received(9);
        assert_eq!((&stats["events"]["applied"], &stats["events"]["late"]), (&json!(8), &json!(1)));
        let late = wait_for("the record", || {
            let late = daemon.json("/api/late?limit=10");
            (late.as_array().unwrap().len() == 2).then(|| late[1].clone())
        });
        assert_eq!(late["windows"], json!(["all", "regions", "visits"]));
        assert_eq!(late["applied"], false);
        let windows = daemon.json("/api/windows");
        let missed: Vec<_> = (0..3).map(|at| windows[at]["late_events"].as_u64().unwrap()).collect();
        assert_eq!(missed, [2, 1, 1]);
        assert_eq!(windows[1]["where"], "value >= 0 or has(metadata.force)");
        let (_, metrics) = daemon.get("/metrics");
        assert!(metrics.contains("flumen_window_late_events_total{window=\"all\"} 2\n"), "{metrics}");
        assert!(metrics.contains("flumen_results_revised_total 2\n"), "{metrics}");
        let (status, body) = daemon.get("/api/aggregates/all?group=source=a");
        assert_eq!(status, 400);
        assert!(body.contains("all is grouped by nothing"), "{body}");
    }
}

#[test]
fn too_many_groups_are_counted_and_nothing_else_is_lost() {
    let daemon = Daemon::start(1, 2, CONFIG);
    let start = now_s() - 1_000.0;
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    for n in 0..30 {
        let data = json!({"value": 1, "region": format!("r{n}")});
        let event = json!({"source": "s", "type": "t", "timestamp": start, "data": data});
        socket.send(Message::text(event.to_string())).unwrap();
    }
    let stats = daemon.wait_received(30);
    assert_eq!((&stats["events"]["applied"], &stats["events"]["rejected"]), (&json!(30), &json!(0)));
    assert_eq!(daemon.json("/api/windows")[1]["no_room_events"], 10);
    assert_eq!(daemon.metric("flumen_window_no_room_events_total{window=\"regions\"}"), 10);
    // Sources likewise: one is known, nineteen more fit.
    for n in 0..30 {
        let data = json!({"value": 1, "region": "r0"});
        let event = json!({"source": format!("s{n}"), "type": "t", "timestamp": start, "data": data});
        socket.send(Message::text(event.to_string())).unwrap();
    }
    assert_eq!(daemon.wait_received(60)["events"]["applied"], 49);
    assert_eq!(daemon.metric("flumen_events_rejected_total{reason=\"too_many_keys\"}"), 11);
}

#[test]
fn what_no_window_wants_is_filtered() {
    const ONE: &str = "[limits]\nkeys = 5\n[[window]]\nname = \"w\"\nkind = \"tumbling\"\nsize = \"1s\"\n\
        where = \"value > 1\"\ngroup_by = [\"user\"]\n";
    let daemon = Daemon::start(1, 1, ONE);
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    for n in 0..10 {
        let data = json!({"value": n % 2 * 2, "user": format!("u{n}")});
        let event = json!({"source": "s", "type": "t", "data": data});
        socket.send(Message::text(event.to_string())).unwrap();
    }
    for n in 10..13 {
        let data = json!({"value": 2, "user": format!("u{n}")});
        socket.send(Message::text(json!({"source": "s", "type": "t", "data": data}).to_string())).unwrap();
    }
    let stats = daemon.wait_received(13);
    let events = &stats["events"];
    assert_eq!((&events["applied"], &events["filtered"]), (&json!(5), &json!(5)));
    assert_eq!(
        events["rejected_by_reason"]["too_many_keys"], 3,
        "a group without a place, and no other window"
    );
    let letter = &daemon.json("/api/deadletters")[0];
    assert!(
        letter["message"].as_str().unwrap().contains("group beyond the 5 that limits.keys allows"),
        "{letter}"
    );
}

/// A reader that does nothing but read gets every result of many groups that close at once.
#[test]
fn results_of_many_groups_reach_a_reader() {
    const SOURCES: usize = 2_000;
    let config = "[time]\nwatermark_delay = \"0s\"\nidle_timeout = \"1h\"\n\
        [[window]]\nname = \"by\"\nkind = \"tumbling\"\nsize = \"1s\"\ngroup_by = [\"source\"]\n";
    let daemon = Daemon::start(1, 2, config);
    let mut stream = TcpStream::connect(daemon.http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /stream/metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    // It is subscribed once the first statistics have come.
    assert!(lines.any(|line| line == "event: stats"));
    let start = (now_s() - 1_000.0).floor();
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    let event = |source: usize, at: f64| json!({"source": format!("s{source}"), "type": "t", "timestamp": start + at, "data": {"value": 1}});
    let events: Vec<_> = (0..SOURCES).map(|source| event(source, 0.5)).collect();
    socket.send(Message::text(json!(events).to_string())).unwrap();
    socket.send(Message::text(event(0, 5.0).to_string())).unwrap();
    let mut results = 0;
    while results < SOURCES {
        let line = lines.next().unwrap();
        assert_ne!(line, "event: gap", "after {results} results");
        results += usize::from(line == "event: window");
    }
}
