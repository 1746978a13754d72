//! Readers of the event stream: the gate itself gives them what publish has for them.

use std::sync::atomic::Ordering;

use tiny_http::HTTPVersion;

use super::link::State;
use super::{Gate, PATIENCE_NS, request};
use crate::plan::FRAMES_BYTES;
use crate::runtime::clock::Now;
use crate::stages::http::Phase;
use crate::stages::http::sse::{HEAD, Stream};

/// How long a reader may take nothing while frames take more than half of [`FRAMES_BYTES`], ns.
const CROWDED_NS: u64 = 1_000_000_000;
/// When to look again whether publish has taken earlier newcomers, ns.
const AGAIN_NS: u64 = 1_000_000;

impl Gate {
    /// Opens the streams that are waited for, as many as publish takes.
    pub(super) fn subscribe(&mut self, now: Now) -> bool {
        let mut worked = false;
        while self.options.subscribe.slots() > 0
            && let Some(slot) = self.newcomers.pop_front()
        {
            let Some(Some(link)) = self.links.get_mut(slot) else { continue };
            if link.state != State::Waiting {
                continue;
            }
            let Some(asked) = link.asked.take() else { continue };
            worked = true;
            link.deadline_ns = now.mono_ns + PATIENCE_NS;
            link.taken_ns = now.mono_ns;
            let (shared, subscribe) = (&self.options.shared, &mut self.options.subscribe);
            if shared.phase() >= Phase::Closing {
                // It ends at once, because the daemon does: its reader comes again by itself after
                // `retry`, which it would not after an error.
                link.answer(HEAD.as_bytes());
            } else {
                match Stream::open(shared, &asked, subscribe, now.mono_ns) {
                    Ok(stream) => {
                        link.open(stream);
                        self.streams.push(slot);
                    }
                    Err(answer) => match answer.into_bytes(HTTPVersion(1, 1), &[], false) {
                        Ok(bytes) => link.answer(&bytes),
                        Err(_) => link.refuse(&request::UNAVAILABLE),
                    },
                }
            }
            self.queue(slot);
        }
        worked
    }

    /// Finds the streams that have something to give, and those that take too much.
    pub(super) fn look_at_streams(&mut self, now: Now) {
        let mut stalled = None;
        let crowded = self.options.shared.held.load(Ordering::Relaxed) > FRAMES_BYTES / 2;
        for at in 0..self.streams.len() {
            let slot = self.streams[at];
            let Some(Some(link)) = self.links.get(slot) else { continue };
            if link.wants_more(true) {
                self.queue(slot);
            } else if crowded && link.stream.as_ref().is_some_and(Stream::waits) {
                stalled = stalled.max(Some((now.mono_ns.saturating_sub(link.taken_ns), slot)));
            }
        }
        if let Some((stalled_ns, slot)) = stalled
            && stalled_ns >= CROWDED_NS
        {
            self.evict(slot);
        }
    }

    /// When to open the next stream, monotonic ns, if some are waited for.
    pub(super) fn next_stream_ns(&self, now: Now) -> Option<u64> {
        (!self.newcomers.is_empty()).then_some(now.mono_ns + AGAIN_NS)
    }
}
