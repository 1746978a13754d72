//! Whose patience has run out: the gate's with clients, and with the server behind; and the end.

use super::link::{Link, State};
use super::{Gate, NEWCOMER_NS, OWN_ROOM, PATIENCE_NS, request};
use crate::plan::ANSWERS_BYTES;
use crate::runtime::clock::Now;
use crate::stages::http::Phase;

/// How often deadlines are looked at, ns.
const SWEEP_NS: u64 = 250_000_000;
/// How long the server behind may answer nobody, ns.
const BEHIND_NS: u64 = 5_000_000_000;
/// A turn that begins so much later than the one before was not waited for, ns.
const STOOD_STILL_NS: u64 = SWEEP_NS + 1_000_000_000;
/// How long who alone fills the room for answers may take nothing, ns.
const ALONE_NS: u64 = 1_000_000_000;
/// How long the last answers may take at the end, ns.
const END_NS: u64 = 1_000_000_000;

impl Gate {
    /// Puts out whoever's patience has run out, and whoever keeps the others from their answers.
    pub(super) fn sweep(&mut self, now: Now) {
        if self.open() == 0 || now.mono_ns < self.next_sweep_ns {
            return;
        }
        self.next_sweep_ns = now.mono_ns + SWEEP_NS;
        self.backlog = self.links.iter().flatten().map(Link::owed).sum();
        if self.asking > 0 && now.mono_ns.saturating_sub(self.heard_ns) > BEHIND_NS {
            tracing::error!("the HTTP server behind has answered nobody for 5 s: it is made anew");
            self.options.shared.replace_server();
            for link in self.links.iter_mut().flatten().filter(|link| link.state == State::Asking) {
                link.deadline_ns = 0;
            }
        }
        for slot in 0..self.links.len() {
            let Some(link) = self.links[slot].as_mut() else { continue };
            let is_quiet = link.stream.as_ref().is_some_and(|stream| stream.is_quiet(now.mono_ns));
            if link.wants_more(self.backlog < ANSWERS_BYTES) || is_quiet && link.backlog() == 0 {
                // There was no room when it was last looked at, or it is to hear that all is well.
                self.queue(slot);
                continue;
            }
            // Who waits for us is not late, within reason.
            let now_ns = now.mono_ns.saturating_sub(if link.queued { PATIENCE_NS } else { 0 });
            let takes_nothing = link.backlog() > 0 && now_ns >= link.taken_ns + PATIENCE_NS;
            if now_ns < link.deadline_ns && !(link.state == State::Answering && takes_nothing) {
                continue;
            }
            match link.state {
                // A browser keeps one ready, and nothing was asked.
                State::Reading if link.is_mute() => self.drop_link(slot),
                State::Reading => {
                    self.options.counters.timed_out.add(1);
                    link.refuse(&request::TIMEOUT, now.mono_ns);
                    self.queue(slot);
                }
                State::Waiting | State::Asking => {
                    self.options.counters.unavailable.add(1);
                    self.asking -= usize::from(link.state == State::Asking);
                    link.refuse(&request::UNAVAILABLE, now.mono_ns);
                    self.queue(slot);
                }
                // A stream that says nothing, or that its reader takes, goes on.
                State::Answering if link.stream.is_some() && link.backlog() == 0 => {
                    link.deadline_ns = now.mono_ns + PATIENCE_NS;
                }
                State::Answering => self.evict(slot),
                State::Lingering => self.drop_link(slot),
            }
        }
    }

    /// The process, or this thread, has stood still: what clients have sent or taken meanwhile has not been seen,
    /// so that time is not theirs.
    pub(super) fn forgive(&mut self, now: Now) {
        let since_ns = now.mono_ns.saturating_sub(self.turned_ns);
        self.turned_ns = now.mono_ns;
        // While somebody is here, sweeps wake this thread.
        if self.open() == 0 || since_ns < STOOD_STILL_NS {
            return;
        }
        // A little counts, so that deadlines end where every turn is late.
        let pause_ns = since_ns - SWEEP_NS;
        self.heard_ns += pause_ns;
        for link in self.links.iter_mut().flatten() {
            link.since_ns += pause_ns;
            link.deadline_ns += pause_ns;
            link.taken_ns += pause_ns;
            if let Some(stream) = &mut link.stream {
                stream.forgive(pause_ns);
            }
        }
    }

    /// Makes room: of those that keep much waiting, the one goes that has taken nothing for longest. One alone
    /// that goes on reading is no more than a large answer.
    pub(super) fn evict_idlest(&mut self, now: Now) {
        let waits = self.links.iter().enumerate().filter_map(|(slot, link)| Some((slot, link.as_ref()?)));
        let much: Vec<_> = waits
            .filter(|(_, link)| link.owed() > OWN_ROOM)
            .map(|(slot, link)| (link.taken_ns, slot))
            .collect();
        if let Some(&(taken_ns, slot)) = much.iter().min()
            && (much.len() > 1 || now.mono_ns.saturating_sub(taken_ns) >= ALONE_NS)
        {
            self.evict(slot);
        }
    }

    /// The end has come: nobody new is taken; who is here is answered, and who has only just come gets
    /// a moment to ask. With a socket from the service manager later clients wait for the next daemon.
    pub(super) fn is_over(&mut self, now: Now) -> bool {
        if self.options.shared.phase() < Phase::Closing {
            return false;
        }
        let end_ns = *self.end_ns.get_or_insert(now.mono_ns + END_NS);
        for slot in 0..self.links.len() {
            let Some(link) = &self.links[slot] else { continue };
            let is_idle = link.state == State::Reading && now.mono_ns >= link.since_ns + NEWCOMER_NS;
            if is_idle || link.state == State::Lingering {
                self.drop_link(slot);
            }
        }
        let over = self.open() == 0 || now.mono_ns >= end_ns;
        if over {
            self.options.shared.end();
        }
        over
    }

    /// Puts out a client that does not read.
    pub(super) fn evict(&mut self, slot: usize) {
        let Some(link) = &self.links[slot] else { return };
        let counters = &self.options.counters;
        match &link.stream {
            // Its ring was full, and that has been counted; or the daemon ends.
            Some(stream) if stream.is_abandoned() => {}
            Some(_) => counters.streams_evicted.add(1),
            None => counters.evicted.add(1),
        }
        self.drop_link(slot);
    }
}
