//! The command line: subcommands, flags, what they print and the exit codes.
//!
//! Exit codes follow sysexits.h: 0 done, 1 failed, 2 wrong usage (clap), 70 a thread died,
//! 75 the drain timed out, 78 the configuration is bad.

mod manual;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Generator;

use crate::config::{self, Config, Errors, Flag, Loaded, LogLevel, Origin, Sources, effective};
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
    Check(CheckArgs),
    /// Print the configuration in effect, and where each value came from
    Config(ShowArgs),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
        /// Write them into a file of this directory, named as the shell wants it
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Print the manual page flumen(1), in roff
    Man {
        /// Write all pages into this directory: flumen(1), one for each subcommand, flumen.toml(5)
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
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
    /// Set any option, for example limits.keys=5000; may be given several times and wins over all else
    #[arg(long, value_name = "KEY=VALUE", value_parser = Flag::set)]
    set: Vec<Flag>,
}

#[derive(Args, Clone, Debug)]
struct CheckArgs {
    /// The configuration file, as with --config
    #[arg(conflicts_with = "config")]
    file: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
    /// Print nothing when the configuration is good
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Args, Clone, Debug)]
struct ShowArgs {
    /// The configuration file, as with --config
    #[arg(conflicts_with = "config")]
    file: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
    /// Only what the file, the environment or a flag has set
    #[arg(long)]
    changed: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
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
    /// A line for each thing that is wrong, so that editors find file, line and column.
    fn config(errors: Errors) -> Self {
        let n = errors.0.len();
        let things = if n == 1 { "thing is" } else { "things are" };
        let message = format!(
            "{n} {things} wrong with the configuration:\n{errors}\nflumen.toml(5) explains every option; \
             `flumen config` shows those in effect"
        );
        Self { code: EXIT_CONFIG, message }
    }
}

impl ConfigArgs {
    /// With a file that was given by itself.
    fn with_file(self, file: Option<PathBuf>) -> Self {
        Self { config: file.or(self.config), ..self }
    }

    /// The flags that set an option, weakest first.
    fn flags(&self) -> impl Iterator<Item = Flag> {
        let own = [
            ("ingest.listen", &self.ingest_listen),
            ("http.listen", &self.http_listen),
            ("log.level", &self.log_level),
            ("log.format", &self.log_format),
        ];
        let own = own.into_iter().filter_map(|(key, value)| Some(Flag::own(key, value.as_deref()?)));
        own.chain(self.set.iter().cloned())
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
            let config = load_config(&args.config.with_file(args.file))?.config;
            if !args.quiet {
                println!("the configuration is good");
                println!("{}", Plan::new(&config, &Machine::detect()));
            }
            Ok(0)
        }
        Command::Config(args) => {
            let loaded = load_config(&args.config.with_file(args.file))?;
            let text = if args.json {
                format!("{:#}\n", effective::json(&loaded, args.changed))
            } else {
                effective::toml(&loaded, args.changed)
            };
            std::io::stdout().write_all(text.as_bytes())?;
            Ok(0)
        }
        Command::Completions { shell, dir } => {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "flumen", &mut out);
            match dir {
                Some(dir) => write_file(&dir, &shell.file_name("flumen"), &out)?,
                None => std::io::stdout().write_all(&out)?,
            }
            Ok(0)
        }
        Command::Man { dir } => {
            match dir {
                Some(dir) => manual::write(Cli::command(), &dir)?,
                None => std::io::stdout().write_all(&manual::top(Cli::command())?)?,
            }
            Ok(0)
        }
    }
}

/// Writes a file into a directory, which is made if need be; an error names what could not be
/// written.
fn write_file(dir: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let path = dir.join(name);
    let written = std::fs::create_dir_all(dir).and_then(|()| std::fs::write(&path, bytes));
    written.map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display())))
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

fn load_config(args: &ConfigArgs) -> Result<Loaded, Failure> {
    let from_env = std::env::var_os("FLUMEN_CONFIG").map(PathBuf::from);
    let file = args.config.clone().or(from_env);
    let (env, flags) = (std::env::vars_os().collect(), args.flags().collect());
    let sources = Sources { file: file.as_deref(), env, flags };
    config::load(&sources).map_err(Failure::config)
}

/// The daemon. What it says goes to the log, what keeps it from starting included; only who calls
/// it wrongly is told on the terminal.
fn serve(args: &ServeArgs) -> Result<u8, Failure> {
    // Before there are threads.
    let passed = Passed::take();
    let loaded = load_config(&args.config);
    let form = loaded.as_ref().map_or_else(|_| log_alone(&args.config), |loaded| loaded.config.log.clone());
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
    let reload = || match load_config(&args.config) {
        Ok(loaded) => Ok(loaded.config),
        Err(failure) => Err(failure.message),
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
    let Loaded { mut config, origins } = load_config(&args.config)?;
    // The default ports if they are free, else any; those that somebody has chosen as they are.
    let is_default = |key| {
        let option = config::options::by_key(key);
        option.is_some_and(|option| *origins.option(option) == Origin::Default)
    };
    for (key, listen) in
        [("ingest.listen", &mut config.ingest.listen), ("http.listen", &mut config.http.listen)]
    {
        if is_default(key) && std::net::TcpListener::bind(*listen).is_err() {
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
