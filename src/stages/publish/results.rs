//! Results on their way out: counted and looked at for alerts as soon as they are complete, put in
//! words at once for whoever reads the stream, and otherwise when no more are to be had.

use std::sync::Arc;

use tracing::Level;

use super::alerts::{Change, Words};
use super::backlog::Waiting;
use super::board::Kept;
use super::{Publish, RESULTS_PER_TURN, encode};
use crate::message::FrameKind;
use crate::runtime::clock::Now;
use crate::windowing::Closed;
use crate::windowing::merge::Complete;

/// Lines about alerts that the log takes in a second; the rest is a number.
const LINES_PER_SECOND: u64 = 10;

/// What names and numbers mean; a macro, for the rest of the stage stays free to change.
macro_rules! words {
    ($publish:expr, $now:expr) => {
        Words {
            windows: &$publish.windows,
            groups: &$publish.groups,
            dictionary: &$publish.dictionary,
            now_us: $now.wall_us,
        }
    };
}

impl Publish {
    /// Publishes what is complete; with `all`, also what is still open, as not final. Not all of
    /// a window with a hundred thousand groups in one turn; says whether there was anything.
    pub(super) fn publish_due(&mut self, now: Now, all: bool) -> bool {
        let behind = !self.all_out;
        for published in 0..RESULTS_PER_TURN {
            let Some(complete) = self.merger.next(all) else {
                self.settle();
                self.show_firing();
                self.all_out = true;
                // Who was behind has left reports in their rings.
                return published > 0 || behind;
            };
            self.publish_result(complete, now);
        }
        self.show_firing();
        self.all_out = false;
        true
    }

    fn publish_result(&mut self, complete: Complete, now: Now) {
        let closed = &complete.closed;
        debug_assert!(closed.window < self.windows.len(), "a result of a window that is not configured");
        let counters = &self.telemetry.publish;
        counters.results.add(1);
        counters.revisions.add(u64::from(closed.revision > 0));
        let changes = if complete.is_final && self.alerts.watch(closed.window) {
            self.alerts.judge(closed, &words!(self, now))
        } else {
            Vec::new()
        };
        let unnamed = closed.window == 0 && complete.is_final && closed.revision == 0;
        if changes.is_empty()
            && !self.subscribers.has_room()
            && let Some(bytes) = self.backlog.room_for(&complete)
        {
            let unnamed_id = unnamed.then(|| self.subscribers.pass_over(now.mono_ns));
            let id = self.subscribers.pass_over(now.mono_ns);
            if let Some(gone) = self.backlog.push(Waiting { unnamed_id, id, bytes, complete }) {
                // History would have forgotten it.
                self.subscribers.forget(gone.id);
            }
            return;
        }
        self.settle();
        let Some(json) = self.keep(&complete) else { return };
        if unnamed {
            self.subscribers.send("", &json, FrameKind::Lasting, now.mono_ns);
        }
        self.subscribers.send("window", &json, FrameKind::Lasting, now.mono_ns);
        self.announce(changes, now);
    }

    /// Tells what has changed with alerts: after the results that are behind it.
    pub(super) fn announce(&mut self, changes: Vec<Change>, now: Now) {
        if changes.is_empty() {
            return;
        }
        self.settle();
        let counters = Arc::clone(&self.telemetry.publish);
        for change in changes {
            if change.fires { &counters.alerts } else { &counters.alerts_resolved }.add(1);
            self.subscribers.send("alert", &change.json, FrameKind::Lasting, now.mono_ns);
            self.board.alert(change.json);
            if self.lines_this_second < LINES_PER_SECOND {
                match change.loudness {
                    Level::ERROR => tracing::error!("{}", change.line),
                    Level::WARN => tracing::warn!("{}", change.line),
                    _ => tracing::info!("{}", change.line),
                }
            }
            self.lines_this_second += 1;
        }
        self.firing_changed = true;
    }

    /// What fires now, for who asks: once for however many changes.
    fn show_firing(&mut self) {
        if std::mem::take(&mut self.firing_changed) {
            let firing = self.alerts.firing();
            self.telemetry.publish.alerts_firing.set(firing.len() as u64);
            self.board.set_firing(firing);
        }
    }

    /// A second has passed: alerts whose next result is missing, and lines that were left out.
    pub(super) fn alerts_second(&mut self, now: Now) {
        if self.all_out {
            let watermark_us = self.merger.watermark_us();
            let changes = self.alerts.expire(watermark_us, &words!(self, now));
            self.announce(changes, now);
            self.show_firing();
        }
        self.telemetry.publish.alerts_untracked.set(self.alerts.untracked);
        let left_out = self.lines_this_second.saturating_sub(LINES_PER_SECOND);
        if left_out > 0 {
            tracing::warn!("{left_out} more alerts fired or were resolved in the last second");
        }
        self.lines_this_second = 0;
    }

    /// Takes over what has been replaced while running.
    pub(super) fn refresh_settings(&mut self, now: Now) {
        if self.settings.refresh() {
            let changes = self.alerts.replace(&self.settings.value().alerts, &words!(self, now));
            self.announce(changes, now);
            self.show_firing();
        }
    }

    /// Puts what waits in words, for history and for readers that come back.
    pub(super) fn settle(&mut self) {
        for waiting in self.backlog.take() {
            let Some(json) = self.keep(&waiting.complete) else { continue };
            if let Some(id) = waiting.unnamed_id {
                self.subscribers.remember(id, "", &json);
            }
            self.subscribers.remember(waiting.id, "window", &json);
        }
    }

    /// Encodes a result and keeps it in history.
    fn keep(&self, complete: &Complete) -> Option<Arc<str>> {
        let closed = &complete.closed;
        let window = self.windows.get(closed.window)?;
        let group = self.groups.of(closed.window, closed.group, &self.dictionary);
        let distinct = &self.groups.distinct;
        let json: Arc<str> =
            encode::result(window, closed, &group, complete.is_final, distinct, &self.dictionary).into();
        let (start_us, end_us) = (closed.start_us, closed.end_us);
        let kept = Kept { start_us, end_us, group, json: Arc::clone(&json) };
        self.board.keep(closed.window, kept, &replaced(closed));
        Some(json)
    }
}

/// Bounds of the results whose place this one takes.
fn replaced(closed: &Closed) -> Vec<(i64, i64)> {
    let before = (closed.revision > 0).then_some((closed.start_us, closed.end_us));
    before.into_iter().chain(closed.replaces.iter().copied()).collect()
}
