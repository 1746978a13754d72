//! The daemon as a service: what it tells its manager, sockets it is handed, what it logs.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Daemon, PATIENCE, event, now_s, read_ack, read_close, wait_for};
use tungstenite::Message;

const FLUMEN: &str = env!("CARGO_BIN_EXE_flumen");

/// The manager's end of sd_notify(3).
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    /// The next message that says `what`.
    fn told(&self, what: &str) -> String {
        let mut bytes = [0; 4096];
        loop {
            let n = self.0.recv(&mut bytes).unwrap_or_else(|e| panic!("waiting for {what}: {e}"));
            let text = String::from_utf8(bytes[..n].to_vec()).unwrap();
            if text.lines().any(|line| line.starts_with(what)) {
                return text;
            }
        }
    }
}

#[test]
fn the_service_manager_is_told_of_start_life_reload_and_end() {
    let path = std::env::temp_dir().join(format!("flumen-notify-{}", std::process::id()));
    let manager = Manager::at(&path);
    let config = "[ingest]\nlisten = \"127.0.0.1:0\"\n[http]\nlisten = \"127.0.0.1:0\"\n";
    let mut daemon = Daemon::start_as(Command::new(FLUMEN), config, |command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000");
    });
    let ready = manager.told("READY=1");
    assert!(ready.contains("STATUS="), "{ready}");
    let (status, body) = daemon.get("/health/ready");
    assert_eq!((status, body.contains("ready")), (200, true), "{body}");
    for _ in 0..3 {
        manager.told("WATCHDOG=1");
    }
    let status = manager.told("STATUS=");
    assert!(status.contains("events/s applied, 0 connections"), "{status}");

    daemon.signal("HUP");
    manager.told("RELOADING=1");
    let ready = manager.told("READY=1");
    assert!(ready.contains("STATUS=reloaded"), "{ready}");
    std::fs::write(daemon.dir.join("flumen.toml"), "[limits]\nkeys = 0\n").unwrap();
    daemon.signal("HUP");
    let ready = manager.told("READY=1");
    assert!(ready.contains("STATUS=reload refused"), "{ready}");

    daemon.signal("TERM");
    let stopping = manager.told("STOPPING=1");
    assert!(stopping.contains("EXTEND_TIMEOUT_USEC=15000000"), "{stopping}");
    assert!(daemon.wait_end().0.success());
    std::fs::remove_file(path).unwrap();
}

/// A daemon whose sockets are opened by somebody else, as systemd does it: descriptors 3 and 4. The
/// shell moves them there from where std can put them.
fn activated(names: &str, first: &TcpListener, second: &TcpListener) -> Daemon {
    let mut shell = Command::new("sh");
    let script = "exec 3<&0 4<&1 </dev/null >/dev/null; LISTEN_PID=$$ LISTEN_FDS=2 exec \"$0\" \"$@\"";
    shell.args(["-c", script, FLUMEN]);
    Daemon::start_as(shell, "", |command| {
        command
            .env("LISTEN_FDNAMES", names)
            .stdin(OwnedFd::from(first.try_clone().unwrap()))
            .stdout(OwnedFd::from(second.try_clone().unwrap()));
    })
}

#[test]
fn sockets_from_the_service_manager_outlive_the_daemon() {
    let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (web, ingest) = (listen(), listen());
    let mut first = activated("http:ingest", &web, &ingest);
    assert_eq!((first.http, first.ingest), (web.local_addr().unwrap(), ingest.local_addr().unwrap()));
    first.wait_said("comes from the service manager");
    let mut socket = first.connect("/ws/ingest?ack=1");
    socket.send(Message::text(event("a", now_s(), 1.0))).unwrap();
    assert_eq!(read_ack(&mut socket, 1).1["accepted"], 1);
    first.signal("TERM");
    assert_eq!(read_close(&mut socket), Some(1001));
    assert!(first.wait_end().0.success());

    // Nobody is there, and nobody is refused.
    let mut early = TcpStream::connect(ingest.local_addr().unwrap()).unwrap();
    let mut early_web = TcpStream::connect(web.local_addr().unwrap()).unwrap();
    write!(
        early,
        "GET /ws/ingest HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    )
    .unwrap();
    write!(early, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        .unwrap();
    write!(early_web, "GET /api/windows HTTP/1.0\r\n\r\n").unwrap();
    let second = activated("http:ingest", &web, &ingest);
    let mut line = String::new();
    early.set_read_timeout(Some(PATIENCE)).unwrap();
    BufReader::new(&early).read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 101 "), "{line}");
    let mut answer = String::new();
    early_web.set_read_timeout(Some(PATIENCE)).unwrap();
    early_web.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("200 OK"), "{answer}");
    drop(second);
}

#[test]
fn what_cannot_be_a_socket_of_ours_is_refused() {
    let output = Command::new(FLUMEN)
        .args(["serve", "--ingest-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"])
        .env("LISTEN_FDS", "3")
        .env("LISTEN_FDNAMES", "a:b:c")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("passed 3 sockets (a, b, c); expected one named ingest"), "{said}");
}

#[test]
fn a_client_that_has_not_finished_its_request_is_told_to_come_back() {
    let mut daemon = Daemon::start(1, 1, "[ingest]\nhandshake_timeout = \"5m\"\n");
    let mut slow = TcpStream::connect(daemon.ingest).unwrap();
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    slow.write_all(b"GET /ws/ingest HTTP/1.1\r\nHost:").unwrap();
    wait_for("the connection", || (daemon.stats()["connections"] == 1).then_some(()));
    daemon.signal("TERM");
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("Retry-After: 1"), "{answer}");
    assert!(daemon.wait_end().0.success());
}

#[test]
fn lines_for_the_journal_have_priorities_and_problems_are_summed_up() {
    // Where stderr is the socket that JOURNAL_STREAM names, lines are for the journal.
    let (theirs, ours) = UnixStream::pair().unwrap();
    let theirs = OwnedFd::from(theirs);
    let number = std::os::fd::AsRawFd::as_raw_fd(&theirs);
    let named = std::fs::metadata(format!("/proc/self/fd/{number}")).unwrap();
    let stream = format!("{}:{}", named.dev(), named.ino());
    let config = "[ingest]\nlisten = \"127.0.0.1:0\"\n[http]\nlisten = \"127.0.0.1:0\"\n";
    let mut daemon = Daemon::start_as(Command::new(FLUMEN), config, |command| {
        command.env("JOURNAL_STREAM", stream).stderr(Stdio::from(theirs));
    });
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    for _ in 0..1_000 {
        socket.send(Message::text("[1]")).unwrap();
    }
    daemon.wait_received(1_000);
    let mut lines = Vec::new();
    let mut journal = BufReader::new(&ours).lines();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    while !lines.iter().any(|line: &String| line.contains("events were rejected")) {
        lines.push(journal.next().unwrap().unwrap());
    }
    let problem = lines.last().unwrap();
    assert!(problem.starts_with("<4>"), "{problem}");
    assert!(problem.contains("(not_an_object "), "{problem}");
    daemon.signal("TERM");
    assert_eq!(read_close(&mut socket), Some(1001));
    lines.extend(journal.map_while(Result::ok));
    assert!(daemon.wait_end().0.success());
    assert!(lines.len() < 12, "a thousand bad events are a few lines: {lines:#?}");
    assert!(lines.iter().all(|line| line.starts_with("<4>") || line.starts_with("<6>")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("<6>ready version=")), "{lines:#?}");
}

#[test]
fn json_lines_are_json_also_when_the_configuration_is_bad() {
    for args in [
        &["--log-format", "json", "--config", "/does/not/exist"][..],
        &["--log-format", "json", "--ingest-listen", "x"],
    ] {
        let output = Command::new(FLUMEN).arg("serve").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(78));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.is_empty());
        for line in said.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["level"], "error", "{said}");
            assert!(line["message"].as_str().unwrap().len() > 10, "{said}");
        }
    }
}
