//! Quantiles within 1 % of the value, for any sign and magnitude, in a few hundred bytes.
//!
//! Owned by an [`Aggregate`](super::Aggregate). What must always hold: the answers depend only on
//! the multiset of recorded values, never on their order or on how they were split into merged
//! parts.
//!
//! Up to 16 values are kept as they are and answers are exact: the first two in place, for there may
//! be a million groups of one event, the others in a list. More are counted in the buckets of
//! `buckets`, which has the bound of the error and why.

use super::buckets::Buckets;

/// Answers are exact up to this many values.
pub const EXACT_VALUES: usize = 16;
/// The promised relative error.
pub const RELATIVE_ERROR: f64 = 0.01;

/// Values kept in place.
const IN_PLACE: usize = 2;
/// Room of the first list: what fits a block of 64 bytes of common allocators.
const FIRST_ROOM: usize = 7;

/// A mergeable sketch of the values of one field.
///
/// Memory: 24 bytes; from the third value on 56 or 128 more; above 16 values 72 and 88 per octave
/// that the values touch (280 or 536 for an octave with more than 255 or 2^32 values in one bucket).
/// There are 2,098 octaves of each sign, so the worst that hostile input can reach is 0.4 MB, paid for
/// with at least one recorded value per 88 bytes.
#[derive(Clone, Debug, Default)]
pub struct Quantiles {
    store: Store,
}

#[derive(Clone, Debug)]
enum Store {
    InPlace { len: u8, values: [f64; IN_PLACE] },
    Listed { len: u8, values: Box<[f64]> },
    Counted(Box<Buckets>),
}

impl Default for Store {
    fn default() -> Self {
        Self::InPlace { len: 0, values: [0.0; IN_PLACE] }
    }
}

impl Quantiles {
    /// No values yet; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one value, which must be finite.
    #[inline]
    pub fn record(&mut self, x: f64) {
        debug_assert!(x.is_finite(), "recorded {x}");
        match &mut self.store {
            Store::Counted(buckets) => buckets.record(x),
            _ => self.keep(x),
        }
    }

    /// Adds what `other` has seen.
    pub fn merge(&mut self, other: &Self) {
        match &other.store {
            Store::InPlace { len, values } => self.record_all(&values[..usize::from(*len)]),
            Store::Listed { len, values } => self.record_all(&values[..usize::from(*len)]),
            Store::Counted(buckets) => self.buckets().merge(buckets),
        }
    }

    /// Forgets all values. Keeps the memory of the octaves that had any, for values like them.
    pub fn clear(&mut self) {
        match &mut self.store {
            Store::Counted(buckets) => buckets.clear(),
            Store::Listed { len, .. } if *len > 0 => *len = 0,
            store => *store = Store::default(),
        }
    }

    /// Values recorded.
    pub fn count(&self) -> u64 {
        match &self.store {
            Store::InPlace { len, .. } | Store::Listed { len, .. } => u64::from(*len),
            Store::Counted(buckets) => buckets.count(),
        }
    }

    /// The value of rank `floor(q * (count - 1))` in ascending order, within
    /// [`RELATIVE_ERROR`]; exactly that value while there are at most [`EXACT_VALUES`]. `q` is
    /// taken as 0 below 0 and 1 above 1. `None` without values.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let last_rank = self.count().checked_sub(1)?;
        let rank = ((q.clamp(0.0, 1.0) * last_rank as f64) as u64).min(last_rank);
        let values = match &self.store {
            Store::InPlace { len, values } => &values[..usize::from(*len)],
            Store::Listed { len, values } => &values[..usize::from(*len)],
            Store::Counted(buckets) => match buckets.values() {
                Some(values) => values,
                None => return Some(buckets.at_rank(rank)),
            },
        };
        let mut sorted = [0.0; EXACT_VALUES];
        let sorted = &mut sorted[..values.len()];
        sorted.copy_from_slice(values);
        sorted.sort_unstable_by(f64::total_cmp);
        Some(sorted[rank as usize])
    }

    /// Like [`quantile`](Self::quantile), given the exact extremes of the same values: never
    /// outside of them, and the extremes themselves at the first and the last rank.
    pub fn quantile_within(&self, q: f64, min: f64, max: f64) -> Option<f64> {
        let last_rank = self.count().checked_sub(1)?;
        if q * last_rank as f64 >= last_rank as f64 {
            return Some(max);
        }
        if q * (last_rank as f64) < 1.0 {
            return Some(min);
        }
        Some(self.quantile(q)?.clamp(min, max))
    }

    /// Heap memory, in bytes.
    pub fn heap_bytes(&self) -> usize {
        match &self.store {
            Store::InPlace { .. } => 0,
            Store::Listed { values, .. } => size_of_val(&**values),
            Store::Counted(buckets) => size_of_val(&**buckets) + buckets.heap_bytes(),
        }
    }

    fn record_all(&mut self, values: &[f64]) {
        values.iter().for_each(|&x| self.record(x));
    }

    /// Keeps a value as it is, as long as there are few.
    fn keep(&mut self, x: f64) {
        let (used, values) = match &mut self.store {
            Store::InPlace { len, values } => (len, &mut values[..]),
            Store::Listed { len, values } => (len, &mut values[..]),
            Store::Counted(buckets) => return buckets.record(x),
        };
        let at = usize::from(*used);
        if let Some(place) = values.get_mut(at) {
            *place = x + 0.0; // -0 becomes 0
            *used += 1;
        } else {
            self.make_room();
            self.record(x);
        }
    }

    /// The next larger store, with the same values.
    #[cold]
    fn make_room(&mut self) {
        let (room, values) = match &self.store {
            Store::InPlace { values, .. } => (FIRST_ROOM, &values[..]),
            Store::Listed { values, .. } if values.len() < EXACT_VALUES => (EXACT_VALUES, &values[..]),
            _ => {
                self.buckets();
                return;
            }
        };
        let len = values.len();
        let mut list = vec![0.0; room].into_boxed_slice();
        list[..len].copy_from_slice(values);
        self.store = Store::Listed { len: len as u8, values: list };
    }

    /// The buckets; made from the values if there were none.
    fn buckets(&mut self) -> &mut Buckets {
        if !matches!(self.store, Store::Counted(_)) {
            let mut buckets = Box::<Buckets>::default();
            match std::mem::take(&mut self.store) {
                Store::InPlace { len, values } => buckets.record_all(&values[..usize::from(len)]),
                Store::Listed { len, values } => buckets.record_all(&values[..usize::from(len)]),
                Store::Counted(_) => {}
            }
            self.store = Store::Counted(buckets);
        }
        match &mut self.store {
            Store::Counted(buckets) => buckets,
            _ => unreachable!("just made"),
        }
    }
}
