//! What is told of the daemon and its process.

use super::Kind::{Counter, Gauge};
use super::{Metric, metric};

/// The second part of the catalog.
pub const DAEMON: &[Metric] = &[
    // The daemon.
    metric(
        "flumen_config_reloads_total",
        Counter,
        &["outcome"],
        "Reloads by SIGHUP, by outcome: success or refused (the old configuration stays).",
        "increase(flumen_config_reloads_total[1h])",
    ),
    metric(
        "flumen_config_last_reload_successful",
        Gauge,
        &[],
        "1 if the last reload succeeded or there was none, 0 if it was refused.",
        "flumen_config_last_reload_successful == 0",
    ),
    metric(
        "flumen_config_last_reload_success_timestamp_seconds",
        Gauge,
        &[],
        "When a configuration was last taken over (the start is the first time), seconds since the epoch.",
        "time() - flumen_config_last_reload_success_timestamp_seconds",
    ),
    metric(
        "flumen_build_info",
        Gauge,
        &["version", "rustc", "profile"],
        "Always 1; how the program was built is in the labels.",
        "count by (version) (flumen_build_info)",
    ),
    metric("flumen_uptime_seconds", Gauge, &[], "Time since the start.", "flumen_uptime_seconds"),
    // The process, from /proc/self.
    metric(
        "process_cpu_seconds_total",
        Counter,
        &[],
        "User and system CPU time spent.",
        "rate(process_cpu_seconds_total[1m])",
    ),
    metric("process_resident_memory_bytes", Gauge, &[], "Resident memory.", "process_resident_memory_bytes"),
    metric("process_virtual_memory_bytes", Gauge, &[], "Virtual memory.", ""),
    metric("process_open_fds", Gauge, &[], "Open file descriptors.", "process_open_fds / process_max_fds"),
    metric("process_max_fds", Gauge, &[], "File descriptors allowed.", ""),
    metric("process_threads", Gauge, &[], "Threads of the process.", "process_threads"),
    metric(
        "process_start_time_seconds",
        Gauge,
        &[],
        "When the daemon started, seconds since the epoch.",
        "changes(process_start_time_seconds[15m])",
    ),
];
