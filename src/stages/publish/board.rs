//! What HTTP may look at: the newest results, alerts, dead letters and the figures that need
//! two readings (rates). Written by the publish thread, read by the HTTP threads; the lock is
//! held for the copying of a few pointers and stands nowhere on the way from socket to window.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::groups::Group;
use crate::message::{DeadLetter, LateEvent};
use crate::telemetry::latency;

/// Alerts kept.
const ALERTS: usize = 1_000;
/// Dead letters kept.
const LETTERS: usize = 1_000;
/// Late events kept.
const LATE: usize = 1_000;

/// A published result.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Start, microseconds since the epoch.
    pub start_us: i64,
    /// End, microseconds since the epoch.
    pub end_us: i64,
    /// Its group.
    pub group: Group,
    /// The result as published.
    pub json: Arc<str>,
}

/// A late event, with the names behind its numbers.
#[derive(Clone, Debug)]
pub struct Late {
    /// Times, and the windows that missed it.
    pub event: LateEvent,
    /// Its source.
    pub source: Arc<str>,
    /// Its type.
    pub kind: Arc<str>,
}

/// Which results are asked for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// At most so many, the newest.
    pub limit: usize,
    /// That ended after this, microseconds.
    pub since_us: Option<i64>,
    /// Whose group has these members with these values (`None`: absent).
    pub group: Vec<(String, Option<String>)>,
}

impl Wanted {
    fn is_recent(&self, key: &Key) -> bool {
        self.since_us.is_none_or(|since_us| key.0 > since_us)
    }

    fn wants_group(&self, group: &Group) -> bool {
        self.group.iter().all(|(member, value)| {
            group.iter().any(|(m, v)| **m == **member && v.as_deref() == value.as_deref())
        })
    }
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

/// End, start and group: the order of results, and what tells them apart.
type Key = (i64, i64, Group);

#[derive(Debug, Default)]
struct Inner {
    history: Vec<BTreeMap<Key, Arc<str>>>,
    history_bytes: usize,
    alerts: VecDeque<Arc<str>>,
    firing: Vec<Arc<str>>,
    letters: VecDeque<Arc<DeadLetter>>,
    late: VecDeque<Arc<Late>>,
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
            inner: Mutex::new(Inner { history: vec![BTreeMap::new(); windows], ..Inner::default() }),
            results_per_window,
            max_bytes,
        }
    }

    /// How many results history keeps of each window.
    pub fn results_per_window(&self) -> usize {
        self.results_per_window
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here can be left half done by a panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a result in the place of those of its group with the bounds `replaced`. The oldest
    /// of its window go when there are too many, the oldest of the fullest window when they
    /// take too much memory.
    pub fn keep(&self, window: usize, kept: Kept, replaced: &[(i64, i64)]) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let Some(history) = inner.history.get_mut(window) else {
            return;
        };
        for &(start_us, end_us) in replaced {
            if let Some(gone) = history.remove(&(end_us, start_us, Arc::clone(&kept.group))) {
                inner.history_bytes -= gone.len();
            }
        }
        inner.history_bytes += kept.json.len();
        if let Some(gone) = history.insert((kept.end_us, kept.start_us, kept.group), kept.json) {
            inner.history_bytes -= gone.len();
        }
        if history.len() > self.results_per_window
            && let Some((_, gone)) = history.pop_first()
        {
            inner.history_bytes -= gone.len();
        }
        while inner.history_bytes > self.max_bytes {
            let fullest = inner.history.iter_mut().max_by_key(|h| h.len());
            match fullest.and_then(BTreeMap::pop_first) {
                Some((_, gone)) => inner.history_bytes -= gone.len(),
                None => break,
            }
        }
    }

    /// The newest of the wanted results of a window, oldest first.
    pub fn results(&self, window: usize, wanted: &Wanted) -> Vec<Arc<str>> {
        let inner = self.lock();
        let Some(history) = inner.history.get(window) else {
            return Vec::new();
        };
        let newest = history.iter().rev().take_while(|(key, _)| wanted.is_recent(key));
        let newest = newest.filter(|(key, _)| wanted.wants_group(&key.2)).take(wanted.limit);
        let mut newest: Vec<_> = newest.map(|(_, json)| Arc::clone(json)).collect();
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

    /// Replaces the alerts that fire now (JSON).
    pub fn set_firing(&self, firing: Vec<Arc<str>>) {
        // The old ones are let go outside the lock.
        let _old = std::mem::replace(&mut self.lock().firing, firing);
    }

    /// The newest `limit` of the alerts that fire now, oldest first.
    pub fn firing(&self, limit: usize) -> Vec<Arc<str>> {
        let inner = self.lock();
        inner.firing[inner.firing.len().saturating_sub(limit)..].to_vec()
    }

    /// Keeps a dead letter.
    pub fn letter(&self, letter: Arc<DeadLetter>) {
        push_bounded(&mut self.lock().letters, letter, LETTERS);
    }

    /// The newest `limit` dead letters, oldest first.
    pub fn letters(&self, limit: usize) -> Vec<Arc<DeadLetter>> {
        newest(&self.lock().letters, limit)
    }

    /// Keeps a late event.
    pub fn late(&self, late: Late) {
        push_bounded(&mut self.lock().late, Arc::new(late), LATE);
    }

    /// The newest `limit` late events, oldest first.
    pub fn late_events(&self, limit: usize) -> Vec<Arc<Late>> {
        newest(&self.lock().late, limit)
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

    fn kept(end_us: i64, group: Option<&str>) -> Kept {
        let group = group.map(|value| (Arc::from("by"), Some(Arc::from(value))));
        let json = format!("{end_us:04}").into();
        Kept { start_us: end_us - 10, end_us, group: group.into_iter().collect(), json }
    }

    fn texts(board: &Board, window: usize, wanted: Wanted) -> Vec<String> {
        board.results(window, &wanted).iter().map(ToString::to_string).collect()
    }

    fn newest(limit: usize) -> Wanted {
        Wanted { limit, ..Wanted::default() }
    }

    #[test]
    fn history_is_bounded_by_count_and_by_bytes() {
        let board = Board::new(2, 3, 16);
        for end in [10, 20, 30, 40] {
            board.keep(0, kept(end, None), &[]);
        }
        assert_eq!(texts(&board, 0, newest(10)), ["0020", "0030", "0040"]);
        assert_eq!(texts(&board, 0, newest(2)), ["0030", "0040"]);
        assert_eq!(texts(&board, 0, Wanted { since_us: Some(30), ..newest(10) }), ["0040"]);
        // As long as there is room.
        board.keep(1, kept(50, None), &[]);
        board.keep(1, kept(60, None), &[]);
        assert_eq!(texts(&board, 0, newest(10)), ["0030", "0040"], "16 bytes hold four results");
        assert_eq!(texts(&board, 1, newest(10)), ["0050", "0060"]);
    }

    #[test]
    fn a_revision_takes_the_place_of_what_it_replaces() {
        let board = Board::new(1, 10, 1_000);
        for (end, group) in [(10, "a"), (10, "b"), (20, "a")] {
            board.keep(0, kept(end, Some(group)), &[]);
        }
        let revised = Kept { json: "b again".into(), ..kept(10, Some("b")) };
        board.keep(0, revised, &[(0, 10)]);
        assert_eq!(texts(&board, 0, newest(10)), ["0010", "b again", "0020"]);
        let of = |value: Option<&str>| Wanted {
            group: vec![("by".to_owned(), value.map(str::to_owned))],
            ..newest(10)
        };
        assert_eq!(texts(&board, 0, of(Some("a"))), ["0010", "0020"]);
        assert_eq!(texts(&board, 0, of(None)), [""; 0]);
        // A session that has grown: [10, 20) becomes [10, 25).
        let grown = Kept { end_us: 25, json: "grown".into(), ..kept(20, Some("a")) };
        board.keep(0, grown, &[(10, 20)]);
        assert_eq!(texts(&board, 0, of(Some("a"))), ["0010", "grown"]);
    }

    #[test]
    fn of_what_fires_the_newest_are_told() {
        let board = Board::new(1, 10, 1_000);
        board.set_firing(["a", "b", "c"].map(Arc::from).to_vec());
        assert_eq!(board.firing(2), ["b", "c"].map(Arc::from));
        assert_eq!(board.firing(9).len(), 3);
    }
}
