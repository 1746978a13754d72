//! The most frequent ids: exact up to 2,048 distinct ones, bounded error and memory above.
//!
//! Owned by an [`Aggregate`](super::Aggregate). Counts are those of Misra and Gries (J. Misra, D.
//! Gries, "Finding Repeated Elements", 1982) with the decrements taken in batches: whenever there
//! are more than `2C` counters, the C-th largest count is subtracted from all and those that
//! reach 0 go. Merging adds counters and then purges the same way (P. Agarwal, G. Cormode, Z.
//! Huang, J. Phillips, Z. Wei, K. Yi, "Mergeable Summaries", PODS 2012).
//!
//! **Bound.** A purge that subtracts `s` takes `s` from each of at least C counters, so with n
//! events in all, the amounts subtracted add up to at most n/C. A count is never too high, too
//! low by at most that total, and every id with more than n/C events is present.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// C: the error bound is n/C.
pub const CAPACITY: usize = 1_024;
/// Above this many distinct ids counts become approximate.
pub const EXACT_IDS: usize = 2 * CAPACITY;
/// Ids held without a table: a group by source has one.
const FEW: usize = 3;

/// Heavy hitters among u32 ids. 48 bytes up to 3 ids; then a table of 20 to 40 bytes per id, which
/// never takes more than 140 KB.
#[derive(Clone, Debug, Default)]
pub struct Top {
    store: Store,
    /// By how much a count may be too low.
    subtracted: u64,
}

#[derive(Clone, Debug)]
enum Store {
    Few {
        len: u8,
        ids: [u32; FEW],
        counts: [u64; FEW],
    },
    /// Seeded: strangers choose the names behind the ids.
    Many(Box<HashMap<u32, u64, RandomState>>),
}

impl Default for Store {
    fn default() -> Self {
        Self::Few { len: 0, ids: [0; FEW], counts: [0; FEW] }
    }
}

impl Top {
    /// No ids yet; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts `id` once.
    #[inline]
    pub fn record(&mut self, id: u32) {
        self.add(id, 1);
    }

    /// Counts `id` `n` times.
    #[inline]
    pub fn add(&mut self, id: u32, n: u64) {
        self.count(id, n);
        if self.distinct() > EXACT_IDS {
            self.purge();
        }
    }

    /// Adds what `other` has counted. The bounds add up: the result is as good as if one had
    /// counted everything.
    pub fn merge(&mut self, other: &Self) {
        self.subtracted += other.subtracted;
        match &other.store {
            Store::Few { len, ids, counts } => {
                for (&id, &n) in ids.iter().zip(counts).take(usize::from(*len)) {
                    self.count(id, n);
                }
            }
            Store::Many(table) => table.iter().for_each(|(&id, &n)| self.count(id, n)),
        }
        // Only now: a purge on the way would depend on the order of the table.
        if self.distinct() > EXACT_IDS {
            self.purge();
        }
    }

    /// Forgets all ids. Keeps a table that was in use.
    pub fn clear(&mut self) {
        self.subtracted = 0;
        match &mut self.store {
            Store::Many(table) if table.len() > FEW => table.clear(),
            store => *store = Store::default(),
        }
    }

    /// Counters held: the number of distinct ids while `error_bound` is 0.
    pub fn distinct(&self) -> usize {
        match &self.store {
            Store::Few { len, .. } => usize::from(*len),
            Store::Many(table) => table.len(),
        }
    }

    /// The `k` ids with the largest counts, largest first, equal ones by ascending id. Each true
    /// count lies between the one given and that plus [`error_bound`](Self::error_bound).
    pub fn top(&self, k: usize) -> Vec<(u32, u64)> {
        let mut all: Vec<(u32, u64)> = match &self.store {
            Store::Few { len, ids, counts } => {
                let counted = ids.iter().copied().zip(counts.iter().copied());
                counted.take(usize::from(*len)).collect()
            }
            Store::Many(table) => table.iter().map(|(&id, &n)| (id, n)).collect(),
        };
        let order = |&(id, n): &(u32, u64)| (std::cmp::Reverse(n), id);
        if k < all.len() {
            all.select_nth_unstable_by_key(k, order);
            all.truncate(k);
        }
        all.sort_unstable_by_key(order);
        all
    }

    /// The ids that have a counter, in no particular order.
    pub fn ids(&self) -> impl Iterator<Item = u32> + '_ {
        let (few, many) = match &self.store {
            Store::Few { len, ids, .. } => (&ids[..usize::from(*len)], None),
            Store::Many(table) => (&[][..], Some(table.keys())),
        };
        few.iter().copied().chain(many.into_iter().flatten().copied())
    }

    /// Lets go of all but the `most` largest counters. Those that stay keep their counts; the
    /// error bound then covers those that went, should they come back.
    pub fn shrink(&mut self, most: usize) {
        if self.distinct() <= most {
            return;
        }
        let mut kept = self.top(most + 1);
        let largest_gone = kept.split_off(most).first().map_or(0, |&(_, n)| n);
        let subtracted = self.subtracted + largest_gone;
        self.clear();
        for (id, n) in kept {
            self.count(id, n);
        }
        self.subtracted = subtracted;
    }

    /// By how many events a count may be too low, at most n/C; 0 while counts are exact.
    pub fn error_bound(&self) -> u64 {
        self.subtracted
    }

    /// Heap memory, in bytes.
    pub fn heap_bytes(&self) -> usize {
        match &self.store {
            Store::Few { .. } => 0,
            Store::Many(table) => size_of_val(&**table) + table.allocation_size(),
        }
    }

    #[inline]
    fn count(&mut self, id: u32, n: u64) {
        if n == 0 {
            return;
        }
        let (len, ids, counts) = match &mut self.store {
            Store::Many(table) => {
                *table.entry(id).or_insert(0) += n;
                return;
            }
            Store::Few { len, ids, counts } => (len, ids, counts),
        };
        let used = usize::from(*len);
        if let Some(index) = ids[..used].iter().position(|&known| known == id) {
            counts[index] += n;
        } else if used < FEW {
            (ids[used], counts[used]) = (id, n);
            *len += 1;
        } else {
            let few = ids.iter().copied().zip(counts.iter().copied());
            let table = few.chain([(id, n)]).collect();
            self.store = Store::Many(Box::new(table));
        }
    }

    /// Subtracts the C-th largest count from all: fewer than C counters stay.
    #[cold]
    fn purge(&mut self) {
        let Store::Many(table) = &mut self.store else {
            return;
        };
        let mut counts: Vec<u64> = table.values().copied().collect();
        let from_largest = |n: &u64| std::cmp::Reverse(*n);
        let (_, &mut cut, _) = counts.select_nth_unstable_by_key(CAPACITY - 1, from_largest);
        table.retain(|_, n| {
            *n = n.saturating_sub(cut);
            *n > 0
        });
        self.subtracted += cut;
    }
}
