//! A stage, and the loop that runs one on its thread.

use std::time::Duration;

use super::clock::{Clock, Now};
use super::wake::{Bell, PULSE};
use crate::telemetry::counters::ThreadMeter;

/// A turn longer than this is counted: something blocked, or the host took the core away.
pub const SLOW_TURN_NS: u64 = 10_000_000;

/// What a turn did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Something; poll again.
    Worked,
    /// Nothing: sleep until a bell for one of `awaits` or until `deadline_ns` (monotonic).
    Idle {
        /// When to look again by itself; `None`: only when woken.
        deadline_ns: Option<u64>,
        /// Reasons to be woken, as in [`super::wake`].
        awaits: u8,
    },
    /// The input has ended and everything is handed on. The stage is dropped, which closes its
    /// outputs.
    Done,
}

/// One step of the pipeline. It spawns nothing, and it never sleeps: time is an argument.
pub trait Stage: Send {
    /// Does a bounded amount of work.
    fn poll(&mut self, now: Now) -> Progress;

    /// Whether others that wait for the core go first between two turns of work: for what may wait.
    fn gives_way(&self) -> bool {
        false
    }

    /// Whether it may poll instead of sleeping where the configuration says so: not without a core of
    /// its own.
    fn may_spin(&self) -> bool {
        true
    }

    /// Sleeps; the ingest stage overrides this to sleep in its `mio::Poll`.
    fn wait(&mut self, bell: &Bell, timeout: Option<Duration>) {
        bell.sleep(timeout);
    }
}

/// Runs `stage` until it is done: work, look once more, sleep. With `spin` it never sleeps.
pub fn run(stage: &mut dyn Stage, bell: &Bell, clock: Clock, meter: &ThreadMeter, spin: bool) {
    bell.attach();
    let spin = spin && stage.may_spin();
    let mut now = clock.now();
    loop {
        let turn_start_ns = now.mono_ns;
        let progress = stage.poll(now);
        now = clock.now();
        meter.turn(now.mono_ns.saturating_sub(turn_start_ns), progress == Progress::Worked);
        match progress {
            Progress::Worked if stage.gives_way() => std::thread::yield_now(),
            Progress::Worked => {}
            Progress::Done => return,
            Progress::Idle { .. } if spin => {
                std::hint::spin_loop();
                stage.wait(bell, Some(Duration::ZERO));
            }
            Progress::Idle { awaits, .. } => {
                bell.prepare(awaits | PULSE);
                // The second look that the protocol demands. A stage that now awaits other
                // reasons has changed its mind: start over.
                match stage.poll(now) {
                    Progress::Idle { deadline_ns, awaits: again } if again == awaits => {
                        let timeout =
                            deadline_ns.map(|at| Duration::from_nanos(at.saturating_sub(now.mono_ns)));
                        stage.wait(bell, timeout);
                    }
                    Progress::Done => {
                        bell.cancel();
                        return;
                    }
                    _ => {}
                }
                bell.cancel();
                now = clock.now();
            }
        }
    }
}
