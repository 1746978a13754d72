//! What was typed: defaults < file < `FLUMEN_*` environment < flags.
//!
//! Every option stands once, in [`options::OPTIONS`]: key, bounds, default, help and where it
//! goes. The file, the environment, the flags, the default file and the README's table all come
//! from there. Errors are collected, all of them, each with its place and what was expected.

mod alerts;
pub mod file;
pub mod options;
mod tables;
pub mod units;
pub mod windows;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::event::Member;
use crate::event::filter::Filter;

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
    /// `[limits]`
    pub limits: Limits,
    /// `[shutdown]`
    pub shutdown: Shutdown,
    /// `[log]`
    pub log: Log,
    /// `[[window]]`; at least one. The first is the live one.
    pub windows: Vec<Window>,
    /// `[[alert]]`
    pub alerts: Vec<Alert>,
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
    /// Patience with an upgrade request.
    pub handshake_timeout: Duration,
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

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one WebSocket message.
    pub message_size: usize,
    /// Events of one message.
    pub events_per_message: usize,
    /// Numeric fields and dimensions of one event.
    pub fields_per_event: usize,
    /// Levels of nesting of one event.
    pub nesting: usize,
    /// Distinct event types.
    pub event_types: usize,
    /// Distinct names of numeric fields.
    pub field_names: usize,
    /// Distinct sources.
    pub keys: usize,
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

/// Where the configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Sources<'a> {
    /// A TOML file.
    pub file: Option<&'a Path>,
    /// Variables whose names begin with `FLUMEN_`.
    pub env: Vec<(String, String)>,
    /// Flags by the key they set.
    pub flags: Vec<(&'static str, String)>,
}

/// Everything that is wrong, a line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Errors(pub Vec<String>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Errors {}

/// `FLUMEN_*` variables that are not options.
const OTHER_VARIABLES: &[&str] = &["FLUMEN_CONFIG"];

/// Puts the layers together.
pub fn load(sources: &Sources<'_>) -> Result<Config, Errors> {
    let mut config = Config::default();
    let mut errors = Errors::default();
    if let Some(path) = sources.file {
        match std::fs::read_to_string(path) {
            Ok(text) => file::apply(&mut config, &path.display().to_string(), &text, &mut errors),
            Err(error) => errors.0.push(format!("{}: {error}", path.display())),
        }
    }
    for (name, value) in &sources.env {
        if OTHER_VARIABLES.contains(&name.as_str()) {
            continue;
        }
        match options::by_variable(name) {
            Some(option) => {
                if let Err(expected) = option.set_text(&mut config, value) {
                    let key = option.key;
                    errors.0.push(format!("{name}={value}: {key}: expected {expected}"));
                }
            }
            None => {
                let known = options::OPTIONS.iter().map(options::Opt::variable);
                let hint = hint(name, known);
                errors.0.push(format!("{name}: unknown variable{hint}"));
            }
        }
    }
    for (key, value) in &sources.flags {
        let flag = key.replace('.', "-");
        match options::by_key(key).map(|option| option.set_text(&mut config, value)) {
            Some(Ok(())) => {}
            Some(Err(expected)) => errors.0.push(format!("--{flag}={value}: {key}: expected {expected}")),
            None => errors.0.push(format!("--{flag}: no such option")),
        }
    }
    if errors.0.is_empty() { Ok(config) } else { Err(errors) }
}

/// `; did you mean "..."?` for the nearest of the known names, if one is near.
fn hint(name: &str, known: impl Iterator<Item = impl AsRef<str>>) -> String {
    known
        .map(|known| (strsim::damerau_levenshtein(name, known.as_ref()), known))
        .min_by_key(|&(distance, _)| distance)
        .filter(|&(distance, _)| distance <= 2.max(name.len() / 3))
        .map(|(_, known)| format!("; did you mean {:?}?", known.as_ref()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
