//! When to read: at once while little comes, and every 100 us while many small reads would each
//! wake the whole pipeline for an event or two. Network cards moderate their interrupts so.

/// How long the rate of reads is measured before it is believed, ns.
const MEASURE_NS: u64 = 2_000_000;
/// Reads a second from which on they are gathered: one in 100 us.
const MANY: u64 = 10_000;
/// Reads of so many bytes on average carry enough to be worth a wake-up each.
const SMALL_BYTES: u64 = 16 * 1024;
/// From one gathered turn to the next, ns. A sleep takes some 50 us longer than it is asked to; an
/// event may wait for one turn, its acknowledgement for the next, and 200 us in all is the promise.
const GATHER_NS: u64 = 50_000;

/// The pace of one ingest thread.
#[derive(Debug, Default)]
pub struct Pace {
    since_ns: u64,
    last_ns: u64,
    reads: u64,
    bytes: u64,
    gathers: bool,
    rests_until_ns: u64,
}

impl Pace {
    /// A turn that began at `now_ns` has read so much.
    pub fn note(&mut self, now_ns: u64, reads: u64, bytes: u64) {
        if reads == 0 {
            return;
        }
        if now_ns.saturating_sub(self.last_ns) > MEASURE_NS {
            // After silence nobody waits.
            *self = Self { since_ns: now_ns, ..Self::default() };
        }
        self.last_ns = now_ns;
        self.reads += reads;
        self.bytes += bytes;
        let elapsed_ns = now_ns.saturating_sub(self.since_ns);
        if elapsed_ns >= MEASURE_NS {
            let many = self.reads * 1_000_000_000 / elapsed_ns >= MANY;
            self.gathers = many && self.bytes / self.reads < SMALL_BYTES;
            (self.since_ns, self.reads, self.bytes) = (now_ns, 0, 0);
        }
        if self.gathers {
            self.rests_until_ns = now_ns + GATHER_NS;
        }
    }

    /// Until when to rest, if there is reason to.
    pub fn rest(&self, now_ns: u64) -> Option<u64> {
        (now_ns < self.rests_until_ns).then_some(self.rests_until_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Turns of `reads` every `every_ns`, for 10 ms; how many of them were followed by a rest.
    fn rests(pace: &mut Pace, every_ns: u64, reads: u64, bytes: u64) -> usize {
        let turns = (0..10 * MS).step_by(every_ns as usize);
        turns
            .filter(|at| {
                let now_ns = 1_000 * MS + at;
                pace.note(now_ns, reads, reads * bytes);
                pace.rest(now_ns).is_some()
            })
            .count()
    }

    #[test]
    fn few_reads_and_large_ones_are_not_gathered() {
        assert_eq!(rests(&mut Pace::default(), 200_000, 1, 300), 0, "5,000 a second");
        assert_eq!(rests(&mut Pace::default(), 20_000, 1, 65_536), 0, "large");
        assert!(rests(&mut Pace::default(), 20_000, 1, 300) > 300, "50,000 a second");
    }

    #[test]
    fn gathering_goes_on_while_it_pays_and_ends_with_silence() {
        let mut pace = Pace::default();
        rests(&mut pace, 20_000, 1, 300);
        let mut now_ns = 1_010 * MS;
        for _ in 0..100 {
            now_ns += 200_000;
            pace.note(now_ns, 4, 1_200);
            assert_eq!(pace.rest(now_ns), Some(now_ns + GATHER_NS));
        }
        assert_eq!(pace.rest(now_ns + GATHER_NS), None);
        now_ns += 3 * MS;
        pace.note(now_ns, 1, 300);
        assert_eq!(pace.rest(now_ns), None, "after silence at once");
    }

    #[test]
    fn gathering_ends_when_too_little_comes() {
        let mut pace = Pace::default();
        rests(&mut pace, 20_000, 1, 300);
        let after = (1..50u64).filter(|n| {
            let now_ns = 1_010 * MS + n * 400_000;
            pace.note(now_ns, 1, 300);
            pace.rest(now_ns).is_some()
        });
        assert!(after.count() <= 10);
    }
}
