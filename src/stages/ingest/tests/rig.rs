//! An ingest thread on a clock of the test's, for unit tests: real sockets, time as an argument, and the test in
//! the place of the parse thread.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpListener;

use crate::message::{Buffer, Chunk, ConnId, Reply};
use crate::runtime::clock::{Clock, Now};
use crate::runtime::ring::{Rx, Tx, ring};
use crate::runtime::stage::{Progress, Stage};
use crate::runtime::wake::Bell;
use crate::stages::ingest::connection::Connection;
use crate::stages::ingest::handshake::Policy;
use crate::stages::ingest::{Ingest, Options, Ports, Terms};

/// A request to open a WebSocket.
pub const REQUEST: &[u8] = b"GET /ws/ingest HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// Its patience with one that is not whole.
pub const HANDSHAKE_NS: u64 = 5_000_000_000;
const PATIENCE: Duration = Duration::from_secs(60);

/// An ingest thread that turns when the test says so.
pub struct Rig {
    pub ingest: Ingest,
    /// Its clock.
    pub now_ns: u64,
    address: SocketAddr,
    /// What the parse thread is sent.
    pub chunks: Rx<Chunk>,
    /// What it has to tell clients.
    pub replies: Tx<Reply>,
    /// With this it lives.
    _buffers: Tx<Buffer>,
}

impl Rig {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let bell = Arc::new(Bell::park());
        let (chunks_tx, chunks) = ring(16, &bell, &bell);
        let (buffers_tx, buffers) = ring(16, &bell, &bell);
        let (replies_tx, replies) = ring(16, &bell, &bell);
        let ports = Ports { chunks: Some(chunks_tx), buffers, replies, hand_off: Vec::new(), handed: None };
        let options = Options {
            listener: Some(listener),
            terms: Terms {
                max_connections: 100,
                addresses: Arc::default(),
                handshake_timeout_ns: HANDSHAKE_NS,
                ping_interval_ns: 0,
                policy: Policy::default(),
            },
            buffers: 16,
            unparsed_bytes: usize::MAX,
            progress: Arc::new(crate::runtime::progress::LaneProgress::new(1)),
            counters: Arc::default(),
            orders: Arc::default(),
            drain_timeout_ns: 10_000_000_000,
            clock: Clock::start(),
        };
        let ingest = Ingest::new(mio::Poll::new().unwrap(), ports, options).unwrap();
        Self { ingest, now_ns: 1_000_000_000, address, chunks, replies: replies_tx, _buffers: buffers_tx }
    }

    /// A client that connects, and is accepted then.
    pub fn connect(&mut self) -> TcpStream {
        let client = TcpStream::connect(self.address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let counters = Arc::clone(&self.ingest.options.counters);
        let before = counters.accepted.get();
        self.turn_until("a connection", |_| counters.accepted.get() > before);
        client
    }

    /// A client whose WebSocket is open, and its name.
    pub fn open(&mut self) -> (TcpStream, ConnId) {
        let mut client = self.connect();
        client.write_all(REQUEST).unwrap();
        let mut opened = None;
        self.turn_until("the upgrade", |rig| {
            if let Some(Chunk::Open { conn, .. }) = rig.chunks.pop() {
                opened = Some(conn);
            }
            opened.is_some()
        });
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        (client, opened.unwrap())
    }

    /// The connection in a slot, if there is one.
    pub fn connection(&mut self, slot: u32) -> Option<&mut Connection> {
        self.ingest.connections[slot as usize].as_mut()
    }

    pub fn turn(&mut self) -> Progress {
        self.ingest.poll(Now { mono_ns: self.now_ns, wall_us: 0 })
    }

    /// Time goes by, with turns often enough that the thread cannot be said to have been stopped.
    pub fn pass(&mut self, ns: u64) {
        let end_ns = self.now_ns + ns;
        while self.now_ns < end_ns {
            self.now_ns = end_ns.min(self.now_ns + 100_000_000);
            self.turn();
        }
    }

    /// Turns, and looks at sockets between turns, while the clock stands still.
    pub fn turn_until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let begin = Instant::now();
        while !done(self) {
            assert!(begin.elapsed() < PATIENCE, "waited in vain for {what}");
            self.turn();
            self.ingest.wait_for_sockets(Some(Duration::from_millis(1)));
        }
    }
}
