//! Windows: ns per event by number of windows and sources, closing on the way; and closing and
//! merging by themselves.

mod support;

use std::time::Instant;

use flumen::aggregate::{Aggregate, Projection};
use flumen::runtime::clock::Now;
use flumen::windowing::engine::Engine;
use flumen::windowing::watermark::Watermark;
use flumen::windowing::{Budget, Family, Kind, Layout, Sample, Spec};
use support::Mode;

const EVENTS: usize = 100_000;
const SECOND_US: i64 = 1_000_000;

fn engine(windows: &[Kind], family: Family) -> Engine {
    let spec = |&kind: &Kind| Spec { kind, family: 0, lateness_us: 0, show: Projection::default() };
    let layout =
        Layout { families: vec![family], windows: windows.iter().map(spec).collect(), started_us: None };
    Engine::new(layout, Watermark::new(5 * SECOND_US, 10 * SECOND_US))
}

fn tumbling(windows: i64) -> Vec<Kind> {
    let size = |n| Kind::Aligned { size_us: 10 * n * SECOND_US, slide_us: 10 * n * SECOND_US };
    (1..=windows).map(size).collect()
}

const SLIDING: Kind = Kind::Aligned { size_us: 300 * SECOND_US, slide_us: 60 * SECOND_US };
const SESSION: Kind = Kind::Session { gap_us: 300 * SECOND_US };

/// `EVENTS` events over 20 s of event time, in chunks of 200 as they would arrive.
fn fill(engine: &mut Engine, sources: u32, start_us: i64) {
    let mut closed = Vec::new();
    let mut sample = Sample::default();
    for n in 0..EVENTS {
        let time_us = start_us + n as i64 * 20 * SECOND_US / EVENTS as i64;
        if n % 200 == 0 {
            engine.begin(Now { mono_ns: (time_us * 1_000) as u64, wall_us: time_us }, 0);
            while !engine.settle(&mut Budget::new(4_096), &mut closed) {}
            closed.clear();
        }
        sample.begin(time_us, (n as u32).wrapping_mul(2_654_435_761) % sources, (n % 3) as u16);
        sample.fields.push((0, (n % 977) as f64));
        if n % 5 < 4 {
            sample.fields.push((1, (n % 31) as f64));
        }
        engine.event(&sample);
        if n % 200 == 199 {
            engine.mark(time_us);
            engine.settle(&mut Budget::new(4_096), &mut closed);
        }
    }
}

fn main() {
    let mut mode = Mode::from_args("window");
    let t = support::measure_t(&mode);
    mode.note(&format!("T = {t:.0} ns"));
    let cases = [
        ("1 window, 100 sources", tumbling(1), Family::All, 100),
        ("2 windows, 100 sources", tumbling(2), Family::All, 100),
        ("10 windows, 100 sources", tumbling(10), Family::All, 100),
        ("100 windows, 100 sources", tumbling(100), Family::All, 100),
        ("2 windows, 100,000 sources", tumbling(2), Family::All, 100_000),
        ("sliding 300 s by 60 s, 100 sources", vec![SLIDING], Family::All, 100),
        ("2 windows grouped by 100 sources", tumbling(2), Family::Source, 100),
        ("2 windows grouped by 100,000 sources", tumbling(2), Family::Source, 100_000),
        ("sessions of 100 sources", vec![SESSION], Family::Source, 100),
        ("sessions of 100,000 sources", vec![SESSION], Family::Source, 100_000),
    ];
    let mut engines: Vec<(Engine, i64)> = cases.iter().map(|c| (engine(&c.1, c.2), 0)).collect();
    let mut samples = vec![Vec::new(); cases.len()];
    // Interleaved; each round goes on where the last one stopped, so windows close on the way.
    // The first rounds only warm up.
    for round in 0..mode.rounds() + 2 {
        for (((engine, at_us), case), samples) in engines.iter_mut().zip(&cases).zip(&mut samples) {
            let start = Instant::now();
            fill(engine, case.3, *at_us);
            *at_us += 20 * SECOND_US;
            if round >= 2 {
                samples.push(start.elapsed().as_nanos() as f64 / EVENTS as f64);
            }
        }
    }
    for ((name, ..), samples) in cases.iter().zip(&samples) {
        mode.row(name, samples, "ns/event", Some(t));
    }
    closing(&mut mode);
    merging(&mut mode);
    mode.finish();
}

/// A window of many groups closes, and its results are let go.
fn closing(mode: &mut Mode) {
    for groups in if mode.smoke { vec![100, 10_000] } else { vec![100, 10_000, 100_000, 1_000_000] } {
        let mut samples = Vec::new();
        let mut engine = engine(&tumbling(1), Family::Source);
        let mut closed = Vec::new();
        let mut sample = Sample::default();
        for round in 0..if mode.smoke { 2 } else { 6 } {
            let start_us = round * 20 * SECOND_US;
            let moment = |time_us: i64| Now { mono_ns: (time_us * 1_000) as u64, wall_us: time_us };
            engine.begin(moment(start_us + 9 * SECOND_US), 0);
            while !engine.settle(&mut Budget::new(4_096), &mut closed) {}
            closed.clear();
            for source in 0..groups {
                sample.begin(start_us, source, 0);
                sample.fields.push((0, f64::from(source)));
                engine.event(&sample);
            }
            engine.mark(start_us + 9 * SECOND_US);
            sample.begin(start_us + 19 * SECOND_US, 0, 0);
            engine.begin(moment(start_us + 19 * SECOND_US), 0);
            engine.event(&sample);
            engine.mark(start_us + 19 * SECOND_US);
            let start = Instant::now();
            let mut results = 0;
            while !engine.settle(&mut Budget::new(256), &mut closed) {
                results += closed.len();
                closed.clear();
            }
            results += closed.len();
            closed.clear();
            // The first round closes less, and warms up.
            if round > 0 {
                assert!(results >= groups as usize, "{results} results of {groups} groups");
                samples.push(start.elapsed().as_nanos() as f64 / results as f64);
            }
        }
        mode.row(&format!("closing {groups} groups"), &samples, "ns/group", None);
    }
}

/// Two parts of a result: of two fields and a hundred sources, with so many values.
fn merging(mode: &mut Mode) {
    for values in [10, 1_000, 100_000] {
        let mut part = Aggregate::default();
        for n in 0..values {
            part.begin_event(n % 100, (n % 3) as u16);
            part.record_field(0, f64::from(n % 977));
            part.record_field(1, f64::from(n % 31));
        }
        let times = 200;
        let merge = || {
            let mut whole = part.clone();
            (0..times).for_each(|_| whole.merge(&part));
            std::hint::black_box(whole.event_count());
        };
        let mut samples = Vec::new();
        for _ in 0..mode.rounds() {
            let start = Instant::now();
            merge();
            samples.push(start.elapsed().as_nanos() as f64 / f64::from(times));
        }
        mode.row(&format!("merging parts of {values} events"), &samples, "ns", None);
    }
}
