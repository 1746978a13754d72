//! Results on their way out: counted and looked at for alerts as soon as they are complete, put in
//! words at once for whoever reads the stream, and otherwise when no more are to be had.

use std::sync::Arc;

use super::backlog::Waiting;
use super::board::Kept;
use super::{Publish, RESULTS_PER_TURN, alerts, encode};
use crate::message::FrameKind;
use crate::runtime::clock::Now;
use crate::windowing::Closed;
use crate::windowing::merge::Complete;

impl Publish {
    /// Publishes what is complete; with `all`, also what is still open, as not final. Not all of
    /// a window with a hundred thousand groups in one turn; says whether there was anything.
    pub(super) fn publish_due(&mut self, now: Now, all: bool) -> bool {
        for published in 0..RESULTS_PER_TURN {
            let Some(complete) = self.merger.next(all) else {
                self.settle();
                return published > 0;
            };
            self.publish_result(complete, now);
        }
        true
    }

    fn publish_result(&mut self, complete: Complete, now: Now) {
        let closed = &complete.closed;
        debug_assert!(closed.window < self.windows.len(), "a result of a window that is not configured");
        let counters = &self.telemetry.publish;
        counters.results.add(1);
        counters.revisions.add(u64::from(closed.revision > 0));
        let alerts = if complete.is_final { self.alerts(closed, now) } else { Vec::new() };
        let unnamed = closed.window == 0 && complete.is_final && closed.revision == 0;
        if alerts.is_empty() && self.backlog.takes(&complete) && !self.subscribers.has_room() {
            let unnamed_id = unnamed.then(|| self.subscribers.pass_over(now.mono_ns));
            let id = self.subscribers.pass_over(now.mono_ns);
            if let Some(gone) = self.backlog.push(Waiting { unnamed_id, id, complete }) {
                self.let_go(&gone);
            }
            return;
        }
        self.settle();
        let Some(json) = self.keep(&complete) else { return };
        if unnamed {
            self.subscribers.send("", &json, FrameKind::Lasting, now.mono_ns);
        }
        self.subscribers.send("window", &json, FrameKind::Lasting, now.mono_ns);
        for alert in alerts {
            self.telemetry.publish.alerts.add(1);
            self.subscribers.send("alert", &alert, FrameKind::Lasting, now.mono_ns);
            self.board.alert(alert);
        }
    }

    fn alerts(&self, closed: &Closed, now: Now) -> Vec<Arc<str>> {
        let rules = &self.settings.value().alerts;
        match self.windows.get(closed.window) {
            Some(window) if rules.iter().any(|rule| rule.window == window.name) => {
                let group = self.groups.of(closed.window, closed.group, &self.dictionary);
                alerts::evaluate(rules, window, closed, &group, &self.dictionary, now.wall_us)
            }
            _ => Vec::new(),
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

    /// A result that history would have forgotten; what it replaces goes with it.
    fn let_go(&mut self, gone: &Waiting) {
        self.subscribers.forget(gone.id);
        let closed = &gone.complete.closed;
        let replaced = replaced(closed);
        if !replaced.is_empty() {
            let group = self.groups.of(closed.window, closed.group, &self.dictionary);
            self.board.remove(closed.window, &group, &replaced);
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
