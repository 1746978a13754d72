//! Every metric of `/metrics`, once: name, kind, help. The renderer refuses a name that is not
//! here, and the documentation is checked against this list.

/// Upper bounds of the latency histogram, seconds.
pub const LATENCY_BOUNDS_S: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// What kind of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Goes both ways.
    Gauge,
    /// Cumulative buckets, sum and count.
    Histogram,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Full name, with the unit as Prometheus wants it.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// One line.
    pub help: &'static str,
}

const fn metric(name: &'static str, kind: Kind, help: &'static str) -> Metric {
    Metric { name, kind, help }
}

use Kind::{Counter, Gauge, Histogram};

/// The catalog.
pub const METRICS: &[Metric] = &[
    metric("flumen_events_received_total", Counter, "Events taken out of frames."),
    metric("flumen_events_applied_total", Counter, "Events that entered at least one window."),
    metric("flumen_events_filtered_total", Counter, "Events that a filter rule took out."),
    metric("flumen_events_late_total", Counter, "Events too late for every window."),
    metric("flumen_events_rejected_total", Counter, "Events rejected, by reason."),
    metric("flumen_events_dropped_total", Counter, "Events shed under overload, by reason."),
    metric("flumen_events_in_flight", Gauge, "Events received that have not ended yet."),
    metric("flumen_messages_received_total", Counter, "WebSocket messages received."),
    metric("flumen_ingest_bytes_total", Counter, "Bytes read from ingest sockets."),
    metric("flumen_connections", Gauge, "Ingest connections open now."),
    metric("flumen_connections_accepted_total", Counter, "Ingest connections accepted."),
    metric("flumen_connections_refused_total", Counter, "Ingest connections refused at the limit."),
    metric(
        "flumen_backpressure_episodes_total",
        Counter,
        "Times that full rings stopped the reading of sockets.",
    ),
    metric("flumen_buffers_in_use", Gauge, "Read buffers travelling through the pipeline."),
    metric("flumen_buffers", Gauge, "Read buffers there are."),
    metric(
        "flumen_processing_latency_seconds",
        Histogram,
        "Time from socket read to applied, of every event.",
    ),
    metric("flumen_thread_busy_seconds_total", Counter, "Time a thread spent in turns that did something."),
    metric("flumen_thread_slow_turns_total", Counter, "Turns of a thread longer than 10 ms."),
    metric("flumen_ring_items", Gauge, "Items waiting in the fullest input ring of a thread."),
    metric("flumen_ring_capacity_items", Gauge, "Capacity of the fullest input ring of a thread."),
    metric(
        "flumen_ring_high_water_items",
        Gauge,
        "Most items ever waiting in the fullest input ring of a thread.",
    ),
    metric(
        "flumen_watermark_timestamp_seconds",
        Gauge,
        "The watermark, seconds since the epoch; absent before the first event.",
    ),
    metric("flumen_open_windows", Gauge, "Windows that hold events and have not closed, by window thread."),
    metric("flumen_results_published_total", Counter, "Results of windows published, revisions included."),
    metric(
        "flumen_results_revised_total",
        Counter,
        "Results that late events within the allowed lateness revised.",
    ),
    metric("flumen_window_late_events_total", Counter, "Events that came too late for a window, by window."),
    metric(
        "flumen_window_no_room_events_total",
        Counter,
        "Events that a window lacks because limits.keys allows no more groups, by window.",
    ),
    metric(
        "flumen_fields_left_out_total",
        Counter,
        "Numeric fields left out of their events because limits.field_names allows no more names.",
    ),
    metric(
        "flumen_late_records_lost_total",
        Counter,
        "Late events whose record found no room; they are counted all the same.",
    ),
    metric("flumen_keys_forgotten_total", Counter, "Names forgotten because their windows had gone."),
    metric("flumen_alerts_fired_total", Counter, "Alerts fired."),
    metric("flumen_alerts_resolved_total", Counter, "Alerts resolved."),
    metric("flumen_alerts_firing", Gauge, "Alerts that fire now."),
    metric(
        "flumen_alerts_untracked_total",
        Counter,
        "Results for which an alert would fire while too many do; it was not told.",
    ),
    metric(
        "flumen_dead_letters_lost_total",
        Counter,
        "Rejected events whose dead letter found no room; they are counted all the same.",
    ),
    metric("flumen_sse_subscribers", Gauge, "SSE subscribers connected now."),
    metric("flumen_sse_frames_lost_total", Counter, "SSE frames that slow subscribers lost."),
    metric("flumen_sse_evictions_total", Counter, "SSE subscribers put out because they did not read."),
    metric("flumen_keys", Gauge, "Distinct names known, by kind."),
    metric("flumen_build_info", Gauge, "Always 1; the version is a label."),
    metric("flumen_uptime_seconds", Gauge, "Time since the start."),
];

/// Finds a metric by its name.
pub fn find(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|m| m.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_say_their_kind() {
        for (at, m) in METRICS.iter().enumerate() {
            assert!(METRICS[..at].iter().all(|o| o.name != m.name), "{}", m.name);
            assert_eq!(m.name.ends_with("_total"), m.kind == Counter, "{}", m.name);
            assert!(m.help.ends_with('.'), "{}", m.name);
        }
    }
}
