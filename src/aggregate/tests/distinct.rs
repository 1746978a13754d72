//! The distinct counter against sets.

use super::super::distinct::{Distinct, EXACT, PRECISION, RELATIVE_STANDARD_ERROR, hash};
use super::{Random, merged_in_a_random_tree};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn of(hashes: impl IntoIterator<Item = u64>) -> Distinct {
    let mut distinct = Distinct::new();
    hashes.into_iter().for_each(|hash| distinct.record(hash));
    distinct
}

/// The `n` hashes of a salt; all different.
fn hashes(salt: u64, n: u64) -> impl Iterator<Item = u64> {
    let mut random = Random(salt.wrapping_mul(0x2545_f491_4f6c_dd1d));
    (0..n).map(move |_| random.next())
}

fn check(distinct: &Distinct, hashes: &[u64]) -> Result<(), TestCaseError> {
    let set: BTreeSet<u64> = hashes.iter().copied().collect();
    prop_assert_eq!(distinct.is_empty(), set.is_empty());
    if set.len() <= EXACT {
        prop_assert_eq!(distinct.count(), set.len() as u64);
        prop_assert!(distinct.heap_bytes() <= EXACT * 8);
    } else {
        let error = distinct.count() as f64 / set.len() as f64 - 1.0;
        prop_assert!(error.abs() < 5.0 * RELATIVE_STANDARD_ERROR, "{error} for {}", set.len());
        prop_assert!(distinct.count() > EXACT as u64);
        prop_assert_eq!(distinct.heap_bytes(), 1 << PRECISION);
    }
    // Sorted and without repetition: the same state, not only the same answer.
    prop_assert_eq!(&of(set), distinct);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn answers_depend_on_the_set_only(
        stream: u64,
        // On both sides of the limit and at it; parts and their union on different sides.
        distinct in prop_oneof![1usize..40, 900usize..1_200, 1_023usize..1_026, 2_000usize..20_000],
        repetition in 1usize..4,
        seed: u64,
    ) {
        let pool: Vec<u64> = hashes(stream, distinct as u64).collect();
        let mut random = Random(seed);
        // Not all of the pool comes up: sets of any size below.
        let recorded: Vec<u64> =
            (0..distinct * repetition).map(|_| pool[random.below(distinct)]).collect();
        check(&of(recorded.iter().copied()), &recorded)?;
        let merged: Distinct =
            merged_in_a_random_tree(seed, &recorded, Distinct::record, Distinct::merge);
        check(&merged, &recorded)?;
        // All of it, however often.
        let all = [recorded, pool].concat();
        let merged: Distinct = merged_in_a_random_tree(seed, &all, Distinct::record, Distinct::merge);
        check(&merged, &all)?;
    }

    #[test]
    fn merging_is_the_union_of_overlapping_sets(
        ours in prop::collection::vec(0u64..60, 0..60),
        theirs in prop::collection::vec(0u64..60, 0..60),
        extremes: bool,
    ) {
        let spread = |n: &u64| match n {
            0 if extremes => 0,
            1 if extremes => u64::MAX,
            n => n << 58 | n,
        };
        let ours: Vec<u64> = ours.iter().map(spread).collect();
        let theirs: Vec<u64> = theirs.iter().map(spread).collect();
        let (mut left, mut right) = (of(ours.clone()), of(theirs.clone()));
        left.merge(&right);
        right.merge(&of(ours.clone()));
        let both = [ours, theirs].concat();
        check(&left, &both)?;
        check(&right, &both)?;
    }

    #[test]
    fn a_cleared_counter_is_as_good_as_new(
        before in prop::sample::select(vec![0u64, 5, 1_024, 3_000]),
        after in prop::sample::select(vec![0u64, 7, 1_024, 1_025, 3_000]),
        seed: u64,
    ) {
        let mut used = of(hashes(seed, before));
        used.clear();
        check(&used, &[])?;
        let more: Vec<u64> = hashes(!seed, after).collect();
        more.iter().for_each(|&hash| used.record(hash));
        check(&used, &more)?;
    }
}

#[test]
fn exact_up_to_the_limit_and_never_falling_beyond() {
    let mut distinct = Distinct::new();
    let mut last = 0;
    for (i, hash) in (1u64..).zip(hashes(3, 5_000)) {
        distinct.record(hash);
        distinct.record(hash);
        let count = distinct.count();
        assert!(i > EXACT as u64 || count == i, "{count} for {i}");
        assert!(count >= last, "{count} after {last}");
        last = count;
    }
    let before = distinct.clone();
    hashes(3, 5_000).for_each(|hash| distinct.record(hash));
    assert_eq!(distinct, before);
}

#[test]
fn a_limit_reached_by_merging_is_the_same_limit() {
    let all: Vec<u64> = hashes(4, EXACT as u64 + 1).collect();
    let (first, second) = (of(all[..700].to_vec()), of(all[500..EXACT].to_vec()));
    let mut union = first.clone();
    union.merge(&second);
    check(&union, &all[..EXACT]).unwrap();
    union.merge(&of([all[EXACT]]));
    check(&union, &all).unwrap();
    // A list into registers, registers into a list, registers into themselves.
    union.merge(&first);
    check(&union, &all).unwrap();
    let mut from_list = second.clone();
    from_list.merge(&union);
    from_list.merge(&union.clone());
    check(&from_list, &all).unwrap();
    // Nothing, to and from.
    union.merge(&Distinct::new());
    let mut nothing = Distinct::new();
    nothing.merge(&union);
    assert_eq!(nothing, union);
}

/// Hashes of strings, as in use: a salt for each seed.
#[test]
fn errors_are_those_of_the_paper() {
    const SALTS: u64 = 12;
    let checkpoints = [2_000u64, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000];
    let mut errors = vec![Vec::new(); checkpoints.len()];
    for salt in 0..SALTS {
        let mut distinct = Distinct::new();
        let mut name = String::new();
        let mut next = checkpoints.iter().zip(&mut errors).peekable();
        for i in 1..=checkpoints[checkpoints.len() - 1] {
            use std::fmt::Write;
            name.clear();
            write!(name, "{salt}/user_{i}").expect("into a string");
            distinct.record(hash(&name));
            if let Some((_, errors)) = next.next_if(|(n, _)| **n == i) {
                errors.push(distinct.count() as f64 / i as f64 - 1.0);
            }
        }
    }
    check_errors(&checkpoints, &errors);
}

/// Far more than there are registers; from the generator, which is cheaper than strings.
#[test]
fn errors_stay_with_millions() {
    let checkpoints = [2_000u64, 30_000, 2_000_000, 5_000_000];
    let mut errors = vec![Vec::new(); checkpoints.len()];
    for salt in 100..116 {
        let mut distinct = Distinct::new();
        let mut next = checkpoints.iter().zip(&mut errors).peekable();
        for (i, hash) in (1u64..).zip(hashes(salt, 5_000_000)) {
            distinct.record(hash);
            if let Some((_, errors)) = next.next_if(|(n, _)| **n == i) {
                errors.push(distinct.count() as f64 / i as f64 - 1.0);
            }
        }
    }
    check_errors(&checkpoints, &errors);
}

/// Each within 4 standard errors, their mean within 4 of its own.
fn check_errors(checkpoints: &[u64], errors: &[Vec<f64>]) {
    println!("{:>9} {:>8} {:>8} {:>8}   % of the count", "distinct", "mean", "rms", "worst");
    for (n, errors) in checkpoints.iter().zip(errors) {
        let runs = errors.len() as f64;
        let mean = errors.iter().sum::<f64>() / runs;
        let rms = (errors.iter().map(|e| e * e).sum::<f64>() / runs).sqrt();
        let worst = errors.iter().fold(0f64, |worst, e| worst.max(e.abs()));
        println!("{n:>9} {:>8.3} {:>8.3} {:>8.3}", 100.0 * mean, 100.0 * rms, 100.0 * worst);
        assert!(worst < 4.0 * RELATIVE_STANDARD_ERROR, "{worst} at {n}");
        assert!(mean.abs() < 4.0 * RELATIVE_STANDARD_ERROR / runs.sqrt(), "mean {mean} at {n}");
    }
}

/// Registers at their upper end, where no count of real hashes comes: still finite, still rising.
#[test]
fn hostile_hashes_do_not_break_the_estimate() {
    // No run at all but in one register; then all registers as high as they go.
    let mut distinct = of((0..2_000).map(|i| 1 << 49 | i));
    assert_eq!(distinct.count(), EXACT as u64 + 1);
    (0..1u64 << PRECISION).for_each(|register| distinct.record(register << (64 - PRECISION)));
    assert!(distinct.count() > 1 << 60, "{}", distinct.count());
    let zeros = of((0..1_500).map(|register| register << (64 - PRECISION)));
    assert!((1_400..1_700).contains(&zeros.count()), "{}", zeros.count());
}

/// More hashes than anyone can record: registers drawn from their distribution, `P(value <= k) =
/// exp(-n / m / 2^k)`. The upper end is where the estimator needs its τ.
#[test]
fn errors_stay_up_to_the_number_of_hashes_there_are() {
    let mut random = Random(8);
    for exponent in [24, 40, 58, 60, 61, 62, 63] {
        let n = 2f64.powi(exponent);
        let per_register = n / f64::from(1 << PRECISION);
        let distinct = of((0..1u64 << PRECISION).map(|register| {
            let value = (per_register / -random.unit().ln()).log2().ceil().max(1.0) as u32;
            let run_bits = 64 - PRECISION;
            let run = if value > run_bits { 0 } else { 1 << (run_bits - value) };
            register << run_bits | run
        }));
        let error = distinct.count() as f64 / n - 1.0;
        assert!(error.abs() < 4.0 * RELATIVE_STANDARD_ERROR, "{error} at 2^{exponent}");
    }
}

#[test]
fn the_hash_never_changes() {
    // Results are compared across machines and versions. The second column is FNV-1a before the
    // finalizer, which its authors publish for "", "a" and "foobar".
    for (value, fnv) in
        [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
    {
        assert_eq!(unmix(hash(value)), fnv, "{value}");
    }
}

/// The inverse of `fmix64`, from the inverses of its multipliers modulo 2^64.
fn unmix(mut h: u64) -> u64 {
    let inverse = |odd: u64| {
        // Newton: each step doubles the right bits; 3 are right at the start.
        (0..5).fold(odd, |x, _| x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x))))
    };
    h ^= h >> 33;
    h = h.wrapping_mul(inverse(0xc4ce_b9fe_1a85_ec53));
    h ^= h >> 33;
    h = h.wrapping_mul(inverse(0xff51_afd7_ed55_8ccd));
    h ^ (h >> 33)
}

#[test]
fn hashes_of_numbered_names_look_uniform() {
    const N: u64 = 100_000;
    let all: Vec<u64> = (0..N).map(|i| hash(&format!("user_{i}"))).collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len() as u64, N);
    let sigma = (N as f64 / 4.0).sqrt();
    let off = |ones: u64| (ones as f64 - N as f64 / 2.0).abs() / sigma;
    let mut worst: f64 = 0.0;
    for bit in 0..64 {
        worst = worst.max(off(all.iter().filter(|&h| h >> bit & 1 == 1).count() as u64));
        // Any two bits agree half of the time.
        for other in 0..bit {
            worst = worst.max(off(all.iter().filter(|&h| (h >> bit ^ h >> other) & 1 == 1).count() as u64));
        }
    }
    assert!(worst < 5.0, "{worst} standard deviations"); // of 2,080 looks
    // Registers: chi-squared with 2^14 - 1 degrees of freedom.
    let mut registers = vec![0u32; 1 << PRECISION];
    all.iter().for_each(|h| registers[(h >> (64 - PRECISION)) as usize] += 1);
    let expected = N as f64 / registers.len() as f64;
    let chi: f64 = registers.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
    let freedom = (registers.len() - 1) as f64;
    assert!((chi - freedom).abs() < 4.0 * (2.0 * freedom).sqrt(), "chi-squared {chi}");
}

/// One flipped bit of the string flips each bit of the hash half of the time.
#[test]
fn the_hash_avalanches() {
    const NAMES: u32 = 4_000;
    let mut flips = vec![[0u32; 64]; 6 * 7];
    for i in 0..NAMES {
        let name = format!("user_{i:04}");
        // The last 6 bytes; ASCII stays ASCII without the top bit.
        for (input, flips) in flips.iter_mut().enumerate() {
            let mut bytes = name.clone().into_bytes();
            bytes[3 + input / 7] ^= 1 << (input % 7);
            let changed = hash(&name) ^ hash(std::str::from_utf8(&bytes).unwrap());
            (0..64).for_each(|bit| flips[bit] += (changed >> bit & 1) as u32);
        }
    }
    let (mut low, mut high) = (1.0, 0.0);
    for &n in flips.iter().flatten() {
        let share = f64::from(n) / f64::from(NAMES);
        (low, high) = (share.min(low), share.max(high));
    }
    println!("a bit of the string flips a bit of the hash in {low:.3} to {high:.3} of all names");
    assert!(low > 0.45 && high < 0.55, "{low} to {high}");
}

#[test]
fn memory_follows_the_data() {
    assert!(size_of::<Distinct>() <= 32);
    let mut distinct = Distinct::new();
    assert_eq!(distinct.heap_bytes(), 0);
    distinct.merge(&Distinct::new());
    assert_eq!(distinct.heap_bytes(), 0);
    for (n, hash) in (1usize..).zip(hashes(6, EXACT as u64)) {
        distinct.record(hash);
        let bytes = distinct.heap_bytes();
        assert!(bytes <= (n * 10).max((n + 2) * 8), "{bytes} for {n}");
    }
    assert_eq!(distinct.heap_bytes(), 8 * EXACT);
    distinct.clear();
    assert_eq!(distinct.heap_bytes(), 8 * EXACT); // for hashes as many
    distinct.clear();
    assert_eq!(distinct.heap_bytes(), 0);
    hashes(7, 2_000).for_each(|hash| distinct.record(hash));
    distinct.clear();
    assert_eq!(distinct.heap_bytes(), 8 * EXACT);
}
