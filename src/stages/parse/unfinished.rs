//! Messages that have come in part: what they take in all connections of a lane is bounded, or clients that
//! begin large messages and never end them would fill the memory that nothing but they can free.

use super::{Conn, Work};
use crate::event::frame::{Answer, MAX_CONTROL};

/// What the client is told whose message had to go: it may try again (IANA's registry of close codes).
const TOO_MANY: Answer<'static> =
    Answer::Close { code: 1013, reason: "too many unfinished messages; try again later" };

/// Of one connection.
#[derive(Debug, Default)]
pub(super) struct Carried {
    bytes: usize,
    /// When the message under way began to come, monotonic ns.
    since_ns: u64,
    /// Messages of the connection before it.
    before: u64,
}

/// Of all connections of a lane.
#[derive(Debug)]
pub(super) struct Unfinished {
    bytes: usize,
    lanes: usize,
    memory_bytes: usize,
}

impl Unfinished {
    /// None yet, in one of so many lanes; `memory_bytes`: `limits.memory` where it is 0.
    pub(super) fn new(lanes: usize, memory_bytes: usize) -> Self {
        Self { bytes: 0, lanes, memory_bytes }
    }

    /// Counts what a connection carries after a read.
    pub(super) fn note(&mut self, conn: &mut Conn, now_ns: u64) {
        let bytes = conn.decoder.carried();
        let carried = &mut conn.carried;
        if carried.bytes == 0 || carried.before != conn.frames {
            carried.since_ns = now_ns;
            carried.before = conn.frames;
        }
        self.bytes = self.bytes + bytes - carried.bytes;
        carried.bytes = bytes;
    }

    /// A connection has gone.
    pub(super) fn forget(&mut self, conn: &Conn) {
        self.bytes -= conn.carried.bytes;
    }

    /// Ends connections until the rest is within this lane's part of `limits.unfinished_size`, which is a
    /// quarter of `limits.memory` at most, and in which one message always has room: first those whose message is large and has been coming for long.
    pub(super) fn settle(&mut self, conns: &mut [Option<Conn>], work: &mut Work) {
        let settings = work.settings.value();
        let own = settings.message_size + MAX_CONTROL;
        let memory = if settings.memory > 0 { settings.memory } else { self.memory_bytes };
        let most = (settings.unfinished_size.min(memory / 4) / self.lanes).max(own);
        let now_ns = work.arrival.mono_ns;
        while self.bytes > most {
            let weight = |carried: &Carried| {
                let for_ms = now_ns.saturating_sub(carried.since_ns) / 1_000_000;
                carried.bytes as u128 * u128::from(for_ms + 1)
            };
            let heaviest = conns.iter_mut().flatten().max_by_key(|conn| weight(&conn.carried));
            let Some(conn) = heaviest.filter(|conn| conn.carried.bytes > 0) else { return };
            conn.decoder.give_up();
            work.counters.unfinished_closed.add(1);
            work.answer(conn, TOO_MANY);
            self.note(conn, now_ns);
        }
    }
}
