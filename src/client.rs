//! The WebSocket client that the generator and the load test share: one non-blocking socket,
//! masked frames written into one buffer, acks and notices read on the side.
//!
//! It never blocks on reading, and its output is bounded by its user: look at
//! [`Client::backlog`] before queueing more.

use std::fmt;
use std::io::{self, Cursor, Read, Write};
use std::net::ToSocketAddrs;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::event::frame;

/// Patience with connecting and with the handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What went wrong, and with which daemon.
#[derive(Debug)]
pub struct ClientError {
    url: String,
    what: String,
    remedy: &'static str,
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}{}", self.url, self.what, self.remedy)
    }
}

impl std::error::Error for ClientError {}

/// Why a run of the generator or the load test could not be made.
#[derive(Debug)]
pub enum RunError {
    /// A flag makes no sense.
    Flag(String),
    /// A connection failed at the start.
    Connect(ClientError),
    /// The system refused something.
    System(io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(what) => f.write_str(what),
            Self::Connect(error) => error.fmt(f),
            Self::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RunError {}

impl From<io::Error> for RunError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// A `ws://` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    text: String,
    authority: String,
}

impl Url {
    /// Reads `ws://host:port/path?query`; port 80 by default.
    pub fn parse(text: &str) -> Result<Self, ClientError> {
        let error = |what: &str| ClientError { url: text.to_owned(), what: what.to_owned(), remedy: "" };
        let rest = match text.split_once("://") {
            Some(("ws", rest)) => rest,
            Some(("wss", _)) => return Err(error("TLS is not spoken here; put a proxy in front")),
            _ => return Err(error("expected a URL such as ws://localhost:8000/ws/ingest")),
        };
        let authority = rest.split(['/', '?']).next().unwrap_or("");
        if authority.is_empty() {
            return Err(error("the host is missing"));
        }
        let has_port = authority.rfind(':').is_some_and(|at| !authority[at..].contains(']'));
        let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        Ok(Self { text: text.to_owned(), authority })
    }

    /// The same with `ack=1` in the query.
    pub fn with_acks(&self) -> Self {
        let mut url = self.clone();
        if !url.text.contains("ack=1") {
            url.text.push(if url.text.contains('?') { '&' } else { '?' });
            url.text.push_str("ack=1");
        }
        url
    }

    fn error(&self, what: impl fmt::Display) -> ClientError {
        ClientError { url: self.text.clone(), what: what.to_string(), remedy: "" }
    }

    /// No connection could be made.
    fn unreachable(&self, error: &io::Error) -> ClientError {
        let remedy = match error.raw_os_error() {
            // The daemon has nothing to do with it.
            Some(libc::EMFILE | libc::ENFILE) => "; more descriptors are needed (ulimit -Hn)",
            _ => "; is the daemon running?",
        };
        ClientError { remedy, ..self.error(error) }
    }
}

/// What the daemon said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Frames 1..seq are in.
    Ack {
        /// Frames of this connection.
        seq: u64,
        /// Events applied, filtered or late.
        accepted: u64,
        /// Events rejected or dropped.
        rejected: u64,
    },
    /// An event was rejected.
    Error,
    /// The daemon has stopped reading for now.
    Backpressure,
    /// The daemon closes the connection.
    Closed(u16),
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    url: Url,
    /// For registering with a `mio::Poll`.
    pub stream: mio::net::TcpStream,
    out: Vec<u8>,
    written: usize,
    incoming: Vec<u8>,
    masks: SmallRng,
    /// Data frames queued since the connection was made.
    pub frames: u64,
    /// Writes that the kernel took, whole or in part.
    pub writes: u64,
}

impl Client {
    /// Connects and shakes hands, at most some seconds.
    pub fn connect(url: &Url) -> Result<Self, ClientError> {
        let addresses = url.authority.to_socket_addrs().map_err(|e| url.unreachable(&e))?;
        let mut last = url.error("the host has no address");
        for address in addresses {
            let connected = std::net::TcpStream::connect_timeout(&address, CONNECT_TIMEOUT);
            match connected.map_err(|e| url.unreachable(&e)).and_then(|s| Self::shake_hands(url, s)) {
                Ok(client) => return Ok(client),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn shake_hands(url: &Url, stream: std::net::TcpStream) -> Result<Self, ClientError> {
        let prepare = |stream: &std::net::TcpStream| {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(CONNECT_TIMEOUT))
        };
        prepare(&stream).map_err(|e| url.error(e))?;
        let (socket, _) = tungstenite::client(&url.text, stream).map_err(|e| url.error(e))?;
        // The daemon speaks only when spoken to, so nothing is left in the socket's buffer.
        let stream = socket.into_inner();
        stream.set_nonblocking(true).map_err(|e| url.error(e))?;
        Ok(Self {
            url: url.clone(),
            stream: mio::net::TcpStream::from_std(stream),
            out: Vec::with_capacity(128 * 1024),
            written: 0,
            incoming: Vec::new(),
            masks: SmallRng::seed_from_u64(rand::random()),
            frames: 0,
            writes: 0,
        })
    }

    /// Queues a message.
    pub fn queue(&mut self, payload: &[u8]) {
        self.frames += 1;
        self.frame(OpCode::Data(Data::Text), payload);
    }

    fn frame(&mut self, opcode: OpCode, payload: &[u8]) {
        let mask: [u8; 4] = self.masks.random();
        frame::write_masked(&mut self.out, opcode, mask, payload);
    }

    /// Bytes queued and not yet taken by the kernel.
    pub fn backlog(&self) -> usize {
        self.out.len() - self.written
    }

    /// Writes what the socket takes; says whether everything has gone.
    pub fn flush(&mut self) -> Result<bool, ClientError> {
        let result = self.write();
        // What has gone goes, and what is left is moved at most once for each byte that has: whoever queues while
        // the socket is full, again and again, keeps little more than the backlog.
        if self.written > self.out.len() / 2 {
            self.out.drain(..self.written);
            self.written = 0;
        }
        result
    }

    fn write(&mut self) -> Result<bool, ClientError> {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(n) if n > 0 => {
                    self.written += n;
                    self.writes += 1;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Ok(_) => return Err(self.url.error("the connection was closed")),
                Err(e) => return Err(self.url.error(e)),
            }
        }
        Ok(true)
    }

    /// Queues a close frame.
    pub fn close(&mut self) {
        self.frame(OpCode::Control(Control::Close), &1000u16.to_be_bytes());
    }

    /// Reads what has come; an error once the connection has ended.
    pub fn receive(&mut self, on: &mut dyn FnMut(Notice)) -> Result<(), ClientError> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(self.url.error("the daemon closed the connection")),
                Ok(n) => {
                    self.incoming.extend_from_slice(&buffer[..n]);
                    self.take_frames(on)?;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(self.url.error(e)),
            }
        }
    }

    fn take_frames(&mut self, on: &mut dyn FnMut(Notice)) -> Result<(), ClientError> {
        let mut at = 0;
        loop {
            let mut cursor = Cursor::new(&self.incoming[at..]);
            let header = FrameHeader::parse(&mut cursor).map_err(|e| self.url.error(e))?;
            let Some((header, len)) = header else { break };
            let start = at + cursor.position() as usize;
            let end = start.saturating_add(usize::try_from(len).unwrap_or(usize::MAX));
            let Some(payload) = self.incoming.get(start..end) else {
                break;
            };
            at = end;
            match header.opcode {
                OpCode::Data(_) => {
                    if let Some(notice) = notice(payload) {
                        on(notice);
                    }
                }
                OpCode::Control(Control::Ping) => {
                    let payload = payload.to_vec();
                    self.frame(OpCode::Control(Control::Pong), &payload);
                }
                OpCode::Control(Control::Close) => {
                    let code = payload.first_chunk().map_or(1005, |c| u16::from_be_bytes(*c));
                    on(Notice::Closed(code));
                }
                OpCode::Control(_) => {}
            }
        }
        self.incoming.drain(..at);
        Ok(())
    }
}

fn notice(payload: &[u8]) -> Option<Notice> {
    let value: serde_json::Value = serde_json::from_slice(payload).ok()?;
    let number = |name: &str| value[name].as_u64();
    Some(match value["type"].as_str()? {
        "ack" => {
            Notice::Ack { seq: number("seq")?, accepted: number("accepted")?, rejected: number("rejected")? }
        }
        "error" => Notice::Error,
        "backpressure" => Notice::Backpressure,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let url = Url::parse("ws://localhost:8000/ws/ingest").unwrap();
        assert_eq!(url.authority, "localhost:8000");
        assert_eq!(url.with_acks().text, "ws://localhost:8000/ws/ingest?ack=1");
        assert_eq!(url.with_acks().with_acks(), url.with_acks());
        assert_eq!(Url::parse("ws://[::1]/x").unwrap().authority, "[::1]:80");
        for bad in ["http://x/", "wss://x/", "ws:///x", "x"] {
            assert!(Url::parse(bad).unwrap_err().to_string().contains(bad));
        }
    }

    #[test]
    fn an_error_has_a_remedy_that_fits() {
        let url = Url::parse("ws://localhost:1/").unwrap();
        let text = |code| url.unreachable(&io::Error::from_raw_os_error(code)).to_string();
        assert!(text(libc::ECONNREFUSED).ends_with("; is the daemon running?"));
        assert!(text(libc::EMFILE).ends_with("(ulimit -Hn)") && !text(libc::EMFILE).contains("daemon"));
        assert!(!Url::parse("ws:///x").unwrap_err().to_string().contains("daemon"));
    }

    #[test]
    fn what_has_been_written_takes_no_room_though_something_is_always_left() {
        const BACKLOG: usize = 1 << 20;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("ws://{}/", listener.local_addr().unwrap())).unwrap();
        let (go, told) = std::sync::mpsc::sync_channel::<()>(0);
        let server = std::thread::spawn(move || {
            let mut stream = tungstenite::accept(listener.accept().unwrap().0).unwrap().into_inner();
            let mut bytes = vec![0; BACKLOG];
            while told.recv().is_ok() && stream.read(&mut bytes).is_ok() {}
        });
        let mut client = Client::connect(&url).unwrap();
        // Else the kernel may take any backlog at once, and then everything has gone for a moment.
        socket2::SockRef::from(&client.stream).set_send_buffer_size(BACKLOG / 4).unwrap();
        let payload = vec![b'x'; BACKLOG / 16];
        let (mut queued, mut kept) = (0, 0);
        while queued < 64 * BACKLOG {
            while client.backlog() < BACKLOG || client.flush().unwrap() {
                client.queue(&payload);
                queued += payload.len();
            }
            kept = kept.max(client.out.len());
            go.send(()).unwrap();
        }
        assert!(kept < 4 * BACKLOG, "{kept} bytes are kept of {queued}");
        drop((go, client));
        server.join().unwrap();
    }

    #[test]
    fn frames_are_read_by_a_server_and_its_answers_by_us() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("ws://{}/", listener.local_addr().unwrap())).unwrap();
        let server = std::thread::spawn(move || {
            let mut socket = tungstenite::accept(listener.accept().unwrap().0).unwrap();
            for len in [0, 1, 7, 8, 13, 125, 126, 70_000] {
                assert_eq!(socket.read().unwrap().into_data().len(), len);
            }
            for text in [r#"{"type":"ack","seq":8,"accepted":7,"rejected":1}"#, r#"{"type":"error"}"#, "?"] {
                socket.send(text.into()).unwrap();
            }
            socket.close(None).unwrap();
        });
        let mut client = Client::connect(&url).unwrap();
        for len in [0, 1, 7, 8, 13, 125, 126, 70_000] {
            client.queue("x".repeat(len).as_bytes());
        }
        let mut notices = Vec::new();
        while !notices.iter().any(|n| matches!(n, Notice::Closed(_))) {
            client.flush().unwrap();
            let received = client.receive(&mut |n| notices.push(n));
            assert!(received.is_ok() || !notices.is_empty());
        }
        server.join().unwrap();
        let ack = Notice::Ack { seq: 8, accepted: 7, rejected: 1 };
        assert_eq!(notices[..2], [ack, Notice::Error]);
    }
}
