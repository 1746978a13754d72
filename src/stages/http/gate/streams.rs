//! Readers of the event stream: the gate itself gives them what publish has for them.

use std::sync::atomic::Ordering;

use tiny_http::HTTPVersion;

use super::link::State;
use super::{Gate, request};
use crate::plan::{CROWDED_FRAMES, FRAMES_BYTES};
use crate::runtime::clock::Now;
use crate::stages::http::Phase;
use crate::stages::http::sse::{HEAD, Stream};

/// How long the reader that lags most may lag while frames take more than half of [`FRAMES_BYTES`], and anybody
/// while they take more than all of it, ns.
const CROWDED_NS: u64 = 2_000_000_000;
/// How often streams are looked at while there is other work, ns.
const LOOK_NS: u64 = 1_000_000;
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
            let (shared, subscribe) = (&self.options.shared, &mut self.options.subscribe);
            if shared.phase() >= Phase::Closing || subscribe.is_abandoned() {
                // It ends at once, because the daemon does: its reader comes again by itself after
                // `retry`, which it would not after an error.
                link.answer(HEAD.as_bytes(), now.mono_ns);
            } else {
                match Stream::open(shared, &asked, subscribe, now.mono_ns) {
                    Ok(stream) => {
                        link.open(stream, now.mono_ns);
                        self.streams.push(slot);
                    }
                    Err(answer) => match answer.into_bytes(HTTPVersion(1, 1), &[], false) {
                        Ok(bytes) => link.answer(&bytes, now.mono_ns),
                        Err(_) => link.refuse(&request::UNAVAILABLE, now.mono_ns),
                    },
                }
            }
            self.queue(slot);
        }
        worked
    }

    /// Finds the streams that have something to give, and the one that takes too much; whether there is work.
    pub(super) fn look_at_streams(&mut self, now: Now) -> bool {
        if !self.busy.is_empty() && now.mono_ns < self.next_look_ns {
            return true;
        }
        self.next_look_ns = now.mono_ns + LOOK_NS;
        let is_over = self.options.subscribe.is_abandoned();
        let held = self.options.shared.held.load(Ordering::Relaxed);
        let crowded = held > FRAMES_BYTES / 2;
        // Large frames: whoever holds some of them for long, though they are few.
        let over = held > FRAMES_BYTES;
        let mut worst = None;
        for at in 0..self.streams.len() {
            let slot = self.streams[at];
            let Some(Some(link)) = self.links.get_mut(slot) else { continue };
            let Some(stream) = &mut link.stream else { continue };
            if is_over {
                stream.publish_has_ended();
            }
            if let (frames @ 1.., lag_ns @ CROWDED_NS..) = stream.lag(now.mono_ns)
                && crowded
                && (over || frames > CROWDED_FRAMES)
            {
                let behind = if over { lag_ns } else { frames as u64 };
                worst = worst.max(Some((frames > CROWDED_FRAMES, behind, slot)));
            }
            if link.wants_more(true) {
                self.queue(slot);
            }
        }
        if let Some((.., slot)) = worst {
            self.evict(slot);
        }
        !self.busy.is_empty()
    }

    /// When to open the next stream, monotonic ns, if some are waited for.
    pub(super) fn next_stream_ns(&self, now: Now) -> Option<u64> {
        (!self.newcomers.is_empty()).then_some(now.mono_ns + AGAIN_NS)
    }
}
