//! Windows: ns per event by number of windows and sources, and the cost of closing.

mod support;

use flumen::runtime::clock::Now;
use flumen::windowing::Spec;
use flumen::windowing::engine::Engine;
use flumen::windowing::watermark::Watermark;
use support::{Mode, interleave};

const EVENTS: usize = 100_000;
const SECOND_US: i64 = 1_000_000;

fn engine(windows: i64) -> Engine {
    let specs: Vec<Spec> = (1..=windows).map(|n| Spec { size_us: 10 * n * SECOND_US }).collect();
    Engine::new(&specs, Watermark::new(5 * SECOND_US, 10 * SECOND_US))
}

/// `EVENTS` events over 20 s of event time, in chunks of 200 as they would arrive.
fn fill(engine: &mut Engine, sources: u32, start_us: i64) {
    let mut closed = Vec::new();
    for n in 0..EVENTS {
        let time_us = start_us + n as i64 * 20 * SECOND_US / EVENTS as i64;
        if n % 200 == 0 {
            engine.begin(Now { mono_ns: (time_us * 1_000) as u64, wall_us: time_us }, &mut closed);
        }
        engine.event(time_us, (n as u32).wrapping_mul(2_654_435_761) % sources, (n % 3) as u16);
        engine.field(0, (n % 977) as f64);
        if n % 5 < 4 {
            engine.field(1, (n % 31) as f64);
        }
        if n % 200 == 199 {
            engine.mark(time_us);
        }
    }
}

fn main() {
    let mut mode = Mode::from_args("window");
    let t = support::measure_t(&mode);
    mode.note(&format!("T = {t:.0} ns"));
    let cases = [
        ("1 window, 100 sources", 1, 100),
        ("2 windows, 100 sources", 2, 100),
        ("10 windows, 100 sources", 10, 100),
        ("100 windows, 100 sources", 100, 100),
        ("2 windows, 100,000 sources", 2, 100_000),
    ];
    let mut engines: Vec<(Engine, i64)> = cases.iter().map(|c| (engine(c.1), 0)).collect();
    for _ in 0..mode.rounds() {
        // Each round goes on where the last one stopped: windows close on the way.
        for ((engine, at), case) in engines.iter_mut().zip(&cases) {
            fill(engine, case.2, *at);
            *at += 20 * SECOND_US;
        }
    }
    let mut subjects: Vec<(&str, Box<dyn FnMut()>)> = engines
        .into_iter()
        .zip(&cases)
        .map(|((mut engine, mut at), &(name, _, sources))| {
            let run: Box<dyn FnMut()> = Box::new(move || {
                fill(&mut engine, sources, at);
                at += 20 * SECOND_US;
            });
            (name, run)
        })
        .collect();
    let mut borrowed: Vec<(&str, &mut dyn FnMut())> =
        subjects.iter_mut().map(|(n, f)| (*n, f.as_mut() as _)).collect();
    let samples = interleave(mode.rounds(), EVENTS, &mut borrowed);
    for ((name, ..), samples) in cases.iter().zip(&samples) {
        mode.row(name, samples, "ns/event", Some(t));
    }
    mode.finish();
}
