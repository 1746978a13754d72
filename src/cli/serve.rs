//! `flumen serve`: the daemon.

use std::path::Path;

use super::{ConfigArgs, Failure, ServeArgs, load_config};
use crate::config::{self, Config};
use crate::pipeline::Running;
use crate::pipeline::sockets::Passed;
use crate::plan::{Machine, Plan};
use crate::runtime::heap;
use crate::supervise::{self, Supervisor};
use crate::telemetry::log;

/// The daemon. What it says goes to the log, what keeps it from starting included; only who calls
/// it wrongly is told on the terminal.
pub(super) fn serve(args: &ServeArgs) -> Result<u8, Failure> {
    // Before there are threads.
    let passed = Passed::take();
    let loaded = load_config(&args.config, false);
    let form = loaded.as_ref().map_or_else(|_| log_alone(&args.config), |loaded| loaded.config.log.clone());
    heap::share();
    let _log = log::start(&form)?;
    let code = loaded.and_then(|loaded| serve_with(args, &loaded.config, passed?));
    Ok(code.unwrap_or_else(|failure| {
        failure.message.lines().for_each(|line| tracing::error!("{line}"));
        failure.code
    }))
}

/// How to log that the configuration is bad: as far as environment and flags say.
fn log_alone(args: &ConfigArgs) -> config::Log {
    let mut config = Config::default();
    for option in config::options::OPTIONS.iter().filter(|option| option.section() == "log") {
        let variable = std::env::var(option.variable()).ok();
        let flags = args.flags().filter(|flag| flag.key == option.key).map(|flag| flag.value);
        for text in variable.into_iter().chain(flags) {
            // If this is what is bad, it is among the errors.
            option.set_text(&mut config, &text).ok();
        }
    }
    config.log
}

fn serve_with(args: &ServeArgs, config: &Config, passed: Passed) -> Result<u8, Failure> {
    let plan = Plan::new(config, &Machine::detect());
    for note in &plan.notes {
        tracing::info!("{note}");
    }
    let mut supervisor = Supervisor::new()?;
    let reload = || {
        let loaded = load_config(&args.config, true);
        loaded.map(|loaded| loaded.config).map_err(|failure| failure.message)
    };
    let code = supervise::run(&mut supervisor, config, &plan, passed, reload, |running| {
        announce(running);
        match &args.addresses_file {
            Some(file) => write_addresses(file, running),
            None => Ok(()),
        }
    })?;
    Ok(code)
}

fn announce(running: &Running) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        ingest = format!("ws://{}/ws/ingest", running.ingest),
        dashboard = format!("http://{}/", running.http),
        "ready"
    );
}

/// Written beside and renamed, so that a reader never sees half of it; what is there and is no regular file, a link
/// or a device, is to stay what it is.
fn write_addresses(file: &Path, running: &Running) -> std::io::Result<()> {
    let text = format!("ingest={}\nhttp={}\n", running.ingest, running.http);
    let written = if file.symlink_metadata().is_ok_and(|there| !there.is_file()) {
        std::fs::write(file, text)
    } else {
        let mut beside = file.as_os_str().to_owned();
        beside.push(".new");
        std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, file))
    };
    written.map_err(|error| {
        let message = format!("--addresses-file {}: {error}", file.display());
        std::io::Error::new(error.kind(), message)
    })
}
