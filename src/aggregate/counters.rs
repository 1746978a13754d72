//! The 64 counters of one octave, as narrow as their counts allow.
//!
//! Most keys see a few hundred values per window, so a page starts with one byte per counter and
//! widens as a whole, to 4 and then to 8 bytes, when a counter would overflow.

/// Counters per page.
pub(super) const SLOTS: usize = 64;

#[derive(Clone, Debug)]
pub(super) enum Counters {
    Byte(Box<[u8; SLOTS]>),
    Word(Box<[u32; SLOTS]>),
    Long(Box<[u64; SLOTS]>),
}

impl Default for Counters {
    fn default() -> Self {
        Self::Byte(Box::new([0; SLOTS]))
    }
}

impl Counters {
    /// Adds `n` to one counter.
    #[inline]
    pub(super) fn add(&mut self, slot: usize, n: u64) {
        let added = match self {
            Self::Byte(counts) => try_add(&mut counts[slot], n),
            Self::Word(counts) => try_add(&mut counts[slot], n),
            Self::Long(counts) => try_add(&mut counts[slot], n),
        };
        if !added {
            self.widen();
            self.add(slot, n);
        }
    }

    /// Adds all counters of `other`.
    pub(super) fn merge(&mut self, other: &Self) {
        let added = match (&mut *self, other) {
            (Self::Byte(counts), Self::Byte(more)) => try_add_all(counts, more),
            (Self::Word(counts), Self::Word(more)) => try_add_all(counts, more),
            (Self::Long(counts), Self::Long(more)) => try_add_all(counts, more),
            _ => false,
        };
        if added {
            return;
        }
        for slot in 0..SLOTS {
            let n = other.get(slot);
            if n > 0 {
                self.add(slot, n);
            }
        }
    }

    /// Sets all counters to 0; whether any was not.
    pub(super) fn clear(&mut self) -> bool {
        let used = !self.is_empty();
        match self {
            Self::Byte(counts) => counts.fill(0),
            Self::Word(counts) => counts.fill(0),
            Self::Long(counts) => counts.fill(0),
        }
        used
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Byte(counts) => counts.iter().all(|&n| n == 0),
            Self::Word(counts) => counts.iter().all(|&n| n == 0),
            Self::Long(counts) => counts.iter().all(|&n| n == 0),
        }
    }

    /// The slot that holds `rank`, counted from the first slot, or what is left of `rank` beyond
    /// this page.
    pub(super) fn slot_at(&self, rank: u64) -> Result<usize, u64> {
        let mut left = rank;
        for slot in 0..SLOTS {
            let n = self.get(slot);
            if left < n {
                return Ok(slot);
            }
            left -= n;
        }
        Err(left)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        SLOTS
            * match self {
                Self::Byte(_) => size_of::<u8>(),
                Self::Word(_) => size_of::<u32>(),
                Self::Long(_) => size_of::<u64>(),
            }
    }

    fn get(&self, slot: usize) -> u64 {
        match self {
            Self::Byte(counts) => counts[slot].into(),
            Self::Word(counts) => counts[slot].into(),
            Self::Long(counts) => counts[slot],
        }
    }

    #[cold]
    fn widen(&mut self) {
        *self = match self {
            Self::Byte(counts) => Self::Word(Box::new(counts.map(u32::from))),
            Self::Word(counts) => Self::Long(Box::new(counts.map(u64::from))),
            Self::Long(_) => unreachable!("more than 2^64 values"),
        };
    }
}

/// Adds `n` if the sum fits; whether it did.
#[inline]
fn try_add<T: Copy + Into<u64> + TryFrom<u64>>(count: &mut T, n: u64) -> bool {
    let total = (*count).into().checked_add(n);
    let Some(total) = total.and_then(|total| T::try_from(total).ok()) else {
        return false;
    };
    *count = total;
    true
}

/// Adds slot by slot if all sums fit, else nothing; whether they did.
fn try_add_all<T>(counts: &mut [T; SLOTS], more: &[T; SLOTS]) -> bool
where
    T: Copy + Ord + std::ops::Add<Output = T> + std::ops::Not<Output = T>,
{
    // Fits where n <= !count, the largest value less the count. No early exit: 64 lanes of SIMD.
    let fits = counts.iter().zip(more).fold(true, |fits, (&count, &n)| fits & (n <= !count));
    if fits {
        for (count, &n) in counts.iter_mut().zip(more) {
            *count = *count + n;
        }
    }
    fits
}
