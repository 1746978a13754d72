//! Limits on who may come in, and on how they ask: origins, names, handshakes, connections of an address.
//! Who hits one is told so, it is counted, and everybody else goes on.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::{Daemon, LAYOUTS, PATIENCE, event, now_s, polite, read_ack, read_close, upgrade, wait_for};
use tungstenite::Message;

/// Sends bytes to the ingest port; the status and the body of the answer.
fn ask(daemon: &Daemon, bytes: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(daemon.ingest).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // Up to the end of the head; behind a refusal the daemon ends the stream.
    while !answer.windows(4).any(|four| four == b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&answer));
        answer.push(byte[0]);
    }
    let head = String::from_utf8(answer).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut body = String::new();
    if status != 101 {
        stream.read_to_string(&mut body).unwrap();
    }
    (status, body)
}

/// What this machine calls itself.
fn machine() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned()
}

fn refused(daemon: &Daemon, reason: &str) -> u64 {
    daemon.metric(&format!("flumen_handshakes_refused_total{{reason=\"{reason}\"}}"))
}

#[test]
fn pages_of_other_origins_may_not_send() {
    let from = |origin: &str| upgrade("/ws/ingest", &format!("Origin: {origin}\r\n"));
    for (lanes, windows) in LAYOUTS {
        let daemon = Daemon::start(lanes, windows, "");
        let (status, body) = ask(&daemon, &from("https://evil.example"));
        assert!(status == 403 && body.contains("foreign_origin"), "{status} {body}");
        assert!(body.contains("ingest.allowed_origins"), "the remedy: {body}");
        assert_eq!(ask(&daemon, &from("http://localhost:8001")).0, 101);
        assert_eq!(refused(&daemon, "foreign_origin"), 1);
        polite(&daemon);
    }
    // Of the host they talk to, but for a name that anybody may have made point here.
    let daemon = Daemon::start(1, 1, "[http]\nallowed_hosts = [\"flumen.example\"]\n");
    for (host, status) in
        [("evil.example:8000", 403), ("flumen.example:8000", 101), ("10.1.2.3", 101), (&machine(), 101)]
    {
        let of_its_own = from(&format!("http://{host}")).replace("Host: localhost", &format!("Host: {host}"));
        assert_eq!(ask(&daemon, &of_its_own).0, status, "{host}");
    }
    assert_eq!(refused(&daemon, "foreign_origin"), 1);
    let daemon = Daemon::start(1, 1, "[ingest]\nallowed_origins = [\"https://app.example\"]\n");
    assert_eq!(ask(&daemon, &from("https://app.example")).0, 101);
    for other in ["http://localhost:8001", "https://app.example:8443"] {
        assert_eq!(ask(&daemon, &from(other)).0, 403, "{other}");
    }
    assert_eq!(refused(&daemon, "foreign_origin"), 2);
    polite(&daemon);
}

#[test]
fn refused_handshakes_are_counted_by_reason() {
    let daemon = Daemon::start(2, 1, "[ingest]\nhandshake_timeout = \"2s\"\n");
    let long = format!("A: {}\r\n", "x".repeat(20_000));
    let many = "A: b\r\n".repeat(125);
    let whole = upgrade("/ws/ingest", "");
    for (request, status, reason) in [
        (upgrade("/elsewhere", ""), 404, "not_found"),
        (whole.replace("Upgrade: websocket\r\n", ""), 426, "upgrade_required"),
        (whole.replace("Version: 13", "Version: 8"), 426, "unsupported_version"),
        (whole.replace("dGhl", ""), 400, "bad_websocket_key"),
        (whole.replace("HTTP/1.1", "HTTQ"), 400, "bad_request"),
        (whole.replace("Host: localhost\r\n", ""), 400, "bad_host"),
        (upgrade("/ws/ingest", "Sec-WebSocket-Version: 8\r\n"), 400, "repeated_header"),
        (upgrade("/ws/ingest", "Content-Length: 3\r\n"), 400, "unexpected_body"),
        (upgrade("/ws/ingest", &long), 431, "request_too_large"),
        (upgrade("/ws/ingest", &many), 431, "too_many_headers"),
        (upgrade("/", ""), 307, "dashboard_elsewhere"),
    ] {
        let before = refused(&daemon, reason);
        let (got, body) = ask(&daemon, &request);
        assert!(got == status && body.contains(reason), "{got} {body}");
        assert_eq!(refused(&daemon, reason), before + 1, "{reason}");
        polite(&daemon);
    }
    let mut half = TcpStream::connect(daemon.ingest).unwrap();
    half.set_read_timeout(Some(PATIENCE)).unwrap();
    half.write_all(&whole.as_bytes()[..40]).unwrap();
    let mut mute = TcpStream::connect(daemon.ingest).unwrap();
    mute.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut said = String::new();
    half.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("HTTP/1.1 408 ") && said.contains("Connection: close\r\n"), "{said}");
    assert!(said.ends_with("}}") && said.contains(r#""code":"timeout""#), "{said}");
    assert_eq!(mute.read(&mut [0]).unwrap(), 0, "put out without a word");
    wait_for("the time-outs to be counted", || (refused(&daemon, "timeout") == 2).then_some(()));
    daemon.wait_said("requests to open a WebSocket were refused");
    polite(&daemon);
}

#[test]
fn an_upgrade_request_has_a_size_and_may_have_all_of_it() {
    for (lanes, windows) in LAYOUTS {
        let daemon = Daemon::start(lanes, windows, "[ingest]\nhandshake_size = \"2KiB\"\n");
        let without = upgrade("/ws/ingest", "A: \r\n").len();
        let of = |size: usize| upgrade("/ws/ingest", &format!("A: {}\r\n", "x".repeat(size - without)));
        assert_eq!(ask(&daemon, &of(2_048)).0, 101);
        let (status, body) = ask(&daemon, &of(2_049));
        assert!(status == 431 && body.contains("2048 bytes of ingest.handshake_size"), "{status} {body}");
        // It is told before it has sent all of what would be too long.
        assert_eq!(ask(&daemon, &of(10_000)[..3_000]).0, 431);
        assert_eq!(refused(&daemon, "request_too_large"), 2);
        polite(&daemon);
    }
}

#[test]
fn who_calls_the_daemon_by_a_foreign_name_changes_nothing() {
    let rules = r#"{"filters":[{"field":"value","min":1}]}"#;
    let post = |daemon: &Daemon, host: &str| {
        let mut stream = TcpStream::connect(daemon.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // As a page does whose name its owner has made point here.
        let (length, origin) = (rules.len(), format!("Origin: http://{host}\r\n"));
        write!(
            stream,
            "POST /api/rules HTTP/1.1\r\nHost: {host}\r\n{origin}Content-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{rules}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let daemon = Daemon::start(1, 1, "[http]\nallowed_hosts = [\"flumen.example\"]\n");
    let answer = post(&daemon, "rebound.example:8001");
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("foreign_host"), "{answer}");
    assert!(answer.contains("http.allowed_hosts"), "the remedy: {answer}");
    assert_eq!(daemon.json("/api/rules")["filters"], serde_json::json!([]), "nothing has changed");
    let refused =
        |reason| daemon.metric(&format!("flumen_http_changes_refused_total{{reason=\"{reason}\"}}"));
    assert_eq!((refused("foreign_host"), refused("foreign_origin")), (1, 0));
    daemon.wait_said("1 HTTP request was refused in the last 1 s (foreign_host 1)");
    for host in [&*daemon.http.to_string(), "localhost:1", "[::1]:8001", "flumen.example", &machine()] {
        let answer = post(&daemon, host);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
    }
    let foreign = "Content-Type: application/json\r\nOrigin: http://evil.example\r\n";
    assert_eq!(daemon.request("PUT", "/api/rules", foreign, rules).0, 403);
    assert_eq!(daemon.request("PUT", "/api/rules", "", rules).0, 415);
    assert_eq!(["foreign_host", "foreign_origin", "unsupported_media_type"].map(refused), [1; 3]);
}

#[test]
fn an_address_gets_so_many_connections_and_others_theirs() {
    let config = "[ingest]\nconnections_per_address = 4\ntrusted_addresses = [\"127.0.0.7\"]\n";
    // From another address of this machine.
    let connect_from = |daemon: &Daemon, from: &str| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&format!("{from}:0").parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
        socket.connect(&daemon.ingest.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        tungstenite::client(format!("ws://{}/ws/ingest?ack=1", daemon.ingest), stream).unwrap().0
    };
    for (lanes, windows) in LAYOUTS {
        let daemon = Daemon::start(lanes, windows, config);
        let mut held: Vec<_> = (0..4).map(|_| connect_from(&daemon, "127.0.0.5")).collect();
        for told in 1..=3 {
            assert_eq!(read_close(&mut connect_from(&daemon, "127.0.0.5")), Some(1008));
            assert_eq!(daemon.metric("flumen_connections_refused_by_address_total"), told);
        }
        // Those that are in go on; others and trusted ones come in.
        let trusted: Vec<_> = (0..6).map(|_| connect_from(&daemon, "127.0.0.7")).collect();
        for socket in held.iter_mut().chain(&mut [connect_from(&daemon, "127.0.0.6")]) {
            socket.send(Message::text(event("a", now_s(), 1.0))).unwrap();
            assert_eq!(read_ack(socket, 1).1["accepted"], 1);
        }
        assert_eq!(daemon.metric("flumen_connections_refused_total"), 0, "the other limit");
        // Far more than are told anything: dropped at once, and counted as well.
        let flood: Vec<_> = (0..50)
            .map(|_| {
                let stream = TcpStream::connect(daemon.ingest).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream
            })
            .collect();
        // 127.0.0.1 has 4, and 8 that are to be told; the others are gone.
        wait_for("the flood to be dropped", || {
            (daemon.metric("flumen_connections_refused_by_address_total") >= 3 + 38).then_some(())
        });
        drop((flood, trusted, held));
        wait_for("room again", || {
            (read_close_or_ack(&mut connect_from(&daemon, "127.0.0.5")) == Ok(1)).then_some(())
        });
        daemon.wait_said("because their address had too many");
    }
    // By default this machine has as many as it likes.
    let daemon = Daemon::start(1, 1, "[ingest]\nconnections_per_address = 1\n");
    let _held: Vec<_> = (0..3).map(|_| daemon.connect("/ws/ingest")).collect();
    polite(&daemon);
}

/// Sends an event: how many were accepted, or the code of the close that came instead.
fn read_close_or_ack(socket: &mut tungstenite::WebSocket<TcpStream>) -> Result<u64, Option<u16>> {
    socket.send(Message::text(event("again", now_s(), 1.0))).ok();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) if text.contains("\"ack\"") => return Ok(1),
            Ok(Message::Close(frame)) => return Err(frame.map(|frame| frame.code.into())),
            Ok(_) => {}
            Err(_) => return Err(None),
        }
    }
}
