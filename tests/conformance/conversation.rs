//! What a client may do: messages and control frames however they are cut, and the ways to the end.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use tungstenite::Message;

use crate::common::{self, read_close};
use crate::servers::{BINARY, CLOSE, Echo, LAST, MORE, PING, PONG, Record, Server, TEXT, close, frame};

#[test]
fn control_frames_inside_a_message_are_answered_at_once() {
    let record = Record::begin("interleaved_control_frames");
    let mut cases = 0;
    for server in Server::both() {
        for piece in [usize::MAX, 1] {
            let mut client = server.polite();
            let message = server.message();
            let (head, tail) = message.as_bytes().split_at(20);
            let parts = [
                frame(TEXT ^ MORE, head),
                frame(PING, b"first"),
                frame(LAST ^ MORE, b""),
                frame(PONG, b"nobody asked"),
                frame(PING, &[0xff; 125]),
            ];
            for part in parts.concat().chunks(piece) {
                client.socket.get_mut().write_all(part).unwrap();
            }
            // Before the message has ended.
            assert_eq!(client.socket.read().unwrap(), Message::Pong(b"first".to_vec().into()));
            assert_eq!(client.socket.read().unwrap(), Message::Pong(vec![0xff; 125].into()));
            client.socket.get_mut().write_all(&frame(LAST, tail)).unwrap();
            client.heard(&message);
            cases += 1;
        }
    }
    record.passed(cases);
}

#[test]
fn a_close_is_answered_and_what_comes_behind_it_is_not_heard() {
    let record = Record::begin("closes");
    let mut cases = 0;
    for server in Server::both() {
        let mut talked = 0;
        // 1014 is fine as well, but tungstenite's client does not know it.
        let codes = (1000..=1003).chain(1007..=1013).chain([3000, 3999, 4000, 4999]);
        let mut closes: Vec<(Vec<u8>, u16)> = codes.map(|code| (close(code, b"why"), code)).collect();
        closes.push((frame(CLOSE, b""), 1000));
        closes.push((close(1000, "é".repeat(61).as_bytes()), 1000));
        // Instead of the end of a message, and twice.
        closes.push(([frame(TEXT ^ MORE, b"{"), close(4000, b"")].concat(), 4000));
        closes.push(([close(4001, b""), close(4002, b"")].concat(), 4001));
        for (bytes, code) in closes {
            for piece in [usize::MAX, 1] {
                let mut client = server.polite();
                client.talk();
                talked += 1;
                let behind = [frame(TEXT, server.message().as_bytes()), frame(PING, b"still there?")];
                for part in [bytes.clone(), behind.concat()].concat().chunks(piece) {
                    client.socket.get_mut().write_all(part).unwrap();
                }
                assert_eq!(read_close(&mut client.socket), Some(code));
                // The server ends the stream as well; the client has not.
                let mut rest = Vec::new();
                client.socket.get_mut().read_to_end(&mut rest).unwrap();
                assert_eq!(rest, b"");
                cases += 1;
            }
        }
        if let Server::Daemon(daemon) = &server {
            daemon.wait_received(talked);
        }
    }
    record.passed(cases);
}

#[test]
fn text_comes_back_as_text_and_binary_as_binary() {
    let record = Record::begin("echo_round_trips");
    let mut cases = 0;
    let echo = Echo::start(8 << 20);
    let mut socket = common::connect(echo.address, "/ws/ingest");
    // No period that a read's size could hide.
    let noise: Vec<u8> = (0..8_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let text: String = (0..70_000_u32).filter_map(|n| char::from_u32(0x20 + n)).collect();
    for len in [0, 1, 125, 126, 65_535, 65_536, 8 << 20] {
        socket.send(Message::binary(noise[..len].to_vec())).unwrap();
        assert!(socket.read().unwrap() == Message::binary(noise[..len].to_vec()), "{len} bytes");
        cases += 1;
    }
    socket.send(Message::text("")).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text(""));
    for piece in [1, 3, 1_000, usize::MAX] {
        // Fragments that end within characters, each followed by a ping.
        let mut bytes = frame(TEXT ^ MORE, b"");
        for part in text.as_bytes()[..2_000].chunks(piece.min(2_000)) {
            bytes.extend(frame(LAST ^ MORE, part));
            bytes.extend(frame(PING, b""));
        }
        bytes.extend(frame(LAST, &text.as_bytes()[2_000..]));
        bytes.extend(frame(BINARY, b"next"));
        socket.get_mut().write_all(&bytes).unwrap();
        let mut pongs = 0;
        loop {
            match socket.read().unwrap() {
                Message::Pong(_) => pongs += 1,
                message => {
                    assert!(message == Message::text(text.clone()), "in pieces of {piece}");
                    break;
                }
            }
        }
        assert_eq!(pongs, 2_000_usize.div_ceil(piece), "in pieces of {piece}");
        assert_eq!(socket.read().unwrap(), Message::binary(b"next".to_vec()));
        cases += 1;
    }
    record.passed(cases);
}

#[test]
fn an_echo_that_is_not_read_stops_reading_and_loses_nothing() {
    let record = Record::begin("echo_backpressure");
    let echo = Echo::start(1 << 20);
    let mut socket = common::connect(echo.address, "/ws/ingest");
    // Far more than the sockets of both sides hold.
    let (count, size) = (4_096_usize, 64 * 1024);
    let stream = socket.get_mut();
    stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut frames: Vec<u8> = Vec::new();
    let mut unsent = 0..0;
    let mut sent = 0;
    let mut stuck = false;
    while !stuck && sent < count {
        frames = frame(BINARY, &vec![sent as u8; size]);
        unsent = 0..frames.len();
        sent += 1;
        while !unsent.is_empty() {
            match stream.write(&frames[unsent.clone()]) {
                Ok(n) => unsent.start += n,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    stuck = true;
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(stuck, "{sent} messages of 64 KiB went into an echo that nobody reads");
    // Others are served.
    let mut neighbour = common::connect(echo.address, "/ws/ingest");
    neighbour.send(Message::text("hello")).unwrap();
    assert_eq!(neighbour.read().unwrap(), Message::text("hello"));
    // Read, it goes on where it stood. The last one is still on its way out.
    let mut writer = stream.try_clone().unwrap();
    let rest = frames[unsent].to_vec();
    let thread = std::thread::spawn(move || writer.write_all(&rest).unwrap());
    for n in 0..sent {
        assert!(socket.read().unwrap() == Message::binary(vec![n as u8; size]), "message {n}");
    }
    thread.join().unwrap();
    record.passed(1);
}
