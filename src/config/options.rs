//! The table of options: each stands here once.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use crate::event::Member;

use super::units::{format_duration, format_size, parse_duration, parse_size};
use super::{
    Alert, Config, Http, Idle, Ingest, Limits, Log, LogForm, LogLevel, Overload, Publish, Shutdown,
    Statistic, Threads, Time, TimestampUnit, Window, WindowKind,
};

/// One option.
pub struct Opt {
    /// `section.name`.
    pub key: &'static str,
    /// What it takes and where it goes.
    pub kind: Kind,
    /// One sentence.
    pub help: &'static str,
}

/// A value's type, bounds and place.
pub enum Kind {
    /// `host:port`.
    Address(fn(&mut Config) -> &mut SocketAddr),
    /// `true` or `false`.
    Bool(fn(&mut Config) -> &mut bool),
    /// A whole number within bounds.
    Whole(usize, usize, fn(&mut Config) -> &mut usize),
    /// Bytes within bounds.
    Size(usize, usize, fn(&mut Config) -> &mut usize),
    /// A duration within bounds, milliseconds.
    Span(u64, u64, fn(&mut Config) -> &mut Duration),
    /// One of some words: set by, and read as, its position.
    Word(&'static [&'static str], fn(&mut Config, usize), fn(&Config) -> usize),
    /// A list of core numbers.
    Cores(fn(&mut Config) -> &mut Vec<usize>),
}

/// A value as it stands in a file.
pub enum Raw<'a> {
    /// A string.
    Text(&'a str),
    /// A whole number's digits.
    Whole(&'a str),
    /// A boolean.
    Bool(bool),
    /// A list of whole numbers.
    List(Vec<&'a str>),
    /// Anything else.
    Other,
}

const DAY_MS: u64 = 86_400_000;
const MIB: usize = 1 << 20;

macro_rules! place {
    ($($field:ident).+) => {
        |config| &mut config.$($field).+
    };
}

/// All options, section by section.
pub static OPTIONS: &[Opt] = &[
    opt("ingest.listen", Kind::Address(place!(ingest.listen)), "Where events come in (WebSocket)."),
    opt(
        "ingest.overload",
        Kind::Word(
            &["block", "drop"],
            |c, at| c.ingest.overload = [Overload::Block, Overload::Drop][at],
            |c| c.ingest.overload as usize,
        ),
        "When the pipeline is full: stop reading (TCP backpressure), or count and drop.",
    ),
    opt(
        "ingest.connections",
        Kind::Whole(1, 1_000_000, place!(ingest.connections)),
        "Connections at most; one more is closed with 1013.",
    ),
    opt(
        "ingest.handshake_timeout",
        Kind::Span(10, 600_000, place!(ingest.handshake_timeout)),
        "Patience with a client that has connected and not finished its upgrade request.",
    ),
    opt(
        "http.listen",
        Kind::Address(place!(http.listen)),
        "Where results and the dashboard are. Keep it on loopback or behind a proxy.",
    ),
    opt("http.sse_clients", Kind::Whole(0, 10_000, place!(http.sse_clients)), "Event streams at most."),
    opt(
        "threads.ingest",
        Kind::Whole(0, 64, place!(threads.ingest)),
        "Lanes: an ingest and a parse thread each. 0: chosen from the cores.",
    ),
    opt(
        "threads.window",
        Kind::Whole(0, 64, place!(threads.window)),
        "Window threads. 0: chosen from the cores.",
    ),
    opt(
        "threads.pin",
        Kind::Bool(place!(threads.pin)),
        "Pin each thread to its core, from three cores on or to those named in threads.cores.",
    ),
    opt(
        "threads.cores",
        Kind::Cores(place!(threads.cores)),
        "Cores to use, in the order of placement. Empty: those the process may use.",
    ),
    opt(
        "threads.idle",
        Kind::Word(
            &["park", "spin"],
            |c, at| c.threads.idle = [Idle::Park, Idle::Spin][at],
            |c| c.threads.idle as usize,
        ),
        "How idle threads wait: asleep, or polling (only with a core for each thread).",
    ),
    opt(
        "time.timestamp_unit",
        Kind::Word(
            &["auto", "s", "ms", "us", "ns"],
            |c, at| {
                use TimestampUnit::{Auto, Micros, Millis, Nanos, Seconds};
                c.time.timestamp_unit = [Auto, Seconds, Millis, Micros, Nanos][at];
            },
            |c| c.time.timestamp_unit as usize,
        ),
        "How to read numbers in `timestamp`; auto tells units apart by magnitude.",
    ),
    opt(
        "time.watermark_delay",
        Kind::Span(0, DAY_MS, place!(time.watermark_delay)),
        "Disorder to wait for before a window closes.",
    ),
    opt(
        "time.max_future",
        Kind::Span(0, DAY_MS, place!(time.max_future)),
        "Events further ahead of the daemon's clock are rejected.",
    ),
    opt(
        "time.idle_timeout",
        Kind::Span(100, DAY_MS, place!(time.idle_timeout)),
        "After this much silence event time passes at the pace of wall time, so that the last windows close.",
    ),
    opt(
        "publish.live_interval",
        Kind::Span(10, 60_000, place!(publish.live_interval)),
        "How often the first window is published as it fills.",
    ),
    opt(
        "publish.history",
        Kind::Whole(1, 1_000_000, place!(publish.history)),
        "Closed results kept per window.",
    ),
    opt(
        "publish.history_bytes",
        Kind::Size(64 << 10, 64 << 30, place!(publish.history_bytes)),
        "Memory that all kept results may take.",
    ),
    opt(
        "limits.message_size",
        Kind::Size(128, 64 * MIB, place!(limits.message_size)),
        "Longest WebSocket message; a longer one closes the connection with 1009.",
    ),
    opt(
        "limits.events_per_message",
        Kind::Whole(1, 1_000_000, place!(limits.events_per_message)),
        "Events in one message; the rest of a longer batch is one rejected event.",
    ),
    opt(
        "limits.fields_per_event",
        Kind::Whole(1, 4_096, place!(limits.fields_per_event)),
        "Numbers and strings in one event's `data` and `metadata`.",
    ),
    opt(
        "limits.nesting",
        Kind::Whole(4, 100, place!(limits.nesting)),
        "Levels of objects and arrays in one event.",
    ),
    opt("limits.event_types", Kind::Whole(1, 65_535, place!(limits.event_types)), "Distinct event types."),
    opt(
        "limits.field_names",
        Kind::Whole(1, 1_000_000, place!(limits.field_names)),
        "Distinct names of numeric fields at a time; what is over is left out of its event and counted.",
    ),
    opt(
        "limits.keys",
        Kind::Whole(1, 100_000_000, place!(limits.keys)),
        "Distinct sources at a time, and groups at a time of each grouping; what is over is rejected or counted.",
    ),
    opt("shutdown.timeout", Kind::Span(100, 600_000, place!(shutdown.timeout)), "How long a drain may take."),
    opt(
        "log.level",
        Kind::Word(
            &["error", "warn", "info", "debug"],
            |c, at| c.log.level = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug][at],
            |c| c.log.level as usize,
        ),
        "The least severe lines that are logged.",
    ),
    opt(
        "log.format",
        Kind::Word(
            &["auto", "text", "journal", "json"],
            |c, at| c.log.format = [LogForm::Auto, LogForm::Text, LogForm::Journal, LogForm::Json][at],
            |c| c.log.format as usize,
        ),
        "How lines look; auto: with priorities where stderr goes to the journal, else for people.",
    ),
];

const fn opt(key: &'static str, kind: Kind, help: &'static str) -> Opt {
    Opt { key, kind, help }
}

/// The option of that key.
pub fn by_key(key: &str) -> Option<&'static Opt> {
    OPTIONS.iter().find(|option| option.key == key)
}

/// The option of that environment variable.
pub fn by_variable(name: &str) -> Option<&'static Opt> {
    OPTIONS.iter().find(|option| option.variable() == name)
}

impl Opt {
    /// `ingest.listen` → `FLUMEN_INGEST_LISTEN`.
    pub fn variable(&self) -> String {
        format!("FLUMEN_{}", self.key.replace('.', "_").to_uppercase())
    }

    /// The section of the file.
    pub fn section(&self) -> &'static str {
        self.key.split('.').next().unwrap_or(self.key)
    }

    /// The key within its section.
    pub fn name(&self) -> &'static str {
        self.key.split('.').nth(1).unwrap_or(self.key)
    }

    /// What the option takes, in words.
    pub fn expected(&self) -> String {
        match &self.kind {
            Kind::Address(_) => "an address such as \"127.0.0.1:8001\" (port 0 takes any)".to_owned(),
            Kind::Bool(_) => "true or false".to_owned(),
            Kind::Whole(min, max, _) => format!("a whole number from {min} to {max}"),
            Kind::Size(min, max, _) => {
                let (min, max) = (format_size(*min), format_size(*max));
                format!("a size from {min} to {max} such as \"64KiB\" or \"1MiB\"")
            }
            Kind::Span(min, max, _) => {
                let [min, max] = [min, max].map(|ms| format_duration(Duration::from_millis(*ms)));
                format!("a duration from {min} to {max} such as \"250ms\", \"5s\" or \"5m\"")
            }
            Kind::Word(words, _, _) => {
                let quoted: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
                format!("one of {}", quoted.join(", "))
            }
            Kind::Cores(_) => "a list of core numbers such as [0, 2]".to_owned(),
        }
    }

    /// Sets the option from a file's value; the error says what was expected.
    pub fn set(&self, config: &mut Config, raw: &Raw<'_>) -> Result<(), String> {
        self.try_set(config, raw).ok_or_else(|| self.expected())
    }

    /// Sets the option from text (environment, flags).
    pub fn set_text(&self, config: &mut Config, text: &str) -> Result<(), String> {
        let raw = match &self.kind {
            Kind::Bool(_) => text.parse().map_or(Raw::Other, Raw::Bool),
            Kind::Whole(..) => Raw::Whole(text),
            Kind::Cores(_) => {
                let inner = text.trim().trim_start_matches('[').trim_end_matches(']');
                Raw::List(inner.split(',').map(str::trim).filter(|s| !s.is_empty()).collect())
            }
            _ => Raw::Text(text),
        };
        self.set(config, &raw)
    }

    fn try_set(&self, config: &mut Config, raw: &Raw<'_>) -> Option<()> {
        match (&self.kind, raw) {
            (Kind::Address(place), Raw::Text(text)) => *place(config) = address(text)?,
            (Kind::Bool(place), Raw::Bool(value)) => *place(config) = *value,
            (Kind::Whole(min, max, place), Raw::Whole(text)) => {
                let value = text.replace('_', "").parse().ok()?;
                *place(config) = (*min..=*max).contains(&value).then_some(value)?;
            }
            (Kind::Size(min, max, place), Raw::Text(text) | Raw::Whole(text)) => {
                let value = parse_size(text)?;
                *place(config) = (*min..=*max).contains(&value).then_some(value)?;
            }
            (Kind::Span(min, max, place), Raw::Text(text)) => {
                let value = parse_duration(text)?;
                let bounds = Duration::from_millis(*min)..=Duration::from_millis(*max);
                *place(config) = bounds.contains(&value).then_some(value)?;
            }
            (Kind::Word(words, set, _), Raw::Text(text)) => {
                set(config, words.iter().position(|word| word == text)?);
            }
            (Kind::Cores(place), Raw::List(list)) => {
                let cores: Result<_, _> = list.iter().map(|text| text.parse()).collect();
                *place(config) = cores.ok()?;
            }
            _ => return None,
        }
        Some(())
    }

    /// The option's value as it would stand in a file.
    pub fn show(&self, config: &Config) -> String {
        // The places are given for writing; a copy serves for reading.
        let mut copy = config.clone();
        match &self.kind {
            Kind::Address(place) => format!("\"{}\"", place(&mut copy)),
            Kind::Bool(place) => place(&mut copy).to_string(),
            Kind::Whole(_, _, place) => place(&mut copy).to_string(),
            Kind::Size(_, _, place) => format!("\"{}\"", format_size(*place(&mut copy))),
            Kind::Span(_, _, place) => format!("\"{}\"", format_duration(*place(&mut copy))),
            Kind::Word(words, _, at) => format!("\"{}\"", words[at(config)]),
            Kind::Cores(place) => format!("{:?}", place(&mut copy)),
        }
    }
}

fn address(text: &str) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| text.to_socket_addrs().ok()?.next())
}

/// The defaults.
pub(super) fn defaults() -> Config {
    let seconds = Duration::from_secs;
    let alert = |name: &str, statistic, above, level: &str, message: &str| Alert {
        name: name.to_owned(),
        window: "realtime".to_owned(),
        field: "value".to_owned(),
        statistic,
        above: Some(above),
        below: None,
        hold: Duration::ZERO,
        level: level.to_owned(),
        message: message.to_owned(),
    };
    Config {
        ingest: Ingest {
            listen: SocketAddr::from(([127, 0, 0, 1], 8000)),
            overload: Overload::Block,
            connections: 10_000,
            handshake_timeout: seconds(5),
        },
        http: Http { listen: SocketAddr::from(([127, 0, 0, 1], 8001)), sse_clients: 256 },
        threads: Threads { ingest: 0, window: 0, pin: true, cores: Vec::new(), idle: Idle::Park },
        time: Time {
            timestamp_unit: TimestampUnit::Auto,
            watermark_delay: seconds(5),
            max_future: seconds(60),
            idle_timeout: seconds(10),
        },
        publish: Publish {
            live_interval: Duration::from_millis(250),
            history: 1_000,
            history_bytes: 64 * MIB,
        },
        limits: Limits {
            message_size: MIB,
            events_per_message: 10_000,
            fields_per_event: 256,
            nesting: 32,
            event_types: 1_024,
            field_names: 4_096,
            keys: 1_000_000,
        },
        shutdown: Shutdown { timeout: seconds(10) },
        log: Log { level: LogLevel::Info, format: LogForm::Auto },
        windows: vec![
            Window::new("realtime", WindowKind::Tumbling { size: seconds(10) }),
            Window::new("minute", WindowKind::Tumbling { size: seconds(60) }),
            Window::new("sliding", WindowKind::Sliding { size: seconds(300), slide: seconds(60) }),
            Window {
                group_by: vec![Member::Source],
                ..Window::new("session", WindowKind::Session { gap: seconds(300) })
            },
        ],
        alerts: vec![
            alert(
                "high-sensor-value",
                Statistic::Max,
                80.0,
                "warning",
                "High sensor value detected: {value:.1}",
            ),
            alert("high-variance", Statistic::Std, 10.0, "info", "High variance detected: σ={value:.1}"),
        ],
    }
}

/// The options as a Markdown table, for the README (a test compares).
pub fn markdown_table() -> String {
    let defaults = Config::default();
    let mut table = String::from("| key | default | what |\n| --- | --- | --- |\n");
    for option in OPTIONS {
        table.push_str(&format!(
            "| `{}` | `{}` | {} Takes {}. |\n",
            option.key,
            option.show(&defaults),
            option.help,
            option.expected()
        ));
    }
    table
}

/// A configuration file with every option at its default, explained (a test reads it back).
pub fn default_toml() -> String {
    let defaults = Config::default();
    let mut text = String::from(
        "# flumen: every option, at its default. Each has an environment variable as well:\n\
         # ingest.listen is FLUMEN_INGEST_LISTEN.\n",
    );
    let mut section = "";
    for option in OPTIONS {
        if option.section() != section {
            section = option.section();
            text.push_str(&format!("\n[{section}]\n"));
        }
        text.push_str(&format!(
            "# {} Takes {}.\n{} = {}\n",
            option.help,
            option.expected(),
            option.name(),
            option.show(&defaults)
        ));
    }
    text.push_str(super::windows::DEFAULT_TOML);
    text
}
