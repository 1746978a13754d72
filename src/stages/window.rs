//! The window thread: applies the samples of its keys in the order of arrival, closes what the
//! watermark has passed, and says how far it has come.
//!
//! # Order
//!
//! Chunks of all lanes are applied in the order of their arrival stamps (ties by lane). With
//! several lanes the oldest chunk at hand may be applied only once no lane can still come up
//! with an older one; `runtime::progress` says when. That order makes lateness, watermark and
//! results the same for every number of lanes and window threads: a lane that lags delays
//! results and never makes its events late.
//!
//! # No deadlock
//!
//! A window thread waits only for a lane whose ring to it is empty. That lane's parse thread
//! has then handed over everything of its current chunk that belongs here, because it fills
//! every ring independently; it can only be held up by *another* window thread, which in turn
//! waits only for a lane with an older chunk. The globally oldest unfinished chunk is waited
//! for by nobody, so somebody always moves.

use std::sync::Arc;

use hdrhistogram::Histogram;

use crate::message::{Item, Partial, Report};
use crate::runtime::clock::Now;
use crate::runtime::progress::LaneProgress;
use crate::runtime::ring::{Rx, Tx};
use crate::runtime::stage::{Progress, Stage};
use crate::runtime::wake::{APPLIED, Bell, INPUT, SPACE};
use crate::telemetry::counters::WindowCounters;
use crate::telemetry::latency;
use crate::windowing::engine::{Applied, Engine};
use crate::windowing::slices::Closed;

/// Items a turn.
const ITEMS_PER_TURN: usize = 8_192;
/// How long to sleep when a lane in mid-turn holds the order up; it says nothing when it ends
/// its turn without a chunk.
const ORDER_RECHECK_NS: u64 = 200_000;
/// How often latency and top sources go to publish.
const REPORT_EVERY_NS: u64 = 1_000_000_000;
/// Sources reported.
const TOP_SOURCES: usize = 20;

/// One lane's ring and where this thread stands in it.
pub struct Lane {
    /// Samples from the lane's parse thread.
    pub items: Rx<Item>,
    /// The lane's shared numbers.
    pub progress: Arc<LaneProgress>,
    /// The lane's ingest thread, which waits to acknowledge.
    pub ingest: Arc<Bell>,
    /// Arrival of the chunk at the head, once its beginning has been read.
    head: Option<Now>,
    /// Chunks applied.
    taken: u64,
    /// Arrival of the last chunk applied.
    last_ns: u64,
    /// Chunks applied since the ingest thread was last told.
    dirty: bool,
}

impl Lane {
    /// A lane from its beginning.
    pub fn new(items: Rx<Item>, progress: Arc<LaneProgress>, ingest: Arc<Bell>) -> Self {
        Self { items, progress, ingest, head: None, taken: 0, last_ns: 0, dirty: false }
    }

    /// Reads the beginning of the next chunk if it is there.
    fn read_head(&mut self) -> Option<Now> {
        // Both items of the beginning or neither: the ring may have had room for one only.
        if self.head.is_none()
            && self.items.len() >= 2
            && let Some(&Item::Begin { arrival_ns }) = self.items.peek()
        {
            self.items.pop();
            if let Some(Item::Wall { wall_us }) = self.items.pop() {
                self.head = Some(Now { mono_ns: arrival_ns, wall_us });
            }
        }
        self.head
    }
}

/// What a window thread needs besides its lanes.
pub struct Options {
    /// Which of the window threads this is.
    pub shard: usize,
    /// Its windows.
    pub engine: Engine,
    /// To publish.
    pub reports: Tx<Report>,
    /// Empty histograms back from publish.
    pub histograms: Rx<Box<Histogram<u64>>>,
    /// How often the first window is reported as it fills, ns.
    pub live_interval_ns: u64,
    /// This thread's counters.
    pub counters: Arc<WindowCounters>,
}

/// The stage.
pub struct Window {
    lanes: Vec<Lane>,
    shard: usize,
    engine: Engine,
    reports: Tx<Report>,
    /// Reports that did not fit; nothing is applied while there are any.
    held: std::collections::VecDeque<Report>,
    histograms: Rx<Box<Histogram<u64>>>,
    /// Being filled; `None` while both are at publish.
    recording: Option<Box<Histogram<u64>>>,
    /// Chunks applied in the last turn: arrival and events, recorded with the next reading of
    /// the clock, so that latency is never understated.
    applied: Vec<(u64, u64)>,
    live_interval_ns: u64,
    next_live_ns: u64,
    next_report_ns: u64,
    /// Whether anything was applied since the last live report or the last second's report.
    changed_live: bool,
    changed_second: bool,
    reported_watermark_us: i64,
    counters: Arc<WindowCounters>,
    closed: Vec<Closed>,
    drained: bool,
    items_in_chunk: u64,
    /// The chunk being applied belongs to this lane.
    current: Option<usize>,
    tally_applied: u64,
    tally_late: u64,
}

impl Window {
    /// A window thread that has seen nothing.
    pub fn new(lanes: Vec<Lane>, options: Options) -> Self {
        Self {
            lanes,
            shard: options.shard,
            engine: options.engine,
            reports: options.reports,
            held: std::collections::VecDeque::new(),
            histograms: options.histograms,
            recording: Some(Box::new(latency::histogram())),
            applied: Vec::new(),
            live_interval_ns: options.live_interval_ns,
            next_live_ns: 0,
            next_report_ns: 0,
            changed_live: false,
            changed_second: false,
            reported_watermark_us: i64::MIN,
            counters: options.counters,
            closed: Vec::new(),
            drained: false,
            items_in_chunk: 0,
            current: None,
            tally_applied: 0,
            tally_late: 0,
        }
    }

    fn report(&mut self, report: Report) {
        if self.held.is_empty() {
            if let Err(report) = self.reports.push(report) {
                self.held.push_back(report);
            }
        } else {
            self.held.push_back(report);
        }
    }

    fn flush_reports(&mut self) -> bool {
        while let Some(report) = self.held.pop_front() {
            if let Err(report) = self.reports.push(report) {
                self.held.push_front(report);
                break;
            }
        }
        self.reports.flush();
        self.held.is_empty()
    }

    /// Hands on what the engine has closed, and the watermark behind it.
    fn hand_on(&mut self) {
        let mut closed = std::mem::take(&mut self.closed);
        for window in closed.drain(..) {
            self.report(Report::Closed(Box::new(partial(window))));
        }
        self.closed = closed;
        let watermark_us = self.engine.watermark_us();
        if watermark_us != self.reported_watermark_us && !self.drained {
            self.reported_watermark_us = watermark_us;
            self.counters.watermark_us.set(watermark_us as u64);
            self.report(Report::Watermark(watermark_us));
        }
        self.counters.open_windows.set(self.engine.open_windows() as u64);
    }

    /// The lane whose chunk is next in the order of arrival, if that is certain by now; else
    /// the arrival up to which nothing more can come.
    fn next_lane(&mut self, now: Now) -> Result<usize, u64> {
        let mut oldest: Option<(u64, usize)> = None;
        let mut bound = (u64::MAX, usize::MAX);
        for (at, lane) in self.lanes.iter_mut().enumerate() {
            // The bound first: a chunk that arrives between the two looks is then found.
            let lower = lane.progress.next_arrival_bound(lane.taken, lane.last_ns, now.mono_ns);
            match lane.read_head() {
                Some(head) => {
                    let candidate = (head.mono_ns, at);
                    if oldest.is_none_or(|o| candidate < o) {
                        oldest = Some(candidate);
                    }
                }
                // The parse thread has gone and everything is taken: it holds up nothing.
                None if lane.items.ended() => {}
                None => bound = bound.min((lower, at)),
            }
        }
        match oldest {
            Some(oldest) if oldest < bound => Ok(oldest.1),
            Some(oldest) => Err(oldest.0.min(bound.0)),
            None => Err(bound.0),
        }
    }

    /// Applies items of the lane's current chunk; says whether the chunk is complete.
    fn apply(&mut self, at: usize, budget: &mut usize) -> bool {
        let lane = &mut self.lanes[at];
        lane.items.len();
        while *budget > 0 {
            let Some(item) = lane.items.pop() else {
                return false;
            };
            *budget -= 1;
            match item {
                Item::Event { kind, source, time_us } => {
                    self.items_in_chunk += 1;
                    match self.engine.event(time_us, source, kind) {
                        Applied::InTime => {
                            self.tally_applied += 1;
                            if let Some(counter) = self.counters.types.get(usize::from(kind)) {
                                counter.add(1);
                            }
                        }
                        Applied::Late => self.tally_late += 1,
                    }
                }
                Item::Field { id, value } => self.engine.field(id, value),
                Item::Mark { max_time_us } => {
                    self.engine.mark(max_time_us);
                    lane.taken += 1;
                    lane.dirty = true;
                    let arrival = lane.head.take().unwrap_or_default();
                    lane.last_ns = arrival.mono_ns;
                    self.applied.push((arrival.mono_ns, self.items_in_chunk));
                    self.items_in_chunk = 0;
                    return true;
                }
                Item::Begin { .. } | Item::Wall { .. } => {
                    debug_assert!(false, "a chunk began inside a chunk");
                }
            }
        }
        false
    }

    /// Counts, then progress, then the bell: an ack must never overtake the counters.
    fn publish_progress(&mut self) {
        if self.tally_applied > 0 {
            self.counters.applied.add(self.tally_applied);
        }
        if self.tally_late > 0 {
            self.counters.late.add(self.tally_late);
        }
        self.tally_applied = 0;
        self.tally_late = 0;
        for lane in &mut self.lanes {
            lane.items.release();
            if lane.dirty {
                lane.dirty = false;
                lane.progress.set_applied(self.shard, lane.taken);
                lane.ingest.ring(APPLIED);
                self.changed_live = true;
                self.changed_second = true;
            }
        }
    }

    fn record_latency(&mut self, now: Now) {
        if let Some(histogram) = self.recording.as_mut() {
            for (arrival_ns, events) in self.applied.drain(..) {
                if events > 0 {
                    let took_ns = now.mono_ns.saturating_sub(arrival_ns);
                    histogram.saturating_record_n(took_ns, events);
                }
            }
        } else {
            // Publish has both histograms: it is a second behind. Keep what is due, bounded.
            self.recording = self.histograms.pop();
            if self.applied.len() > 65_536 {
                self.applied.clear();
            }
        }
    }

    fn periodic(&mut self, now: Now) {
        if self.changed_live && now.mono_ns >= self.next_live_ns {
            self.next_live_ns = now.mono_ns + self.live_interval_ns;
            self.changed_live = false;
            if let Some(window) = self.engine.newest(0) {
                self.report(Report::Live(Box::new(partial(window))));
            }
        }
        if self.changed_second && now.mono_ns >= self.next_report_ns {
            self.next_report_ns = now.mono_ns + REPORT_EVERY_NS;
            self.changed_second = false;
            self.send_second();
        }
    }

    /// The second's latencies and the busiest sources.
    fn send_second(&mut self) {
        let top = self.engine.top().top(TOP_SOURCES);
        self.report(Report::Top(top.into()));
        if self.recording.as_ref().is_some_and(|h| !h.is_empty())
            && let Some(full) = self.recording.take()
        {
            self.report(Report::Latency(full));
            self.recording = self.histograms.pop();
        }
    }

    fn idle(&self, now: Now) -> Progress {
        let mut deadline_ns = self.engine.next_close_ns(now);
        if self.changed_live {
            deadline_ns = earlier(deadline_ns, self.next_live_ns);
        }
        if self.changed_second {
            deadline_ns = earlier(deadline_ns, self.next_report_ns);
        }
        if self.lanes.iter().any(|lane| lane.head.is_some()) {
            deadline_ns = earlier(deadline_ns, now.mono_ns + ORDER_RECHECK_NS);
        }
        Progress::Idle { deadline_ns, awaits: INPUT }
    }

    /// The input has ended: windows that are still open go out too; publish knows from the
    /// watermark which of them are final.
    fn finish(&mut self, now: Now) -> Progress {
        if !self.drained {
            self.engine.advance(now, &mut self.closed);
            self.hand_on();
            self.drained = true;
            self.record_latency(now);
            self.send_second();
            self.engine.drain(&mut self.closed);
            self.hand_on();
        }
        if self.flush_reports() {
            Progress::Done
        } else {
            Progress::Idle { deadline_ns: None, awaits: SPACE }
        }
    }
}

impl Stage for Window {
    fn poll(&mut self, now: Now) -> Progress {
        self.record_latency(now);
        if !self.flush_reports() {
            return Progress::Idle { deadline_ns: None, awaits: SPACE };
        }
        let mut budget = ITEMS_PER_TURN;
        let mut reached_ns = None;
        while budget > 0 {
            let at = match self.current {
                Some(at) => at,
                None => match self.next_lane(now) {
                    Ok(at) => {
                        let arrival = self.lanes[at].head.unwrap_or_default();
                        self.engine.begin(arrival, &mut self.closed);
                        self.current = Some(at);
                        budget -= 1;
                        at
                    }
                    Err(bound_ns) => {
                        reached_ns = Some(bound_ns);
                        break;
                    }
                },
            };
            if self.apply(at, &mut budget) {
                self.current = None;
            } else {
                break;
            }
        }
        let worked = budget < ITEMS_PER_TURN;
        self.publish_progress();
        let ended = self.current.is_none() && self.lanes.iter().all(|lane| lane.items.ended());
        if ended {
            return self.finish(now);
        }
        if let Some(reached_ns) = reached_ns {
            // Nothing older than this can come any more.
            let reached_ns = reached_ns.min(now.mono_ns);
            let moment = Now { mono_ns: reached_ns, wall_us: now.wall_at(reached_ns) };
            self.engine.advance(moment, &mut self.closed);
        }
        self.hand_on();
        self.periodic(now);
        self.reports.flush();
        if worked { Progress::Worked } else { self.idle(now) }
    }
}

fn earlier(a: Option<u64>, b: u64) -> Option<u64> {
    Some(a.map_or(b, |a| a.min(b)))
}

fn partial(closed: Closed) -> Partial {
    Partial {
        window: closed.window,
        start_us: closed.start_us,
        end_us: closed.end_us,
        aggregate: closed.aggregate,
    }
}
