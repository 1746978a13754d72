//! Heavy hitters against a plain map.

use super::super::top::{CAPACITY, EXACT_IDS, Top};
use super::{Random, merged_in_a_random_tree};
use proptest::prelude::*;
use std::cmp::Reverse;
use std::collections::BTreeMap;

fn of(ids: &[u32]) -> Top {
    let mut top = Top::new();
    ids.iter().for_each(|&id| top.record(id));
    top
}

fn exact(ids: &[u32]) -> BTreeMap<u32, u64> {
    let mut counts = BTreeMap::new();
    ids.iter().for_each(|&id| *counts.entry(id).or_default() += 1);
    counts
}

/// Few distinct ids: everything is exact, in order. Many: within the bound.
fn check(top: &Top, ids: &[u32]) -> Result<(), TestCaseError> {
    let counts = exact(ids);
    let found = top.top(usize::MAX);
    prop_assert!(found.is_sorted_by_key(|&(id, n)| (Reverse(n), id)));
    for k in [0, 1, 10, EXACT_IDS] {
        prop_assert_eq!(&top.top(k)[..], &found[..k.min(found.len())]);
    }
    let (error, n) = (top.error_bound(), ids.len() as u64);
    if counts.len() <= EXACT_IDS {
        let mut expected: Vec<_> = counts.into_iter().collect();
        expected.sort_by_key(|&(id, n)| (Reverse(n), id));
        prop_assert_eq!(error, 0);
        prop_assert_eq!(found, expected);
        return Ok(());
    }
    prop_assert!(found.len() <= EXACT_IDS);
    // What was subtracted was taken from C counters at least.
    let kept: u64 = found.iter().map(|&(_, n)| n).sum();
    prop_assert!(error * CAPACITY as u64 <= n - kept);
    let found: BTreeMap<u32, u64> = found.into_iter().collect();
    for (id, count) in counts {
        let got = found.get(&id).copied().unwrap_or(0);
        prop_assert!(got <= count && count <= got + error, "{got} for {count}, bound {error}");
    }
    Ok(())
}

/// Ids like sources: some busy, most not.
fn skewed(seed: u64, n: usize, distinct: f64) -> Vec<u32> {
    let mut random = Random(seed);
    (0..n).map(|_| distinct.powf(random.unit()) as u32).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn few_ids_are_exact_however_merged(
        ids in prop::collection::vec(0u32..40, 0..200),
        distinct in 1u32..40,
        seed: u64,
    ) {
        let ids: Vec<u32> = ids.into_iter().map(|id| id % distinct).collect();
        check(&of(&ids), &ids)?;
        let merged: Top = merged_in_a_random_tree(seed, &ids, Top::record, Top::merge);
        check(&merged, &ids)?;
    }

    #[test]
    fn many_ids_stay_within_the_bound_however_merged(
        stream: u64,
        distinct in prop::sample::select(vec![2e3, 4e3, 1e5, 4e9]),
        seed: u64,
    ) {
        let ids = skewed(stream, 20_000, distinct);
        check(&of(&ids), &ids)?;
        let merged: Top = merged_in_a_random_tree(seed, &ids, Top::record, Top::merge);
        check(&merged, &ids)?;
        let again: Top = merged_in_a_random_tree(seed, &ids, Top::record, Top::merge);
        prop_assert_eq!(merged.top(usize::MAX), again.top(usize::MAX));
    }
}

#[test]
fn the_limit_is_exact_and_one_more_is_not() {
    let limit = EXACT_IDS as u32;
    let mut ids: Vec<u32> = (0..limit).chain(0..limit / 2).collect();
    let mut top = of(&ids);
    check(&top, &ids).unwrap();
    assert_eq!((top.distinct(), top.error_bound()), (EXACT_IDS, 0));
    top.record(limit);
    ids.push(limit);
    check(&top, &ids).unwrap();
    assert!(top.error_bound() > 0 && top.distinct() < CAPACITY);
}

/// Nothing repeats but one id: the worst stream there is, and memory stays bounded.
#[test]
fn a_busy_source_survives_a_flood_of_strangers() {
    let mut top = Top::new();
    for i in 0..200_000u32 {
        top.record(i + 1_000);
        if i % 100 == 0 {
            top.record(1);
        }
    }
    let (id, count) = top.top(1)[0];
    assert_eq!(id, 1);
    assert!(count <= 2_000 && 2_000 <= count + top.error_bound());
    assert!(top.error_bound() <= 202_000 / CAPACITY as u64);
    assert!(top.heap_bytes() < 140_000, "{} bytes", top.heap_bytes());
}

#[test]
fn adding_many_is_recording_often_and_none_is_nothing() {
    let mut top = Top::new();
    top.add(9, 3);
    top.add(4, 5);
    top.add(1, 3);
    top.add(2, 0);
    assert_eq!(top.top(9), [(4, 5), (1, 3), (9, 3)]);
    assert_eq!(top.heap_bytes(), 0);
    top.clear();
    assert_eq!((top.top(9), top.distinct()), (vec![], 0));
}

#[test]
fn clear_keeps_a_table_that_was_in_use() {
    let mut top = of(&(0..3_000).collect::<Vec<_>>());
    let heap_bytes = top.heap_bytes();
    top.clear();
    assert_eq!((top.heap_bytes(), top.error_bound()), (heap_bytes, 0));
    assert_eq!(top.top(5), []);
    top.record(7);
    assert_eq!(top.top(5), [(7, 1)]);
    top.clear();
    assert_eq!(top.heap_bytes(), 0);
}
