//! SSE subscribers: each frame is encoded once and offered to everybody; who does not read
//! loses frames and then the connection, and nobody else notices.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::message::{Frame, FrameKind, Held, Subscribe};
use crate::plan::{CROWDED_FRAMES, FRAMES_BYTES};
use crate::runtime::ring::Tx;
use crate::telemetry::counters::PublishCounters;

/// Lasting frames kept for `Last-Event-ID`.
const REPLAY_FRAMES: usize = 1_024;
/// Bytes they may take.
const REPLAY_BYTES: usize = 8 * 1024 * 1024;
/// A subscriber that has taken nothing for this long is put out, ns.
const STALL_NS: u64 = 10_000_000_000;

#[derive(Debug)]
struct Subscriber {
    frames: Tx<Arc<Frame>>,
    /// Frames lost since the last one that fitted.
    lost: u64,
    /// When its ring was first found full.
    full_since_ns: Option<u64>,
}

/// All subscribers, and what a returning one may have missed.
#[derive(Debug)]
pub struct Subscribers {
    all: Vec<Subscriber>,
    replay: VecDeque<Arc<Frame>>,
    replay_bytes: usize,
    /// No frame has this id: it is that of an earlier life, or 0, which stands for the beginning.
    ids_from: u64,
    /// The largest id of a lasting frame that is no longer kept.
    forgotten: u64,
    last_id: u64,
    /// Of all frames that are kept here or wait for subscribers.
    held: Held,
    counters: Arc<PublishCounters>,
}

impl Subscribers {
    /// Nobody yet; the ids of frames begin behind `ids_from`, and they are counted in `held`.
    pub fn new(ids_from: u64, held: Held, counters: Arc<PublishCounters>) -> Self {
        Self {
            all: Vec::new(),
            replay: VecDeque::new(),
            replay_bytes: 0,
            ids_from,
            forgotten: ids_from,
            last_id: ids_from,
            held,
            counters,
        }
    }

    /// Forgets those that have gone: a ring is memory.
    pub fn forget_gone(&mut self) {
        self.all.retain(|subscriber| !subscriber.frames.is_abandoned());
        self.count();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Takes a new one in; a returning one first gets what it has missed, or `event: gap`.
    pub fn add(&mut self, subscribe: Subscribe) {
        let mut subscriber = Subscriber { frames: subscribe.frames, lost: 0, full_since_ns: None };
        if let Some(last) = subscribe.last_event_id {
            let known = last == 0 || (self.ids_from..=self.last_id).contains(&last);
            let last = if known { last.max(self.ids_from) } else { self.ids_from };
            let mut missed = self.replay.iter().filter(|frame| frame.id > last).peekable();
            if !known || last < self.forgotten {
                let before = missed.peek().map_or(self.last_id, |frame| frame.id - 1);
                let gap = gap(before, "frames since then are no longer kept", &self.held);
                subscriber.offer(&gap, &self.held);
            }
            for frame in missed {
                if !subscriber.offer(frame, &self.held) {
                    self.counters.frames_lost.add(1);
                }
            }
        }
        subscriber.frames.flush();
        self.all.push(subscriber);
        self.count();
    }

    /// Whether a frame would find room with anybody.
    pub fn has_room(&self) -> bool {
        let room = room(&self.held);
        self.all.iter().any(|s| s.has_room(room) && !s.frames.is_abandoned())
    }

    /// Sends a frame to everybody. `event` empty makes an unnamed message.
    pub fn send(&mut self, event: &str, json: &str, kind: FrameKind, now_ns: u64) {
        self.last_id += 1;
        let frame = Frame::new(self.last_id, kind, text(self.last_id, event, json), &self.held);
        if kind == FrameKind::Lasting {
            self.keep(&frame);
        }
        let held = Arc::clone(&self.held);
        self.give(now_ns, |subscriber| subscriber.offer(&frame, &held));
    }

    /// A frame for which nobody has room is lost without having been made; its id.
    pub fn pass_over(&mut self, now_ns: u64) -> u64 {
        self.last_id += 1;
        if !self.all.is_empty() {
            self.give(now_ns, |subscriber| {
                subscriber.lost += 1;
                false
            });
        }
        self.last_id
    }

    /// Makes a lasting frame that was passed over after all, for those that come back. In the
    /// order of their ids, and before any other lasting frame is sent.
    pub fn remember(&mut self, id: u64, event: &str, json: &str) {
        self.keep(&Frame::new(id, FrameKind::Lasting, text(id, event, json), &self.held));
    }

    /// A lasting frame that was passed over will never be made.
    pub fn forget(&mut self, id: u64) {
        self.forgotten = self.forgotten.max(id);
    }

    /// Gives everybody something; who has gone, or has taken nothing for too long, goes.
    fn give(&mut self, now_ns: u64, mut give: impl FnMut(&mut Subscriber) -> bool) {
        let counters = &self.counters;
        self.all.retain_mut(|subscriber| {
            if subscriber.frames.is_abandoned() {
                return false;
            }
            if give(subscriber) {
                subscriber.full_since_ns = None;
                return true;
            }
            counters.frames_lost.add(1);
            let since_ns = *subscriber.full_since_ns.get_or_insert(now_ns);
            let stalled = now_ns.saturating_sub(since_ns) > STALL_NS;
            if stalled {
                counters.evicted.add(1);
            }
            !stalled
        });
        self.count();
    }

    /// Wakes those that got something.
    pub fn flush(&mut self) {
        for subscriber in &mut self.all {
            subscriber.frames.flush();
        }
    }

    fn count(&self) {
        self.counters.subscribers.set(self.all.len() as u64);
    }

    fn keep(&mut self, frame: &Arc<Frame>) {
        self.replay_bytes += frame.text.len();
        self.replay.push_back(Arc::clone(frame));
        while self.replay.len() > REPLAY_FRAMES || self.replay_bytes > REPLAY_BYTES {
            let Some(gone) = self.replay.pop_front() else {
                break;
            };
            self.replay_bytes -= gone.text.len();
            // What was passed over may be newer.
            self.forgotten = self.forgotten.max(gone.id);
        }
    }
}

impl Subscriber {
    /// Whether a frame, and a notice if one is due, find room where there may be so many frames.
    fn has_room(&self, room: usize) -> bool {
        let wanted = 1 + usize::from(self.lost > 0);
        let slots = self.frames.slots();
        slots >= wanted && self.frames.capacity() - slots < room
    }

    /// Gives it a frame if it has room, after a notice if it has lost some before.
    fn offer(&mut self, frame: &Arc<Frame>, held: &Held) -> bool {
        if !self.has_room(room(held)) {
            self.lost += 1;
            return false;
        }
        if self.lost > 0 {
            let why = format!("{} frames lost: this reader is too slow", self.lost);
            self.lost = 0;
            drop(self.frames.push(gap(frame.id.saturating_sub(1), &why, held)));
        }
        let taken = self.frames.push(Arc::clone(frame)).is_ok();
        self.lost += u64::from(!taken);
        taken
    }
}

/// From how many frames that wait on a subscriber is given no more.
fn room(held: &Held) -> usize {
    match held.load(Ordering::Relaxed) {
        bytes if bytes <= FRAMES_BYTES / 2 => usize::MAX,
        bytes if bytes <= FRAMES_BYTES => CROWDED_FRAMES,
        // Who has taken everything goes on.
        _ => 1,
    }
}

fn gap(last_id: u64, why: &str, held: &Held) -> Arc<Frame> {
    let json = serde_json::json!({ "last_id": last_id, "message": why }).to_string();
    Frame::new(last_id, FrameKind::Passing, text(last_id, "gap", &json), held)
}

fn text(id: u64, event: &str, json: &str) -> Box<str> {
    let name = if event.is_empty() { String::new() } else { format!("event: {event}\n") };
    format!("id: {id}\n{name}data: {json}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::ring::{Rx, ring};
    use crate::runtime::wake::Bell;

    fn subscriber(last_event_id: Option<u64>, capacity: usize) -> (Subscribe, Rx<Arc<Frame>>) {
        let bell = Arc::new(Bell::park());
        let (frames, rx) = ring(capacity, &bell, &bell);
        let subscribe = Subscribe { frames, last_event_id };
        (subscribe, rx)
    }

    fn ids_of(rx: &mut Rx<Arc<Frame>>) -> Vec<(u64, bool)> {
        std::iter::from_fn(|| rx.pop()).map(|frame| (frame.id, frame.text.contains("event: gap"))).collect()
    }

    #[test]
    fn a_returning_reader_gets_what_lasts() {
        let mut subs = Subscribers::new(0, Held::default(), Arc::default());
        subs.send("window", "1", FrameKind::Lasting, 0);
        subs.send("stats", "2", FrameKind::Passing, 0);
        subs.send("window", "3", FrameKind::Lasting, 0);
        let (new, mut rx) = subscriber(Some(1), 8);
        subs.add(new);
        assert_eq!(ids_of(&mut rx), [(3, false)]);
        let (from_a_later_one, mut rx) = subscriber(Some(99), 8);
        subs.add(from_a_later_one);
        assert_eq!(ids_of(&mut rx), [(0, true), (1, false), (3, false)]);
    }

    /// Ids begin where no earlier life's can be, so that one of those is never taken for one of this life.
    #[test]
    fn a_reader_from_an_earlier_life_is_told() {
        let mut subs = Subscribers::new(1_000, Held::default(), Arc::default());
        for _ in 0..2 {
            subs.send("window", "x", FrameKind::Lasting, 0);
        }
        for (last, expected) in [
            (0, &[(1_001, false), (1_002, false)][..]),
            (7, &[(1_000, true), (1_001, false), (1_002, false)]),
            (999, &[(1_000, true), (1_001, false), (1_002, false)]),
            (1_001, &[(1_002, false)]),
            (1_002, &[]),
            (1_003, &[(1_000, true), (1_001, false), (1_002, false)]),
        ] {
            let (new, mut rx) = subscriber(Some(last), 8);
            subs.add(new);
            assert_eq!(ids_of(&mut rx), expected, "{last}");
        }
    }

    /// Frames that were never made do not come back into memory with those that were.
    #[test]
    fn what_was_passed_over_is_a_gap_whatever_is_remembered_behind_it() {
        let mut subs = Subscribers::new(0, Held::default(), Arc::default());
        for _ in 0..REPLAY_FRAMES {
            subs.send("window", "x", FrameKind::Lasting, 0);
        }
        let ids: Vec<u64> = (0..2_000).map(|_| subs.pass_over(0)).collect();
        let (gone, kept) = ids.split_at(1_990);
        gone.iter().for_each(|&id| subs.forget(id));
        kept.iter().for_each(|&id| subs.remember(id, "window", "y"));
        let (new, mut rx) = subscriber(Some(gone[5]), 64);
        subs.add(new);
        let got = ids_of(&mut rx);
        assert!(got[0].1, "a gap first: {got:?}");
        assert!(got[1..].iter().map(|&(id, _)| id).eq(kept.iter().copied()));
    }

    /// However many lag behind, and however large frames are; who reads gets most of them all the same.
    #[test]
    fn frames_that_wait_are_bounded_together() {
        let held = Held::default();
        let mut subs = Subscribers::new(0, Arc::clone(&held), Arc::default());
        let (reading, mut rx) = subscriber(None, 8_192);
        subs.add(reading);
        let mut stalled = Vec::new();
        let json = "x".repeat(200_000);
        let mut most = 0;
        for n in 0..2_000 {
            if n % 20 == 0 {
                let (new, rx) = subscriber(None, 8_192);
                subs.add(new);
                stalled.push(rx);
            }
            subs.send("window", &json, FrameKind::Passing, n);
            assert!(ids_of(&mut rx).contains(&(n + 1, false)), "who has taken all gets the next");
            most = most.max(held.load(Ordering::Relaxed));
        }
        // Who loses one, because the gate was not quick enough, goes on as soon as it is.
        subs.send("window", &json, FrameKind::Passing, 2_000);
        subs.send("window", &json, FrameKind::Passing, 2_000);
        assert_eq!(ids_of(&mut rx), [(2_001, false)]);
        subs.send("window", &json, FrameKind::Passing, 2_000);
        assert_eq!(ids_of(&mut rx), [(2_002, true), (2_003, false)]);
        // Each may have one beyond, if it had none.
        assert!(most > FRAMES_BYTES && most < FRAMES_BYTES + 100 * 201_000, "{most} bytes");
        drop((subs, stalled));
        assert_eq!(held.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_slow_reader_loses_frames_is_told_and_is_put_out_at_last() {
        let mut subs = Subscribers::new(0, Held::default(), Arc::default());
        let (slow, mut rx) = subscriber(None, 2);
        subs.add(slow);
        for _ in 0..5 {
            subs.send("window", "x", FrameKind::Lasting, 0);
        }
        assert_eq!(ids_of(&mut rx), [(1, false), (2, false)]);
        subs.send("window", "x", FrameKind::Lasting, 1);
        assert_eq!(ids_of(&mut rx), [(5, true), (6, false)]);
        for second in 0..14 {
            subs.send("window", "x", FrameKind::Lasting, second * 1_000_000_000);
        }
        assert!(subs.is_empty());
        assert_eq!(subs.counters.evicted.get(), 1);
    }
}
