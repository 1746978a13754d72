//! Main's part: signals, the watch over the threads, reload, and the order of stop.
//!
//! Main sleeps in a blocking read of a socket pair. Signal handlers (signal-hook) and ending
//! threads write a byte to its other end. Once a second it looks at the daemon ([`watch`]).

mod memory;
pub mod notify;
pub mod problems;
pub mod reload;
pub mod watch;

use std::io::Read;
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::config::Config;
use crate::pipeline::sockets::Passed;
use crate::pipeline::{self, Running};
use crate::plan::Plan;
use crate::runtime::clock::Clock;
use crate::runtime::thread::{Ended, Spawner};
use reload::{InForce, Outcome, Rules};
use watch::Watch;

/// Exit code of a daemon whose thread died (EX_SOFTWARE of sysexits.h).
pub const EXIT_THREAD_DIED: u8 = 70;
/// Exit code of a drain that took longer than `shutdown.timeout`.
pub const EXIT_DRAIN_TIMEOUT: u8 = 75;

/// How long threads may take to begin.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a thread that panics may take to be heard of once those behind it have ended.
const UNWIND: Duration = Duration::from_millis(500);
/// How often the watchdog hears of a drain.
const ALIVE_EVERY: Duration = Duration::from_millis(100);
/// How long SSE clients may take to read the last results.
const LAST_RESULTS: Duration = Duration::from_secs(2);

/// Main's ear: signals and ends of threads.
pub struct Supervisor {
    stream: UnixStream,
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    ended: Receiver<Ended>,
    /// For starting threads that report here.
    pub spawner: Spawner,
}

/// Why main woke up.
#[derive(Debug, PartialEq, Eq)]
pub enum Wake {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
    /// A thread has ended.
    Ended(Ended),
    /// The time asked for is over.
    Timeout,
}

impl Supervisor {
    /// Registers the signal handlers.
    pub fn new() -> std::io::Result<Self> {
        let (stream, waker) = UnixStream::pair()?;
        waker.set_nonblocking(true)?;
        let (stop, reload) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        for (signal, flag) in [(SIGTERM, &stop), (SIGINT, &stop), (SIGHUP, &reload)] {
            // The flag is set before the byte is written: handlers run in this order.
            signal_hook::flag::register(signal, Arc::clone(flag))?;
            signal_hook::low_level::pipe::register(signal, waker.try_clone()?)?;
        }
        let (tx, ended) = channel();
        let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
            use std::io::Write;
            // A full pair wakes main just as well.
            drop((&waker).write(&[0]));
        });
        Ok(Self { stream, stop, reload, ended, spawner: Spawner::new(tx, wake) })
    }

    /// Who is to blame: a thread that panics drops its rings before its end is reported, and those
    /// behind it, whose input that ends, may be heard of first.
    fn culprit(&self, first: Ended) -> Ended {
        let deadline = Instant::now() + UNWIND;
        let mut next = Ok(first.clone());
        while let Ok(ended) = next {
            if ended.panicked {
                return ended;
            }
            next = self.ended.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        }
        first
    }

    /// Says which thread died; returns the exit code for it.
    pub fn died(&self, ended: Ended) -> u8 {
        let ended = self.culprit(ended);
        let how = if ended.panicked { "panicked" } else { "ended" };
        tracing::error!(
            thread = ended.name,
            "a thread {how}; a daemon without it would only look alive, so the process ends"
        );
        EXIT_THREAD_DIED
    }

    /// Sleeps until something happens or `deadline` has come.
    pub fn wait(&mut self, deadline: Option<Instant>) -> std::io::Result<Wake> {
        loop {
            if let Ok(ended) = self.ended.try_recv() {
                return Ok(Wake::Ended(ended));
            }
            if self.stop.swap(false, Ordering::Relaxed) {
                return Ok(Wake::Stop);
            }
            if self.reload.swap(false, Ordering::Relaxed) {
                return Ok(Wake::Reload);
            }
            let timeout = match deadline {
                None => None,
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Ok(Wake::Timeout);
                    }
                    Some(left)
                }
            };
            self.stream.set_read_timeout(timeout)?;
            match self.stream.read(&mut [0; 64]) {
                Ok(_) => {}
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
        }
    }
}

/// Runs the daemon until it is told to stop; returns the exit code. `reload` makes the new
/// configuration on SIGHUP; `ready` is called once the ports are bound and all threads run.
pub fn run(
    supervisor: &mut Supervisor,
    config: &Config,
    plan: &Plan,
    passed: Passed,
    reload: impl Fn() -> Result<Config, String>,
    ready: impl FnOnce(&Running) -> std::io::Result<()>,
) -> std::io::Result<u8> {
    let clock = Clock::start();
    let running = match start(supervisor, config, plan, passed, clock)? {
        ControlFlow::Continue(running) => running,
        ControlFlow::Break(code) => return Ok(code),
    };
    ready(&running)?;
    notify::ready("ready");
    let mut watch = Watch::new(&running, plan.lasting_bytes(), notify::watchdog(), Instant::now());
    let mut in_force = InForce::new(config);
    loop {
        match supervisor.wait(Some(watch.next()))? {
            Wake::Stop => break,
            Wake::Reload => {
                notify::reloading();
                let control = &running.telemetry.control;
                let status = match reload() {
                    Ok(new) => {
                        let outcome = in_force.take_over(&new);
                        running.put_in_force(in_force.config(), outcome.rules == Rules::Kept);
                        control.reload_succeeded(clock.now().wall_us);
                        tell_reload(&outcome);
                        "reloaded"
                    }
                    Err(why) => {
                        control.reload_refused();
                        tracing::error!("reload refused, the old configuration stays");
                        why.lines().for_each(|line| tracing::error!("{line}"));
                        "reload refused, the old configuration stays"
                    }
                };
                notify::ready(status);
            }
            Wake::Ended(ended) => return Ok(supervisor.died(ended)),
            Wake::Timeout => watch.tick(&running, Instant::now()),
        }
    }
    drain(supervisor, running, config.shutdown.timeout)
}

/// Starts the daemon and waits until every thread of the pipeline has turned once; `/health` says so
/// from then on. Breaks with the exit code if it was told to stop meanwhile, or if a thread has died.
pub fn start(
    supervisor: &mut Supervisor,
    config: &Config,
    plan: &Plan,
    passed: Passed,
    clock: Clock,
) -> std::io::Result<ControlFlow<u8, Running>> {
    let running = pipeline::start(config, plan, &supervisor.spawner, passed, clock)?;
    let deadline = Instant::now() + START_TIMEOUT;
    let not_begun = |running: &Running| {
        let first = running.stages().find(|(meter, _)| meter.turns() == 0);
        first.map(|(meter, _)| meter.name.clone())
    };
    let mut reload = false;
    while let Some(thread) = not_begun(&running) {
        if Instant::now() >= deadline {
            let message = format!("thread {thread} has not begun within {START_TIMEOUT:?}");
            return Err(std::io::Error::other(message));
        }
        match supervisor.wait(Some(Instant::now() + Duration::from_millis(1)))? {
            Wake::Timeout => {}
            Wake::Reload => reload = true,
            Wake::Ended(ended) => return Ok(ControlFlow::Break(supervisor.died(ended))),
            Wake::Stop => return drain(supervisor, running, config.shutdown.timeout).map(ControlFlow::Break),
        }
    }
    // Whoever has asked for a reload meanwhile is answered once there is somebody to do it.
    supervisor.reload.fetch_or(reload, Ordering::Relaxed);
    running.set_ready();
    Ok(ControlFlow::Continue(running))
}

/// Says what came of a reload.
fn tell_reload(outcome: &Outcome) {
    let (taken, left) = (outcome.taken_over.len(), outcome.needs_restart.len());
    tracing::info!("reloaded: {taken} changes taken over, {left} left for the next start");
    tracing::info!("reloaded: {}", outcome.rules);
    for change in &outcome.taken_over {
        tracing::info!("reloaded: {change}");
    }
    for change in &outcome.needs_restart {
        tracing::warn!("takes effect at the next start: {change}");
    }
}

/// Drains; the exit code says whether everything came through in time.
pub fn drain(supervisor: &mut Supervisor, running: Running, timeout: Duration) -> std::io::Result<u8> {
    notify::stopping(timeout);
    tracing::info!("draining, at most {timeout:?} (shutdown.timeout)");
    let start = Instant::now();
    let deadline = start + timeout;
    let mut alive_at = start;
    running.begin_drain();
    while !running.is_drained() {
        // The report of a thread's end comes just before the end itself.
        let soon = Instant::now() + Duration::from_millis(5);
        match supervisor.wait(Some(deadline.min(soon)))? {
            Wake::Ended(ended) if ended.panicked => return Ok(supervisor.died(ended)),
            Wake::Timeout if Instant::now() >= deadline => {
                tracing::error!("the drain took longer than shutdown.timeout ({timeout:?}); ending anyway");
                return Ok(EXIT_DRAIN_TIMEOUT);
            }
            _ => {}
        }
        // The drain has a limit of its own; the watchdog is not to be a second one.
        if Instant::now() >= alive_at {
            alive_at += ALIVE_EVERY;
            notify::alive();
        }
    }
    let telemetry = std::sync::Arc::clone(&running.telemetry);
    let left = deadline.saturating_duration_since(Instant::now());
    running.finish(left.min(LAST_RESULTS));
    let events = telemetry.events();
    tracing::info!(
        received = events.received,
        applied = events.applied,
        filtered = events.filtered,
        late = events.late,
        rejected = events.rejected_total(),
        dropped = events.dropped,
        in_flight = events.in_flight(),
        "drained in {:.2} s",
        start.elapsed().as_secs_f64()
    );
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load_text;
    use crate::plan::Machine;

    #[test]
    fn a_reload_that_is_asked_for_during_the_start_is_done_after_it() {
        let (stream, _waker) = UnixStream::pair().unwrap();
        let (tx, ended) = channel();
        let mut supervisor = Supervisor {
            stream,
            stop: Arc::default(),
            reload: Arc::new(true.into()),
            ended,
            spawner: Spawner::new(tx, Arc::new(|| {})),
        };
        let listen = "listen = \"127.0.0.1:0\"\n";
        let config =
            load_text("f", &format!("[ingest]\n{listen}[http]\n{listen}[shutdown]\ntimeout = \"60s\"\n"))
                .unwrap()
                .config;
        let plan = Plan::new(&config, &Machine { cores: vec![], descriptors: usize::MAX });
        let started = start(&mut supervisor, &config, &plan, Passed::default(), Clock::start()).unwrap();
        assert_eq!(supervisor.wait(Some(Instant::now())).unwrap(), Wake::Reload);
        let ControlFlow::Continue(running) = started else { panic!("it was told to stop") };
        assert_eq!(drain(&mut supervisor, running, config.shutdown.timeout).unwrap(), 0);
    }
}
