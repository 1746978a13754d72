//! `/api/stats`: the prototype's members, and what flumen adds.

use serde_json::{Map, Value, json};

use super::board::Board;
use crate::event::Reject;
use crate::event::time::format_rfc3339_us;
use crate::message::BUFFER_BYTES;
use crate::runtime::clock::Now;
use crate::runtime::names::Dictionary;
use crate::telemetry::counters::{Events, Telemetry};

/// The event counters as JSON, all reasons named.
fn events_json(events: &Events) -> Value {
    let reasons: Map<String, Value> = Reject::ALL
        .iter()
        .zip(events.rejected)
        .map(|(reason, n)| (reason.as_str().to_owned(), n.into()))
        .collect();
    json!({
        "received": events.received,
        "applied": events.applied,
        "filtered": events.filtered,
        "late": events.late,
        "rejected": events.rejected_total(),
        "rejected_by_reason": reasons,
        "dropped": events.dropped,
        "dropped_by_reason": { "overload": events.dropped },
        "in_flight": events.in_flight(),
    })
}

/// The whole document.
pub fn stats_json(t: &Telemetry, board: &Board, names: &Dictionary, now: Now) -> String {
    let events = t.events();
    let rates = board.rates();
    let in_use = t.ingest_sum(|i| &i.buffers_in_use);
    let high_water = t.ingest_sum(|i| &i.buffers_high_water);
    let capacity = t.buffers;
    let types: Map<String, Value> = (0..names.types.numbers())
        .filter_map(|id| {
            let (name, count) = names.types.counted(id, || t.of_type(id))?;
            (count > 0).then(|| (name.to_string(), count.into()))
        })
        .collect();
    let top: Vec<Value> = rates
        .top_sources
        .iter()
        .map(|(source, count)| json!({ "source": &**source, "count": count }))
        .collect();
    let threads: Vec<Value> = t
        .threads
        .iter()
        .enumerate()
        .map(|(at, thread)| {
            let (len, capacity, high_water_mark) = thread.ring();
            json!({
                "name": thread.name,
                "core": thread.core,
                "pinned": thread.pinned(),
                "busy": round(rates.busy.get(at).copied().unwrap_or(0.0), 4),
                "slow_turns": thread.slow_turns(),
                "ring": { "len": len, "capacity": capacity, "high_water_mark": high_water_mark },
            })
        })
        .collect();
    json!({
        "processor": {
            "total_events": events.received,
            "events_per_second": round(rates.events_per_second, 1),
            "bytes_processed": t.ingest_sum(|i| &i.bytes),
            "processing_time_ms": round(rates.processing_time_ms, 4),
            "error_count": events.rejected_total(),
            "backpressure_events": t.ingest_sum(|i| &i.backpressure),
            "latency_ms": {
                "p50": round(rates.latency.p50, 4),
                "p90": round(rates.latency.p90, 4),
                "p99": round(rates.latency.p99, 4),
                "p999": round(rates.latency.p999, 4),
                "max": round(rates.latency.max, 4),
            },
        },
        "buffer": {
            "current_size": in_use,
            "capacity": capacity,
            "unit_bytes": BUFFER_BYTES,
            "utilization": ratio(in_use, capacity),
            "total_added": events.received,
            "total_dropped": events.dropped,
            "high_water_mark": high_water,
            "drop_rate": ratio(events.dropped, events.received),
        },
        "events": events_json(&events),
        "event_types": types,
        "top_sources": top,
        "connections": t.ingest_sum(|i| &i.open),
        "threads": threads,
        "sse_subscribers": t.publish.subscribers.get(),
        "timestamp": format_rfc3339_us(now.wall_us),
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": round(now.mono_ns as f64 / 1e9, 3),
    })
    .to_string()
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}
