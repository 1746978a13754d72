//! One client of the HTTP port and, once it has asked, its connection to the server behind.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::Shutdown;

use mio::net::{TcpStream, UnixStream};

use super::request::{Judged, MAX_HEAD, Refusal, judge};
use super::{OWN_ROOM, PATIENCE_NS, READ_PER_LOOK};
use crate::plan::STREAM_BYTES;
use crate::stages::http::sse::{Asked, HEAD, Stream};

/// Bytes of room that a client keeps for which nothing waits.
const KEPT_ROOM: usize = 64 * 1024;

/// How far a client has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It sends its request.
    Reading,
    /// The request is whole and waits for its turn.
    Waiting,
    /// It has been handed on; no answer yet.
    Asking,
    /// The answer is on its way.
    Answering,
    /// All is said: what the client still sends is thrown away until it closes.
    Lingering,
}

/// What comes of a look at a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// It stays as it is, until a socket has something.
    Stay,
    /// There is more to do at once.
    Again,
    /// Its request is whole: it wants its turn.
    Ask,
    /// As [`Then::Ask`]; it wants the event stream.
    Subscribe,
    /// Its request has been refused; the answer waits.
    Refused(&'static Refusal),
    /// It is over.
    Drop,
}

/// What reading from a client shows of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// It may say more.
    There,
    /// It says no more; it may still listen.
    Silent,
    /// The connection is broken.
    Gone,
}

/// A client.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) client: TcpStream,
    pub(super) behind: Option<UnixStream>,
    pub(super) state: State,
    /// What it wants of the event stream, until it has it.
    pub(super) asked: Option<Asked>,
    pub(super) stream: Option<Stream>,
    /// Since when it is there, monotonic ns.
    pub(super) since_ns: u64,
    /// Until when it has to have done what it is at, monotonic ns.
    pub(super) deadline_ns: u64,
    /// When it last took something of what waited, or nothing waited, monotonic ns.
    pub(super) taken_ns: u64,
    pub(super) client_readable: bool,
    pub(super) client_writable: bool,
    pub(super) behind_readable: bool,
    pub(super) behind_writable: bool,
    pub(super) queued: bool,
    /// The request so far, then what is still to be handed on of it.
    request: Vec<u8>,
    head_ended: bool,
    /// Bytes of the whole request, as soon as it is known.
    whole: usize,
    told_to_proceed: bool,
    /// What is still to be written to the client.
    out: VecDeque<u8>,
    behind_ended: bool,
}

impl Link {
    pub(super) fn new(client: TcpStream, now_ns: u64, timeout_ns: u64) -> Self {
        Self {
            client,
            behind: None,
            state: State::Reading,
            asked: None,
            stream: None,
            since_ns: now_ns,
            deadline_ns: now_ns + timeout_ns,
            taken_ns: now_ns,
            client_readable: true,
            client_writable: true,
            behind_readable: false,
            behind_writable: false,
            queued: false,
            request: Vec::new(),
            head_ended: false,
            whole: 0,
            told_to_proceed: false,
            out: VecDeque::new(),
            behind_ended: false,
        }
    }

    /// Whether it has said nothing at all.
    pub(super) fn is_mute(&self) -> bool {
        self.request.is_empty()
    }

    /// Bytes that wait for the client.
    pub(super) fn backlog(&self) -> usize {
        self.out.len() + self.stream.as_ref().map_or(0, |stream| stream.unwritten().len())
    }

    /// Bytes of an answer that wait for the client; of a stream `out` is bounded, and frames are counted where
    /// they are made.
    pub(super) fn owed(&self) -> usize {
        if self.stream.is_some() { 0 } else { self.out.len() }
    }

    /// Answers without asking anybody.
    pub(super) fn refuse(&mut self, refusal: &Refusal, now_ns: u64) {
        self.answer(&refusal.response(), now_ns);
    }

    /// Answers with these bytes, which the client has from now on to take.
    pub(super) fn answer(&mut self, bytes: &[u8], now_ns: u64) {
        self.out.extend(bytes);
        self.taken_ns = now_ns;
        self.deadline_ns = now_ns + PATIENCE_NS;
        self.request = Vec::new();
        self.behind = None;
        self.behind_ended = true;
        self.state = State::Answering;
    }

    /// Begins the event stream.
    pub(super) fn open(&mut self, stream: Stream, now_ns: u64) {
        self.answer(HEAD.as_bytes(), now_ns);
        self.behind_ended = false;
        self.stream = Some(stream);
    }

    /// Hands the request on over `behind`.
    pub(super) fn ask(&mut self, behind: UnixStream) {
        self.behind = Some(behind);
        self.behind_writable = true;
        self.state = State::Asking;
    }

    /// Reads the request.
    pub(super) fn read_request(&mut self, piece: &mut [u8], now_ns: u64) -> Then {
        while self.client_readable {
            match self.client.read(piece) {
                Ok(0) => return Then::Drop,
                Ok(n) => {
                    self.request.extend_from_slice(&piece[..n]);
                    if !self.is_worth_judging(n) {
                        continue;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.client_readable = false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Then::Drop,
            }
            match judge(&self.request) {
                Judged::NeedMore { proceed, whole } => {
                    self.whole = whole;
                    if proceed && !self.told_to_proceed {
                        self.told_to_proceed = true;
                        self.out.extend(b"HTTP/1.1 100 Continue\r\n\r\n");
                        if self.flush().is_err() {
                            return Then::Drop;
                        }
                    }
                }
                Judged::Whole(request) => {
                    self.request = request;
                    self.state = State::Waiting;
                    return Then::Ask;
                }
                Judged::Stream(asked) => {
                    self.request = Vec::new();
                    self.asked = Some(asked);
                    self.state = State::Waiting;
                    return Then::Subscribe;
                }
                Judged::Refuse(refusal) => {
                    self.refuse(refusal, now_ns);
                    return Then::Refused(refusal);
                }
            }
        }
        Then::Stay
    }

    /// Whether the newest `n` bytes can change the verdict: a head that comes byte by byte is not to
    /// be read from its beginning each time.
    fn is_worth_judging(&mut self, n: usize) -> bool {
        /// Here it is clear whether it is HTTP at all.
        const BEGINNING: usize = 64;
        let len = self.request.len();
        if self.whole > 0 {
            return len >= self.whole;
        }
        let fresh = &self.request[len.saturating_sub(n + 3)..];
        self.head_ended = self.head_ended || fresh.windows(4).any(|four| four == b"\r\n\r\n");
        self.head_ended || len >= MAX_HEAD || len - n < BEGINNING
    }

    /// Moves the request on and the answer back, as far as both sides go along. `room`: how much more
    /// may wait for this client. Says how many bytes came from behind.
    pub(super) fn relay(&mut self, piece: &mut [u8], room: usize) -> io::Result<usize> {
        self.hand_on();
        let mut came = 0;
        while self.behind_readable && !self.behind_ended && came < room {
            let Some(behind) = self.behind.as_mut() else { break };
            match behind.read(piece) {
                Ok(0) => self.behind_ended = true,
                Ok(n) => {
                    came += n;
                    self.out.extend(&piece[..n]);
                    self.state = State::Answering;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.behind_readable = false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // What has come is still worth something to the client.
                Err(_) => self.behind_ended = true,
            }
        }
        self.flush()?;
        Ok(came)
    }

    /// Moves frames of the event stream to the client, as far as it goes along; says how many bytes
    /// came.
    pub(super) fn pump(&mut self, now_ns: u64) -> io::Result<usize> {
        let mut came = 0;
        while let Some(stream) = &mut self.stream {
            let taken = stream.take(&mut self.out, STREAM_BYTES, now_ns);
            self.behind_ended = stream.has_ended();
            came += taken;
            self.flush()?;
            if taken == 0 || came >= READ_PER_LOOK || !self.client_writable {
                break;
            }
        }
        Ok(came)
    }

    fn hand_on(&mut self) {
        while self.behind_writable && !self.request.is_empty() {
            let Some(behind) = self.behind.as_mut() else { break };
            match behind.write(&self.request) {
                Ok(n) => {
                    self.request.drain(..n);
                    if self.request.is_empty() {
                        self.request = Vec::new();
                        // One request only: tiny_http need not keep a thread to wait for another.
                        behind.shutdown(Shutdown::Write).ok();
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.behind_writable = false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // It wants no more of it; what it has said, or that it has gone, shows when it is read.
                Err(_) => {
                    self.request = Vec::new();
                    self.behind_readable = true;
                }
            }
        }
    }

    /// Writes what the client takes.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while self.client_writable && self.backlog() > 0 {
            let large = self.stream.as_mut().filter(|_| self.out.is_empty());
            let bytes = large.as_ref().map_or(self.out.as_slices().0, |stream| stream.unwritten());
            match self.client.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => match large {
                    Some(stream) => stream.wrote(n),
                    None => drop(self.out.drain(..n)),
                },
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.client_writable = false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        if self.out.is_empty() {
            self.out.shrink_to(KEPT_ROOM);
        }
        Ok(())
    }

    /// Whether the server has said all and the client has it.
    pub(super) fn is_answered(&self) -> bool {
        self.behind_ended && self.backlog() == 0 && matches!(self.state, State::Asking | State::Answering)
    }

    /// Whether the server has said nothing and says no more.
    pub(super) fn is_deserted(&self) -> bool {
        self.behind_ended && self.state == State::Asking
    }

    /// Whether there is more behind than has been taken, and room for it; `room`: among all answers.
    pub(super) fn wants_more(&self, room: bool) -> bool {
        if let Some(stream) = &self.stream {
            return self.client_writable && !self.behind_ended && stream.has_news();
        }
        let has_room = room || self.backlog() < OWN_ROOM;
        let talks = matches!(self.state, State::Asking | State::Answering);
        talks && has_room && self.behind_readable && !self.behind_ended
    }

    /// Reads and throws away; says what has become of the client.
    pub(super) fn discard(&mut self, piece: &mut [u8]) -> Peer {
        // A client that floods is cut off by its deadline.
        for _ in 0..16 {
            if !self.client_readable {
                return Peer::There;
            }
            match self.client.read(piece) {
                Ok(0) => {
                    self.client_readable = false;
                    return Peer::Silent;
                }
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.client_readable = false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Peer::Gone,
            }
        }
        Peer::There
    }

    /// The answer is out: no more will be written, and the peer is waited for a moment, because a
    /// close with unread bytes would take the answer away from it.
    pub(super) fn linger(&mut self, deadline_ns: u64) {
        self.behind = None;
        self.stream = None;
        self.out = VecDeque::new();
        self.state = State::Lingering;
        self.deadline_ns = deadline_ns;
        self.client_readable = true;
        // A client that has gone is noticed when it is read.
        self.client.shutdown(Shutdown::Write).ok();
    }
}
