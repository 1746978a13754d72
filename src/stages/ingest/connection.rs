//! One ingest connection: its socket, what is to be written, which acks are due.
//!
//! Output is bounded: notices give way first, pongs next, acks coalesce to the newest. A client
//! that never reads costs its bounded buffer and nothing else.

use std::collections::VecDeque;
use std::io::{self, Write};

use mio::net::TcpStream;

use crate::event::frame;
use crate::message::ConnId;

/// Above this an ack waits (and coalesces) instead of being written.
const ACK_ROOM: usize = 4 * 1024;
/// Above this notices are left out.
const NOTICE_ROOM: usize = 16 * 1024;
/// Above this pongs are left out.
const PONG_ROOM: usize = 32 * 1024;

/// How far the connection has come.
#[derive(Debug, PartialEq, Eq)]
pub enum State {
    /// The upgrade request is being read.
    Handshake {
        /// What has come of it.
        request: Vec<u8>,
        /// When patience ends, monotonic ns.
        deadline_ns: u64,
    },
    /// Frames go to the parse thread.
    Open,
    /// A close is due once all promised acks have been sent.
    Finishing {
        /// Close code to send.
        code: u16,
        /// A few words.
        reason: &'static str,
        /// When patience with a client that does not read its acks ends, monotonic ns.
        deadline_ns: u64,
    },
    /// The close or the refusal is being written; what comes in is thrown away until the peer
    /// closes or the deadline passes.
    Lingering {
        /// When patience ends, monotonic ns.
        deadline_ns: u64,
    },
}

/// An ack that is due once a chunk has been applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Number of the chunk.
    pub chunk: u64,
    /// Frames 1..N.
    pub frames: u64,
    /// Applied, filtered or late.
    pub accepted: u64,
    /// Rejected or dropped.
    pub rejected: u64,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    /// Its name on the rings.
    pub id: ConnId,
    /// The socket.
    pub stream: TcpStream,
    /// How far it has come.
    pub state: State,
    /// Whether the parse thread knows it.
    pub announced: bool,
    /// Until when a drain waits for its first frame, monotonic ns; 0 once that has come.
    pub expected_until_ns: u64,
    /// Whether it stands in the queue of sockets to read.
    pub queued: bool,
    /// The peer sends no more, or something has failed: reads go on to the end, which raises no
    /// further event.
    pub read_closed: bool,
    /// The episode of backpressure it was last told of.
    pub told_episode: u64,
    acks: VecDeque<Due>,
    ripe: Option<Due>,
    out: Vec<u8>,
    written: usize,
    writable: bool,
}

impl Connection {
    /// A connection that is expected to send an upgrade request until `deadline_ns`.
    pub fn new(id: ConnId, stream: TcpStream, deadline_ns: u64) -> Self {
        Self {
            id,
            stream,
            state: State::Handshake { request: Vec::new(), deadline_ns },
            announced: false,
            expected_until_ns: 0,
            queued: false,
            read_closed: false,
            told_episode: 0,
            acks: VecDeque::new(),
            ripe: None,
            out: Vec::new(),
            written: 0,
            writable: true,
        }
    }

    /// The socket can be written again.
    pub fn set_writable(&mut self) {
        self.writable = true;
    }

    /// Bytes waiting to be written.
    pub fn backlog(&self) -> usize {
        self.out.len() - self.written
    }

    /// Raw bytes: the answer to the upgrade request.
    pub fn write_raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// A notice, left out when the client does not read.
    pub fn notice(&mut self, text: &str) {
        if self.backlog() < NOTICE_ROOM {
            frame::write_text(&mut self.out, text.as_bytes());
        }
    }

    /// A pong, left out when the client does not read.
    pub fn pong(&mut self, payload: &[u8]) {
        if self.backlog() < PONG_ROOM {
            frame::write_pong(&mut self.out, payload);
        }
    }

    /// A close frame.
    pub fn close(&mut self, code: u16, reason: &str) {
        frame::write_close(&mut self.out, code, reason);
    }

    /// Promises an ack.
    pub fn promise(&mut self, due: Due) {
        match self.acks.back_mut() {
            // Several frames of one chunk are one promise.
            Some(last) if last.chunk == due.chunk => *last = due,
            _ => self.acks.push_back(due),
        }
    }

    /// Whether acks are promised that have not been written.
    pub fn owes(&self) -> bool {
        !self.acks.is_empty() || self.ripe.is_some()
    }

    /// Whether an ack waits for a chunk to be applied (rather than for the client to read).
    pub fn awaits_applied(&self) -> bool {
        !self.acks.is_empty()
    }

    /// Chunks up to `applied` are in: writes the newest ack that covers, if there is room.
    pub fn ripen(&mut self, applied: u64) {
        while let Some(due) = self.acks.front() {
            if due.chunk > applied {
                break;
            }
            self.ripe = self.acks.pop_front();
        }
        if self.backlog() < ACK_ROOM
            && let Some(due) = self.ripe.take()
        {
            let text = format!(
                r#"{{"type":"ack","seq":{},"accepted":{},"rejected":{}}}"#,
                due.frames, due.accepted, due.rejected
            );
            frame::write_text(&mut self.out, text.as_bytes());
        }
    }

    /// Writes what the socket takes.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.writable && self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.written += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
            // An idle connection owns no heap.
            if self.out.capacity() > 1_024 {
                self.out.shrink_to(0);
            }
        } else if self.written > 16 * 1024 {
            self.out.drain(..self.written);
            self.written = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> (Connection, std::net::TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        let id = ConnId { slot: 0, generation: 0 };
        (Connection::new(id, TcpStream::from_std(server), 0), client)
    }

    fn due(chunk: u64, frames: u64) -> Due {
        Due { chunk, frames, accepted: frames, rejected: 0 }
    }

    #[test]
    fn acks_wait_for_their_chunk_and_coalesce() {
        let (mut c, _client) = connection();
        c.promise(due(1, 10));
        c.promise(due(2, 20));
        c.promise(due(2, 25));
        c.promise(due(9, 99));
        c.ripen(0);
        assert_eq!(c.backlog(), 0);
        c.ripen(2);
        let text = String::from_utf8_lossy(&c.out).into_owned();
        assert!(text.contains(r#""seq":25"#) && !text.contains(r#""seq":10"#), "{text}");
        assert!(c.owes() && c.awaits_applied());
    }

    #[test]
    fn a_client_that_does_not_read_costs_a_bounded_buffer() {
        let (mut c, _client) = connection();
        c.writable = false;
        for n in 0..100_000 {
            c.notice("x".repeat(100).as_str());
            c.pong(&[7; 100]);
            c.promise(due(n, n));
            c.ripen(n);
        }
        assert!(c.backlog() < PONG_ROOM + 1_024, "{}", c.backlog());
        assert_eq!(c.ripe, Some(due(99_999, 99_999)), "the newest ack is kept");
    }
}
