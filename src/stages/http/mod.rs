//! HTTP: tiny_http on a listener of our own, a few worker threads, one thread an SSE client.
//!
//! tiny_http has no time-outs and gives its accept loop up for good when descriptors run out
//! (known, and why this port listens on loopback by default). So: the listener carries a send
//! time-out that accepted sockets inherit, and when the server has died a new one is made on a
//! clone of the listener; and its threads are not to be kept waiting on idle connections
//! ([`api::Answer::send`]). Nothing that comes from outside is ever put into a header.

pub mod api;
pub mod assets;
pub mod prometheus;
pub mod routes;
pub mod sse;

use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tiny_http::{Request, Server};

use crate::config::Window;
use crate::message::Subscribe;
use crate::runtime::cell::Cell;
use crate::runtime::clock::Clock;
use crate::runtime::names::Dictionary;
use crate::runtime::ring::Tx;
use crate::runtime::wake::Bell;
use crate::stages::publish::board::Board;
use crate::stages::settings::Settings;
use crate::telemetry::counters::{Telemetry, ThreadMeter};

/// Worker threads: one may be held up by a client that does not read, for as long as
/// `SEND_TIMEOUT`.
pub const WORKERS: usize = 4;
/// How long a client may take no bytes of an answer.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// How long after the last request HTTP listens for another one before it ends: what it has accepted has
/// been sent already, save for the time it takes to be read.
const LAST_REQUESTS: Duration = Duration::from_millis(50);
/// Pause before a server that died is made anew.
const REBUILD_PAUSE: Duration = Duration::from_millis(200);

/// The daemon's life, as `/health` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Not all threads run yet.
    Starting = 0,
    /// Serving.
    Ready = 1,
    /// Draining.
    Draining = 2,
    /// HTTP is to end.
    Stopped = 3,
}

/// What all HTTP threads share: what they were given ([`Parts`]) and the server itself.
pub struct Shared {
    parts: Parts,
    /// SSE subscribers now.
    pub sse_open: AtomicUsize,
    /// SSE subscribers refused at the limit, since the start.
    pub sse_refused: AtomicU64,
    /// SSE subscribers whose sockets took nothing for `SEND_TIMEOUT`, since the start.
    pub sse_timed_out: AtomicU64,
    phase: AtomicU8,
    server: Mutex<Rebuild>,
}

impl std::ops::Deref for Shared {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.parts
    }
}

struct Rebuild {
    listener: TcpListener,
    server: Arc<Server>,
    generation: u64,
}

/// What HTTP looks at and talks to.
pub struct Parts {
    /// Everything that is counted.
    pub telemetry: Arc<Telemetry>,
    /// Results, alerts, dead letters, rates.
    pub board: Arc<Board>,
    /// Names behind the numbers.
    pub dictionary: Arc<Dictionary>,
    /// Rules, replaced by `POST /api/rules`.
    pub settings: Arc<Cell<Settings>>,
    /// The configured windows.
    pub windows: Vec<Window>,
    /// The family of each window.
    pub family_of: Vec<usize>,
    /// The clock of the process.
    pub clock: Clock,
    /// When the daemon started, microseconds since the epoch.
    pub started_us: i64,
    /// Ingest connections at most.
    pub connections: usize,
    /// SSE subscribers at most.
    pub sse_clients: usize,
    /// The publish thread's bell, for the rings of new subscribers.
    pub publish: Arc<Bell>,
}

impl Shared {
    /// A server on `listener`, whose workers are still to be started.
    pub fn new(listener: TcpListener, parts: Parts) -> std::io::Result<Self> {
        socket2::SockRef::from(&listener).set_write_timeout(Some(SEND_TIMEOUT))?;
        let server = Arc::new(make_server(&listener)?);
        Ok(Self {
            parts,
            sse_open: AtomicUsize::new(0),
            sse_refused: AtomicU64::new(0),
            sse_timed_out: AtomicU64::new(0),
            phase: AtomicU8::new(Phase::Starting as u8),
            server: Mutex::new(Rebuild { listener, server, generation: 0 }),
        })
    }

    /// Moves on in the daemon's life.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// Where the daemon is in its life.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            2 => Phase::Draining,
            _ => Phase::Stopped,
        }
    }

    /// Ends the workers; requests that come in from here on wait for [`Shared::answer_the_rest`].
    pub fn stop(&self) {
        self.set_phase(Phase::Stopped);
        let server = Arc::clone(&self.lock().server);
        for _ in 0..WORKERS {
            server.unblock();
        }
    }

    /// Takes no more connections and answers those that have been taken, until none has come for
    /// `LAST_REQUESTS` or the deadline has passed. The workers have ended. With a socket from the service
    /// manager the connections that come later wait in its queue for the next daemon.
    pub fn answer_the_rest(&self, deadline: Instant) {
        let rebuild = self.lock();
        // tiny_http accepts until accept fails, which it does from here on when nobody waits.
        let closed = rebuild.listener.set_nonblocking(true);
        // One that comes wakes it.
        let woken =
            rebuild.listener.local_addr().and_then(|own| TcpStream::connect_timeout(&own, LAST_REQUESTS));
        if let Err(error) = closed.and(woken) {
            tracing::debug!("HTTP could not be closed in order: {error}");
        }
        let mut quiet = Instant::now();
        while quiet.elapsed() < LAST_REQUESTS && Instant::now() < deadline {
            match rebuild.server.recv_timeout(LAST_REQUESTS) {
                Ok(Some(request)) if is_stream(&request) => {
                    sse::turn_away(request);
                    quiet = Instant::now();
                }
                Ok(Some(mut request)) => {
                    // A client that has gone, or does not read, is its own loss.
                    drop(api::answer(self, &mut request).send(request));
                    quiet = Instant::now();
                }
                // What wakes a worker, or the end of accepting.
                Ok(None) | Err(_) => {}
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Rebuild> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> (u64, Arc<Server>) {
        let rebuild = self.lock();
        (rebuild.generation, Arc::clone(&rebuild.server))
    }

    /// The server of `generation` has died: makes another, unless somebody already has.
    fn rebuild(&self, generation: u64) {
        std::thread::sleep(REBUILD_PAUSE);
        let mut rebuild = self.lock();
        if rebuild.generation == generation
            && let Ok(server) = make_server(&rebuild.listener)
        {
            rebuild.server = Arc::new(server);
            rebuild.generation += 1;
        }
    }
}

fn make_server(listener: &TcpListener) -> std::io::Result<Server> {
    Server::from_listener(listener.try_clone()?, None)
        .map_err(|error| std::io::Error::other(error.to_string()))
}

/// One worker: takes requests until the server is stopped.
pub fn work(shared: &Arc<Shared>, mut subscribe: Tx<Subscribe>, meter: &ThreadMeter) {
    while shared.phase() != Phase::Stopped {
        let (generation, server) = shared.current();
        match server.recv() {
            Ok(request) => {
                let start_ns = shared.clock.mono_ns();
                handle(shared, request, &mut subscribe);
                meter.turn(shared.clock.mono_ns() - start_ns, true);
            }
            Err(_) if shared.phase() == Phase::Stopped => {}
            Err(_) => shared.rebuild(generation),
        }
    }
}

fn is_stream(request: &Request) -> bool {
    let path = request.url().split('?').next().unwrap_or("");
    path == "/stream/metrics" && *request.method() == tiny_http::Method::Get
}

fn handle(shared: &Arc<Shared>, mut request: Request, subscribe: &mut Tx<Subscribe>) {
    if is_stream(&request) {
        sse::serve(shared, request, subscribe);
        return;
    }
    let answer = api::answer(shared, &mut request);
    // A client that has gone, or does not read, is its own loss.
    drop(answer.send(request));
}
