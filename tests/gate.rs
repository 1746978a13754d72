//! The HTTP port against clients that are slow, greedy, wrong or many: whoever asks decently is
//! answered beside them.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use common::{Daemon, PATIENCE, wait_for};

/// Quick limits, for the tests.
const QUICK: &str = "[http]\nconnections = 40\nrequest_timeout = \"300ms\"\n";

fn open(daemon: &Daemon, bytes: &[u8]) -> TcpStream {
    // With little room in the kernel, so that what is not read stays with the daemon.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    socket.connect(&daemon.http.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

/// All that the daemon says until it closes.
fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_request_that_does_not_come_in_time_is_told_so_and_holds_up_nobody() {
    let daemon = Daemon::start(1, 1, QUICK);
    let beginning = b"GET /api/stats HTTP/1.1\r\nHo";
    let mut slow: Vec<_> = (0..30).map(|n| open(&daemon, &beginning[..1 + n % 25])).collect();
    // One that says nothing is not counted: browsers keep some ready.
    let mut mute = open(&daemon, b"");
    assert_eq!(daemon.get("/api/stats").0, 200, "beside thirty clients that dawdle");
    for stream in &mut slow {
        let said = answer(stream);
        assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    }
    assert_eq!(answer(&mut mute), "");
    assert_eq!(daemon.metric("flumen_http_timeouts_total"), 30);
    wait_for("all to be forgotten", || (daemon.metric("flumen_http_connections") == 1).then_some(()));
}

#[test]
fn one_connection_too_many_is_refused_and_counted() {
    let daemon = Daemon::start(1, 1, "[http]\nconnections = 40\nrequest_timeout = \"1m\"\n");
    let idle: Vec<_> = (0..40).map(|_| open(&daemon, b"")).collect();
    let mut over = open(&daemon, b"GET /api/stats HTTP/1.0\r\n\r\n");
    let said = answer(&mut over);
    assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("http.connections"), "{said}");
    drop(idle);
    wait_for("room again", || (daemon.get("/health").0 == 200).then_some(()));
    assert!(daemon.metric("flumen_http_connections_refused_total") >= 1);
}

/// A window of many groups, so that answers are long.
fn with_long_answers() -> Daemon {
    let config = "[http]\nconnections = 200\n[publish]\nhistory = 10000\n[[window]]\nname = \"w\"\nkind = \"tumbling\"\nsize = \"1s\"\ngroup_by = [\"source\"]\n";
    let daemon = Daemon::start(1, 1, config);
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    let now = common::now_s();
    for part in 0..10 {
        let events: Vec<_> =
            (0..1_000).map(|n| common::event(&format!("source-{part}-{n}"), now - 30.0, 1.0)).collect();
        socket.send(tungstenite::Message::text(format!("[{}]", events.join(",")))).unwrap();
    }
    // The next window closes the first.
    socket.send(tungstenite::Message::text(common::event("later", now, 1.0))).unwrap();
    common::read_ack(&mut socket, 11);
    wait_for("ten thousand results", || {
        let (_, body) = daemon.get("/api/aggregates/w?limit=10000");
        (body.len() > 2_000_000).then_some(())
    });
    daemon
}

#[test]
fn who_asks_for_much_and_reads_nothing_delays_nobody() {
    let daemon = with_long_answers();
    let ask = b"GET /api/aggregates/w?limit=10000 HTTP/1.1\r\nHost: h\r\n\r\n";
    let greedy: Vec<_> = (0..100).map(|_| open(&daemon, ask)).collect();
    // A hundred answers of megabytes do not fit: those with most to read are put out.
    wait_for("room to be made", || (daemon.metric("flumen_http_evictions_total") > 50).then_some(()));
    for _ in 0..20 {
        assert_eq!(daemon.get("/api/windows").0, 200);
    }
    // Whoever reads gets all of it, however many do not.
    let more: Vec<_> = (0..100).map(|_| open(&daemon, ask)).collect();
    let (_, body) = daemon.get("/api/aggregates/w?limit=10000");
    assert!(serde_json::from_str::<Vec<serde_json::Value>>(&body).unwrap().len() >= 10_000);
    drop((greedy, more));
}

#[test]
fn a_burst_of_connections_that_stay_open_is_answered() {
    let daemon = Daemon::start(1, 1, "[http]\nconnections = 500\n");
    let mut streams: Vec<_> = (0..300)
        .map(|_| open(&daemon, b"GET /health HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\n"))
        .collect();
    for stream in &mut streams {
        let said = answer(stream);
        assert!(said.starts_with("HTTP/1.1 200 ") && said.contains("Connection: close"), "{said}");
    }
}

#[test]
fn one_byte_at_a_time_is_as_good_as_a_whole_request() {
    let daemon = Daemon::start(1, 1, "");
    let mut stream = open(&daemon, b"");
    stream.set_nodelay(true).unwrap();
    let body = r#"{"filters":[]}"#;
    let request = format!(
        "POST /api/rules HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        daemon.http,
        body.len()
    );
    for byte in request.as_bytes() {
        stream.write_all(&[*byte]).unwrap();
    }
    let said = answer(&mut stream);
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
}

#[test]
fn a_smuggled_request_is_refused() {
    let daemon = Daemon::start(1, 1, "");
    let get = |more: &str| format!("GET /api/stats HTTP/1.1\r\nHost: h\r\n{more}\r\n\r\n");
    for (request, status, reason) in [
        (get("Transfer-Encoding: chunked\r\n\r\n0"), 411, "length_required"),
        (get("Content-Length: 0\r\nContent-Length: 44"), 400, "bad_length"),
        (get("Content-Length: 65537"), 413, "too_long"),
        (get("Host: again"), 400, "bad_host"),
        (get(" folded: 1"), 400, "bad_header"),
        (get(&"A: b\r\n".repeat(101)), 431, "head_too_long"),
        ("GET / HTTP/2.0\r\n\r\n".to_owned(), 505, "http_version"),
        ("GET /api/stats HTTP/1.1\nHost: h\n\nGET / HTTP/1.1\r\n\r\n".to_owned(), 400, "bad_request"),
    ] {
        let counter = format!("flumen_http_requests_refused_total{{reason=\"{reason}\"}}");
        assert_eq!(daemon.metric(&counter), 0, "{reason}");
        let said = answer(&mut open(&daemon, request.as_bytes()));
        assert!(
            said.starts_with(&format!("HTTP/1.1 {status} ")) && said.contains(reason),
            "{request:?}: {said}"
        );
        assert_eq!(daemon.metric(&counter), 1, "{reason}");
        assert_eq!(said.lines().filter(|line| line.starts_with("HTTP/1.1 ")).count(), 1, "{said}");
    }
    // What is pipelined behind a good request is not answered: one request a connection.
    let two = "GET /health HTTP/1.1\r\nHost: h\r\n\r\n".repeat(2);
    let said = answer(&mut open(&daemon, two.as_bytes()));
    assert_eq!(said.matches("HTTP/1.1 200").count(), 1, "{said}");
}

#[test]
fn descriptors_that_run_out_and_come_back_leave_the_port_alive() {
    let daemon = Daemon::start(1, 1, "");
    assert_eq!(daemon.get("/health").0, 200);
    // A client takes four: one in the gate, three between the gate and the server behind.
    for spare in 0..10 {
        daemon.leave_descriptors(spare);
        let streams: Vec<_> = (0..8)
            .map(|_| open(&daemon, b"GET /health HTTP/1.0\r\n\r\n"))
            .inspect(|stream| stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap())
            .collect();
        for mut stream in streams {
            // Whatever comes, or nothing; it ends.
            stream.read_to_end(&mut Vec::new()).ok();
        }
        daemon.limit("--nofile=1024:");
        eprintln!("spare {spare}");
        wait_for("an answer again", || {
            let mut stream = open(&daemon, b"GET /health HTTP/1.0\r\n\r\n");
            stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
            let mut text = String::new();
            (stream.read_to_string(&mut text).is_ok() && text.contains(" 200 ")).then_some(())
        });
    }
    // tiny_http does where it finds no descriptor: it is not asked then.
    assert!(!daemon.said().contains("panic"), "{}", daemon.said());
}

/// The first client for long finds no descriptors: it is told so, though deadlines have not been looked at since
/// the start.
#[test]
fn the_first_client_for_long_is_told_that_there_are_no_descriptors() {
    let daemon = Daemon::start(1, 1, "");
    std::thread::sleep(Duration::from_millis(5_500));
    daemon.leave_descriptors(1);
    let said = answer(&mut open(&daemon, b"GET /health HTTP/1.0\r\n\r\n"));
    assert!(said.starts_with("HTTP/1.1 503 "), "{said:?}");
    daemon.limit("--nofile=1024:");
    assert_eq!(daemon.metric("flumen_http_evictions_total"), 0);
}

/// What clients send while the process stands still has come in time.
#[test]
fn time_in_which_the_process_did_not_run_is_not_the_clients() {
    let daemon = Daemon::start(1, 1, "[http]\nrequest_timeout = \"1s\"\n");
    let mut half = open(&daemon, b"GET /health HTTP/1.1\r\n");
    let mut none = open(&daemon, b"");
    wait_for("both", || (daemon.metric("flumen_http_connections") >= 2).then_some(()));
    daemon.signal("STOP");
    half.write_all(b"Host: h\r\n\r\n").unwrap();
    none.write_all(b"GET /health HTTP/1.0\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_secs(3));
    daemon.signal("CONT");
    for stream in [&mut half, &mut none] {
        let said = answer(stream);
        assert!(said.contains(" 200 OK"), "{said:?}");
    }
    assert_eq!(daemon.metric("flumen_http_timeouts_total"), 0);
}

/// A window of many groups that closes every second, so that the stream brings megabytes at once.
fn with_a_busy_stream() -> (Daemon, std::thread::JoinHandle<()>, std::sync::Arc<std::sync::atomic::AtomicBool>)
{
    use std::sync::atomic::{AtomicBool, Ordering};
    let config = "[time]\nwatermark_delay = \"0s\"\n[[window]]\nname = \"w\"\nkind = \"tumbling\"\nsize = \"1s\"\n\
                  group_by = [\"source\"]\n";
    let daemon = Daemon::start(1, 1, config);
    let mut socket = daemon.connect("/ws/ingest");
    let stop = std::sync::Arc::new(AtomicBool::new(false));
    let sender = std::thread::spawn({
        let stop = std::sync::Arc::clone(&stop);
        move || {
            while !stop.load(Ordering::Relaxed) {
                let now = common::now_s();
                let events: Vec<_> =
                    (0..1_000).map(|n| common::event(&format!("source-{n}"), now, 1.0)).collect();
                if socket.send(tungstenite::Message::text(format!("[{}]", events.join(",")))).is_err() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    });
    (daemon, sender, stop)
}

#[test]
fn a_reader_of_the_stream_that_pauses_goes_on_or_is_put_out_and_never_hangs() {
    let (daemon, sender, stop) = with_a_busy_stream();
    let ask = b"GET /stream/metrics HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut reader = open(&daemon, ask);
    let mut bytes = vec![0; 1 << 20];
    for _ in 0..3 {
        // Long enough that everything on the way to it is full.
        std::thread::sleep(Duration::from_secs(3));
        let until = std::time::Instant::now() + Duration::from_secs(4);
        let mut read = 0;
        while std::time::Instant::now() < until {
            match reader.read(&mut bytes) {
                // Put out: it comes back, as a browser does by itself.
                Ok(0) | Err(_) => reader = open(&daemon, ask),
                Ok(n) => read += n,
            }
        }
        assert!(read > 100_000, "{read} bytes after a pause");
    }
    // Something comes every second, or the end: anything but silence.
    reader.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert!(reader.read(&mut bytes).is_ok());
    drop(reader);
    wait_for("the reader to be forgotten", || (daemon.stats()["sse_subscribers"] == 0).then_some(()));
    wait_for("its connection, too", || (daemon.metric("flumen_http_connections") == 1).then_some(()));
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    sender.join().unwrap();
}

#[test]
fn who_says_no_more_may_still_listen() {
    let daemon = Daemon::start(1, 1, "");
    let mut reader = open(&daemon, b"GET /stream/metrics?events=stats HTTP/1.1\r\nHost: h\r\n\r\n");
    reader.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    let mut bytes = [0; 4096];
    while text.matches("event: stats").count() < 3 {
        let n = reader.read(&mut bytes).unwrap();
        assert!(n > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&bytes[..n]));
    }
    drop(reader);
    wait_for("its end to be noticed", || (daemon.stats()["sse_subscribers"] == 0).then_some(()));
    let mut wrong = open(&daemon, b"GET /stream/metrics?events=nono HTTP/1.1\r\nHost: h\r\n\r\n");
    wrong.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(answer(&mut wrong).starts_with("HTTP/1.1 400 "));
}

#[test]
fn headers_that_nobody_reads_may_have_any_text() {
    let daemon = Daemon::start(1, 1, "");
    let mut request = b"GET /health HTTP/1.1\r\nHost: h\r\nCookie: user=J".to_vec();
    request.extend_from_slice(b"\xc3\xbcrgen; other=J\xfcrgen\r\nX-Forwarded-For: ::1\r\n\r\n");
    assert!(answer(&mut open(&daemon, &request)).starts_with("HTTP/1.1 200 "));
}

#[test]
fn who_takes_nothing_of_an_answer_is_put_out_soon() {
    let daemon = with_long_answers();
    let mut mute = open(&daemon, b"GET /api/aggregates/w?limit=10000 HTTP/1.1\r\nHost: h\r\n\r\n");
    let start = std::time::Instant::now();
    wait_for("the eviction", || (daemon.metric("flumen_http_evictions_total") == 1).then_some(()));
    assert!(start.elapsed() < Duration::from_secs(40), "long before the whole answer's deadline");
    assert!(mute.read_to_end(&mut Vec::new()).is_err() || start.elapsed() > Duration::from_secs(1));
}

/// An answer of more than may wait for all clients together goes to who reads it, however slowly it begins.
#[test]
fn a_large_answer_is_given_whole_to_who_goes_on_reading() {
    const WINDOWS: usize = 120;
    let config = "[time]\nwatermark_delay = \"0s\"\n[publish]\nhistory_bytes = \"256MiB\"\n\
                  [[window]]\nname = \"w\"\nkind = \"tumbling\"\nsize = \"1s\"\n";
    let daemon = Daemon::start(1, 1, config);
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    let begin_s = common::now_s().floor() - 1_000.0;
    let long = "x".repeat(200);
    for second in 0..=WINDOWS {
        for first in (0..4_096).step_by(256) {
            let fields: Vec<_> = (first..first + 256).map(|n| format!("\"{n:04}-{long}\":1")).collect();
            let (time, data) = (begin_s + second as f64, fields.join(","));
            let event = format!(r#"{{"source":"s","type":"t","timestamp":{time},"data":{{{data}}}}}"#);
            socket.send(tungstenite::Message::text(event)).unwrap();
        }
    }
    common::read_ack(&mut socket, 16 * (WINDOWS as u64 + 1));
    // Results that nobody hears of are put in words once a second.
    let newest_s = begin_s + (WINDOWS - 1) as f64;
    let newest = || daemon.get("/api/aggregates/w?limit=1").1;
    wait_for("all results", || newest().contains(&format!("\"window_start\":{newest_s:.1}")).then_some(()));
    let mut reader = open(&daemon, b"GET /api/aggregates/w?limit=1000 HTTP/1.0\r\n\r\n");
    let (mut answer, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
    for _ in 0..60 {
        let n = reader.read(&mut piece).unwrap();
        answer.extend_from_slice(&piece[..n]);
        std::thread::sleep(Duration::from_millis(50));
    }
    reader.read_to_end(&mut answer).unwrap();
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_slice(&answer[head + 4..]).expect("the whole answer");
    assert!(answer.len() > 80 << 20, "{} bytes", answer.len());
    assert_eq!(body.as_array().unwrap().len(), WINDOWS);
    assert_eq!(daemon.metric("flumen_http_evictions_total"), 0);
}
