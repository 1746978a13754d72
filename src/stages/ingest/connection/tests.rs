use std::io::Read;

use super::*;

fn connection() -> (Connection, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    server.set_nonblocking(true).unwrap();
    let id = ConnId { slot: 0, generation: 0 };
    (Connection::new(id, TcpStream::from_std(server), 0), client)
}

fn due(chunk: u64, frames: u64) -> Due {
    Due { chunk, frames, accepted: frames, rejected: 0 }
}

/// All that the client gets until the stream ends, while `c` still holds its socket.
fn until_the_end(client: &mut std::net::TcpStream) -> Vec<u8> {
    client.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    let mut all = Vec::new();
    client.read_to_end(&mut all).unwrap();
    all
}

#[test]
fn the_close_waits_for_acks_and_ends_the_stream() {
    let (mut c, mut client) = connection();
    c.state = State::Open;
    c.promise(due(1, 10));
    assert!(c.finish(1002, "first", 0) && !c.finish(1000, "second", 0));
    assert!(!c.advance(0, 0).unwrap(), "the ack is not due");
    assert!(matches!(c.state, State::Finishing { code: 1002, reason: "first", .. }));
    assert!(c.advance(1, 5).unwrap());
    assert_eq!(c.state, State::Lingering { deadline_ns: 5 + LINGER_NS });
    let said = until_the_end(&mut client);
    assert!(said.ends_with(b"\x88\x07\x03\xeafirst"), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn promises_are_bounded_and_kept() {
    let (mut c, mut client) = connection();
    c.state = State::Open;
    for n in 1..=10 * MOST_DUE as u64 {
        c.promise(due(n, n));
    }
    assert_eq!(c.acks.len(), MOST_DUE);
    // Those in front are due as ever; the last one waits for all that it covers.
    c.advance(MOST_DUE as u64 - 1, 0).unwrap();
    assert_eq!(c.acks, [due(10 * MOST_DUE as u64, 10 * MOST_DUE as u64)]);
    c.advance(10 * MOST_DUE as u64, 0).unwrap();
    c.finish(1000, "", 0);
    c.advance(u64::MAX, 0).unwrap();
    let said = until_the_end(&mut client);
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("\"seq\":4095,") && said.contains("\"seq\":40960,"), "{said}");
}

#[test]
fn replies_that_do_not_fit_at_first_follow() {
    let (mut c, mut client) = connection();
    c.state = State::Open;
    for n in 0..300_u32 {
        c.pong(&[0xff; 121].into_iter().chain(n.to_le_bytes()).collect::<Vec<u8>>());
    }
    c.promise(due(1, 7));
    assert!(c.backlog() > ACK_ROOM && c.pinged.is_some());
    // The socket takes it all: no event will come.
    c.advance(1, 0).unwrap();
    assert!(c.backlog() == 0 && !c.owes() && c.pinged.is_none());
    c.finish(1000, "", 0);
    c.advance(1, 0).unwrap();
    let said = until_the_end(&mut client);
    let has = |what: &[u8]| said.windows(what.len()).any(|part| part == what);
    assert!(has(br#""seq":7"#) && has(&[0xff, 0xff, 0, 0, 0, 0]), "ack and first pong");
    assert!(has(&[&[0xff][..], &299_u32.to_le_bytes()].concat()), "the newest pong");
}

/// However much waits for a client that has not read: at the end it is told how far it came.
#[test]
fn the_last_ack_needs_no_room() {
    let (mut c, mut client) = connection();
    c.state = State::Open;
    c.writable = false;
    while c.backlog() < ACK_ROOM {
        c.pong(&[0xff; 125]);
    }
    c.promise(due(1, 7));
    c.promise(due(2, 8));
    c.promise(due(3, 9));
    c.part(2, 1001, "");
    c.state = State::Lingering { deadline_ns: 0 };
    c.writable = true;
    c.flush().unwrap();
    let said = until_the_end(&mut client);
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("\"seq\":8,") && !said.contains("\"seq\":7,"), "{said}");
    assert!(said.find("\"seq\":8,") < said.rfind("\u{3}"), "behind it the close");
}

#[test]
fn the_close_is_the_last_word() {
    let (mut c, mut client) = connection();
    c.state = State::Open;
    c.finish(1000, "", 0);
    c.advance(0, 0).unwrap();
    c.notice("too late");
    c.pong(b"too late");
    c.promise(due(1, 1));
    c.advance(1, 0).unwrap();
    assert_eq!(until_the_end(&mut client), b"\x88\x02\x03\xe8");
}

#[test]
fn a_refusal_ends_the_stream() {
    for (instead, request, answer) in [
        (None, "GET / HTTP/1.1\r\n\r\n", Greeting::Refused(Refusal::NotFound)),
        (Some((1013, "full")), UPGRADE, Greeting::TurnedAway),
    ] {
        let (mut c, mut client) = connection();
        let (half, rest) = request.as_bytes().split_at(10);
        assert_eq!(c.greet(half, &Policy::default(), instead, 7), Greeting::Unfinished);
        assert_eq!(c.greet(rest, &Policy::default(), instead, 7), answer);
        assert_eq!(c.state, State::Lingering { deadline_ns: 7 + LINGER_NS });
        c.flush().unwrap();
        assert!(until_the_end(&mut client).starts_with(b"HTTP/1.1 "));
    }
}

const UPGRADE: &str = "GET /ws/ingest HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[test]
fn an_open_connection_stays_open() {
    let (mut c, mut client) = connection();
    let sent = [UPGRADE.as_bytes(), b"frames"].concat();
    let greeting = c.greet(&sent, &Policy::default(), None, 0);
    assert_eq!(greeting, Greeting::Welcome { ack: false, rest: b"frames".to_vec() });
    c.flush().unwrap();
    c.pong(b"later");
    c.flush().unwrap();
    drop(c);
    let said = until_the_end(&mut client);
    assert!(said.starts_with(b"HTTP/1.1 101 ") && said.ends_with(b"\x8a\x05later"));
}

#[test]
fn acks_wait_for_their_chunk_and_coalesce() {
    let (mut c, _client) = connection();
    c.promise(due(1, 10));
    c.promise(due(2, 20));
    c.promise(due(2, 25));
    c.promise(due(9, 99));
    c.ripen(0);
    assert_eq!(c.backlog(), 0);
    c.ripen(2);
    let text = String::from_utf8_lossy(&c.out).into_owned();
    assert!(text.contains(r#""seq":25"#) && !text.contains(r#""seq":10"#), "{text}");
    assert!(c.owes() && c.awaits_applied());
}

#[test]
fn a_client_that_does_not_read_costs_a_bounded_buffer() {
    let (mut c, _client) = connection();
    c.writable = false;
    for n in 0..100_000 {
        c.notice("x".repeat(100).as_str());
        c.pong(&[7; 100]);
        c.promise(due(n, n));
        c.ripen(n);
    }
    assert!(c.backlog() < PONG_ROOM + 1_024, "{}", c.backlog());
    assert_eq!(c.ripe, Some(due(99_999, 99_999)), "the newest ack is kept");
}
