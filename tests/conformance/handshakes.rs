//! The way in: upgrade requests by the byte, by half and by the megabyte, and connections that come and go.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

use crate::common::{Daemon, PATIENCE, upgrade, wait_for};
use crate::servers::{CLOSE, PING, Polite, Record, Server, TEXT, frame};

fn request(more: &str) -> Vec<u8> {
    upgrade("/ws/ingest?ack=1", more).into_bytes()
}

fn raw(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The head of the answer, byte by byte: what follows are frames.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn wait_alone(server: &Server) {
    if let Server::Daemon(daemon) = server {
        wait_for("the others to be gone", || (daemon.stats()["connections"] == 1).then_some(()));
    }
}

#[test]
fn frames_may_come_behind_the_request_and_everything_byte_by_byte() {
    let record = Record::begin("pipelined_and_bytewise");
    let mut cases = 0;
    for server in Server::both() {
        // As many as make several reads of the server's.
        for (messages, piece) in [(1, usize::MAX), (1, 1), (3, 7), (2_000, usize::MAX), (2_000, 16_001)] {
            let message = server.message();
            let mut stream = raw(&server);
            let frames = frame(TEXT, message.as_bytes()).repeat(messages);
            let mut writer = stream.try_clone().unwrap();
            let sent = [request(""), frames, frame(PING, b"the end")].concat();
            // Answers are read meanwhile: the echo stops reading otherwise.
            let thread = std::thread::spawn(move || {
                sent.chunks(piece).for_each(|part| writer.write_all(part).unwrap());
            });
            let head = head(&mut stream);
            assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
            let mut socket = WebSocket::from_raw_socket(stream, Role::Client, None);
            match &server {
                Server::Daemon(_) => {
                    let (errors, ack) = crate::common::read_ack(&mut socket, messages as u64);
                    assert!(errors.is_empty(), "{errors:?}");
                    assert_eq!(ack["accepted"], messages);
                }
                Server::Echo(_) => {
                    for n in 0..messages {
                        assert_eq!(socket.read().unwrap(), Message::text(message.clone()), "message {n}");
                    }
                    // The daemon's may have come before its ack.
                    assert_eq!(socket.read().unwrap(), Message::Pong(b"the end".to_vec().into()));
                }
            }
            thread.join().unwrap();
            cases += 1;
        }
    }
    record.passed(cases);
}

#[test]
fn header_floods_are_refused() {
    let record = Record::begin("header_floods");
    let mut cases = 0;
    for server in Server::both() {
        let mut neighbour = server.polite();
        let endless = format!("A: {}\r\n", "x".repeat(1 << 20));
        let many = "A: b\r\n".repeat(125);
        let lines = format!("A: {}\r\n", "x".repeat(100)).repeat(10_000);
        for flood in [&endless, &many, &lines] {
            let mut stream = raw(&server);
            let mut writer = stream.try_clone().unwrap();
            let sent = request(flood);
            // Refused long before it has all been sent: the rest is read and thrown away for a while,
            // so that the answer arrives.
            let thread = std::thread::spawn(move || writer.write_all(&sent).ok());
            let head = head(&mut stream);
            assert!(head.starts_with("HTTP/1.1 431 "), "{head}");
            let mut body = String::new();
            stream.read_to_string(&mut body).unwrap();
            assert!(body.starts_with(r#"{"error":{"code":""#), "{body}");
            drop(stream);
            thread.join().unwrap();
            neighbour.talk();
            cases += 1;
        }
        wait_alone(&server);
    }
    record.passed(cases);
}

#[test]
fn half_handshakes_are_dropped_after_a_while() {
    let record = Record::begin("half_handshakes");
    // Enough for a polite one on a slow machine.
    let config = "[ingest]\nhandshake_timeout = \"2s\"\n";
    let server = Server::Daemon(Daemon::start(2, 1, config));
    let whole = request("");
    let mut neighbour = server.polite();
    // Those that took so long to write that the daemon may have lost patience before the first byte had come.
    let mut late = Vec::new();
    let halves: Vec<TcpStream> = (0..whole.len())
        .map(|len| {
            let start = Instant::now();
            let mut stream = raw(&server);
            if stream.write_all(&whole[..len]).is_err() || start.elapsed() > Duration::from_secs(1) {
                late.push(len);
            }
            stream
        })
        .collect();
    neighbour.talk();
    for (len, mut half) in halves.into_iter().enumerate() {
        let mut said = Vec::new();
        let ended = half.read_to_end(&mut said);
        let said = String::from_utf8(said).unwrap();
        match ended {
            // Who has said nothing is told nothing; so may one be whose first bytes came after its time.
            Ok(0) => assert!(len == 0 || late.contains(&len), "{len} bytes, and no answer"),
            Ok(_) => {
                assert!(said.starts_with("HTTP/1.1 408 ") && said.ends_with("}}"), "{len} bytes: {said}");
            }
            // A byte came after the end.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                assert!(late.contains(&len), "{len} bytes")
            }
            Err(error) => panic!("{len} bytes: {error}"),
        }
    }
    wait_alone(&server);
    // Those who have finished theirs may stay.
    neighbour.talk();
    record.passed(whole.len() as u64);
}

#[test]
fn thousands_of_connections_come_and_go() {
    let record = Record::begin("connection_churn");
    let server = Server::Daemon(Daemon::start(2, 2, ""));
    let mut neighbour = server.polite();
    neighbour.talk();
    let descriptors = || match &server {
        Server::Daemon(daemon) => daemon.descriptors(),
        Server::Echo(_) => unreachable!("the daemon is asked"),
    };
    let before = descriptors();
    let mut talked = 0;
    for n in 0..3_000 {
        let mut client = match n % 6 {
            // Without a word, in the middle of one, and by a reset.
            0 => {
                drop(raw(&server));
                continue;
            }
            1 => {
                raw(&server).write_all(b"GET /ws/in").unwrap();
                continue;
            }
            2 => {
                SockRef::from(&raw(&server)).set_linger(Some(Duration::ZERO)).unwrap();
                continue;
            }
            _ => server.polite(),
        };
        talked += leave(&mut client, n % 6);
        if n % 100 == 3 {
            neighbour.talk();
        }
    }
    wait_alone(&server);
    neighbour.talk();
    if let Server::Daemon(daemon) = &server {
        daemon.wait_received(talked + neighbour.sent);
    }
    wait_for("all descriptors to be back", || (descriptors() <= before).then_some(()));
    record.passed(3_000);
}

/// Three ways to leave after the handshake; how many events were acknowledged.
fn leave(client: &mut Polite<'_>, how: u64) -> u64 {
    match how {
        3 => client.talk(),
        4 => client.socket.get_mut().write_all(&frame(CLOSE, b"")).unwrap(),
        _ => SockRef::from(client.socket.get_ref()).set_linger(Some(Duration::ZERO)).unwrap(),
    }
    client.sent
}
