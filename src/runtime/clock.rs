//! The clock, read once a turn by whoever runs a stage; stages get [`Now`] as an argument.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds since the daemon's start; never goes back.
    pub mono_ns: u64,
    /// Microseconds since the Unix epoch; jumps when somebody sets the clock.
    pub wall_us: i64,
}

impl Now {
    /// The wall time that belongs to `mono_ns`, as seen from this reading.
    pub fn wall_at(&self, mono_ns: u64) -> i64 {
        let ago_us = (self.mono_ns as i64).saturating_sub(mono_ns as i64) / 1_000;
        self.wall_us.saturating_sub(ago_us)
    }
}

/// Both clocks, counted from one start that all threads share.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose monotonic zero is now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Reads both clocks (about 60 ns).
    pub fn now(&self) -> Now {
        let wall_us = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
        };
        Now { mono_ns: self.mono_ns(), wall_us }
    }

    /// Reads the monotonic clock only.
    pub fn mono_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_of_an_earlier_moment() {
        let now = Now { mono_ns: 5_000_000, wall_us: 1_000_000 };
        assert_eq!(now.wall_at(3_000_000), 998_000);
        assert_eq!(now.wall_at(5_000_000), 1_000_000);
    }
}
