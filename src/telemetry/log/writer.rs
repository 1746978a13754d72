//! Lines on their way to stderr, through a thread of their own.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

use super::form::{Form, Said};

/// Lines that may wait for stderr.
const WAITING: usize = 1_024;

/// The end that takes lines; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    channel: SyncSender<Note>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Note {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

impl Lines {
    /// Starts the thread that writes to stderr.
    pub(super) fn start(form: Form) -> std::io::Result<Self> {
        Self::to(std::io::stderr(), form)
    }

    fn to(out: impl Write + Send + 'static, form: Form) -> std::io::Result<Self> {
        let (channel, notes) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let thread = std::thread::Builder::new().name("log".to_owned());
        thread.spawn({
            let lost = Arc::clone(&lost);
            move || write(out, &notes, &lost, form)
        })?;
        Ok(Self { channel, lost })
    }

    /// Waits until all lines so far are written, at most so long.
    pub(super) fn flush(&self, patience: Duration) {
        let (done, wait) = sync_channel(1);
        // A full channel means that nobody reads stderr: not worth waiting for.
        if self.channel.try_send(Note::Flush(done)).is_ok() {
            wait.recv_timeout(patience).ok();
        }
    }
}

/// Nothing that goes wrong with stderr is the daemon's business: there is nobody to tell.
fn write(mut out: impl Write, notes: &Receiver<Note>, lost: &AtomicU64, form: Form) {
    for note in notes {
        match note {
            Note::Line(line) => drop(out.write_all(&line)),
            Note::Flush(done) => drop(done.send(())),
        }
        let missing = lost.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let said = Said::message(format!("{missing} lines are missing here: stderr was not read"));
            drop(out.write_all(form.line(Level::WARN, &said, SystemTime::now()).as_bytes()));
        }
    }
}

impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        if self.channel.try_send(Note::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Lines;
    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Condvar, Mutex};

    /// An output that blocks until it is opened.
    #[derive(Clone, Default)]
    struct Gate {
        open: Arc<(Mutex<bool>, Condvar)>,
        out: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let (open, opened) = &*self.open;
            drop(opened.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
            self.out.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stderr_that_nobody_reads_blocks_nobody_and_the_gap_is_said() {
        let gate = Gate::default();
        let lines = Lines::to(gate.clone(), Form::Journal).unwrap();
        let total = 3 * WAITING;
        for n in 0..total {
            (&lines).write_all(format!("<6>line {n}\n").as_bytes()).unwrap();
        }
        *gate.open.0.lock().unwrap() = true;
        gate.open.1.notify_all();
        // Written or missing, every line is accounted for in the end.
        let patience = std::time::Instant::now() + Duration::from_secs(60);
        let (mut written, mut missing) = (0, 0);
        while written + missing < total && std::time::Instant::now() < patience {
            lines.flush(Duration::from_millis(100));
            let text = String::from_utf8(gate.out.lock().unwrap().clone()).unwrap();
            written = text.lines().filter(|line| line.starts_with("<6>line ")).count();
            let gaps = text.lines().filter_map(|line| line.strip_prefix("<4>"));
            missing = gaps.map(|line| line.split(' ').next().unwrap().parse::<usize>().unwrap()).sum();
        }
        assert!(written >= WAITING, "{written}");
        assert_eq!(written + missing, total);
    }
}
