//! How many new names a second a table takes; pure.

/// A second: so much may come at once after a time of rest, ns.
const BURST_NS: i64 = 1_000_000_000;

/// What a table takes of new names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Names at a time.
    pub names: usize,
    /// New ones a second, as many at once; 0: as many as come.
    pub per_second: usize,
    /// Now, monotonic ns.
    pub now_ns: u64,
}

impl From<usize> for Room {
    /// So many names, however fast they come.
    fn from(names: usize) -> Self {
        Self { names, per_second: 0, now_ns: 0 }
    }
}

/// A token bucket, kept as the time at which it was empty last (the generic cell rate algorithm).
#[derive(Debug)]
pub(super) struct Pace {
    empty_ns: i64,
    /// The latest time that any thread has asked with.
    now_ns: i64,
}

impl Default for Pace {
    /// Full.
    fn default() -> Self {
        Self { empty_ns: i64::MIN, now_ns: 0 }
    }
}

impl Pace {
    /// Takes a new name, if one may come now. Threads ask with times of their own, and one may be far
    /// behind another.
    pub(super) fn take(&mut self, room: Room) -> bool {
        if room.per_second == 0 {
            return true;
        }
        let now_ns = self.now_ns.max(i64::try_from(room.now_ns).unwrap_or(i64::MAX));
        self.now_ns = now_ns;
        let a_name_ns = BURST_NS / room.per_second as i64;
        let empty_ns = self.empty_ns.max(now_ns - BURST_NS) + a_name_ns;
        if empty_ns > now_ns {
            return false;
        }
        self.empty_ns = empty_ns;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn as_many_as_a_second_brings_come_at_once_and_then_one_by_one() {
        let mut pace = Pace::default();
        let mut take = |now_ns| pace.take(Room { names: 0, per_second: 100, now_ns });
        // The clock begins with the process.
        assert_eq!((0..500).filter(|_| take(5)).count(), 100);
        assert!(!take(S / 100));
        assert!(take(S / 100 + 5) && !take(S / 100 + 5));
        assert_eq!((0..500).filter(|_| take(S / 2 + 5)).count(), 49);
        assert!(take(3_600 * S) && take(7 * S), "another thread is far behind");
        assert_eq!((0..500).filter(|_| take(3_600 * S)).count(), 98, "no more after a long rest");
        // Over ten seconds with far more asked for.
        let taken = (0..10_000).filter(|n| take(3_700 * S + n * S / 1_000)).count();
        assert!((1_090..=1_101).contains(&taken), "{taken}");
    }

    #[test]
    fn without_a_limit_all_come() {
        let mut pace = Pace::default();
        assert!((0..1_000).all(|_| pace.take(Room::from(1))));
    }
}
