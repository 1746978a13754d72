//! Where and when a bench ran: what its figures mean nothing without.

use std::process::Command;

use serde_json::{Value, json};

/// Cores, CPU, kernel, date and commit; what cannot be found out is null.
pub fn conditions() -> Value {
    let cpu = read("/proc/cpuinfo").and_then(|text| {
        let line = text.lines().find(|l| l.starts_with("model name"))?.to_owned();
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let now_us = i64::try_from(crate::support::wall_us()).unwrap_or(0);
    let date = flumen::event::time::format_rfc3339_us(now_us)[..10].to_owned();
    json!({
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "cpu": cpu,
        "kernel": read("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
        "load_average_before": read("/proc/loadavg").and_then(|t| t.split(' ').next()?.parse::<f64>().ok()),
        "date": date,
        "commit": commit(),
    })
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// The commit, `-dirty` when tracked files differ from it.
fn commit() -> Option<String> {
    let output = Command::new("git")
        .args(["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty", "--exclude=*"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
