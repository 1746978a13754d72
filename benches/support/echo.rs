//! The floor: a plain WebSocket echo over tungstenite, one thread. One message in, one small
//! message out, flushed once per readable turn of a connection. The answer is an
//! acknowledgement as the daemon writes it, so that `flumen load` drives this server with the
//! very schedule and the very clock that it drives the daemon with.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use tungstenite::protocol::Role;
use tungstenite::{Error, WebSocket};

use crate::support::sched_ns;

const LISTENER: Token = Token(usize::MAX);
const STOP: Token = Token(usize::MAX - 1);

/// The echo server on a thread of its own, ended when dropped.
pub struct Echo {
    address: SocketAddr,
    /// `/proc/PID/task/TID` of the thread.
    task: String,
    stop: Arc<AtomicBool>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

struct Peer {
    socket: WebSocket<TcpStream>,
    messages: u64,
}

impl Echo {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), STOP).expect("a waker");
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let task = std::fs::read_link("/proc/thread-self").unwrap_or_default();
            tell.send(format!("/proc/{}", task.display())).expect("the starter waits");
            serve(poll, listener, &seen);
        });
        let task = told.recv().expect("the echo server starts");
        Self { address, task, stop, waker, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    /// CPU time of the thread so far, ns.
    pub fn cpu_ns(&self) -> u64 {
        sched_ns(&self.task)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake().ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn serve(mut poll: Poll, mut listener: TcpListener, stop: &AtomicBool) {
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE).expect("registered");
    let mut peers: Vec<Option<Peer>> = Vec::new();
    let mut events = Events::with_capacity(1_024);
    while !stop.load(Ordering::Relaxed) {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => panic!("the echo's poll: {error}"),
            _ => {}
        }
        for event in events.iter() {
            match event.token() {
                STOP => {}
                LISTENER => {
                    while let Ok((stream, _)) = listener.accept() {
                        peers.push(welcome(stream, &poll, Token(peers.len())));
                    }
                }
                Token(at) => {
                    if peers[at].as_mut().is_some_and(|peer| !peer.turn()) {
                        peers[at] = None;
                    }
                }
            }
        }
    }
}

/// The handshake, blocking: `flumen load` sends nothing before all its clients are connected.
fn welcome(stream: TcpStream, poll: &Poll, token: Token) -> Option<Peer> {
    let stream = std::net::TcpStream::from(stream);
    stream.set_nodelay(true).ok()?;
    stream.set_nonblocking(false).ok()?;
    let stream = tungstenite::accept(stream).ok()?.into_inner();
    stream.set_nonblocking(true).ok()?;
    let mut stream = TcpStream::from_std(stream);
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut stream, token, interest).ok()?;
    Some(Peer { socket: WebSocket::from_raw_socket(stream, Role::Server, None), messages: 0 })
}

impl Peer {
    /// Answers every message that has come, then flushes once; false when the connection ends.
    fn turn(&mut self) -> bool {
        loop {
            match self.socket.read() {
                Ok(message) if message.is_text() => {
                    self.messages += 1;
                    let n = self.messages;
                    let ack = format!(r#"{{"type":"ack","seq":{n},"accepted":{n},"rejected":0}}"#);
                    if !goes_on(self.socket.write(ack.into())) {
                        return false;
                    }
                }
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        goes_on(self.socket.flush())
    }
}

/// A full socket is not an end: its writable event brings the next flush.
fn goes_on(result: tungstenite::Result<()>) -> bool {
    match result {
        Ok(()) => true,
        Err(Error::Io(error)) => error.kind() == ErrorKind::WouldBlock,
        Err(_) => false,
    }
}

/// The quiet floor: round trips of one message of 150 bytes, one at a time; p50 and p99, us.
pub fn quiet_round_trip_us(trips: usize) -> (f64, f64) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = std::thread::spawn(move || {
        let stream = listener.accept().expect("a client").0;
        stream.set_nodelay(true).expect("nodelay");
        let mut socket = tungstenite::accept(stream).expect("a handshake");
        while let Ok(message) = socket.read() {
            if !message.is_text() || socket.send(message).is_err() {
                break;
            }
        }
    });
    let stream = std::net::TcpStream::connect(address).expect("the echo server");
    stream.set_nodelay(true).expect("nodelay");
    let (mut socket, _) = tungstenite::client(format!("ws://{address}/"), stream).expect("a handshake");
    let text = "x".repeat(150);
    let mut samples: Vec<f64> = (0..trips)
        .map(|_| {
            let start = Instant::now();
            socket.send(text.as_str().into()).expect("sent");
            socket.read().expect("an echo");
            start.elapsed().as_nanos() as f64 / 1e3
        })
        .collect();
    socket.close(None).ok();
    drop(socket);
    server.join().expect("the echo server ends");
    samples.sort_by(f64::total_cmp);
    (samples[samples.len() / 2], samples[samples.len() * 99 / 100])
}
