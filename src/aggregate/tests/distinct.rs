//! Exactness, error, and that nothing but the set of values counts.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::aggregate::distinct::{Distinct, EXACT, RELATIVE_STANDARD_ERROR, hash};

fn of(values: impl IntoIterator<Item = u64>) -> Distinct {
    let mut distinct = Distinct::new();
    values.into_iter().for_each(|value| distinct.record(value));
    distinct
}

fn users(salt: u32, n: u32) -> impl Iterator<Item = u64> {
    (0..n).map(move |i| hash(&format!("{salt}:user_{i}")))
}

#[test]
fn exact_up_to_the_bound() {
    let mut distinct = Distinct::new();
    assert!(distinct.is_empty());
    for (n, value) in users(1, EXACT as u32).enumerate() {
        distinct.record(value);
        distinct.record(value);
        assert_eq!(distinct.count(), n as u64 + 1);
    }
    let exact_bytes = distinct.heap_bytes();
    assert!(exact_bytes <= 16 * EXACT, "{exact_bytes}");
    distinct.record(hash("one more"));
    assert_eq!(distinct.heap_bytes(), 16 * 1_024);
    assert!(distinct.count().abs_diff(EXACT as u64 + 1) < 40);
    distinct.clear();
    assert_eq!((distinct.count(), distinct.is_empty()), (0, true));
    assert!(size_of::<Distinct>() <= 24);
}

#[test]
fn the_error_is_what_the_paper_says() {
    let mut all = Vec::new();
    for n in [1_025, 2_000, 5_000, 20_000, 50_000, 100_000, 400_000] {
        for salt in 0..12 {
            let error = of(users(salt, n)).count() as f64 / f64::from(n) - 1.0;
            assert!(error.abs() < 4.5 * RELATIVE_STANDARD_ERROR, "{n}: {error}");
            all.push(error);
        }
    }
    let count = all.len() as f64;
    let mean = all.iter().sum::<f64>() / count;
    let std = (all.iter().map(|e| e * e).sum::<f64>() / count).sqrt();
    assert!(mean.abs() < 3.0 * RELATIVE_STANDARD_ERROR / count.sqrt(), "no bias: {mean}");
    assert!(std < 1.3 * RELATIVE_STANDARD_ERROR, "{std}");
}

/// Each bit of the hash of similar names is 1 half of the time, and no two hashes are equal.
#[test]
fn similar_names_have_different_hashes() {
    const N: u32 = 100_000;
    let hashes: BTreeSet<u64> = users(0, N).collect();
    assert_eq!(hashes.len(), N as usize);
    for bit in 0..64 {
        let ones = hashes.iter().filter(|&&hash| hash >> bit & 1 == 1).count() as f64;
        // Five standard deviations of a fair coin.
        assert!((ones / f64::from(N) - 0.5).abs() < 2.5 / f64::from(N).sqrt(), "bit {bit}: {ones}");
    }
    assert_eq!(hash("user_1"), hash("user_1"));
}

proptest! {
    #[test]
    fn only_the_set_counts(
        n in 0..3_000u32,
        cuts in prop::collection::vec(0..3_000usize, 0..4),
        again in 0..3_000usize,
    ) {
        let values: Vec<u64> = users(9, n).collect();
        let whole = of(values.iter().copied());
        let mut parts = Distinct::new();
        let mut from = 0;
        let mut cuts = cuts;
        cuts.sort_unstable();
        for cut in cuts.into_iter().chain([values.len()]) {
            let cut = cut.min(values.len()).max(from);
            let mut part = of(values[from..cut].iter().rev().copied());
            // Some that others have as well.
            values.iter().take(again % 500).for_each(|&value| part.record(value));
            // Both ways round.
            if from % 2 == 0 {
                parts.merge(&part);
            } else {
                part.merge(&parts);
                parts = part;
            }
            from = cut;
        }
        prop_assert_eq!(&parts, &whole);
        if values.len() <= EXACT {
            prop_assert_eq!(whole.count(), values.len() as u64);
        }
    }
}
