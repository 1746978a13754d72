//! What HTTP may look at: the newest results, alerts, dead letters and the figures that need
//! two readings (rates). Written by the publish thread, read by the HTTP threads; the lock is
//! held for the copying of a few pointers and stands nowhere on the way from socket to window.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::message::DeadLetter;
use crate::telemetry::latency;

/// Alerts kept.
const ALERTS: usize = 1_000;
/// Dead letters kept.
const LETTERS: usize = 1_000;

/// A published result.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Start, microseconds since the epoch.
    pub start_us: i64,
    /// End, microseconds since the epoch.
    pub end_us: i64,
    /// The result as published.
    pub json: Arc<str>,
}

/// Figures over the last second or ten, sampled by the publish thread.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    /// Events received in the last second, per second.
    pub events_per_second: f64,
    /// Mean latency of the last second, ms.
    pub processing_time_ms: f64,
    /// Latency of the last ten seconds.
    pub latency: latency::Summary,
    /// Share of the last second each thread was busy, 0 to 1, in the order of the telemetry.
    pub busy: Vec<f64>,
    /// Latency buckets since the start: cumulative counts, sum in seconds, count.
    pub buckets: (Vec<u64>, f64, u64),
    /// Busiest sources since the start.
    pub top_sources: Vec<(Arc<str>, u64)>,
}

#[derive(Debug, Default)]
struct Inner {
    history: Vec<VecDeque<Kept>>,
    history_bytes: usize,
    alerts: VecDeque<Arc<str>>,
    letters: VecDeque<Arc<DeadLetter>>,
    rates: Rates,
}

/// The board.
#[derive(Debug)]
pub struct Board {
    inner: Mutex<Inner>,
    results_per_window: usize,
    max_bytes: usize,
}

impl Board {
    /// An empty board for `windows` windows, with `results_per_window` results each and
    /// `max_bytes` for all of them.
    pub fn new(windows: usize, results_per_window: usize, max_bytes: usize) -> Self {
        Self {
            inner: Mutex::new(Inner {
                history: (0..windows).map(|_| VecDeque::new()).collect(),
                ..Inner::default()
            }),
            results_per_window,
            max_bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here can be left half done by a panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a result; the oldest of its window go when there are too many, the oldest of the
    /// fullest window when they take too much memory.
    pub fn keep(&self, window: usize, kept: Kept) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let Some(history) = inner.history.get_mut(window) else {
            return;
        };
        inner.history_bytes += kept.json.len();
        history.push_back(kept);
        if history.len() > self.results_per_window
            && let Some(gone) = history.pop_front()
        {
            inner.history_bytes -= gone.json.len();
        }
        while inner.history_bytes > self.max_bytes {
            let fullest = inner.history.iter_mut().max_by_key(|h| h.len());
            match fullest.and_then(VecDeque::pop_front) {
                Some(gone) => inner.history_bytes -= gone.json.len(),
                None => break,
            }
        }
    }

    /// The newest `limit` results of a window that ended after `since_us`, oldest first.
    pub fn results(&self, window: usize, limit: usize, since_us: Option<i64>) -> Vec<Arc<str>> {
        let inner = self.lock();
        let Some(history) = inner.history.get(window) else {
            return Vec::new();
        };
        let mut newest: Vec<_> = history
            .iter()
            .rev()
            .filter(|kept| since_us.is_none_or(|since| kept.end_us > since))
            .take(limit)
            .map(|kept| Arc::clone(&kept.json))
            .collect();
        newest.reverse();
        newest
    }

    /// Keeps an alert (JSON).
    pub fn alert(&self, json: Arc<str>) {
        push_bounded(&mut self.lock().alerts, json, ALERTS);
    }

    /// The newest `limit` alerts, oldest first.
    pub fn alerts(&self, limit: usize) -> Vec<Arc<str>> {
        newest(&self.lock().alerts, limit)
    }

    /// Keeps a dead letter.
    pub fn letter(&self, letter: DeadLetter) {
        push_bounded(&mut self.lock().letters, Arc::new(letter), LETTERS);
    }

    /// The newest `limit` dead letters, oldest first.
    pub fn letters(&self, limit: usize) -> Vec<Arc<DeadLetter>> {
        newest(&self.lock().letters, limit)
    }

    /// Replaces the sampled figures.
    pub fn set_rates(&self, rates: Rates) {
        self.lock().rates = rates;
    }

    /// The figures of the last sample.
    pub fn rates(&self) -> Rates {
        self.lock().rates.clone()
    }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, item: T, limit: usize) {
    if queue.len() == limit {
        queue.pop_front();
    }
    queue.push_back(item);
}

fn newest<T: Clone>(queue: &VecDeque<T>, limit: usize) -> Vec<T> {
    let skip = queue.len().saturating_sub(limit);
    queue.iter().skip(skip).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(end_us: i64) -> Kept {
        Kept { start_us: end_us - 10, end_us, json: format!("{end_us:04}").into() }
    }

    #[test]
    fn history_is_bounded_by_count_and_by_bytes() {
        let board = Board::new(2, 3, 16);
        for end in [10, 20, 30, 40] {
            board.keep(0, kept(end));
        }
        let texts = |w, limit, since| -> Vec<String> {
            let results = board.results(w, limit, since);
            results.iter().map(ToString::to_string).collect()
        };
        assert_eq!(texts(0, 10, None), ["0020", "0030", "0040"]);
        assert_eq!(texts(0, 2, None), ["0030", "0040"]);
        assert_eq!(texts(0, 10, Some(30)), ["0040"]);
        board.keep(1, kept(50));
        board.keep(1, kept(60));
        assert_eq!(texts(0, 10, None), ["0030", "0040"], "16 bytes hold four results");
        assert_eq!(texts(1, 10, None), ["0050", "0060"]);
    }
}
