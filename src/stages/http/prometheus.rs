//! `/metrics`: the counters as Prometheus text (version 0.0.4). Names, kinds and help come from
//! the catalog; event keys never become labels.

use std::fmt::Write;

use super::Shared;
use crate::event::Reject;
use crate::telemetry::catalog::{self, Kind, LATENCY_BOUNDS_S};

struct Text(String);

impl Text {
    /// Starts a metric of the catalog.
    fn metric(&mut self, name: &str) -> &mut Self {
        let Some(metric) = catalog::find(name) else {
            debug_assert!(false, "{name} is not in the catalog");
            return self;
        };
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name} {}", metric.help));
        self.line(format_args!("# TYPE {name} {kind}"))
    }

    fn line(&mut self, args: std::fmt::Arguments<'_>) -> &mut Self {
        let written = writeln!(self.0, "{args}");
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
        self
    }

    fn single(&mut self, name: &str, value: impl std::fmt::Display) {
        self.metric(name).line(format_args!("{name} {value}"));
    }
}

/// The whole page.
pub fn render(shared: &Shared) -> String {
    let mut text = Text(String::with_capacity(8 * 1024));
    events(&mut text, shared);
    sockets(&mut text, shared);
    latency(&mut text, shared);
    threads(&mut text, shared);
    windows(&mut text, shared);
    let names = &shared.dictionary;
    let groups: usize = names.groups.iter().map(|table| table.len()).sum();
    text.metric("flumen_keys")
        .line(format_args!("flumen_keys{{kind=\"source\"}} {}", names.sources.len()))
        .line(format_args!("flumen_keys{{kind=\"type\"}} {}", names.types.len()))
        .line(format_args!("flumen_keys{{kind=\"field\"}} {}", names.fields.len()))
        .line(format_args!("flumen_keys{{kind=\"group\"}} {}", groups));
    text.single("flumen_keys_forgotten_total", shared.telemetry.publish.names_swept.get());
    text.metric("flumen_build_info")
        .line(format_args!("flumen_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")));
    let uptime = shared.clock.mono_ns() as f64 / 1e9;
    text.single("flumen_uptime_seconds", uptime);
    text.0
}

fn events(text: &mut Text, shared: &Shared) {
    let t = &shared.telemetry;
    let events = t.events();
    text.single("flumen_events_received_total", events.received);
    text.single("flumen_events_applied_total", events.applied);
    text.single("flumen_events_filtered_total", events.filtered);
    text.single("flumen_events_late_total", events.late);
    text.metric("flumen_events_rejected_total");
    for (reason, n) in Reject::ALL.iter().zip(events.rejected) {
        text.line(format_args!("flumen_events_rejected_total{{reason=\"{}\"}} {n}", reason.as_str()));
    }
    text.metric("flumen_events_dropped_total")
        .line(format_args!("flumen_events_dropped_total{{reason=\"overload\"}} {}", events.dropped));
    text.single("flumen_events_in_flight", events.in_flight());
    text.single("flumen_messages_received_total", t.parse_sum(|p| &p.messages));
    text.single("flumen_dead_letters_lost_total", t.parse_sum(|p| &p.letters_lost));
}

fn sockets(text: &mut Text, shared: &Shared) {
    let t = &shared.telemetry;
    text.single("flumen_ingest_bytes_total", t.ingest_sum(|i| &i.bytes));
    text.single("flumen_connections", t.ingest_sum(|i| &i.open));
    text.single("flumen_connections_accepted_total", t.ingest_sum(|i| &i.accepted));
    text.single("flumen_connections_refused_total", t.ingest_sum(|i| &i.refused));
    text.single("flumen_backpressure_episodes_total", t.ingest_sum(|i| &i.backpressure));
    text.single("flumen_buffers_in_use", t.ingest_sum(|i| &i.buffers_in_use));
    text.single("flumen_buffers", t.buffers);
    text.single("flumen_results_published_total", t.publish.results.get());
    text.single("flumen_results_revised_total", t.publish.revisions.get());
    text.single("flumen_alerts_fired_total", t.publish.alerts.get());
    text.single("flumen_alerts_resolved_total", t.publish.alerts_resolved.get());
    text.single("flumen_alerts_firing", t.publish.alerts_firing.get());
    text.single("flumen_alerts_untracked_total", t.publish.alerts_untracked.get());
    text.single("flumen_sse_subscribers", t.publish.subscribers.get());
    text.single("flumen_sse_frames_lost_total", t.publish.frames_lost.get());
    text.single("flumen_sse_evictions_total", t.publish.evicted.get());
}

fn latency(text: &mut Text, shared: &Shared) {
    const NAME: &str = "flumen_processing_latency_seconds";
    let (counts, sum, count) = shared.board.rates().buckets;
    text.metric(NAME);
    for (bound, n) in LATENCY_BOUNDS_S.iter().zip(counts) {
        text.line(format_args!("{NAME}_bucket{{le=\"{bound}\"}} {n}"));
    }
    text.line(format_args!("{NAME}_bucket{{le=\"+Inf\"}} {count}"))
        .line(format_args!("{NAME}_sum {sum}"))
        .line(format_args!("{NAME}_count {count}"));
}

fn threads(text: &mut Text, shared: &Shared) {
    let threads = &shared.telemetry.threads;
    let mut each = |name: &str, value: &dyn Fn(usize) -> f64| {
        text.metric(name);
        for (at, thread) in threads.iter().enumerate() {
            text.line(format_args!("{name}{{thread=\"{}\"}} {}", thread.name, value(at)));
        }
    };
    let busy = |at: usize| threads[at].busy_ns() as f64 / 1e9;
    each("flumen_thread_busy_seconds_total", &busy);
    each("flumen_thread_slow_turns_total", &|at| threads[at].slow_turns() as f64);
    each("flumen_ring_items", &|at| threads[at].ring().0 as f64);
    each("flumen_ring_capacity_items", &|at| threads[at].ring().1 as f64);
    each("flumen_ring_high_water_items", &|at| threads[at].ring().2 as f64);
}

fn windows(text: &mut Text, shared: &Shared) {
    let windows = &shared.telemetry.window;
    text.metric("flumen_watermark_timestamp_seconds");
    let watermark_us = windows.iter().map(|w| w.watermark_us.get() as i64).min();
    if let Some(us) = watermark_us.filter(|&us| us != i64::MIN) {
        text.line(format_args!("flumen_watermark_timestamp_seconds {}", us as f64 / 1e6));
    }
    let mut each = |name: &str, value: &dyn Fn(usize) -> u64| {
        text.metric(name);
        for (at, window) in shared.windows.iter().enumerate() {
            text.line(format_args!("{name}{{window=\"{}\"}} {}", window.name, value(at)));
        }
    };
    let t = &shared.telemetry;
    each("flumen_window_late_events_total", &|at| t.missed(at));
    each("flumen_window_no_room_events_total", &|at| t.no_room(shared.family_of[at]));
    text.single("flumen_fields_left_out_total", t.parse_sum(|p| &p.fields_left_out));
    let lost = windows.iter().map(|w| w.late_lost.get()).sum::<u64>();
    text.single("flumen_late_records_lost_total", lost);
    text.metric("flumen_open_windows");
    for (at, window) in windows.iter().enumerate() {
        text.line(format_args!(
            "flumen_open_windows{{thread=\"window-{at}\"}} {}",
            window.open_windows.get()
        ));
    }
}
