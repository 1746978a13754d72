//! How many different values there were: exact up to 1,024, within about 1 % above, in 16 KB.
//!
//! What must always hold: the answer depends only on the set of recorded hashes, never on their
//! order, on repetition or on how they were split into merged parts. So the two representations
//! are canonical: a set of at most 1,024 hashes is the sorted list of them, a larger one the
//! registers, whichever way it came about.
//!
//! # How
//!
//! Few hashes are kept as they are. More are counted by HyperLogLog (P. Flajolet, É. Fusy, O.
//! Gandouet, F. Meunier, "HyperLogLog: the analysis of a near-optimal cardinality estimation
//! algorithm", AofA 2007): the first 14 bits of a hash choose one of 2^14 registers, and the
//! register remembers the longest run of zeros that any of its hashes had next. A maximum
//! forgets order and repetition, and merging takes the maximum of maxima.
//!
//! The estimate is the improved raw estimator of O. Ertl, "New cardinality estimation algorithms
//! for HyperLogLog sketches" (2017, arXiv 1702.01284, section 3). It corrects the raw estimator for
//! registers at 0 and at the upper end in closed form (σ and τ), and so needs no table of biases and
//! no threshold between estimators.
//!
//! # Error
//!
//! The standard error is [`RELATIVE_STANDARD_ERROR`], 0.81 %, and about half of it at some
//! thousands. It is a standard deviation, not a bound: one estimate in 20 is off by more than
//! twice that, one in 16,000 by more than four times. Two values with the same 64-bit hash count
//! as one; that a million values have such a pair is a chance of 1 in 37 million.

/// Counts are exact (for different hashes) up to this many.
pub const EXACT: usize = 1_024;
/// p: log2 of the number of registers.
pub const PRECISION: u32 = 14;
/// One standard deviation of an estimate, `1.04 / sqrt(2^PRECISION)`, for large counts.
pub const RELATIVE_STANDARD_ERROR: f64 = 1.04 / (1u64 << (PRECISION / 2)) as f64;

const REGISTERS: usize = 1 << PRECISION;
/// q: the bits of a hash that are left for the run of zeros. Registers are 0 to q + 1.
const RUN_BITS: usize = 64 - PRECISION as usize;
/// Room for the first few values: as much as the smallest block of common allocators.
const FIRST_ROOM: usize = 3;

/// A mergeable counter of distinct 64-bit hashes; [`hash`] makes them from strings.
///
/// 24 bytes, nothing on the heap while empty, 8 to 10 per value up to 1,024 values (24 at
/// least), 16 KB above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distinct {
    seen: Seen,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    /// At most `EXACT` hashes, ascending.
    Few(Vec<u64>),
    /// More than `EXACT` hashes.
    Many(Box<[u8; REGISTERS]>),
}

/// 64 bits of a string that look random: FNV-1a (G. Fowler, L. Noll, K.-P. Vo) and then
/// the finalizer `fmix64` of MurmurHash3 (A. Appleby), which carries every bit to every
/// other: the registers need the high bits, where FNV mixes short strings least.
///
/// Fixed, so that a replay and another machine count the same. The price: who chooses the
/// strings can choose the hashes, and make his own count wrong.
#[inline]
pub fn hash(value: &str) -> u64 {
    let mut h = 0xcbf2_9ce4_8422_2325_u64;
    for &byte in value.as_bytes() {
        h = (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    h = (h ^ (h >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    h = (h ^ (h >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^ (h >> 33)
}

impl Default for Distinct {
    fn default() -> Self {
        Self { seen: Seen::Few(Vec::new()) }
    }
}

impl Distinct {
    /// No values yet; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one hash, which must be well mixed: see [`hash`].
    #[inline]
    pub fn record(&mut self, hash: u64) {
        match &mut self.seen {
            Seen::Many(registers) => raise(registers, hash),
            Seen::Few(hashes) => {
                if let Err(index) = hashes.binary_search(&hash) {
                    self.insert(index, hash);
                }
            }
        }
    }

    /// Adds what `other` has seen.
    pub fn merge(&mut self, other: &Self) {
        match &other.seen {
            Seen::Few(theirs) => self.merge_few(theirs),
            Seen::Many(theirs) => {
                let ours = self.registers();
                for (our, &their) in ours.iter_mut().zip(theirs.iter()) {
                    *our = (*our).max(their);
                }
            }
        }
    }

    /// Forgets all hashes. Keeps a list that was in use; registers are exchanged for a list of
    /// the full length, half their size.
    pub fn clear(&mut self) {
        match &mut self.seen {
            Seen::Few(hashes) if !hashes.is_empty() => hashes.clear(),
            Seen::Few(hashes) => *hashes = Vec::new(),
            Seen::Many(_) => self.seen = Seen::Few(Vec::with_capacity(EXACT)),
        }
    }

    /// Nothing was recorded.
    pub fn is_empty(&self) -> bool {
        matches!(&self.seen, Seen::Few(hashes) if hashes.is_empty())
    }

    /// How many different hashes were recorded: exact up to [`EXACT`], else an estimate with
    /// [`RELATIVE_STANDARD_ERROR`]. Reads all registers: for results, not for each event.
    pub fn count(&self) -> u64 {
        match &self.seen {
            Seen::Few(hashes) => hashes.len() as u64,
            // There are registers because there was one more than EXACT: a count that passes
            // the limit does not fall.
            Seen::Many(registers) => (estimate(registers).round() as u64).max(EXACT as u64 + 1),
        }
    }

    /// Heap memory, in bytes.
    pub fn heap_bytes(&self) -> usize {
        match &self.seen {
            Seen::Few(hashes) => hashes.capacity() * size_of::<u64>(),
            Seen::Many(_) => REGISTERS,
        }
    }

    /// Adds a hash that is not in the list, at its place.
    #[cold]
    fn insert(&mut self, index: usize, hash: u64) {
        match &mut self.seen {
            Seen::Few(hashes) if hashes.len() < EXACT => {
                reserve(hashes, 1);
                hashes.insert(index, hash);
            }
            _ => raise(self.registers(), hash),
        }
    }

    fn merge_few(&mut self, theirs: &[u64]) {
        if let Seen::Few(ours) = &mut self.seen {
            let new = theirs.len() - common(ours, theirs);
            if ours.len() + new <= EXACT {
                return merge_sorted(ours, theirs, new);
            }
        }
        let registers = self.registers();
        theirs.iter().for_each(|&hash| raise(registers, hash));
    }

    /// The registers; made from the list if there were none. For more than `EXACT` hashes only.
    fn registers(&mut self) -> &mut [u8; REGISTERS] {
        if let Seen::Few(hashes) = &self.seen {
            let mut registers = Box::new([0; REGISTERS]);
            hashes.iter().for_each(|&hash| raise(&mut registers, hash));
            self.seen = Seen::Many(registers);
        }
        match &mut self.seen {
            Seen::Many(registers) => registers,
            Seen::Few(_) => unreachable!("just replaced"),
        }
    }
}

/// Counts one hash in its register.
#[inline]
fn raise(registers: &mut [u8; REGISTERS], hash: u64) {
    let register = &mut registers[(hash >> RUN_BITS) as usize];
    // A one behind the last bit ends the run.
    let rest = hash << PRECISION | 1 << (PRECISION - 1);
    *register = (*register).max(rest.leading_zeros() as u8 + 1);
}

/// Grows by a quarter, not by doubling: there may be a million lists of a few values.
fn reserve(hashes: &mut Vec<u64>, additional: usize) {
    if hashes.capacity() - hashes.len() < additional {
        let more = additional.max(hashes.len() / 4).max(FIRST_ROOM);
        hashes.reserve_exact(more.min(EXACT - hashes.len()));
    }
}

/// How many hashes are in both lists, which are ascending.
fn common(ours: &[u64], theirs: &[u64]) -> usize {
    let (mut i, mut j, mut both) = (0, 0, 0);
    while i < ours.len() && j < theirs.len() {
        let (our, their) = (ours[i], theirs[j]);
        both += usize::from(our == their);
        i += usize::from(our <= their);
        j += usize::from(their <= our);
    }
    both
}

/// The union of two ascending lists, `new` longer than the first; in place, from the back.
fn merge_sorted(ours: &mut Vec<u64>, theirs: &[u64], new: usize) {
    reserve(ours, new);
    let (mut i, mut j) = (ours.len(), theirs.len());
    ours.resize(i + new, 0);
    // Where there is nothing new left to insert, the rest is in place.
    let mut end = ours.len();
    while i < end {
        end -= 1;
        let their = theirs[j - 1];
        if i > 0 && ours[i - 1] >= their {
            j -= usize::from(ours[i - 1] == their);
            i -= 1;
            ours[end] = ours[i];
        } else {
            j -= 1;
            ours[end] = their;
        }
    }
}

/// Ertl's improved raw estimator (algorithm 6), from how many registers have which value.
fn estimate(registers: &[u8; REGISTERS]) -> f64 {
    let mut registers_at = [0u32; RUN_BITS + 2];
    registers.iter().for_each(|&value| registers_at[usize::from(value)] += 1);
    let m = REGISTERS as f64;
    let share = |value: usize| f64::from(registers_at[value]) / m;

    let mut z = m * tau(1.0 - share(RUN_BITS + 1));
    for value in (1..=RUN_BITS).rev() {
        z = 0.5 * (z + f64::from(registers_at[value]));
    }
    z += m * sigma(share(0));
    m * m / (2.0 * std::f64::consts::LN_2 * z)
}

/// `σ(x) = x + Σ x^(2^k) 2^(k-1)` for k from 1; infinite at 1, where all registers are 0.
fn sigma(x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut weight, mut sum) = (x, 1.0, x);
    loop {
        power *= power;
        let before = sum;
        sum += power * weight;
        weight += weight;
        if sum == before {
            return sum;
        }
    }
}

/// `τ(x) = (1 - x - Σ (1 - x^(2^-k))² 2^-k) / 3` for k from 1.
fn tau(x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut root, mut weight, mut sum) = (x, 1.0, 1.0 - x);
    loop {
        root = root.sqrt();
        weight *= 0.5;
        let before = sum;
        sum -= (1.0 - root).powi(2) * weight;
        if sum == before {
            return sum / 3.0;
        }
    }
}
