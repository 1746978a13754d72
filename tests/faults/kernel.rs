//! What the kernel does to a process: no descriptors, a failing system call, a stop, no memory.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;
use tungstenite::Message;

use crate::common::record::Record;
use crate::common::{Daemon, PATIENCE, connect, event, now_s, read_ack, upgrade, wait_for};
use crate::rig::{Polite, Traced, can_trace};

#[test]
fn descriptors_run_out_and_come_back_on_the_ingest_port() {
    let record = Record::begin("faults", "descriptors");
    let daemon = Daemon::start(1, 1, "");
    let polite = Polite::start(&daemon, "polite");
    polite.wait_more(20);
    daemon.leave_descriptors(0);
    let ingest = daemon.ingest;
    // The kernel connects them; the daemon has no descriptor to take them with.
    let out = Instant::now();
    let waiting: Vec<_> = (0..10)
        .map(|_| {
            std::thread::spawn(move || {
                let mut socket = connect(ingest, "/ws/ingest?ack=1");
                socket.send(Message::text(event("newcomer", now_s(), 1.0))).unwrap();
                read_ack(&mut socket, 1).1
            })
        })
        .collect();
    daemon.wait_said("times no connection could be accepted in the last 1 s (ingest ");
    polite.wait_more(50);
    assert!(waiting.iter().all(|client| !client.is_finished()), "somebody was let in");
    daemon.limit("--nofile=1024:");
    for client in waiting {
        assert_eq!(client.join().unwrap()["accepted"], 1);
    }
    let errors = daemon.reading("flumen_accept_errors_total");
    // One attempt in 100 ms, not a loop that burns.
    let most = 30.0 * (1.0 + out.elapsed().as_secs_f64());
    assert!((1.0..=most).contains(&errors), "{errors} attempts, {most} at most");
    let seen = polite.end();
    assert_eq!(seen.rejected, 0);
    daemon.wait_received(seen.sent + 10);
    record.passed(json!({ "accept_errors": errors, "waited_and_let_in": 10, "polite_events": seen.sent,
        "polite_worst_ms": seen.worst().as_millis() as u64 }));
}

#[test]
fn a_thread_that_panics_ends_the_process_with_70_and_its_name() {
    let record = Record::begin("faults", "panic");
    if !can_trace("a thread that panics") {
        return;
    }
    let mut daemon = Daemon::start(1, 1, "");
    // What the ingest thread documents as its panic: the kernel refuses to poll.
    let traced = Traced::attach(&daemon, "ingest-0", "epoll_wait:error=EBADF");
    drop(TcpStream::connect(daemon.ingest));
    let (status, said) = daemon.wait_end();
    traced.let_go();
    assert_eq!(status.code(), Some(70), "{said}");
    assert!(said.contains("panic: polling sockets failed: Bad file descriptor"), "{said}");
    // The threads behind it end first, because their input does; they are not to be blamed.
    let blame = said.lines().find(|line| line.contains("so the process ends")).unwrap();
    assert!(blame.contains("a thread panicked") && blame.ends_with("thread=ingest-0"), "{said}");
    record.passed(json!({ "exit_code": 70 }));
}

#[test]
fn a_process_that_was_stopped_goes_on_and_no_thread_is_called_stalled() {
    let record = Record::begin("faults", "stopped");
    // Longer than half of the 15 s after which a thread is stalled, so that the pause is noticed.
    let seconds =
        std::env::var("FAULTS_STOP_SECONDS").map_or(10, |s| s.parse().expect("a number of seconds"));
    let daemon = Daemon::start(2, 2, "");
    let clients: Vec<_> =
        ["stopped-0", "stopped-1", "stopped-2"].map(|source| Polite::start(&daemon, source)).into();
    // Requests that are begun before and ended meanwhile, while their time runs out.
    let request = upgrade("/ws/ingest", "");
    let (begun, rest) = request.split_at(40);
    let mut newcomers: Vec<_> = (0..4).map(|_| TcpStream::connect(daemon.ingest).unwrap()).collect();
    newcomers.iter_mut().for_each(|newcomer| newcomer.write_all(begun.as_bytes()).unwrap());
    wait_for("the newcomers", || (daemon.metric("flumen_connections") == 3 + 4).then_some(()));
    clients.iter().for_each(|client| client.wait_more(20));
    daemon.signal("STOP");
    newcomers.iter_mut().for_each(|newcomer| newcomer.write_all(rest.as_bytes()).unwrap());
    // The fault itself takes this long.
    std::thread::sleep(Duration::from_secs(seconds));
    daemon.signal("CONT");
    daemon.wait_said("the process did not run for ");
    for newcomer in &mut newcomers {
        let mut answer = [0; 12];
        newcomer.set_read_timeout(Some(PATIENCE)).unwrap();
        newcomer.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 101");
    }
    clients.iter().for_each(|client| client.wait_more(50));
    let seen: Vec<_> = clients.into_iter().map(Polite::end).collect();
    let sent = seen.iter().map(|s| s.sent).sum();
    assert!(seen.iter().all(|s| s.rejected == 0 && s.worst() >= Duration::from_secs(seconds - 1)));
    daemon.wait_received(sent);
    let said = daemon.said();
    assert!(!said.contains("has not turned"), "{said}");
    record.passed(json!({ "stopped_s": seconds, "events": sent, "acknowledged": sent }));
}

#[test]
fn memory_that_runs_out_ends_the_process_with_a_word() {
    let record = Record::begin("faults", "no_memory");
    let mut daemon = Daemon::start(1, 1, "[limits]\nnew_keys_per_second = 0\n");
    // Room for another 16 MiB of addresses, and then a million keys that need more.
    daemon.limit(&format!("--as={}:", (daemon.status("VmSize") + 16 * 1024) * 1024));
    let mut socket = daemon.connect("/ws/ingest");
    for batch in 0..1_000 {
        let events: Vec<_> = (0..1_000).map(|n| event(&format!("key-{batch}-{n}"), now_s(), 1.0)).collect();
        if socket.send(Message::text(format!("[{}]", events.join(",")))).is_err() {
            break;
        }
    }
    let (status, said) = daemon.wait_end();
    use std::os::unix::process::ExitStatusExt;
    // Rust's own end: a message, and abort. systemd starts it again.
    assert_eq!(status.signal(), Some(6), "{status:?}: {said}");
    assert!(said.contains("memory allocation of"), "{said}");
    record.passed(json!({ "signal": "SIGABRT", "message": "memory allocation of … bytes failed" }));
}

#[test]
fn a_stream_of_new_names_stays_below_the_bound_that_check_prints() {
    let record = Record::begin("faults", "new_names");
    // The names themselves are bounded by these; rings, pools and history by what `flumen check` prints.
    let limits = "[limits]\nkeys = 5000\nfield_names = 500\nevent_types = 50\nunfinished_size = \"1MiB\"\n[publish]\nhistory_bytes = \"64KiB\"\n";
    // Generously: docs/OPERATIONS.md reckons 350 bytes for a source in its session, and 400 for a field.
    let names_kib = 5_000 * 2;
    let daemon = Daemon::start(1, 1, limits);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_flumen"))
        .args(["check", &daemon.dir.join("flumen.toml").to_string_lossy()])
        .output()
        .unwrap();
    let plan = String::from_utf8(output.stdout).unwrap();
    let bound_kib: u64 = plan
        .lines()
        .find_map(|line| line.trim().strip_suffix("KiB  together")?.trim().parse().ok())
        .unwrap_or_else(|| panic!("a bound in {plan}"));
    let bound_kib = bound_kib + names_kib;
    let start_kib = daemon.status("VmRSS");
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    let (batches, per_batch) = (600, 1_000);
    for batch in 1..=batches {
        let events: Vec<_> = (0..per_batch)
            .map(|n| {
                let name = format!("{batch}-{n}-{}", "x".repeat(40));
                let now = now_s();
                format!(
                    r#"{{"source":"s{name}","type":"t{}","timestamp":{now:.3},"data":{{"f{name}":{n}}},"metadata":{{"m{name}":"v{name}"}}}}"#,
                    n % 500
                )
            })
            .collect();
        socket.send(Message::text(format!("[{}]", events.join(",")))).unwrap();
        if batch % 10 == 0 {
            read_ack(&mut socket, batch);
        }
    }
    let stats = daemon.wait_received(batches * per_batch);
    let peak_kib = daemon.status("VmHWM");
    assert!(
        peak_kib < start_kib + bound_kib,
        "{start_kib} KiB at the start, {peak_kib} at most, {bound_kib}"
    );
    let rejected = &stats["events"]["rejected_by_reason"];
    assert!(rejected["too_many_types"].as_u64() > Some(0), "{rejected}");
    assert!(daemon.reading("flumen_fields_left_out_total") > 0.0);
    record.passed(json!({ "events": batches * per_batch, "start_kib": start_kib, "peak_kib": peak_kib,
        "bound_kib": bound_kib }));
}

/// Names times fields: each is within its limit, and together they are ten times what the process may have.
#[test]
fn reading_stops_at_the_memory_limit_until_windows_have_closed() {
    let record = Record::begin("faults", "memory_limit");
    let config = "[limits]\nmemory = \"64MiB\"\nunfinished_size = \"1MiB\"\nnew_keys_per_second = 0\n\
                  [time]\nwatermark_delay = \"0s\"\nidle_timeout = \"200ms\"\n[publish]\nhistory_bytes = \"64KiB\"\n\
                  [[window]]\nname = \"w\"\nkind = \"tumbling\"\nsize = \"2s\"\ngroup_by = [\"source\"]\n";
    let daemon = Daemon::start(1, 1, config);
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    let (batches, per_batch, fields) = (400, 100, 100);
    let data: Vec<_> = (0..fields).map(|n| format!("\"field{n}\":{n}")).collect();
    let data = data.join(",");
    let writer = std::thread::spawn(move || {
        for batch in 0..batches {
            // The time of every other batch is that of its arrival: nothing of it is late, however long it has
            // waited. Others may be late, and are counted.
            let time = if batch % 2 == 0 { String::new() } else { format!(r#""timestamp":{:.3},"#, now_s()) };
            let event = |n| format!(r#"{{"source":"s{batch}-{n}","type":"t",{time}"data":{{{data}}}}}"#);
            let events: Vec<_> = (0..per_batch).map(event).collect();
            socket.send(Message::text(format!("[{}]", events.join(",")))).unwrap();
        }
        let ack = read_ack(&mut socket, batches).1;
        (ack["accepted"].as_u64().unwrap(), ack["rejected"].as_u64().unwrap())
    });
    daemon.wait_said("no more is read until windows have closed");
    // A client that is there already waits as well, and loses nothing.
    assert_eq!(writer.join().unwrap(), (batches * per_batch, 0));
    let stats = daemon.wait_received(batches * per_batch);
    let count = |name: &str| stats["events"][name].as_u64().unwrap();
    assert_eq!(count("applied") + count("late"), batches * per_batch);
    assert!(count("applied") >= batches * per_batch / 2, "{stats}");
    daemon.wait_said("reading goes on after");
    // What is there for good fits; a history of 64 MiB would not.
    let for_good = "MiB of the 64 MiB of limits.memory: reading could stop for good";
    assert!(!daemon.said().contains(for_good), "{}", daemon.said());
    Daemon::start(1, 1, "[limits]\nmemory = \"64MiB\"\n").wait_said(for_good);
    let stops = daemon.metric("flumen_memory_stops_total");
    assert!(stops > 0 && stats["processor"]["backpressure_events"].as_u64() > Some(0), "{stats}");
    assert_eq!(daemon.metric("flumen_memory_limit_bytes"), 64 << 20);
    wait_for("reading to go on", || (daemon.metric("flumen_memory_stopped") == 0).then_some(()));
    // What was on its way when it was looked at comes on top; without the limit it is 450 MiB.
    let peak_kib = daemon.status("VmHWM");
    assert!(peak_kib < 200 * 1024, "{peak_kib} KiB");
    record.passed(json!({ "events": batches * per_batch, "late": count("late"), "fields": fields, "limit_kib": 64 * 1024,
        "peak_kib": peak_kib, "stops": stops }));
}

/// Messages that are begun and never ended are freed by no window, so they must not bring reading to a stop.
#[test]
fn unfinished_messages_do_not_hold_up_others_at_the_memory_limit() {
    let record = Record::begin("faults", "unfinished");
    let config = "[limits]\nmemory = \"64MiB\"\n[publish]\nhistory_bytes = \"64KiB\"\n";
    let daemon = Daemon::start(2, 1, config);
    let polite = Polite::start(&daemon, "polite");
    polite.wait_more(20);
    let clients = 80;
    let mut begun = vec![0x82, 0xff];
    begun.extend_from_slice(&(1_u64 << 20).to_be_bytes());
    begun.resize(begun.len() + 4 + (1 << 20) - 1_000, 0);
    let held: Vec<_> = (0..clients)
        .map(|_| {
            let mut socket = daemon.connect("/ws/ingest");
            // It may be closed before all is written.
            socket.get_mut().write_all(&begun).ok();
            socket
        })
        .collect();
    // A quarter of the limit is theirs.
    let closed = || daemon.metric("flumen_unfinished_messages_closed_total");
    wait_for("those over the limit to be closed", || (closed() >= clients - 16).then_some(()));
    polite.wait_more(50);
    assert_eq!(daemon.metric("flumen_memory_stops_total"), 0);
    let peak_kib = daemon.status("VmHWM");
    assert!(peak_kib < 64 * 1024, "{peak_kib} KiB");
    let seen = polite.end();
    assert_eq!(seen.rejected, 0);
    drop(held);
    daemon.wait_received(seen.sent);
    record.passed(json!({ "clients": clients, "closed": closed(), "peak_kib": peak_kib, "polite_p99_ms": seen.p99().as_secs_f64() * 1e3 }));
}

#[test]
fn a_client_that_never_reads_costs_its_bounded_buffer() {
    let record = Record::begin("faults", "never_reads");
    let daemon = Daemon::start(1, 1, "");
    let polite = Polite::start(&daemon, "polite");
    polite.wait_more(20);
    let before_kib = daemon.status("VmRSS");
    // Little room in the kernel, so that what is not read stays with the daemon.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    socket.connect(&daemon.ingest.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let (mut deaf, _) =
        tungstenite::client(format!("ws://{}/ws/ingest?ack=1", daemon.ingest), stream).unwrap();
    // Everything that wants an answer: pings, good events, bad ones. 48 MiB of pongs, if all were kept.
    let pings = 400_000;
    for n in 0..pings {
        deaf.write(Message::Ping(vec![7; 120].into())).unwrap();
        if n % 100 == 0 {
            deaf.write(Message::text(event("deaf", now_s(), 1.0))).unwrap();
            deaf.write(Message::text("{}")).unwrap();
        }
    }
    deaf.flush().unwrap();
    let sent = 2 * pings / 100;
    wait_for("all of it to be taken", || {
        let stats = daemon.stats();
        (stats["event_types"]["sensor_data"].as_u64()? >= sent / 2).then_some(())
    });
    polite.wait_more(50);
    let grown_kib = daemon.status("VmHWM").saturating_sub(before_kib);
    // The pools and rings of the pipeline are in it; none of it is per message.
    assert!(grown_kib < 20 * 1024, "{grown_kib} KiB more");
    let seen = polite.end();
    daemon.wait_received(seen.sent + sent);
    record.passed(json!({ "pings": pings, "events": sent, "grown_kib": grown_kib,
        "polite_p99_ms": seen.p99().as_secs_f64() * 1e3 }));
}
