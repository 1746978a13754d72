//! Who comes and goes, on a clock of the test's.

pub mod rig;

use std::io::{Read, Write};
use std::sync::atomic::Ordering;

use super::connection::LINGER_NS;
use rig::{HANDSHAKE_NS, Rig};

/// Deadlines are looked at at least as often.
const LOOK_NS: u64 = 300_000_000;

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
