//! What will run and what it may cost: configuration + machine → threads, cores, capacities, a
//! bound on memory. Pure; `pipeline.rs` only carries it out and `flumen check` prints it.

pub mod windows;

use std::fmt;
use std::sync::Arc;

use crate::config::{Config, Idle, Overload, Window};
use windows::{Route, WindowPlan};

use crate::message::{BUFFER_BYTES, Chunk, DeadLetter, Frame, Item, LateEvent, Reply, Report};
use crate::runtime::descriptors;

/// Bytes of all HTTP answers together that may wait for clients to read them.
pub const ANSWERS_BYTES: usize = 64 << 20;
/// Bytes of all frames together that may wait for readers of the event stream. From half of it on readers may
/// lag less, and who takes nothing is put out sooner.
pub const FRAMES_BYTES: usize = 64 << 20;
/// Frames a reader may be behind from then on.
pub const CROWDED_FRAMES: usize = 1_024;
/// Frames a reader of the event stream may be behind before it loses some: a window of some thousand groups
/// closes at once. The ring takes 64 KiB; the frames are shared by all.
pub const FRAMES: usize = 8_192;
/// Bytes that may wait for a reader of the event stream outside of its ring.
pub const STREAM_BYTES: usize = 64 << 10;
/// Chunks between ingest and parse: 128 full reads are 8 MiB, some 30,000 events.
pub const CHUNKS: usize = 128;
/// Unparsed bytes of a lane from which on only who has none among them is read: a turn of the parse thread, a
/// millisecond or two, which is what a client that sends flat out costs another.
pub const UNPARSED_BYTES: usize = 512 << 10;
/// Samples between a parse and a window thread: 16 B each; about 20,000 events.
pub const ITEMS: usize = 65_536;
/// Replies from parse to ingest.
pub const REPLIES: usize = 4_096;
/// Reports from a window thread to publish.
pub const REPORTS: usize = 1_024;
/// Results and merged slices of a window thread's turn: about a millisecond. What one message makes
/// due may be far more, and events are not to wait for it.
pub const SETTLE_PER_TURN: i64 = 512;
/// Dead letters from parse to publish.
pub const LETTERS: usize = 256;
/// Dead letters from publish to their file.
pub const FILED_LETTERS: usize = 4_096;
/// Late events from a window thread to publish. No more than publish takes in a turn: a sweep of
/// names counts on finding the ring empty.
pub const LATE: usize = 256;
/// New SSE subscribers from the gate to publish; more wait a moment.
pub const SUBSCRIBES: usize = 128;
/// Accepted sockets from lane 0 to another lane.
pub const HAND_OFF: usize = 1_024;

/// Descriptors of the daemon itself, with some to spare.
const OWN_DESCRIPTORS: usize = 64;
/// Descriptors of a lane: its poll and waker, and connections that are told that there are too many.
const LANE_DESCRIPTORS: usize = 80;
/// Descriptors of an HTTP connection: the client, both ends of the connection to the server behind, and
/// the copy of one of them that the server makes.
const PER_HTTP: usize = 4;

/// The machine, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Numbers of the cores this process may use.
    pub cores: Vec<usize>,
    /// Descriptors it may have open (the hard limit).
    pub descriptors: usize,
}

impl Machine {
    /// This machine. Call it before any thread is pinned: afterwards the calling thread's own
    /// set would be reported.
    pub fn detect() -> Self {
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        let cores = cores.into_iter().map(|core| core.id).collect();
        Self { cores, descriptors: descriptors::most() }
    }
}

/// What will run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Cores of the ingest threads, one a lane; `None`: not pinned.
    pub ingest: Vec<Option<usize>>,
    /// Cores of the parse threads, one a lane.
    pub parse: Vec<Option<usize>>,
    /// Cores of the window threads.
    pub window: Vec<Option<usize>>,
    /// Core of the publish thread. HTTP is never pinned.
    pub publish: Option<usize>,
    /// Read buffers of each lane: as many as its ring holds, and a round of reads.
    pub buffers_per_lane: usize,
    /// As [`UNPARSED_BYTES`]; where overload drops, nobody is held.
    pub unparsed_bytes: usize,
    /// Places for reports between a window thread and publish.
    pub reports: usize,
    /// Results and merged slices of a window thread's turn.
    pub settle_per_turn: i64,
    /// Ingest connections at most: `ingest.connections`, or fewer where descriptors are few.
    pub connections: usize,
    /// HTTP connections at most, likewise.
    pub http_connections: usize,
    /// Descriptors that all this may take.
    pub descriptors: usize,
    /// Whether idle threads poll instead of sleeping.
    pub spin: bool,
    /// The windows.
    pub windows: Vec<Window>,
    /// What may surprise, in words.
    pub notes: Vec<String>,
    /// The terms of the memory that rings, pools and history may take, bytes.
    pub memory: Vec<(&'static str, usize)>,
    /// What clients that do not read may hold up, as [`Plan::memory`].
    pub unread: Vec<(&'static str, usize)>,
}

impl Plan {
    /// Decides. A number of threads that is 0 is chosen from the cores: one lane and one window
    /// thread below 8 cores (three busy threads fill 2 to 4 cores; parsing is the narrow place),
    /// then a lane for every 4 cores and a window thread for every 8.
    pub fn new(config: &Config, machine: &Machine) -> Self {
        let cores = if config.threads.cores.is_empty() {
            machine.cores.clone()
        } else {
            config.threads.cores.clone()
        };
        let n = cores.len().max(1);
        let chosen = |wanted: usize, per: usize| match wanted {
            0 if n < 8 => 1,
            0 => (n / per).clamp(1, 16),
            wanted => wanted,
        };
        let lanes = chosen(config.threads.ingest, 4);
        let shards = chosen(config.threads.window, 8);
        // On two cores or one, pinning only keeps the kernel from waking a thread beside its waker
        // (docs/PERFORMANCE.md has the table); whoever names cores gets them.
        let pays = n > 2 || !config.threads.cores.is_empty();
        let pinned = config.threads.pin && pays && !cores.is_empty();
        let place = |at: usize| pinned.then(|| cores[at % cores.len()]);
        let mut plan = Self {
            ingest: Vec::new(),
            parse: Vec::new(),
            window: Vec::new(),
            publish: None,
            buffers_per_lane: CHUNKS + 16,
            unparsed_bytes: match config.ingest.overload {
                Overload::Block => UNPARSED_BYTES,
                Overload::Drop => usize::MAX,
            },
            reports: REPORTS,
            settle_per_turn: SETTLE_PER_TURN,
            connections: config.ingest.connections,
            http_connections: config.http.connections,
            descriptors: 0,
            spin: config.threads.idle == Idle::Spin,
            windows: config.windows.clone(),
            notes: Vec::new(),
            memory: Vec::new(),
            unread: Vec::new(),
        };
        if n <= 2 {
            // Parsing, the heaviest, gets a core of its own; everything else shares the other.
            let (rest, parse) = (place(0), place(1));
            plan.ingest = vec![rest; lanes];
            plan.parse = vec![parse; lanes];
            plan.window = vec![rest; shards];
            plan.publish = rest;
        } else {
            // Core after core down the pipeline; publish shares the first, which the kernel
            // uses for its own work as well.
            let mut next = 1;
            let mut take = || {
                let core = place(next);
                next = if next + 1 >= n { 1 } else { next + 1 };
                core
            };
            for _ in 0..lanes {
                plan.ingest.push(take());
                plan.parse.push(take());
            }
            plan.window = (0..shards).map(|_| take()).collect();
            plan.publish = place(0);
        }
        plan.memory = plan.memory_terms(config);
        plan.unread = unread_terms(config);
        plan.fit_descriptors(machine.descriptors);
        if config.threads.pin && !pays {
            plan.notes.push(format!(
                "{n} core{}: threads are left to the kernel, which wakes them where it is cheap; threads.cores pins them",
                if n == 1 { "" } else { "s" }
            ));
        }
        plan.note_cores(config, machine, n);
        let (lasting, limit) = (plan.lasting_bytes(), config.limits.memory);
        if limit > 0 && lasting > limit {
            plan.notes.push(format!(
                "rings, pools and history may take {} MiB of the {} MiB of limits.memory: reading could stop for good; \
                 publish.history_bytes is the largest part that can be made smaller",
                lasting >> 20,
                limit >> 20
            ));
        }
        if shards > 1 && WindowPlan::new(&config.windows).route == Route::First {
            plan.notes.push(String::from(
                "the session windows have no member of group_by in common, so that all events go to window-0; \
                 threads.window = 1 would save the other window threads",
            ));
        }
        plan
    }

    /// Cores that are not there, and too few for threads that never sleep; `n` are reckoned with.
    fn note_cores(&mut self, config: &Config, machine: &Machine, n: usize) {
        let missing = config.threads.cores.iter().filter(|core| !machine.cores.contains(core));
        let missing: Vec<_> = missing.map(usize::to_string).collect();
        if config.threads.pin && !machine.cores.is_empty() && !missing.is_empty() {
            self.notes.push(format!(
                "threads.cores names {}, which this process may not use (only {:?}): threads placed there will not \
                 be pinned",
                missing.join(", "),
                machine.cores
            ));
        }
        // HTTP sleeps all the same.
        let busy = self.ingest.len() + self.parse.len() + self.window.len() + 1;
        if self.spin && busy > n {
            self.notes.push(format!(
                "threads.idle = \"spin\" keeps {busy} threads busy, and there {} {n} core{}: they keep each other \
                 from working; \"park\" does not",
                if n == 1 { "is" } else { "are" },
                if n == 1 { "" } else { "s" }
            ));
        }
    }

    /// Reckons with descriptors. Where fewer may be had than all connections could take, HTTP keeps a
    /// quarter of them, so that whoever looks for the reason gets an answer.
    fn fit_descriptors(&mut self, most: usize) {
        let lanes = self.ingest.len();
        let own = OWN_DESCRIPTORS + lanes * LANE_DESCRIPTORS;
        self.descriptors = own + self.connections + PER_HTTP * self.http_connections;
        if self.descriptors <= most {
            return;
        }
        let left = most.saturating_sub(own);
        let http = self.http_connections.min(left / 4 / PER_HTTP).max(1);
        let ingest = self.connections.min(left.saturating_sub(PER_HTTP * http)).max(lanes);
        self.notes.push(format!(
            "{most} descriptors are allowed, and all connections could take {}: at most {ingest} connections \
             instead of ingest.connections = {}, and {http} instead of http.connections = {}; LimitNOFILE= or \
             ulimit -Hn allows more",
            self.descriptors, self.connections, self.http_connections
        ));
        (self.connections, self.http_connections) = (ingest, http);
    }

    fn memory_terms(&self, config: &Config) -> Vec<(&'static str, usize)> {
        let (lanes, shards) = (self.parse.len(), self.window.len());
        let filed = if config.deadletters.file.is_empty() { 0 } else { FILED_LETTERS };
        let filed = filed * (size_of::<DeadLetter>() + 1_024);
        let memory = Some(config.limits.memory).filter(|&bytes| bytes > 0).unwrap_or(usize::MAX);
        let unfinished = config.limits.unfinished_size.min(memory / 4);
        vec![
            ("read buffers", lanes * self.buffers_per_lane * BUFFER_BYTES),
            ("chunk rings", lanes * CHUNKS * size_of::<Chunk>()),
            ("sample rings", lanes * shards * ITEMS * size_of::<Item>()),
            ("reply rings", lanes * REPLIES * size_of::<Reply>()),
            ("report rings", shards * self.reports * size_of::<Report>()),
            ("dead letter rings", lanes * LETTERS * (size_of::<DeadLetter>() + 1_024)),
            ("dead letters for the file", filed),
            ("late event rings", shards * LATE * size_of::<LateEvent>()),
            ("history of results", config.publish.history_bytes),
            ("messages that have come in part", unfinished),
        ]
    }

    /// The bound on memory, bytes: rings, pools, history. Windows come on top (some KiB a field
    /// and open slice), and messages that arrive in pieces (at most `limits.message_size` a
    /// connection).
    pub fn memory_bytes(&self) -> usize {
        self.lasting_bytes() + self.unread.iter().map(|&(_, bytes)| bytes).sum::<usize>()
    }

    /// As [`Plan::memory_bytes`], without what clients hold up by not reading, who are put out.
    pub fn lasting_bytes(&self) -> usize {
        self.memory.iter().map(|&(_, bytes)| bytes).sum()
    }
}

/// What HTTP clients may have waiting.
fn unread_terms(config: &Config) -> Vec<(&'static str, usize)> {
    let reader = FRAMES * size_of::<Arc<Frame>>() + STREAM_BYTES;
    vec![
        ("answers that HTTP clients have not read", ANSWERS_BYTES),
        ("results that readers of the stream have not read", FRAMES_BYTES),
        ("readers of the stream", config.http.sse_clients * reader),
    ]
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = |core: &Option<usize>| match core {
            Some(core) => format!("core {core}"),
            None => "not pinned".to_owned(),
        };
        writeln!(f, "threads:")?;
        for (lane, (ingest, parse)) in self.ingest.iter().zip(&self.parse).enumerate() {
            writeln!(f, "  ingest-{lane}   {}", core(ingest))?;
            writeln!(f, "  parse-{lane}    {}", core(parse))?;
        }
        for (shard, window) in self.window.iter().enumerate() {
            writeln!(f, "  window-{shard}   {}", core(window))?;
        }
        writeln!(f, "  publish    {}", core(&self.publish))?;
        writeln!(f, "  http       not pinned")?;
        writeln!(f, "memory of rings, pools and history, at most:")?;
        for (what, bytes) in &self.memory {
            writeln!(f, "  {:>9} KiB  {what}", bytes / 1024)?;
        }
        writeln!(f, "  {:>9} KiB  together", self.lasting_bytes() / 1024)?;
        writeln!(f, "and until HTTP clients that do not read are put out:")?;
        for (what, bytes) in &self.unread {
            writeln!(f, "  {:>9} KiB  {what}", bytes / 1024)?;
        }
        writeln!(f, "  {:>9} KiB  in all", self.memory_bytes() / 1024)?;
        write!(f, "windows:")?;
        for window in &self.windows {
            write!(f, "\n  {window}")?;
        }
        for note in &self.notes {
            write!(f, "\nnote: {note}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
