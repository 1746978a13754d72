//! What the benches share: rounds, medians, the calibration, a daemon process.
//!
//! The machine is taken to be noisy: everything compared is run interleaved, round by round,
//! and reported as median and range, and as a ratio to `T`, the time one core needs to parse
//! the same event with serde_json into borrowed structs, measured in the same rounds.
//! Benches print; none of them judges.

#![allow(dead_code)]

pub mod daemon;
pub mod feeder;

use std::hint::black_box;
use std::time::Instant;

#[allow(unused_imports)]
pub use daemon::{Daemon, sched_ns};
use flumen::generate::sources::Sources;
use serde_json::{Value, json};

/// `--smoke`: a second or two, to see that it runs. `--json`: one machine-readable line.
pub struct Mode {
    pub smoke: bool,
    json: bool,
    /// `--only NAME`, any number of times: what the names of the subjects begin with.
    only: Vec<String>,
    bench: &'static str,
    rows: Vec<Value>,
}

impl Mode {
    pub fn from_args(bench: &'static str) -> Self {
        let has = |flag: &str| std::env::args().any(|a| a == flag);
        let mut only = Vec::new();
        let mut args = std::env::args();
        while let Some(arg) = args.next() {
            if arg == "--only" {
                only.extend(args.next());
            }
        }
        let mode = Self { smoke: has("--smoke"), json: has("--json"), only, bench, rows: Vec::new() };
        if !mode.json {
            let cores = std::thread::available_parallelism().map_or(0, usize::from);
            println!(
                "{bench}: {cores} cores{}",
                if mode.smoke { ", smoke run: figures mean nothing" } else { "" }
            );
        }
        mode
    }

    /// Whether a subject is to be measured.
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.starts_with(only.as_str()))
    }

    pub fn rounds(&self) -> usize {
        if self.smoke { 3 } else { 15 }
    }

    /// One line of the result.
    pub fn row(&mut self, name: &str, samples: &[f64], unit: &str, per_t: Option<f64>) {
        let (median, low, high) = spread(samples);
        if !self.json {
            let ratio = per_t.map_or(String::new(), |t| format!("  {:.2} T", median / t));
            println!("  {name:<46} {median:>10.2} {unit}  [{low:.2} .. {high:.2}]{ratio}");
        }
        self.rows.push(json!({
            "name": name, "median": median, "min": low, "max": high, "unit": unit,
            "ratio_to_t": per_t.map(|t| median / t),
        }));
    }

    pub fn note(&self, text: &str) {
        if !self.json {
            println!("  {text}");
        }
    }

    /// A result that is more than one figure: only `--json` shows it.
    pub fn push(&mut self, row: Value) {
        self.rows.push(row);
    }

    /// `finish` with more members, such as the conditions.
    pub fn finish_with(self, more: Value) {
        if self.json {
            let mut all = json!({ "bench": self.bench, "smoke": self.smoke, "rows": self.rows });
            if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
                all.extend(more);
            }
            println!("{all}");
        }
    }

    pub fn finish(self) {
        if self.json {
            println!("{}", json!({ "bench": self.bench, "smoke": self.smoke, "rows": self.rows }));
        }
    }
}

pub fn spread(samples: &[f64]) -> (f64, f64, f64) {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[sorted.len() / 2], sorted[0], sorted[sorted.len() - 1])
}

/// Runs all `subjects` once a round, interleaved; ns per item for each, by round.
pub fn interleave(rounds: usize, items: usize, subjects: &mut [(&str, &mut dyn FnMut())]) -> Vec<Vec<f64>> {
    let mut samples = vec![Vec::new(); subjects.len()];
    for _ in 0..rounds {
        for ((_, subject), samples) in subjects.iter_mut().zip(&mut samples) {
            let start = Instant::now();
            subject();
            samples.push(start.elapsed().as_nanos() as f64 / items as f64);
        }
    }
    samples
}

/// Events of the generator's mix, one by one.
pub fn events(n: usize) -> Vec<Vec<u8>> {
    let mut sources = Sources::new(100, 1);
    let now_us = wall_us();
    (0..n)
        .map(|_| {
            let mut event = Vec::new();
            sources.event(now_us, 0.0, &mut event);
            event
        })
        .collect()
}

pub fn wall_us() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap_or_default().as_micros() as u64
}

/// The calibration: serde_json into structs that borrow from the text.
#[derive(serde::Deserialize)]
struct Borrowed<'a> {
    #[serde(borrow)]
    source: std::borrow::Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: std::borrow::Cow<'a, str>,
    timestamp: Option<f64>,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(serde::Deserialize)]
struct Data<'a> {
    value: Option<f64>,
    duration: Option<f64>,
    amount: Option<f64>,
    items: Option<f64>,
    results: Option<f64>,
    cpu_percent: Option<f64>,
    memory_percent: Option<f64>,
    disk_io_read: Option<f64>,
    disk_io_write: Option<f64>,
    network_in: Option<f64>,
    network_out: Option<f64>,
    active_connections: Option<f64>,
    #[serde(borrow)]
    unit: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    user_id: Option<std::borrow::Cow<'a, str>>,
}

pub fn calibrate(events: &[Vec<u8>]) {
    for event in events {
        black_box(serde_json::from_slice::<Borrowed<'_>>(event).expect("the generator writes JSON"));
    }
}

/// `T` of this minute, ns per event.
pub fn measure_t(mode: &Mode) -> f64 {
    let events = events(20_000);
    let mut run = || calibrate(&events);
    let samples = interleave(mode.rounds(), events.len(), &mut [("T", &mut run)]);
    spread(&samples[0]).0
}

/// `T` while another core is as busy, ns per event. Two cores of a virtual machine may be two
/// threads of one real core, and then each is much slower beside the other.
pub fn measure_t_beside(mode: &Mode) -> f64 {
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let events = events(20_000);
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                calibrate(&events);
            }
        });
        let t = measure_t(mode);
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        t
    })
}

/// MessagePack of a JSON value.
pub fn pack(value: &Value, out: &mut Vec<u8>) {
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
