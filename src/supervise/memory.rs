//! What windows hold is bounded by time, not by number: every source may have every field in every open slice.
//! So main looks at how much memory the process has, and at `limits.memory` reading stops, as it does when a
//! ring is full, until windows have closed. The kernel would end the process instead, and all windows with it.

use std::time::{Duration, Instant};

use crate::pipeline::Running;
use crate::runtime::{heap, memory};
use crate::telemetry::process;

/// Memory grows no faster than this, bytes a second: looks are no further apart than it takes to the limit.
const GROWTH_BYTES_PER_S: u64 = 1 << 30;
/// Between two times that the heap gives back what is free: it takes a while, in which nobody allocates.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(1);
/// Between two looks.
const SOONEST: Duration = Duration::from_millis(50);
const LATEST: Duration = Duration::from_secs(1);

/// The look at memory.
#[derive(Debug)]
pub struct Memory {
    /// Three quarters of what the machine or the control group has.
    default_bytes: u64,
    /// What rings, pools and history may take, whatever windows do, bytes.
    fixed_bytes: u64,
    /// As it was at the last look, bytes.
    limit_bytes: u64,
    give_back_at: Instant,
    next: Instant,
    stopped_at: Option<Instant>,
}

impl Memory {
    /// Begins to look; rings, pools and history may take `fixed_bytes`.
    pub fn new(fixed_bytes: usize, now: Instant) -> Self {
        Self {
            default_bytes: memory::default_limit_bytes(),
            fixed_bytes: fixed_bytes as u64,
            limit_bytes: 0,
            give_back_at: now,
            next: now,
            stopped_at: None,
        }
    }

    /// When to look next.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Looks, and stops reading or lets it go on.
    pub fn look(&mut self, running: &Running, now: Instant) {
        self.next = now + LATEST;
        let configured = running.memory_limit();
        let limit = if configured > 0 { configured } else { self.default_bytes };
        let control = &running.telemetry.control;
        control.set_memory_limit(limit);
        let mib = |bytes: u64| bytes >> 20;
        if limit != self.limit_bytes && is_over(self.fixed_bytes, limit, true) {
            tracing::warn!(
                "rings, pools and history may take {} MiB of the {} MiB of limits.memory: reading could stop for good; \
                 publish.history_bytes is the largest part that can be made smaller",
                mib(self.fixed_bytes),
                mib(limit)
            );
        }
        self.limit_bytes = limit;
        let Some(mut used) = process::used_bytes() else { return };
        if is_over(used, limit, self.stopped_at.is_some()) && now >= self.give_back_at {
            // What closed windows have left in the heap does not count.
            heap::give_back();
            used = process::used_bytes().unwrap_or(used);
            self.give_back_at = Instant::now() + GIVE_BACK_EVERY;
        }
        let over = is_over(used, limit, self.stopped_at.is_some());
        match (over, self.stopped_at) {
            (true, None) => {
                self.stopped_at = Some(now);
                control.memory_is_full(true);
                running.stop_reading(true);
                tracing::warn!(
                    "{} MiB of memory are in use, limits.memory allows {} MiB: no more is read until windows have \
                     closed, and clients wait",
                    mib(used),
                    mib(limit)
                );
            }
            (false, Some(since)) => {
                self.stopped_at = None;
                control.memory_is_full(false);
                running.stop_reading(false);
                let seconds = now.saturating_duration_since(since).as_secs_f64();
                tracing::info!(
                    "reading goes on after {seconds:.1} s: {} MiB of memory are in use",
                    mib(used)
                );
            }
            _ => {}
        }
        self.next = Instant::now() + wait(used, limit);
    }
}

/// Whether reading is to stop; once it has, it goes on when a tenth is free.
fn is_over(used: u64, limit: u64, stopped: bool) -> bool {
    used >= if stopped { limit / 10 * 9 } else { limit }
}

fn wait(used: u64, limit: u64) -> Duration {
    let left_ns = u128::from(limit.saturating_sub(used)) * 1_000_000_000 / u128::from(GROWTH_BYTES_PER_S);
    Duration::from_nanos(u64::try_from(left_ns).unwrap_or(u64::MAX)).clamp(SOONEST, LATEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_stops_at_the_limit_and_goes_on_with_a_tenth_free() {
        assert!(!is_over(99, 100, false) && is_over(100, 100, false));
        assert!(is_over(90, 100, true) && !is_over(89, 100, true));
    }

    #[test]
    fn looks_come_sooner_the_nearer_the_limit_is() {
        let gib = 1 << 30;
        assert_eq!(wait(0, 100 * gib), LATEST);
        assert_eq!(wait(gib / 2, gib), Duration::from_millis(500));
        assert_eq!(wait(2 * gib, gib), SOONEST);
    }
}
