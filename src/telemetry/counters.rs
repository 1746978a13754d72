//! Counters. Each belongs to one thread, which stores; everybody else only loads.
//!
//! The identity of the contract, `received = applied + filtered + late + rejected + dropped +
//! in_flight`, must hold in every snapshot with `in_flight >= 0`. So stores are `Release` in
//! the order of the flow (a parse thread stores `received` before it hands samples on), and a
//! snapshot loads `Acquire` *against* the flow: what left the pipeline first, `received` last.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::letters::LetterCounters;
use crate::event::Reject;
use crate::event::frame::Violation;
use crate::runtime::ring::Gauge;
pub use crate::telemetry::control::ControlCounters;
use crate::telemetry::refusal::{CHANGE_REASONS, HTTP_REASONS, Refusal};

/// A number with one writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; only the owning thread may call this.
    pub fn add(&self, n: u64) {
        let value = self.0.load(Ordering::Relaxed);
        self.0.store(value.wrapping_add(n), Ordering::Release);
    }

    /// Sets (for gauges); only the owning thread may call this.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }

    /// Reads.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// Written by one ingest thread.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct IngestCounters {
    /// Bytes read from sockets after the handshake.
    pub bytes: Counter,
    /// Connections accepted, refused and open now.
    pub accepted: Counter,
    /// Connections refused at the limit.
    pub refused: Counter,
    /// Connections refused at the limit of their address.
    pub refused_by_address: Counter,
    /// Connections closed because nothing came, not even an answer to a ping.
    pub silent_closed: Counter,
    /// Upgrade requests refused, by reason.
    pub handshakes_refused: [Counter; Refusal::ALL.len()],
    /// Failures to accept a connection: descriptors had run out.
    pub accept_errors: Counter,
    /// Connections open now (gauge).
    pub open: Counter,
    /// Episodes in which a full ring stopped reading.
    pub backpressure: Counter,
    /// Whether there is such an episode now: 1 or 0 (gauge).
    pub stopped: Counter,
    /// Read buffers in use now (gauge).
    pub buffers_in_use: Counter,
    /// The most read buffers ever in use.
    pub buffers_high_water: Counter,
}

/// Written by one parse thread.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ParseCounters {
    /// Events taken out of frames.
    pub received: Counter,
    /// WebSocket messages.
    pub messages: Counter,
    /// Connections closed for a violation of the protocol or of the limit on messages, by [`Violation::CODES`].
    pub violations: [Counter; Violation::CODES.len()],
    /// Events that a rule took out.
    pub filtered: Counter,
    /// Rejected events by reason.
    pub rejected: [Counter; Reject::ALL.len()],
    /// Events shed under overload (only with `ingest.overload = "drop"`).
    pub dropped: Counter,
    /// Dead letters that found their ring full and were not recorded (still counted above).
    pub letters_lost: Counter,
    /// Numeric fields that were left out of their events because there were too many names.
    pub fields_left_out: Counter,
    /// Connections closed for `limits.unfinished_size`.
    pub unfinished_closed: Counter,
    /// Strings that were left out of their events because they were too long.
    pub strings_left_out: Counter,
    /// By family of windows: events that began a new group when there were too many, and that
    /// its windows therefore lack.
    pub no_room: Box<[Counter]>,
}

impl ParseCounters {
    /// Counters for `families` families of windows.
    pub fn new(families: usize) -> Self {
        Self { no_room: counters(families), ..Self::default() }
    }
}

fn counters(n: usize) -> Box<[Counter]> {
    (0..n).map(|_| Counter::default()).collect()
}

/// Written by one window thread.
#[derive(Debug)]
#[repr(align(128))]
pub struct WindowCounters {
    /// Events that entered at least one window.
    pub applied: Counter,
    /// Events too late for every window.
    pub late: Counter,
    /// Windows open now (gauge).
    pub open_windows: Counter,
    /// The watermark, microseconds since the epoch as `i64`; `i64::MIN` before the first event.
    pub watermark_us: Counter,
    /// Events applied by type number.
    pub types: Box<[Counter]>,
    /// By window: events that came too late for it.
    pub missed: Box<[Counter]>,
    /// Records of late events that found their ring full.
    pub late_lost: Counter,
}

/// Written by the gate of the HTTP port.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct HttpCounters {
    /// Connections open now (gauge).
    pub open: Counter,
    /// Connections accepted.
    pub accepted: Counter,
    /// Of these, refused because `http.connections` were open.
    pub refused: Counter,
    /// Requests refused for what they are, in the order of [`HTTP_REASONS`].
    pub requests_refused: [Counter; HTTP_REASONS.len()],
    /// Requests that did not come in time.
    pub timed_out: Counter,
    /// Requests that could not be answered because the server behind did not.
    pub unavailable: Counter,
    /// Clients put out because they did not read their answer.
    pub evicted: Counter,
    /// Readers of the stream refused because `http.sse_clients` were there.
    pub streams_refused: Counter,
    /// Readers of the stream put out because they took nothing of what was there.
    pub streams_evicted: Counter,
    /// Connections that could not be accepted, because descriptors had run out.
    pub accept_errors: Counter,
    /// Changes refused, in the order of [`CHANGE_REASONS`]. These alone are the workers', of whom there are
    /// several.
    pub changes_refused: [AtomicU64; CHANGE_REASONS.len()],
}

/// Written by the publish thread.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct PublishCounters {
    /// Final results published.
    pub results: Counter,
    /// Dead letters kept.
    pub letters: Counter,
    /// SSE subscribers now (gauge).
    pub subscribers: Counter,
    /// SSE frames that a slow subscriber lost.
    pub frames_lost: Counter,
    /// SSE subscribers put out because they did not read.
    pub evicted: Counter,
    /// Alerts fired.
    pub alerts: Counter,
    /// Alerts resolved.
    pub alerts_resolved: Counter,
    /// Alerts that fire now (gauge).
    pub alerts_firing: Counter,
    /// Results for which an alert could not be told, because too many fire already.
    pub alerts_untracked: Counter,
    /// Of the results, revisions.
    pub revisions: Counter,
    /// Names forgotten because their windows had gone.
    pub names_swept: Counter,
}

/// One thread of the pipeline.
#[derive(Debug)]
pub struct ThreadMeter {
    /// Name, as `top -H` shows it.
    pub name: String,
    /// The core it was meant for.
    pub core: Option<usize>,
    pinned: AtomicBool,
    turns: Counter,
    busy_ns: Counter,
    slow_turns: Counter,
    rings: Vec<InputRing>,
}

/// A ring that a thread consumes.
#[derive(Debug)]
pub struct InputRing {
    /// What comes in it, with a number where several bring the same: `items-0`.
    pub name: String,
    /// How full it is and has been.
    pub gauge: Arc<Gauge>,
}

impl ThreadMeter {
    /// A meter for a thread that consumes `rings`.
    pub fn new(name: impl Into<String>, core: Option<usize>, rings: Vec<InputRing>) -> Self {
        Self {
            name: name.into(),
            core,
            pinned: AtomicBool::new(false),
            turns: Counter::default(),
            busy_ns: Counter::default(),
            slow_turns: Counter::default(),
            rings,
        }
    }

    /// Records one turn of the thread's loop.
    pub fn turn(&self, took_ns: u64, worked: bool) {
        self.turns.add(1);
        if worked {
            self.busy_ns.add(took_ns);
            if took_ns > crate::runtime::stage::SLOW_TURN_NS {
                self.slow_turns.add(1);
            }
        }
    }

    /// Records whether the kernel accepted the pinning.
    pub fn set_pinned(&self, pinned: bool) {
        self.pinned.store(pinned, Ordering::Relaxed);
    }

    /// Whether the thread is pinned to `core`.
    pub fn pinned(&self) -> bool {
        self.pinned.load(Ordering::Relaxed)
    }

    /// Turns of the thread's loop, those that found nothing to do included.
    pub fn turns(&self) -> u64 {
        self.turns.get()
    }

    /// Time spent in turns that did something, ns.
    pub fn busy_ns(&self) -> u64 {
        self.busy_ns.get()
    }

    /// Turns longer than [`crate::runtime::stage::SLOW_TURN_NS`].
    pub fn slow_turns(&self) -> u64 {
        self.slow_turns.get()
    }

    /// The rings that the thread consumes.
    pub fn rings(&self) -> &[InputRing] {
        &self.rings
    }

    /// Length, capacity and high-water mark of the thread's fullest input ring.
    pub fn ring(&self) -> (usize, usize, usize) {
        self.rings
            .iter()
            .map(|ring| (ring.gauge.len(), ring.gauge.capacity(), ring.gauge.high_water()))
            .max_by_key(|&(len, _, high)| (len, high))
            .unwrap_or((0, 0, 0))
    }
}

/// Everything that is counted, shared by all threads.
#[derive(Debug, Default)]
pub struct Telemetry {
    /// By lane.
    pub ingest: Vec<Arc<IngestCounters>>,
    /// By lane.
    pub parse: Vec<Arc<ParseCounters>>,
    /// By window thread.
    pub window: Vec<Arc<WindowCounters>>,
    /// The publish thread.
    pub publish: Arc<PublishCounters>,
    /// The gate of the HTTP port.
    pub http: Arc<HttpCounters>,
    /// The file of dead letters.
    pub letters: Arc<LetterCounters>,
    /// Main.
    pub control: ControlCounters,
    /// All threads, in the order of the flow.
    pub threads: Vec<Arc<ThreadMeter>>,
    /// Read buffers of all lanes together.
    pub buffers: u64,
}

impl WindowCounters {
    /// Counters for up to `types` event types and for `windows` windows.
    pub fn new(types: usize, windows: usize) -> Self {
        let counters = Self {
            applied: Counter::default(),
            late: Counter::default(),
            open_windows: Counter::default(),
            watermark_us: Counter::default(),
            types: counters(types),
            missed: counters(windows),
            late_lost: Counter::default(),
        };
        counters.watermark_us.set(i64::MIN as u64);
        counters
    }
}

/// One consistent reading of the event counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// See the contract: each event ends in exactly one of the next five.
    pub received: u64,
    /// Entered at least one window.
    pub applied: u64,
    /// A rule took it out.
    pub filtered: u64,
    /// Too late for every window.
    pub late: u64,
    /// By reason, in the order of [`Reject::ALL`].
    pub rejected: [u64; Reject::ALL.len()],
    /// Shed under overload.
    pub dropped: u64,
}

impl Events {
    /// Rejected events, all reasons.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.iter().sum()
    }

    /// Received and not yet ended.
    pub fn in_flight(&self) -> u64 {
        let ended = self.applied + self.filtered + self.late + self.rejected_total() + self.dropped;
        debug_assert!(ended <= self.received, "{self:?}");
        self.received.saturating_sub(ended)
    }
}

impl Telemetry {
    /// Reads the event counters against the flow.
    pub fn events(&self) -> Events {
        let mut events = Events::default();
        for window in &self.window {
            events.applied += window.applied.get();
            events.late += window.late.get();
        }
        for parse in &self.parse {
            events.filtered += parse.filtered.get();
            events.dropped += parse.dropped.get();
            for (sum, counter) in events.rejected.iter_mut().zip(&parse.rejected) {
                *sum += counter.get();
            }
        }
        for parse in &self.parse {
            events.received += parse.received.get();
        }
        events
    }

    /// Events applied under a number of a type, since the start: whatever names it had.
    pub fn of_type(&self, id: u32) -> u64 {
        self.window.iter().filter_map(|w| w.types.get(id as usize)).map(Counter::get).sum()
    }

    /// Events that came too late for a window.
    pub fn missed(&self, window: usize) -> u64 {
        self.window.iter().filter_map(|w| w.missed.get(window)).map(Counter::get).sum()
    }

    /// Events that the windows of a family lack because there were too many groups.
    pub fn no_room(&self, family: usize) -> u64 {
        self.parse.iter().filter_map(|p| p.no_room.get(family)).map(Counter::get).sum()
    }

    /// Sums one counter over the lanes.
    pub fn ingest_sum(&self, pick: impl Fn(&IngestCounters) -> &Counter) -> u64 {
        self.ingest.iter().map(|lane| pick(lane).get()).sum()
    }

    /// Sums one counter over the parse threads.
    pub fn parse_sum(&self, pick: impl Fn(&ParseCounters) -> &Counter) -> u64 {
        self.parse.iter().map(|lane| pick(lane).get()).sum()
    }
}
