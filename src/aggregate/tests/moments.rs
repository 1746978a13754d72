//! Moments against sums that are exact (expansions of non-overlapping f64s).

use super::super::Moments;
use super::{Random, any_finite, merged_in_a_random_tree};
use proptest::prelude::*;

/// The correctly rounded sum, but for one rounding (J. Shewchuk, 1997; Python's `math.fsum`).
fn exact_sum(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut parts: Vec<f64> = Vec::new();
    for mut x in values {
        let mut kept = 0;
        for i in 0..parts.len() {
            let mut y = parts[i];
            if x.abs() < y.abs() {
                std::mem::swap(&mut x, &mut y);
            }
            let hi = x + y;
            let lo = y - (hi - x);
            if lo != 0.0 {
                parts[kept] = lo;
                kept += 1;
            }
            x = hi;
        }
        parts.truncate(kept);
        parts.push(x);
    }
    parts.iter().sum()
}

/// Two passes, both exact but for their last rounding.
fn exact_std(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = exact_sum(values.iter().copied()) / n;
    let d = || values.iter().flat_map(|&x| [x, -mean]);
    let rest = exact_sum(d()); // of rounding the mean
    let squares = exact_sum(values.iter().map(|&x| (x - mean) * (x - mean)));
    ((squares - rest * rest / n).max(0.0) / n).sqrt()
}

fn of(values: &[f64]) -> Moments {
    let mut moments = Moments::new();
    values.iter().for_each(|&x| moments.record(x));
    moments
}

fn assert_close(what: &str, got: f64, expected: f64, tolerance: f64) -> Result<(), TestCaseError> {
    let off = (got - expected).abs();
    prop_assert!(off <= tolerance, "{what}: {got:e} is not {expected:e}, off by {off:e}");
    Ok(())
}

fn check(m: &Moments, values: &[f64]) -> Result<(), TestCaseError> {
    let n = values.len() as f64;
    let sum = exact_sum(values.iter().copied());
    let magnitude: f64 = values.iter().map(|x| x.abs()).sum();
    let sum_tolerance = 2.0 * f64::EPSILON * (sum.abs() + n * f64::EPSILON * magnitude);
    let std = exact_std(values);
    prop_assert_eq!(m.count(), values.len() as u64);
    prop_assert_eq!(m.min(), values.iter().copied().fold(f64::INFINITY, f64::min));
    prop_assert_eq!(m.max(), values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
    assert_close("sum", m.sum(), sum, sum_tolerance)?;
    assert_close("avg", m.avg(), sum / n, 2.0 * sum_tolerance / n + f64::MIN_POSITIVE)?;
    assert_close("std", m.std(), std, 1e-12 * std)
}

proptest! {
    #[test]
    fn moments_match_exact_sums_however_merged(
        offset in prop::sample::select(vec![0.0, 1.0, -1e6, 1e9]),
        scale in prop::sample::select(vec![1.0, 1e-3, 1e100, 1e-100]),
        relative in prop::collection::vec(-1.0..1.0, 1..200),
        seed: u64,
    ) {
        let values: Vec<f64> = relative.iter().map(|x| scale * (x + offset)).collect();
        check(&of(&values), &values)?;
        let merged: Moments =
            merged_in_a_random_tree(seed, &values, Moments::record, Moments::merge);
        check(&merged, &values)?;
    }

    #[test]
    fn integers_are_exact(
        values in prop::collection::vec(-(1i64 << 40)..1 << 40, 1..200),
        seed: u64,
    ) {
        let sum: i64 = values.iter().sum();
        let merged: Moments = merged_in_a_random_tree(
            seed, &values, |m: &mut Moments, x| m.record(x as f64), Moments::merge);
        prop_assert_eq!(merged.sum(), sum as f64);
    }

    #[test]
    fn nothing_is_ever_nan_or_infinite(
        values in prop::collection::vec(any_finite(), 0..60),
        seed: u64,
    ) {
        let merged: Moments =
            merged_in_a_random_tree(seed, &values, Moments::record, Moments::merge);
        for m in [of(&values), merged] {
            let all = [m.sum(), m.min(), m.max(), m.avg(), m.std()];
            prop_assert!(all.iter().all(|x| x.is_finite()), "{all:?}");
            prop_assert!(m.min() <= m.avg() && m.avg() <= m.max());
            prop_assert!(m.std() >= 0.0);
        }
    }

    #[test]
    fn equal_values_have_no_deviation(x in any_finite(), n in 1usize..100, seed: u64) {
        let values = vec![x; n];
        let merged: Moments =
            merged_in_a_random_tree(seed, &values, Moments::record, Moments::merge);
        for m in [of(&values), merged] {
            prop_assert_eq!((m.std(), m.avg(), m.min(), m.max()), (0.0, x, x, x));
        }
    }
}

#[test]
fn without_values_all_is_zero() {
    let mut m = of(&[3.0, 4.0]);
    m.clear();
    let all = [m.sum(), m.min(), m.max(), m.avg(), m.std()];
    assert_eq!((m.count(), all), (0, [0.0; 5]));
    m.merge(&Moments::new());
    assert_eq!(m.count(), 0);
}

#[test]
fn what_rounding_took_comes_back() {
    assert_eq!(of(&[1e16, 1.0, -1e16]).sum(), 1.0);
    let mut m = of(&[1e16]);
    m.merge(&of(&[1.0]));
    m.merge(&of(&[-1e16]));
    assert_eq!(m.sum(), 1.0);
    let mut left = of(&[1e16, 1.0]);
    left.merge(&of(&[-1e16, 1.0]));
    assert_eq!(left.sum(), 2.0);
    assert_eq!(of(&[0.1; 10]).sum(), 1.0);
}

#[test]
fn huge_values_saturate_the_sum_and_nothing_else() {
    let m = of(&[f64::MAX, f64::MAX, -1.0]);
    assert_eq!(m.sum(), f64::MAX);
    assert!((m.avg() / (f64::MAX / 3.0 * 2.0) - 1.0).abs() < 1e-15);
    assert_eq!(of(&[f64::MIN, f64::MIN]).sum(), f64::MIN);
    // Beyond the range and back.
    assert_eq!(of(&[f64::MAX, f64::MAX, -f64::MAX, 1e300]).sum(), f64::MAX);
    assert_eq!(of(&[f64::MAX, f64::MAX, -f64::MAX, -f64::MAX]).sum(), 0.0);
    assert_eq!(of(&[f64::MAX, f64::MIN]).std(), f64::MAX);
    assert!((of(&[1e300, 3e300]).std() / 1e300 - 1.0).abs() < 1e-15);
}

#[test]
fn tiny_values_have_a_deviation_too() {
    assert!((of(&[1e-300, 3e-300]).std() / 1e-300 - 1.0).abs() < 1e-15);
    assert_eq!(of(&[0.0, 1e-323]).std(), 5e-324);
    // The unit grows from the smallest to the largest, by recording and by merging.
    let mut grown = of(&[1e-300, 3e-300, 2.0, 4.0]);
    assert_eq!((grown.sum(), grown.std()), (6.0, (11.0f64 / 4.0).sqrt()));
    grown.merge(&of(&[8e300]));
    assert!((grown.std() / (8e300 * 0.4) - 1.0).abs() < 1e-15);
    let mut tiny = of(&[1e-300]);
    tiny.merge(&grown);
    assert_eq!((tiny.count(), tiny.avg()), (6, 8e300 / 6.0));
}

#[test]
fn a_million_values_far_from_zero_keep_their_deviation() {
    let mut random = Random(7);
    let values: Vec<f64> = (0..1_000_000).map(|_| 1e9 + 1e-3 * random.normal()).collect();
    let expected = exact_std(&values);
    let merged: Moments = merged_in_a_random_tree(3, &values, Moments::record, Moments::merge);
    let mut outlier_first = of(&[0.0]);
    outlier_first.merge(&of(&values));
    for m in [of(&values), merged] {
        assert!((m.std() / expected - 1.0).abs() < 1e-9, "{} {expected}", m.std());
    }
    // One value at 0: a deviation of 1e9 / sqrt(1e6), with K as far off as can be.
    let all: Vec<f64> = [0.0].into_iter().chain(values).collect();
    let expected = exact_std(&all);
    for m in [outlier_first, of(&all)] {
        assert!((m.std() / expected - 1.0).abs() < 1e-9, "{} {expected}", m.std());
    }
}
