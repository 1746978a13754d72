//! One shard's windows: apply samples, advance time, get back what has closed.
//!
//! The caller drives it in the order of arrival: `begin(arrival)`, then the events of that
//! arrival, then `mark(largest event time)`; between arrivals, `advance(moment)`.

use super::ids::InUse;
use super::sessions::Sessions;
use super::slices::Grid;
use super::watermark::Watermark;
use super::{Closed, Kind, Layout, Sample, Trigger, WindowSet};
use crate::aggregate::Top;
use crate::runtime::clock::Now;

/// Groups of a window that are put together for its live result.
const LIVE_GROUPS: usize = 1_000;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It entered at least one window.
    InTime,
    /// It was too late for every window that wanted it.
    Late,
}

/// The windows of one shard.
#[derive(Debug)]
pub struct Engine {
    layout: Layout,
    grids: Vec<Grid>,
    sessions: Vec<Sessions>,
    watermark: Watermark,
    arrival: Now,
    missed: WindowSet,
    /// The busiest sources since the start.
    top: Top,
}

impl Engine {
    /// An engine for `layout`.
    pub fn new(layout: Layout, watermark: Watermark) -> Self {
        Self {
            grids: Grid::for_windows(&layout),
            sessions: Sessions::for_windows(&layout),
            layout,
            watermark,
            arrival: Now::default(),
            missed: WindowSet::default(),
            top: Top::default(),
        }
    }

    /// Events that arrived at `arrival` come next; closes what was due before them.
    pub fn begin(&mut self, arrival: Now, out: &mut Vec<Closed>) {
        self.arrival = arrival;
        self.advance(arrival, out);
    }

    /// One event.
    pub fn event(&mut self, sample: &Sample) -> Applied {
        let watermark_us = self.watermark.current_us();
        let mut taken = false;
        self.missed = WindowSet::default();
        for grid in &mut self.grids {
            taken |= grid.event(sample, watermark_us, &mut self.missed);
        }
        for sessions in &mut self.sessions {
            taken |= sessions.event(sample, watermark_us, &mut self.missed);
        }
        if taken {
            self.top.record(sample.source);
            Applied::InTime
        } else {
            Applied::Late
        }
    }

    /// When the current events arrived.
    pub fn arrival(&self) -> Now {
        self.arrival
    }

    /// The windows that the last event came too late for.
    pub fn missed(&self) -> WindowSet {
        self.missed
    }

    /// The events of the current arrival are all in; they reached up to `max_time_us`
    /// (`i64::MIN`: there were none). Hands out the results that they have revised, however
    /// many of them revised one.
    pub fn mark(&mut self, max_time_us: i64, out: &mut Vec<Closed>) {
        let watermark_us = self.watermark.current_us();
        let trigger = Trigger::Late { arrival_ns: self.arrival.mono_ns, watermark_us };
        let first = out.len();
        for grid in &mut self.grids {
            grid.revise(trigger, out);
        }
        for sessions in &mut self.sessions {
            sessions.revise(trigger, out);
        }
        self.tell_partial(&mut out[first..]);
        if max_time_us != i64::MIN {
            self.watermark.observe(max_time_us, self.arrival);
        }
    }

    /// Time has come to `moment` with nothing more received before it.
    pub fn advance(&mut self, moment: Now, out: &mut Vec<Closed>) {
        let before_us = self.watermark.current_us();
        let watermark_us = self.watermark.advance(moment);
        if watermark_us > before_us {
            let first = out.len();
            for grid in &mut self.grids {
                grid.close(watermark_us, out);
            }
            for sessions in &mut self.sessions {
                sessions.close(watermark_us, out);
            }
            self.tell_partial(&mut out[first..]);
        }
    }

    /// The input has ended: everything that is still open. What of it is final is for the
    /// watermark to say.
    pub fn drain(&mut self, out: &mut Vec<Closed>) {
        let first = out.len();
        for grid in &mut self.grids {
            grid.drain(out);
        }
        for sessions in &mut self.sessions {
            sessions.drain(out);
        }
        self.tell_partial(&mut out[first..]);
    }

    /// The newest open window `window`, its groups together, as it is now; not for sessions,
    /// and not for many groups.
    pub fn newest(&self, window: usize) -> Option<Closed> {
        let mut live = self.grids.iter().find_map(|grid| grid.newest(window, LIVE_GROUPS))?;
        self.tell_partial(std::slice::from_mut(&mut live));
        Some(live)
    }

    /// The watermark, microseconds.
    pub fn watermark_us(&self) -> i64 {
        self.watermark.current_us()
    }

    /// When (monotonic ns) the next window would close without another event; at the earliest.
    pub fn next_close_ns(&self, now: Now) -> Option<u64> {
        let grids = self.grids.iter().filter_map(Grid::next_end_us);
        let end_us = grids.chain(self.sessions.iter().filter_map(Sessions::next_end_us)).min()?;
        self.watermark.reaches_at_ns(end_us, now)
    }

    /// Windows that hold events and have not closed; sessions, but no other groups, told apart.
    pub fn open_windows(&self) -> usize {
        let grids: usize = self.grids.iter().map(Grid::open_windows).sum();
        grids + self.sessions.iter().map(Sessions::open_windows).sum::<usize>()
    }

    /// The busiest sources since the start.
    pub fn top(&self) -> &Top {
        &self.top
    }

    /// The names that are still referred to; of the busiest sources only `most_top` stay.
    pub fn in_use(&mut self, tables: usize, most_top: usize) -> InUse {
        let mut in_use = InUse::new(tables);
        self.top.shrink(most_top);
        self.top.ids().for_each(|id| in_use.sources.insert(id));
        self.grids.iter().for_each(|grid| grid.mark(&mut in_use));
        self.sessions.iter().for_each(|sessions| sessions.mark(&mut in_use));
        in_use
    }

    /// A window that was open when the daemon started may lack what came before: one that
    /// began before the start and whose events, the latest ones allowed, were still to come.
    fn tell_partial(&self, results: &mut [Closed]) {
        let Some(started_us) = self.layout.started_us else {
            return;
        };
        for closed in results {
            let spec = &self.layout.windows[closed.window];
            let begins_us = match spec.kind {
                Kind::Aligned { .. } => closed.start_us,
                // An event before its first one could have belonged to it.
                Kind::Session { gap_us } => closed.start_us.saturating_sub(gap_us),
            };
            let open_until_us =
                closed.end_us.saturating_add(spec.lateness_us).saturating_add(self.watermark.delay_us());
            closed.partial = begins_us < started_us && started_us < open_until_us;
        }
    }
}
