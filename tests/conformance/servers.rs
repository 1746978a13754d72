//! The two that are judged, behind one face; frames; the record.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use flumen::event::frame::write_masked;
use mio::Waker;
use serde_json::json;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::{Message, WebSocket};

use crate::common::{self, Daemon, event, now_s, read_ack};
use crate::echo;

pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8A;
/// The last part of a message.
pub const LAST: u8 = 0x80;
/// Clears FIN where it is XORed in.
pub const MORE: u8 = 0x80;
/// Longest message of both servers, bytes.
pub const LIMIT: usize = 4096;

/// A masked frame with any first byte.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_masked(&mut out, OpCode::Data(Data::Text), [0x37, 0xfa, 0x21, 0x3d], payload);
    out[0] = first;
    out
}

/// A close frame.
pub fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// `examples/echo.rs` on a thread of its own, ended when dropped.
pub struct Echo {
    pub address: SocketAddr,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    pub fn start(message_size: usize) -> Self {
        let server = echo::Server::bind("127.0.0.1:0".parse().unwrap(), message_size).unwrap();
        let (address, waker) = (server.address().unwrap(), server.waker());
        let thread = Some(std::thread::spawn(|| server.serve().unwrap()));
        Self { address, waker, thread }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.waker.wake().ok();
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))), "the echo has failed");
    }
}

pub enum Server {
    Daemon(Daemon),
    Echo(Echo),
}

impl Server {
    /// Both, with [`LIMIT`].
    pub fn both() -> [Self; 2] {
        let daemon = Daemon::start(2, 1, &format!("[limits]\nmessage_size = \"{LIMIT}\"\n"));
        [Self::Daemon(daemon), Self::Echo(Echo::start(LIMIT))]
    }

    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Daemon(daemon) => daemon.ingest,
            Self::Echo(echo) => echo.address,
        }
    }

    /// A message that it answers.
    pub fn message(&self) -> String {
        event("neighbour", now_s(), 1.0)
    }

    /// A client that keeps to the rules.
    pub fn polite(&self) -> Polite<'_> {
        Polite { server: self, socket: common::connect(self.address(), "/ws/ingest?ack=1"), sent: 0 }
    }
}

/// A client that keeps to the rules and sees to it that it gets its answers.
pub struct Polite<'a> {
    server: &'a Server,
    pub socket: WebSocket<TcpStream>,
    pub sent: u64,
}

impl Polite<'_> {
    /// One message and its answer: an ack that has counted it and nothing else, or the echo.
    pub fn talk(&mut self) {
        let message = self.server.message();
        self.socket.send(Message::text(message.clone())).unwrap();
        self.heard(&message);
    }

    /// The answer to a message that has been sent.
    pub fn heard(&mut self, message: &str) {
        self.sent += 1;
        match self.server {
            Server::Daemon(_) => {
                let (errors, ack) = read_ack(&mut self.socket, self.sent);
                assert!(errors.is_empty(), "{errors:?}");
                assert_eq!((&ack["accepted"], &ack["rejected"]), (&self.sent.into(), &0.into()), "{ack}");
            }
            Server::Echo(_) => assert_eq!(self.socket.read().unwrap(), Message::text(message)),
        }
    }
}

/// What one test has seen: nothing while it has not passed.
pub struct Record(common::record::Record);

impl Record {
    pub fn begin(name: &'static str) -> Self {
        Self(common::record::Record::begin("conformance", name))
    }

    pub fn passed(self, cases: u64) {
        self.0.passed(json!({ "cases": cases, "passed": cases }));
    }
}
