//! One shard's windows: apply events, advance time, get back what has closed.
//!
//! The caller drives it in the order of arrival: `begin(arrival)`, then the events of that
//! arrival, then `mark(largest event time)`; between arrivals, `advance(moment)`.

use super::Spec;
use super::slices::{Closed, Grid};
use super::watermark::Watermark;
use crate::aggregate::Top;
use crate::runtime::clock::Now;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It entered at least one window.
    InTime,
    /// It was too late for every window.
    Late,
}

/// The windows of one shard.
#[derive(Debug)]
pub struct Engine {
    grids: Vec<Grid>,
    watermark: Watermark,
    arrival: Now,
    /// Time of the event whose fields come next, if it was in time: per grid or not at all.
    current: Option<i64>,
}

impl Engine {
    /// An engine for `specs`; window indices in results are indices into it.
    pub fn new(specs: &[Spec], watermark: Watermark) -> Self {
        Self { grids: Grid::for_windows(specs), watermark, arrival: Now::default(), current: None }
    }

    /// Events that arrived at `arrival` come next; closes what was due before them.
    pub fn begin(&mut self, arrival: Now, out: &mut Vec<Closed>) {
        self.arrival = arrival;
        self.advance(arrival, out);
    }

    /// One event; its fields follow by [`Engine::field`].
    pub fn event(&mut self, time_us: i64, source: u32, kind: u16) -> Applied {
        let watermark_us = self.watermark.current_us();
        let mut in_time = false;
        for grid in &mut self.grids {
            if let Some(slice) = grid.slice(time_us, watermark_us) {
                slice.begin_event(source, kind);
                in_time = true;
            }
        }
        self.current = in_time.then_some(time_us);
        if in_time { Applied::InTime } else { Applied::Late }
    }

    /// A numeric field of the event before it.
    pub fn field(&mut self, id: u32, value: f64) {
        let Some(time_us) = self.current else { return };
        let watermark_us = self.watermark.current_us();
        for grid in &mut self.grids {
            if let Some(slice) = grid.slice(time_us, watermark_us) {
                slice.record_field(id, value);
            }
        }
    }

    /// The events of the current arrival are all in; they reached up to `max_time_us`
    /// (`i64::MIN`: there were none).
    pub fn mark(&mut self, max_time_us: i64) {
        if max_time_us != i64::MIN {
            self.watermark.observe(max_time_us, self.arrival);
        }
    }

    /// Time has come to `moment` with nothing more received before it.
    pub fn advance(&mut self, moment: Now, out: &mut Vec<Closed>) {
        let before_us = self.watermark.current_us();
        let watermark_us = self.watermark.advance(moment);
        if watermark_us > before_us {
            self.current = None;
            for grid in &mut self.grids {
                grid.close(watermark_us, out);
            }
        }
    }

    /// The input has ended: everything that is still open. What of it is final is for the
    /// watermark to say.
    pub fn drain(&mut self, out: &mut Vec<Closed>) {
        self.current = None;
        for grid in &mut self.grids {
            grid.drain(out);
        }
    }

    /// The newest open window `window`, as it is now.
    pub fn newest(&self, window: usize) -> Option<Closed> {
        self.grids.iter().find_map(|grid| grid.newest(window))
    }

    /// The watermark, microseconds.
    pub fn watermark_us(&self) -> i64 {
        self.watermark.current_us()
    }

    /// When (monotonic ns) the next window would close without another event.
    pub fn next_close_ns(&self, now: Now) -> Option<u64> {
        let end_us = self.grids.iter().filter_map(Grid::next_end_us).min()?;
        self.watermark.reaches_at_ns(end_us, now)
    }

    /// Windows that hold events and have not closed.
    pub fn open_windows(&self) -> usize {
        self.grids.iter().map(Grid::open_windows).sum()
    }

    /// The busiest sources since the start (every event is in one slice of the first grid).
    pub fn top(&self) -> Top {
        self.grids.first().map(Grid::top).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000;

    fn at(ms: u64) -> Now {
        Now { mono_ns: ms * 1_000_000, wall_us: 10_000 * S + ms as i64 * 1_000 }
    }

    fn engine() -> Engine {
        Engine::new(&[Spec { size_us: 10 * S }, Spec { size_us: 60 * S }], Watermark::new(5 * S, 10 * S))
    }

    #[test]
    fn a_window_closes_when_the_watermark_reaches_its_end() {
        let mut e = engine();
        let mut out = Vec::new();
        e.begin(at(0), &mut out);
        assert_eq!(e.event(9_999_999, 1, 0), Applied::InTime);
        e.field(0, 2.0);
        e.mark(9_999_999);
        e.begin(at(1), &mut out);
        assert_eq!(e.event(15 * S - 1, 1, 0), Applied::InTime);
        e.mark(15 * S - 1);
        e.begin(at(2), &mut out);
        assert!(out.is_empty());
        assert_eq!(e.event(15 * S, 1, 0), Applied::InTime);
        e.mark(15 * S);
        e.advance(at(3), &mut out);
        assert_eq!(out.len(), 1);
        assert_eq!((out[0].start_us, out[0].end_us), (0, 10 * S));
        assert_eq!(out[0].aggregate.event_count(), 1);
    }

    #[test]
    fn silence_closes_the_last_window_at_the_time_foretold() {
        let mut e = engine();
        let mut out = Vec::new();
        e.begin(at(0), &mut out);
        e.event(3 * S, 1, 0);
        e.mark(3 * S);
        let due_ns = e.next_close_ns(at(1)).unwrap();
        assert_eq!(due_ns, 12_000_000_000, "3 s + 12 s of silence - 5 s reach 10 s");
        e.advance(at(11_999), &mut out);
        assert!(out.is_empty());
        e.advance(at(12_000), &mut out);
        assert_eq!(out.len(), 1);
    }

    #[test]
    fn late_for_all_windows_is_late() {
        let mut e = engine();
        let mut out = Vec::new();
        e.begin(at(0), &mut out);
        e.event(100 * S, 1, 0);
        e.mark(100 * S);
        e.begin(at(1), &mut out);
        assert_eq!(e.event(85 * S, 1, 0), Applied::InTime, "only [80, 90) has closed");
        assert_eq!(e.event(59 * S, 1, 0), Applied::Late);
    }
}
