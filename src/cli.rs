//! The command line: subcommands, flags, what they print and the exit codes.
//!
//! Exit codes follow sysexits.h: 0 done, 1 failed, 2 wrong usage (clap), 70 a thread died,
//! 75 the drain timed out, 78 the configuration is bad.

mod demo;
mod manual;
mod serve;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Generator;

use crate::config::{self, Errors, Flag, Loaded, Sources, effective};
use crate::generate::{self, GenerateArgs};
use crate::load::{self, LoadArgs};
use crate::plan::{Machine, Plan};

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
    /// Print the configuration in effect, where each value came from and what that shadows
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

    /// The configuration file, if one is named.
    fn file(&self) -> Option<PathBuf> {
        // An empty variable names none, as one that is not set.
        let variable = || std::env::var_os("FLUMEN_CONFIG").filter(|name| !name.is_empty());
        self.config.clone().or_else(|| variable().map(PathBuf::from))
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
            complain(&failure.message);
            failure.code
        }
    }
}

fn run(cli: Cli) -> Result<u8, Failure> {
    match cli.command {
        Command::Serve(args) => serve::serve(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Generate(args) => {
            let stop = stop_on_signal()?;
            let summary = generate::run(&args, &stop)?;
            say(format!("{summary}\n"))?;
            Ok(0)
        }
        Command::Load(args) => {
            let stop = stop_on_signal()?;
            load::run(&args, &stop, &mut |text| say(text))?;
            Ok(0)
        }
        Command::Check(args) => {
            let args = CheckArgs { config: args.config.with_file(args.file), file: None, ..args };
            let config = load_config(&args.config, false)?.config;
            let what = match args.config.file() {
                Some(file) => file.display().to_string(),
                None => "no file was named: defaults, environment and flags".to_owned(),
            };
            if !args.quiet {
                let plan = Plan::new(&config, &Machine::detect());
                say(format!("{what}: good\n{plan}\n"))?;
            }
            Ok(0)
        }
        Command::Config(args) => {
            let loaded = load_config(&args.config.with_file(args.file), false)?;
            let text = if args.json {
                format!("{:#}\n", effective::json(&loaded, args.changed))
            } else {
                effective::toml(&loaded, args.changed)
            };
            say(text)?;
            Ok(0)
        }
        Command::Completions { shell, dir } => {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "flumen", &mut out);
            match dir {
                Some(dir) => write_file(&dir, &shell.file_name("flumen"), &out)?,
                None => say(out)?,
            }
            Ok(0)
        }
        Command::Man { dir } => {
            match dir {
                Some(dir) => manual::write(Cli::command(), &dir)?,
                None => say(manual::top(Cli::command())?)?,
            }
            Ok(0)
        }
    }
}

/// Says what is wrong; if nobody hears it, the exit code does.
fn complain(message: &str) {
    writeln!(std::io::stderr(), "flumen: {message}").ok();
}

/// Prints; whoever reads no further has what it wanted.
fn say(text: impl AsRef<[u8]>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_ref()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
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

/// `again`: at a reload.
fn load_config(args: &ConfigArgs, again: bool) -> Result<Loaded, Failure> {
    let file = args.file();
    let (env, flags) = (std::env::vars_os().collect(), args.flags().collect());
    let sources = Sources { file: file.as_deref(), again, env, flags };
    config::load(&sources).map_err(Failure::config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
