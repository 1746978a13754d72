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

mod lane;
mod tell;

use std::sync::Arc;

use hdrhistogram::Histogram;

use crate::message::{Item, LateEvent, Report};
use crate::runtime::cell::{Cell, Reader as SettingsReader};
use crate::runtime::clock::Now;
use crate::runtime::ring::{Rx, Tx};
use crate::runtime::stage::{Progress, Stage};
use crate::runtime::wake::{APPLIED, INPUT, SPACE};
use crate::stages::settings::Settings;
use crate::telemetry::counters::WindowCounters;
use crate::telemetry::latency;
use crate::windowing::engine::{Applied, Engine};
use crate::windowing::merge::Merger;
use crate::windowing::{Budget, Closed, Sample};
pub use lane::Lane;

/// Items a turn.
const ITEMS_PER_TURN: usize = 8_192;
/// Closing may lag so far behind the watermark before events wait for it after all, microseconds:
/// what has not been closed takes memory.
const MAX_BEHIND_US: i64 = 10_000_000;
/// How long to sleep when a lane in mid-turn holds the order up; it says nothing when it ends
/// its turn without a chunk.
const ORDER_RECHECK_NS: u64 = 200_000;
/// While there is more to apply, ingest hears of progress no more often: it would only write more
/// acks of fewer events.
const ACKS_EVERY_NS: u64 = 200_000;
/// How often latency and top sources go to publish.
const REPORT_EVERY_NS: u64 = 1_000_000_000;

/// What a window thread needs besides its lanes.
pub struct Options {
    /// Which of the window threads this is.
    pub shard: usize,
    /// How many of them there are.
    pub shards: usize,
    /// Its windows.
    pub engine: Engine,
    /// Whether late events may revise results, so that publish must know how far arrivals
    /// have been worked through.
    pub revises: bool,
    /// How many tables of groups there are.
    pub group_tables: usize,
    /// Results and merged slices a turn.
    pub settle_per_turn: i64,
    /// By window, how long after a result's end the next one of its group ends, if there is one.
    pub steps_us: Vec<i64>,
    /// How many busy sources are kept through a sweep of names.
    pub settings: Arc<Cell<Settings>>,
    /// To publish.
    pub reports: Tx<Report>,
    /// Late events, to publish.
    pub late: Tx<LateEvent>,
    /// Empty histograms back from publish.
    pub histograms: Rx<Box<Histogram<u64>>>,
    /// How often the first window is reported as it fills, ns.
    pub live_interval_ns: u64,
    /// This thread's counters.
    pub counters: Arc<WindowCounters>,
}

/// How far the end has come, once the input has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Open,
    /// The last watermark has been set.
    Due,
    /// What was still open is on its way.
    Drained,
}

/// The stage.
pub struct Window {
    lanes: Vec<Lane>,
    shard: usize,
    shards: usize,
    engine: Engine,
    revises: bool,
    group_tables: usize,
    settle_per_turn: i64,
    steps_us: Vec<i64>,
    /// Publish is to hear how far the watermark comes until it is here: so that an alert ends when
    /// the results do.
    watched_until_us: i64,
    next_watch_ns: u64,
    settings: SettingsReader<Settings>,
    late: Tx<LateEvent>,
    reports: Tx<Report>,
    /// Reports that did not fit; nothing more is closed while there are any.
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
    next_acks_ns: u64,
    /// Whether anything was applied since the last live report or the last second's report.
    changed_live: bool,
    changed_second: bool,
    /// Publish waits for the watermark: results that are there may not be out for want of it.
    results_wait: bool,
    /// Watermark and arrival that publish knows of.
    reported: (i64, u64),
    /// Everything that arrived before this has been applied, ns.
    reached_ns: u64,
    /// The last sweep of names that was answered.
    epoch: u32,
    /// The event being read.
    sample: Sample,
    reading: bool,
    counters: Arc<WindowCounters>,
    closed: Vec<Closed>,
    /// The engine may have more to hand out before it takes anything.
    unsettled: bool,
    ending: Ending,
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
            shards: options.shards,
            engine: options.engine,
            revises: options.revises,
            group_tables: options.group_tables,
            settle_per_turn: options.settle_per_turn,
            steps_us: options.steps_us,
            watched_until_us: i64::MIN,
            next_watch_ns: 0,
            settings: SettingsReader::new(options.settings),
            late: options.late,
            reports: options.reports,
            held: std::collections::VecDeque::new(),
            histograms: options.histograms,
            recording: Some(Box::new(latency::histogram())),
            applied: Vec::new(),
            live_interval_ns: options.live_interval_ns,
            next_live_ns: 0,
            next_report_ns: 0,
            next_acks_ns: 0,
            changed_live: false,
            changed_second: false,
            results_wait: false,
            reported: (i64::MIN, 0),
            reached_ns: 0,
            epoch: 0,
            sample: Sample::default(),
            reading: false,
            counters: options.counters,
            closed: Vec::new(),
            unsettled: false,
            ending: Ending::Open,
            items_in_chunk: 0,
            current: None,
            tally_applied: 0,
            tally_late: 0,
        }
    }

    /// The event that has been read, if any, goes into the windows.
    fn finish_event(&mut self) {
        if !std::mem::take(&mut self.reading) {
            return;
        }
        let sample = &self.sample;
        let applied = self.engine.event(sample) == Applied::InTime;
        if applied {
            self.tally_applied += 1;
            if let Some(counter) = self.counters.types.get(usize::from(sample.kind)) {
                counter.add(1);
            }
        } else {
            self.tally_late += 1;
        }
        let missed = self.engine.missed();
        if missed.is_empty() {
            return;
        }
        for window in missed.iter() {
            if let Some(counter) = self.counters.missed.get(window) {
                counter.add(1);
            }
        }
        let late = LateEvent {
            arrival_us: self.engine.arrival().wall_us,
            time_us: sample.time_us,
            watermark_us: self.engine.watermark_us(),
            source: sample.source,
            kind: sample.kind,
            missed,
            applied,
        };
        if self.late.push(late).is_err() {
            self.counters.late_lost.add(1);
        }
    }

    /// Applies items of the lane's current chunk; says whether the chunk is complete.
    fn apply(&mut self, at: usize, budget: &mut usize) -> bool {
        self.lanes[at].items.len();
        while *budget > 0 {
            if self.unsettled && self.reading && !self.engine.takes(self.sample.time_us) {
                // It is of a window that is being closed, or may be: that comes first.
                return false;
            }
            let Some(item) = self.lanes[at].items.pop() else {
                return false;
            };
            *budget -= 1;
            match item {
                Item::Event { kind, source, time_us } => {
                    self.finish_event();
                    self.items_in_chunk += 1;
                    self.reading = true;
                    self.sample.begin(time_us, source, kind);
                }
                Item::Group { slot, group } => self.sample.groups.push((slot, group)),
                Item::Distinct { slot, hash } => self.sample.distinct.push((slot, hash)),
                Item::Field { id, value } => self.sample.fields.push((id, value)),
                Item::Mark { max_time_us, chunks } => {
                    self.finish_event();
                    self.engine.mark(max_time_us);
                    self.unsettled = true;
                    let lane = &mut self.lanes[at];
                    lane.taken += u64::from(chunks);
                    lane.dirty = true;
                    let arrival = lane.head.take().unwrap_or_default();
                    lane.last_ns = arrival.mono_ns;
                    self.applied.push((arrival.mono_ns, self.items_in_chunk));
                    self.items_in_chunk = 0;
                    return true;
                }
                Item::Begin { .. } | Item::Wall { .. } | Item::Epoch { .. } => {
                    debug_assert!(false, "a chunk began inside a chunk");
                }
            }
        }
        false
    }

    /// Counts, then progress, then the bells: an ack must never overtake the counters.
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
                lane.untold = true;
                self.changed_live = true;
                self.changed_second = true;
            }
        }
        self.late.flush();
    }

    /// Wakes the ingest threads that wait for what has been applied.
    fn tell_ingest(&mut self) {
        for lane in &mut self.lanes {
            if std::mem::take(&mut lane.untold) {
                lane.ingest.ring(APPLIED);
            }
        }
    }

    fn idle(&self, now: Now) -> Progress {
        let mut deadline_ns = None;
        let mut awaits = INPUT;
        if self.held.is_empty() {
            deadline_ns = self.engine.next_close_ns(now);
            if self.changed_live {
                deadline_ns = earlier(deadline_ns, self.next_live_ns);
            }
            if self.changed_second {
                deadline_ns = earlier(deadline_ns, self.next_report_ns);
            }
            if self.is_watched() {
                deadline_ns = earlier(deadline_ns, self.next_watch_ns);
            }
        } else {
            awaits |= SPACE;
        }
        if self.lanes.iter().any(|lane| lane.head.is_some()) || self.awaits_arrival() {
            deadline_ns = earlier(deadline_ns, now.mono_ns + ORDER_RECHECK_NS);
        }
        Progress::Idle { deadline_ns, awaits }
    }

    /// Has the engine hand out a piece of what is due, if publish takes it.
    fn settle(&mut self, budget: &mut Budget) {
        if self.unsettled && self.held.is_empty() {
            self.unsettled = !self.engine.settle(budget, &mut self.closed);
        }
    }

    /// Whether chunks may be applied: nothing is due, or it may wait.
    fn goes_on(&self) -> bool {
        !self.unsettled || self.engine.goes_on() && self.engine.behind_us() <= MAX_BEHIND_US
    }

    /// The input has ended, and what was due is out: first the windows that are due by now, then
    /// those that are still open; publish knows from the watermark which of them are final.
    fn finish(&mut self, now: Now) -> Progress {
        match self.ending {
            Ending::Open => {
                self.engine.advance(now);
                self.ending = Ending::Due;
            }
            Ending::Due => {
                self.reached_ns = Merger::AT_THE_END;
                self.hand_on();
                self.record_latency(now);
                self.send_second();
                self.engine.drain();
                self.ending = Ending::Drained;
            }
            Ending::Drained => {
                self.hand_on();
                if self.flush_reports() {
                    return Progress::Done;
                }
                return Progress::Idle { deadline_ns: None, awaits: SPACE };
            }
        }
        self.unsettled = true;
        Progress::Worked
    }
}

impl Stage for Window {
    fn poll(&mut self, now: Now) -> Progress {
        self.record_latency(now);
        self.flush_reports();
        let mut budget = ITEMS_PER_TURN;
        let mut settling = Budget::new(self.settle_per_turn);
        let mut reached_ns = None;
        loop {
            self.settle(&mut settling);
            if budget == 0 || !self.goes_on() {
                break;
            }
            let at = match self.current {
                Some(at) => at,
                None => match lane::next(&mut self.lanes, now) {
                    Ok(at) => {
                        let arrival = self.lanes[at].head.unwrap_or_default();
                        self.engine.begin(arrival, at as u32);
                        self.unsettled = true;
                        self.reached_ns = arrival.mono_ns;
                        self.current = Some(at);
                        budget -= 1;
                        continue;
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
        let ended =
            !self.unsettled && self.current.is_none() && self.lanes.iter().all(|lane| lane.items.ended());
        if ended || !worked || self.unsettled || now.mono_ns >= self.next_acks_ns {
            self.next_acks_ns = now.mono_ns + ACKS_EVERY_NS;
            self.tell_ingest();
        }
        if ended {
            return self.finish(now);
        }
        if let Some(reached_ns) = reached_ns {
            // Nothing older than this can come any more.
            let reached_ns = reached_ns.min(now.mono_ns);
            let moment = Now { mono_ns: reached_ns, wall_us: now.wall_at(reached_ns) };
            self.engine.advance(moment);
            self.reached_ns = self.reached_ns.max(reached_ns);
            self.unsettled = true;
        }
        self.settle(&mut settling);
        if self.is_watched() && now.mono_ns >= self.next_watch_ns {
            self.next_watch_ns = now.mono_ns + REPORT_EVERY_NS;
            self.results_wait = true;
        }
        self.hand_on();
        self.reports.flush();
        if !self.held.is_empty() {
            // What is due waits for publish; events need not.
            return if worked { Progress::Worked } else { self.idle(now) };
        }
        self.periodic(now);
        self.reports.flush();
        if worked || self.unsettled { Progress::Worked } else { self.idle(now) }
    }
}

fn earlier(a: Option<u64>, b: u64) -> Option<u64> {
    Some(a.map_or(b, |a| a.min(b)))
}
