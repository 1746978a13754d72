//! HTTP: the gate meets the clients and gives those of the event stream what publish has for them;
//! tiny_http reads the other requests behind it, and a few worker threads answer.
//!
//! tiny_http has no time-outs, no limits, and gives its accept loop up for good when descriptors run
//! out. So it listens where only the [`gate`] comes, on a Unix socket, and when it has died it is made
//! anew. Nothing that comes from outside is ever put into a header.

pub mod api;
pub mod assets;
pub mod gate;
pub mod guard;
pub mod prometheus;
pub mod query;
pub mod routes;
pub mod sse;

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tiny_http::{Request, Server};

use crate::config::Window;
use crate::config::web::OwnHosts;
use crate::message::Held;
use crate::runtime::cell::Cell;
use crate::runtime::clock::Clock;
use crate::runtime::names::Dictionary;
use crate::runtime::wake::{Bell, INPUT};
use crate::stages::publish::board::Board;
use crate::stages::settings::Settings;
use crate::telemetry::counters::{Telemetry, ThreadMeter};

/// Worker threads; no client holds one up.
pub const WORKERS: usize = 4;
/// Pause before a server that died is made anew.
const REBUILD_PAUSE: Duration = Duration::from_millis(200);

/// The daemon's life, as `/health` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
#[repr(u8)]
pub enum Phase {
    /// Not all threads run yet.
    Starting = 0,
    /// Serving.
    Ready = 1,
    /// Draining.
    Draining = 2,
    /// HTTP sees its last clients off.
    Closing = 3,
    /// HTTP is to end.
    Stopped = 4,
}

/// What all HTTP threads share: what they were given ([`Parts`]) and the server itself.
pub struct Shared {
    parts: Parts,
    /// SSE subscribers now.
    pub sse_open: AtomicUsize,
    phase: AtomicU8,
    server: Mutex<Behind>,
}

impl std::ops::Deref for Shared {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// tiny_http, where only the gate finds it. A server is never dropped: one on a socket without a path
/// would panic (tiny_http 0.12), and there is a second one only when the first has died.
struct Behind {
    server: &'static Server,
    address: SocketAddr,
    generation: u64,
}

impl Behind {
    fn new(generation: u64) -> std::io::Result<Self> {
        let name = format!("flumen-http-{:032x}-{generation}", rand::random::<u128>());
        let address = SocketAddr::from_abstract_name(name)?;
        let listener = UnixListener::bind_addr(&address)?;
        let server = Server::from_listener(listener, None);
        let server = server.map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok(Self { server: Box::leak(Box::new(server)), address, generation })
    }
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
    /// HTTP connections at most.
    pub http_connections: usize,
    /// SSE subscribers at most.
    pub sse_clients: usize,
    /// By which it has to be called to change something.
    pub own_hosts: OwnHosts,
    /// The publish thread's bell, for the rings of new subscribers.
    pub publish: Arc<Bell>,
    /// The gate's bell, for the rings of new subscribers and for the end.
    pub gate: Arc<Bell>,
    /// Bytes of all frames that somebody still holds.
    pub held: Held,
}

impl Shared {
    /// A server that the gate can talk to, whose workers are still to be started.
    pub fn new(parts: Parts) -> std::io::Result<Self> {
        Ok(Self {
            parts,
            sse_open: AtomicUsize::new(0),
            phase: AtomicU8::new(Phase::Starting as u8),
            server: Mutex::new(Behind::new(0)?),
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
            3 => Phase::Closing,
            _ => Phase::Stopped,
        }
    }

    /// Ends HTTP: the gate takes no more clients and sees those off that it has.
    pub fn stop(&self) {
        self.set_phase(Phase::Closing);
        self.gate.ring(INPUT);
    }

    /// The gate has seen the last client off: ends the workers.
    fn end(&self) {
        self.set_phase(Phase::Stopped);
        self.rouse_workers(self.lock().server);
    }

    fn rouse_workers(&self, server: &Server) {
        for _ in 0..WORKERS {
            server.unblock();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Behind> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> (u64, &'static Server) {
        let behind = self.lock();
        (behind.generation, behind.server)
    }

    /// Where the gate finds the server.
    fn address(&self) -> SocketAddr {
        self.lock().address.clone()
    }

    /// The server answers nobody: makes another, at another address, so that the old one gets
    /// nothing more. Without descriptors the old one stays, until the next try.
    fn replace_server(&self) {
        self.replace(self.lock());
    }

    fn replace(&self, mut behind: MutexGuard<'_, Behind>) {
        if let Ok(new) = Behind::new(behind.generation + 1) {
            let old = std::mem::replace(&mut *behind, new);
            self.rouse_workers(old.server);
        }
    }

    /// The server of `generation` has stopped accepting: makes another, unless somebody has.
    fn rebuild(&self, generation: u64) {
        std::thread::sleep(REBUILD_PAUSE);
        let behind = self.lock();
        if behind.generation == generation {
            self.replace(behind);
        }
    }
}

/// One worker: takes requests until the server is stopped.
pub fn work(shared: &Shared, meter: &ThreadMeter) {
    while shared.phase() != Phase::Stopped {
        let (generation, server) = shared.current();
        match server.recv() {
            Ok(request) => {
                let start_ns = shared.clock.mono_ns();
                handle(shared, request);
                meter.turn(shared.clock.mono_ns() - start_ns, true);
            }
            Err(_) if shared.phase() == Phase::Stopped => {}
            Err(_) if shared.current().0 != generation => {}
            Err(_) => shared.rebuild(generation),
        }
    }
}

fn handle(shared: &Shared, mut request: Request) {
    let answer = api::answer(shared, &mut request);
    // A client that has gone, or does not read, is its own loss.
    drop(answer.send(request));
}
