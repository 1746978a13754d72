//! The pure windowing, several shards of it and the merger, driven like the daemon drives it:
//! arrivals in order, every shard hears of each, an event belongs to one shard.

use flumen::aggregate::Projection;
use flumen::runtime::clock::Now;
use flumen::windowing::engine::{Applied, Engine};
use flumen::windowing::merge::{Complete, Merger};
use flumen::windowing::watermark::Watermark;
use flumen::windowing::{Budget, Family, Kind, Layout, Sample, Spec};

/// Time in the tests is in whole units; a unit is a microsecond to the engine.
pub const NS_PER_UNIT: u64 = 1_000;

/// An event as the tests write it.
#[derive(Clone, Debug)]
pub struct Event {
    pub time: i64,
    pub source: u32,
    pub kind: u16,
    /// Group for families with a slot; `None`: the event is not theirs.
    pub group: Option<u32>,
    pub distinct: Option<u64>,
    pub value: f64,
}

impl Event {
    pub fn at(time: i64, value: f64) -> Self {
        Self { time, source: 0, kind: 0, group: None, distinct: None, value }
    }
}

pub fn tumbling(size: i64) -> Kind {
    sliding(size, size)
}

pub fn sliding(size_us: i64, slide_us: i64) -> Kind {
    Kind::Aligned { size_us, slide_us }
}

pub fn session(gap_us: i64) -> Kind {
    Kind::Session { gap_us }
}

/// A layout of windows with their lateness, each in the family of that index.
pub fn layout(families: &[Family], windows: &[(Kind, usize, i64)]) -> Layout {
    let spec = |&(kind, family, lateness_us): &(Kind, usize, i64)| Spec {
        kind,
        family,
        lateness_us,
        show: Projection::new(None, vec![0]),
    };
    Layout { families: families.to_vec(), windows: windows.iter().map(spec).collect(), started_us: None }
}

pub struct Rig {
    pub shards: Vec<Engine>,
    pub merger: Merger,
    /// Of the arrivals that follow.
    pub lane: u32,
    told_ns: u64,
    drained: bool,
    /// Of one call of `settle`.
    pub budget: i64,
    /// What is due is handed out only when it has to be, but for a piece now and then.
    pub lazy: bool,
    pub results: Vec<Complete>,
    /// Of the last event.
    pub applied: bool,
    pub applied_events: u64,
    pub late_events: u64,
    /// Windows that events came too late for, with the value of each.
    pub missed: Vec<(usize, f64)>,
}

impl Rig {
    pub fn new(layout: &Layout, delay: i64, idle_timeout: i64, shards: usize) -> Self {
        let engine = || Engine::new(layout.clone(), Watermark::new(delay, idle_timeout));
        Self {
            shards: (0..shards).map(|_| engine()).collect(),
            merger: Merger::new(layout.clone(), shards),
            lane: 0,
            told_ns: 0,
            drained: false,
            budget: 3,
            lazy: false,
            results: Vec::new(),
            applied: false,
            applied_events: 0,
            late_events: 0,
            missed: Vec::new(),
        }
    }

    /// The moment whose wall clock reads `wall` and whose monotonic clock reads `mono`.
    pub fn moment(mono: i64, wall: i64) -> Now {
        Now { mono_ns: mono as u64 * NS_PER_UNIT, wall_us: wall }
    }

    /// Events that arrive together; `shard` says which shard owns each.
    pub fn arrive(&mut self, now: Now, events: &[Event], shard: impl Fn(&Event) -> usize) {
        let largest = events.iter().map(|e| e.time).max().unwrap_or(i64::MIN);
        self.events(now, events, shard, largest);
    }

    fn events(&mut self, now: Now, events: &[Event], shard: impl Fn(&Event) -> usize, largest: i64) {
        let lane = self.lane;
        self.each(|engine| engine.begin(now, lane), Engine::goes_on);
        let mut sample = Sample::default();
        for event in events {
            sample.begin(event.time, event.source, event.kind);
            sample.fields.push((0, event.value));
            sample.groups.extend(event.group.map(|group| (0, group)));
            sample.distinct.extend(event.distinct.map(|hash| (0, hash)));
            let at = shard(event);
            self.settle(at, |engine| engine.takes(event.time));
            let engine = &mut self.shards[at];
            self.applied = engine.event(&sample) == Applied::InTime;
            self.applied_events += u64::from(self.applied);
            self.late_events += u64::from(!self.applied);
            self.missed.extend(engine.missed().iter().map(|window| (window, event.value)));
        }
        self.each(|engine| engine.mark(largest), Engine::goes_on);
        self.tell(now.mono_ns);
    }

    /// One event that does not move the watermark.
    pub fn arrive_without_mark(&mut self, now: Now, event: &Event, shard: usize) {
        self.events(now, std::slice::from_ref(event), |_| shard, i64::MIN);
    }

    /// Something arrives that is no event of any window and reaches up to `largest`.
    pub fn mark(&mut self, now: Now, largest: i64) {
        self.events(now, &[], |_| 0, largest);
    }

    /// Time passes without an event.
    pub fn pass(&mut self, now: Now) {
        self.each(|engine| engine.advance(now), Engine::goes_on);
        self.tell(now.mono_ns);
    }

    /// The input ends.
    pub fn drain(&mut self) {
        self.each(|_| (), |_| false);
        self.tell(u64::MAX);
        self.drained = true;
        self.each(Engine::drain, |_| false);
        while let Some(complete) = self.merger.next(true) {
            self.results.push(complete);
        }
    }

    /// Something happens to every shard, and what comes of it is handed out in small pieces: all of
    /// it, or if lazy, until this engine is content.
    fn each(&mut self, what: impl Fn(&mut Engine), content: impl Fn(&Engine) -> bool) {
        for at in 0..self.shards.len() {
            what(&mut self.shards[at]);
            self.settle(at, &content);
        }
    }

    fn settle(&mut self, at: usize, content: impl Fn(&Engine) -> bool) {
        let mut out = Vec::new();
        let engine = &mut self.shards[at];
        loop {
            let settled = engine.settle(&mut Budget::new(self.budget), &mut out);
            out.drain(..).for_each(|part| self.merger.add(at, part));
            if settled || self.lazy && content(engine) {
                break;
            }
            if !self.drained {
                // What is out is told on the way.
                self.merger.reached(at, engine.closed_us(), self.told_ns);
                while let Some(complete) = self.merger.next(false) {
                    self.results.push(complete);
                }
            }
        }
    }

    fn tell(&mut self, arrival_ns: u64) {
        self.told_ns = arrival_ns;
        for (at, engine) in self.shards.iter().enumerate() {
            self.merger.reached(at, engine.closed_us(), arrival_ns);
            assert!(self.lazy || engine.closed_us() == engine.watermark_us());
        }
        while let Some(complete) = self.merger.next(false) {
            self.results.push(complete);
        }
    }
}
