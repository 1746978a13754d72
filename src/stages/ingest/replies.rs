//! What the parse thread has to tell clients, and the acks that become due.

use super::Ingest;
use super::connection::{Connection, Due, State};
use crate::message::{ConnId, Reply};
use crate::runtime::clock::Now;

/// Replies a turn.
const REPLIES_PER_TURN: usize = 1_024;

impl Ingest {
    fn connection(&mut self, id: ConnId) -> Option<&mut Connection> {
        self.connections.get_mut(id.slot as usize)?.as_mut().filter(|conn| conn.id == id)
    }

    /// Takes replies in; they are written by [`Ingest::acknowledge`] in the same turn.
    pub(super) fn take_replies(&mut self, now: Now) -> bool {
        let mut worked = false;
        for _ in 0..REPLIES_PER_TURN {
            let Some(reply) = self.ports.replies.pop() else {
                break;
            };
            worked = true;
            let id = match &reply {
                Reply::Ack { conn, .. }
                | Reply::Error { conn, .. }
                | Reply::Pong { conn, .. }
                | Reply::Close { conn, .. } => *conn,
            };
            // A client that has gone needs no answer.
            let Some(conn) = self.connection(id) else {
                continue;
            };
            match reply {
                Reply::Ack { chunk, frames, accepted, rejected, .. } => {
                    conn.promise(Due { chunk, frames, accepted, rejected })
                }
                Reply::Error { text, .. } => conn.notice(&text),
                Reply::Pong { payload, .. } => conn.pong(&payload),
                Reply::Close { code, reason, .. } => {
                    if conn.finish(code, reason, now.mono_ns) {
                        self.impatient = true;
                    }
                }
            }
            self.waiting.push(id.slot);
        }
        self.ports.replies.release();
        worked
    }

    /// Writes what has become due to the connections that wait; says whether anything moved.
    pub(super) fn acknowledge(&mut self, now: Now) -> bool {
        if self.waiting.is_empty() {
            return false;
        }
        let applied = self.options.progress.applied();
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.sort_unstable();
        waiting.dedup();
        let mut moved = false;
        waiting.retain(|&slot| {
            let Some(Some(conn)) = self.connections.get_mut(slot as usize) else {
                return false;
            };
            match conn.advance(applied, now.mono_ns) {
                Ok(due) => moved |= due,
                Err(_) => {
                    self.drop_connection(slot);
                    return false;
                }
            }
            if conn.is_over() {
                self.drop_connection(slot);
                return false;
            }
            // Once it has been asked to close it has a deadline.
            self.impatient |= conn.state != State::Open;
            // What waits for the socket comes back with its writable event.
            conn.awaits_applied() || matches!(conn.state, State::Finishing { .. })
        });
        self.waiting.append(&mut waiting);
        moved
    }
}
