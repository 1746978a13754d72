//! The gate before tiny_http: the only thread that meets HTTP clients.
//!
//! tiny_http has no time-outs and no limits, keeps a thread for every connection, believes requests
//! that no server should, and stops accepting for good when descriptors run out. So clients never meet
//! it. The gate takes their connections (at most `http.connections`), reads each request whole and
//! strictly, within `http.request_timeout`, hands it on over a Unix socket that only tiny_http listens
//! on, and carries the answer back at the client's pace: workers are never held up by a client.
//!
//! What must always hold: bytes that wait for clients are bounded (`ANSWERS_BYTES` of answers and
//! `FRAMES_BYTES` of frames together); a client that takes nothing for `PATIENCE_NS` is put out, or before,
//! to make room; the server behind has
//! at most `ASKING` requests at a time that it has not begun to answer; a server that answers nobody
//! is made anew.

mod link;
mod patience;
pub mod request;
mod streams;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream, UnixStream};
use mio::{Events, Interest, Poll, Token};

use super::Shared;
use crate::message::Subscribe;
use crate::plan::ANSWERS_BYTES;
use crate::runtime::clock::Now;
use crate::runtime::descriptors;
use crate::runtime::door::{Came, Door};
use crate::runtime::ring::Tx;
use crate::runtime::stage::{Progress, Stage};
use crate::runtime::wake::{Bell, INPUT};
use crate::telemetry::counters::HttpCounters;
use link::{Link, Peer, State, Then};

const LISTENER: Token = Token(0);
/// Token of the thread's `mio::Waker`.
pub const WAKER: Token = Token(1);
/// A client's token is twice its slot, from here on; its connection behind has the next one.
const FIRST: usize = 2;

/// Connections taken in a turn.
const ACCEPTS_PER_TURN: usize = 32;
/// Connections over the limit that are told so (503) rather than dropped.
const OVER_LIMIT_ROOM: usize = 64;
/// Clients looked at in a turn.
const LINKS_PER_TURN: usize = 64;
/// Requests that the server behind has and has not begun to answer.
const ASKING: usize = 16;
/// Descriptors that the server behind takes for a request: it accepts it, and copies the socket, and panics
/// where it cannot.
const BEHIND: usize = 2;
/// Bytes that may wait for any client, however much waits for others.
const OWN_ROOM: usize = 64 << 10;
/// Bytes of an answer that are carried in one look at its client.
const READ_PER_LOOK: usize = 1 << 20;
/// Bytes that the kernel may hold for a client.
const SEND_BUFFER: usize = 256 << 10;
/// How long a client may take nothing of what waits for it, ns.
const PATIENCE_NS: u64 = 5_000_000_000;
/// How long a whole request may wait for its turn, ns.
const TURN_NS: u64 = 30_000_000_000;
/// How long a client may take for a whole answer, ns (a stream may go on for ever).
const ANSWER_NS: u64 = 300_000_000_000;
/// How long to wait for a client to close, ns.
const LINGER_NS: u64 = 1_000_000_000;
/// How long a client that has connected at the end has to ask, ns.
const NEWCOMER_NS: u64 = 50_000_000;

/// What the gate needs to know.
pub struct Options {
    /// New readers of the event stream, to publish.
    pub subscribe: Tx<Subscribe>,
    /// The server behind.
    pub shared: Arc<Shared>,
    /// Connections at most.
    pub connections: usize,
    /// Patience with a request, ns.
    pub request_timeout_ns: u64,
    /// This thread's counters.
    pub counters: Arc<HttpCounters>,
}

/// The stage.
pub struct Gate {
    door: Door,
    poll: Poll,
    events: Events,
    options: Options,
    links: Vec<Option<Link>>,
    free: Vec<usize>,
    /// Slots with something to do.
    busy: VecDeque<usize>,
    /// Slots with a whole request that wait for their turn.
    waiting: VecDeque<usize>,
    /// Slots that wait for the event stream.
    newcomers: VecDeque<usize>,
    /// Slots that have it.
    streams: Vec<usize>,
    /// Requests behind that are not answered yet.
    asking: usize,
    /// When the server behind last answered somebody, or was last given something to do.
    heard_ns: u64,
    /// Bytes of answers that wait for clients; refusals join with the next sweep.
    backlog: usize,
    next_sweep_ns: u64,
    /// When the last turn began, monotonic ns.
    turned_ns: u64,
    /// When streams are next looked at beside other work.
    next_look_ns: u64,
    end_ns: Option<u64>,
    piece: Box<[u8]>,
}

impl Gate {
    /// A gate on the HTTP port that sleeps in `poll`, whose waker is registered as [`WAKER`].
    pub fn new(poll: Poll, listener: TcpListener, options: Options) -> io::Result<Self> {
        // Accepted sockets inherit it: what the kernel holds for a client that does not read.
        socket2::SockRef::from(&listener).set_send_buffer_size(SEND_BUFFER)?;
        let door = Door::new(listener, poll.registry(), LISTENER)?;
        Ok(Self {
            door,
            poll,
            events: Events::with_capacity(256),
            options,
            links: Vec::new(),
            free: Vec::new(),
            busy: VecDeque::new(),
            waiting: VecDeque::new(),
            newcomers: VecDeque::new(),
            streams: Vec::new(),
            asking: 0,
            heard_ns: 0,
            backlog: 0,
            next_sweep_ns: 0,
            turned_ns: 0,
            next_look_ns: 0,
            end_ns: None,
            piece: vec![0; 64 * 1024].into(),
        })
    }

    /// Clients that are here.
    fn open(&self) -> usize {
        self.options.counters.open.get() as usize
    }

    fn accept(&mut self, now: Now) -> bool {
        let mut worked = false;
        let spare = self.asking * BEHIND;
        for _ in 0..ACCEPTS_PER_TURN {
            // At the end whoever comes is left to the next daemon.
            let came = if self.end_ns.is_some() { Came::Nobody } else { self.door.next(now.mono_ns, spare) };
            match came {
                Came::Somebody(client) => {
                    worked = true;
                    self.adopt(client, now);
                }
                Came::Gone => {}
                Came::Nobody => break,
                Came::Failed => {
                    self.options.counters.accept_errors.add(1);
                    break;
                }
            }
        }
        worked
    }

    fn adopt(&mut self, mut client: TcpStream, now: Now) {
        self.options.counters.accepted.add(1);
        if self.open() >= self.options.connections + OVER_LIMIT_ROOM {
            self.options.counters.refused.add(1);
            return;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.links.push(None);
            self.links.len() - 1
        });
        // Answers are written whole; a socket that refuses works all the same.
        drop(client.set_nodelay(true));
        let interest = Interest::READABLE | Interest::WRITABLE;
        if self.poll.registry().register(&mut client, Token(FIRST + 2 * slot), interest).is_err() {
            self.free.push(slot);
            return;
        }
        let mut link = Link::new(client, now.mono_ns, self.options.request_timeout_ns);
        let open = self.open() + 1;
        self.options.counters.open.set(open as u64);
        if open > self.options.connections {
            self.options.counters.refused.add(1);
            link.refuse(&request::TOO_MANY, now.mono_ns);
        }
        self.links[slot] = Some(link);
        self.queue(slot);
    }

    fn queue(&mut self, slot: usize) {
        if let Some(Some(link)) = self.links.get_mut(slot)
            && !link.queued
        {
            link.queued = true;
            self.busy.push_back(slot);
        }
    }

    /// Forgets a client.
    fn drop_link(&mut self, slot: usize) {
        let Some(mut link) = self.links.get_mut(slot).and_then(Option::take) else { return };
        // The sockets are closed in any case.
        drop(self.poll.registry().deregister(&mut link.client));
        self.asking -= usize::from(link.state == State::Asking);
        self.streams.retain(|&stream| stream != slot);
        self.backlog = self.backlog.saturating_sub(link.owed());
        self.options.counters.open.set(self.open() as u64 - 1);
        self.free.push(slot);
    }

    /// Looks at clients with something to do.
    fn serve(&mut self, now: Now) -> bool {
        for served in 0..LINKS_PER_TURN {
            let Some(slot) = self.busy.pop_front() else { return served > 0 };
            let Some(Some(link)) = self.links.get_mut(slot) else { continue };
            link.queued = false;
            let before = link.owed();
            let was_asking = link.state == State::Asking;
            let then = match link.state {
                State::Reading => link.read_request(&mut self.piece, now.mono_ns),
                State::Waiting => Then::Stay,
                State::Asking | State::Answering => {
                    let room = ANSWERS_BYTES.saturating_sub(self.backlog);
                    let room = room.max(OWN_ROOM.saturating_sub(before)).min(READ_PER_LOOK);
                    relay(link, &mut self.piece, room, now)
                }
                State::Lingering if link.client_readable => match link.discard(&mut self.piece) {
                    Peer::There => Then::Again,
                    Peer::Silent | Peer::Gone => Then::Drop,
                },
                State::Lingering => Then::Stay,
            };
            self.backlog = (self.backlog + link.owed()).saturating_sub(before);
            if was_asking && link.state != State::Asking {
                self.asking -= 1;
                self.heard_ns = now.mono_ns;
            }
            // What lies ready behind raises no second event.
            let more = then == Then::Stay && link.wants_more(self.backlog < ANSWERS_BYTES);
            match then {
                Then::Drop => self.drop_link(slot),
                Then::Ask => {
                    link.deadline_ns = now.mono_ns + TURN_NS;
                    self.waiting.push_back(slot);
                }
                Then::Subscribe => {
                    link.deadline_ns = now.mono_ns + TURN_NS;
                    self.newcomers.push_back(slot);
                }
                Then::Again => self.queue(slot),
                Then::Refused(refusal) => {
                    if let Some(at) = refusal.reason() {
                        self.options.counters.requests_refused[at].add(1);
                    }
                    self.queue(slot);
                }
                Then::Stay if more => self.queue(slot),
                Then::Stay => {}
            }
            if self.backlog >= ANSWERS_BYTES {
                self.evict_idlest(now);
            }
        }
        true
    }

    /// Hands waiting requests on, as many as the server behind may have.
    fn ask(&mut self, now: Now) -> bool {
        let mut worked = false;
        while self.asking < ASKING
            && let Some(slot) = self.waiting.pop_front()
        {
            let Some(Some(link)) = self.links.get_mut(slot) else { continue };
            // Or another by now that has its place.
            if link.state != State::Waiting || link.asked.is_some() {
                continue;
            }
            worked = true;
            let token = Token(FIRST + 2 * slot + 1);
            let behind = if descriptors::has_room(&link.client, 1 + BEHIND * (1 + self.asking)) {
                UnixStream::connect_addr(&self.options.shared.address())
            } else {
                Err(io::ErrorKind::QuotaExceeded.into())
            };
            let behind = behind.and_then(|mut behind| {
                let interest = Interest::READABLE | Interest::WRITABLE;
                self.poll.registry().register(&mut behind, token, interest)?;
                Ok(behind)
            });
            match behind {
                Ok(behind) => {
                    if self.asking == 0 {
                        self.heard_ns = now.mono_ns;
                    }
                    self.asking += 1;
                    link.ask(behind);
                    link.deadline_ns = now.mono_ns + ANSWER_NS;
                }
                // No descriptors; or its accept loop has ended, and there were none to make another.
                Err(error) => {
                    if error.kind() == io::ErrorKind::ConnectionRefused {
                        self.options.shared.replace_server();
                    }
                    self.options.counters.unavailable.add(1);
                    link.refuse(&request::UNAVAILABLE, now.mono_ns);
                }
            }
            self.queue(slot);
        }
        worked
    }

    fn wait_for_sockets(&mut self, timeout: Option<Duration>) {
        if let Err(error) = self.poll.poll(&mut self.events, timeout)
            && error.kind() != io::ErrorKind::Interrupted
        {
            // Nothing sensible can go on without readiness.
            panic!("polling HTTP sockets failed: {error}");
        }
        for event in &self.events {
            let token = event.token();
            if token == LISTENER {
                self.door.knock();
            }
            let Some(at) = token.0.checked_sub(FIRST) else { continue };
            let Some(Some(link)) = self.links.get_mut(at / 2) else { continue };
            if at % 2 == 0 {
                link.client_readable |= event.is_readable() || event.is_read_closed() || event.is_error();
                link.client_writable |= event.is_writable();
            } else {
                link.behind_readable |= event.is_readable() || event.is_read_closed() || event.is_error();
                link.behind_writable |= event.is_writable();
            }
            if !link.queued {
                link.queued = true;
                self.busy.push_back(at / 2);
            }
        }
    }
}

/// Carries on with an answer; says what becomes of the client.
fn relay(link: &mut Link, piece: &mut [u8], room: usize, now: Now) -> Then {
    let waited = link.backlog();
    let is_stream = link.stream.is_some();
    let came = if is_stream { link.pump(now.mono_ns) } else { link.relay(piece, room) };
    let Ok(came) = came else { return Then::Drop };
    if link.is_deserted() {
        link.refuse(&request::UNAVAILABLE, now.mono_ns);
        return Then::Again;
    }
    let taken = waited + came > link.backlog();
    if taken || waited == 0 {
        link.taken_ns = now.mono_ns;
    }
    if is_stream && (taken || link.backlog() == 0) {
        link.deadline_ns = now.mono_ns + PATIENCE_NS;
    }
    if link.is_answered() {
        link.linger(now.mono_ns + LINGER_NS);
        return Then::Again;
    }
    // Whoever reads a stream may say no more; that it has gone shows when it is written to.
    if is_stream && link.discard(piece) == Peer::Gone { Then::Drop } else { Then::Stay }
}

impl Stage for Gate {
    fn poll(&mut self, now: Now) -> Progress {
        self.forgive(now);
        let mut worked = self.accept(now);
        worked |= self.serve(now);
        worked |= self.ask(now);
        worked |= self.subscribe(now);
        worked |= self.look_at_streams(now);
        self.sweep(now);
        if self.is_over(now) {
            return Progress::Done;
        }
        if worked {
            self.wait_for_sockets(Some(Duration::ZERO));
            return Progress::Worked;
        }
        let paused = self.door.look_at_ns().filter(|_| self.end_ns.is_none());
        let sweep = (self.open() > 0).then_some(self.next_sweep_ns);
        let newcomers = self.end_ns.map(|_| now.mono_ns + NEWCOMER_NS / 5);
        let subscribe = self.next_stream_ns(now);
        let deadline_ns = [paused, sweep, newcomers, subscribe].into_iter().flatten().min();
        Progress::Idle { deadline_ns, awaits: INPUT }
    }

    fn gives_way(&self) -> bool {
        true
    }

    fn may_spin(&self) -> bool {
        false
    }

    fn wait(&mut self, _bell: &Bell, timeout: Option<Duration>) {
        self.wait_for_sockets(timeout);
    }
}
