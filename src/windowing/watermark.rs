//! How far event time has come: `min(largest event time, wall clock) - delay`, never back.
//!
//! - A client with a fast clock cannot pull it past the wall clock, so it makes nobody late.
//! - Silence: once no event has come for `idle_timeout`, event time is taken to pass at the
//!   pace of wall time from the last event on, so the last windows close by themselves.
//!
//! It is a function of the events received *before* a moment and of that moment alone; whoever
//! drives it does so in the order of arrival, which is why the number of threads changes
//! nothing.

use crate::runtime::clock::Now;

/// The watermark before any event.
pub const BEFORE_ALL: i64 = i64::MIN;

/// The rule and its state. All times are microseconds unless a name says otherwise.
#[derive(Clone, Debug)]
pub struct Watermark {
    delay_us: i64,
    idle_timeout_us: i64,
    largest_us: Option<i64>,
    last_event: Now,
    current_us: i64,
}

impl Watermark {
    /// `delay_us` is the disorder to wait for, `idle_timeout_us` the silence that counts as
    /// the passing of time.
    pub fn new(delay_us: i64, idle_timeout_us: i64) -> Self {
        Self {
            delay_us,
            idle_timeout_us,
            largest_us: None,
            last_event: Now::default(),
            current_us: BEFORE_ALL,
        }
    }

    /// Events that arrived at `arrival` reached up to `max_time_us`.
    pub fn observe(&mut self, max_time_us: i64, arrival: Now) {
        self.largest_us = Some(self.largest_us.map_or(max_time_us, |m| m.max(max_time_us)));
        self.last_event = arrival;
    }

    /// The watermark at `moment`, for the events observed so far.
    pub fn advance(&mut self, moment: Now) -> i64 {
        if let Some(largest_us) = self.largest_us {
            let silent_us = (moment.mono_ns.saturating_sub(self.last_event.mono_ns) / 1_000) as i64;
            let reached_us = if silent_us >= self.idle_timeout_us {
                largest_us.saturating_add(silent_us)
            } else {
                largest_us
            };
            let now_us = reached_us.min(moment.wall_us).saturating_sub(self.delay_us);
            self.current_us = self.current_us.max(now_us);
        }
        self.current_us
    }

    /// The disorder that is waited for.
    pub fn delay_us(&self) -> i64 {
        self.delay_us
    }

    /// The watermark of the last [`Watermark::advance`].
    pub fn current_us(&self) -> i64 {
        self.current_us
    }

    /// The monotonic time at which, without another event, the watermark will have reached
    /// `target_us`, if it can: what an idle thread sleeps until.
    pub fn reaches_at_ns(&self, target_us: i64, now: Now) -> Option<u64> {
        let largest_us = self.largest_us?;
        let needed_us = target_us.saturating_add(self.delay_us);
        // By the wall clock, if the largest event time is already there.
        let by_wall_us = needed_us.saturating_sub(now.wall_us).max(0) as u64;
        let by_wall_ns = now.mono_ns.saturating_add(by_wall_us.saturating_mul(1_000));
        if largest_us >= needed_us {
            return Some(by_wall_ns);
        }
        let silence_us = needed_us.saturating_sub(largest_us).max(self.idle_timeout_us) as u64;
        let by_silence_ns = self.last_event.mono_ns.saturating_add(silence_us.saturating_mul(1_000));
        Some(by_silence_ns.max(by_wall_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000;

    fn at(seconds: i64) -> Now {
        Now { mono_ns: (seconds * 1_000_000_000) as u64, wall_us: 1_000 * S + seconds * S }
    }

    fn watermark() -> Watermark {
        Watermark::new(5 * S, 10 * S)
    }

    #[test]
    fn before_any_event_there_is_none() {
        assert_eq!(watermark().advance(at(100)), BEFORE_ALL);
    }

    #[test]
    fn it_follows_the_largest_event_time_and_never_goes_back() {
        let mut w = watermark();
        w.observe(900 * S, at(1));
        assert_eq!(w.advance(at(1)), 895 * S);
        w.observe(800 * S, at(2));
        assert_eq!(w.advance(at(2)), 895 * S);
    }

    #[test]
    fn a_fast_clock_is_held_at_the_wall_clock() {
        let mut w = watermark();
        w.observe(1_050 * S, at(1));
        assert_eq!(w.advance(at(1)), 996 * S);
        assert_eq!(w.advance(at(4)), 999 * S);
    }

    #[test]
    fn silence_lets_event_time_pass_from_the_last_event_on() {
        let mut w = watermark();
        w.observe(500 * S, at(1));
        assert_eq!(w.advance(at(10)), 495 * S, "nine seconds are not silence");
        assert_eq!(w.advance(at(11)), 505 * S);
        assert_eq!(w.advance(at(21)), 515 * S);
        w.observe(501 * S, at(22));
        assert_eq!(w.advance(at(22)), 515 * S);
    }

    #[test]
    fn the_wake_up_time_is_when_the_target_is_reached() {
        for (largest, last, target) in [(500, 1, 505), (500, 1, 540), (1_004, 4, 1_000), (1_050, 1, 1_010)] {
            let mut w = watermark();
            w.observe(largest * S, at(last));
            let wake = w.reaches_at_ns(target * S, at(last)).unwrap();
            let moment = |ns: u64| Now { mono_ns: ns, wall_us: 1_000 * S + (ns / 1_000) as i64 };
            let mut early = w.clone();
            assert!(early.advance(moment(wake - 1_000_000)) < target * S, "{largest} {target}");
            assert!(w.advance(moment(wake)) >= target * S, "{largest} {target}");
        }
    }
}
