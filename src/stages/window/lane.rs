//! One lane as a window thread sees it: its ring, and how far this thread is in it.

use std::sync::Arc;

use crate::message::Item;
use crate::runtime::clock::Now;
use crate::runtime::progress::LaneProgress;
use crate::runtime::ring::Rx;
use crate::runtime::wake::Bell;

/// One lane's ring and where this thread stands in it.
pub struct Lane {
    /// Samples from the lane's parse thread.
    pub items: Rx<Item>,
    /// The lane's shared numbers.
    pub progress: Arc<LaneProgress>,
    /// The lane's ingest thread, which waits to acknowledge.
    pub ingest: Arc<Bell>,
    /// Arrival of the chunk at the head, once its beginning has been read.
    pub(super) head: Option<Now>,
    /// Chunks applied.
    pub(super) taken: u64,
    /// Arrival of the last chunk applied.
    pub(super) last_ns: u64,
    /// Chunks were applied in this turn.
    pub(super) dirty: bool,
    /// Chunks were applied since the ingest thread was last told.
    pub(super) untold: bool,
    /// The last sweep of names whose marker has come.
    pub(super) epoch: u32,
}

impl Lane {
    /// A lane from its beginning.
    pub fn new(items: Rx<Item>, progress: Arc<LaneProgress>, ingest: Arc<Bell>) -> Self {
        Self {
            items,
            progress,
            ingest,
            head: None,
            taken: 0,
            last_ns: 0,
            dirty: false,
            untold: false,
            epoch: 0,
        }
    }

    /// Reads the beginning of the next chunk if it is there.
    pub(super) fn read_head(&mut self) -> Option<Now> {
        while self.head.is_none()
            && let Some(&Item::Epoch { epoch }) = self.items.peek()
        {
            self.items.pop();
            self.epoch = epoch;
        }
        // Both items of the beginning or neither: the ring may have had room for one only.
        if self.head.is_none()
            && self.items.len() >= 2
            && let Some(&Item::Begin { arrival_ns }) = self.items.peek()
        {
            self.items.pop();
            if let Some(Item::Wall { wall_us }) = self.items.pop() {
                self.head = Some(Now { mono_ns: arrival_ns, wall_us });
            }
        }
        self.head
    }
}

/// The lane whose chunk is next in the order of arrival, if that is certain by now; else
/// the arrival up to which nothing more can come.
pub(super) fn next(lanes: &mut [Lane], now: Now) -> Result<usize, u64> {
    let mut oldest: Option<(u64, usize)> = None;
    let mut bound = (u64::MAX, usize::MAX);
    for (at, lane) in lanes.iter_mut().enumerate() {
        // The bound first: a chunk that arrives between the two looks is then found.
        let lower = lane.progress.next_arrival_bound(lane.taken, lane.last_ns, now.mono_ns);
        match lane.read_head() {
            Some(head) => {
                let candidate = (head.mono_ns, at);
                if oldest.is_none_or(|o| candidate < o) {
                    oldest = Some(candidate);
                }
            }
            // The parse thread has gone and everything is taken: it holds up nothing.
            None if lane.items.ended() => {}
            None => bound = bound.min((lower, at)),
        }
    }
    match oldest {
        Some(oldest) if oldest < bound => Ok(oldest.1),
        Some(oldest) => Err(oldest.0.min(bound.0)),
        None => Err(bound.0),
    }
}
