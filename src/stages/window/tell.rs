//! What a window thread tells publish: results, how far it has come, the live window, latencies,
//! the busiest sources, which names are in use.

use super::{Ending, REPORT_EVERY_NS, Window};
use crate::message::Report;
use crate::runtime::clock::Now;
use crate::windowing::merge::Merger;

impl Window {
    fn report(&mut self, report: Report) {
        if self.held.is_empty() {
            if let Err(report) = self.reports.push(report) {
                self.held.push_back(report);
            }
        } else {
            self.held.push_back(report);
        }
    }

    pub(super) fn flush_reports(&mut self) -> bool {
        while let Some(report) = self.held.pop_front() {
            if let Err(report) = self.reports.push(report) {
                self.held.push_front(report);
                break;
            }
        }
        self.reports.flush();
        self.held.is_empty()
    }

    /// Hands on what the engine has closed, and how far it has come behind it.
    pub(super) fn hand_on(&mut self) {
        let changed = !self.closed.is_empty();
        let mut closed = std::mem::take(&mut self.closed);
        for window in closed.drain(..) {
            let step_us = self.steps_us.get(window.window).copied().unwrap_or_default();
            self.watched_until_us = self.watched_until_us.max(window.end_us.saturating_add(step_us));
            self.report(Report::Closed(Box::new(window)));
        }
        self.closed = closed;
        if changed {
            self.counters.open_windows.set(self.engine.open_windows() as u64);
        }
        let watermark_us = self.engine.closed_us();
        self.counters.watermark_us.set(watermark_us as u64);
        // Publish need not be woken for every step of the watermark, only when results wait for it;
        // with several window threads the others' may.
        self.results_wait |= changed;
        let news = watermark_us != self.reported.0 && (self.results_wait || self.shards > 1);
        // Publish is to know that what follows is open.
        let ends = self.reached_ns == Merger::AT_THE_END && self.reported.1 != self.reached_ns;
        if (news || ends || self.owes_arrival()) && self.ending != Ending::Drained {
            self.reported = (watermark_us, self.reached_ns);
            self.results_wait = self.unsettled;
            self.report(Report::Reached { watermark_us, arrival_ns: self.reached_ns });
        }
        self.answer_sweep();
    }

    /// The results that would follow those that are out have not been told missing.
    pub(super) fn is_watched(&self) -> bool {
        self.reported.0 < self.watched_until_us && self.ending == Ending::Open
    }

    /// Publish is to hear that the last chunk has been worked through, but not at every look
    /// of an idle thread at its clock.
    fn owes_arrival(&self) -> bool {
        self.reached_ns > self.reported.1 && self.awaits_arrival()
    }

    /// Publish does not know yet that the last chunk has been worked through.
    pub(super) fn awaits_arrival(&self) -> bool {
        let last_ns = self.lanes.iter().map(|lane| lane.last_ns).max();
        self.revises && last_ns.is_some_and(|last_ns| last_ns > 0 && self.reported.1 <= last_ns)
    }

    /// Once the markers of all lanes have come, no number from before the sweep can: says which
    /// ones the windows refer to.
    fn answer_sweep(&mut self) {
        let lanes = self.lanes.iter().filter(|lane| !lane.items.ended());
        let epoch = lanes.map(|lane| lane.epoch).min().unwrap_or(self.epoch);
        if epoch > self.epoch {
            self.epoch = epoch;
            self.settings.refresh();
            let most_top = self.settings.value().most_top(self.shards);
            let names = Box::new(self.engine.in_use(self.group_tables, most_top));
            self.report(Report::InUse { epoch, names });
        }
    }

    pub(super) fn record_latency(&mut self, now: Now) {
        if let Some(histogram) = self.recording.as_mut() {
            for (arrival_ns, events) in self.applied.drain(..) {
                if events > 0 {
                    let took_ns = now.mono_ns.saturating_sub(arrival_ns);
                    histogram.saturating_record_n(took_ns, events);
                    // The last ones before a silence are told as well.
                    self.changed_second = true;
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

    pub(super) fn periodic(&mut self, now: Now) {
        if self.changed_live && now.mono_ns >= self.next_live_ns {
            self.next_live_ns = now.mono_ns + self.live_interval_ns;
            self.changed_live = false;
            if let Some(window) = self.engine.newest(0, now.wall_us) {
                self.report(Report::Live(Box::new(window)));
            }
        }
        if self.changed_second && now.mono_ns >= self.next_report_ns {
            self.next_report_ns = now.mono_ns + REPORT_EVERY_NS;
            self.changed_second = false;
            self.send_second();
        }
    }

    /// The second's latencies and the busiest sources.
    pub(super) fn send_second(&mut self) {
        self.counters.open_windows.set(self.engine.open_windows() as u64);
        self.report(Report::Top(Box::new(self.engine.top().clone())));
        if self.recording.as_ref().is_some_and(|h| !h.is_empty())
            && let Some(full) = self.recording.take()
        {
            self.report(Report::Latency(full));
            self.recording = self.histograms.pop();
        }
    }
}
