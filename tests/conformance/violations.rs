//! What a client may not do.

use std::io::Write;

use crate::common::{read_close, wait_for};
use crate::servers::{BINARY, CLOSE, LAST, LIMIT, MORE, PING, PONG, Record, Server, TEXT, close, frame};

/// A header that announces a length in a form of its own.
fn long(first: u8, length: &[u8]) -> Vec<u8> {
    let form = if length.len() == 2 { 126 } else { 127 };
    [&[first, 0x80 | form], length, &[0; 4]].concat()
}

/// What is wrong, the code it has to be closed with, the bytes.
fn violations() -> Vec<(String, u16, Vec<u8>)> {
    let mut all: Vec<(String, u16, Vec<u8>)> = Vec::new();
    let mut add = |what: &str, code, bytes| all.push((what.to_owned(), code, bytes));
    add("an unmasked text", 1002, b"\x81\x02{}".to_vec());
    add("an unmasked ping", 1002, b"\x89\x00".to_vec());
    for bits in 1..8 {
        add(&format!("reserved bits {bits} on a text"), 1002, frame(TEXT | bits << 4, b"{}"));
        add(&format!("reserved bits {bits} on a ping"), 1002, frame(PING | bits << 4, b""));
    }
    for opcode in (3..8).chain(11..16) {
        add(&format!("opcode {opcode}"), 1002, frame(0x80 | opcode, b""));
        add(&format!("opcode {opcode} with payload"), 1002, frame(0x80 | opcode, b"{}"));
    }
    for (name, control) in [("ping", PING), ("pong", PONG), ("close", CLOSE)] {
        add(&format!("a fragmented {name}"), 1002, frame(control ^ MORE, b""));
        add(&format!("a {name} of 126 bytes"), 1002, frame(control, &[b'x'; 126]));
        add(&format!("a {name} of 65536 bytes"), 1002, frame(control, &[b'x'; 65_536]));
    }
    for length in [1_u64 << 63, u64::MAX] {
        add(&format!("length {length}"), 1002, long(BINARY, &length.to_be_bytes()));
    }
    for length in [0_u16, 125] {
        add(&format!("length {length} in 16 bits"), 1002, long(TEXT, &length.to_be_bytes()));
    }
    for length in [0_u64, 125, 126, 65_535] {
        add(&format!("length {length} in 64 bits"), 1002, long(TEXT, &length.to_be_bytes()));
    }
    add("a continuation of nothing", 1002, frame(LAST, b"{}"));
    add("a first continuation of nothing", 1002, frame(LAST ^ MORE, b"{}"));
    let begun = [frame(TEXT ^ MORE, b"{"), frame(PING, b"fine")].concat();
    for (name, first) in [("text", TEXT), ("binary", BINARY), ("fragmented text", TEXT ^ MORE)] {
        add(&format!("a {name} inside a message"), 1002, [begun.clone(), frame(first, b"}")].concat());
    }
    add("a close of one byte", 1002, frame(CLOSE, b"\x03"));
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        add(&format!("close code {code}"), 1002, close(code, b""));
    }
    for (name, bad) in [
        ("a byte that is none of UTF-8", &b"gr\xc3\xbc\xff"[..]),
        ("an overlong slash", b"\xc0\xaf"),
        ("a surrogate", b"\xed\xa0\x80"),
        ("beyond U+10FFFF", b"\xf4\x90\x80\x80"),
        ("a character cut at the end", b"x\xe2\x82"),
    ] {
        add(name, 1007, frame(TEXT, bad));
        let (first, rest) = bad.split_at(bad.len() - 1);
        let split = [frame(TEXT ^ MORE, first), frame(PING, b""), frame(LAST, rest)].concat();
        add(&format!("{name}, over two fragments"), 1007, split);
        add(&format!("{name}, as a reason"), 1007, close(1000, bad));
    }
    // A character that ends in another message.
    add("a character over two messages", 1007, [frame(TEXT, b"\xc3"), frame(TEXT, b"\xbc")].concat());
    add("one byte too much", 1009, frame(TEXT, &[b' '; LIMIT + 1]));
    add("one byte too much, announced", 1009, long(TEXT, &(LIMIT as u16 + 1).to_be_bytes()));
    add("2^63 - 1 bytes, announced", 1009, long(BINARY, &(u64::MAX >> 1).to_be_bytes()));
    let parts = [frame(TEXT ^ MORE, &[b' '; LIMIT / 2]), frame(LAST, &[b' '; LIMIT / 2 + 1])].concat();
    add("one byte too much, in fragments", 1009, parts);
    all
}

#[test]
fn every_violation_ends_its_own_connection_with_its_code() {
    let record = Record::begin("violations");
    let mut cases = 0;
    for server in Server::both() {
        let mut neighbour = server.polite();
        let mut talked = 0;
        for (what, code, bytes) in violations() {
            // At once, and in pieces: byte by byte where that is not too many.
            for piece in [bytes.len(), if bytes.len() < 500 { 1 } else { 499 }] {
                let mut client = server.polite();
                client.talk();
                talked += 1;
                // What comes behind it is not heard.
                let sent = [bytes.clone(), frame(TEXT, server.message().as_bytes())].concat();
                for part in sent.chunks(piece) {
                    client.socket.get_mut().write_all(part).unwrap();
                }
                let said = read_close(&mut client.socket);
                assert_eq!(said, Some(code), "{what}, in pieces of {piece}");
                neighbour.talk();
                cases += 1;
            }
        }
        if let Server::Daemon(daemon) = &server {
            let stats = daemon.wait_received(talked + neighbour.sent);
            assert_eq!(stats["events"]["applied"], stats["events"]["received"], "nothing else was heard");
            wait_for("the others to be gone", || (daemon.stats()["connections"] == 1).then_some(()));
        }
    }
    record.passed(cases);
}
