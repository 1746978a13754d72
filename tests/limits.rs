//! Every limit of the configuration, hit over real sockets: who hits it is told so, it is counted, and
//! everybody else goes on.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use common::{Daemon, LAYOUTS, PATIENCE, event, now_s, read_ack, read_close, upgrade, wait_for};
use tungstenite::Message;

/// The beginning of a masked text frame: its header, and of its payload the event and so many spaces.
fn begun(event: &str, len: usize, spaces: usize) -> Vec<u8> {
    let mut bytes = vec![0x81, 0xff];
    bytes.extend_from_slice(&(len as u64).to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(event.as_bytes());
    bytes.resize(bytes.len() + spaces, b' ');
    bytes
}

#[test]
fn unfinished_messages_are_bounded_together() {
    let daemon = Daemon::start(1, 1, "[limits]\nunfinished_size = \"4MiB\"\n");
    let closed = || daemon.metric("flumen_unfinished_messages_closed_total");
    let (len, sent) = (1 << 20, 900_000);
    let mut clients: Vec<_> = (0..12).map(|_| daemon.connect("/ws/ingest?ack=1")).collect();
    let event = event("slow", now_s(), 1.0);
    for (n, client) in clients.iter_mut().enumerate() {
        client.get_mut().write_all(&begun(&event, len, sent)).unwrap();
        // Each takes a little less than 1 MiB: there is room for four.
        let bytes = (n + 1) as u64 * sent as u64;
        wait_for("it to be read", || {
            (daemon.stats()["processor"]["bytes_processed"].as_u64() >= Some(bytes)).then_some(())
        });
    }
    wait_for("those over the limit to be closed", || (closed() == 8).then_some(()));
    // Beside them a whole message of that size is no matter, as it does not last.
    let mut quick = daemon.connect("/ws/ingest?ack=1");
    quick.send(Message::text(event.clone() + &" ".repeat(sent))).unwrap();
    assert_eq!(read_ack(&mut quick, 1).1["accepted"], 1);
    // Those whose messages were oldest have gone; those that are left end theirs.
    daemon.wait_said("long in coming in the last 1 s");
    let gone = closed() as usize;
    assert!((8..12).contains(&gone), "{gone}");
    let codes: Vec<_> = clients.drain(..gone).map(|mut client| read_close(&mut client)).collect();
    assert!(codes.iter().all(|code| *code == Some(1013)), "{codes:?}");
    for mut client in clients {
        client.get_mut().write_all(&vec![b' '; len - sent - event.len()]).unwrap();
        assert_eq!(read_ack(&mut client, 1).1["accepted"], 1);
    }
}

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

/// A client that keeps to the rules has its event counted, whatever others do.
fn polite(daemon: &Daemon) {
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    socket.send(Message::text(event("polite", now_s(), 1.0))).unwrap();
    assert_eq!(read_ack(&mut socket, 1).1["accepted"], 1);
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

#[test]
fn who_neither_sends_nor_answers_a_ping_is_put_out() {
    for (lanes, windows) in LAYOUTS {
        // Long enough for an answer on a slow machine.
        let daemon = Daemon::start(lanes, windows, "[ingest]\nping_interval = \"2s\"\n");
        let mut mute: Vec<_> = (0..3).map(|_| daemon.connect("/ws/ingest?ack=1")).collect();
        for socket in &mut mute {
            socket.send(Message::text(event("mute", now_s(), 1.0))).unwrap();
            read_ack(socket, 1);
        }
        let mut answering = daemon.connect("/ws/ingest?ack=1");
        let reader = std::thread::spawn(move || {
            // Reading answers pings. Until the mute ones are out.
            let mut pings = 0;
            while pings < 2 {
                match answering.read().unwrap() {
                    Message::Ping(_) => pings += 1,
                    other => panic!("{other:?}"),
                }
                answering.flush().unwrap();
            }
            answering
        });
        for socket in &mut mute {
            let mut bytes = Vec::new();
            // Beside the library, which would answer.
            socket.get_mut().read_to_end(&mut bytes).unwrap();
            assert!(bytes.starts_with(b"\x89\x00\x88"), "a ping, then a close: {bytes:?}");
            assert_eq!(bytes[4..6], 1001u16.to_be_bytes(), "{bytes:?}");
        }
        assert_eq!(daemon.metric("flumen_connections_silent_closed_total"), 3);
        let mut answering = reader.join().unwrap();
        answering.send(Message::text(event("answers", now_s(), 1.0))).unwrap();
        assert_eq!(read_ack(&mut answering, 1).1["accepted"], 1, "still there");
        assert_eq!(daemon.metric("flumen_connections_silent_closed_total"), 3);
        daemon.wait_said("because nothing came and no answer to a ping");
    }
}

#[test]
fn new_sources_and_groups_come_at_a_pace() {
    let windows_of = "[[window]]\nname = \"all\"\nkind = \"tumbling\"\nsize = \"1h\"\n\
                      [[window]]\nname = \"by-k\"\nkind = \"tumbling\"\nsize = \"1h\"\ngroup_by = [\"k\"]\n";
    for (lanes, windows) in LAYOUTS {
        let config = format!("[limits]\nnew_keys_per_second = 10\n{windows_of}");
        let daemon = Daemon::start(lanes, windows, &config);
        let mut socket = daemon.connect("/ws/ingest?ack=1");
        let batch = |source: &str| {
            let events: Vec<_> = (0..60).map(|n| event(&format!("{source}-{n}"), now_s(), 1.0)).collect();
            Message::text(format!("[{}]", events.join(",")))
        };
        socket.send(batch("a")).unwrap();
        let (errors, ack) = read_ack(&mut socket, 1);
        let accepted = ack["accepted"].as_u64().unwrap();
        // Ten at once, and perhaps some while a slow machine reads the others.
        assert!((10..40).contains(&accepted), "{ack}");
        assert_eq!(errors[0]["code"], "too_many_keys");
        let message = errors[0]["message"].as_str().unwrap();
        assert!(message.contains("limits.new_keys_per_second"), "{message}");
        let rejected = &daemon.stats()["events"]["rejected_by_reason"]["too_many_keys"];
        assert_eq!(*rejected, 60 - accepted);
        assert_eq!(daemon.metric("flumen_events_rejected_total{reason=\"too_many_keys\"}"), 60 - accepted);
        // Who is known goes on, and after a while a new one is.
        let (mut seq, mut before) = (1, accepted);
        let mut send = |text: String| {
            socket.send(Message::text(text)).unwrap();
            seq += 1;
            let all = read_ack(&mut socket, seq).1["accepted"].as_u64().unwrap();
            all - std::mem::replace(&mut before, all)
        };
        assert_eq!(send(event("a-0", now_s(), 1.0)), 1);
        wait_for("a new source to be taken", || (send(event("later", now_s(), 1.0)) == 1).then_some(()));
        // Groups likewise: the event is in the other window.
        let now = now_s();
        let grouped =
            |n: u32| format!(r#"{{"source":"a-0","type":"t","timestamp":{now:.3},"data":{{"k":"{n}"}}}}"#);
        let events: Vec<_> = (0..60).map(grouped).collect();
        assert_eq!(send(format!("[{}]", events.join(","))), 60);
        let lacking = daemon.metric("flumen_window_no_room_events_total{window=\"by-k\"}");
        assert!((20..=50).contains(&lacking), "{lacking}");
        assert_eq!(daemon.metric("flumen_window_no_room_events_total{window=\"all\"}"), 0);
    }
}

#[test]
fn a_message_too_long_is_refused_at_the_header_that_says_so() {
    for (lanes, windows) in LAYOUTS {
        let daemon = Daemon::start(lanes, windows, "[limits]\nmessage_size = \"1KiB\"\n");
        // Headers alone: one frame of 2^40 bytes, one of a byte too many, and the last of three fragments.
        let frame = |first: u8, len: u16| {
            let mut frame = vec![first, 0x80 | 126];
            frame.extend_from_slice(&len.to_be_bytes());
            frame.extend_from_slice(&[0; 4]);
            frame
        };
        let whole = |first: u8| [frame(first, 500), vec![b' '; 500]].concat();
        let huge = [&[0x82, 0x80 | 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0][..]].concat();
        let fragments = [whole(0x02), whole(0x00), frame(0x80, 500)].concat();
        for (n, bytes) in [huge, frame(0x82, 1_025), fragments].into_iter().enumerate() {
            let mut socket = daemon.connect("/ws/ingest?ack=1");
            socket.send(Message::text(event("a", now_s(), 1.0))).unwrap();
            read_ack(&mut socket, 1);
            socket.get_mut().write_all(&bytes).unwrap();
            assert_eq!(read_close(&mut socket), Some(1009));
            assert_eq!(daemon.metric("flumen_protocol_violations_total{code=\"1009\"}"), n as u64 + 1);
            polite(&daemon);
        }
        daemon.wait_said("connections were closed for what they sent");
    }
}

#[test]
fn a_frame_too_long_is_refused_though_its_message_is_not() {
    for (lanes, windows) in LAYOUTS {
        let daemon = Daemon::start(lanes, windows, "[limits]\nframe_size = \"200B\"\n");
        let mut socket = daemon.connect("/ws/ingest?ack=1");
        // A message of several frames, each as long as may be.
        let event = format!("{}{}", event("a", now_s(), 1.0), " ".repeat(500));
        let parts: Vec<_> = event.as_bytes().chunks(200).collect();
        for (n, part) in parts.iter().enumerate() {
            let first = u8::from(n == 0) | u8::from(n + 1 == parts.len()) << 7;
            let len = part.len() as u8;
            let head = if len < 126 { vec![first, 0x80 | len] } else { vec![first, 0x80 | 126, 0, len] };
            socket.get_mut().write_all(&[&head[..], &[0; 4], *part].concat()).unwrap();
        }
        read_ack(&mut socket, 1);
        socket.get_mut().write_all(&[0x82, 0x80 | 126, 0, 201, 0, 0, 0, 0]).unwrap();
        assert_eq!(read_close(&mut socket), Some(1009));
        assert_eq!(daemon.metric("flumen_protocol_violations_total{code=\"1009\"}"), 1);
        polite(&daemon);
        daemon.reload("[limits]\nframe_size = 0\n", "limits.frame_size");
        let mut socket = daemon.connect("/ws/ingest?ack=1");
        socket.send(Message::text(event)).unwrap();
        read_ack(&mut socket, 1);
    }
}

#[test]
fn names_are_rejected_and_strings_left_out_when_they_are_too_long() {
    let config = "[limits]\nname_size = 20\nstring_size = 3\n\
                  [[window]]\nname = \"with-k\"\nkind = \"tumbling\"\nsize = \"1h\"\nwhere = \"has(k)\"\n";
    for (lanes, windows) in LAYOUTS {
        let daemon = Daemon::start(lanes, windows, config);
        let mut socket = daemon.connect("/ws/ingest?ack=1");
        let mut seq = 0;
        let mut send = |source: &str, name: &str, k: &str| {
            let now = now_s();
            let data = format!(r#"{{"{name}":1,"k":"{k}"}}"#);
            let event = format!(r#"{{"source":"{source}","type":"t","timestamp":{now:.3},"data":{data}}}"#);
            socket.send(Message::text(event)).unwrap();
            seq += 1;
            read_ack(&mut socket, seq).0
        };
        let (fits, longer) = ("n".repeat(20), "n".repeat(21));
        assert_eq!(send(&fits, &fits, "abc"), [""; 0]);
        for (errors, named) in
            [(send(&longer, &fits, "abc"), "source"), (send(&fits, &longer, "abc"), "the name")]
        {
            assert_eq!((errors.len(), errors[0]["code"].as_str()), (1, Some("too_long")));
            let message = errors[0]["message"].as_str().unwrap();
            assert!(
                message.contains(named) && message.contains("has 21 bytes; limits.name_size"),
                "{message}"
            );
        }
        assert_eq!(daemon.stats()["events"]["rejected_by_reason"]["too_long"], 2);
        assert_eq!(daemon.metric("flumen_events_rejected_total{reason=\"too_long\"}"), 2);
        // The event is read, and has no `k`.
        assert_eq!(send("s", "v", "abcd"), [""; 0]);
        let events = daemon.wait_received(4)["events"].clone();
        assert_eq!((&events["applied"], &events["filtered"]), (&1.into(), &1.into()), "{events}");
        assert_eq!(daemon.metric("flumen_strings_left_out_total"), 1);
        // An `id` that fits, and one that is left out of its event.
        for (id, left_out) in [(&fits, 1), (&longer, 2)] {
            assert_eq!(send(&format!("s\",\"id\":\"{id}"), "v", "abc"), [""; 0]);
            assert_eq!(daemon.metric("flumen_strings_left_out_total"), left_out, "{id}");
        }
        assert_eq!(daemon.wait_received(6)["events"]["applied"], 3);
    }
}

/// A daemon that may have descriptors from `soft` to `hard`.
fn with_descriptors(soft: u32, hard: u32, (lanes, windows): (u32, u32), config: &str) -> Daemon {
    let mut command = Command::new("prlimit");
    command.args([&format!("--nofile={soft}:{hard}"), env!("CARGO_BIN_EXE_flumen")]);
    Daemon::start_as(command, config, |command| {
        command
            .args(["--ingest-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"])
            .env("FLUMEN_THREADS_INGEST", lanes.to_string())
            .env("FLUMEN_THREADS_WINDOW", windows.to_string());
    })
}

#[test]
fn few_descriptors_mean_fewer_connections_and_http_answers_all_the_same() {
    for layout in LAYOUTS {
        let daemon = with_descriptors(500, 500, layout, "");
        daemon.wait_said("500 descriptors are allowed, and all connections could take");
        let limit = daemon.metric("flumen_connections_limit");
        assert!((100..400).contains(&limit), "{limit}");
        let mut held: Vec<_> = (0..limit).map(|_| daemon.connect("/ws/ingest?ack=1")).collect();
        assert_eq!(read_close(&mut daemon.connect("/ws/ingest")), Some(1013));
        assert_eq!(daemon.metric("flumen_connections_refused_total"), 1);
        // Almost as many HTTP clients as are allowed (those that have asked until now may still be going),
        // and one who asks.
        let http = daemon.metric("flumen_http_connections_limit");
        assert!(http > 10, "{http}");
        let idle: Vec<_> = (4..http).map(|_| TcpStream::connect(daemon.http).unwrap()).collect();
        wait_for("an answer", || (daemon.get("/health").0 == 200).then_some(()));
        for socket in &mut held {
            socket.send(Message::text(event("a", now_s(), 1.0))).unwrap();
            assert_eq!(read_ack(socket, 1).1["accepted"], 1);
        }
        drop(idle);
        for failures in
            ["flumen_accept_errors_total", "flumen_http_accept_errors_total", "flumen_http_unavailable_total"]
        {
            assert_eq!(daemon.metric(failures), 0, "{failures}");
        }
    }
}

#[test]
fn a_low_soft_limit_on_descriptors_is_raised_as_far_as_needed() {
    let config = "[ingest]\nconnections = 900\n[http]\nconnections = 10\n";
    let daemon = with_descriptors(200, 2_000, (1, 1), config);
    assert_eq!(daemon.metric("process_max_fds"), 64 + 80 + 900 + 4 * 10);
    assert_eq!(daemon.metric("flumen_connections_limit"), 900);
    let check =
        Command::new("prlimit").args(["--nofile=500:500", env!("CARGO_BIN_EXE_flumen"), "check"]).output();
    let said = String::from_utf8(check.unwrap().stdout).unwrap();
    assert!(said.contains("note: 500 descriptors are allowed"), "{said}");
}
