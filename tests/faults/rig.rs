//! What the faults are made of: clients that send and count, one thread held fast, a clock to turn.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flumen::event::frame::write_masked;
use serde_json::Value;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::{Message, WebSocket};

use crate::common::{Daemon, PATIENCE, event, now_s, wait_for};

/// A tool is missing. Where scripts/test has found all of them, that is a failure.
fn skip(test: &str, why: &str) {
    assert!(std::env::var_os("FAULTS_ALL").is_none(), "FAULTS_ALL is set, and {test}: {why}");
    println!("SKIPPED {test}: {why}");
}

/// Whether threads can be traced here; says so if not.
pub fn can_trace(test: &str) -> bool {
    let tried = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::piped()).output();
    let why = match tried {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(_) => "strace is not installed (Debian: strace)".to_owned(),
    };
    skip(test, &why);
    false
}

/// strace on one thread of the daemon; with [`Self::let_go`], or dropped, the thread goes on.
pub struct Traced(Child);

impl Traced {
    /// Attaches and waits until it holds: `inject` is an argument of strace's `-e inject=`.
    pub fn attach(daemon: &Daemon, thread: &str, inject: &str) -> Self {
        let tid = tid(daemon, thread);
        let call = inject.split(':').next().unwrap();
        let child = Command::new("strace")
            .args(["-p", &tid, "-o", "/dev/null"])
            .args(["-e", &format!("trace={call}"), "-e", &format!("inject={inject}")])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let status = format!("/proc/{}/task/{tid}/status", daemon.pid());
        wait_for("the thread to be traced", || {
            // Gone already is what some injections lead to.
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            (!text.contains("TracerPid:\t0\n")).then_some(())
        });
        Self(child)
    }

    /// Holds a thread that sleeps by futex, from its next sleep or wake on.
    pub fn hold(daemon: &Daemon, thread: &str) -> Self {
        Self::attach(daemon, thread, "futex:delay_enter=600000000")
    }

    /// Lets the thread go on.
    pub fn let_go(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // An interrupted strace detaches; a killed one would take the thread's state with it.
        Command::new("kill").args(["-INT", &self.0.id().to_string()]).status().ok();
        self.0.wait().ok();
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|status| status.is_none()) {
            self.end();
        }
    }
}

/// The kernel's number of a thread.
fn tid(daemon: &Daemon, thread: &str) -> String {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
    let mut tasks = tasks.map(|task| task.unwrap().path());
    let found = tasks.find(|task| std::fs::read_to_string(task.join("comm")).unwrap().trim() == thread);
    found.unwrap_or_else(|| panic!("no thread {thread}")).file_name().unwrap().to_string_lossy().into_owned()
}

/// A wall clock that the test turns and only the daemon sees.
pub struct FalseClock(PathBuf);

impl FalseClock {
    /// A daemon with such a clock; `None`, with a word, where libfaketime is not installed.
    pub fn daemon(test: &str, lanes: u32, windows: u32, config: &str) -> Option<(Daemon, Self)> {
        let mut folders = std::fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
        let library = folders.find_map(|f| {
            let library = f.join("faketime/libfaketimeMT.so.1");
            library.exists().then_some(library)
        });
        let Some(library) = library else {
            skip(test, "libfaketime is not installed (Debian: faketime)");
            return None;
        };
        let file = std::env::temp_dir().join(format!("flumen-clock-{}-{test}", std::process::id()));
        let clock = Self(file);
        clock.set(0);
        let daemon = Daemon::start_as(Command::new(env!("CARGO_BIN_EXE_flumen")), config, |command| {
            command
                .args(["--ingest-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"])
                .env("FLUMEN_THREADS_INGEST", lanes.to_string())
                .env("FLUMEN_THREADS_WINDOW", windows.to_string())
                .env("LD_PRELOAD", library)
                .env("FAKETIME_TIMESTAMP_FILE", &clock.0)
                .env("FAKETIME_NO_CACHE", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        });
        Some((daemon, clock))
    }

    /// The daemon's clock is so many seconds ahead from here on.
    pub fn set(&self, ahead_s: i64) {
        let beside = self.0.with_extension("new");
        std::fs::write(&beside, format!("{ahead_s:+}\n")).unwrap();
        std::fs::rename(&beside, &self.0).unwrap();
    }
}

impl Drop for FalseClock {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// What a polite client has seen.
#[derive(Debug, Default)]
pub struct Seen {
    pub sent: u64,
    pub accepted: u64,
    pub rejected: u64,
    /// From send to ack, sorted.
    pub latencies: Vec<Duration>,
}

impl Seen {
    pub fn p99(&self) -> Duration {
        self.latencies[(self.latencies.len() - 1) * 99 / 100]
    }

    pub fn worst(&self) -> Duration {
        *self.latencies.last().unwrap()
    }
}

/// A client that sends an event about every 10 ms, waits for its ack, and takes the time.
pub struct Polite {
    stop: Arc<AtomicBool>,
    acked: Arc<AtomicU64>,
    client: JoinHandle<Seen>,
}

impl Polite {
    pub fn start(daemon: &Daemon, source: &'static str) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let acked = Arc::<AtomicU64>::default();
        let mut socket = daemon.connect("/ws/ingest?ack=1");
        // The process may be stopped for a minute.
        socket.get_ref().set_read_timeout(Some(2 * PATIENCE)).unwrap();
        let (stopped, acks) = (Arc::clone(&stop), Arc::clone(&acked));
        let client = std::thread::spawn(move || {
            let mut seen = Seen::default();
            while !stopped.load(Ordering::Relaxed) {
                let start = Instant::now();
                socket.send(Message::text(event(source, now_s(), 1.0))).unwrap();
                seen.sent += 1;
                let ack = ack_of(&mut socket, seen.sent);
                seen.latencies.push(start.elapsed());
                seen.accepted = ack["accepted"].as_u64().unwrap();
                seen.rejected = ack["rejected"].as_u64().unwrap();
                assert_eq!(seen.accepted + seen.rejected, seen.sent, "{ack}");
                acks.store(seen.sent, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(10).saturating_sub(start.elapsed()));
            }
            seen.latencies.sort();
            seen
        });
        Self { stop, acked, client }
    }

    /// Waits until so many more events have been acknowledged.
    pub fn wait_more(&self, events: u64) {
        let wanted = self.acked.load(Ordering::Relaxed) + events;
        wait_for("a polite client's acks", || {
            assert!(!self.client.is_finished(), "the polite client failed");
            (self.acked.load(Ordering::Relaxed) >= wanted).then_some(())
        });
    }

    /// Ends it; all it has sent is acknowledged.
    pub fn end(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.client.join().unwrap()
    }
}

/// The ack that covers frame `seq`.
fn ack_of(socket: &mut WebSocket<TcpStream>, seq: u64) -> Value {
    crate::common::read_ack(socket, seq).1
}

/// A client that writes the same good events in blocks of about 64 KiB, as fast as they are taken, and
/// never reads.
pub struct Greedy {
    stop: Arc<AtomicBool>,
    events: Arc<AtomicU64>,
    client: JoinHandle<TcpStream>,
}

impl Greedy {
    /// Sends until it is stopped, or this many blocks.
    pub fn start(daemon: &Daemon, source: &str, blocks: usize) -> Self {
        Self::write(Self::connect(daemon), source, blocks)
    }

    /// The socket of one that is to come.
    pub fn connect(daemon: &Daemon) -> TcpStream {
        daemon.connect("/ws/ingest").get_ref().try_clone().unwrap()
    }

    /// Sends so over this socket.
    pub fn write(mut stream: TcpStream, source: &str, blocks: usize) -> Self {
        let mut block = Vec::new();
        let mut per_block = 0;
        let text = event(source, now_s(), 1.0);
        while block.len() < 64 * 1024 {
            write_masked(&mut block, OpCode::Data(Data::Text), [1, 2, 3, 4], text.as_bytes());
            per_block += 1;
        }
        stream.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
        let stop = Arc::<AtomicBool>::default();
        let events = Arc::<AtomicU64>::default();
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&events));
        let client = std::thread::spawn(move || {
            let start = Instant::now();
            for _ in 0..blocks {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                // A block that has begun is ended, so that the count is exact.
                let mut rest = &block[..];
                while !rest.is_empty() {
                    match stream.write(rest) {
                        Ok(n) => rest = &rest[n..],
                        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                            assert!(start.elapsed() < 5 * PATIENCE, "never read");
                        }
                        // The daemon has gone, as some tests want it.
                        Err(_) => return stream,
                    }
                }
                counted.fetch_add(per_block, Ordering::Relaxed);
            }
            stream
        });
        Self { stop, events, client }
    }

    /// Events in blocks that are wholly written.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Ends it; how many events it has sent, and its socket.
    pub fn end(self) -> (u64, TcpStream) {
        self.stop.store(true, Ordering::Relaxed);
        let stream = self.client.join().unwrap();
        (self.events.load(Ordering::Relaxed), stream)
    }

    /// Ends it, whatever has become of what it sends.
    pub fn leave(self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.client.join().unwrap());
    }

    /// Waits until all blocks are written; how many events they were, and its socket.
    pub fn written(self) -> (u64, TcpStream) {
        let stream = self.client.join().unwrap();
        (self.events.load(Ordering::Relaxed), stream)
    }
}

/// Waits until reading has stopped at least once.
pub fn wait_backpressure(daemon: &Daemon) {
    wait_for("reading to stop", || {
        (daemon.stats()["processor"]["backpressure_events"].as_u64() > Some(0)).then_some(())
    });
}

/// Waits until a number has stood still for a while; the number.
pub fn settled(what: &str, mut look: impl FnMut() -> u64) -> u64 {
    let mut last = (look(), Instant::now());
    wait_for(what, || {
        let value = look();
        if value != last.0 {
            last = (value, Instant::now());
        }
        (last.1.elapsed() > Duration::from_millis(500)).then_some(value)
    })
}
