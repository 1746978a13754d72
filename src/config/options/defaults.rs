//! The defaults.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::{
    Alert, Config, DeadLetters, Http, Idle, Ingest, Limits, Log, LogForm, LogLevel, Overload, Publish, Rules,
    Shutdown, Statistic, Threads, Time, TimestampUnit, Window, WindowKind,
};
use crate::event::{self, Member};

/// The defaults.
pub(in crate::config) fn defaults() -> Config {
    let (seconds, usual) = (Duration::from_secs, event::Limits::USUAL);
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
            connections_per_address: 1_000,
            trusted_addresses: vec!["127.0.0.0/8".to_owned(), "::1".to_owned()],
            handshake_timeout: seconds(5),
            handshake_size: 16 << 10,
            ping_interval: seconds(30),
            allowed_origins: Vec::new(),
        },
        http: Http {
            listen: SocketAddr::from(([127, 0, 0, 1], 8001)),
            sse_clients: 256,
            connections: 1_024,
            request_timeout: seconds(5),
            allowed_hosts: Vec::new(),
        },
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
            history_bytes: 64 << 20,
        },
        deadletters: DeadLetters { file: String::new(), file_size: 16 << 20, files: 4 },
        limits: Limits {
            message_size: 1 << 20,
            frame_size: 0,
            unfinished_size: 64 << 20,
            events_per_message: usual.events_per_message,
            fields_per_event: usual.fields_per_event,
            nesting: usual.nesting,
            name_size: usual.name_size,
            string_size: usual.string_size,
            event_types: 1_024,
            field_names: 4_096,
            keys: 1_000_000,
            new_keys_per_second: 100_000,
            memory: 0,
        },
        rules: Rules { max_age: Duration::ZERO },
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
        filters: Vec::new(),
    }
}
