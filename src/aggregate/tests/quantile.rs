//! The sketch against sorted values.

use super::super::quantile::{EXACT_VALUES, Quantiles, RELATIVE_ERROR};
use super::{Random, any_finite, merged_in_a_random_tree};
use proptest::prelude::*;

const QS: [f64; 9] = [0.0, 0.01, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1.0];

fn of(values: &[f64]) -> Quantiles {
    let mut quantiles = Quantiles::new();
    values.iter().for_each(|&x| quantiles.record(x));
    quantiles
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn exact(sorted: &[f64], q: f64) -> f64 {
    sorted[(q * (sorted.len() - 1) as f64).floor() as usize]
}

/// Relative, without overflow; 0 where both are 0.
fn error(got: f64, exact: f64) -> f64 {
    if got == exact {
        0.0
    } else if exact.abs() > 1.0 {
        (got / exact - 1.0).abs()
    } else {
        ((got - exact) / exact).abs()
    }
}

fn check(sketch: &Quantiles, values: &[f64]) -> Result<(), TestCaseError> {
    let sorted = sorted(values);
    prop_assert_eq!(sketch.count(), values.len() as u64);
    for q in QS {
        if values.is_empty() {
            prop_assert_eq!(sketch.quantile(q), None);
            continue;
        }
        let (got, exact) = (sketch.quantile(q).unwrap(), exact(&sorted, q));
        if values.len() <= EXACT_VALUES {
            prop_assert_eq!(got, exact);
        } else {
            prop_assert!(got.is_finite());
            prop_assert!(error(got, exact) <= 1.0 / 128.0, "q {q}: {got:e} for {exact:e}");
            prop_assert!(got.signum() == exact.signum() || exact == 0.0);
        }
        let within = sketch.quantile_within(q, sorted[0], sorted[sorted.len() - 1]).unwrap();
        prop_assert!(error(within, exact) <= error(got, exact));
    }
    Ok(())
}

fn answers(sketch: &Quantiles) -> Vec<Option<u64>> {
    let qs = (0..=200).map(|i| f64::from(i) / 200.0);
    qs.map(|q| sketch.quantile(q).map(f64::to_bits)).collect()
}

proptest! {
    #[test]
    fn answers_are_within_the_bound_and_depend_on_the_values_only(
        values in prop::collection::vec(any_finite(), 0..120),
        seed: u64,
    ) {
        let whole = of(&values);
        check(&whole, &values)?;
        prop_assert_eq!(answers(&of(&sorted(&values))), answers(&whole));
        let merged: Quantiles =
            merged_in_a_random_tree(seed, &values, Quantiles::record, Quantiles::merge);
        prop_assert_eq!(answers(&merged), answers(&whole));
    }

    #[test]
    fn narrow_data_too(
        values in prop::collection::vec(20.0..80.0, 0..2_000),
        seed: u64,
    ) {
        let merged: Quantiles =
            merged_in_a_random_tree(seed, &values, Quantiles::record, Quantiles::merge);
        check(&merged, &values)?;
        prop_assert_eq!(answers(&merged), answers(&of(&values)));
    }

    #[test]
    fn a_cleared_sketch_is_as_good_as_new(
        before in prop::collection::vec(any_finite(), 0..60),
        values in prop::collection::vec(any_finite(), 0..60),
        more in prop::collection::vec(any_finite(), 0..60),
    ) {
        let mut used = of(&before);
        used.clear();
        values.iter().for_each(|&x| used.record(x));
        check(&used, &values)?;
        // Pages of the life before are still there, empty: merging must not mind either way.
        let mut other = of(&more);
        other.merge(&used);
        used.merge(&of(&more));
        prop_assert_eq!(answers(&used), answers(&other));
        check(&used, &[values, more].concat())?;
    }
}

#[test]
fn few_values_are_exact_and_one_more_is_within_the_bound() {
    for n in [1, 2, 16, 17] {
        let values: Vec<f64> = (0..n).rev().map(|i| f64::from(i) * 1.37 - 5.0).collect();
        let sketch = of(&values);
        check(&sketch, &values).unwrap();
        let inexact = QS.iter().filter(|&&q| sketch.quantile(q) != Some(exact(&sorted(&values), q)));
        assert_eq!(inexact.count() > 0, n == 17, "{n} values");
    }
    assert_eq!(of(&[]).quantile(0.5), None);
    assert_eq!(of(&[]).quantile_within(0.5, 0.0, 0.0), None);
}

#[test]
fn odd_q_are_taken_as_the_nearest() {
    let sketch = of(&[1.0, 2.0, 3.0]);
    for (q, expected) in [(-1.0, 1.0), (2.0, 3.0), (f64::NAN, 1.0), (0.5, 2.0)] {
        assert_eq!(sketch.quantile(q), Some(expected));
        assert_eq!(sketch.quantile_within(q, 1.0, 3.0), Some(expected));
    }
}

/// Every bucket of every octave, both ends: the bound holds from 5e-324 to f64::MAX.
#[test]
fn every_bucket_of_the_format_is_within_the_bound() {
    let mut worst: f64 = 0.0;
    let step = 1u64 << 45; // half a normal bucket
    let normal = (0..f64::MAX.to_bits() / step).flat_map(|i| [i * step, i * step + step - 1]);
    let subnormal = (0..52).flat_map(|e| (0..256).map(move |i| (1 << e) + (i << e) / 256));
    for bits in normal.chain(subnormal).chain([1, f64::MAX.to_bits()]) {
        let x = f64::from_bits(bits);
        for x in [x, -x] {
            let mut sketch = of(&[x; 17]);
            let got = sketch.quantile(0.5).unwrap();
            assert!(error(got, x) <= 1.0 / 128.0, "{got:e} for {x:e}");
            worst = worst.max(error(got, x));
            sketch.clear();
        }
    }
    println!("worst relative error over all buckets: {:.4} %", 100.0 * worst);
}

#[test]
fn counters_widen_and_stay_right() {
    let mut sketch = of(&[-3.0; 300]);
    (0..70_000).for_each(|_| sketch.record(3.0));
    // Doubling 20 times goes past 2^32 per bucket; parts of different widths meet.
    for _ in 0..20 {
        let same = sketch.clone();
        sketch.merge(&same);
    }
    let mut small = of(&[5.0; 20]);
    small.merge(&sketch);
    sketch.merge(&of(&[5.0; 20]));
    assert_eq!(answers(&small), answers(&sketch));
    assert_eq!(small.count(), (70_300 << 20) + 20);
    assert!(error(small.quantile(0.002).unwrap(), -3.0) < RELATIVE_ERROR);
    assert!(error(small.quantile(0.006).unwrap(), 3.0) < RELATIVE_ERROR);
    assert!(error(small.quantile(1.0).unwrap(), 5.0) < RELATIVE_ERROR);
}

#[test]
fn memory_follows_the_data() {
    let mut random = Random(5);
    let values: Vec<f64> = (0..1_000).map(|_| 50.0 + 5.0 * random.normal()).collect();
    let mut sketch = of(&values);
    let narrow = sketch.heap_bytes();
    assert!(narrow <= 3 * 88, "{narrow} bytes");
    sketch.clear();
    values.iter().for_each(|&x| sketch.record(x));
    assert!(sketch.heap_bytes() <= narrow);
    // Values in other octaves: the pages that had none go at the next clear.
    sketch.clear();
    (0..100).for_each(|_| sketch.record(1e9));
    sketch.clear();
    assert!(sketch.heap_bytes() <= narrow);
    // The worst there is.
    let all_octaves = (0..2_100u64).map(|e| f64::from_bits(e << 52)).filter(|x| x.is_finite());
    all_octaves.for_each(|x| {
        sketch.record(x);
        sketch.record(-x);
    });
    assert!(sketch.heap_bytes() < 500_000);
}

#[test]
fn ten_distributions_stay_below_one_percent() {
    type Draw = fn(&mut Random) -> f64;
    let distributions: [(&str, Draw); 10] = [
        ("uniform", |r| 100.0 * r.unit()),
        ("normal", |r| 50.0 + 5.0 * r.normal()),
        ("lognormal", |r| (2.0 * r.normal()).exp()),
        ("pareto", |r| r.unit().powf(-1.0 / 1.1)),
        ("bimodal", |r| if r.below(2) == 0 { 10.0 + r.normal() } else { 1e4 + r.normal() }),
        ("constant", |_| 42.1),
        ("signed", |r| 20.0 * r.normal()),
        ("integers", |r| r.below(1_000) as f64),
        ("tiny", |r| 1e-300 * r.unit()),
        ("huge", |r| 1e300 * r.unit()),
    ];
    println!("relative error in %, 100,000 values, merged from parts; bytes of heap");
    println!("{:<10} {:>8} {:>8} {:>8} {:>8} {:>8}", "", "p1", "p50", "p95", "p99", "bytes");
    for (name, draw) in distributions {
        let mut random = Random(11);
        let values: Vec<f64> = (0..100_000).map(|_| draw(&mut random)).collect();
        let sketch: Quantiles = merged_in_a_random_tree(13, &values, Quantiles::record, Quantiles::merge);
        let sorted = sorted(&values);
        print!("{name:<10}");
        for q in [0.01, 0.5, 0.95, 0.99] {
            let error = error(sketch.quantile(q).unwrap(), exact(&sorted, q));
            print!(" {:>8.4}", 100.0 * error);
            assert!(error < RELATIVE_ERROR, "{name}, q {q}");
        }
        println!(" {:>8}", sketch.heap_bytes());
    }
}
