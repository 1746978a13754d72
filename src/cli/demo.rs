//! `flumen demo`: daemon and generator together.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{DemoArgs, Failure, complain, load_config, say};
use crate::config::{self, Loaded, LogLevel, Origin};
use crate::generate::{self, GenerateArgs};
use crate::pipeline::sockets::Passed;
use crate::plan::{Machine, Plan};
use crate::runtime::heap;
use crate::supervise::{self, Supervisor};
use crate::telemetry::log;

/// Daemon and generator in one process: the generator stops first, then the daemon drains.
pub(super) fn demo(args: &DemoArgs) -> Result<u8, Failure> {
    let Loaded { mut config, origins } = load_config(&args.config, false)?;
    // The default ports if they are free, else any; those that somebody has chosen as they are.
    let is_default = |key| {
        let option = config::options::by_key(key);
        option.is_some_and(|option| *origins.option(option) == Origin::Default)
    };
    for (key, listen) in
        [("ingest.listen", &mut config.ingest.listen), ("http.listen", &mut config.http.listen)]
    {
        if is_default(key) && std::net::TcpListener::bind(*listen).is_err() {
            say(format!("{key} = {listen} is taken: another port\n"))?;
            listen.set_port(0);
        }
    }
    let plan = Plan::new(&config, &Machine::detect());
    let mut supervisor = Supervisor::new()?;
    let clock = crate::runtime::clock::Clock::start();
    if is_default("log.level") {
        // The demo's own words are enough.
        config.log.level = LogLevel::Warn;
    }
    heap::share();
    let _log = log::start(&config.log)?;
    let passed = Passed::default();
    let running = match supervise::start(&mut supervisor, &config, &plan, passed, clock)? {
        ControlFlow::Continue(running) => running,
        ControlFlow::Break(code) => return Ok(code),
    };
    let generate = GenerateArgs {
        url: format!("ws://{}/ws/ingest", running.ingest),
        rate: args.rate,
        duration: args.duration,
        quiet: true,
        ..GenerateArgs::default()
    };
    // A terminal that has gone is heard of by its signal.
    let welcome = format!(
        "flumen demo: {} events/s from a generator to a daemon in this process\n\n    dashboard   http://{}/\n    \
         events in   ws://{}/ws/ingest\n\nCtrl-C ends it.\n",
        args.rate, running.http, running.ingest
    );
    say(welcome).ok();
    let stop = Arc::new(AtomicBool::new(false));
    let generator = std::thread::Builder::new().name("generate".to_owned()).spawn({
        let stop = Arc::clone(&stop);
        move || generate::run(&generate, &stop)
    })?;
    let mut code = None;
    while code.is_none() && !generator.is_finished() {
        // The generator, which may fail at any time, wakes nobody.
        let soon = std::time::Instant::now() + std::time::Duration::from_millis(100);
        match supervisor.wait(Some(soon))? {
            // SIGHUP: there is no reload here, and the terminal has gone.
            supervise::Wake::Stop | supervise::Wake::Reload => break,
            supervise::Wake::Ended(ended) => code = Some(supervisor.died(ended)),
            supervise::Wake::Timeout => {}
        }
    }
    stop.store(true, Ordering::Relaxed);
    let failed = match generator.join() {
        Ok(Ok(summary)) => {
            say(format!("{summary}\n")).ok();
            None
        }
        Ok(Err(error)) => Some(format!("the generator failed: {error}")),
        Err(_) => Some("the generator panicked".to_owned()),
    };
    if let Some(message) = &failed {
        complain(message);
    }
    let code = match code {
        Some(code) => code,
        None => supervise::drain(&mut supervisor, running, config.shutdown.timeout)?,
    };
    Ok(if code == 0 && failed.is_some() { 1 } else { code })
}
