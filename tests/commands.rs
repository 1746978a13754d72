//! The commands beside the daemon as they are typed: exit codes when nobody reads what they say, the end of a
//! demo, and limits of the shell that they are started from.

mod common;

use std::io::{BufRead, BufReader, PipeWriter};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use common::{Daemon, TempDir, wait_for};

const FLUMEN: &str = env!("CARGO_BIN_EXE_flumen");

/// A pipe that nobody reads any more.
fn unread() -> PipeWriter {
    std::io::pipe().unwrap().1
}

/// A command that is killed when the test ends before it.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    fn signal(&self, name: &str) {
        let kill = Command::new("kill").args([format!("-{name}"), self.0.id().to_string()]).status();
        assert!(kill.unwrap().success());
    }

    fn wait(&mut self) -> ExitStatus {
        wait_for("the command to end", || self.0.try_wait().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|status| status.is_none()) {
            self.0.kill().ok();
            self.0.wait().ok();
        }
    }
}

fn demo() -> Command {
    let mut command = Command::new(FLUMEN);
    command.args(["demo", "--ingest-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]);
    command
}

#[test]
fn the_exit_code_is_right_though_nobody_reads() {
    let bad = Command::new(FLUMEN).arg("check").env("FLUMEN_FOO", "1").stderr(unread()).status().unwrap();
    assert_eq!(bad.code(), Some(78));
    let ended = Running::start(demo().args(["--duration", "0.2"]).stdout(unread()).stderr(unread())).wait();
    assert_eq!(ended.code(), Some(0), "demo");
    let daemon = Daemon::start(1, 1, "");
    let url = format!("ws://{}/ws/ingest", daemon.ingest);
    for args in [
        &["load", "--duration", "0.2"][..],
        &["load", "--json", "--duration", "0.2"],
        &["generate", "--count", "5"],
    ] {
        let ended = Command::new(FLUMEN).args(args).args(["--url", &url]).stdout(unread()).status().unwrap();
        assert_eq!(ended.code(), Some(0), "{args:?}");
    }
}

#[test]
fn a_demo_ends_with_its_terminal() {
    let mut demo = Running::start(demo().stdout(Stdio::piped()).stderr(Stdio::null()));
    let mut lines = BufReader::new(demo.0.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "Ctrl-C ends it."));
    demo.signal("HUP");
    assert_eq!(demo.wait().code(), Some(0));
}

#[test]
fn a_demo_fails_with_its_generator() {
    let output = demo().args(["--rate", "0"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("flumen: the generator failed: --rate 0: expected a number above 0"), "{said}");
}

/// A command under a limit on descriptors.
fn limited(ulimit: &str, args: &[&str]) -> Output {
    let script = format!("ulimit {ulimit} && exec \"$0\" \"$@\"");
    Command::new("sh").args(["-c", &script, FLUMEN]).args(args).output().unwrap()
}

#[test]
fn a_low_soft_limit_on_descriptors_is_raised_and_a_hard_one_is_named() {
    let daemon = Daemon::start(1, 1, "");
    let url = format!("ws://{}/ws/ingest", daemon.ingest);
    let load = ["load", "--url", &url, "--clients", "100", "--rate", "1000", "--duration", "0.2"];
    let generate = ["generate", "--url", &url, "--connections", "100", "--count", "100"];
    for args in [&load[..], &generate] {
        let soft = limited("-Sn 64", args);
        assert!(soft.status.success(), "{soft:?}");
        let hard = limited("-n 64", args);
        let said = String::from_utf8(hard.stderr).unwrap();
        assert_eq!(hard.status.code(), Some(1), "{said}");
        assert!(said.contains("Too many open files") && said.contains("ulimit -Hn"), "{said}");
        assert!(!said.contains("daemon"), "{said}");
    }
}

/// `/dev/stdout` is such a link; a device would be replaced as well.
#[test]
fn what_an_addresses_file_points_at_is_written_and_not_replaced() {
    let dir = TempDir::new("addresses");
    let (link, target) = (dir.join("link"), dir.join("target"));
    std::fs::write(&target, "").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let mut command = Command::new(FLUMEN);
    command.args([
        "serve",
        "--ingest-listen",
        "127.0.0.1:0",
        "--http-listen",
        "127.0.0.1:0",
        "--addresses-file",
    ]);
    let mut daemon = Running::start(command.arg(&link).stderr(Stdio::piped()));
    let log = BufReader::new(daemon.0.stderr.take().unwrap());
    // After the addresses comes nothing until it is told to stop.
    assert!(log.lines().any(|line| line.unwrap().contains("ready")));
    wait_for("the addresses", || dir.read("target").contains("\nhttp=127.0.0.1:").then_some(()));
    assert!(link.symlink_metadata().unwrap().is_symlink());
    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0));
}
