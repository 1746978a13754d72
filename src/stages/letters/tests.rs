//! The file: whole lines, its size, what is put aside, places that cannot be written to.

use std::path::Path;

use super::*;
use crate::event::Reject;
use crate::runtime::ring::{Tx, ring};
use crate::runtime::wake::Bell;

struct Rig {
    folder: PathBuf,
    tx: Option<Tx<Arc<DeadLetter>>>,
    stage: Letters,
    sent: u64,
    mono_ns: u64,
}

impl Rig {
    fn new(name: &str, file: &str, max_bytes: u64, kept: usize) -> Self {
        let folder = std::env::temp_dir().join(format!("flumen-letters-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let bell = Arc::new(Bell::park());
        let (tx, rx) = ring(1_000, &bell, &bell);
        let options = Options { path: folder.join(file), max_bytes, kept, counters: Arc::default() };
        Self { folder, tx: Some(tx), stage: Letters::new(rx, options), sent: 0, mono_ns: 0 }
    }

    /// Sends letters, numbered in `seq`, and has them written.
    fn send(&mut self, letters: u64) {
        for _ in 0..letters {
            let letter = DeadLetter {
                reason: Reject::InvalidJson,
                message: "a \"message\"\nof two lines".to_owned(),
                time_us: 1_763_888_880_000_000,
                seq: self.sent,
                index: 3,
                head: Box::from(&b"{\xff"[..]),
                len: 2_000,
            };
            self.sent += 1;
            assert!(self.tx.as_mut().unwrap().push(Arc::new(letter)).is_ok());
        }
        while self.poll() == Progress::Worked {}
    }

    fn poll(&mut self) -> Progress {
        self.stage.poll(Now { mono_ns: self.mono_ns, wall_us: 0 })
    }

    /// The numbers of the letters in a file; panics unless it has whole lines of JSON.
    fn numbers(&self, file: &str) -> Vec<u64> {
        let text = std::fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        assert!(text.is_empty() || text.ends_with('\n'), "{text}");
        let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        text.lines().map(|text| line(text)["seq"].as_u64().unwrap()).collect()
    }

    fn lost(&self, why: Lost) -> u64 {
        self.stage.options.counters.lost().find(|(name, _)| *name == why.as_str()).unwrap().1
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

#[test]
fn a_file_of_its_size_is_put_aside_and_the_oldest_goes() {
    let mut rig = Rig::new("size", "l", 1_000, 2);
    rig.send(1);
    let line = std::fs::metadata(rig.folder.join("l")).unwrap().len();
    let per_file = 1_000 / line;
    rig.send(per_file * 5 - 1);
    let numbers = |from: u64| (from * per_file..(from + 1) * per_file).collect::<Vec<_>>();
    assert_eq!(rig.numbers("l"), numbers(4));
    assert_eq!((rig.numbers("l.1"), rig.numbers("l.2")), (numbers(3), numbers(2)));
    assert!(!Path::new(&rig.folder.join("l.3")).exists());
    assert_eq!(rig.stage.options.counters.written.get(), rig.sent);
    // One that was there before counts.
    rig.stage.open = None;
    rig.send(1);
    assert_eq!((rig.numbers("l"), rig.numbers("l.1")), (vec![per_file * 5], numbers(4)));
}

#[test]
fn a_line_that_was_cut_takes_no_other_with_it() {
    let mut rig = Rig::new("cut", "l", 100_000, 1);
    rig.send(1);
    let whole = std::fs::read(rig.folder.join("l")).unwrap();
    for left in [&whole[..whole.len() / 2], &whole[..whole.len() - 1], &whole] {
        std::fs::write(rig.folder.join("l"), left).unwrap();
        rig.stage.open = None;
        let number = rig.sent;
        rig.send(2);
        let text = std::fs::read_to_string(rig.folder.join("l")).unwrap();
        let (first, rest) = text.split_at(text.find('\n').unwrap() + 1);
        assert_eq!(first.trim_end().as_bytes(), left.strip_suffix(b"\n").unwrap_or(left));
        std::fs::write(rig.folder.join("rest"), rest).unwrap();
        assert_eq!(rig.numbers("rest"), [number, number + 1]);
        let open = rig.stage.open.as_ref().unwrap();
        assert_eq!(open.len, text.len() as u64);
    }
}

#[test]
fn without_files_besides_it_begins_anew() {
    let mut rig = Rig::new("none", "l", 300, 0);
    rig.send(10);
    let left = rig.numbers("l");
    assert!(!left.is_empty() && left.len() < 10 && left.ends_with(&[9]), "{left:?}");
    assert!(std::fs::metadata(rig.folder.join("l")).unwrap().len() <= 300);
    assert_eq!(std::fs::read_dir(&rig.folder).unwrap().count(), 1);
}

#[test]
fn what_cannot_be_written_is_counted_and_later_it_goes_on() {
    let mut rig = Rig::new("folder", "not/there", 10_000, 1);
    rig.send(3);
    assert_eq!(rig.lost(Lost::NoFolder), 3);
    std::fs::create_dir(rig.folder.join("not")).unwrap();
    // Left alone for a second.
    rig.send(2);
    assert_eq!((rig.lost(Lost::NoFolder), rig.numbers("not/there")), (5, vec![]));
    rig.mono_ns += AGAIN_NS;
    rig.send(2);
    assert_eq!((rig.lost(Lost::NoFolder), rig.numbers("not/there")), (5, vec![5, 6]));
    // Somebody takes it away: noticed within a second.
    std::fs::remove_file(rig.folder.join("not/there")).unwrap();
    rig.mono_ns += AGAIN_NS;
    rig.send(1);
    assert_eq!(rig.numbers("not/there"), [7]);
}

#[test]
fn a_full_disk_is_called_one() {
    // More than one file holds, but there is nothing to put aside: a link to the device stays what it is.
    let mut rig = Rig::new("full", "l", 10_000, 1);
    std::os::unix::fs::symlink("/dev/full", rig.folder.join("l")).unwrap();
    rig.send(200);
    assert_eq!(rig.lost(Lost::DiskFull), 200);
    assert!(std::fs::read_dir(&rig.folder).unwrap().count() == 1 && rig.folder.join("l").is_symlink());
    assert_eq!(rig.stage.options.counters.written.get(), 0);
}

#[test]
fn a_file_that_cannot_be_put_aside_gets_no_longer() {
    let mut rig = Rig::new("aside", "l", 300, 1);
    // What would have to be replaced is a folder that is not empty.
    std::fs::create_dir_all(rig.folder.join("l.1/in")).unwrap();
    rig.send(50);
    assert!(std::fs::metadata(rig.folder.join("l")).unwrap().len() <= 300);
    let written = rig.numbers("l").len() as u64;
    assert!(written > 0);
    assert_eq!(rig.lost(Lost::Other), 50 - written);
}

#[test]
fn the_end_comes_when_all_is_written() {
    let mut rig = Rig::new("end", "l", 1 << 20, 1);
    rig.send(0);
    assert!(matches!(rig.poll(), Progress::Idle { .. }));
    let letters = 2 * AT_ONCE as u64 + 7;
    rig.send(letters);
    rig.tx = None;
    assert_eq!(rig.poll(), Progress::Done);
    assert_eq!(rig.numbers("l").len() as u64, letters);
}
