//! One shard's windows: apply samples, advance time, get back what has closed.
//!
//! The caller drives it in the order of arrival: `begin(arrival)`, then the events of that
//! arrival, then `mark(largest event time)`; between arrivals, `advance(moment)`. What becomes due
//! on the way is handed out by `settle`, piece by piece: one message may close or revise a hundred
//! thousand windows, and what comes out must have somewhere to go.
//!
//! Windows may go on closing while events come in, so that nobody waits for them; but not an event
//! that may still be of a window that is due ([`Engine::takes`]), and whatever late events have
//! revised comes out before the next arrival ([`Engine::goes_on`]).

use super::ids::InUse;
use super::sessions::Sessions;
use super::slices::Grid;
use super::watermark::Watermark;
use super::{Budget, Closed, Kind, Layout, Sample, Trigger, WindowSet};
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

/// What is to be settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    /// Windows that end up to here.
    Windows(i64),
    /// What the events of the current arrival have revised.
    Revisions,
}

/// Where a window is.
#[derive(Clone, Copy, Debug)]
enum Member {
    Aligned { grid: usize, at: usize },
    Session(usize),
}

/// The windows of one shard.
#[derive(Debug)]
pub struct Engine {
    layout: Layout,
    grids: Vec<Grid>,
    sessions: Vec<Sessions>,
    /// By window.
    members: Vec<Member>,
    watermark: Watermark,
    arrival: Now,
    lane: u32,
    due: Due,
    closed_us: i64,
    missed: WindowSet,
    /// The busiest sources since the start.
    top: Top,
}

impl Engine {
    /// An engine for `layout`.
    pub fn new(layout: Layout, watermark: Watermark) -> Self {
        let (grids, sessions) = (Grid::for_windows(&layout), Sessions::for_windows(&layout));
        let member = |window| {
            let aligned = grids.iter().enumerate().find_map(|(grid, g)| Some((grid, g.member(window)?)));
            let session = sessions.iter().position(|s| s.window() == window);
            let aligned = aligned.map(|(grid, at)| Member::Aligned { grid, at });
            aligned.or(session.map(Member::Session))
        };
        Self {
            members: (0..layout.windows.len()).filter_map(member).collect(),
            grids,
            sessions,
            layout,
            watermark,
            arrival: Now::default(),
            lane: 0,
            due: Due::Nothing,
            closed_us: i64::MIN,
            missed: WindowSet::default(),
            top: Top::default(),
        }
    }

    /// Whether anything but `settle` may be called; if not, revisions are due.
    pub fn goes_on(&self) -> bool {
        self.due != Due::Revisions
    }

    /// Whether an event of this time may come before everything that is due has been settled.
    pub fn takes(&self, time_us: i64) -> bool {
        // At the watermark itself an event could still reach a session that ends there.
        self.due == Due::Nothing || time_us > self.watermark.current_us()
    }

    /// How far the watermark has gone beyond the window that is to close next, microseconds.
    pub fn behind_us(&self) -> i64 {
        let next_us = self.next_end_us().unwrap_or(i64::MAX);
        self.watermark.current_us().saturating_sub(next_us).max(0)
    }

    /// Events that arrived at `arrival` by `lane` come next.
    pub fn begin(&mut self, arrival: Now, lane: u32) {
        debug_assert!(self.goes_on(), "revisions come before the next arrival");
        self.arrival = arrival;
        self.lane = lane;
        self.advance(arrival);
    }

    /// One event, which [`Engine::takes`] must have allowed.
    pub fn event(&mut self, sample: &Sample) -> Applied {
        debug_assert!(self.takes(sample.time_us), "an event of a window that is being closed");
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
    /// (`i64::MIN`: there were none). The results that they have revised are to be settled.
    pub fn mark(&mut self, max_time_us: i64) {
        // While windows are closing, no event was late, and nothing can have been revised.
        if self.due == Due::Nothing {
            self.due = Due::Revisions;
        }
        if max_time_us != i64::MIN {
            self.watermark.observe(max_time_us, self.arrival);
        }
    }

    /// Time has come to `moment` with nothing more received before it. Windows that have become
    /// due are to be settled; those that were due stay so.
    pub fn advance(&mut self, moment: Now) {
        let before_us = self.watermark.current_us();
        let current_us = self.watermark.advance(moment);
        if current_us > before_us {
            self.due = match self.due {
                Due::Windows(until_us) => Due::Windows(until_us.max(current_us)),
                Due::Nothing | Due::Revisions => Due::Windows(current_us),
            };
        }
    }

    /// The input has ended: everything that is still open is due. What of it is final is for the
    /// watermark to say.
    pub fn drain(&mut self) {
        self.due = Due::Windows(i64::MAX);
    }

    /// Hands out what is due, as far as the budget goes; whether that was all.
    pub fn settle(&mut self, budget: &mut Budget, out: &mut Vec<Closed>) -> bool {
        let first = out.len();
        let watermark_us = self.watermark.current_us();
        let settled = match self.due {
            Due::Nothing => return true,
            Due::Windows(until_us) => self.close(until_us, budget, out),
            Due::Revisions => {
                let arrival_ns = self.arrival.mono_ns;
                let trigger = Trigger::Late { arrival_ns, lane: self.lane, watermark_us };
                self.grids.iter_mut().all(|grid| grid.revise(watermark_us, trigger, budget, out))
                    && self.sessions.iter_mut().all(|s| s.revise(trigger, budget, out))
            }
        };
        self.tell_partial(&mut out[first..]);
        if settled {
            self.due = Due::Nothing;
        }
        settled
    }

    /// Closes windows in the order of their ends and, of one end, in the order of the configuration, so that what
    /// is out can be told on the way.
    fn close(&mut self, until_us: i64, budget: &mut Budget, out: &mut Vec<Closed>) -> bool {
        loop {
            let step_us = self.next_end_us().map_or(until_us, |end_us| end_us.min(until_us));
            let (grids, sessions) = (&mut self.grids, &mut self.sessions);
            let closed = self.members.iter().all(|member| match *member {
                Member::Aligned { grid, at } => grids[grid].close(at, step_us, budget, out),
                Member::Session(at) => sessions[at].close(step_us, budget, out),
            });
            if !closed {
                return false;
            }
            self.grids.iter_mut().for_each(|grid| grid.closed_up_to(step_us));
            self.closed_us = self.closed_us.max(step_us);
            if step_us == until_us {
                return true;
            }
        }
    }

    /// The newest open window `window` that has begun at `now_us`, its groups together, as it is;
    /// not for sessions, and not for many groups.
    pub fn newest(&self, window: usize, now_us: i64) -> Option<Closed> {
        let live = |grid: &Grid| grid.newest(window, now_us, LIVE_GROUPS);
        let mut live = self.grids.iter().find_map(live)?;
        self.tell_partial(std::slice::from_mut(&mut live));
        Some(live)
    }

    /// The watermark, microseconds.
    pub fn watermark_us(&self) -> i64 {
        self.watermark.current_us()
    }

    /// All windows that end up to here have been handed out: the watermark, once settled.
    pub fn closed_us(&self) -> i64 {
        self.closed_us
    }

    fn next_end_us(&self) -> Option<i64> {
        let grids = self.grids.iter().filter_map(Grid::next_end_us);
        grids.chain(self.sessions.iter().filter_map(Sessions::next_end_us)).min()
    }

    /// When (monotonic ns) the next window would close without another event; at the earliest.
    pub fn next_close_ns(&self, now: Now) -> Option<u64> {
        self.watermark.reaches_at_ns(self.next_end_us()?, now)
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
