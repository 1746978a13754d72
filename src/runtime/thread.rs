//! Named, pinned threads whose end is always reported.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use crate::telemetry::counters::ThreadMeter;

/// How a thread ended, as main hears it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The thread's name.
    pub name: String,
    /// Whether it panicked rather than returned.
    pub panicked: bool,
}

/// Reports the end of the thread that owns it, also when it unwinds.
struct Guard {
    name: String,
    ended: Sender<Ended>,
    wake_main: Arc<dyn Fn() + Send + Sync>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let report = Ended { name: std::mem::take(&mut self.name), panicked: std::thread::panicking() };
        // Main gone first means that the process is ending anyway.
        if self.ended.send(report).is_ok() {
            (self.wake_main)();
        }
    }
}

/// Starts threads and tells main when one ends.
#[derive(Clone)]
pub struct Spawner {
    ended: Sender<Ended>,
    wake_main: Arc<dyn Fn() + Send + Sync>,
}

impl Spawner {
    /// `wake_main` is called after each report.
    pub fn new(ended: Sender<Ended>, wake_main: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self { ended, wake_main }
    }

    /// Starts a thread named `meter.name`, pinned to `core` when given (a refusal is recorded
    /// in the meter and logged once; the thread runs anyway).
    pub fn spawn(
        &self,
        meter: Arc<ThreadMeter>,
        core: Option<usize>,
        body: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<std::thread::JoinHandle<()>> {
        let guard = Guard {
            name: meter.name.clone(),
            ended: self.ended.clone(),
            wake_main: Arc::clone(&self.wake_main),
        };
        std::thread::Builder::new().name(meter.name.clone()).spawn(move || {
            let _guard = guard;
            if let Some(core) = core {
                let pinned = core_affinity::set_for_current(core_affinity::CoreId { id: core });
                meter.set_pinned(pinned);
                if !pinned {
                    tracing::warn!(
                        thread = meter.name,
                        core,
                        "the kernel refused to pin a thread; it runs unpinned (threads.pin = false \
                         silences this)"
                    );
                }
            }
            body();
        })
    }
}
