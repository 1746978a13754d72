//! Results that are out and not in words yet. Encoding one costs as much as some ten events, and
//! of a window with a hundred thousand groups nobody may ever ask for more than the history keeps:
//! so while nobody reads the stream, results wait here, and those that history would forget at
//! once are let go unencoded.
//!
//! What must hold: results leave in the order in which they came; of a window, no more wait than
//! history keeps; none waits that takes the place of another, is of a window that has been closed for long, or is
//! large; and all of them take little memory.
//!
//! Of one window with more groups than history keeps, those stay that came last: the last by number
//! here, the last by name if somebody reads. Neither is promised.

use std::collections::VecDeque;

use crate::windowing::Trigger;
use crate::windowing::merge::Complete;

/// Larger results do not wait: what waits is to take about as much memory as its text will.
const LARGEST_BYTES: usize = 4 * 1024;
/// Nor does what would make all of them take more than this.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// A result, and the numbers of its frames in the stream.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Of the unnamed message, if it makes one.
    pub(super) unnamed_id: Option<u64>,
    /// Of `event: window`.
    pub(super) id: u64,
    /// Memory it takes, as [`Backlog::room_for`] has said.
    pub(super) bytes: usize,
    pub(super) complete: Complete,
}

/// By window, those that wait, oldest first.
#[derive(Debug)]
pub(super) struct Backlog {
    windows: Vec<VecDeque<Waiting>>,
    most: usize,
    bytes: usize,
}

impl Backlog {
    /// For `windows` windows whose history keeps `most` results each.
    pub(super) fn new(windows: usize, most: usize) -> Self {
        Self { windows: (0..windows).map(|_| VecDeque::new()).collect(), most, bytes: 0 }
    }

    /// The memory that this result takes, if it may wait.
    pub(super) fn room_for(&self, complete: &Complete) -> Option<usize> {
        let closed = &complete.closed;
        let bytes = closed.aggregate.size_bytes();
        let waits = closed.window < self.windows.len()
            && matches!(closed.trigger, Trigger::Due)
            && closed.revision == 0
            && closed.replaces.is_empty()
            && bytes <= LARGEST_BYTES
            && self.bytes + bytes <= MOST_BYTES;
        waits.then_some(bytes)
    }

    /// Takes a result in; the one that gives way to it, if there are too many.
    pub(super) fn push(&mut self, waiting: Waiting) -> Option<Waiting> {
        let window = self.windows.get_mut(waiting.complete.closed.window)?;
        self.bytes += waiting.bytes;
        window.push_back(waiting);
        let gone = if window.len() > self.most { window.pop_front() } else { None };
        self.bytes -= gone.as_ref().map_or(0, |gone| gone.bytes);
        gone
    }

    /// Everything, in the order in which it came.
    pub(super) fn take(&mut self) -> Vec<Waiting> {
        // With a reader this is asked for every result, and there is nothing: all take some memory.
        if std::mem::take(&mut self.bytes) == 0 {
            return Vec::new();
        }
        let mut all: Vec<Waiting> = self.windows.iter_mut().flat_map(std::mem::take).collect();
        all.sort_unstable_by_key(|waiting| waiting.id);
        all
    }
}
