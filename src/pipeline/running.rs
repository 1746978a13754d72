//! What main has a running daemon do.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Running, letters, pin_alerts};
use crate::config::Config;
use crate::runtime::wake::{Bell, INPUT, SPACE};
use crate::stages::http::Phase;
use crate::stages::settings::Settings;
use crate::telemetry::counters::ThreadMeter;

impl Running {
    /// All threads run: `/health` says so from here on.
    pub fn set_ready(&self) {
        self.shared.set_phase(Phase::Ready);
    }

    /// The threads of the pipeline, each with the bell that wakes it.
    pub fn stages(&self) -> impl Iterator<Item = (&ThreadMeter, &Bell)> {
        let meters = self.telemetry.threads.iter().map(Arc::as_ref);
        meters.zip(self.bells.iter().map(Arc::as_ref))
    }

    /// Puts in force what of `config` can change while running, all of it at once: each stage
    /// sees it at its next turn. With `keep_rules` the rules stay, whoever has set them.
    pub fn put_in_force(&self, config: &Config, keep_rules: bool) {
        pin_alerts(&self.dictionary, config);
        self.settings.update(|old| {
            let new = Settings::new(config);
            if keep_rules { Settings { rules: old.rules.clone(), ..new } } else { new }
        });
    }

    /// Begins the drain: the end of input travels from here.
    pub fn begin_drain(&self) {
        self.shared.set_phase(Phase::Draining);
        self.orders.drain.store(true, Ordering::Relaxed);
        self.ingest_bells.iter().for_each(|bell| bell.ring(INPUT));
    }

    /// Has ingest read no events, or go on.
    pub fn stop_reading(&self, stop: bool) {
        self.orders.stop_reading.store(stop, Ordering::Relaxed);
        self.ingest_bells.iter().for_each(|bell| bell.ring(SPACE));
    }

    /// `limits.memory` as it is in force, bytes.
    pub fn memory_limit(&self) -> u64 {
        self.settings.get().memory as u64
    }

    /// Whether all stages have ended; HTTP still answers then.
    pub fn is_drained(&self) -> bool {
        self.stages.iter().all(JoinHandle::is_finished)
    }

    /// Ends HTTP and waits for all threads, and for SSE clients to be given the last results,
    /// at most `patience`. Only after [`Running::is_drained`].
    pub fn finish(self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while self.shared.sse_open.load(Ordering::Acquire) > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.shared.stop();
        for thread in self.stages.into_iter().chain(self.http_workers) {
            // A panic has been reported by the thread's own guard.
            drop(thread.join());
        }
        letters::wait(self.letters, deadline);
    }
}
