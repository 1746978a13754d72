//! The errors of the sketches, as tables: `cargo test --test sketch_errors -- --nocapture`.
//!
//! Quantiles against the sorted values, over distributions that are kind and unkind; distinct
//! counts and heavy hitters against exact counting. Every row must stay inside the documented
//! bound, and parts must merge to the very same answers.

use std::collections::HashMap;

use flumen::aggregate::distinct::{EXACT, RELATIVE_STANDARD_ERROR, hash};
use flumen::aggregate::quantile::{EXACT_VALUES, RELATIVE_ERROR};
use flumen::aggregate::top::CAPACITY;
use flumen::aggregate::{Distinct, FieldStats, Top};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, LogNormal, Normal, Pareto, Zipf};

const RANKS: [f64; 13] = [0.0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0];
const SIZES: [usize; 4] = [16, 17, 1_000, 100_000];

type Draw = Box<dyn FnMut(usize, &mut SmallRng) -> f64>;

fn from<D: Distribution<f64> + 'static>(distribution: D) -> Draw {
    Box::new(move |_, rng| distribution.sample(rng))
}

fn distributions() -> Vec<(&'static str, Draw)> {
    let normal = |mean, std| Normal::new(mean, std).unwrap();
    let (low, high) = (normal(20.0, 1.0), normal(80.0, 5.0));
    let lognormal = LogNormal::new(3.0, 2.0).unwrap();
    let small = normal(0.0, 1e-300);
    vec![
        ("uniform", Box::new(|_, rng| rng.random_range(0.0..100.0))),
        ("normal", from(normal(50.0, 5.0))),
        ("lognormal", from(lognormal)),
        ("pareto", from(Pareto::new(1.0, 0.5).unwrap())),
        ("bimodal", Box::new(move |_, rng| if rng.random() { low } else { high }.sample(rng))),
        ("constant", Box::new(|_, _| 0.1)),
        ("signed", from(normal(0.0, 1_000.0))),
        ("negative", Box::new(move |_, rng| -lognormal.sample(rng))),
        ("integers", Box::new(|_, rng| f64::from(rng.random_range(-20..200)))),
        (
            "many zeros",
            Box::new(|_, rng| if rng.random_bool(0.6) { 0.0 } else { rng.random_range(-1.0..1.0) }),
        ),
        ("tiny", Box::new(move |_, rng| small.sample(rng))),
        ("subnormal", Box::new(|_, rng| f64::from_bits(rng.random_range(0..1 << 40)))),
        ("huge", Box::new(|_, rng| rng.random_range(-1.0..1.0) * 1.7e308)),
        ("all magnitudes", Box::new(|_, rng| 10f64.powf(rng.random_range(-300.0..300.0)))),
        ("ascending", Box::new(|n, _| n as f64 * 0.37 - 100.0)),
        ("descending", Box::new(|n, _| 1e6 - n as f64 * 0.37)),
        // The first bucket of an octave is the widest in proportion.
        (
            "worst buckets",
            Box::new(|n, rng| (1.0 + rng.random_range(0.0..1.0 / 64.0)) * 2f64.powi(n as i32 % 40)),
        ),
    ]
}

fn stats(values: &[f64]) -> FieldStats {
    let mut stats = FieldStats::default();
    values.iter().for_each(|&value| stats.record(value));
    stats
}

/// Relative; infinite if 0 was missed.
fn error(got: f64, exact: f64) -> f64 {
    if got == exact { 0.0 } else { ((got - exact) / exact).abs() }
}

#[test]
fn quantiles() {
    println!("{:<16} {:>8} {:>11} {:>7} {:>12}", "quantiles", "values", "worst error", "at", "sketch bytes");
    let mut rng = SmallRng::seed_from_u64(2026);
    for (name, mut draw) in distributions() {
        for n in SIZES {
            let values: Vec<f64> = (0..n).map(|at| draw(at, &mut rng)).collect();
            let whole = stats(&values);
            let mut merged = FieldStats::default();
            values.chunks(n.div_ceil(7)).for_each(|part| merged.merge(&stats(part)));
            let mut sorted = values;
            sorted.sort_by(f64::total_cmp);
            let mut worst = (0.0, 0.0);
            for q in RANKS {
                let exact = sorted[(q * (n - 1) as f64).floor() as usize];
                let got = whole.quantile(q).unwrap();
                assert_eq!(merged.quantile(q), Some(got), "{name} {n} {q}: merged parts");
                let error = error(got, exact);
                if error > worst.0 {
                    worst = (error, q);
                }
            }
            let bytes = size_of_val(&whole.quantiles) + whole.quantiles.heap_bytes();
            println!("{name:<16} {n:>8} {:>9.4} % {:>7} {bytes:>12}", worst.0 * 100.0, worst.1);
            let bound = if n <= EXACT_VALUES { 0.0 } else { RELATIVE_ERROR };
            assert!(worst.0 <= bound, "{name} {n}: {worst:?}");
        }
    }
}

#[test]
fn distinct_counts() {
    println!("{:<16} {:>8} {:>11} {:>9}", "distinct", "values", "estimate", "error");
    for n in [1, 100, EXACT, EXACT + 1, 2_000, 10_000, 100_000, 1_000_000] {
        let mut distinct = Distinct::default();
        for at in 0..n {
            distinct.record(hash(&format!("user_{at}")));
        }
        let error = distinct.count() as f64 / n as f64 - 1.0;
        println!("{:<16} {n:>8} {:>11} {:>7.3} %", "", distinct.count(), error * 100.0);
        let bound = if n <= EXACT { 0.0 } else { 4.0 * RELATIVE_STANDARD_ERROR };
        assert!(error.abs() <= bound, "{n}: {error}");
    }
}

#[test]
fn heavy_hitters() {
    println!(
        "{:<16} {:>8} {:>9} {:>14} {:>11}",
        "top sources", "sources", "events", "worst too low", "bound n/1024"
    );
    let mut rng = SmallRng::seed_from_u64(7);
    for sources in [1_000u32, 2_048, 10_000, 100_000] {
        const EVENTS: usize = 400_000;
        let zipf = Zipf::new(f64::from(sources), 1.1).unwrap();
        let (mut parts, mut exact) = (vec![Top::new(); 4], HashMap::new());
        for at in 0..EVENTS {
            let id = zipf.sample(&mut rng) as u32;
            parts[at % 4].record(id);
            *exact.entry(id).or_insert(0u64) += 1;
        }
        let mut top = Top::new();
        parts.iter().for_each(|part| top.merge(part));
        let told: HashMap<u32, u64> = top.top(usize::MAX).into_iter().collect();
        let low = |(id, n): (&u32, &u64)| {
            n.checked_sub(told.get(id).copied().unwrap_or(0)).expect("never too high")
        };
        let worst = exact.iter().map(low).max().unwrap();
        println!("{:<16} {sources:>8} {EVENTS:>9} {worst:>14} {:>11}", "", EVENTS / CAPACITY);
        assert!(worst <= top.error_bound() && top.error_bound() <= (EVENTS / CAPACITY) as u64);
        assert!(sources > 2_048 || worst == 0, "exact up to 2,048");
    }
}
