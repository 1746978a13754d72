//! The table of options: each stands here once.

use super::{Kind, Listed, Opt, Reload};
use crate::config::{Idle, LogForm, LogLevel, Overload, TimestampUnit, networks, web};
use crate::event::{MAX_NAME, MAX_STRING};

/// Origins of web pages.
const ORIGINS: Listed = Listed {
    what: "origins, or \"*\" for any,",
    example: "https://app.example.org",
    is_good: web::is_origin,
};
/// Addresses, alone or by network.
const NETWORKS: Listed =
    Listed { what: "IP addresses or networks", example: "192.0.2.0/24", is_good: networks::is_network };
/// Names of hosts.
const HOSTS: Listed =
    Listed { what: "host names without a port", example: "flumen.example.org", is_good: web::is_host };

const DAY_MS: u64 = 86_400_000;
const KIB: usize = 1 << 10;
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
        "ingest.connections_per_address",
        Kind::Whole(0, 1_000_000, place!(ingest.connections_per_address)),
        "Connections at most from one IPv4 address or one IPv6 network of 64 bits; one more is closed with 1008. 0: no limit.",
    ),
    opt(
        "ingest.trusted_addresses",
        Kind::Texts(&NETWORKS, place!(ingest.trusted_addresses)),
        "Addresses that ingest.connections_per_address does not count: this machine, and proxies, behind which all clients have one address.",
    ),
    opt(
        "ingest.handshake_timeout",
        Kind::Span(10, 600_000, place!(ingest.handshake_timeout)),
        "Patience with a client that has connected and not finished its upgrade request.",
    ),
    opt(
        "ingest.handshake_size",
        Kind::Size(KIB, 64 * KIB, place!(ingest.handshake_size)),
        "Longest upgrade request; a longer one gets 431.",
    ),
    opt(
        "ingest.ping_interval",
        Kind::Span(0, DAY_MS, place!(ingest.ping_interval)),
        "A connection on which nothing has come for this long is pinged; if nothing comes for as long again it is closed with 1001. 0s: never.",
    ),
    opt(
        "ingest.allowed_origins",
        Kind::Texts(&ORIGINS, place!(ingest.allowed_origins)),
        "Origins of the web pages that may send events; others get 403. Empty: those of loopback, and of the host they talk to, if that is an address or a name that http.allowed_hosts allows. What sends no Origin is no page and may.",
    ),
    opt(
        "http.listen",
        Kind::Address(place!(http.listen)),
        "Where results and the dashboard are. Keep it on loopback or behind a proxy.",
    ),
    opt("http.sse_clients", Kind::Whole(0, 10_000, place!(http.sse_clients)), "Event streams at most."),
    opt(
        "http.connections",
        Kind::Whole(1, 100_000, place!(http.connections)),
        "HTTP connections at most, event streams included; one more is answered 503.",
    ),
    opt(
        "http.request_timeout",
        Kind::Span(10, 600_000, place!(http.request_timeout)),
        "Patience with a client that has connected and not sent its whole request; then 408.",
    ),
    opt(
        "http.allowed_hosts",
        Kind::Texts(&HOSTS, place!(http.allowed_hosts)),
        "Names by which pages that send events, and clients that change something, may call this daemon, such as its name at a proxy; by others they get 403. Addresses, localhost and this machine's name are always allowed.",
    ),
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
    ).reloadable(),
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
        "deadletters.file",
        Kind::Path(place!(deadletters.file)),
        "Where rejected events are appended, each as a line of JSON; empty: nowhere.",
    ),
    opt(
        "deadletters.file_size",
        Kind::Size(4 << 10, 64 << 30, place!(deadletters.file_size)),
        "When the file would become longer it is put aside as FILE.1, FILE.1 as FILE.2, and so on.",
    ),
    opt(
        "deadletters.files",
        Kind::Whole(0, 1_000, place!(deadletters.files)),
        "Files that are kept besides; the oldest goes.",
    ),
    opt(
        "limits.message_size",
        Kind::Size(128, 64 * MIB, place!(limits.message_size)),
        "Longest WebSocket message; a longer one closes the connection with 1009.",
    ).reloadable(),
    opt(
        "limits.frame_size",
        Kind::Size(0, 64 * MIB, place!(limits.frame_size)),
        "Longest WebSocket frame, for messages that are sent in several; a longer one closes the connection with 1009. 0: as long as a message.",
    ).reloadable(),
    opt(
        "limits.unfinished_size",
        Kind::Size(64 << 10, 64 << 30, place!(limits.unfinished_size)),
        "Messages that have come only in part, of all connections together (one always has room, and a quarter of limits.memory is the most). What is over closes connections with 1013: first those whose message is large and has been coming for long.",
    ).reloadable(),
    opt(
        "limits.events_per_message",
        Kind::Whole(1, 1_000_000, place!(limits.events_per_message)),
        "Events in one message; the rest of a longer batch is one rejected event.",
    ).reloadable(),
    opt(
        "limits.fields_per_event",
        Kind::Whole(1, 4_096, place!(limits.fields_per_event)),
        "Numbers and strings in one event's `data` and `metadata`; members of any kind in them: four times as many, and 1024.",
    ).reloadable(),
    opt(
        "limits.nesting",
        Kind::Whole(4, 100, place!(limits.nesting)),
        "Levels of objects and arrays in one event.",
    ).reloadable(),
    opt(
        "limits.name_size",
        Kind::Size(16, MAX_NAME, place!(limits.name_size)),
        "Longest `source` and flattened name of a field; an event with a longer one is rejected. A longer `id` is left out.",
    ).reloadable(),
    opt(
        "limits.string_size",
        Kind::Size(1, MAX_STRING, place!(limits.string_size)),
        "Longest string of `data` and `metadata` to group and filter by; a longer one is left out of its event.",
    ).reloadable(),
    opt("limits.event_types", Kind::Whole(1, 65_535, place!(limits.event_types)), "Distinct event types.").may_shrink(),
    opt(
        "limits.field_names",
        Kind::Whole(1, 1_000_000, place!(limits.field_names)),
        "Distinct names of numeric fields at a time; what is over is left out of its event and counted.",
    ).reloadable(),
    opt(
        "limits.keys",
        Kind::Whole(1, 100_000_000, place!(limits.keys)),
        "Distinct sources at a time, and groups at a time of each grouping; what is over is rejected or counted.",
    ).reloadable(),
    opt(
        "limits.new_keys_per_second",
        Kind::Whole(0, 100_000_000, place!(limits.new_keys_per_second)),
        "New sources a second, and new groups a second of each grouping, as many at once; what is over is rejected or counted. 0: no limit.",
    ).reloadable(),
    opt(
        "limits.memory",
        Kind::Size(MIB, 64 << 40, place!(limits.memory)),
        "Resident memory at which reading stops until windows have closed; clients wait. 0: three quarters of what the machine or its control group has.",
    ).or_zero().reloadable(),
    opt(
        "rules.max_age",
        Kind::Span(0, 3_650 * DAY_MS, place!(rules.max_age)),
        "Events older than this, by their event time, are filtered; 0s: none are.",
    )
    .reloadable(),
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
    Opt { key, kind, help, reload: Reload::Restart, zero: false }
}

impl Opt {
    /// The same, taken over by a reload.
    const fn reloadable(self) -> Self {
        Self { reload: Reload::Takes, ..self }
    }

    /// The same, and 0 is good. A bound above it tells whoever means MiB and writes a bare number, which is bytes.
    const fn or_zero(self) -> Self {
        Self { zero: true, ..self }
    }

    /// The same, taken over by a reload if it is not above the value at the start.
    const fn may_shrink(self) -> Self {
        Self { reload: Reload::TakesLess, ..self }
    }
}
