//! Very many at once: connections that are held, and readers of the stream of which half do not read.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use flumen::event::frame::write_masked;
use flumen::runtime::descriptors;
use serde_json::json;
use tungstenite::protocol::Role;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::{Message, WebSocket};

use crate::common::record::Record;
use crate::common::{Daemon, PATIENCE, connect, event, now_s, read_ack, read_close, wait_for};
use crate::rig::{Greedy, Polite};

/// So many descriptors for this process, and as many for a daemon; fewer, with a word, where the hard limit
/// does not allow them.
fn room_for(test: &str, wanted: usize, beside: usize) -> usize {
    let most = descriptors::most().saturating_sub(beside);
    if most < wanted {
        println!("{test}: {most} instead of {wanted}, for ulimit -Hn says so");
    }
    let number = wanted.min(most);
    assert!(number > 100, "ulimit -Hn allows too few descriptors for this test: {number} beside {beside}");
    descriptors::allow(number + beside).unwrap();
    number
}

#[test]
fn ten_thousand_connections_are_held_and_each_may_send() {
    let record = Record::begin("faults", "held");
    let number = room_for("connections held", 10_000, 1_500);
    let config = format!(
        "[ingest]\nconnections = {number}\nhandshake_timeout = \"60s\"\nping_interval = \"0s\"\n[http]\nconnections = 50\n"
    );
    let mut daemon = Daemon::start(2, 1, &config);
    let descriptors = daemon.descriptors();
    let polite = Polite::start(&daemon, "polite");
    polite.wait_more(50);
    let start_kib = daemon.status("VmRSS");
    let mut crowd: Vec<_> = (1..number).map(|_| Greedy::connect(&daemon)).collect();
    wait_for("all to be in", || (daemon.metric("flumen_connections") == number as u64).then_some(()));
    let held_kib = daemon.status("VmRSS").saturating_sub(start_kib);
    // 0.5 KiB each are measured (docs/PERFORMANCE.md); the rest is room for what else this daemon does.
    assert!(held_kib < 2 * number as u64 + 4_096, "{held_kib} KiB for {number} connections");
    // There is no more room, and who is told so is told how.
    let mut over = connect(daemon.ingest, "/ws/ingest");
    assert_eq!(read_close(&mut over), Some(1013));
    polite.wait_more(50);
    let mut frame = Vec::new();
    write_masked(&mut frame, OpCode::Data(Data::Text), [1, 2, 3, 4], event("crowd", now_s(), 1.0).as_bytes());
    for stream in &mut crowd {
        stream.write_all(&frame).unwrap();
    }
    polite.wait_more(50);
    let seen = polite.end();
    assert_eq!(seen.rejected, 0);
    let stats = daemon.wait_received(seen.sent + crowd.len() as u64);
    assert_eq!(stats["events"]["applied"], stats["events"]["received"], "{stats}");
    // Half of them go, the others are there when the daemon ends, and each is told so.
    let rest = crowd.split_off(crowd.len() / 2);
    drop(crowd);
    wait_for("half to be gone", || (daemon.metric("flumen_connections") == rest.len() as u64).then_some(()));
    let held = descriptors + rest.len() as u64;
    wait_for("descriptors to be back", || (daemon.descriptors() <= held).then_some(()));
    daemon.signal("TERM");
    for stream in rest.into_iter().step_by(50) {
        stream.set_write_timeout(None).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut socket = WebSocket::from_raw_socket(stream, Role::Client, None);
        assert_eq!(read_close(&mut socket), Some(1001));
    }
    assert_eq!(daemon.wait_end().0.code(), Some(0));
    record.passed(json!({ "connections": number, "held_kib": held_kib,
        "polite_p99_ms": seen.p99().as_secs_f64() * 1e3 }));
}

/// Who reads the stream, without waiting for anything.
struct Reader {
    stream: TcpStream,
    /// The end of what has come, in which a name may have begun.
    rest: Vec<u8>,
    results: usize,
    ended: bool,
}

const RESULT: &[u8] = b"event: window\n";
const GAP: &[u8] = b"event: gap\n";

impl Reader {
    /// Reads what is there; how many results have come in all.
    fn read(&mut self, room: &mut [u8]) -> usize {
        loop {
            match self.stream.read(room) {
                Ok(0) => {
                    self.ended = true;
                    return self.results;
                }
                Ok(n) => {
                    self.rest.extend_from_slice(&room[..n]);
                    let lines = self.rest.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
                    for line in self.rest[..lines].split_inclusive(|&byte| byte == b'\n') {
                        self.results += usize::from(line == RESULT);
                        assert_ne!(line, GAP, "a reader that reads lost something");
                    }
                    self.rest.drain(..lines);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return self.results,
                Err(e) => panic!("a reader that reads was put out: {e}"),
            }
        }
    }
}

fn subscribe(daemon: &Daemon) -> TcpStream {
    let mut stream = TcpStream::connect(daemon.http).unwrap();
    stream.write_all(b"GET /stream/metrics?events=window HTTP/1.0\r\n\r\n").unwrap();
    stream
}

#[test]
fn a_thousand_readers_of_the_stream_half_of_which_do_not_read() {
    const GROUPS: usize = 20;
    let record = Record::begin("faults", "readers");
    let readers = room_for("readers", 4_000, 1_000) / 4;
    let config = format!(
        "[time]\nwatermark_delay = \"0s\"\n[ingest]\nconnections = 50\n[http]\nsse_clients = {readers}\n\
         connections = {}\n[publish]\nhistory_bytes = \"64KiB\"\n\
         [[window]]\nname = \"w\"\nkind = \"tumbling\"\nsize = \"1s\"\ngroup_by = [\"source\"]\n",
        readers + 20
    );
    let mut daemon = Daemon::start(1, 1, &config);
    let start_kib = daemon.status("VmRSS");
    let threads = daemon.status("Threads");
    let half = readers / 2;
    let stalled: Vec<_> = (0..half)
        .map(|_| {
            let stream = subscribe(&daemon);
            socket2::SockRef::from(&stream).set_recv_buffer_size(4_096).unwrap();
            stream
        })
        .collect();
    let reading = (half..readers).map(|_| {
        let stream = subscribe(&daemon);
        stream.set_nonblocking(true).unwrap();
        Reader { stream, rest: Vec::new(), results: 0, ended: false }
    });
    let mut reading: Vec<_> = reading.collect();
    let subscribers = || daemon.metric("flumen_sse_subscribers") as usize;
    wait_for("all to have subscribed", || (subscribers() == readers).then_some(()));
    let (status, said) = daemon.get("/stream/metrics");
    assert_eq!(status, 503, "one too many: {said}");

    let mut socket = daemon.connect("/ws/ingest?ack=1");
    let begin_s = now_s().floor() - 86_000.0;
    let mut room = vec![0; 64 * 1024];
    let (mut second, mut most_threads, mut most_kib) = (0, 0, 0);
    // Seconds of event time until all have been put out that do not read.
    let evicted = || daemon.metric("flumen_sse_evictions_total") as usize;
    while evicted() < half {
        second += 1;
        let events: Vec<_> =
            (0..GROUPS).map(|n| event(&format!("s{n}"), begin_s + second as f64, 1.0)).collect();
        socket.send(Message::text(format!("[{}]", events.join(",")))).unwrap();
        // The windows of the second before have closed, and who reads has all their results.
        wait_for("all results, at each that reads", || {
            reading.iter_mut().all(|r| r.read(&mut room) >= (second - 1) * GROUPS).then_some(())
        });
        most_threads = most_threads.max(daemon.status("Threads"));
        most_kib = most_kib.max(daemon.status("VmRSS"));
        assert!(second < 20_000, "{} of {half} have been put out", evicted());
    }
    assert_eq!(read_ack(&mut socket, second as u64).1["accepted"], second * GROUPS);
    assert_eq!(evicted(), half);
    assert!(reading.iter().all(|reader| !reader.ended));
    // Readers have none of their own; tiny_http makes some for other requests.
    assert!(most_threads <= threads + 16, "{most_threads} threads, {threads} at the start");
    // Two times 64 KiB a reader, and 64 MiB of results that they share (`flumen check`).
    let grown_kib = most_kib - start_kib;
    assert!(grown_kib < 128 * readers as u64 + 64 * 1024, "{grown_kib} KiB more");
    drop(stalled);
    wait_for("only those who read to be left", || (subscribers() == readers - half).then_some(()));
    daemon.signal("TERM");
    wait_for("each to have all results, and the end", || {
        for reader in reading.iter_mut().filter(|reader| !reader.ended) {
            reader.read(&mut room);
        }
        reading.iter().all(|reader| reader.ended).then_some(())
    });
    assert!(reading.iter().all(|reader| reader.results == second * GROUPS), "{second}");
    assert_eq!(daemon.wait_end().0.code(), Some(0));
    record.passed(
        json!({ "readers": readers, "stalled": half, "results": second * GROUPS, "grown_kib": grown_kib,
        "threads": threads, "most_threads": most_threads }),
    );
}

/// It takes something all the time, so nobody's patience ends; but results are large, and what waits for it is
/// most of what may wait for all.
#[test]
fn a_reader_far_behind_is_put_out_for_those_who_keep_up() {
    const GROUPS: usize = 100;
    let record = Record::begin("faults", "far_behind");
    let config = "[time]\nwatermark_delay = \"0s\"\n[publish]\nhistory_bytes = \"64KiB\"\n\
         [[window]]\nname = \"w\"\nkind = \"tumbling\"\nsize = \"1s\"\ngroup_by = [\"source\"]\n";
    let daemon = Daemon::start(1, 1, config);
    let start_kib = daemon.status("VmRSS");
    let mut slow = subscribe(&daemon);
    socket2::SockRef::from(&slow).set_recv_buffer_size(4_096).unwrap();
    slow.set_nonblocking(true).unwrap();
    let quick = subscribe(&daemon);
    quick.set_nonblocking(true).unwrap();
    let mut quick = Reader { stream: quick, rest: Vec::new(), results: 0, ended: false };
    wait_for("both to read", || (daemon.metric("flumen_sse_subscribers") == 2).then_some(()));

    let fields: Vec<_> = (0..40).map(|n| format!("\"field-{n}\":{n}")).collect();
    let fields = fields.join(",");
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    let begin_s = now_s().floor() - 86_000.0;
    let mut room = vec![0; 64 * 1024];
    let (mut second, mut taken, mut most_kib) = (0, 0, 0);
    while daemon.metric("flumen_sse_evictions_total") == 0 {
        second += 1;
        let time = begin_s + second as f64;
        let event = |n| format!(r#"{{"source":"s{n}","type":"t","timestamp":{time},"data":{{{fields}}}}}"#);
        let events: Vec<_> = (0..GROUPS).map(event).collect();
        socket.send(Message::text(format!("[{}]", events.join(",")))).unwrap();
        wait_for("all results at the reader that keeps up", || {
            (quick.read(&mut room) >= (second - 1) * GROUPS).then_some(())
        });
        taken += slow.read(&mut room[..8_192]).unwrap_or(0);
        most_kib = most_kib.max(daemon.status("VmRSS"));
        assert!(second < 2_000, "it goes on reading, and nobody minds");
    }
    assert!(taken > 0 && !quick.ended);
    let grown_kib = most_kib - start_kib;
    assert!(grown_kib < 128 * 1024, "{grown_kib} KiB more");
    read_ack(&mut socket, second as u64);
    record.passed(json!({ "results": second * GROUPS, "grown_kib": grown_kib }));
}

/// Frames as large as they come, and readers that take next to nothing of them: each holds what all hold.
#[test]
fn large_frames_are_shared_by_readers_that_hardly_read() {
    const READERS: usize = 200;
    const FIELDS: usize = 4_096;
    const EVENT_FIELDS: usize = 256;
    let record = Record::begin("faults", "large_frames");
    let config = "[publish]\nhistory_bytes = \"64KiB\"\n\
         [[window]]\nname = \"w\"\nkind = \"tumbling\"\nsize = \"10s\"\n";
    let daemon = Daemon::start(1, 1, config);
    let long = "x".repeat(150);
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    let mut seq = 0;
    let mut send = || {
        for first in (0..FIELDS).step_by(EVENT_FIELDS) {
            let fields: Vec<_> =
                (first..first + EVENT_FIELDS).map(|n| format!("\"{n:04}-{long}\":{n}.5")).collect();
            let data = fields.join(",");
            let event =
                format!(r#"{{"source":"s","type":"t","timestamp":{:.3},"data":{{{data}}}}}"#, now_s());
            socket.send(Message::text(event)).unwrap();
            seq += 1;
        }
        assert_eq!(read_ack(&mut socket, seq).1["accepted"], seq);
    };
    send();
    // The first live result of that size has been made, for one that reads it.
    let frame_kib = {
        let mut reader = TcpStream::connect(daemon.http).unwrap();
        reader.write_all(b"GET /stream/metrics?events=live HTTP/1.0\r\n\r\n").unwrap();
        let (mut bytes, mut room) = (0, vec![0; 1 << 20]);
        while bytes < 3 << 19 {
            send();
            bytes += reader.read(&mut room).unwrap();
        }
        bytes / 1024
    };
    assert!(frame_kib > 1_024);
    let start_kib = daemon.status("VmRSS");
    let mut readers: Vec<_> = (0..READERS)
        .map(|_| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.set_recv_buffer_size(4_096).unwrap();
            socket.connect(&daemon.http.into()).unwrap();
            let mut stream = TcpStream::from(socket);
            stream.set_nonblocking(true).unwrap();
            stream.write_all(b"GET /stream/metrics?events=live HTTP/1.0\r\n\r\n").unwrap();
            stream
        })
        .collect();
    wait_for("all", || (daemon.metric("flumen_sse_subscribers") >= READERS as u64).then_some(()));
    let (mut most_kib, mut room) = (0, [0; 1_024]);
    // Longer than a reader may take nothing at all; a little is enough to stay, until there are too many frames.
    for _ in 0..70 {
        send();
        readers.iter_mut().for_each(|reader| drop(reader.read(&mut room)));
        most_kib = most_kib.max(daemon.status("VmRSS"));
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let grown_kib = most_kib.saturating_sub(start_kib);
    // What all frames may take, and a ring and its like for each reader; not a frame for each.
    assert!(grown_kib < 64 * 1024 + 128 * READERS as u64, "{grown_kib} KiB more");
    record.passed(json!({ "readers": READERS, "grown_kib": grown_kib }));
}
