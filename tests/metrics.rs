//! `/metrics`: it and the catalog say the same, counters never go back, what is said of the process is
//! so, and nothing that comes from an event is a label.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use common::{Daemon, LAYOUTS, PATIENCE, event, now_s, read_ack, wait_for};
use flumen::telemetry::catalog::{Kind, LATENCY_BOUNDS_S, METRICS, Metric};
use socket2::{Domain, Socket, Type};
use tungstenite::Message;

/// By name with labels, as written: the value.
type Samples = BTreeMap<String, f64>;

/// The text, taken apart and compared with the catalog on the way: every family is in it with its
/// kind, its help and its labels, comes once, and holds only its own samples.
fn read(text: &str) -> (BTreeSet<&'static str>, Samples) {
    let (mut seen, mut samples) = (BTreeSet::new(), Samples::new());
    let mut lines = text.lines();
    let mut family: Option<&'static Metric> = None;
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            let metric = METRICS.iter().find(|m| m.name == name);
            let metric = metric.unwrap_or_else(|| panic!("{name} is not in the catalog"));
            assert_eq!(help, metric.help, "{name}");
            assert_eq!(lines.next().unwrap(), format!("# TYPE {name} {}", metric.kind.as_str()));
            assert!(seen.insert(metric.name), "{name} comes once");
            family = Some(metric);
            continue;
        }
        let (key, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) =
            key.split_once('{').map_or((key, ""), |(n, l)| (n, l.strip_suffix('}').unwrap()));
        let family = family.unwrap_or_else(|| panic!("{line}: of no family"));
        let mut names: Vec<&str> = labels.split(',').filter_map(|l| Some(l.split_once('=')?.0)).collect();
        if family.kind == Kind::Histogram {
            let part = name.strip_prefix(family.name).unwrap();
            assert!(matches!(part, "_bucket" | "_sum" | "_count"), "{line}");
            assert_eq!(names.pop_if(|n| *n == "le").is_some(), part == "_bucket", "{line}");
        } else {
            assert_eq!(name, family.name, "{line}: under another family");
        }
        assert_eq!(names, family.labels, "{line}");
        let value: f64 = value.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
        assert!(value.is_finite() && samples.insert(key.to_owned(), value).is_none(), "{line}");
    }
    (seen, samples)
}

fn scrape(daemon: &Daemon) -> (String, Samples) {
    let (status, text) = daemon.get("/metrics");
    assert_eq!(status, 200);
    let samples = read(&text).1;
    (text, samples)
}

/// Events of every fate: applied, late, rejected, filtered.
fn send_some(daemon: &Daemon) {
    let json = "Content-Type: application/json\r\n";
    let rules = r#"{"filters":[{"field":"value","max":1000}]}"#;
    assert_eq!(daemon.request("POST", "/api/rules", json, rules).0, 200);
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    let odd = r#"{"source":"x\"} 1\nnobody_total 2","type":"y\\\"","timestamp":0,"data":{"z\"":1}}"#;
    let texts = [event("a", now_s(), 1.0), event("b", now_s(), 2e3), odd.to_owned(), "{".to_owned()];
    // One after the other: what is late depends on what came before.
    for (seq, text) in (1..).zip(texts) {
        socket.send(Message::text(text)).unwrap();
        read_ack(&mut socket, seq);
    }
}

#[test]
fn the_catalog_and_the_page_say_the_same() {
    for (lanes, windows) in LAYOUTS {
        let daemon = Daemon::start(lanes, windows, "");
        send_some(&daemon);
        // The histogram is taken over once a second.
        let (text, samples) = wait_for("the latencies of all events", || {
            let (text, samples) = scrape(&daemon);
            (samples["flumen_processing_latency_seconds_count"] >= 2.0).then_some((text, samples))
        });
        let (seen, _) = read(&text);
        let missing: Vec<_> = METRICS.iter().map(|m| m.name).filter(|name| !seen.contains(name)).collect();
        assert!(missing.is_empty(), "in the catalog and not exported: {missing:?}");
        for metric in METRICS {
            let has = |name: &String| name.split('{').next().unwrap().starts_with(metric.name);
            assert!(samples.keys().any(has), "{} has a sample", metric.name);
        }
        for part in ["nobody", "\\", "\"a\""] {
            assert!(!text.contains(part), "{part}: out of an event");
        }
        let n = |name: &str| samples[name];
        assert_eq!(n("flumen_events_received_total"), 4.0);
        assert_eq!(n("flumen_events_applied_total"), 1.0);
        assert_eq!(n("flumen_events_filtered_total"), 1.0);
        assert_eq!(n("flumen_events_late_total"), 1.0);
        assert_eq!(n("flumen_events_rejected_total{reason=\"invalid_json\"}"), 1.0);
        assert_eq!(n("flumen_connections_limit"), 10_000.0);
        assert_eq!(n("flumen_sse_subscribers_limit"), 256.0);
        assert_eq!(n("flumen_keys_limit{kind=\"type\"}"), 1_024.0);
        assert_eq!(n("flumen_keys_limit{kind=\"source\"}"), 1_000_000.0);
        assert_eq!(n("flumen_config_last_reload_successful"), 1.0);
        // The rings of the layout: one a lane, one a lane and window thread, two a window thread
        // and one a lane at the end.
        let rings = samples.keys().filter(|k| k.starts_with("flumen_ring_items{")).count() as u32;
        assert_eq!(rings, 2 * lanes + lanes * windows + 2 * windows + lanes);
        assert!(n("flumen_ring_high_water_items{thread=\"parse-0\",ring=\"chunks\"}") >= 1.0);
        assert!(n("flumen_ring_high_water_items{thread=\"publish\",ring=\"letters-0\"}") <= 1.0);
        // The delay of 5 s, at least, and it is measured now.
        let (lag_s, watermark_s) =
            (n("flumen_watermark_lag_seconds"), n("flumen_watermark_timestamp_seconds"));
        assert!(lag_s >= 5.0, "{lag_s}");
        assert!((watermark_s + lag_s - now_s()).abs() < PATIENCE.as_secs_f64(), "{watermark_s} + {lag_s}");
        wait_for("the dead letter to be kept", || {
            (scrape(&daemon).1["flumen_dead_letters_total"] == 1.0).then_some(())
        });
    }
}

#[test]
fn latencies_are_told_though_nothing_follows() {
    let daemon = Daemon::start(1, 1, "");
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    socket.send(Message::text(event("a", now_s(), 1.0))).unwrap();
    wait_for("the latency of the only event", || {
        (scrape(&daemon).1["flumen_processing_latency_seconds_count"] == 1.0).then_some(())
    });
}

#[test]
fn counters_never_go_back_and_buckets_add_up() {
    let daemon = Daemon::start(2, 2, "");
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    let rising = |name: &str| name.contains("_total") || name.starts_with("flumen_processing_latency");
    let mut before = scrape(&daemon).1;
    let mut sent = 0;
    let first = before.clone();
    // Until a second has gone into the histogram, and more scrapes than that.
    for round in 0.. {
        for _ in 0..50 {
            socket.send(Message::text(event("a", now_s(), 1.0))).unwrap();
            sent += 1;
        }
        read_ack(&mut socket, sent);
        let now = scrape(&daemon).1;
        for (name, value) in before.iter().filter(|(name, _)| rising(name)) {
            assert!(now[name] >= *value, "{name}: {value}, then {}", now[name]);
        }
        let bucket = |le: &str| now[&format!("flumen_processing_latency_seconds_bucket{{le=\"{le}\"}}")];
        let counts: Vec<f64> = LATENCY_BOUNDS_S.iter().map(|le| bucket(&le.to_string())).collect();
        assert!(counts.is_sorted(), "{counts:?}");
        let count = now["flumen_processing_latency_seconds_count"];
        assert!(counts.last().unwrap() <= &count && bucket("+Inf") == count);
        assert!(now["flumen_events_applied_total"] >= sent as f64);
        before = now;
        if round >= 50 && count > 0.0 {
            break;
        }
    }
    for name in ["flumen_ingest_bytes_total", "process_cpu_seconds_total"] {
        assert!(before[name] >= first[name], "{name}");
    }
    for thread in ["ingest-0", "parse-0", "window-0", "publish", "http-0"] {
        for what in ["busy_seconds", "turns"] {
            let name = format!("flumen_thread_{what}_total{{thread=\"{thread}\"}}");
            // Four workers share the requests as it comes.
            assert!(before[&name] > first[&name] || thread.starts_with("http"), "{name} rises");
        }
    }
}

/// The first number after `name:` or `name ` in a file of `/proc/PID`.
fn proc_number(daemon: &Daemon, file: &str, name: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{}/{file}", daemon.pid())).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn what_is_said_of_the_process_is_so() {
    let started_s = now_s();
    let daemon = Daemon::start(1, 1, "");
    let (_, samples) = scrape(&daemon);
    let n = |name: &str| samples[&format!("process_{name}")];
    let start_s = n("start_time_seconds");
    assert!((started_s - 1.0..=now_s() + 1.0).contains(&start_s), "{started_s} {start_s}");
    let near = |name: &str, told: f64, read: f64| {
        assert!(told >= read / 2.0 && told <= read * 2.0, "{name}: told {told}, read {read}");
    };
    near("rss", n("resident_memory_bytes"), proc_number(&daemon, "status", "VmRSS") * 1024.0);
    near("vsz", n("virtual_memory_bytes"), proc_number(&daemon, "status", "VmSize") * 1024.0);
    assert_eq!(n("threads"), proc_number(&daemon, "status", "Threads"));
    assert_eq!(n("max_fds"), proc_number(&daemon, "limits", "Max open files"));
    // The connection that asked was open then (with what carries it through the gate), and is closed now, or nearly.
    assert!(
        (n("open_fds") - daemon.descriptors() as f64).abs() <= 5.0,
        "{} {}",
        n("open_fds"),
        daemon.descriptors()
    );
    // Ten more connections are ten more descriptors, and time is spent.
    let sockets: Vec<_> = (0..10).map(|_| daemon.connect("/ws/ingest")).collect();
    wait_for("ten more descriptors", || {
        (scrape(&daemon).1["process_open_fds"] >= n("open_fds") + 9.0).then_some(())
    });
    drop(sockets);
    wait_for("time spent", || {
        let cpu_s = scrape(&daemon).1["process_cpu_seconds_total"];
        (cpu_s > n("cpu_seconds_total")).then_some(())
    });
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).unwrap();
    let ticks = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(2);
    let read_s = ticks.map(|t| t.parse::<f64>().unwrap()).sum::<f64>() / 100.0;
    assert!(read_s >= scrape(&daemon).1["process_cpu_seconds_total"] - 1.0);
}

#[test]
fn streams_refused_and_put_out_are_counted() {
    let config = "[http]\nsse_clients = 1\n[publish]\nlive_interval = \"10ms\"\n";
    let daemon = Daemon::start(1, 1, config);
    // A reader with next to no room that never reads.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(2_048).unwrap();
    socket.connect(&daemon.http.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    write!(stream, "GET /stream/metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    wait_for("the reader", || (scrape(&daemon).1["flumen_sse_subscribers"] == 1.0).then_some(()));
    assert_eq!(daemon.get("/stream/metrics").0, 503);
    let (_, samples) = scrape(&daemon);
    assert_eq!(samples["flumen_sse_refused_total"], 1.0);
    daemon.wait_said("1 HTTP request was refused in the last 1 s (sse_clients 1)");
    assert_eq!(samples["flumen_sse_evictions_total"], 0.0);
    // Much to tell, until its socket has taken nothing for as long as the daemon is patient.
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    let mut sent = 0;
    wait_for("the eviction", || {
        let fields: Vec<String> = (0..200).map(|n| format!("\"f{n}\":{sent}")).collect();
        let (time_s, data) = (now_s(), fields.join(","));
        let text = format!(r#"{{"source":"a","type":"b","timestamp":{time_s},"data":{{{data}}}}}"#);
        socket.send(Message::text(text)).unwrap();
        sent += 1;
        read_ack(&mut socket, sent);
        let (_, samples) = scrape(&daemon);
        (samples["flumen_sse_evictions_total"] == 1.0 && samples["flumen_sse_subscribers"] == 0.0)
            .then_some(())
    });
    // There is room again; a reader that goes by itself is no eviction.
    let mut stream = TcpStream::connect(daemon.http).unwrap();
    write!(stream, "GET /stream/metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 12]).unwrap();
    drop(stream);
    wait_for("it to be gone", || (scrape(&daemon).1["flumen_sse_subscribers"] == 0.0).then_some(()));
    assert_eq!(scrape(&daemon).1["flumen_sse_evictions_total"], 1.0);
}

#[test]
fn metrics_pass_promtool_where_there_is_one() {
    let daemon = Daemon::start(2, 2, "");
    send_some(&daemon);
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        println!("SKIPPED promtool check metrics: promtool is not installed (Debian: prometheus)");
        return;
    };
    promtool.stdin.take().unwrap().write_all(scrape(&daemon).0.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
