//! The command line: subcommands, flags, what they print and the exit codes.
//!
//! Exit codes follow sysexits.h: 0 done, 1 failed, 2 wrong usage (clap), 70 a thread died,
//! 75 the drain timed out, 78 the configuration is bad.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::{self, Config, LogLevel};
use crate::generate::{self, GenerateArgs};
use crate::load::{self, LoadArgs};
use crate::pipeline::Running;
use crate::pipeline::sockets::Passed;
use crate::plan::{Machine, Plan};
use crate::supervise::{self, Supervisor};
use crate::telemetry::log;

/// Exit code for a bad configuration (EX_CONFIG of sysexits.h).
const EXIT_CONFIG: u8 = 78;

/// A stream of JSON events in over WebSocket, live windowed statistics out over SSE, JSON and
/// Prometheus.
#[derive(Debug, Parser)]
#[command(name = "flumen", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Serve(ServeArgs),
    /// Run the daemon and a generator together, to look at
    Demo(DemoArgs),
    /// Generate events and send them to a daemon
    Generate(GenerateArgs),
    /// Measure latency, open loop, from the intended send time to the acknowledgement
    Load(LoadArgs),
    /// Check a configuration and print what would run; exit code 78 when it is bad
    Check(ConfigArgs),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the man page (roff)
    Man,
}

/// Where the configuration comes from: defaults < file < FLUMEN_* environment < flags.
#[derive(Args, Clone, Debug, Default)]
struct ConfigArgs {
    /// Configuration file (TOML) [env: FLUMEN_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where events come in, for example 127.0.0.1:8000; port 0 takes any
    #[arg(long, value_name = "ADDR")]
    ingest_listen: Option<String>,
    /// Where results and the dashboard are, for example 127.0.0.1:8001; port 0 takes any
    #[arg(long, value_name = "ADDR")]
    http_listen: Option<String>,
    /// The least severe lines of the log: error, warn, info, debug
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// How lines of the log look: auto, text, journal, json
    #[arg(long, value_name = "FORM")]
    log_format: Option<String>,
}

#[derive(Args, Clone, Debug)]
struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Write `ingest=IP:PORT` and `http=IP:PORT`, one a line, once the daemon is ready
    #[arg(long, value_name = "FILE")]
    addresses_file: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
struct DemoArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Events per second
    #[arg(long, default_value_t = 1_000.0)]
    rate: f64,
    /// Stop by itself after this many seconds (0: at Ctrl-C)
    #[arg(long, default_value_t = 0.0)]
    duration: f64,
}

/// A failure with its exit code.
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn config(message: impl ToString) -> Self {
        Self { code: EXIT_CONFIG, message: message.to_string() }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { code: 1, message: error.to_string() }
    }
}

/// Runs the command line of this process; returns its exit code.
pub fn main() -> u8 {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("flumen: {}", failure.message);
            failure.code
        }
    }
}

fn run(cli: Cli) -> Result<u8, Failure> {
    match cli.command {
        Command::Serve(args) => serve(&args),
        Command::Demo(args) => demo(&args),
        Command::Generate(args) => {
            let stop = stop_on_signal()?;
            let summary = generate::run(&args, &stop)?;
            println!("{summary}");
            Ok(0)
        }
        Command::Load(args) => {
            let stop = stop_on_signal()?;
            load::run(&args, &stop, &mut std::io::stdout().lock())?;
            Ok(0)
        }
        Command::Check(args) => {
            let config = load_config(&args)?;
            println!("the configuration is good");
            println!("{}", Plan::new(&config, &Machine::detect()));
            Ok(0)
        }
        Command::Completions { shell } => {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "flumen", &mut out);
            std::io::stdout().write_all(&out)?;
            Ok(0)
        }
        Command::Man => {
            let mut out = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut out)?;
            std::io::stdout().write_all(&out)?;
            Ok(0)
        }
    }
}

/// A flag that SIGINT and SIGTERM set; a second signal ends the process at once.
fn stop_on_signal() -> std::io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

fn load_config(args: &ConfigArgs) -> Result<Config, Failure> {
    let env: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value)))
        .filter(|(key, _)| key.starts_with("FLUMEN_"))
        .map(|(key, value)| (key, value.to_string_lossy().into_owned()))
        .collect();
    let from_env = std::env::var_os("FLUMEN_CONFIG").map(PathBuf::from);
    let file = args.config.clone().or(from_env);
    let mut flags = Vec::new();
    for (key, value) in [
        ("ingest.listen", &args.ingest_listen),
        ("http.listen", &args.http_listen),
        ("log.level", &args.log_level),
        ("log.format", &args.log_format),
    ] {
        if let Some(value) = value {
            flags.push((key, value.clone()));
        }
    }
    config::load(&config::Sources { file: file.as_deref(), env, flags }).map_err(Failure::config)
}

/// The daemon. What it says goes to the log, what keeps it from starting included; only who calls
/// it wrongly is told on the terminal.
fn serve(args: &ServeArgs) -> Result<u8, Failure> {
    // Before there are threads.
    let passed = Passed::take();
    let config = load_config(&args.config);
    let form = config.as_ref().map_or_else(|_| log_alone(&args.config), |config| config.log.clone());
    let _log = log::start(&form)?;
    let code = config.and_then(|config| serve_with(args, &config, passed?));
    Ok(code.unwrap_or_else(|failure| {
        failure.message.lines().for_each(|line| tracing::error!("{line}"));
        failure.code
    }))
}

/// How to log that the configuration is bad: as far as environment and flags say.
fn log_alone(args: &ConfigArgs) -> config::Log {
    let mut config = Config::default();
    for (key, flag) in [("log.level", &args.log_level), ("log.format", &args.log_format)] {
        if let Some(option) = config::options::by_key(key) {
            let variable = std::env::var(option.variable()).ok();
            for text in [variable.as_ref(), flag.as_ref()].into_iter().flatten() {
                // If this is what is bad, it is among the errors.
                option.set_text(&mut config, text).ok();
            }
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
    let reload = || load_config(&args.config).map_err(|failure| failure.message);
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

/// Written beside and renamed, so that a reader never sees half of it.
fn write_addresses(file: &Path, running: &Running) -> std::io::Result<()> {
    let text = format!("ingest={}\nhttp={}\n", running.ingest, running.http);
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    let named = |error: std::io::Error| {
        let message = format!("--addresses-file {}: {error}", file.display());
        std::io::Error::new(error.kind(), message)
    };
    std::fs::write(&beside, text).map_err(named)?;
    std::fs::rename(&beside, file).map_err(named)
}

/// Daemon and generator in one process: the generator stops first, then the daemon drains.
fn demo(args: &DemoArgs) -> Result<u8, Failure> {
    let mut config = load_config(&args.config)?;
    // The default ports if they are free, else any.
    for (listen, given) in [
        (&mut config.ingest.listen, &args.config.ingest_listen),
        (&mut config.http.listen, &args.config.http_listen),
    ] {
        if given.is_none() && std::net::TcpListener::bind(*listen).is_err() {
            listen.set_port(0);
        }
    }
    let plan = Plan::new(&config, &Machine::detect());
    let mut supervisor = Supervisor::new()?;
    let clock = crate::runtime::clock::Clock::start();
    if config.log.level == LogLevel::Info {
        // The demo's own words are enough.
        config.log.level = LogLevel::Warn;
    }
    let _log = log::start(&config.log)?;
    let passed = Passed::default();
    let running = crate::pipeline::start(&config, &plan, &supervisor.spawner, passed, clock)?;
    match supervise::until_ready(&mut supervisor, &running)? {
        supervise::Wake::Ended(ended) => return Ok(supervise::died(&ended)),
        supervise::Wake::Stop => {
            return Ok(supervise::drain(&mut supervisor, running, config.shutdown.timeout)?);
        }
        _ => {}
    }
    let generate = GenerateArgs {
        url: format!("ws://{}/ws/ingest", running.ingest),
        rate: args.rate,
        duration: args.duration,
        quiet: true,
        ..GenerateArgs::default()
    };
    println!("flumen demo: {} events/s from a generator to a daemon in this process", args.rate);
    println!();
    println!("    dashboard   http://{}/", running.http);
    println!("    events in   ws://{}/ws/ingest", running.ingest);
    println!();
    println!("Ctrl-C ends it.");
    let stop = Arc::new(AtomicBool::new(false));
    let generator = std::thread::Builder::new().name("generate".to_owned()).spawn({
        let stop = Arc::clone(&stop);
        let wake = supervisor.waker();
        move || {
            let result = generate::run(&generate, &stop);
            wake();
            result
        }
    })?;
    let mut code = None;
    while code.is_none() && !generator.is_finished() {
        // The generator wakes main a moment before it has finished.
        let deadline = args.duration > 0.0;
        let soon = std::time::Instant::now() + std::time::Duration::from_millis(100);
        match supervisor.wait(deadline.then_some(soon))? {
            supervise::Wake::Stop => break,
            supervise::Wake::Ended(ended) => code = Some(supervise::died(&ended)),
            supervise::Wake::Reload | supervise::Wake::Timeout => {}
        }
    }
    stop.store(true, Ordering::Relaxed);
    match generator.join() {
        Ok(Ok(summary)) => println!("{summary}"),
        Ok(Err(error)) => eprintln!("flumen: the generator failed: {error}"),
        Err(_) => eprintln!("flumen: the generator panicked"),
    }
    match code {
        Some(code) => Ok(code),
        None => Ok(supervise::drain(&mut supervisor, running, config.shutdown.timeout)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
