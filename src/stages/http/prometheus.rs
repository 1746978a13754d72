//! `/metrics`: the counters as Prometheus text (version 0.0.4). Names, kinds and help come from
//! the catalog; label values come from the configuration or from the code: event keys never become labels.

use std::fmt::{Display, Write};
use std::sync::atomic::Ordering;

use super::Shared;
use crate::event::Reject;
use crate::event::frame::Violation;
use crate::runtime::names::Names;
use crate::runtime::ring::Gauge;
use crate::telemetry::catalog::{self, LATENCY_BOUNDS_S};
use crate::telemetry::process::Process;
use crate::telemetry::refusal::{CHANGE_REASONS, HTTP_REASONS, Refusal};

struct Text(String);

impl Text {
    /// Starts a metric of the catalog.
    fn metric(&mut self, name: &str) -> &mut Self {
        let Some(metric) = catalog::find(name) else {
            debug_assert!(false, "{name} is not in the catalog");
            return self;
        };
        let kind = metric.kind.as_str();
        self.line(format_args!("# HELP {name} {}", metric.help));
        self.line(format_args!("# TYPE {name} {kind}"))
    }

    fn line(&mut self, args: std::fmt::Arguments<'_>) -> &mut Self {
        let written = writeln!(self.0, "{args}");
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
        self
    }

    fn single(&mut self, name: &str, value: impl Display) {
        self.metric(name).line(format_args!("{name} {value}"));
    }

    /// A metric that is absent where its value cannot be had.
    fn optional(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.single(name, value);
        }
    }

    /// A metric with one label.
    fn each(
        &mut self,
        name: &str,
        label: &str,
        values: impl IntoIterator<Item = (impl Display, impl Display)>,
    ) {
        self.metric(name);
        for (key, value) in values {
            self.line(format_args!("{name}{{{label}=\"{key}\"}} {value}"));
        }
    }
}

/// The whole page.
pub fn render(shared: &Shared) -> String {
    let mut text = Text(String::with_capacity(16 * 1024));
    events(&mut text, shared);
    sockets(&mut text, shared);
    latency(&mut text, shared);
    threads(&mut text, shared);
    windows(&mut text, shared);
    keys(&mut text, shared);
    readers(&mut text, shared);
    daemon(&mut text, shared);
    process(&mut text, shared);
    text.0
}

fn events(text: &mut Text, shared: &Shared) {
    let t = &shared.telemetry;
    let events = t.events();
    text.single("flumen_events_received_total", events.received);
    text.single("flumen_events_applied_total", events.applied);
    text.single("flumen_events_filtered_total", events.filtered);
    text.single("flumen_events_late_total", events.late);
    let reasons = Reject::ALL.iter().map(|reason| reason.as_str());
    text.each("flumen_events_rejected_total", "reason", reasons.zip(events.rejected));
    text.each("flumen_events_dropped_total", "reason", [("overload", events.dropped)]);
    text.single("flumen_events_in_flight", events.in_flight());
    text.single("flumen_messages_received_total", t.parse_sum(|p| &p.messages));
    text.single("flumen_dead_letters_total", t.publish.letters.get());
    text.single("flumen_dead_letters_lost_total", t.parse_sum(|p| &p.letters_lost));
    text.single("flumen_dead_letters_written_total", t.letters.written.get());
    text.each("flumen_dead_letters_unwritten_total", "reason", t.letters.lost());
    text.single("flumen_fields_left_out_total", t.parse_sum(|p| &p.fields_left_out));
    text.single("flumen_unfinished_messages_closed_total", t.parse_sum(|p| &p.unfinished_closed));
    text.single("flumen_strings_left_out_total", t.parse_sum(|p| &p.strings_left_out));
}

fn sockets(text: &mut Text, shared: &Shared) {
    let t = &shared.telemetry;
    text.single("flumen_ingest_bytes_total", t.ingest_sum(|i| &i.bytes));
    text.single("flumen_connections", t.ingest_sum(|i| &i.open));
    text.single("flumen_connections_limit", shared.connections);
    text.single("flumen_connections_accepted_total", t.ingest_sum(|i| &i.accepted));
    text.single("flumen_connections_refused_total", t.ingest_sum(|i| &i.refused));
    text.single("flumen_connections_refused_by_address_total", t.ingest_sum(|i| &i.refused_by_address));
    text.single("flumen_connections_silent_closed_total", t.ingest_sum(|i| &i.silent_closed));
    let codes = Violation::CODES.iter().enumerate();
    let violations = codes.map(|(at, code)| (code, t.parse_sum(|p| &p.violations[at])));
    text.each("flumen_protocol_violations_total", "code", violations);
    let handshakes =
        Refusal::ALL.map(|why| (why.as_str(), t.ingest_sum(|i| &i.handshakes_refused[why.index()])));
    text.each("flumen_handshakes_refused_total", "reason", handshakes);
    text.single("flumen_backpressure_episodes_total", t.ingest_sum(|i| &i.backpressure));
    text.single("flumen_backpressure_lanes", t.ingest_sum(|i| &i.stopped));
    text.single("flumen_buffers_in_use", t.ingest_sum(|i| &i.buffers_in_use));
    text.single("flumen_buffers", t.buffers);
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
    let t = &shared.telemetry;
    let threads = || t.threads.iter();
    let busy_s = threads().map(|thread| (&thread.name, thread.busy_ns() as f64 / 1e9));
    text.each("flumen_thread_busy_seconds_total", "thread", busy_s);
    text.each("flumen_thread_turns_total", "thread", threads().map(|thread| (&thread.name, thread.turns())));
    let slow = threads().map(|thread| (&thread.name, thread.slow_turns()));
    text.each("flumen_thread_slow_turns_total", "thread", slow);
    text.single("flumen_threads_stalled", t.control.threads_stalled());
    let (memory_limit_bytes, memory_stops, memory_stopped) = t.control.memory();
    text.single("flumen_memory_limit_bytes", memory_limit_bytes);
    text.single("flumen_memory_stops_total", memory_stops);
    text.single("flumen_memory_stopped", memory_stopped);
    let mut rings = |name: &str, value: fn(&Gauge) -> usize| {
        text.metric(name);
        for (thread, ring) in
            threads().flat_map(|thread| thread.rings().iter().map(move |ring| (thread, ring)))
        {
            let labels = format!("thread=\"{}\",ring=\"{}\"", thread.name, ring.name);
            text.line(format_args!("{name}{{{labels}}} {}", value(&ring.gauge)));
        }
    };
    rings("flumen_ring_items", Gauge::len);
    rings("flumen_ring_capacity_items", Gauge::capacity);
    rings("flumen_ring_high_water_items", Gauge::high_water);
}

fn windows(text: &mut Text, shared: &Shared) {
    let t = &shared.telemetry;
    let watermark_us = t.window.iter().map(|w| w.watermark_us.get() as i64).min();
    let watermark_us = watermark_us.filter(|&us| us != i64::MIN);
    let now_us = shared.clock.now().wall_us;
    let seconds = |us: i64| us as f64 / 1e6;
    text.optional("flumen_watermark_timestamp_seconds", watermark_us.map(seconds));
    text.optional("flumen_watermark_lag_seconds", watermark_us.map(|us| seconds(now_us.saturating_sub(us))));
    let open =
        t.window.iter().enumerate().map(|(at, window)| (format!("window-{at}"), window.open_windows.get()));
    text.each("flumen_open_windows", "thread", open);
    text.single("flumen_results_published_total", t.publish.results.get());
    text.single("flumen_results_revised_total", t.publish.revisions.get());
    let names = || shared.windows.iter().map(|window| &window.name).enumerate();
    let missed = names().map(|(at, name)| (name, t.missed(at)));
    text.each("flumen_window_late_events_total", "window", missed);
    let no_room = names().map(|(at, name)| (name, t.no_room(shared.family_of[at])));
    text.each("flumen_window_no_room_events_total", "window", no_room);
    let lost = t.window.iter().map(|w| w.late_lost.get()).sum::<u64>();
    text.single("flumen_late_records_lost_total", lost);
}

fn keys(text: &mut Text, shared: &Shared) {
    let (names, settings) = (&shared.dictionary, shared.settings.get());
    let groups = names.groups.iter().map(Names::len).max().unwrap_or(0);
    let known = [
        ("source", names.sources.len(), settings.keys),
        ("type", names.types.len(), settings.event_types),
        ("field", names.fields.len(), settings.field_names),
        ("group", groups, settings.keys),
    ];
    text.each("flumen_keys", "kind", known.map(|(kind, len, _)| (kind, len)));
    text.each("flumen_keys_limit", "kind", known.map(|(kind, _, limit)| (kind, limit)));
    text.single("flumen_keys_forgotten_total", shared.telemetry.publish.names_swept.get());
}

fn readers(text: &mut Text, shared: &Shared) {
    let publish = &shared.telemetry.publish;
    text.single("flumen_alerts_fired_total", publish.alerts.get());
    text.single("flumen_alerts_resolved_total", publish.alerts_resolved.get());
    text.single("flumen_alerts_firing", publish.alerts_firing.get());
    text.single("flumen_alerts_untracked_total", publish.alerts_untracked.get());
    text.single("flumen_accept_errors_total", shared.telemetry.ingest_sum(|i| &i.accept_errors));
    let http = &shared.telemetry.http;
    text.single("flumen_http_connections", http.open.get());
    text.single("flumen_http_connections_limit", shared.http_connections);
    text.single("flumen_http_connections_accepted_total", http.accepted.get());
    text.single("flumen_http_connections_refused_total", http.refused.get());
    let refused = HTTP_REASONS.iter().zip(&http.requests_refused).map(|(why, n)| (why, n.get()));
    text.each("flumen_http_requests_refused_total", "reason", refused);
    text.single("flumen_http_timeouts_total", http.timed_out.get());
    let changes =
        CHANGE_REASONS.iter().zip(&http.changes_refused).map(|(why, n)| (why, n.load(Ordering::Relaxed)));
    text.each("flumen_http_changes_refused_total", "reason", changes);
    text.single("flumen_http_unavailable_total", http.unavailable.get());
    text.single("flumen_http_evictions_total", http.evicted.get());
    text.single("flumen_http_accept_errors_total", http.accept_errors.get());
    text.single("flumen_sse_subscribers", publish.subscribers.get());
    text.single("flumen_sse_subscribers_limit", shared.sse_clients);
    text.single("flumen_sse_refused_total", http.streams_refused.get());
    text.single("flumen_sse_frames_lost_total", publish.frames_lost.get());
    // Who takes nothing is put out by whoever notices first: the gate, or the ring before it.
    let evicted = publish.evicted.get() + shared.telemetry.http.streams_evicted.get();
    text.single("flumen_sse_evictions_total", evicted);
}

fn daemon(text: &mut Text, shared: &Shared) {
    let control = &shared.telemetry.control;
    let (succeeded, refused) = control.reloads();
    let reloads = [("success", succeeded), ("refused", refused)];
    text.each("flumen_config_reloads_total", "outcome", reloads);
    text.single("flumen_config_last_reload_successful", u8::from(control.last_reload_succeeded()));
    let success_s = control.last_success_us() as f64 / 1e6;
    text.single("flumen_config_last_reload_success_timestamp_seconds", success_s);
    let (version, rustc) = (env!("CARGO_PKG_VERSION"), env!("BUILT_WITH_RUSTC"));
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    text.metric("flumen_build_info").line(format_args!(
        "flumen_build_info{{version=\"{version}\",rustc=\"{rustc}\",profile=\"{profile}\"}} 1"
    ));
    text.single("flumen_uptime_seconds", shared.clock.mono_ns() as f64 / 1e9);
}

fn process(text: &mut Text, shared: &Shared) {
    let process = Process::read();
    text.optional("process_cpu_seconds_total", process.cpu_s);
    text.optional("process_resident_memory_bytes", process.resident_bytes);
    text.optional("process_virtual_memory_bytes", process.virtual_bytes);
    text.optional("process_open_fds", process.open_fds);
    text.optional("process_max_fds", process.max_fds);
    text.optional("process_threads", process.threads);
    // The daemon's own note: what /proc says of it needs the time of boot, which hardened units hide.
    text.single("process_start_time_seconds", shared.started_us as f64 / 1e6);
}
