//! One ingest connection: its socket, how far it has come, what is to be written, which acks are due.
//!
//! Output is bounded: notices give way first, pongs next, then only the newest ping is answered, as acks
//! coalesce to the newest. A client that never reads costs its bounded buffer and nothing else. The close
//! frame is the last word.
//!
//! The handshake and the way to the end are here, apart from the loop that waits for sockets, so that
//! `examples/echo.rs` has the daemon's own and not its own.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::Shutdown;

use mio::net::TcpStream;

use super::addresses::Seat;
use super::handshake::{self, Decision, Policy};
use crate::event::frame;
use crate::message::ConnId;
use crate::telemetry::refusal::Refusal;

/// How long a closing connection may take to close, ns.
pub const LINGER_NS: u64 = 2_000_000_000;
/// How long a client that is to be closed may take to read its last acks, ns.
const FINISH_NS: u64 = 10_000_000_000;

/// Above this an ack waits (and coalesces) instead of being written.
const ACK_ROOM: usize = 4 * 1024;
/// Acks that are promised at a time; beyond, the last one covers what comes.
const MOST_DUE: usize = 4_096;
/// Above this notices are left out.
const NOTICE_ROOM: usize = 16 * 1024;
/// Above this pongs wait, the newest only (RFC 6455, 5.5.3, allows it).
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

impl State {
    /// When patience ends, monotonic ns, and how long it is when it begins; `handshake_ns`: with a request.
    pub fn deadline(&mut self, handshake_ns: u64) -> Option<(&mut u64, u64)> {
        match self {
            Self::Open => None,
            Self::Handshake { deadline_ns, .. } => Some((deadline_ns, handshake_ns)),
            Self::Finishing { deadline_ns, .. } => Some((deadline_ns, FINISH_NS)),
            Self::Lingering { deadline_ns } => Some((deadline_ns, LINGER_NS)),
        }
    }
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

/// What has become of an upgrade request.
#[derive(Debug, PartialEq, Eq)]
pub enum Greeting {
    /// It is not all there.
    Unfinished,
    /// It was refused for this reason; the answer is to be flushed.
    Refused(Refusal),
    /// It was fine, but it is not welcome now: a close frame is to be flushed.
    TurnedAway,
    /// It is a WebSocket from here on; the answer is to be flushed.
    Welcome {
        /// The client asked for acknowledgements.
        ack: bool,
        /// Frames that came behind the request.
        rest: Vec<u8>,
    },
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
    /// Its place among the connections of its address, where these are counted.
    pub seat: Option<Seat>,
    /// The peer sends no more, or something has failed: reads go on to the end, which raises no
    /// further event.
    pub read_closed: bool,
    /// The end of what the peer sends has been read.
    pub ended: bool,
    /// Number of its newest chunk on the lane; 0: none.
    pub newest_chunk: u64,
    /// When something last came, monotonic ns.
    pub heard_ns: u64,
    /// When it was last pinged, monotonic ns.
    pub pinged_ns: u64,
    /// The episode of backpressure it was last told of.
    pub told_episode: u64,
    acks: VecDeque<Due>,
    ripe: Option<Due>,
    /// Payload of the newest ping for whose pong there was no room.
    pinged: Option<Box<[u8]>>,
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
            seat: None,
            read_closed: false,
            ended: false,
            newest_chunk: 0,
            heard_ns: 0,
            pinged_ns: 0,
            told_episode: 0,
            acks: VecDeque::new(),
            ripe: None,
            pinged: None,
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

    /// Takes more of the upgrade request in. `instead`: the close code and reason that it gets now instead
    /// of a welcome.
    ///
    /// # Panics
    /// When the handshake is over.
    pub fn greet(
        &mut self,
        bytes: &[u8],
        policy: &Policy,
        instead: Option<(u16, &str)>,
        now_ns: u64,
    ) -> Greeting {
        let State::Handshake { request, .. } = &mut self.state else {
            unreachable!("only a connection in its handshake is greeted");
        };
        request.extend_from_slice(bytes);
        if !handshake::is_worth_judging(request, bytes.len(), policy) {
            return Greeting::Unfinished;
        }
        let (response, greeting) = match handshake::judge(request, policy) {
            Decision::NeedMore => return Greeting::Unfinished,
            Decision::Refuse { response, why } => (response, Greeting::Refused(why)),
            Decision::Accept { response, .. } if instead.is_some() => (response, Greeting::TurnedAway),
            Decision::Accept { consumed, response, ack } => {
                request.drain(..consumed);
                (response, Greeting::Welcome { ack, rest: std::mem::take(request) })
            }
        };
        self.write_raw(&response);
        self.state = match greeting {
            Greeting::Welcome { .. } => State::Open,
            _ => State::Lingering { deadline_ns: now_ns + LINGER_NS },
        };
        if let (Greeting::TurnedAway, Some((code, reason))) = (&greeting, instead) {
            self.close(code, reason);
        }
        greeting
    }

    /// A close is due, once all that is promised has been written; the first reason counts. Says whether
    /// this was the first.
    pub fn finish(&mut self, code: u16, reason: &'static str, now_ns: u64) -> bool {
        let first = self.state == State::Open;
        if first {
            self.state = State::Finishing { code, reason, deadline_ns: now_ns + FINISH_NS };
        }
        first
    }

    /// Chunks up to `applied` are in: writes what that makes due, the close as the last, as far as the
    /// socket takes it. Says whether anything was due.
    ///
    /// # Errors
    /// The socket's.
    pub fn advance(&mut self, applied: u64, now_ns: u64) -> io::Result<bool> {
        // What has no room now comes back with the writable event of a full socket; so the socket has to
        // be full.
        if self.backlog() >= ACK_ROOM {
            self.flush()?;
        }
        let before = self.backlog();
        if self.may_speak() {
            self.ripen(applied);
            if before < PONG_ROOM
                && let Some(payload) = self.pinged.take()
            {
                self.pong(&payload);
            }
        }
        if let State::Finishing { code, reason, .. } = self.state
            && !self.owes()
        {
            self.close(code, reason);
            self.state = State::Lingering { deadline_ns: now_ns + LINGER_NS };
        }
        let moved = self.backlog() != before;
        self.flush()?;
        Ok(moved)
    }

    /// Whether the peer has said its last word, and has ours.
    pub fn is_over(&self) -> bool {
        self.ended && self.backlog() == 0 && matches!(self.state, State::Lingering { .. })
    }

    /// A notice, left out when the client does not read.
    pub fn notice(&mut self, text: &str) {
        if self.may_speak() && self.backlog() < NOTICE_ROOM {
            frame::write_text(&mut self.out, text.as_bytes());
        }
    }

    /// A ping, left out when the client does not read: it is asked by what waits for it.
    pub fn ping(&mut self) {
        if self.may_speak() && self.backlog() < NOTICE_ROOM {
            frame::write_ping(&mut self.out);
        }
    }

    /// A pong; while the client does not read, the newest waits.
    pub fn pong(&mut self, payload: &[u8]) {
        if self.backlog() >= PONG_ROOM {
            self.pinged = Some(payload.into());
        } else if self.may_speak() {
            frame::write_pong(&mut self.out, payload);
        }
    }

    /// Whether the last word is still to come.
    fn may_speak(&self) -> bool {
        !matches!(self.state, State::Lingering { .. })
    }

    /// A close frame.
    pub fn close(&mut self, code: u16, reason: &str) {
        frame::write_close(&mut self.out, code, reason);
    }

    /// Promises an ack.
    pub fn promise(&mut self, due: Due) {
        let many = self.acks.len() >= MOST_DUE;
        match self.acks.back_mut() {
            // Several frames of one chunk are one promise, and so are several chunks where many are promised:
            // a window thread that stands still makes none due.
            Some(last) if last.chunk == due.chunk || many => *last = due,
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
        if self.backlog() < ACK_ROOM {
            self.acknowledge();
        }
    }

    /// Chunks up to `applied` are in, and that is all: the newest ack that covers, room or not, and the close.
    pub fn part(&mut self, applied: u64, code: u16, reason: &str) {
        self.ripen(applied);
        self.acknowledge();
        self.close(code, reason);
    }

    fn acknowledge(&mut self) {
        if let Some(due) = self.ripe.take() {
            let text = format!(
                r#"{{"type":"ack","seq":{},"accepted":{},"rejected":{}}}"#,
                due.frames, due.accepted, due.rejected
            );
            frame::write_text(&mut self.out, text.as_bytes());
        }
    }

    /// Writes what the socket takes. Behind the last word the sending side is shut: a server closes
    /// first (RFC 6455, 7.1.1), and to close the socket itself while something unread lies in it would
    /// take the last word away from the peer.
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
            if let State::Lingering { .. } = self.state {
                // Where the peer has gone already, the next read says so.
                drop(self.stream.shutdown(Shutdown::Write));
            }
        } else if self.written > 16 * 1024 {
            self.out.drain(..self.written);
            self.written = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
