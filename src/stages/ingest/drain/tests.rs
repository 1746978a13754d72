//! A drain on a clock of the test's: real sockets, time as an argument.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;

use super::NEWCOMER_NS;
use crate::message::Chunk;
use crate::stages::ingest::tests::rig::{REQUEST, Rig};

/// An ingest thread with one client that has just connected, in a drain.
fn draining() -> (Rig, TcpStream) {
    let mut rig = Rig::new();
    let client = rig.connect();
    rig.ingest.options.orders.drain.store(true, Ordering::Relaxed);
    rig.turn();
    assert!(rig.ingest.door.is_none(), "the drain has begun");
    (rig, client)
}

fn input_has_ended(rig: &Rig) -> bool {
    rig.ingest.ports.chunks.is_none()
}

#[test]
fn who_has_just_come_in_is_still_heard() {
    let (mut rig, mut client) = draining();
    rig.now_ns += NEWCOMER_NS - 1;
    rig.turn();
    assert!(!input_has_ended(&rig), "the newcomer is waited for");
    client.write_all(REQUEST).unwrap();
    rig.turn_until("the upgrade", |rig| matches!(rig.chunks.pop(), Some(Chunk::Open { .. })));
    let mut head = [0; 12];
    client.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
    assert!(!input_has_ended(&rig), "its first frame is waited for");
    client.write_all(b"a frame").unwrap();
    let frame = |rig: &mut Rig| matches!(rig.chunks.pop(), Some(Chunk::Data { len: 7, .. }));
    rig.turn_until("the frame", frame);
    rig.turn_until("the end of the input", |rig| input_has_ended(rig));
}

#[test]
fn a_newcomer_that_says_nothing_delays_a_drain_for_a_moment_only() {
    let (mut rig, _client) = draining();
    rig.now_ns += NEWCOMER_NS - 1;
    rig.turn();
    assert!(!input_has_ended(&rig));
    rig.now_ns += 1;
    rig.turn();
    assert!(input_has_ended(&rig));
}
