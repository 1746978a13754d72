//! `flumen check` and `flumen config` as they are typed: every class of mistake, with its place and
//! its remedy, all at once; exit codes.

mod common;

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::process::{Command, Output, Stdio};

use common::TempDir;

struct Dir(TempDir);

impl Dir {
    fn new(name: &str) -> Self {
        Self(TempDir::new(&format!("check-{name}")))
    }

    fn flumen(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flumen"));
        command.current_dir(&*self.0);
        command
    }

    /// What `flumen check f.toml` says of a file.
    fn check(&self, text: impl AsRef<[u8]>) -> (Option<i32>, String) {
        std::fs::write(self.0.join("f.toml"), text).unwrap();
        said(self.flumen().args(["check", "f.toml"]).output().unwrap())
    }
}

/// Exit code and stderr, which is all that a bad configuration may write to.
fn said(output: Output) -> (Option<i32>, String) {
    assert!(output.stdout.is_empty() || output.status.success());
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

const WINDOW: &str = "[[window]]\nname = \"w\"\nkind = \"tumbling\"\nsize = \"1s\"\n";

#[test]
fn every_mistake_in_a_file_has_its_place_and_its_remedy() {
    let dir = Dir::new("file");
    let sliding = WINDOW.replace("tumbling", "sliding");
    for (text, expected) in [
        ("[trheads]\npin = true\n", "f.toml:1:2: trheads: unknown key; did you mean \"threads\"?"),
        ("[ingest]\n lisen = 1\n", "f.toml:2:2: ingest.lisen: unknown key; did you mean \"ingest.listen\"?"),
        (
            "[limits]\nhistory = 5\n",
            "f.toml:2:1: limits.history: unknown key; did you mean \"publish.history\"?",
        ),
        ("listen = \"x\"\n", "f.toml:1:1: listen: unknown key; did you mean \"ingest.listen\", in [ingest]?"),
        ("ingest = 5\n", "f.toml:1:1: ingest: expected a section, [ingest]"),
        ("window = 5\n", "f.toml:1:10: window: expected tables, [[window]]"),
        ("[window]\nname = \"w\"\n", "f.toml:1:1: window: expected tables, [[window]]"),
        ("[time]\nidle_timeout = 5\n", "f.toml:2:16: time.idle_timeout = 5: expected a duration"),
        ("[threads]\npin = \"yes\"\n", "f.toml:2:7: threads.pin = \"yes\": expected true or false"),
        (
            "[http]\nsse_clients = 10_001\n",
            "f.toml:2:15: http.sse_clients = 10_001: expected a whole number from 0 to 10000",
        ),
        (
            "[ingest]\noverload = \"drpo\"\n",
            "f.toml:2:12: ingest.overload = \"drpo\": expected one of \"block\", \"drop\"",
        ),
        ("[ingest\n", "f.toml:1:8: unclosed table, expected `]`"),
        ("[http]\nsse_clients = \n", "f.toml:2:15: "),
        ("[http]\nsse_clients = 1\nsse_clients = 2\n", "f.toml:3:1: duplicate key"),
        // Columns count characters, and the place is inside of the string.
        (&format!("{WINDOW}where = \"typ\u{e9} == 'a' nad x > 1\"\n"), "f.toml:5:22: window.where: "),
        (&format!("{WINDOW}{WINDOW}"), "f.toml:5:1: window.name = \"w\": another window has this name"),
        (
            &format!("{sliding}slide = \"2s\"\n"),
            "f.toml:5:9: window.slide = \"2s\": expected at most the size",
        ),
        (
            &format!("{WINDOW}[[alert]]\nname = \"a\"\nwindow = \"v\"\n"),
            "f.toml:7:10: alert.window = \"v\": expected the name of a window: w",
        ),
        ("[[filter]]\nfield = \"v\"\n", "f.toml:1:1: filter: it needs min, max or both"),
    ] {
        let (code, said) = dir.check(text);
        assert_eq!(code, Some(78), "{text}{said}");
        assert!(said.lines().any(|line| line.starts_with(expected)), "{text}{said}");
        assert!(said.starts_with("flumen: 1 thing is wrong with the configuration:\n"), "{text}{said}");
        assert!(said.contains("flumen.toml(5)"), "{said}");
    }
    let (code, said) = dir.check(b"[http]\n# caf\xe9\n");
    assert_eq!(code, Some(78));
    assert!(said.contains("f.toml:2:6: not UTF-8 from here on; save the file as UTF-8"), "{said}");
    // With a byte order mark, and lines as Windows ends them, it is still a good file.
    assert_eq!(dir.check("\u{feff}[http]\r\nsse_clients = 7\r\n").0, Some(0));
}

#[test]
fn all_mistakes_are_told_at_once_from_every_layer() {
    let dir = Dir::new("all");
    std::fs::write(dir.0.join("f.toml"), "[http]\na = 1\nb = 2\n[[filter]]\n[[window]]\n").unwrap();
    let output = dir
        .flumen()
        .args(["check", "--config", "f.toml", "--http-listen", "nowhere", "--set", "threads.pin=2"])
        .args(["--set", "limits.kys=5"])
        .env("FLUMEN_LIMITS_KEYS", "0")
        .env("FLUMEN_LIMITS_KEY", "7")
        .env("FLUMEN_THREADS_IDLE", OsStr::from_bytes(b"p\xff"))
        .output()
        .unwrap();
    let (code, said) = said(output);
    assert_eq!(code, Some(78));
    for expected in [
        "flumen: 10 things are wrong with the configuration:",
        "f.toml:2:1: http.a: unknown key",
        "f.toml:3:1: http.b: unknown key",
        "f.toml:4:1: filter.field is missing",
        "f.toml:5:1: window.name is missing",
        "FLUMEN_LIMITS_KEYS=0: limits.keys: expected a whole number from 1 to 100000000",
        "FLUMEN_LIMITS_KEY: unknown variable; did you mean \"FLUMEN_LIMITS_KEYS\"?",
        "FLUMEN_THREADS_IDLE=\"p\\xFF\": not UTF-8: expected one of \"park\", \"spin\"",
        "--http-listen=nowhere: http.listen: expected an address such as",
        "--set threads.pin=2: threads.pin: expected true or false",
        "--set limits.kys=5: unknown key; did you mean \"limits.keys\"?",
    ] {
        assert!(said.lines().any(|line| line.starts_with(expected)), "{expected}\n{said}");
    }
}

/// Whoever has closed its end has what it wanted; what cannot be written is an error, never a panic.
#[test]
fn output_that_goes_nowhere() {
    let dir = Dir::new("nowhere");
    let full = std::fs::metadata("/dev/full").map(|full| full.file_type().is_char_device());
    assert!(
        full.is_ok_and(|is_device| is_device),
        "/dev/full is not the device it should be on this machine"
    );
    for (args, out, code) in
        [("check", "/dev/full", 1), ("config", "/dev/full", 1), ("check", "/dev/null", 0)]
    {
        let out = std::fs::File::options().write(true).open(out).unwrap();
        let status = dir.flumen().arg(args).stdout(out).stderr(std::process::Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{args}");
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = dir.flumen().arg("check").stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn files_that_cannot_be_read_and_flags_that_cannot_be() {
    let dir = Dir::new("none");
    let run = |args: &[&str]| said(dir.flumen().args(args).output().unwrap());
    let (code, text) = run(&["check", "none.toml"]);
    assert_eq!(code, Some(78));
    assert!(text.contains("none.toml: No such file") && text.contains("check the path"), "{text}");
    let (code, text) = run(&["check", "."]);
    assert_eq!(code, Some(78));
    assert!(text.contains(".: Is a directory") && text.contains("name the file in it"), "{text}");
    // Usage is clap's, with its own code.
    for args in [&["check", "--confg", "x"][..], &["check", "a", "--config", "b"], &["check", "--set", "x"]] {
        assert_eq!(run(args).0, Some(2), "{args:?}");
    }
    let output = dir.flumen().arg("check").env("FLUMEN_CONFIG", "gone.toml").output().unwrap();
    assert!(said(output).1.contains("gone.toml: No such file"));
    // Set and empty, as a template leaves it, is not set.
    let output = dir.flumen().arg("check").env("FLUMEN_CONFIG", "").output().unwrap();
    assert_eq!(said(output), (Some(0), String::new()));
    let (code, text) = run(&["check", "/dev/zero"]);
    assert_eq!(code, Some(78));
    assert!(text.contains("/dev/zero: it has more than 16 MiB"), "{text}");
    let output = dir.flumen().args(["serve", "--config", "none.toml"]).output().unwrap();
    assert_eq!(said(output).0, Some(78));
}

/// As `--config <(...)` of a shell: a pipe whose writer takes its time.
#[test]
fn a_pipe_is_read_to_its_end() {
    let dir = Dir::new("pipe");
    let pipe = dir.0.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let flumen = dir.flumen().args(["config", "--changed", "pipe"]).stdout(Stdio::piped()).spawn().unwrap();
    // It opens when both ends are there.
    let mut writer = std::fs::File::options().write(true).open(&pipe).unwrap();
    writer.write_all(b"[limits]\n").unwrap();
    writer.write_all(b"keys = 76\n").unwrap();
    drop(writer);
    let output = flumen.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("keys = 76  # pipe:2"), "{text}");
}

#[test]
fn a_good_file_says_what_would_run_or_nothing() {
    let dir = Dir::new("good");
    std::fs::write(dir.0.join("f.toml"), WINDOW).unwrap();
    let run = |args: &[&str]| dir.flumen().args(args).output().unwrap();
    for args in [&["check", "f.toml"][..], &["check", "--config", "f.toml"]] {
        let output = run(args);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("w: tumbling 1s"), "{text}");
    }
    for quiet in ["-q", "--quiet"] {
        let output = run(&["check", quiet, "f.toml"]);
        assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty());
    }
    assert_eq!(run(&["check", "-q", "none.toml"]).status.code(), Some(78));
}

#[test]
fn config_prints_what_is_in_effect_and_reads_back() {
    let dir = Dir::new("config");
    std::fs::write(
        dir.0.join("f.toml"),
        format!("[threads]\nwindow = 2\n[time]\nmax_future = \"9s\"\n[limits]\nkeys = 76\n{WINDOW}"),
    )
    .unwrap();
    let run = |args: &[&str]| {
        let output = dir
            .flumen()
            .args(args)
            .env("FLUMEN_LIMITS_KEYS", "77")
            .env("FLUMEN_TIME_MAX_FUTURE", "2s")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let shown = run(&["config", "f.toml", "--http-listen", "127.0.0.1:9", "--set", "limits.keys=78"]);
    for line in [
        "window = 2  # f.toml:2",
        "max_future = \"2s\"  # FLUMEN_TIME_MAX_FUTURE over f.toml:4 = \"9s\"; reloadable",
        "listen = \"127.0.0.1:9\"  # --http-listen",
        "keys = 78  # --set over FLUMEN_LIMITS_KEYS = 77 over f.toml:6 = 76; reloadable",
        "pin = true  # default",
        "[[window]]  # f.toml:7",
        "alert = []  # default",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
    // Read back, everything comes from the file, and is the same.
    std::fs::write(dir.0.join("again.toml"), &shown).unwrap();
    let again = run(&["config", "again.toml", "--http-listen", "127.0.0.1:9", "--set", "limits.keys=78"]);
    let plain = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split("  # ").next().unwrap().to_owned()).collect()
    };
    assert_eq!(plain(&again), plain(&shown));
    let changed = run(&["config", "f.toml", "--changed"]);
    assert!(
        changed.contains("keys = 77  # FLUMEN_LIMITS_KEYS over f.toml:6 = 76;")
            && !changed.contains("default"),
        "{changed}"
    );
    let json: serde_json::Value = serde_json::from_str(&run(&["config", "f.toml", "--json"])).unwrap();
    let keys = json["options"].as_array().unwrap().iter().find(|option| option["key"] == "limits.keys");
    assert_eq!(keys.unwrap()["from"], "FLUMEN_LIMITS_KEYS");
    assert_eq!(keys.unwrap()["over"], serde_json::json!([{"value": 76, "from": "f.toml:6"}]));
    assert_eq!(json["window"][0]["value"]["size"], "1s");
}
