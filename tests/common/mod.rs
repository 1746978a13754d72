//! A real daemon process, a real WebSocket client and a plain HTTP client, for the tests. They
//! wait for the event they expect, never for a time to pass.

#![allow(dead_code)]

pub mod record;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::{Message, WebSocket};

/// Patience of a wait: far beyond what a slow minute needs; reaching it is a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A folder of a test's own, which goes with it.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new(name: &str) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("flumen-{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    /// A file's text.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }
}

impl std::ops::Deref for TempDir {
    type Target = Path;
    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// A running daemon on free ports; killed when dropped.
pub struct Daemon {
    child: Child,
    pub ingest: SocketAddr,
    pub http: SocketAddr,
    pub dir: PathBuf,
    said: Arc<Mutex<String>>,
    stderr: Option<std::thread::JoinHandle<()>>,
}

/// The layouts every end-to-end test runs under: lanes, window threads.
pub const LAYOUTS: [(u32, u32); 2] = [(1, 1), (2, 2)];

impl Daemon {
    /// Starts a daemon with `lanes` lanes, `windows` window threads and more configuration.
    pub fn start(lanes: u32, windows: u32, config: &str) -> Self {
        Self::start_as(Command::new(env!("CARGO_BIN_EXE_flumen")), config, |command| {
            command
                .args(["--ingest-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"])
                .env("FLUMEN_THREADS_INGEST", lanes.to_string())
                .env("FLUMEN_THREADS_WINDOW", windows.to_string());
        })
    }

    /// Starts what `command` begins (a program that ends up as flumen with the arguments it is
    /// given) as `serve` with a configuration, and whatever `more` adds; waits until it is ready.
    pub fn start_as(mut command: Command, config: &str, more: impl FnOnce(&mut Command)) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("flumen-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("flumen.toml");
        std::fs::write(&file, config).unwrap();
        let addresses = dir.join("addresses");
        command.arg("serve").arg("--config").arg(&file).arg("--addresses-file").arg(&addresses);
        command.stderr(Stdio::piped());
        more(&mut command);
        let mut child = command.spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let stderr = child.stderr.take().map(|stderr| {
            let lines = BufReader::new(stderr).lines();
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                for line in lines.map_while(Result::ok) {
                    said.lock().unwrap().push_str(&(line + "\n"));
                }
            })
        });
        let text = wait_for("the addresses file", || {
            let status = child.try_wait().unwrap();
            assert!(status.is_none(), "the daemon ended at once, {status:?}: {}", said.lock().unwrap());
            std::fs::read_to_string(&addresses).ok()
        });
        let address = |name: &str| -> SocketAddr {
            let line = text.lines().find_map(|l| l.strip_prefix(name)).unwrap();
            line.parse().unwrap()
        };
        Self { ingest: address("ingest="), http: address("http="), child, dir, said, stderr }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Opens a WebSocket; `path` is `/ws/ingest` or with `?ack=1`.
    pub fn connect(&self, path: &str) -> WebSocket<TcpStream> {
        connect(self.ingest, path)
    }

    /// A GET; status and body.
    pub fn get(&self, path: &str) -> (u16, String) {
        self.request("GET", path, "", "")
    }

    /// A request; status and body.
    pub fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let host = self.http;
        write!(stream, "{method} {path} HTTP/1.0\r\nHost: {host}\r\n{headers}{length}\r\n{body}").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }

    pub fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    pub fn stats(&self) -> Value {
        let stats = self.json("/api/stats");
        check_identity(&stats["events"]);
        stats
    }

    /// A counter of `/metrics`, as [`Daemon::reading`].
    pub fn metric(&self, name: &str) -> u64 {
        self.reading(name) as u64
    }

    /// Waits until `events` has ended that many events and nothing is in flight.
    pub fn wait_received(&self, events: u64) -> Value {
        wait_for("all events received and none in flight", || {
            let stats = self.stats();
            let e = &stats["events"];
            (e["received"] == events && e["in_flight"] == 0).then_some(stats)
        })
    }

    /// A value of `/metrics`, by its name and labels as they stand there.
    pub fn reading(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
    }

    /// A number of `/proc/PID/status`, such as `VmRSS` (KiB).
    pub fn status(&self, name: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let value = line.and_then(|rest| rest.split_whitespace().next());
        value.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
    }

    /// Changes the daemon's limits (by util-linux's `prlimit`): `--nofile=64:` or `--as=1000000:`.
    pub fn limit(&self, limit: &str) {
        let status = Command::new("prlimit").args(["--pid", &self.pid().to_string(), limit]).status();
        assert!(status.unwrap().success(), "prlimit of util-linux");
    }

    fn descriptor_folder(&self) -> PathBuf {
        format!("/proc/{}/fd", self.pid()).into()
    }

    /// Descriptors that the daemon has open.
    pub fn descriptors(&self) -> u64 {
        std::fs::read_dir(self.descriptor_folder()).unwrap().count() as u64
    }

    /// Leaves the daemon room for `spare` more descriptors, until `limit` gives it more. An accept that waits has
    /// put one aside, which the folder's size counts (since Linux 6.2) and its list does not; and the limit is on
    /// numbers, of which inherited ones may be high.
    pub fn leave_descriptors(&self, spare: u64) {
        let folder = self.descriptor_folder();
        let list = std::fs::read_dir(&folder).unwrap();
        let open: std::collections::HashSet<u64> =
            list.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
        let aside = std::fs::metadata(&folder).unwrap().len().saturating_sub(open.len() as u64);
        let mut free = (0..).filter(|number| !open.contains(number));
        let end = free.nth((aside + spare) as usize).unwrap();
        self.limit(&format!("--nofile={end}:"));
    }

    /// What the daemon has said on stderr so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Sends a signal (by the `kill` program).
    pub fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args([format!("-{name}"), self.pid().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Writes another configuration and has it reloaded; waits until the daemon has said `expected`.
    pub fn reload(&self, config: &str, expected: &str) {
        std::fs::write(self.dir.join("flumen.toml"), config).unwrap();
        self.said.lock().unwrap().clear();
        self.signal("HUP");
        self.wait_said(expected);
    }

    /// Waits until the daemon has said something on stderr.
    pub fn wait_said(&self, what: &str) {
        wait_for(what, || self.said.lock().unwrap().contains(what).then_some(()));
    }

    /// Waits for the daemon to end; its status and what it said on stderr.
    pub fn wait_end(&mut self) -> (ExitStatus, String) {
        let status = wait_for("the daemon to end", || self.child.try_wait().unwrap());
        if let Some(stderr) = self.stderr.take() {
            stderr.join().unwrap();
        }
        (status, self.said.lock().unwrap().clone())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|s| s.is_none()) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
        std::fs::remove_dir_all(&self.dir).ok();
    }
}

/// A request to open a WebSocket, with `more` header lines.
pub fn upgrade(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

/// Opens a WebSocket.
pub fn connect(address: SocketAddr, path: &str) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    tungstenite::client(format!("ws://{address}{path}"), stream).unwrap().0
}

/// The counter identity of the contract.
pub fn check_identity(events: &Value) {
    let n = |name: &str| events[name].as_u64().unwrap_or_else(|| panic!("{name}: {events}"));
    let ended = n("applied") + n("filtered") + n("late") + n("rejected") + n("dropped");
    assert_eq!(n("received"), ended + n("in_flight"), "{events}");
}

/// Polls until there is something; panics when [`PATIENCE`] is over.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Reads an SSE stream to its end; the data of all `event: window` messages.
pub fn collect_windows(daemon: &Daemon) -> std::thread::JoinHandle<Vec<Value>> {
    let mut stream = TcpStream::connect(daemon.http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let host = daemon.http;
    write!(stream, "GET /stream/metrics HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n")
        .unwrap();
    let handle = std::thread::spawn(move || {
        let mut windows = Vec::new();
        let mut name = String::new();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        // A reader that is put out may find its last line cut.
        while stream.read_line(&mut line).is_ok_and(|_| line.ends_with('\n')) {
            let text = std::mem::take(&mut line);
            let line = text.trim_end();
            if line.is_empty() {
                name.clear();
            } else if let Some(event) = line.strip_prefix("event: ") {
                name = event.to_owned();
            } else if let Some(data) = line.strip_prefix("data: ")
                && name == "window"
            {
                windows.push(serde_json::from_str(data).unwrap());
            }
        }
        windows
    });
    wait_for("the subscriber to be there", || (daemon.stats()["sse_subscribers"] == 1).then_some(()));
    handle
}

/// Reads messages until an ack covers frame `seq`; the errors that came before it, and the ack.
pub fn read_ack(socket: &mut WebSocket<TcpStream>, seq: u64) -> (Vec<Value>, Value) {
    let mut errors = Vec::new();
    loop {
        let Message::Text(text) = socket.read().unwrap() else {
            continue;
        };
        let value: Value = serde_json::from_str(&text).unwrap();
        match value["type"].as_str() {
            Some("ack") if value["seq"].as_u64().unwrap() >= seq => return (errors, value),
            Some("error") => errors.push(value),
            _ => {}
        }
    }
}

/// Reads until the peer's close frame; its code.
pub fn read_close(socket: &mut WebSocket<TcpStream>) -> Option<u16> {
    loop {
        match socket.read() {
            Ok(Message::Close(frame)) => {
                // Our answer goes out with the next flush.
                socket.flush().ok();
                return frame.map(|f| f.code.into());
            }
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}

/// A good event.
pub fn event(source: &str, time_s: f64, value: f64) -> String {
    format!(
        r#"{{"source":"{source}","type":"sensor_data","timestamp":{time_s:.3},"data":{{"value":{value}}}}}"#
    )
}

/// The wall clock, seconds.
pub fn now_s() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()
}

/// A client that keeps to the rules has its event counted, whatever others do.
pub fn polite(daemon: &Daemon) {
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    socket.send(Message::text(event("polite", now_s(), 1.0))).unwrap();
    assert_eq!(read_ack(&mut socket, 1).1["accepted"], 1);
}
