//! Episodes in which clients have to wait: counted, and said to whom it concerns, once an episode.

use super::Ingest;
use super::connection::State;

/// That some are held for less than this is taking turns, ns.
const HELD_NS: u64 = 20_000_000;
/// Clients that are told in a turn: bounded, so that replies and acks are not kept waiting.
const TOLD_PER_TURN: usize = 64;

/// Whether reading has stopped, for all or for some.
#[derive(Debug, Default)]
pub struct Backpressure {
    /// Number of the newest episode, from 1.
    episode: u64,
    running: bool,
    /// Since when some have been held at the end of every turn.
    held_since_ns: Option<u64>,
}

/// What a turn of reading has come to.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// There was no room for a chunk, so reading has stopped for all.
    pub full: bool,
    /// Some are held who have much waiting.
    pub holding: bool,
    /// Half of the room is free.
    pub half_empty: bool,
}

impl Backpressure {
    /// A turn has ended; the episode, if there is one, and whether it has begun just now.
    pub fn note(&mut self, room: Room, now_ns: u64) -> Option<(u64, bool)> {
        self.held_since_ns = room.holding.then(|| self.held_since_ns.unwrap_or(now_ns));
        let held_long = self.held_since_ns.is_some_and(|since_ns| now_ns.saturating_sub(since_ns) >= HELD_NS);
        let begins = !self.running && (room.full || held_long);
        if begins {
            self.running = true;
            self.episode += 1;
        }
        if self.running && !room.full && !room.holding && room.half_empty {
            self.running = false;
        }
        self.running.then_some((self.episode, begins))
    }

    /// Whether there is an episode.
    pub fn is_running(&self) -> bool {
        self.running
    }

    /// When to look again though nothing happens, monotonic ns.
    pub fn look_at_ns(&self) -> Option<u64> {
        self.held_since_ns.filter(|_| !self.running).map(|since_ns| since_ns + HELD_NS)
    }
}

impl Ingest {
    /// A turn of reading has ended; says whether some are to be told in the next one.
    pub(super) fn note_backpressure(&mut self, full: bool, now_ns: u64) -> bool {
        if self.drain.is_some() {
            self.options.counters.stopped.set(0);
            return false;
        }
        let half_empty =
            self.ports.chunks.as_ref().is_none_or(|chunks| chunks.slots() * 2 >= chunks.capacity());
        let room = Room { full, holding: self.turns.holds(), half_empty };
        let episode = self.backpressure.note(room, now_ns);
        self.options.counters.stopped.set(self.backpressure.is_running().into());
        let Some((episode, begins)) = episode else {
            return false;
        };
        if begins {
            self.options.counters.backpressure.add(1);
        }
        let mut told = 0;
        for slot in self.turns.stopped(full) {
            // To who sends no more it says nothing; and where that one has gone, it would only bring a reset.
            if let Some(Some(conn)) = self.connections.get_mut(slot as usize)
                && conn.state == State::Open
                && !conn.read_closed
                && conn.told_episode != episode
            {
                if told == TOLD_PER_TURN {
                    return true;
                }
                told += 1;
                conn.told_episode = episode;
                conn.notice(
                    r#"{"type":"backpressure","message":"the daemon is busy and has stopped reading for now; what you send waits"}"#,
                );
                // Nothing else may be to say to it for as long as this lasts. Of a socket that has failed the read
                // that waits is told, behind what has come before.
                drop(conn.flush());
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const FREE: Room = Room { full: false, holding: false, half_empty: true };
    const HOLDING: Room = Room { holding: true, ..FREE };
    const FULL: Room = Room { full: true, holding: false, half_empty: false };

    #[test]
    fn an_episode_lasts_from_full_to_half_empty() {
        let mut backpressure = Backpressure::default();
        assert_eq!(backpressure.note(FREE, MS), None);
        assert_eq!(backpressure.note(FULL, 2 * MS), Some((1, true)));
        assert_eq!(backpressure.note(FULL, 3 * MS), Some((1, false)));
        assert_eq!(backpressure.note(Room { full: false, ..FULL }, 4 * MS), Some((1, false)), "over half");
        assert_eq!(backpressure.note(FREE, 5 * MS), None);
        assert_eq!(backpressure.note(FULL, 6 * MS), Some((2, true)));
    }

    #[test]
    fn taking_turns_is_no_episode_but_being_held_for_long_is() {
        let mut backpressure = Backpressure::default();
        for ms in 1..=20 {
            assert_eq!(backpressure.note(HOLDING, ms * MS), None, "{ms}");
        }
        assert_eq!(backpressure.look_at_ns(), Some(21 * MS));
        assert_eq!(backpressure.note(FREE, 21 * MS), None, "nobody is held, and it begins anew");
        assert_eq!(backpressure.look_at_ns(), None);
        assert_eq!(backpressure.note(HOLDING, 22 * MS), None);
        assert_eq!(backpressure.note(HOLDING, 42 * MS), Some((1, true)));
        assert_eq!(backpressure.look_at_ns(), None);
        assert_eq!(backpressure.note(HOLDING, 43 * MS), Some((1, false)));
        assert_eq!(backpressure.note(FREE, 44 * MS), None);
    }
}
