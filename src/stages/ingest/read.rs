//! Reading: one read a ready socket and round, into chunks; handshakes on the way; and what
//! happens when there is no room.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::connection::{Connection, Greeting, State};
use super::drain::GOING_AWAY;
use super::{Ingest, READS_PER_TURN};
use crate::message::{BUFFER_BYTES, Buffer, Chunk};
use crate::runtime::clock::Now;

impl Ingest {
    /// Reads ready sockets, one read each in turn, while there is room for the chunks.
    pub(super) fn read_ready(&mut self) -> bool {
        if self.turns.is_empty() {
            if self.backpressure.is_running() {
                return self.note_backpressure(false, self.last_stamp_ns);
            }
            return false;
        }
        let has_input = self.ports.chunks.is_some();
        if self.drain.as_ref().is_some_and(|drain| !drain.reads(has_input)) {
            // It would only be thrown away, by a thread that others need the core of.
            return false;
        }
        self.take_back_buffers();
        self.turns.let_go(newest_chunk_in(&self.connections));
        let progress = Arc::clone(&self.options.progress);
        progress.begin_turn(self.last_stamp_ns);
        let stamp = self.options.clock.now();
        progress.begin_turn(stamp.mono_ns.max(self.last_stamp_ns));
        let mut worked = false;
        let before = (self.sent, self.options.counters.bytes.get());
        let mut full = false;
        for read in 1..=READS_PER_TURN {
            full = !self.has_room();
            if full {
                break;
            }
            let Some(slot) = self.turns.take(newest_chunk_in(&self.connections)) else {
                break;
            };
            // Others stand behind those that had nothing.
            worked |= self.read_one(slot, stamp) || read == READS_PER_TURN;
        }
        progress.end_turn();
        let bytes = self.options.counters.bytes.get() - before.1;
        self.pace.note(stamp.mono_ns, self.sent - before.0, bytes);
        if let Some(chunks) = self.ports.chunks.as_mut() {
            chunks.flush();
        }
        // Behind all that others wait for, since it writes.
        worked | self.note_backpressure(full, stamp.mono_ns)
    }

    fn has_room(&mut self) -> bool {
        // Two places: the first read of a connection may announce it as well.
        // Once the input has ended, what comes is thrown away and needs a buffer only.
        if self.ports.chunks.as_ref().is_some_and(|chunks| chunks.slots() < 2) {
            return false;
        }
        // A drain goes on to its end.
        if self.options.orders.stop_reading.load(Ordering::Relaxed) && self.drain.is_none() {
            return false;
        }
        match self.take_buffer() {
            Some(buffer) => {
                self.pool.push(buffer);
                true
            }
            None => false,
        }
    }

    /// One read of one socket. Says whether anything came.
    fn read_one(&mut self, slot: u32, stamp: Now) -> bool {
        let Some(Some(conn)) = self.connections.get_mut(slot as usize) else {
            return false;
        };
        let Some(mut buffer) = self.pool.pop() else {
            return false;
        };
        match conn.stream.read(&mut buffer) {
            Ok(0) => {
                self.pool.push(buffer);
                self.end_of_stream(slot);
                true
            }
            Ok(len) => {
                // A read that has not filled its buffer has emptied the socket, and what comes
                // behind it raises an event of its own (epoll(7), question 9); the end of the
                // stream has raised its event already, and a drain waits for no events.
                if len == BUFFER_BYTES || conn.read_closed || self.drain.is_some() {
                    // Back into the queue, behind the others.
                    self.turns.queue(slot);
                }
                self.took(slot, buffer, len, stamp);
                true
            }
            Err(e) => {
                self.pool.push(buffer);
                match e.kind() {
                    io::ErrorKind::WouldBlock => {}
                    io::ErrorKind::Interrupted => self.turns.queue(slot),
                    _ => self.drop_connection(slot),
                }
                false
            }
        }
    }

    /// The peer sends no more. It may still listen: what it is owed for what it has sent goes out first,
    /// and a close frame.
    fn end_of_stream(&mut self, slot: u32) {
        let Some(Some(conn)) = self.connections.get_mut(slot as usize) else { return };
        match conn.state {
            // What does not fit into the socket yet goes first: the writable event ends it, or its deadline.
            State::Lingering { .. } if conn.backlog() > 0 => {}
            State::Handshake { .. } | State::Lingering { .. } => return self.drop_connection(slot),
            State::Open if !conn.ended => {
                if let Some(chunks) = self.ports.chunks.as_mut() {
                    // `has_room` has seen a place. The parse thread answers with a close, behind all acks.
                    let pushed = chunks.push(Chunk::Ended { conn: conn.id });
                    debug_assert!(pushed.is_ok());
                }
            }
            // Said already, or the parse thread has asked to close.
            State::Open | State::Finishing { .. } => {}
        }
        conn.ended = true;
    }

    /// Bytes have come: part of a handshake, frames, or nothing anybody wants any more.
    fn took(&mut self, slot: u32, buffer: Buffer, len: usize, stamp: Now) {
        let Some(Some(conn)) = self.connections.get_mut(slot as usize) else {
            self.pool.push(buffer);
            return;
        };
        conn.heard_ns = stamp.mono_ns;
        match conn.state {
            State::Open => self.send_chunk(slot, buffer, len, stamp),
            State::Finishing { .. } | State::Lingering { .. } => self.pool.push(buffer),
            State::Handshake { .. } => self.greet(slot, buffer, len, stamp),
        }
    }

    /// A part of an upgrade request, perhaps with frames behind it.
    fn greet(&mut self, slot: u32, mut buffer: Buffer, len: usize, stamp: Now) {
        let Some(Some(conn)) = self.connections.get_mut(slot as usize) else {
            self.pool.push(buffer);
            return;
        };
        self.impatient = true;
        let counters = &self.options.counters;
        // A drain takes newcomers too, until it ends the input.
        let is_full = counters.open.get() > self.options.terms.max_connections;
        let is_over = conn.seat.as_ref().is_some_and(|seat| seat.is_over);
        let instead = match self.ports.chunks {
            None => Some((1001, GOING_AWAY)),
            Some(_) if is_over => Some((1008, "too many connections of this address")),
            Some(_) if is_full => Some((1013, "the daemon is at its connection limit; try again later")),
            Some(_) => None,
        };
        let mut frames = 0;
        match conn.greet(&buffer[..len], &self.options.terms.policy, instead, stamp.mono_ns) {
            Greeting::Unfinished => {}
            Greeting::Refused(why) => counters.handshakes_refused[why.index()].add(1),
            Greeting::TurnedAway => match instead {
                Some((1008, _)) => counters.refused_by_address.add(1),
                Some((1013, _)) => counters.refused.add(1),
                _ => {}
            },
            Greeting::Welcome { ack, rest } => {
                conn.announced = true;
                if let Some(chunks) = self.ports.chunks.as_mut() {
                    // `has_room` has seen two places.
                    let pushed = chunks.push(Chunk::Open { conn: conn.id, ack });
                    debug_assert!(pushed.is_ok());
                }
                // All of it came with the read that ended the request.
                frames = rest.len();
                buffer[..frames].copy_from_slice(&rest);
            }
        }
        if frames == 0 {
            self.pool.push(buffer);
        } else {
            self.send_chunk(slot, buffer, frames, stamp);
        }
        self.flush_connection(slot);
    }

    fn send_chunk(&mut self, slot: u32, buffer: Buffer, len: usize, stamp: Now) {
        let Some(Some(conn)) = self.connections.get_mut(slot as usize) else {
            self.pool.push(buffer);
            return;
        };
        conn.expected_until_ns = 0;
        let Some(chunks) = self.ports.chunks.as_mut() else {
            self.pool.push(buffer);
            return;
        };
        self.options.counters.bytes.add(len as u64);
        self.last_stamp_ns = stamp.mono_ns.max(self.last_stamp_ns + 1);
        self.sent += 1;
        conn.newest_chunk = self.sent;
        self.turns.sent(len);
        self.options.progress.set_sent(self.sent);
        let pushed = chunks.push(Chunk::Data {
            conn: conn.id,
            buffer,
            len,
            arrival: Now { mono_ns: self.last_stamp_ns, ..stamp },
        });
        debug_assert!(pushed.is_ok(), "has_room was asked before the read");
    }
}

/// The number of a connection's newest chunk, by slot.
fn newest_chunk_in(connections: &[Option<Connection>]) -> impl Fn(u32) -> u64 {
    |slot| connections.get(slot as usize).and_then(Option::as_ref).map_or(0, |conn| conn.newest_chunk)
}
