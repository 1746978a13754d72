//! Main's look at the daemon, once a second: do all threads of the pipeline turn, what is to be
//! said of problems, what does the status line say.
//!
//! A thread is asked for a sign of life by ringing its bell: one that works, waits or sleeps as it
//! should turns at least once, so a turn that takes too long and a lost wake-up look the same and
//! are both found. HTTP workers are not asked: clients may hold them up, and a stranger must not
//! be able to have the daemon restarted.

use std::time::{Duration, Instant};

use super::memory::Memory;
use super::notify;
use super::problems::Problems;
use crate::pipeline::Running;
use crate::runtime::wake::PULSE;
use crate::telemetry::counters::Telemetry;

/// Between two looks, at most.
const TICK: Duration = Duration::from_secs(1);
/// Between two signs of life that are asked for, without a watchdog.
const PULSE_EVERY: Duration = Duration::from_secs(5);
/// A thread that has not turned for this long is stalled, without a watchdog.
const STALLED: Duration = Duration::from_secs(15);
/// Between two status lines.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// The watch.
pub struct Watch {
    tick: Duration,
    last: Instant,
    pulse: Pulse,
    pulse_every: Duration,
    next_pulse: Instant,
    watched: bool,
    status_at: Instant,
    applied_at_status: u64,
    problems: Problems,
    memory: Memory,
}

impl Watch {
    /// Begins to watch; `fixed_bytes`: what rings, pools and history may take for good; `watchdog` as the service manager
    /// demands it.
    pub fn new(running: &Running, fixed_bytes: usize, watchdog: Option<Duration>, now: Instant) -> Self {
        // A hung thread is to end the daemon after half of it to one and a half.
        let every = watchdog.map_or(PULSE_EVERY, |interval| PULSE_EVERY.min(interval / 4));
        let stalled = watchdog.map_or(STALLED, |interval| interval / 2);
        Self {
            tick: TICK.min(every),
            last: now,
            pulse: Pulse::new(running.stages().count(), stalled, now),
            pulse_every: every,
            next_pulse: now,
            watched: watchdog.is_some(),
            status_at: now,
            applied_at_status: 0,
            problems: Problems::new(&running.telemetry, now),
            memory: Memory::new(fixed_bytes, now),
        }
    }

    /// When to look next.
    pub fn next(&self) -> Instant {
        (self.last + self.tick).min(self.memory.next())
    }

    /// Looks.
    pub fn tick(&mut self, running: &Running, now: Instant) {
        if now >= self.memory.next() {
            self.memory.look(running, now);
        }
        if now < self.last + self.tick {
            return;
        }
        let since = now.saturating_duration_since(self.last);
        self.last = now;
        if since > self.tick + self.pulse.stalled / 2 {
            // The whole process was stopped, or the machine slept: nobody could turn.
            tracing::warn!("the process did not run for {:.0} s", since.as_secs_f64());
            self.pulse.forgive(now);
        }
        if now >= self.next_pulse {
            self.next_pulse = now + self.pulse_every;
            self.look_at_stages(running, now);
        }
        self.problems.look(&running.telemetry, now);
        if now.saturating_duration_since(self.status_at) >= STATUS_EVERY {
            notify::status(&self.status(&running.telemetry, now));
        }
    }

    fn look_at_stages(&mut self, running: &Running, now: Instant) {
        let mut stalled = 0;
        for (at, (meter, bell)) in running.stages().enumerate() {
            match self.pulse.look(at, meter.turns(), now) {
                Found::Turning => {}
                Found::Stalled { since, news } => {
                    stalled += 1;
                    if news {
                        let (thread, seconds) = (meter.name.as_str(), since.as_secs());
                        let end = if self.watched { "; the watchdog will end the daemon" } else { "" };
                        tracing::error!(thread, "a thread has not turned for {seconds} s{end}");
                    }
                }
                Found::Recovered => {
                    tracing::warn!(thread = meter.name.as_str(), "a stalled thread turns again");
                }
            }
            bell.ring(PULSE);
        }
        running.telemetry.control.set_threads_stalled(stalled);
        if stalled == 0 {
            notify::alive();
        }
    }

    /// What `systemctl status` shows.
    fn status(&mut self, telemetry: &Telemetry, now: Instant) -> String {
        let events = telemetry.events();
        let seconds = now.saturating_duration_since(self.status_at).as_secs_f64();
        let rate = events.applied.saturating_sub(self.applied_at_status) as f64 / seconds.max(0.001);
        self.status_at = now;
        self.applied_at_status = events.applied;
        format!(
            "{rate:.0} events/s applied, {} connections, {} events applied, {} late, {} rejected, {} dropped",
            telemetry.ingest_sum(|lane| &lane.open),
            events.applied,
            events.late,
            events.rejected_total(),
            events.dropped,
        )
    }
}

/// Who has turned since when.
struct Pulse {
    stages: Vec<Stage>,
    stalled: Duration,
}

struct Stage {
    turns: u64,
    turned_at: Instant,
    stalled: bool,
}

/// What a look at a thread finds.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Turning,
    Stalled { since: Duration, news: bool },
    Recovered,
}

impl Pulse {
    fn new(stages: usize, stalled: Duration, now: Instant) -> Self {
        let stage = || Stage { turns: 0, turned_at: now, stalled: false };
        Self { stages: (0..stages).map(|_| stage()).collect(), stalled }
    }

    /// Time in which no thread could run does not count.
    fn forgive(&mut self, now: Instant) {
        for stage in &mut self.stages {
            stage.turned_at = now;
        }
    }

    fn look(&mut self, at: usize, turns: u64, now: Instant) -> Found {
        let stage = &mut self.stages[at];
        if turns != stage.turns {
            stage.turns = turns;
            stage.turned_at = now;
            let recovered = std::mem::take(&mut stage.stalled);
            return if recovered { Found::Recovered } else { Found::Turning };
        }
        let since = now.saturating_duration_since(stage.turned_at);
        if since < self.stalled {
            return Found::Turning;
        }
        let news = !std::mem::replace(&mut stage.stalled, true);
        Found::Stalled { since, news }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_does_not_turn_is_stalled_once_and_recovers() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pulse = Pulse::new(2, Duration::from_secs(15), start);
        assert_eq!(pulse.look(0, 7, at(1)), Found::Turning);
        assert_eq!(pulse.look(0, 7, at(15)), Found::Turning);
        let since = Duration::from_secs(15);
        assert_eq!(pulse.look(0, 7, at(16)), Found::Stalled { since, news: true });
        assert_eq!(pulse.look(0, 7, at(16)), Found::Stalled { since, news: false });
        assert_eq!(pulse.look(0, 8, at(17)), Found::Recovered);
        assert_eq!(pulse.look(0, 8, at(18)), Found::Turning);
        // A thread that has never turned is as stalled as any.
        assert!(matches!(pulse.look(1, 0, at(20)), Found::Stalled { .. }));
        pulse.forgive(at(40));
        assert_eq!(pulse.look(0, 8, at(41)), Found::Turning);
    }
}
