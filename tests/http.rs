//! HTTP: what each path answers, and what it says when asked badly.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use common::{Daemon, PATIENCE, event, now_s, read_ack, wait_for};
use serde_json::{Value, json};
use tungstenite::Message;

const CONFIG: &str = "[time]\nwatermark_delay = \"0s\"\nidle_timeout = \"200ms\"\n\
    [[window]]\nname = \"realtime\"\nkind = \"tumbling\"\nsize = \"100ms\"\n\
    [[window]]\nname = \"minute\"\nkind = \"tumbling\"\nsize = \"1m\"\n\
    [[alert]]\nname = \"hot\"\nwindow = \"realtime\"\nfield = \"value\"\nstatistic = \"max\"\nabove = 80.0\n\
    level = \"warning\"\nmessage = \"hot: {value:.1}\"\n";

#[test]
fn paths_answer_and_errors_are_json() {
    let daemon = Daemon::start(1, 1, "");
    for path in [
        "/api/stats",
        "/api/windows",
        "/api/alerts",
        "/api/deadletters",
        "/api/late",
        "/api/rules",
        "/openapi.json",
    ] {
        let (status, body) = daemon.get(path);
        assert_eq!(status, 200, "{path}");
        serde_json::from_str::<Value>(&body).unwrap_or_else(|e| panic!("{path}: {e}: {body}"));
    }
    for path in
        ["/", "/static/dashboard.css", "/static/charts.js", "/health", "/health/live", "/health/ready"]
    {
        assert_eq!(daemon.get(path).0, 200, "{path}");
    }
    let code = |(status, body): (u16, String)| {
        let value: Value = serde_json::from_str(&body).unwrap();
        assert!(!value["error"]["message"].as_str().unwrap().is_empty());
        (status, value["error"]["code"].as_str().unwrap().to_owned())
    };
    let (status, body) = daemon.get("/stream/metrics?events=stats,states");
    assert!(body.contains("message, window, live, stats, alert"), "{body}");
    assert_eq!(code((status, body)), (400, "bad_parameter".into()));
    let (status, body) = daemon.get("/stream/metrics?windows=realtime,hourly");
    assert!(body.contains("realtime, minute, sliding, session"), "{body}");
    assert_eq!(code((status, body)), (400, "bad_parameter".into()));
    let (status, body) = daemon.get("/api/aggregates/hourly");
    assert!(body.contains("realtime, minute, sliding, session"), "{body}");
    assert_eq!(code((status, body)), (404, "unknown_window".into()));
    assert_eq!(code(daemon.get("/nowhere")), (404, "not_found".into()));
    assert_eq!(code(daemon.get("/api/aggregates/minute?limit=-1")), (400, "bad_parameter".into()));
    assert_eq!(code(daemon.get("/api/aggregates/minute?since=soon")), (400, "bad_parameter".into()));
    assert_eq!(code(daemon.request("DELETE", "/api/rules", "", "")), (405, "method_not_allowed".into()));
    let json = "Content-Type: application/json\r\n";
    let long = "x".repeat(70_000);
    assert_eq!(code(daemon.request("POST", "/api/rules", json, &long)), (413, "too_long".into()));
}

#[test]
fn the_ingest_port_sends_strangers_on() {
    let daemon = Daemon::start(1, 1, "");
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(daemon.ingest).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut head = String::new();
        let mut lines = BufReader::new(stream).lines();
        while let Some(Ok(line)) = lines.next().filter(|l| l.as_ref().is_ok_and(|l| !l.is_empty())) {
            head.push_str(&line);
            head.push('\n');
        }
        head
    };
    assert!(ask("/ws/ingest").starts_with("HTTP/1.1 426"));
    let redirect = ask("/");
    assert!(redirect.contains(&format!("http://localhost:{}/", daemon.http.port())), "{redirect}");
    assert!(ask("/else").starts_with("HTTP/1.1 404"));
}

#[test]
fn results_alerts_and_history_come_out() {
    let daemon = Daemon::start(1, 1, CONFIG);
    let mut stream = TcpStream::connect(daemon.http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /stream/metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    // One window, entirely in the past.
    let start = (now_s() - 2.0).floor();
    for value in [10.0, 20.0, 90.0] {
        socket.send(Message::text(event("a", start + 0.01, value))).unwrap();
    }
    read_ack(&mut socket, 3);
    let mut seen = std::collections::BTreeMap::new();
    let mut name = String::new();
    let mut ids = Vec::new();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    while !["", "window", "live", "stats", "alert"].iter().all(|n| seen.contains_key(*n)) {
        let line = lines.next().unwrap();
        if let Some(id) = line.strip_prefix("id: ") {
            ids.push(id.parse::<u64>().unwrap());
        } else if let Some(event) = line.strip_prefix("event: ") {
            name = event.to_owned();
        } else if let Some(data) = line.strip_prefix("data: ") {
            let value: Value = serde_json::from_str(data).unwrap();
            if name != "window" || value["window"] == "realtime" {
                seen.insert(std::mem::take(&mut name), value);
            }
            name.clear();
        }
        // The live window needs an event that is younger than the last report.
        if !seen.contains_key("live") && line.is_empty() {
            socket.send(Message::text(event("a", now_s(), 1.0))).unwrap();
        }
    }
    assert!(ids.windows(2).all(|w| w[0] < w[1]), "ids rise: {ids:?}");
    let history = daemon.json("/api/aggregates/realtime?limit=1000");
    let result = history.as_array().unwrap().iter().find(|r| r["event_count"] == 3).unwrap();
    assert_eq!(result["window_start"], start);
    assert_eq!(result["window_end"], start + 0.1);
    assert_eq!(result["final"], true);
    assert_eq!(result["kind"], "tumbling");
    let value = &result["aggregates"]["value"];
    assert_eq!((&value["count"], &value["sum"], &value["avg"]), (&3.into(), &120.0.into(), &40.0.into()));
    assert_eq!((&value["p50"], &value["p99"]), (&20.0.into(), &20.0.into()), "rank floor(q*(n-1))");
    assert_eq!(result["top_sources"][0]["source"], "a");
    assert_eq!(result["event_types"]["sensor_data"], 3);
    let since = daemon.json(&format!("/api/aggregates/realtime?since={}", start + 0.1));
    assert!(since.as_array().unwrap().iter().all(|r| r["window_start"] != start));
    let alert = &daemon.json("/api/alerts")[0];
    assert_eq!((alert["message"].as_str(), alert["level"].as_str()), (Some("hot: 90.0"), Some("warning")));
    assert_eq!(seen["alert"]["name"], "hot");
}

#[test]
fn an_alert_fires_and_is_resolved() {
    let daemon = Daemon::start(1, 1, CONFIG);
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    // Three windows in the past: hot, hot still, and no more.
    let start = (now_s() - 3.0).floor();
    for (at, value) in [(0.01, 90.0), (0.11, 95.0), (0.21, 10.0)] {
        socket.send(Message::text(event("a", start + at, value))).unwrap();
    }
    let all = wait_for("both changes", || {
        let all = daemon.json("/api/alerts");
        (all.as_array().unwrap().len() == 2).then_some(all)
    });
    let told: Vec<_> =
        all.as_array().unwrap().iter().map(|a| (&a["state"], &a["message"], &a["value"])).collect();
    let (message, firing, resolved) = (&"hot: 90.0".into(), &"firing".into(), &"resolved".into());
    assert_eq!(told, [(firing, message, &90.0.into()), (resolved, message, &10.0.into())]);
    assert_eq!(daemon.json("/api/alerts?state=firing"), json!([]));
    let (_, metrics) = daemon.get("/metrics");
    for line in ["flumen_alerts_fired_total 1", "flumen_alerts_resolved_total 1", "flumen_alerts_firing 0"] {
        assert!(metrics.contains(&format!("\n{line}\n")), "{line}");
    }
    assert!(daemon.get("/api/alerts?state=odd").1.contains("expected firing"));
}

#[test]
fn a_returning_sse_client_gets_what_it_missed() {
    let daemon = Daemon::start(1, 1, CONFIG);
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    socket.send(Message::text(event("a", now_s() - 5.0, 1.0))).unwrap();
    wait_for("a result", || {
        let results = daemon.json("/api/aggregates/realtime");
        (!results.as_array().unwrap().is_empty()).then_some(())
    });
    let first_frames = |query: &str, header: &str| {
        let mut stream = TcpStream::connect(daemon.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET /stream/metrics{query} HTTP/1.1\r\nHost: x\r\n{header}\r\n").unwrap();
        let lines = BufReader::new(stream).lines().map(Result::unwrap);
        lines.skip_while(|l| !l.starts_with("id: ")).take(3).collect::<Vec<_>>().join("\n")
    };
    for (query, header) in [("", "Last-Event-ID: 0\r\n"), ("?last_event_id=0", "")] {
        let missed = first_frames(query, header);
        assert!(missed.contains("\"window\":\"realtime\""), "{missed}");
    }
    let gap = first_frames("?last_event_id=0", "Last-Event-ID: 999999\r\n");
    assert!(gap.contains("event: gap"), "{gap}");
    // Only what was asked for, as it comes: stats though results are to be had, and no other window's.
    let stats = first_frames("?last_event_id=0&events=stats", "");
    assert!(stats.contains("\nevent: stats\n"), "{stats}");
    let named = first_frames("?last_event_id=0&events=window&windows=realtime", "");
    assert!(named.contains("event: window\ndata: {\"window\":\"realtime\""), "{named}");
}

/// As a browser does it: several connections at once, kept for later unless the answer says that
/// they are to be closed.
#[test]
fn connections_that_come_together_are_all_answered() {
    let daemon = Daemon::start(1, 1, "");
    let mut kept = Vec::new();
    for _ in 0..30 {
        let mut all: Vec<TcpStream> = (0..6).map(|_| TcpStream::connect(daemon.http).unwrap()).collect();
        for stream in &mut all {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            write!(stream, "GET /static/dashboard.js HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        }
        for stream in all {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
            assert_eq!(lines.next().unwrap(), "HTTP/1.1 200 OK");
            if lines.by_ref().take_while(|l| !l.is_empty()).all(|l| l != "Connection: close") {
                kept.push(stream);
            }
        }
    }
}
