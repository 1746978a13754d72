//! The ingest thread: sockets, handshakes, the pool of read buffers.
//!
//! It reads bytes into pooled buffers and sends chunks, never messages; it writes replies; and
//! it stops reading while the ring to its parse thread is full, which is the backpressure that
//! clients feel as TCP flow control. Each ready socket gets one read a round, and who has much
//! waiting is held first ([`turns`]), so no client starves another. Lane 0 owns the listener and hands connections to the lanes in turn.
//!
//! Invariant: a chunk is stamped only inside a turn announced in `runtime::progress`, and
//! counted there before it is pushed.

pub mod accept;
pub mod addresses;
mod backpressure;
pub mod connection;
pub mod drain;
pub mod handshake;
pub mod pace;
mod patience;
pub mod read;
pub mod replies;
#[cfg(test)]
mod tests;
pub mod turns;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::net::TcpListener;
use mio::{Events, Poll, Token};

use crate::message::{BUFFER_BYTES, Buffer, Chunk, ConnId, Reply};
use crate::runtime::clock::{Clock, Now};
use crate::runtime::door::Door;
use crate::runtime::progress::LaneProgress;
use crate::runtime::ring::{Rx, Tx};
use crate::runtime::stage::{Progress, Stage};
use crate::runtime::wake::{APPLIED, Bell, INPUT, SPACE};
use crate::telemetry::counters::IngestCounters;
use addresses::Addresses;
use backpressure::Backpressure;
use connection::Connection;
use drain::Drain;
use handshake::Policy;
use pace::Pace;
use patience::{Deadlines, KeepAlive};
use turns::Turns;

/// The listener's token; the waker has [`WAKER`], connections their slot + 2.
const LISTENER: Token = Token(0);
/// Token of the thread's `mio::Waker`.
pub const WAKER: Token = Token(1);
const FIRST_CONNECTION: usize = 2;

/// Reads a turn: bounded, so that replies and acks are not kept waiting.
const READS_PER_TURN: usize = 64;
/// Connections over the limit that are told so (1013) rather than dropped.
const OVER_LIMIT_ROOM: u64 = 64;

/// The ends of the rings an ingest thread holds.
pub struct Ports {
    /// Bytes to the parse thread; `None` once the input has ended.
    pub chunks: Option<Tx<Chunk>>,
    /// Empty buffers back from it.
    pub buffers: Rx<Buffer>,
    /// What it has to tell clients.
    pub replies: Rx<Reply>,
    /// Lane 0: accepted sockets to the other lanes.
    pub hand_off: Vec<Tx<std::net::TcpStream>>,
    /// Other lanes: sockets from lane 0.
    pub handed: Option<Rx<std::net::TcpStream>>,
}

/// What main wants of all lanes.
#[derive(Debug, Default)]
pub struct Orders {
    /// To end the input.
    pub drain: AtomicBool,
    /// To read no events until this is taken back: there is no memory for them.
    pub stop_reading: AtomicBool,
}

/// What connections have to keep to, the same on all lanes.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Connections of a lane.
    pub max_connections: u64,
    /// Connections of each address, of all lanes together.
    pub addresses: Arc<Addresses>,
    /// Patience with an upgrade request, ns.
    pub handshake_timeout_ns: u64,
    /// After so much silence a connection is pinged, and after so much more it is closed, ns; 0: never.
    pub ping_interval_ns: u64,
    /// What upgrade requests are judged by.
    pub policy: Policy,
}

/// What an ingest thread needs to know.
pub struct Options {
    /// Lane 0's listener.
    pub listener: Option<TcpListener>,
    /// What connections have to keep to.
    pub terms: Terms,
    /// Read buffers of this lane.
    pub buffers: usize,
    /// Unparsed bytes from which on only who has none among them is read.
    pub unparsed_bytes: usize,
    /// Shared numbers of this lane.
    pub progress: Arc<LaneProgress>,
    /// This thread's counters.
    pub counters: Arc<IngestCounters>,
    /// What main wants.
    pub orders: Arc<Orders>,
    /// How long a drain may take, ns.
    pub drain_timeout_ns: u64,
    /// The clock that stamps chunks; the only one a stage reads itself, because the reading
    /// must come after the announcement of the turn.
    pub clock: Clock,
}

/// The stage.
pub struct Ingest {
    poll: Poll,
    events: Events,
    ports: Ports,
    options: Options,
    connections: Vec<Option<Connection>>,
    generations: Vec<u32>,
    free_slots: Vec<u32>,
    turns: Turns,
    /// Connections that wait for acks.
    waiting: Vec<u32>,
    /// Connections that have gone and of which the parse thread has not been told.
    departed: Vec<ConnId>,
    pool: Vec<Buffer>,
    buffers_made: usize,
    /// Lane 0's, until the drain.
    door: Option<Door>,
    next_lane: usize,
    pace: Pace,
    sent: u64,
    last_stamp_ns: u64,
    backpressure: Backpressure,
    deadlines: Deadlines,
    /// Whether some connection may have a deadline.
    impatient: bool,
    keep_alive: KeepAlive,
    drain: Option<Drain>,
}

impl Ingest {
    /// An ingest thread that sleeps in `poll`, whose waker is registered as [`WAKER`].
    pub fn new(poll: Poll, ports: Ports, mut options: Options) -> io::Result<Self> {
        let listener = options.listener.take();
        let door = listener.map(|listener| Door::new(listener, poll.registry(), LISTENER)).transpose()?;
        Ok(Self {
            poll,
            events: Events::with_capacity(1_024),
            ports,
            door,
            keep_alive: KeepAlive::new(options.terms.ping_interval_ns),
            turns: Turns::new(options.unparsed_bytes),
            options,
            connections: Vec::new(),
            generations: Vec::new(),
            free_slots: Vec::new(),
            waiting: Vec::new(),
            departed: Vec::new(),
            pool: Vec::new(),
            buffers_made: 0,
            next_lane: 0,
            pace: Pace::default(),
            sent: 0,
            last_stamp_ns: 0,
            backpressure: Backpressure::default(),
            deadlines: Deadlines::default(),
            impatient: false,
            drain: None,
        })
    }

    /// Takes back the buffers of chunks that have been parsed.
    fn take_back_buffers(&mut self) {
        while let Some(buffer) = self.ports.buffers.pop() {
            self.pool.push(buffer);
            self.turns.parsed();
        }
    }

    fn take_buffer(&mut self) -> Option<Buffer> {
        if self.pool.is_empty() {
            self.take_back_buffers();
        }
        if let Some(buffer) = self.pool.pop() {
            return Some(buffer);
        }
        if self.buffers_made < self.options.buffers {
            self.buffers_made += 1;
            return Some(vec![0; BUFFER_BYTES].into());
        }
        None
    }

    fn count_buffers(&mut self) {
        let idle = self.pool.len() + self.ports.buffers.len();
        let in_use = self.buffers_made.saturating_sub(idle) as u64;
        let counters = &self.options.counters;
        counters.buffers_in_use.set(in_use);
        if in_use > counters.buffers_high_water.get() {
            counters.buffers_high_water.set(in_use);
        }
    }

    /// Forgets a connection; the parse thread is told as soon as there is room.
    fn drop_connection(&mut self, slot: u32) {
        let Some(place) = self.connections.get_mut(slot as usize) else {
            return;
        };
        let Some(mut conn) = place.take() else { return };
        self.turns.forget(slot);
        // The socket is closed below in any case.
        drop(self.poll.registry().deregister(&mut conn.stream));
        let counters = &self.options.counters;
        counters.open.set(counters.open.get().saturating_sub(1));
        if conn.announced {
            self.departed.push(conn.id);
        } else {
            self.release_slot(slot);
        }
    }

    fn release_slot(&mut self, slot: u32) {
        let generation = &mut self.generations[slot as usize];
        *generation = generation.wrapping_add(1);
        self.free_slots.push(slot);
    }

    fn announce_departures(&mut self) -> bool {
        let mut worked = false;
        while let Some(&conn) = self.departed.last() {
            let gone = match self.ports.chunks.as_mut() {
                Some(chunks) => chunks.push(Chunk::Closed { conn }).is_ok(),
                None => true,
            };
            if !gone {
                break;
            }
            self.departed.pop();
            self.release_slot(conn.slot);
            worked = true;
        }
        if worked && let Some(chunks) = self.ports.chunks.as_mut() {
            chunks.flush();
        }
        worked
    }

    fn flush_connection(&mut self, slot: u32) {
        if let Some(Some(conn)) = self.connections.get_mut(slot as usize)
            && conn.flush().is_err()
        {
            self.drop_connection(slot);
        }
    }

    fn idle(&self, now: Now) -> Progress {
        let mut awaits = INPUT;
        let mut deadline_ns = None;
        let mut at_latest = |ns: u64| {
            deadline_ns = Some(deadline_ns.map_or(ns, |d: u64| d.min(ns)));
        };
        if !self.turns.is_empty() || !self.departed.is_empty() || self.backpressure.is_running() {
            awaits |= SPACE;
        }
        if self
            .waiting
            .iter()
            .filter_map(|&slot| self.connections[slot as usize].as_ref())
            .any(Connection::awaits_applied)
        {
            awaits |= APPLIED;
        }
        if let Some(at_ns) = self.door.as_ref().and_then(Door::look_at_ns) {
            at_latest(at_ns);
        }
        if let Some(at_ns) = self.backpressure.look_at_ns() {
            at_latest(at_ns);
        }
        if self.impatient {
            at_latest(self.deadlines.next_ns().max(now.mono_ns + 1));
        }
        if self.options.counters.open.get() > 0
            && let Some(at_ns) = self.keep_alive.next_ns()
        {
            at_latest(at_ns.max(now.mono_ns + 1));
        }
        if let Some(drain) = &self.drain {
            awaits |= APPLIED | SPACE;
            at_latest(drain.deadline_ns().min(now.mono_ns + 20_000_000));
        }
        Progress::Idle { deadline_ns, awaits }
    }
}

impl Stage for Ingest {
    fn poll(&mut self, now: Now) -> Progress {
        if let Some(until_ns) = self.pace.rest(now.mono_ns) {
            // Nobody need ring: everything waits for the end of the rest.
            return Progress::Idle { deadline_ns: Some(until_ns), awaits: 0 };
        }
        let mut worked = self.take_replies(now);
        worked |= self.acknowledge(now);
        worked |= self.announce_departures();
        worked |= self.accept(now);
        worked |= self.adopt_handed(now);
        worked |= self.read_ready();
        self.sweep(now);
        self.look_for_silent(now);
        self.count_buffers();
        for lane in &mut self.ports.hand_off {
            lane.flush();
        }
        if self.drain.is_none() && self.options.orders.drain.load(Ordering::Relaxed) {
            self.begin_drain(now);
            worked = true;
        }
        if self.drain.is_some() && self.drain_is_over(now) {
            return Progress::Done;
        }
        if worked {
            // Readiness is looked at between turns as well: without this a busy connection
            // would keep the others' sockets waiting.
            self.wait_for_sockets(Some(Duration::ZERO));
            return Progress::Worked;
        }
        self.idle(now)
    }

    fn wait(&mut self, _bell: &Bell, timeout: Option<Duration>) {
        let resting = self.pace.rest(self.options.clock.now().mono_ns).is_some();
        match timeout {
            // A socket that becomes ready would end a sleep in the poll at once.
            Some(timeout) if resting => {
                std::thread::sleep(timeout);
                self.wait_for_sockets(Some(Duration::ZERO));
            }
            _ => self.wait_for_sockets(timeout),
        }
    }
}

impl Ingest {
    fn wait_for_sockets(&mut self, timeout: Option<Duration>) {
        if let Err(error) = self.poll.poll(&mut self.events, timeout)
            && error.kind() != io::ErrorKind::Interrupted
        {
            // Nothing sensible can go on without readiness.
            panic!("polling sockets failed: {error}");
        }
        for event in &self.events {
            match event.token() {
                LISTENER => {
                    if let Some(door) = &mut self.door {
                        door.knock();
                    }
                }
                WAKER => {}
                Token(token) => {
                    let slot = token - FIRST_CONNECTION;
                    if let Some(Some(conn)) = self.connections.get_mut(slot) {
                        if event.is_writable() {
                            conn.set_writable();
                            if conn.backlog() > 0 || conn.owes() {
                                self.waiting.push(slot as u32);
                            }
                        }
                        conn.read_closed |= event.is_read_closed() || event.is_error();
                        if event.is_readable() || conn.read_closed {
                            self.turns.queue(slot as u32);
                        }
                    }
                }
            }
        }
    }
}
