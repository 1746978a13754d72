//! Parsing, ns per event: every format beside serde_json's typed borrow (`T`), and JSON without
//! the scanner in front of serde_json.

mod support;

use std::hint::black_box;

use flumen::event::{Limits, Reader, time::TimestampUnit};
use support::{Mode, calibrate, events, interleave, spread};

const EVENTS: usize = 10_000;

const LIMITS: Limits = Limits {
    nesting: 32,
    fields_per_event: 256,
    events_per_message: 10_000,
    timestamp_unit: TimestampUnit::Auto,
};

fn reader() -> Reader {
    Reader::new(LIMITS)
}

fn read_all(reader: &mut Reader, messages: &[Vec<u8>]) {
    let mut events = 0;
    for message in messages {
        reader.read(message, &mut |outcome| {
            black_box(outcome.event.expect("the generator's events are good"));
            events += 1;
        });
    }
    assert_eq!(events, EVENTS);
}

/// MessagePack of JSON text.
fn pack(value: &serde_json::Value, out: &mut Vec<u8>) {
    use serde_json::Value;
    match value {
        Value::Null => out.push(0xc0),
        Value::Bool(b) => out.push(0xc2 + u8::from(*b)),
        Value::Number(n) => {
            out.push(0xcb);
            out.extend_from_slice(&n.as_f64().unwrap_or(0.0).to_be_bytes());
        }
        Value::String(s) => {
            out.push(0xd9);
            out.push(s.len() as u8);
            out.extend_from_slice(s.as_bytes());
        }
        Value::Array(list) => {
            out.push(0xdc);
            out.extend_from_slice(&(list.len() as u16).to_be_bytes());
            list.iter().for_each(|v| pack(v, out));
        }
        Value::Object(map) => {
            out.push(0xde);
            out.extend_from_slice(&(map.len() as u16).to_be_bytes());
            for (k, v) in map {
                pack(&Value::String(k.clone()), out);
                pack(v, out);
            }
        }
    }
}

fn main() {
    let mut mode = Mode::from_args("parse");
    let single = events(EVENTS);
    let join = |chunk: &[Vec<u8>], open: &str, sep: &str, close: &str| {
        let mut out = open.as_bytes().to_vec();
        out.extend_from_slice(&chunk.join(sep.as_bytes()));
        out.extend_from_slice(close.as_bytes());
        out
    };
    let arrays: Vec<_> = single.chunks(100).map(|c| join(c, "[", ",", "]")).collect();
    let lines: Vec<_> = single.chunks(100).map(|c| join(c, "", "\n", "")).collect();
    let packed: Vec<_> = single
        .iter()
        .map(|event| {
            let mut out = Vec::new();
            pack(&serde_json::from_slice(event).expect("JSON"), &mut out);
            out
        })
        .collect();
    let bytes = |messages: &[Vec<u8>]| messages.iter().map(Vec::len).sum::<usize>() / EVENTS;
    mode.note(&format!("{} B an event as JSON, {} B as MessagePack", bytes(&single), bytes(&packed)));
    let (mut a, mut b, mut c, mut d) = (reader(), reader(), reader(), reader());
    let mut slow = Reader::without_scanner(LIMITS);
    let mut slow_array = Reader::without_scanner(LIMITS);
    let mut slow_lines = Reader::without_scanner(LIMITS);
    let names = [
        "T: serde_json, typed borrow",
        "JSON, one a message",
        "JSON array of 100",
        "NDJSON of 100",
        "MessagePack map",
        "JSON, one a message, serde_json alone",
        "JSON array of 100, serde_json alone",
        "NDJSON of 100, serde_json alone",
    ];
    let samples = interleave(
        mode.rounds(),
        EVENTS,
        &mut [
            (names[0], &mut || calibrate(&single)),
            (names[1], &mut || read_all(&mut a, &single)),
            (names[2], &mut || read_all(&mut b, &arrays)),
            (names[3], &mut || read_all(&mut c, &lines)),
            (names[4], &mut || read_all(&mut d, &packed)),
            (names[5], &mut || read_all(&mut slow, &single)),
            (names[6], &mut || read_all(&mut slow_array, &arrays)),
            (names[7], &mut || read_all(&mut slow_lines, &lines)),
        ],
    );
    let t = spread(&samples[0]).0;
    for (name, samples) in names.iter().zip(&samples) {
        mode.row(name, samples, "ns/event", Some(t));
    }
    mode.finish();
}
