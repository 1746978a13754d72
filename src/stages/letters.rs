//! Dead letters on disk: an object a line, in a file that is put aside when it has its size.
//!
//! The thread of this stage alone waits for the disk. What it cannot write it counts and lets go, so that
//! nothing ever waits for it: a full disk costs dead letters and nothing else. Nothing is synced: what
//! the kernel has is safe from the end of the daemon, not from the end of the machine.
//!
//! What must always hold: the file consists of whole lines; it and those put aside are never longer than
//! they may be (but for a single line that is).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::message::DeadLetter;
use crate::runtime::clock::Now;
use crate::runtime::ring::Rx;
use crate::runtime::stage::{Progress, Stage};
use crate::runtime::wake::INPUT;
use crate::telemetry::letters::{LetterCounters, Lost};

/// Letters written at once, at most.
const AT_ONCE: usize = 128;
/// How long a place that could not be written to is left alone, and how often it is looked whether the
/// file is still the one of its name.
const AGAIN_NS: u64 = 1_000_000_000;

/// What the stage needs besides its ring.
pub struct Options {
    /// The file.
    pub path: PathBuf,
    /// Bytes that it may have.
    pub max_bytes: u64,
    /// Files that are kept besides.
    pub kept: usize,
    /// What came of it.
    pub counters: Arc<LetterCounters>,
}

/// The stage.
pub struct Letters {
    letters: Rx<Arc<DeadLetter>>,
    options: Options,
    open: Option<Open>,
    /// Not before this.
    try_at_ns: u64,
    /// What went wrong last.
    wrong: Lost,
    /// Whole lines that are to be written, and how many.
    lines: Vec<u8>,
    count: u64,
}

/// The file.
struct Open {
    file: File,
    len: u64,
    look_at_ns: u64,
}

impl Letters {
    /// A stage that writes what comes over `letters`.
    pub fn new(letters: Rx<Arc<DeadLetter>>, options: Options) -> Self {
        let (lines, wrong) = (Vec::new(), Lost::Other);
        Self { letters, options, open: None, try_at_ns: 0, wrong, lines, count: 0 }
    }

    /// Writes the lines there are, or counts them as lost.
    fn write(&mut self, now: Now) {
        if self.count == 0 {
            return;
        }
        if now.mono_ns < self.try_at_ns {
            self.options.counters.lose(self.wrong, self.count);
        } else {
            match self.try_write(now) {
                Ok(()) => self.options.counters.written.add(self.count),
                Err(error) => {
                    self.wrong = Lost::by(error.kind());
                    self.options.counters.lose(self.wrong, self.count);
                    self.open = None;
                    self.try_at_ns = now.mono_ns + AGAIN_NS;
                }
            }
        }
        self.lines.clear();
        self.count = 0;
    }

    fn try_write(&mut self, now: Now) -> io::Result<()> {
        let path = &self.options.path;
        // Somebody may have taken it away.
        if let Some(open) = self.open.as_mut().filter(|open| now.mono_ns >= open.look_at_ns) {
            open.look_at_ns = now.mono_ns + AGAIN_NS;
            let (is, was) = (std::fs::metadata(path).ok(), open.file.metadata()?);
            if is.is_none_or(|is| (is.dev(), is.ino()) != (was.dev(), was.ino())) {
                self.open = None;
            }
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                // What stands in it came from strangers and is nobody else's business.
                let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
                let found = file.metadata()?;
                let mut len = found.len();
                if found.is_file() && is_cut(path, len) {
                    file.write_all(b"\n")?;
                    len += 1;
                }
                none.insert(Open { file, len, look_at_ns: now.mono_ns + AGAIN_NS })
            }
        };
        if let Err(error) = open.file.write_all(&self.lines) {
            // No half of a line stays.
            drop(open.file.set_len(open.len));
            return Err(error);
        }
        open.len += self.lines.len() as u64;
        Ok(())
    }

    /// Puts the file aside if so many bytes more would be too many.
    fn make_room(&mut self, now: Now, more: usize) {
        let len = match &self.open {
            Some(open) => open.len,
            // Unless it cannot be written to anyway.
            None if now.mono_ns >= self.try_at_ns => {
                std::fs::metadata(&self.options.path).map_or(0, |found| found.len())
            }
            None => return,
        };
        let waiting = self.lines.len() as u64;
        if len + waiting == 0 || len + waiting + more as u64 <= self.options.max_bytes {
            return;
        }
        self.write(now);
        // Whatever else has that name, a device or a pipe, is not ours to rename.
        if !std::fs::metadata(&self.options.path).is_ok_and(|found| found.is_file()) {
            return;
        }
        if let Err(error) = self.put_aside() {
            // It has its size; it gets no more until this works.
            self.wrong = Lost::by(error.kind());
            self.try_at_ns = now.mono_ns + AGAIN_NS;
        }
    }

    fn put_aside(&mut self) -> io::Result<()> {
        self.open = None;
        let numbered = |n: usize| match n {
            0 => self.options.path.clone(),
            n => {
                let mut name = self.options.path.clone().into_os_string();
                name.push(format!(".{n}"));
                PathBuf::from(name)
            }
        };
        let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        if self.options.kept == 0 {
            return std::fs::remove_file(numbered(0)).or_else(|e| if gone(&e) { Ok(()) } else { Err(e) });
        }
        for n in (0..self.options.kept).rev() {
            match std::fs::rename(numbered(n), numbered(n + 1)) {
                Err(error) if !gone(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether the last line of a file of `len` bytes has no end: a daemon that was killed may have left it so.
fn is_cut(path: &Path, len: u64) -> bool {
    let mut last = *b"\n";
    if let Some(at) = len.checked_sub(1)
        && let Ok(file) = File::open(path)
    {
        // What cannot be read counts as whole.
        drop(file.read_exact_at(&mut last, at));
    }
    last != *b"\n"
}

impl Stage for Letters {
    fn gives_way(&self) -> bool {
        true
    }

    fn poll(&mut self, now: Now) -> Progress {
        let ended = self.letters.ended();
        self.letters.len();
        for _ in 0..AT_ONCE {
            let Some(letter) = self.letters.pop() else { break };
            let mut line = letter.to_json().to_string();
            line.push('\n');
            self.make_room(now, line.len());
            self.lines.extend_from_slice(line.as_bytes());
            self.count += 1;
        }
        self.letters.release();
        if self.count > 0 {
            self.write(now);
            return Progress::Worked;
        }
        if ended { Progress::Done } else { Progress::Idle { deadline_ns: None, awaits: INPUT } }
    }
}

#[cfg(test)]
mod tests;
