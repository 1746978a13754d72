//! The file of dead letters, by a real daemon: lines arrive, the file is put aside at its size, a place that
//! cannot be written to hurts nobody, and a drain leaves none behind.

mod common;

use std::path::Path;

use common::{Daemon, LAYOUTS, TempDir, event, now_s, read_ack, wait_for};
use serde_json::Value;
use tungstenite::Message;

/// Where the file is.
struct Folder(TempDir);

impl Folder {
    fn new(name: &str) -> Self {
        Self(TempDir::new(&format!("dead-letters-{name}")))
    }

    /// The letters of a file; each of its lines has to be one.
    fn letters(&self, file: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.0.join(file)).unwrap_or_default();
        assert!(text.is_empty() || text.ends_with('\n'), "a half line: {text}");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn file(&self) -> String {
        self.0.join("letters").display().to_string()
    }
}

fn config(file: &str, more: &str) -> String {
    format!("[deadletters]\nfile = {file:?}\n{more}")
}

/// An array of so many events without a source.
fn bad_events(n: usize) -> Message {
    let events: Vec<_> = (0..n).map(|at| format!(r#"{{"type":"t","data":{{"at":{at}}}}}"#)).collect();
    Message::text(format!("[{}]", events.join(",")))
}

fn metric(daemon: &Daemon, name: &str) -> u64 {
    let (_, text) = daemon.get("/metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}"));
    line.trim().parse().unwrap()
}

#[test]
fn lines_arrive_and_a_full_file_is_put_aside() {
    for (at, (lanes, windows)) in LAYOUTS.into_iter().enumerate() {
        let folder = Folder::new(&format!("rotate-{at}"));
        let mut daemon =
            Daemon::start(lanes, windows, &config(&folder.file(), "file_size = \"8KiB\"\nfiles = 2\n"));
        let mut socket = daemon.connect("/ws/ingest?ack=1");
        // No more at once than the rings on the way hold for certain.
        for round in 1..=4 {
            socket.send(bad_events(100)).unwrap();
            assert_eq!(read_ack(&mut socket, round).1["rejected"], round * 100);
            wait_for("the letters to be written", || {
                (metric(&daemon, "flumen_dead_letters_written_total") == round * 100).then_some(())
            });
        }
        let shown = daemon.json("/api/deadletters?limit=1000");
        let shown = shown.as_array().unwrap();
        let files = ["letters.2", "letters.1", "letters"];
        for file in files {
            let len = std::fs::metadata(folder.0.join(file)).unwrap().len();
            assert!(len <= 8 << 10 && (file == "letters" || len > 7 << 10), "{file}: {len}");
        }
        assert!(!Path::new(&folder.0.join("letters.3")).exists());
        let kept: Vec<_> = files.iter().flat_map(|file| folder.letters(file)).collect();
        assert!(kept.len() > 20 && kept.len() < 400, "{}", kept.len());
        assert_eq!(kept, shown[400 - kept.len()..], "the newest, each as it is shown");
        daemon.signal("TERM");
        assert!(daemon.wait_end().0.success());
    }
}

#[test]
fn a_drain_leaves_none_behind() {
    for (at, (lanes, windows)) in LAYOUTS.into_iter().enumerate() {
        let folder = Folder::new(&format!("drain-{at}"));
        let mut daemon = Daemon::start(lanes, windows, &config(&folder.file(), ""));
        let mut socket = daemon.connect("/ws/ingest?ack=1");
        socket.send(bad_events(200)).unwrap();
        read_ack(&mut socket, 1);
        daemon.signal("TERM");
        let (status, said) = daemon.wait_end();
        assert!(status.success(), "{said}");
        let indices: Vec<_> =
            folder.letters("letters").iter().map(|l| l["index"].as_u64().unwrap()).collect();
        assert_eq!(indices, (0..200).collect::<Vec<_>>());
    }
}

#[test]
fn a_place_that_cannot_be_written_to_hurts_nobody() {
    let folder = Folder::new("unwritable");
    // A link, so that nothing that goes wrong here can harm the device.
    std::os::unix::fs::symlink("/dev/full", folder.0.join("full")).unwrap();
    for (name, reason) in [("full", "disk_full"), ("not/there", "no_folder")] {
        let file = &*folder.0.join(name).display().to_string();
        let mut daemon = Daemon::start(1, 1, &config(file, ""));
        let mut socket = daemon.connect("/ws/ingest?ack=1");
        socket.send(bad_events(150)).unwrap();
        socket.send(Message::text(event("s", now_s(), 1.0))).unwrap();
        let ack = read_ack(&mut socket, 2).1;
        assert_eq!((&ack["accepted"], &ack["rejected"]), (&1.into(), &150.into()));
        let name = format!("flumen_dead_letters_unwritten_total{{reason=\"{reason}\"}}");
        wait_for("the letters to be counted", || (metric(&daemon, &name) == 150).then_some(()));
        assert_eq!(metric(&daemon, "flumen_dead_letters_written_total"), 0);
        daemon.wait_said("dead letters did not get into deadletters.file");
        assert_eq!(daemon.json("/api/deadletters?limit=1000").as_array().unwrap().len(), 150);
        daemon.signal("TERM");
        assert!(daemon.wait_end().0.success());
    }
}

#[test]
fn the_newest_thousand_are_shown() {
    let daemon = Daemon::start(1, 1, "");
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    // No more at once than the rings on the way hold for certain.
    for round in 1..=15 {
        socket.send(bad_events(100)).unwrap();
        read_ack(&mut socket, round);
        wait_for("the letters to be kept", || {
            (metric(&daemon, "flumen_dead_letters_total") == round * 100).then_some(())
        });
    }
    let shown = |limit: u64| {
        let letters = daemon.json(&format!("/api/deadletters?limit={limit}"));
        let number = |letter: &Value, name: &str| letter[name].as_u64().unwrap();
        let letters = letters.as_array().unwrap().iter();
        letters.map(|letter| (number(letter, "seq"), number(letter, "index"))).collect::<Vec<_>>()
    };
    let sent: Vec<_> = (1..=15).flat_map(|seq| (0..100).map(move |index| (seq, index))).collect();
    assert_eq!(shown(10_000), sent[500..], "the newest thousand of 1,500, oldest first");
    assert_eq!(shown(5), sent[1_495..]);
    let (status, said) = daemon.get("/api/deadletters?limit=0");
    assert!(status == 400 && said.contains("bad_parameter"), "{status} {said}");
}
