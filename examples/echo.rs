//! An echo server made of the daemon's own connection code: its handshake, its frame decoder, its
//! answers and its way to the end. Whatever judges WebSocket servers by an echo judges the daemon;
//! `tests/autobahn/run` lets Autobahn's test suite do it.
//!
//! Only the loop over the sockets is the example's own. Echoes may be long, where the daemon's replies are
//! short: a peer with [`FULL`] bytes of echoes waiting is not read until it has taken them.
//!
//! `cargo run --example echo -- --listen 127.0.0.1:0 --message-size 64MiB`; the address is the first line
//! on stdout; it ends at SIGTERM and when stdin ends.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use flumen::config::units::parse_size;
use flumen::event::frame::{self, Answer, Decoder, Item};
use flumen::message::ConnId;
use flumen::runtime::clock::Clock;
use flumen::stages::ingest::connection::{Connection, Greeting, State};
use flumen::stages::ingest::handshake::Policy;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use tungstenite::protocol::frame::coding::{Data, OpCode};

/// From so many waiting bytes on a peer is not read. One more read may come on top of it: what it holds,
/// and the message that it completes.
const FULL: usize = 1 << 20;
/// Bytes a read.
const READ: usize = 64 * 1024;
/// How often deadlines are looked at.
const SWEEP: Duration = Duration::from_millis(250);
const HANDSHAKE_NS: u64 = 5_000_000_000;
const STOP: Token = Token(usize::MAX);
const LISTENER: Token = Token(usize::MAX - 1);

#[derive(Parser)]
#[command(about = "Echoes WebSocket messages at /ws/ingest with the daemon's own connection code")]
struct Args {
    /// Where to listen; port 0 takes any.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The longest message, such as 64MiB.
    #[arg(long, default_value = "1MiB", value_parser = |text: &str| parse_size(text).ok_or("expected a size such as 1MiB"))]
    message_size: usize,
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    let server = Server::bind(args.listen, args.message_size)?;
    println!("{}", server.address()?);
    let waker = server.waker();
    std::thread::spawn(move || {
        let ended = io::copy(&mut io::stdin().lock(), &mut io::sink()).and_then(|_| waker.wake());
        ended.expect("stdin can be read to its end");
    });
    let waker = server.waker();
    let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGTERM])?;
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            waker.wake().expect("the server can be woken");
        }
    });
    server.serve()
}

/// The server, bound and not yet serving.
pub struct Server {
    poll: Poll,
    listener: TcpListener,
    waker: Arc<Waker>,
    message_size: usize,
    clock: Clock,
    peers: Vec<Option<Peer>>,
    /// Peers whose sockets may have something to read, in turn.
    ready: VecDeque<usize>,
}

struct Peer {
    conn: Connection,
    decoder: Decoder,
    queued: bool,
}

impl Server {
    /// Listens at `address` and takes messages of up to `message_size` bytes.
    pub fn bind(address: SocketAddr, message_size: usize) -> io::Result<Self> {
        let mut listener = TcpListener::bind(address)?;
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), STOP)?);
        let (peers, ready, clock) = (Vec::new(), VecDeque::new(), Clock::start());
        Ok(Self { poll, listener, waker, message_size, clock, peers, ready })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What ends it.
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Echoes until it is woken.
    pub fn serve(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1_024);
        let mut buffer = vec![0; READ];
        loop {
            let timeout = if self.ready.is_empty() { SWEEP } else { Duration::ZERO };
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                match event.token() {
                    STOP => return Ok(()),
                    LISTENER => self.accept()?,
                    Token(at) => {
                        if let Some(Some(peer)) = self.peers.get_mut(at) {
                            if event.is_writable() {
                                peer.conn.set_writable();
                            }
                            if !std::mem::replace(&mut peer.queued, true) {
                                self.ready.push_back(at);
                            }
                        }
                    }
                }
            }
            // One read each, so that nobody waits for a greedy neighbour.
            for _ in 0..self.ready.len() {
                if let Some(at) = self.ready.pop_front() {
                    self.turn(at, &mut buffer);
                }
            }
            self.sweep();
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            let free = self.peers.iter().position(Option::is_none);
            let at = free.unwrap_or_else(|| {
                self.peers.push(None);
                self.peers.len() - 1
            });
            self.poll.registry().register(&mut stream, Token(at), Interest::READABLE | Interest::WRITABLE)?;
            self.peers[at] = Some(self.welcome(stream, at));
        }
    }

    fn welcome(&self, stream: TcpStream, at: usize) -> Peer {
        // A socket that refuses works all the same.
        drop(stream.set_nodelay(true));
        let id = ConnId { slot: at as u32, generation: 0 };
        let conn = Connection::new(id, stream, self.clock.mono_ns() + HANDSHAKE_NS);
        Peer { conn, decoder: Decoder::new(self.message_size), queued: false }
    }

    /// Writes, reads once, and writes what that has brought.
    fn turn(&mut self, at: usize, buffer: &mut [u8]) {
        let now_ns = self.clock.mono_ns();
        let Some(Some(peer)) = self.peers.get_mut(at) else {
            return;
        };
        peer.queued = false;
        match peer.turn(buffer, now_ns) {
            // Edges are told once: it is read until there is nothing, or until it is full, when the
            // writable event brings it back.
            Ok(Turn::Again) => {
                peer.queued = true;
                self.ready.push_back(at);
            }
            Ok(Turn::Wait) => {}
            Ok(Turn::Gone) | Err(_) => self.peers[at] = None,
        }
    }

    fn sweep(&mut self) {
        let now_ns = self.clock.mono_ns();
        for place in &mut self.peers {
            if let Some(peer) = place
                && let State::Handshake { deadline_ns, .. }
                | State::Finishing { deadline_ns, .. }
                | State::Lingering { deadline_ns } = peer.conn.state
                && now_ns >= deadline_ns
            {
                *place = None;
            }
        }
    }
}

enum Turn {
    Again,
    Wait,
    Gone,
}

impl Peer {
    fn turn(&mut self, buffer: &mut [u8], now_ns: u64) -> io::Result<Turn> {
        // An echo owes no acks: all is always applied.
        self.conn.advance(u64::MAX, now_ns)?;
        if self.conn.backlog() >= FULL {
            return Ok(Turn::Wait);
        }
        match self.conn.stream.read(buffer) {
            Ok(0) => return Ok(Turn::Gone),
            Ok(len) => self.take(&mut buffer[..len], now_ns),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Turn::Wait),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        self.conn.advance(u64::MAX, now_ns)?;
        Ok(Turn::Again)
    }

    fn take(&mut self, bytes: &mut [u8], now_ns: u64) {
        match self.conn.state {
            State::Handshake { .. } => {
                if let Greeting::Welcome { mut rest, .. } =
                    self.conn.greet(bytes, &Policy::default(), None, now_ns)
                {
                    self.hear(&mut rest, now_ns);
                }
            }
            State::Open => self.hear(bytes, now_ns),
            State::Finishing { .. } | State::Lingering { .. } => {}
        }
    }

    fn hear(&mut self, bytes: &mut [u8], now_ns: u64) {
        let conn = &mut self.conn;
        let mut echo = Vec::new();
        let heard = self.decoder.feed(bytes, &mut Vec::new(), &mut |item| match item {
            Item::Message { text, payload } => {
                let data = if text { Data::Text } else { Data::Binary };
                echo.clear();
                frame::write(&mut echo, OpCode::Data(data), payload);
                conn.write_raw(&echo);
            }
            control => {
                if let Some(answer) = control.answer() {
                    reply(conn, answer, now_ns);
                }
            }
        });
        if let Err(violation) = heard {
            reply(conn, violation.answer(), now_ns);
        }
    }
}

fn reply(conn: &mut Connection, answer: Answer<'_>, now_ns: u64) {
    match answer {
        Answer::Pong(payload) => conn.pong(payload),
        Answer::Close { code, reason } => {
            conn.finish(code, reason, now_ns);
        }
    }
}
