//! A drain on a clock of the test's: real sockets, time as an argument.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::net::TcpListener;

use super::NEWCOMER_NS;
use crate::message::Chunk;
use crate::runtime::clock::{Clock, Now};
use crate::runtime::ring::{Rx, Tx, ring};
use crate::runtime::stage::Stage;
use crate::runtime::wake::Bell;
use crate::stages::ingest::Orders;
use crate::stages::ingest::handshake::Policy;
use crate::stages::ingest::{Ingest, Options, Ports, Terms};

/// When the drain begins.
const START_NS: u64 = 1_000_000_000;

/// An ingest thread with one client that has just connected, in a drain.
struct Rig {
    ingest: Ingest,
    client: TcpStream,
    chunks: Rx<Chunk>,
    /// The parse thread's ends, which say that it lives.
    _parse: (Tx<crate::message::Buffer>, Tx<crate::message::Reply>),
}

impl Rig {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let bell = Arc::new(Bell::park());
        let (chunks_tx, chunks) = ring(16, &bell, &bell);
        let (buffers_tx, buffers) = ring(16, &bell, &bell);
        let (replies_tx, replies) = ring(16, &bell, &bell);
        let ports = Ports { chunks: Some(chunks_tx), buffers, replies, hand_off: Vec::new(), handed: None };
        let orders = Arc::<Orders>::default();
        let options = Options {
            listener: Some(listener),
            terms: Terms {
                max_connections: 10,
                addresses: Arc::default(),
                handshake_timeout_ns: 5_000_000_000,
                ping_interval_ns: 0,
                policy: Policy::default(),
            },
            buffers: 16,
            unparsed_bytes: usize::MAX,
            progress: Arc::new(crate::runtime::progress::LaneProgress::new(1)),
            counters: Arc::default(),
            orders: Arc::clone(&orders),
            drain_timeout_ns: 10_000_000_000,
            clock: Clock::start(),
        };
        let ingest = Ingest::new(mio::Poll::new().unwrap(), ports, options).unwrap();
        let mut rig = Self { ingest, client, chunks, _parse: (buffers_tx, replies_tx) };
        let accepted = Arc::clone(&rig.ingest.options.counters);
        rig.turn_until("the connection is accepted", START_NS, |_| accepted.accepted.get() == 1);
        orders.drain.store(true, Ordering::Relaxed);
        rig.turn(START_NS);
        assert!(rig.ingest.door.is_none(), "the drain has begun");
        rig
    }

    fn turn(&mut self, mono_ns: u64) {
        self.ingest.poll(Now { mono_ns, wall_us: 0 });
    }

    fn turn_until(&mut self, what: &str, mono_ns: u64, mut done: impl FnMut(&mut Self) -> bool) {
        let patience = Instant::now() + Duration::from_secs(60);
        while !done(self) {
            assert!(Instant::now() < patience, "{what}");
            self.turn(mono_ns);
            self.ingest.wait_for_sockets(Some(Duration::from_millis(1)));
        }
    }

    fn input_has_ended(&self) -> bool {
        self.ingest.ports.chunks.is_none()
    }
}

#[test]
fn who_has_just_come_in_is_still_heard() {
    let mut rig = Rig::new();
    rig.turn(START_NS + NEWCOMER_NS - 1);
    assert!(!rig.input_has_ended(), "the newcomer is waited for");
    rig.client
        .write_all(
            b"GET /ws/ingest HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .unwrap();
    rig.turn_until("the upgrade", START_NS, |rig| matches!(rig.chunks.pop(), Some(Chunk::Open { .. })));
    let mut head = [0; 12];
    rig.client.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
    assert!(!rig.input_has_ended(), "its first frame is waited for");
    rig.client.write_all(b"a frame").unwrap();
    let frame = |rig: &mut Rig| matches!(rig.chunks.pop(), Some(Chunk::Data { len: 7, .. }));
    rig.turn_until("the frame", START_NS, frame);
    rig.turn_until("the end of the input", START_NS, |rig| rig.input_has_ended());
}

#[test]
fn a_newcomer_that_says_nothing_delays_a_drain_for_a_moment_only() {
    let mut rig = Rig::new();
    rig.turn(START_NS + NEWCOMER_NS - 1);
    assert!(!rig.input_has_ended());
    rig.turn(START_NS + NEWCOMER_NS);
    assert!(rig.input_has_ended());
}
