//! Values counted by their leading bits: what [`Quantiles`](super::Quantiles) becomes when it is to
//! tell more values than it keeps.
//!
//! # How
//!
//! Each value is counted in a bucket named by its own leading bits: exponent and 6 bits of mantissa,
//! so that every octave `[2^e, 2^(e+1))` has 64 buckets of equal width. That is the log-linear layout
//! of HdrHistogram (G. Tene) with the relative guarantee of DDSketch (C. Masson, J. Rim, H. Lee,
//! "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with Relative-Error Guarantees", VLDB
//! 2019), and no logarithm to take. Counting loses nothing but the place within the bucket, so
//! merging adds counters and the bound stays.
//!
//! # Bound
//!
//! A value in the bucket `[a, b)` is reported as the harmonic mean `v = 2ab/(a+b)`, which is off
//! by the same ratio at both ends: `(v-a)/a = (b-v)/b = (b-a)/(b+a)`. Within an octave the ratio
//! is largest in the first bucket, `a = 1, b = 1 + 1/64`: `1/129 = 0.78 %`. Subnormals are
//! scaled by 2^54 into buckets of the same relative width; their `v` is rounded to a whole
//! multiple of 2^-1074, and the worst case becomes `1/128 = 0.79 %`. Zero has its own counter,
//! negative values mirror positive ones.

use super::counters::{Counters, SLOTS};
use super::quantile::EXACT_VALUES;

const MANTISSA_BITS: u32 = 52;
/// log2 of the buckets per octave.
const SLOT_BITS: u32 = SLOTS.trailing_zeros();
/// Subnormals are multiplied by 2^54, which makes them normal.
const SUBNORMAL_SHIFT: i16 = 54;
const SUBNORMAL_SCALE: f64 = (1u64 << SUBNORMAL_SHIFT) as f64;

/// Counters of values. What was cleared and has seen few values since keeps these as they are, like
/// [`Quantiles`](super::Quantiles) itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Buckets {
    count: u64,
    /// Of `count`, those equal to 0; only kept once `count` exceeds `EXACT_VALUES`.
    zeros: u64,
    /// All values, while there are at most `EXACT_VALUES`; then empty.
    exact: Vec<f64>,
    /// Sorted by octave; ascending octaves and slots are ascending values.
    pages: Vec<Page>,
    /// Index of the page that took the last value.
    last_page: usize,
}

/// The 64 buckets of one octave of one sign.
#[derive(Clone, Debug)]
struct Page {
    octave: i16,
    counters: Counters,
}

impl Buckets {
    /// Adds one value, which must be finite.
    #[inline]
    pub(super) fn record(&mut self, x: f64) {
        if self.count > EXACT_VALUES as u64 {
            self.tally(x);
        } else {
            self.record_early(x);
        }
        self.count += 1;
    }

    /// Adds what `other` has seen.
    pub(super) fn merge(&mut self, other: &Self) {
        if let Some(values) = other.values() {
            return self.record_all(values);
        }
        self.spill();
        self.zeros += other.zeros;
        self.merge_pages(&other.pages);
        self.count += other.count;
    }

    /// Adds values, which must be finite.
    pub(super) fn record_all(&mut self, values: &[f64]) {
        values.iter().for_each(|&x| self.record(x));
    }

    /// Forgets all values. Keeps the memory of the octaves that had any, for values like them.
    pub(super) fn clear(&mut self) {
        self.count = 0;
        self.zeros = 0;
        self.exact.clear();
        self.pages.retain_mut(|page| page.counters.clear());
        self.last_page = 0;
    }

    /// Values recorded.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The values themselves, while there are few.
    pub(super) fn values(&self) -> Option<&[f64]> {
        (self.count <= EXACT_VALUES as u64).then_some(&self.exact)
    }

    /// Heap memory, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        let counters: usize = self.pages.iter().map(|p| p.counters.heap_bytes()).sum();
        self.exact.capacity() * size_of::<f64>() + self.pages.capacity() * size_of::<Page>() + counters
    }

    /// `record` up to the value that ends exactness.
    #[cold]
    fn record_early(&mut self, x: f64) {
        if self.count < EXACT_VALUES as u64 {
            self.exact.push(x + 0.0); // -0 becomes 0
        } else {
            self.spill();
            self.tally(x);
        }
    }

    /// From kept values to counters; nothing to do when that has happened.
    fn spill(&mut self) {
        for x in std::mem::take(&mut self.exact) {
            self.tally(x);
        }
    }

    /// Counts one value in its bucket.
    #[inline]
    fn tally(&mut self, x: f64) {
        if x == 0.0 {
            self.zeros += 1;
            return;
        }
        let (octave, slot) = bucket_of(x);
        if let Some(last) = self.pages.get(self.last_page) {
            // Right unless a gap in the octaves lies between, and no branch to mispredict.
            let distance = isize::from(octave - last.octave);
            let guess = self.last_page.wrapping_add_signed(distance);
            if let Some(page) = self.pages.get_mut(guess)
                && page.octave == octave
            {
                self.last_page = guess;
                page.counters.add(slot, 1);
                return;
            }
        }
        self.turn_page(octave).add(slot, 1);
    }

    /// Finds or makes the page of `octave` and remembers it.
    fn turn_page(&mut self, octave: i16) -> &mut Counters {
        let index = self.pages.partition_point(|page| page.octave < octave);
        if self.pages.get(index).is_none_or(|page| page.octave != octave) {
            self.reserve_pages(1);
            let counters = Counters::default();
            self.pages.insert(index, Page { octave, counters });
        }
        self.last_page = index;
        &mut self.pages[index].counters
    }

    /// Grows by a quarter, not by doubling: most fields stay at two or three pages.
    fn reserve_pages(&mut self, additional: usize) {
        if self.pages.capacity() - self.pages.len() < additional {
            let more = additional.max(self.pages.len() / 4);
            self.pages.reserve_exact(more);
        }
    }

    fn merge_pages(&mut self, others: &[Page]) {
        let known = self.pages.len();
        let mut from = 0;
        for other in others.iter().filter(|page| !page.counters.is_empty()) {
            // Both are sorted: the next search starts where this one ended.
            from += self.pages[from..known].partition_point(|page| page.octave < other.octave);
            if from < known && self.pages[from].octave == other.octave {
                self.pages[from].counters.merge(&other.counters);
            } else {
                self.reserve_pages(1);
                self.pages.push(other.clone());
            }
        }
        if self.pages.len() > known {
            self.pages.sort_by_key(|page| page.octave); // two sorted runs: linear
            self.last_page = 0;
        }
    }

    /// The reported value of the bucket that holds `rank`, which must be below `count`; for more
    /// than `EXACT_VALUES` values only.
    pub(super) fn at_rank(&self, rank: u64) -> f64 {
        let mut left = rank;
        let first_positive = self.pages.partition_point(|page| page.octave < 0);
        let (negative, positive) = self.pages.split_at(first_positive);
        for page in negative {
            match page.counters.slot_at(left) {
                Ok(slot) => return value_of(page.octave, slot),
                Err(beyond) => left = beyond,
            }
        }
        if left < self.zeros {
            return 0.0;
        }
        left -= self.zeros;
        for page in positive {
            match page.counters.slot_at(left) {
                Ok(slot) => return value_of(page.octave, slot),
                Err(beyond) => left = beyond,
            }
        }
        unreachable!("rank {rank} of {} values", self.count)
    }
}

/// Octave (1 or more, negated for a negative value) and slot of a finite value other than 0.
#[inline]
fn bucket_of(x: f64) -> (i16, usize) {
    let magnitude = x.abs();
    let key = |bits: u64| (bits >> (MANTISSA_BITS - SLOT_BITS)) as u32;
    let (key, octaves_up) = if magnitude < f64::MIN_POSITIVE {
        (key((magnitude * SUBNORMAL_SCALE).to_bits()), 0)
    } else {
        (key(magnitude.to_bits()), SUBNORMAL_SHIFT)
    };
    let octave = (key >> SLOT_BITS) as i16 + octaves_up;
    let slot = key as usize % SLOTS;
    if x < 0.0 { (-octave, SLOTS - 1 - slot) } else { (octave, slot) }
}

/// The value reported for a bucket: the harmonic mean of its bounds.
fn value_of(octave: i16, slot: usize) -> f64 {
    let (slot, sign) = if octave < 0 { (SLOTS - 1 - slot, -1.0) } else { (slot, 1.0) };
    // In units of 1/64 of the octave's lower bound; below 128, so the top octave stays finite.
    let (a, b) = ((SLOTS + slot) as f64, (SLOTS + slot + 1) as f64);
    let mantissa = 2.0 * a * b / (a + b) / SLOTS as f64;
    let exponent = octave.unsigned_abs();
    let subnormal_octaves = SUBNORMAL_SHIFT as u16;
    let power = |exponent: u16| f64::from_bits(u64::from(exponent) << MANTISSA_BITS);
    sign * if exponent > subnormal_octaves {
        mantissa * power(exponent - subnormal_octaves)
    } else {
        mantissa * power(exponent) / SUBNORMAL_SCALE
    }
}
