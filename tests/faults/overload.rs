//! More comes than goes: full rings stop reading, memory stays bounded, what is dropped is counted, and a
//! greedy client leaves a polite one its latency.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;
use tungstenite::{Message, WebSocket, protocol::Role};

use crate::common::record::Record;
use crate::common::{Daemon, PATIENCE, collect_windows, event, now_s, read_ack, upgrade, wait_for};
use crate::rig::{Greedy, Polite, Traced, can_trace, settled, wait_backpressure};

/// Blocks of 64 KiB: more than rings, pools and the kernel's buffers of one connection hold.
const BLOCKS: usize = 600;
/// Clients that fill a ring of chunks together.
const CROWD: usize = 140;

/// How many backpressure notices a client that asked for nothing has been sent, up to the answer to a ping.
fn notices(stream: TcpStream) -> usize {
    stream.set_write_timeout(None).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut socket = WebSocket::from_raw_socket(stream, Role::Client, None);
    socket.send(Message::Ping(b"enough"[..].into())).unwrap();
    let mut notices = 0;
    loop {
        match socket.read().unwrap() {
            Message::Text(text) if text.contains("\"backpressure\"") => notices += 1,
            Message::Pong(_) => return notices,
            _ => {}
        }
    }
}

#[test]
fn a_full_ring_anywhere_stops_reading_and_nothing_is_lost() {
    let held = [("window-0", "full_ring_window"), ("parse-0", "full_ring_parse")];
    let held = held.map(|(thread, name)| (thread, Record::begin("faults", name)));
    if !can_trace("a full ring") {
        return;
    }
    for (thread, record) in held {
        let daemon = Daemon::start(1, 1, "[ingest]\nhandshake_timeout = \"300ms\"\n");
        let bound_kib = 80 * 1024;
        let start_kib = daemon.status("VmRSS");
        let crowd: Vec<_> = (0..CROWD).map(|_| Greedy::connect(&daemon)).collect();
        let mut polite = daemon.connect("/ws/ingest?ack=1");
        let held = Traced::hold(&daemon, thread);
        let bytes_read = || daemon.stats()["processor"]["bytes_processed"].as_u64().unwrap();
        // With a thread that stands still all come to a stand: it is the kernel that holds the rest.
        let stream = Greedy::connect(&daemon);
        let told = stream.try_clone().unwrap();
        let greedy = Greedy::write(stream, "greedy", BLOCKS);
        wait_backpressure(&daemon);
        // It is told while it waits, though there is nothing else to be said to it.
        told.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(told.peek(&mut [0]).unwrap(), 1);
        let written = settled("the client to be held up", || greedy.events());
        let alone_bytes = settled("bytes to stand still", bytes_read);
        // One client never fills the ring; together they do.
        let in_use = |daemon: &Daemon| daemon.stats()["buffer"]["current_size"].as_u64().unwrap();
        assert!(in_use(&daemon) < 32, "buffers that one client has on their way: {}", in_use(&daemon));
        // And who has nothing waiting is read beside it.
        polite.send(Message::text(event("polite", now_s(), 1.0))).unwrap();
        wait_for("the polite client to be read", || (bytes_read() > alone_bytes).then_some(()));
        let crowd: Vec<_> = crowd.into_iter().map(|stream| Greedy::write(stream, "crowd", 2)).collect();
        wait_for("the ring to be full", || (in_use(&daemon) > 100).then_some(()));
        let bytes = settled("bytes to stand still", bytes_read);
        // Who comes now waits, and is not put out for that; who says nothing is.
        let mut newcomer = TcpStream::connect(daemon.ingest).unwrap();
        newcomer.write_all(upgrade("/ws/ingest", "").as_bytes()).unwrap();
        let _silent = TcpStream::connect(daemon.ingest).unwrap();
        let timeouts = || daemon.metric("flumen_handshakes_refused_total{reason=\"timeout\"}");
        wait_for("the silent one to be put out", || (timeouts() > 0).then_some(()));
        // All this time is one episode. (While the rings filled, reading may have stopped for a moment before.)
        let episodes = |daemon: &Daemon| daemon.stats()["processor"]["backpressure_events"].as_u64().unwrap();
        let before = episodes(&daemon);
        settled("bytes to stand still", || bytes);
        let stats = daemon.stats();
        assert_eq!(stats["processor"]["backpressure_events"], before, "{stats}");
        assert_eq!(daemon.metric("flumen_backpressure_lanes"), 1);
        assert!(bytes < 16 * 1024 * 1024, "{bytes} bytes were read");
        assert!(daemon.status("VmRSS") < start_kib + bound_kib, "{} KiB", daemon.status("VmRSS"));
        let high = stats["buffer"]["high_water_mark"].as_u64().unwrap();
        let now = stats["buffer"]["current_size"].as_u64().unwrap();
        assert!(high >= now && now > 100, "buffers on their way: {now}, {high} at most");
        held.let_go();
        let mut answer = [0; 12];
        newcomer.set_read_timeout(Some(PATIENCE)).unwrap();
        newcomer.read_exact(&mut answer).unwrap();
        assert_eq!((&answer, timeouts()), (b"HTTP/1.1 101", 1));
        let (mut events, stream) = greedy.written();
        assert!(events > written, "it was held up");
        events += 1 + crowd.into_iter().map(|one| one.written().0).sum::<u64>();
        assert_eq!(read_ack(&mut polite, 1).1["accepted"], 1);
        let stats = daemon.wait_received(events);
        assert_eq!(stats["events"]["applied"], events);
        wait_for("the episode to end", || (daemon.metric("flumen_backpressure_lanes") == 0).then_some(()));
        let threads = stats["threads"].as_array().unwrap();
        let ring = threads.iter().find(|t| t["name"] == thread).map(|t| &t["ring"]).unwrap();
        let (high, capacity) = (ring["high_water_mark"].as_u64(), ring["capacity"].as_u64().unwrap());
        assert!(high > Some(capacity * 9 / 10), "the ring of {thread}: {ring}");
        let episodes = episodes(&daemon);
        let told = notices(stream);
        assert!(told >= 1 && told as u64 <= episodes, "{told} notices in {episodes} episodes");
        record.passed(json!({ "events": events, "read_of_one_bytes": alone_bytes, "read_while_full_bytes": bytes, "episodes": episodes,
            "notices": told, "grown_kib": daemon.status("VmHWM").saturating_sub(start_kib),
            "bound_kib": bound_kib }));
    }
}

#[test]
fn overload_drop_counts_exactly_what_it_drops() {
    let record = Record::begin("faults", "drop");
    if !can_trace("overload = \"drop\"") {
        return;
    }
    let daemon = Daemon::start(1, 1, "[ingest]\noverload = \"drop\"\n");
    let held = Traced::hold(&daemon, "parse-0");
    let greedy = Greedy::start(&daemon, "greedy", BLOCKS);
    wait_backpressure(&daemon);
    held.let_go();
    let (events, _stream) = greedy.written();
    let stats = daemon.wait_received(events);
    let n = |name: &str| stats["events"][name].as_u64().unwrap();
    assert!(n("dropped") > 0, "{stats}");
    assert_eq!(n("applied") + n("dropped"), events, "{stats}");
    assert_eq!(stats["events"]["dropped_by_reason"]["overload"], n("dropped"));
    assert_eq!(stats["buffer"]["total_dropped"], n("dropped"));
    // At rest nothing is dropped, and the ack says what became of an event.
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    socket.send(Message::text(event("after", now_s(), 1.0))).unwrap();
    assert_eq!(read_ack(&mut socket, 1).1["accepted"], 1);
    daemon.wait_said("events were dropped under overload");
    record.passed(json!({ "events": events, "applied": n("applied"), "dropped": n("dropped") }));
}

#[test]
fn overload_drop_holds_up_nobody_while_a_window_thread_stands_still() {
    let record = Record::begin("faults", "drop_window");
    if !can_trace("overload = \"drop\"") {
        return;
    }
    let daemon = Daemon::start(1, 1, "[ingest]\noverload = \"drop\"\n");
    let held = Traced::hold(&daemon, "window-0");
    let greedy = Greedy::start(&daemon, "greedy", BLOCKS);
    // It gets rid of all it has. What is not dropped waits in rings.
    let (events, _stream) = greedy.written();
    let n = |name: &str| daemon.stats()["events"][name].as_u64().unwrap();
    wait_for("most events to be dropped", || (n("dropped") > events / 2).then_some(()));
    let stats = daemon.stats();
    let thread = stats["threads"].as_array().unwrap().iter().find(|t| t["name"] == "window-0").unwrap();
    let ring = &thread["ring"];
    assert_eq!((&ring["len"], &ring["high_water_mark"]), (&ring["capacity"], &ring["capacity"]), "{ring}");
    held.let_go();
    daemon.wait_received(events);
    let (applied, dropped) = (n("applied"), n("dropped"));
    assert_eq!(applied + dropped, events);
    record.passed(json!({ "events": events, "applied": applied, "dropped": dropped }));
}

#[test]
fn a_greedy_client_leaves_a_polite_one_its_latency() {
    let record = Record::begin("faults", "fairness");
    let mut figures = serde_json::Map::new();
    for lanes in [1, 2] {
        let daemon = Daemon::start(lanes, 1, "");
        let alone = Polite::start(&daemon, "alone");
        alone.wait_more(300);
        let alone = alone.end();
        let greedy = Greedy::start(&daemon, "greedy", usize::MAX);
        wait_for("the greedy client to be at it", || (greedy.events() > 50_000).then_some(()));
        let polite = Polite::start(&daemon, "polite");
        let (start, before) = (Instant::now(), greedy.events());
        polite.wait_more(300);
        let per_s = ((greedy.events() - before) as f64 / start.elapsed().as_secs_f64()).round();
        let polite = polite.end();
        let (events, _stream) = greedy.end();
        daemon.wait_received(alone.sent + polite.sent + events);
        let ms = |time: Duration| (time.as_secs_f64() * 1e5).round() / 1e2;
        let (alone, beside) = (ms(alone.p99()), ms(polite.p99()));
        let ratio = (beside / alone * 10.0).round() / 10.0;
        println!(
            "{lanes} lanes: p99 {alone} ms alone, {beside} ms beside {per_s} events/s flat out: {ratio} times"
        );
        // Generous: the machine may be slow and shared. Starved, it would wait for ever.
        assert!(polite.p99() < Duration::from_secs(2), "{:?}", polite.p99());
        figures.insert(
            format!("lanes_{lanes}"),
            json!({ "alone_p99_ms": alone, "beside_p99_ms": beside, "ratio": ratio, "greedy_events_per_s": per_s }),
        );
    }
    record.passed(figures.into());
}

#[test]
fn results_that_come_faster_than_they_go_out_do_not_pile_up() {
    let record = Record::begin("faults", "results");
    let config = "[publish]\nhistory_bytes = \"64KiB\"\n[[window]]\nname = \"w\"\nkind = \"tumbling\"\nsize = \"1s\"\ngroup_by = [\"source\"]\n";
    let mut daemon = Daemon::start(1, 1, config);
    // With a reader every result is put in words, which takes longer than an event.
    let results = collect_windows(&daemon);
    let start_kib = daemon.status("VmRSS");
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    let (seconds, groups) = (400, 1_000);
    let begin_s = now_s().floor() - 3_600.0;
    for second in 1..=seconds {
        // A second of event time, which makes the results of an earlier one due.
        let events: Vec<_> =
            (0..groups).map(|n| event(&format!("s{n}"), begin_s + second as f64, 1.0)).collect();
        socket.send(Message::text(format!("[{}]", events.join(",")))).unwrap();
        if second % 10 == 0 {
            read_ack(&mut socket, second);
        }
    }
    daemon.wait_received(seconds * groups);
    let grown_kib = daemon.status("VmHWM") - start_kib;
    assert!(grown_kib < 48 * 1024, "{grown_kib} KiB more");
    daemon.signal("TERM");
    assert_eq!(daemon.wait_end().0.code(), Some(0));
    let results = results.join().unwrap();
    assert!(!results.is_empty() && results.iter().all(|r| r["event_count"] == 1), "{}", results.len());
    record.passed(json!({ "results": seconds * groups, "read": results.len(), "grown_kib": grown_kib }));
}
