//! The publish thread: merges the window threads' shares, keeps and encodes results, evaluates
//! alerts, samples the figures that need two readings, and offers frames to SSE subscribers.
//!
//! A result goes out once every window thread's watermark has reached the window's end, so it
//! is published once and complete. Nothing here can hold the pipeline up: subscribers have
//! bounded rings, and the board's lock is held only to move pointers.

pub mod alerts;
mod backlog;
pub mod board;
pub mod encode;
pub mod groups;
mod results;
pub mod stats;
pub mod subscribers;
mod sweep;

use std::sync::Arc;

use hdrhistogram::Histogram;

use crate::aggregate::Top;
use crate::config::Window;
use crate::message::{DeadLetter, FrameKind, Held, LateEvent, Report, Subscribe};
use crate::plan;
use crate::runtime::cell::{Cell, Reader as SettingsReader};
use crate::runtime::clock::Now;
use crate::runtime::names::Dictionary;
use crate::runtime::ring::{Rx, Tx};
use crate::runtime::stage::{Progress, Stage};
use crate::runtime::wake::{Bell, INPUT};
use crate::stages::settings::Settings;
use crate::telemetry::catalog::LATENCY_BOUNDS_S;
use crate::telemetry::counters::Telemetry;
use crate::telemetry::latency::{self, Recent};
use crate::telemetry::letters::Lost;
use crate::windowing::Closed;
use crate::windowing::merge::Merger;
use alerts::{Alerts, Words};
use backlog::Backlog;
use board::{Board, Late, Rates};
use groups::Groups;
use subscribers::Subscribers;
use sweep::Sweep;

const SECOND_NS: u64 = 1_000_000_000;
/// Messages of each ring a turn.
const MESSAGES_PER_TURN: usize = 256;
/// Results published in a turn, before subscribers are woken.
const RESULTS_PER_TURN: usize = 128;
// A sweep counts on it that late events told before it are out of their ring.
const _: () = assert!(plan::LATE <= MESSAGES_PER_TURN);
/// Sources in `/api/stats`.
const TOP_SOURCES: usize = 10;

/// One window thread, seen from here.
pub struct Shard {
    reports: Rx<Report>,
    late: Rx<LateEvent>,
    histograms: Tx<Box<Histogram<u64>>>,
    live: Option<Box<Closed>>,
    top: Box<Top>,
}

impl Shard {
    /// A window thread that has reported nothing; `histograms` gives it the second of its two.
    pub fn new(reports: Rx<Report>, late: Rx<LateEvent>, mut histograms: Tx<Box<Histogram<u64>>>) -> Self {
        // A new ring has room for one.
        drop(histograms.push(Box::new(latency::histogram())));
        Self { reports, late, histograms, live: None, top: Box::default() }
    }
}

/// What the stage needs besides its rings.
pub struct Options {
    /// The configured windows; the first is the unnamed SSE message and the live one.
    pub windows: Vec<Window>,
    /// Their groups.
    pub groups: Groups,
    /// Puts the window threads' parts together.
    pub merger: Merger,
    /// The parse threads, to be woken for a sweep of names.
    pub parsers: Vec<Arc<Bell>>,
    /// Alerts and limits, replaced while running.
    pub settings: Arc<Cell<Settings>>,
    /// Names behind the numbers.
    pub dictionary: Arc<Dictionary>,
    /// What HTTP may look at.
    pub board: Arc<Board>,
    /// Everything that is counted.
    pub telemetry: Arc<Telemetry>,
    /// To the file of dead letters, if there is one.
    pub filing: Option<Tx<Arc<DeadLetter>>>,
    /// Bytes of all frames that somebody still holds.
    pub held: Held,
    /// Behind this the ids of frames begin: a number that no other life of the daemon has come to, as is the time
    /// of its start in microseconds.
    pub ids_from: u64,
    /// How often a live result goes out, ns.
    pub live_interval_ns: u64,
}

/// The stage.
pub struct Publish {
    shards: Vec<Shard>,
    letters: Vec<Rx<DeadLetter>>,
    filing: Option<Tx<Arc<DeadLetter>>>,
    newcomers: Rx<Subscribe>,
    windows: Vec<Window>,
    groups: Groups,
    sweep: Sweep,
    settings: SettingsReader<Settings>,
    dictionary: Arc<Dictionary>,
    board: Arc<Board>,
    telemetry: Arc<Telemetry>,
    subscribers: Subscribers,
    merger: Merger,
    backlog: Backlog,
    alerts: Alerts,
    /// Lines about alerts in this second, those left out included.
    lines_this_second: u64,
    /// No result is ready that is not out.
    all_out: bool,
    firing_changed: bool,
    recent: Recent,
    live_interval_ns: u64,
    next_live_ns: u64,
    live_changed: bool,
    next_second_ns: u64,
    last_sample: Option<Sample>,
    drained: bool,
}

/// The last reading of what rates are made from.
struct Sample {
    mono_ns: u64,
    received: u64,
    busy_ns: Vec<u64>,
}

impl Publish {
    /// A publish thread for `shards` window threads and `letters` parse threads; HTTP brings
    /// subscribers over `newcomers`.
    pub fn new(
        shards: Vec<Shard>,
        letters: Vec<Rx<DeadLetter>>,
        newcomers: Rx<Subscribe>,
        options: Options,
    ) -> Self {
        let settings = SettingsReader::new(options.settings);
        let mut alerts = Alerts::default();
        let (windows, groups, dictionary) = (&options.windows, &options.groups, &options.dictionary);
        // Nothing fires yet that could be resolved.
        drop(alerts.replace(&settings.value().alerts, &Words { windows, groups, dictionary, now_us: 0 }));
        Self {
            alerts,
            lines_this_second: 0,
            all_out: true,
            firing_changed: false,
            sweep: Sweep::new(shards.len(), options.parsers),
            backlog: Backlog::new(options.windows.len(), options.board.results_per_window()),
            shards,
            letters,
            filing: options.filing,
            newcomers,
            windows: options.windows,
            groups: options.groups,
            settings,
            dictionary: options.dictionary,
            board: options.board,
            subscribers: Subscribers::new(
                options.ids_from,
                options.held,
                Arc::clone(&options.telemetry.publish),
            ),
            telemetry: options.telemetry,
            merger: options.merger,
            recent: Recent::new(),
            live_interval_ns: options.live_interval_ns,
            next_live_ns: 0,
            live_changed: false,
            next_second_ns: 0,
            last_sample: None,
            drained: false,
        }
    }

    /// Takes in what the window threads report; says whether there was anything.
    fn take_reports(&mut self) -> bool {
        let mut worked = false;
        for (at, shard) in self.shards.iter_mut().enumerate() {
            shard.reports.len();
            for _ in 0..MESSAGES_PER_TURN {
                let Some(report) = shard.reports.pop() else {
                    break;
                };
                worked = true;
                match report {
                    Report::Closed(part) => self.merger.add(at, *part),
                    Report::Reached { watermark_us, arrival_ns } => {
                        self.merger.reached(at, watermark_us, arrival_ns);
                    }
                    Report::InUse { epoch, names } => self.sweep.answer(at, epoch, &names),
                    Report::Live(partial) => {
                        shard.live = Some(partial);
                        self.live_changed = true;
                    }
                    Report::Top(top) => shard.top = top,
                    Report::Latency(mut histogram) => {
                        self.recent.absorb(&histogram);
                        histogram.reset();
                        // One slot, and the window thread holds the other histogram.
                        drop(shard.histograms.push(histogram));
                        shard.histograms.flush();
                    }
                }
            }
            shard.reports.release();
        }
        worked
    }

    fn take_letters(&mut self) -> bool {
        let mut worked = false;
        for letters in &mut self.letters {
            letters.len();
            for _ in 0..MESSAGES_PER_TURN {
                let Some(letter) = letters.pop() else { break };
                let letter = Arc::new(letter);
                if let Some(Err(_no_room)) = self.filing.as_mut().map(|file| file.push(Arc::clone(&letter))) {
                    self.telemetry.letters.lose(Lost::Busy, 1);
                }
                self.board.letter(letter);
                self.telemetry.publish.letters.add(1);
                worked = true;
            }
            letters.release();
        }
        self.filing.iter_mut().for_each(Tx::flush);
        worked
    }

    fn take_late(&mut self) -> bool {
        let mut worked = false;
        for shard in &mut self.shards {
            shard.late.len();
            for _ in 0..MESSAGES_PER_TURN {
                let Some(event) = shard.late.pop() else { break };
                let source = self.dictionary.sources.name(event.source);
                let kind = self.dictionary.types.name(u32::from(event.kind));
                self.board.late(Late { event, source, kind });
                worked = true;
            }
            shard.late.release();
        }
        worked
    }

    fn take_newcomers(&mut self) -> bool {
        if self.newcomers.is_empty() {
            return false;
        }
        // They may have missed some of what waits.
        self.settle();
        self.subscribers.forget_gone();
        while let Some(newcomer) = self.newcomers.pop() {
            if !newcomer.frames.is_abandoned() {
                self.subscribers.add(newcomer);
            }
        }
        true
    }

    /// The first window as it fills: the newest start that any window thread has.
    fn publish_live(&mut self, now: Now) {
        self.live_changed = false;
        self.next_live_ns = now.mono_ns + self.live_interval_ns;
        if self.subscribers.is_empty() {
            return;
        }
        let parts = || self.shards.iter().filter_map(|s| s.live.as_deref());
        let Some(start_us) = parts().map(|p| p.start_us).max() else {
            return;
        };
        if parts().any(|p| p.start_us == start_us && p.end_us <= self.merger.closed_us()) {
            return; // Closed meanwhile: its final result is out.
        }
        let mut live: Option<Closed> = None;
        for part in parts().filter(|p| p.start_us == start_us) {
            match &mut live {
                Some(live) => live.aggregate.merge(&part.aggregate),
                None => live = Some(part.clone()),
            }
        }
        if let (Some(live), Some(window)) = (live, self.windows.first()) {
            let json = encode::result(
                window,
                &live,
                &groups::none(),
                false,
                &self.groups.distinct,
                &self.dictionary,
            );
            self.subscribers.send("live", &json, FrameKind::Passing, now.mono_ns);
        }
    }

    /// A window thread that has nothing to do sleeps, and says how far it has come only when it is woken.
    fn ask_who_is_waited_for(&self) {
        self.merger.waits_for().for_each(|at| self.shards[at].reports.nudge());
    }

    /// Once a second: rates, latency, top sources, and the stats message.
    fn sample(&mut self, now: Now) {
        self.next_second_ns = now.mono_ns + SECOND_NS;
        self.sweep.allow();
        self.ask_who_is_waited_for();
        // However many more are to come, history is no older than this.
        self.settle();
        self.alerts_second(now);
        let sample = Sample {
            mono_ns: now.mono_ns,
            received: self.telemetry.events().received,
            busy_ns: self.telemetry.threads.iter().map(|t| t.busy_ns()).collect(),
        };
        let processing_time_ms = self.recent.roll();
        let mut rates = Rates {
            processing_time_ms,
            latency: self.recent.summary(),
            buckets: self.recent.buckets(LATENCY_BOUNDS_S),
            top_sources: self.top_sources(),
            ..Rates::default()
        };
        if let Some(last) = &self.last_sample {
            let elapsed_ns = (sample.mono_ns - last.mono_ns).max(1) as f64;
            rates.events_per_second = (sample.received - last.received) as f64 * 1e9 / elapsed_ns;
            rates.busy = sample
                .busy_ns
                .iter()
                .zip(&last.busy_ns)
                .map(|(now, last)| ((now - last) as f64 / elapsed_ns).min(1.0))
                .collect();
        }
        self.last_sample = Some(sample);
        self.board.set_rates(rates);
        if !self.subscribers.is_empty() {
            let json = stats::stats_json(&self.telemetry, &self.board, &self.dictionary, now);
            self.subscribers.send("stats", &json, FrameKind::Passing, now.mono_ns);
        }
    }

    fn top_sources(&self) -> Vec<(Arc<str>, u64)> {
        let mut all = Top::default();
        self.shards.iter().for_each(|shard| all.merge(&shard.top));
        let top = all.top(TOP_SOURCES).into_iter();
        top.map(|(id, count)| (self.dictionary.sources.name(id), count)).collect()
    }

    /// A sweep of names, step by step: begins one when it is worth it, ends it when all window
    /// threads have answered.
    fn sweep_names(&mut self) {
        self.sweep.begin(&self.dictionary);
        let Some((epoch, mut in_use)) = self.sweep.answered() else {
            return;
        };
        // Results that wait refer to names as well.
        self.settle();
        self.merger.mark(&mut in_use);
        self.alerts.groups().for_each(|(window, group)| in_use.group(self.groups.names(window), group));
        let most_top = self.settings.value().most_top(self.shards.len());
        for shard in &mut self.shards {
            shard.top.shrink(most_top);
            shard.top.ids().for_each(|id| in_use.sources.insert(id));
            // The next one comes within a live interval.
            shard.live = None;
        }
        let swept = self.dictionary.sweep(&in_use, epoch, |id| self.telemetry.of_type(id));
        self.sweep.ended(swept, &self.dictionary);
        self.telemetry.publish.names_swept.add(swept as u64);
    }
}

impl Stage for Publish {
    /// With fewer cores than threads a window of a hundred thousand groups, which takes it a good
    /// part of a second, would otherwise cost events their turn for as long as a time slice.
    fn gives_way(&self) -> bool {
        true
    }

    fn poll(&mut self, now: Now) -> Progress {
        // Looked at before the rings are emptied, so that nothing can slip in between.
        let ended = self.shards.iter().all(|s| s.reports.ended()) && self.letters.iter().all(Rx::ended);
        self.refresh_settings(now);
        // More is taken in once what is complete is out: a window thread that closes faster than results go
        // out waits at its ring, and nothing piles up in between.
        let was_behind = !self.all_out;
        let reported = self.all_out && self.take_reports();
        let mut worked = reported | self.take_letters() | self.take_late() | self.take_newcomers();
        worked |= self.publish_due(now, ended);
        if (reported || was_behind) && self.all_out {
            self.ask_who_is_waited_for();
        }
        self.sweep_names();
        if self.live_changed && now.mono_ns >= self.next_live_ns {
            self.publish_live(now);
        }
        if now.mono_ns >= self.next_second_ns || (ended && !self.drained) {
            self.sample(now);
        }
        self.subscribers.flush();
        if worked {
            return Progress::Worked;
        }
        if ended {
            self.drained = true;
            return Progress::Done;
        }
        let deadline_ns =
            if self.live_changed { self.next_second_ns.min(self.next_live_ns) } else { self.next_second_ns };
        Progress::Idle { deadline_ns: Some(deadline_ns), awaits: INPUT }
    }
}
