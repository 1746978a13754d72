//! Who comes and goes, and what is owed, on a clock of the test's.

pub mod rig;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use socket2::SockRef;

use super::connection::{LINGER_NS, State};
use crate::message::{ConnId, Reply};
use crate::runtime::stage::Progress;
use rig::{HANDSHAKE_NS, REQUEST, Rig};

/// Deadlines are looked at at least as often.
const LOOK_NS: u64 = 300_000_000;
/// Longer than any patience.
const PAUSE_NS: u64 = 60_000_000_000;

/// A client that has not read until there is no room for its ack and the close that follows. With `late`
/// that is the kernel's room, else there is none for an ack in the daemon either.
fn full(rig: &mut Rig, late: bool) -> (TcpStream, ConnId) {
    let (client, conn) = rig.open();
    SockRef::from(&client).set_recv_buffer_size(4_096).unwrap();
    SockRef::from(&rig.connection(conn.slot).unwrap().stream).set_send_buffer_size(4_096).unwrap();
    let text: Box<str> = "x".repeat(1_000).into();
    let wanted = if late { 1 } else { 8_000 };
    while rig.connection(conn.slot).unwrap().backlog() < wanted {
        rig.replies.push(Reply::Error { conn, text: text.clone() }).unwrap();
        rig.turn();
    }
    rig.replies.push(Reply::Ack { conn, chunk: 0, frames: 1, accepted: 7, rejected: 0 }).unwrap();
    rig.replies.push(Reply::Close { conn, code: 1000, reason: "" }).unwrap();
    rig.turn();
    (client, conn)
}

/// All that a client gets until the stream ends.
fn read_to_end(mut client: TcpStream) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        client.read_to_end(&mut all).unwrap();
        all
    })
}

/// Whether the last words were the ack and the close.
fn ends_well(said: &[u8]) -> bool {
    let end = String::from_utf8_lossy(&said[said.len().saturating_sub(60)..]).into_owned();
    println!("{end:?}");
    end.contains(r#""accepted":7"#) && said.ends_with(b"\x88\x02\x03\xe8")
}

#[test]
fn who_is_put_out_unread_is_told_so_and_leaves_no_place_in_the_queue() {
    let mut rig = Rig::new();
    rig.ingest.options.orders.stop_reading.store(true, Ordering::Relaxed);
    for _ in 0..20 {
        let mut client = rig.connect();
        client.write_all(b"G").unwrap();
        rig.turn_until("its byte", |rig| !rig.ingest.turns.is_empty());
        rig.pass(HANDSHAKE_NS + LOOK_NS);
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
        rig.pass(LINGER_NS + LOOK_NS);
        assert!(rig.ingest.connections.iter().all(Option::is_none));
        assert_eq!(rig.ingest.turns.stopped(true).count(), 0);
    }
}

#[test]
fn who_is_owed_something_gets_it_though_it_sends_no_more() {
    for late in [false, true] {
        let mut rig = Rig::new();
        let (client, conn) = full(&mut rig, late);
        assert_eq!(matches!(rig.connection(conn.slot).unwrap().state, State::Lingering { .. }), late);
        client.shutdown(Shutdown::Write).unwrap();
        rig.turn_until("the end of what it sends", |rig| rig.connection(conn.slot).is_none_or(|c| c.ended));
        let said = read_to_end(client);
        rig.turn_until("the end", |rig| rig.connection(conn.slot).is_none());
        assert!(ends_well(&said.join().unwrap()), "late: {late}");
    }
    // Who does not read either is not waited for.
    let mut rig = Rig::new();
    let (client, conn) = full(&mut rig, true);
    client.shutdown(Shutdown::Write).unwrap();
    rig.turn_until("the end of what it sends", |rig| rig.connection(conn.slot).is_none_or(|c| c.ended));
    rig.pass(LINGER_NS + LOOK_NS);
    assert!(rig.connection(conn.slot).is_none());
}

#[test]
fn time_in_which_the_thread_was_stopped_is_not_the_clients() {
    for late in [false, true] {
        let mut rig = Rig::new();
        let (client, conn) = full(&mut rig, late);
        let mut half = rig.connect();
        let mut mute = rig.connect();
        half.write_all(&REQUEST[..40]).unwrap();
        rig.turn_until("half of a request", |rig| match &rig.connection(1).unwrap().state {
            State::Handshake { request, .. } => request.len() == 40,
            _ => false,
        });
        rig.pass(1_000_000_000);
        // Meanwhile the rest comes, and a client reads what the kernel has.
        half.write_all(&REQUEST[40..]).unwrap();
        let said = read_to_end(client);
        rig.now_ns += PAUSE_NS;
        rig.turn_until("the rest of the request", |rig| {
            rig.connection(1).is_none_or(|conn| !matches!(conn.state, State::Handshake { .. }))
        });
        assert!(rig.connection(1).is_some_and(|conn| conn.state == State::Open));
        rig.turn_until("the end", |rig| rig.connection(conn.slot).is_none());
        assert!(ends_well(&said.join().unwrap()), "late: {late}");
        // Who has sent nothing has as long as it had before, and no longer.
        rig.pass(HANDSHAKE_NS - 1_200_000_000);
        assert!(rig.connection(2).is_some());
        rig.pass(500_000_000);
        assert!(rig.connection(2).is_none());
        assert_eq!(mute.read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn that_reading_has_stopped_is_said_at_once() {
    let mut rig = Rig::new();
    // More than are told in a turn.
    let mut clients: Vec<_> = (0..80).map(|_| rig.open().0).collect();
    rig.ingest.options.orders.stop_reading.store(true, Ordering::Relaxed);
    clients.iter_mut().for_each(|client| client.write_all(b"a frame").unwrap());
    // No turn ends this before all of them are seen.
    while rig.ingest.turns.stopped(true).count() < clients.len() {
        rig.ingest.wait_for_sockets(None);
    }
    while rig.turn() == Progress::Worked {}
    for client in &mut clients {
        client.set_nonblocking(true).unwrap();
        let mut said = [0; 64];
        client.read_exact(&mut said).unwrap();
        assert!(String::from_utf8_lossy(&said).contains(r#"{"type":"backpressure""#));
    }
}
