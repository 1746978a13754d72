//! Progress of one lane as numbers: what ingest has sent, and what each window thread has
//! applied. Nothing here is a message; everybody reads when it needs to know.
//!
//! # Why `turn` exists
//!
//! A window thread applies the chunks of all lanes in the order of their arrival. When a lane
//! has nothing queued, the thread must know that the lane will not come up with an *earlier*
//! arrival than the candidate it holds. Ingest therefore says "in a turn since T" *before* it
//! reads the clock that stamps the turn's chunks, and "between turns" after it has counted
//! them in `sent`. An observer reads the clock first, then `turn`, then `sent`: if the lane is
//! between turns and everything sent has been taken, every later stamp of that lane is later
//! than the observer's reading (SeqCst on `turn` orders the two clock readings).

use std::sync::atomic::{AtomicU64, Ordering};

const BETWEEN_TURNS: u64 = u64::MAX;

/// The shared numbers of one lane.
#[derive(Debug)]
pub struct LaneProgress {
    turn_since_ns: AtomicU64,
    sent: AtomicU64,
    applied: Box<[Applied]>,
}

/// On its own cache line: each is written by another window thread.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Applied(AtomicU64);

impl LaneProgress {
    /// A lane between turns that feeds `shards` window threads.
    pub fn new(shards: usize) -> Self {
        Self {
            turn_since_ns: AtomicU64::new(BETWEEN_TURNS),
            sent: AtomicU64::new(0),
            applied: (0..shards).map(|_| Applied::default()).collect(),
        }
    }

    /// Ingest: a turn begins; chunks stamped in it are not earlier than `floor_ns`, the last
    /// stamp given. Read the clock after this.
    pub fn begin_turn(&self, floor_ns: u64) {
        // A maximum of MAX would read as "between turns".
        self.turn_since_ns.store(floor_ns.min(BETWEEN_TURNS - 1), Ordering::SeqCst);
    }

    /// Ingest: the turn is over, all its chunks are counted in `sent`.
    pub fn end_turn(&self) {
        self.turn_since_ns.store(BETWEEN_TURNS, Ordering::SeqCst);
    }

    /// Ingest: `total` data chunks have been stamped and handed on since the start. Before the
    /// push: a window thread must never have taken more than was sent.
    pub fn set_sent(&self, total: u64) {
        self.sent.store(total, Ordering::SeqCst);
    }

    /// Data chunks sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// A window thread: it has taken all items of `total` chunks of this lane.
    pub fn set_applied(&self, shard: usize, total: u64) {
        self.applied[shard].0.store(total, Ordering::Release);
    }

    /// Chunks that every window thread has applied.
    pub fn applied(&self) -> u64 {
        self.applied.iter().map(|a| a.0.load(Ordering::Acquire)).min().unwrap_or(0)
    }

    /// A lower bound on the arrival of the lane's next chunk, as seen by a window thread that
    /// has taken `taken` chunks, the last of them stamped `last_ns`, and that read its clock as
    /// `now_ns` before this call.
    pub fn next_arrival_bound(&self, taken: u64, last_ns: u64, now_ns: u64) -> u64 {
        let turn = self.turn_since_ns.load(Ordering::SeqCst);
        if self.sent() > taken {
            last_ns
        } else if turn == BETWEEN_TURNS {
            now_ns.max(last_ns)
        } else {
            turn.max(last_ns)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_now_only_between_turns_with_nothing_queued() {
        let lane = LaneProgress::new(1);
        assert_eq!(lane.next_arrival_bound(0, 0, 500), 500);
        lane.begin_turn(400);
        assert_eq!(lane.next_arrival_bound(0, 0, 500), 400);
        lane.set_sent(1);
        lane.end_turn();
        assert_eq!(lane.next_arrival_bound(0, 100, 500), 100, "a chunk is on its way");
        assert_eq!(lane.next_arrival_bound(1, 450, 500), 500);
    }

    #[test]
    fn applied_is_the_slowest_shard() {
        let lane = LaneProgress::new(2);
        lane.set_applied(0, 7);
        assert_eq!(lane.applied(), 0);
        lane.set_applied(1, 3);
        assert_eq!(lane.applied(), 3);
    }
}
