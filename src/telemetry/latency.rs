//! Latency from socket read to applied: recorded by the window threads, one value an event.
//!
//! Each window thread owns two histograms. Once a second it sends the full one to the publish
//! thread and goes on with the other, which comes back over a one-slot ring. Nothing is
//! shared, nothing is locked, no event is sampled.

use std::collections::VecDeque;

use hdrhistogram::Histogram;

/// Longest latency told apart, ns; longer ones count as this.
pub const MAX_NS: u64 = 3_600_000_000_000;

/// How many one-second histograms `latency_ms` covers.
const SECONDS: usize = 10;

/// A histogram of nanoseconds with two significant digits (1 % steps).
pub fn histogram() -> Histogram<u64> {
    // The bounds are constants that the constructor accepts; a default one stands in for the
    // impossible error so that nothing here can panic.
    Histogram::new_with_bounds(1_000, MAX_NS, 2).unwrap_or_else(|_| {
        debug_assert!(false, "constant bounds were refused");
        Histogram::new(2).unwrap_or_else(|_| unreachable!("two digits are always accepted"))
    })
}

/// What `/api/stats` says of latency, ms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// Median.
    pub p50: f64,
    /// 90 %.
    pub p90: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p999: f64,
    /// Largest.
    pub max: f64,
}

/// The last ten seconds, kept by the publish thread.
#[derive(Debug)]
pub struct Recent {
    seconds: VecDeque<Histogram<u64>>,
    current: Histogram<u64>,
    /// Since the start, for the histogram of `/metrics`.
    total: Histogram<u64>,
    total_sum_ns: f64,
}

impl Recent {
    /// Nothing recorded.
    pub fn new() -> Self {
        Self {
            seconds: VecDeque::with_capacity(SECONDS + 1),
            current: histogram(),
            total: histogram(),
            total_sum_ns: 0.0,
        }
    }

    /// Takes in what a window thread recorded in about a second.
    pub fn absorb(&mut self, part: &Histogram<u64>) {
        // Same bounds everywhere, so an addition cannot fail; losing a second of latency
        // figures would be better than ending the thread.
        let added = self.current.add(part).and(self.total.add(part));
        debug_assert!(added.is_ok());
        self.total_sum_ns += part.mean() * part.len() as f64;
    }

    /// A second is over. Returns the mean of that second in ms (0 without events).
    pub fn roll(&mut self) -> f64 {
        let mean_ms = if self.current.is_empty() { 0.0 } else { self.current.mean() / 1e6 };
        let mut next = if self.seconds.len() >= SECONDS {
            self.seconds.pop_front().unwrap_or_else(histogram)
        } else {
            histogram()
        };
        next.reset();
        let full = std::mem::replace(&mut self.current, next);
        self.seconds.push_back(full);
        mean_ms
    }

    /// The last ten seconds.
    pub fn summary(&self) -> Summary {
        let mut all = histogram();
        for second in &self.seconds {
            let added = all.add(second);
            debug_assert!(added.is_ok());
        }
        if all.is_empty() {
            return Summary::default();
        }
        let ms = |ns: u64| ns as f64 / 1e6;
        Summary {
            p50: ms(all.value_at_quantile(0.5)),
            p90: ms(all.value_at_quantile(0.9)),
            p99: ms(all.value_at_quantile(0.99)),
            p999: ms(all.value_at_quantile(0.999)),
            max: ms(all.max()),
        }
    }

    /// Events at or below each bound (seconds), since the start; with the sum in seconds and
    /// the count: what a Prometheus histogram needs.
    pub fn buckets(&self, bounds_s: &[f64]) -> (Vec<u64>, f64, u64) {
        let counts = bounds_s.iter().map(|&s| self.total.count_between(0, (s * 1e9) as u64)).collect();
        (counts, self.total_sum_ns / 1e9, self.total.len())
    }
}

impl Default for Recent {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_seconds_are_kept_and_the_eleventh_forgotten() {
        let mut recent = Recent::new();
        let mut slow = histogram();
        slow.record_n(5_000_000, 10).unwrap();
        recent.absorb(&slow);
        assert!((recent.roll() - 5.0).abs() < 0.1);
        assert!((recent.summary().max - 5.0).abs() < 0.1);
        for _ in 0..SECONDS {
            assert_eq!(recent.roll(), 0.0);
        }
        assert_eq!(recent.summary(), Summary::default());
        let (counts, sum, count) = recent.buckets(&[0.001, 0.01]);
        assert_eq!((counts, count), (vec![0, 10], 10));
        assert!((sum - 0.05).abs() < 0.001);
    }
}
