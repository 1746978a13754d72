//! The drain, as the sockets see it: no new connections, read what clients have sent, end the
//! input, send the last acks, close with 1001.
//!
//! It is end of input, not a message: dropping the ring to the parse thread is what tells the
//! rest of the pipeline.

use super::backpressure::Backpressure;
use super::connection::{Connection, LINGER_NS, State};
use super::{Ingest, handshake};
use crate::runtime::clock::Now;
use crate::telemetry::refusal::Refusal;

/// The reason that goes with close code 1001.
pub(super) const GOING_AWAY: &str = "the daemon is shutting down";
/// How long after its arrival a connection may take to send its first frame and still have it
/// taken by a drain, ns. Without it a restart would turn away whoever has just come in, though
/// with sockets from the service manager nobody is refused.
pub(super) const NEWCOMER_NS: u64 = 500_000_000;

/// How far the drain has come.
#[derive(Debug)]
pub(super) struct Drain {
    /// Until when sockets are read.
    read_until_ns: u64,
    /// When the whole must be over.
    deadline_ns: u64,
    closing: bool,
}

impl Drain {
    pub(super) fn deadline_ns(&self) -> u64 {
        if self.closing { self.deadline_ns } else { self.read_until_ns }
    }

    /// Whether sockets are read, until the end of the input and from the closing on.
    pub(super) fn reads(&self, has_input: bool) -> bool {
        has_input || self.closing
    }
}

impl Ingest {
    pub(super) fn begin_drain(&mut self, now: Now) {
        if let Some(door) = self.door.take() {
            door.close(self.poll.registry());
        }
        self.ports.hand_off.clear();
        let timeout_ns = self.options.drain_timeout_ns;
        self.backpressure = Backpressure::default();
        self.drain = Some(Drain {
            // A client may go on sending for ever: reading gets a part of the time only.
            read_until_ns: now.mono_ns + (timeout_ns / 10).min(1_000_000_000),
            deadline_ns: now.mono_ns + timeout_ns / 2,
            closing: false,
        });
        // Bytes that lie in the sockets raise no further event.
        self.queue_all();
    }

    /// Takes the next step of the drain; says whether it is over.
    pub(super) fn drain_is_over(&mut self, now: Now) -> bool {
        let Some(drain) = self.drain.as_ref() else {
            return false;
        };
        let (read_until_ns, deadline_ns, closing) = (drain.read_until_ns, drain.deadline_ns, drain.closing);
        let newcomer = |conn: &Connection| {
            now.mono_ns < conn.expected_until_ns
                && matches!(conn.state, State::Handshake { .. } | State::Open)
        };
        let all_read = self.turns.is_empty() && !self.connections.iter().flatten().any(newcomer);
        if self.ports.chunks.is_some() && (all_read || now.mono_ns >= read_until_ns) {
            // The end of the input. Whatever a socket still holds was never acknowledged.
            self.ports.chunks = None;
            self.turns.clear();
        }
        if self.ports.chunks.is_some() {
            return false;
        }
        let late = now.mono_ns >= deadline_ns;
        let all_applied = self.ports.replies.ended() && self.options.progress.applied() >= self.sent;
        if !closing && (all_applied || late) {
            self.close_all(now);
        }
        let Some(drain) = self.drain.as_ref() else {
            return false;
        };
        drain.closing && (late || self.connections.iter().all(Option::is_none))
    }

    fn queue_all(&mut self) {
        for (slot, conn) in self.connections.iter().enumerate() {
            if conn.is_some() {
                self.turns.queue(slot as u32);
            }
        }
    }

    fn close_all(&mut self, now: Now) {
        self.impatient = true;
        for slot in 0..self.connections.len() as u32 {
            let Some(Some(conn)) = self.connections.get_mut(slot as usize) else {
                continue;
            };
            match conn.state {
                State::Open | State::Finishing { .. } => {
                    conn.part(self.options.progress.applied(), 1001, GOING_AWAY);
                }
                State::Handshake { .. } => {
                    self.options.counters.handshakes_refused[Refusal::Draining.index()].add(1);
                    conn.write_raw(&handshake::draining());
                }
                State::Lingering { .. } => continue,
            }
            conn.state = State::Lingering { deadline_ns: now.mono_ns + LINGER_NS.min(500_000_000) };
            self.flush_connection(slot);
        }
        // Read (and throw away) until the peers have closed.
        self.queue_all();
        if let Some(drain) = self.drain.as_mut() {
            drain.closing = true;
        }
    }
}

#[cfg(test)]
mod tests;
