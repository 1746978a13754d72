//! The file of dead letters: its ring, its stage and its thread, which is there only if there is a file.
//! The watch does not look at it, for a disk may take its time.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::gauges::watched;
use crate::config::Config;
use crate::message::DeadLetter;
use crate::plan;
use crate::runtime::clock::Clock;
use crate::runtime::ring::{Rx, Tx, ring};
use crate::runtime::stage;
use crate::runtime::thread::Spawner;
use crate::runtime::wake::Bell;
use crate::stages::letters::{Letters, Options};
use crate::telemetry::counters::{InputRing, Telemetry};

/// The end at the file, not running.
pub(super) struct Filing {
    letters: Rx<Arc<DeadLetter>>,
    bell: Arc<Bell>,
    path: String,
    max_bytes: usize,
    kept: usize,
}

/// The ring from publish to the file, if there is one.
pub(super) fn ring_to_file(
    config: &Config,
    publish: &Arc<Bell>,
) -> (Option<Tx<Arc<DeadLetter>>>, Option<Filing>) {
    let config = &config.deadletters;
    if config.file.is_empty() {
        return (None, None);
    }
    let bell = Arc::new(Bell::park());
    let (tx, letters) = ring(plan::FILED_LETTERS, publish, &bell);
    let (path, max_bytes, kept) = (config.file.clone(), config.file_size, config.files);
    (Some(tx), Some(Filing { letters, bell, path, max_bytes, kept }))
}

impl Filing {
    /// The ring, for the meter of the thread.
    pub(super) fn watched(&self) -> InputRing {
        watched("letters", &self.letters)
    }

    /// Starts the thread, whose meter is the last.
    pub(super) fn spawn(
        self,
        spawner: &Spawner,
        telemetry: &Telemetry,
        clock: Clock,
    ) -> io::Result<JoinHandle<()>> {
        let options = Options {
            path: self.path.into(),
            max_bytes: self.max_bytes as u64,
            kept: self.kept,
            counters: Arc::clone(&telemetry.letters),
        };
        let mut stage = Letters::new(self.letters, options);
        let meter = telemetry.threads.last().map(Arc::clone);
        let meter = meter.ok_or_else(|| io::Error::other("there is no thread without a meter"))?;
        let (bell, own) = (self.bell, Arc::clone(&meter));
        spawner.spawn(meter, None, move || stage::run(&mut stage, &bell, clock, &own, false))
    }
}

/// Waits until the last letters are written, at most until `deadline`.
pub(super) fn wait(thread: Option<JoinHandle<()>>, deadline: Instant) {
    let Some(thread) = thread else { return };
    while !thread.is_finished() {
        if Instant::now() >= deadline {
            tracing::error!("the disk of deadletters.file does not answer; the last dead letters are lost");
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
