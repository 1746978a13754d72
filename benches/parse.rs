//! Parsing, ns per event: every format beside serde_json's typed borrow (`T`), and JSON without
//! the scanner in front of serde_json.

mod support;

use std::hint::black_box;

use flumen::event::{Limits, Reader};
use support::{Mode, calibrate, events, interleave, pack, spread};

const EVENTS: usize = 10_000;

fn reader() -> Reader {
    Reader::new(Limits::USUAL)
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
    let (mut bare, mut bare_packed) = (reader().with_strings(false), reader().with_strings(false));
    let mut slow = Reader::without_scanner(Limits::USUAL);
    let mut slow_array = Reader::without_scanner(Limits::USUAL);
    let mut slow_lines = Reader::without_scanner(Limits::USUAL);
    let mut run_t = || calibrate(&single);
    let mut run_a = || read_all(&mut a, &single);
    let mut run_bare = || read_all(&mut bare, &single);
    let mut run_b = || read_all(&mut b, &arrays);
    let mut run_c = || read_all(&mut c, &lines);
    let mut run_d = || read_all(&mut d, &packed);
    let mut run_bare_packed = || read_all(&mut bare_packed, &packed);
    let mut run_slow = || read_all(&mut slow, &single);
    let mut run_slow_array = || read_all(&mut slow_array, &arrays);
    let mut run_slow_lines = || read_all(&mut slow_lines, &lines);
    let mut subjects: Vec<(&str, &mut dyn FnMut())> = vec![
        ("T: serde_json, typed borrow", &mut run_t),
        ("JSON, one a message", &mut run_a),
        ("JSON, one a message, strings not asked for", &mut run_bare),
        ("JSON array of 100", &mut run_b),
        ("NDJSON of 100", &mut run_c),
        ("MessagePack map", &mut run_d),
        ("MessagePack map, strings not asked for", &mut run_bare_packed),
        ("serde_json alone: JSON, one a message", &mut run_slow),
        ("serde_json alone: JSON array of 100", &mut run_slow_array),
        ("serde_json alone: NDJSON of 100", &mut run_slow_lines),
    ];
    subjects.retain(|(name, _)| name.starts_with("T:") || mode.wants(name));
    let names: Vec<&str> = subjects.iter().map(|s| s.0).collect();
    let samples = interleave(mode.rounds(), EVENTS, &mut subjects);
    let t = spread(&samples[0]).0;
    for (name, samples) in names.iter().zip(&samples) {
        mode.row(name, samples, "ns/event", Some(t));
    }
    mode.finish();
}
