//! What was typed: defaults < file < `FLUMEN_*` environment < flags.
//!
//! Every option stands once, in [`options::OPTIONS`]: key, bounds, help, where it goes and what a
//! reload does with it. The file, the environment, the flags, the default file, the manual page and
//! the README's table all come from there; what tables of the file take is in [`tables`]. Errors are
//! collected, all of them, each with its place and what was expected. Where each value came from is
//! noted when it is set ([`Origins`]).

mod alerts;
pub mod effective;
pub mod entries;
mod file;
mod filters;
mod layers;
pub mod networks;
pub mod options;
mod read;
pub mod tables;
mod together;
pub mod units;
pub mod web;
mod windows;

use std::net::SocketAddr;
use std::time::Duration;

use crate::event::Member;
use crate::event::filter::Filter;
use crate::event::rules;
pub use layers::{Errors, Flag, Given, Loaded, Origin, Origins, Sources, load, load_text};

/// The configuration, complete and within bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[ingest]`
    pub ingest: Ingest,
    /// `[http]`
    pub http: Http,
    /// `[threads]`
    pub threads: Threads,
    /// `[time]`
    pub time: Time,
    /// `[publish]`
    pub publish: Publish,
    /// `[deadletters]`
    pub deadletters: DeadLetters,
    /// `[limits]`
    pub limits: Limits,
    /// `[rules]`
    pub rules: Rules,
    /// `[shutdown]`
    pub shutdown: Shutdown,
    /// `[log]`
    pub log: Log,
    /// `[[window]]`; at least one. The first is the live one.
    pub windows: Vec<Window>,
    /// `[[alert]]`
    pub alerts: Vec<Alert>,
    /// `[[filter]]`
    pub filters: Vec<rules::Filter>,
}

impl Config {
    /// The rules that events are filtered by.
    pub fn event_rules(&self) -> rules::Rules {
        let age = self.rules.max_age;
        rules::Rules {
            filters: self.filters.clone(),
            max_age_seconds: (!age.is_zero()).then_some(age.as_secs_f64()),
        }
    }
}

/// `[ingest]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingest {
    /// Where events come in.
    pub listen: SocketAddr,
    /// What to do when the pipeline is full.
    pub overload: Overload,
    /// Connections at most.
    pub connections: usize,
    /// Connections at most from one address; 0: no limit.
    pub connections_per_address: usize,
    /// Networks whose addresses have no limit of their own: `10.0.0.1`, `10.0.0.0/8`.
    pub trusted_addresses: Vec<String>,
    /// Patience with an upgrade request.
    pub handshake_timeout: Duration,
    /// Bytes of an upgrade request.
    pub handshake_size: usize,
    /// Silence after which a connection is pinged; zero: never.
    pub ping_interval: Duration,
    /// Origins of the pages that may send events; empty: those of own hosts they talk to, and of loopback.
    pub allowed_origins: Vec<String>,
}

/// What to do when the pipeline is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overload {
    /// Stop reading: clients feel TCP backpressure.
    Block,
    /// Count and drop.
    Drop,
}

/// `[http]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Where results are.
    pub listen: SocketAddr,
    /// SSE streams at most.
    pub sse_clients: usize,
    /// Connections at most.
    pub connections: usize,
    /// Patience with a request.
    pub request_timeout: Duration,
    /// Names of this daemon, beside addresses, localhost and the machine's name.
    pub allowed_hosts: Vec<String>,
}

/// `[threads]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Threads {
    /// Lanes; 0: chosen from the cores.
    pub ingest: usize,
    /// Window threads; 0: chosen from the cores.
    pub window: usize,
    /// Whether threads are pinned.
    pub pin: bool,
    /// Cores to use; empty: all that the process may use.
    pub cores: Vec<usize>,
    /// How idle threads wait.
    pub idle: Idle,
}

/// How idle threads wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// They sleep and are woken.
    Park,
    /// They poll; only with a core for each thread.
    Spin,
}

/// `[time]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Time {
    /// How to read numbers in `timestamp`.
    pub timestamp_unit: TimestampUnit,
    /// Disorder to wait for.
    pub watermark_delay: Duration,
    /// How far event time may be ahead of the daemon's clock.
    pub max_future: Duration,
    /// Silence that counts as the passing of event time.
    pub idle_timeout: Duration,
}

/// How to read numbers in `timestamp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampUnit {
    /// By magnitude.
    Auto,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds.
    Nanos,
}

/// `[publish]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// How often the first window is published as it fills.
    pub live_interval: Duration,
    /// Results kept per window.
    pub history: usize,
    /// Bytes that all kept results may take.
    pub history_bytes: usize,
}

/// `[deadletters]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetters {
    /// Where they are appended; empty: nowhere.
    pub file: String,
    /// Bytes of the file before it is put aside.
    pub file_size: usize,
    /// Files that are kept besides.
    pub files: usize,
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one WebSocket message.
    pub message_size: usize,
    /// Bytes of one WebSocket frame; 0: as many as a message has.
    pub frame_size: usize,
    /// Bytes of messages that have come in part, of all connections.
    pub unfinished_size: usize,
    /// Events of one message.
    pub events_per_message: usize,
    /// Numeric fields and dimensions of one event.
    pub fields_per_event: usize,
    /// Levels of nesting of one event.
    pub nesting: usize,
    /// Bytes of a `source`, a flattened name and an `id`.
    pub name_size: usize,
    /// Bytes of a string that becomes a dimension.
    pub string_size: usize,
    /// Distinct event types.
    pub event_types: usize,
    /// Distinct names of numeric fields.
    pub field_names: usize,
    /// Distinct sources.
    pub keys: usize,
    /// New sources, and new groups of each grouping, a second; 0: as many as come.
    pub new_keys_per_second: usize,
    /// Resident memory of the process, bytes; 0: three quarters of what there is.
    pub memory: usize,
}

/// `[rules]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Older events are filtered; zero: none are.
    pub max_age: Duration,
}

/// `[shutdown]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// How long a drain may take.
    pub timeout: Duration,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// What is said.
    pub level: LogLevel,
    /// How it is said.
    pub format: LogForm,
}

/// The least severe lines that are said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

/// How lines of the log look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogForm {
    /// For the journal if stderr goes there, else text.
    Auto,
    /// For people.
    Text,
    /// With the priority in front, `<4>`.
    Journal,
    /// An object a line.
    Json,
}

/// One `[[window]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Unique; letters, digits, `_` and `-`.
    pub name: String,
    /// Its kind.
    pub kind: WindowKind,
    /// A result for each combination of these; empty: one for all events.
    pub group_by: Vec<Member>,
    /// How long after its end late events still revise a result.
    pub allowed_lateness: Duration,
    /// `where`: which events it sees; `None`: all.
    pub filter: Option<Filter>,
    /// The numeric fields it shows, flattened names; `None`: all.
    pub fields: Option<Vec<String>>,
    /// Dimensions whose distinct values are counted.
    pub distinct: Vec<Member>,
}

impl Window {
    /// A window of all events, in one group, with all fields.
    pub fn new(name: impl Into<String>, kind: WindowKind) -> Self {
        Self {
            name: name.into(),
            kind,
            group_by: Vec::new(),
            allowed_lateness: Duration::ZERO,
            filter: None,
            fields: None,
            distinct: Vec::new(),
        }
    }
}

/// The kind of a window. Durations are whole milliseconds, at most 7 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowKind {
    /// `[start, end)`, aligned to the epoch, one after the other.
    Tumbling {
        /// How long one is.
        size: Duration,
    },
    /// `[start, end)`, aligned to the epoch, overlapping.
    Sliding {
        /// How long one is.
        size: Duration,
        /// From one start to the next; at most the size.
        slide: Duration,
    },
    /// `[first, last + gap)` of events that are at most the gap apart.
    Session {
        /// The gap.
        gap: Duration,
    },
}

impl WindowKind {
    /// The contract's name of it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tumbling { .. } => "tumbling",
            Self::Sliding { .. } => "sliding",
            Self::Session { .. } => "session",
        }
    }

    /// How long after the end of a result the next one of its group ends at the earliest, if it
    /// comes without a pause.
    pub fn step(self) -> Duration {
        match self {
            Self::Tumbling { size } => size,
            Self::Sliding { slide, .. } => slide,
            Self::Session { gap } => gap,
        }
    }
}

/// One `[[alert]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// What it is called.
    pub name: String,
    /// The window whose final results it looks at.
    pub window: String,
    /// The numeric field.
    pub field: String,
    /// Of that field.
    pub statistic: Statistic,
    /// Fires above this ...
    pub above: Option<f64>,
    /// ... or below this; exactly one is given.
    pub below: Option<f64>,
    /// `for`: how long it has to be so, in event time, before the alert fires; zero: at once.
    pub hold: Duration,
    /// `info`, `warning` or `critical`.
    pub level: String,
    /// A text with `{value}`, `{value:.1}`, `{threshold}`, `{group}`, `{window}`, `{field}`, `{name}`.
    pub message: String,
}

/// A statistic of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Statistic {
    Count,
    Sum,
    Min,
    Max,
    Avg,
    Std,
    P50,
    P95,
    P99,
}

impl Default for Config {
    fn default() -> Self {
        options::defaults()
    }
}

#[cfg(test)]
mod tests;
