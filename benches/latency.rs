//! Open-loop latency: intended send time to acknowledgement, by rate, beside the floor of a
//! plain WebSocket echo under the same load, interleaved with it round by round.
//!
//! ```text
//! cargo bench --bench latency -- [--rounds N] [--seconds S] [--only SUBSTRING] [--hgrm DIR]
//!                                [--json] [--smoke]
//! ```
//!
//! A step is void in a round in which less than 99.9 % of its load was offered, or something
//! stayed unacknowledged, was rejected, or lost its connection; its row says so. The client
//! (`flumen load`) runs on the same machine and takes its share of it.

mod support;

#[path = "support/echo.rs"]
mod echo;
#[path = "support/machine.rs"]
mod machine;
#[path = "support/steps.rs"]
mod steps;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use echo::Echo;
use serde_json::{Value, json};
use steps::{Case, Group, Outcome, Server};
use support::{Daemon, Mode, measure_t, spread};

/// After each step: what is left of its connections goes, and the next one starts in quiet.
const PAUSE: Duration = Duration::from_millis(200);

struct Flags {
    rounds: usize,
    seconds: Option<f64>,
    only: String,
    hgrm: Option<PathBuf>,
}

impl Flags {
    fn from_args(smoke: bool) -> Result<Self, String> {
        let mut flags = Self {
            rounds: if smoke { 1 } else { 5 },
            seconds: smoke.then_some(0.5),
            only: String::new(),
            hgrm: None,
        };
        let mut args = std::env::args().skip(1);
        while let Some(flag) = args.next() {
            // The first is cargo's.
            if ["--bench", "--smoke", "--json"].contains(&flag.as_str()) {
                continue;
            }
            let mut value = || args.next().ok_or(format!("{flag} needs a value"));
            let bad = |value: &str| format!("{flag} {value}: expected a number above 0");
            match flag.as_str() {
                "--rounds" => {
                    let text = value()?;
                    flags.rounds = text.parse().ok().filter(|&n| n > 0).ok_or(bad(&text))?;
                }
                "--seconds" => {
                    let text = value()?;
                    let seconds = text.parse().ok().filter(|&s: &f64| s > 0.0 && s.is_finite());
                    flags.seconds = Some(seconds.ok_or(bad(&text))?);
                }
                "--only" => flags.only = value()?,
                "--hgrm" => flags.hgrm = Some(PathBuf::from(value()?)),
                _ => {
                    return Err(format!(
                        "{flag}: unknown; there are --rounds, --seconds, --only, --hgrm, --json, --smoke"
                    ));
                }
            }
        }
        Ok(flags)
    }
}

/// All steps, each echo next to the daemon's step with the same load.
fn cases(smoke: bool, seconds: Option<f64>) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |server, group, clients, rate: u32, batch_ms, write_each| {
        // At 1,000/s a p99.99 of 5 s would be the maximum under another name.
        let seconds = seconds.unwrap_or(if rate <= 1_000 { 10.0 } else { 5.0 });
        cases.push(Case::new(server, group, clients, rate, batch_ms, write_each, seconds));
    };
    let rates: &[u32] =
        if smoke { &[500, 1_000] } else { &[1_000, 10_000, 25_000, 50_000, 100_000, 200_000] };
    let clients = if smoke { 10 } else { 100 };
    for &rate in rates {
        add(Server::Daemon, Group::Rates, clients, rate, 1, false);
        // Beyond that the client, the echo and two cores have no figures to give.
        if rate <= 100_000 {
            add(Server::Echo, Group::Rates, clients, rate, 1, false);
        }
    }
    let rate = if smoke { 1_000 } else { 100_000 };
    for server in [Server::Daemon, Server::Echo] {
        // A tick in as many ms as there are clients, whose ticks are spread evenly over it.
        add(server, Group::Batches, clients, rate, clients, false);
    }
    for clients in if smoke { vec![10] } else { vec![1, 10, 100] } {
        add(Server::Daemon, Group::WriteEach, clients, rate, 1, true);
        add(Server::Echo, Group::WriteEach, clients, rate, 1, true);
    }
    if !smoke {
        for (clients, rate) in [(10, 1_000), (20, 5_000), (50, 10_000), (100, 25_000)] {
            add(Server::Daemon, Group::Prototype, clients, rate, 10, false);
        }
    }
    cases
}

fn run(case: &Case, daemon: &Daemon, echo: &Echo, hgrm: Option<&Path>) -> Outcome {
    let (url, cpu_ns): (String, &dyn Fn() -> u64) = match case.server {
        Server::Daemon => (daemon.url(), &|| daemon.cpu_ns()),
        Server::Echo => (echo.url(), &|| echo.cpu_ns()),
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_flumen"));
    command.args(["load", "--json", "--url", &url]).args(case.load_args());
    if let Some(file) = hgrm {
        command.arg("--hgrm").arg(file);
    }
    let before_ns = cpu_ns();
    let output = command.output().expect("flumen load starts");
    let took_ns = cpu_ns() - before_ns;
    let all: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    if all[0].is_null() {
        return Outcome::failed(String::from_utf8_lossy(&output.stderr).trim());
    }
    Outcome::read(&all[0], took_ns)
}

fn main() {
    let mut mode = Mode::from_args("latency");
    let flags = Flags::from_args(mode.smoke).unwrap_or_else(|what| stop(&what));
    let mut cases = cases(mode.smoke, flags.seconds);
    let names: Vec<String> = cases.iter().map(|case| case.name.clone()).collect();
    cases.retain(|case| case.name.contains(&flags.only));
    if cases.is_empty() {
        stop(&format!("--only {}: no such step; there are\n  {}", flags.only, names.join("\n  ")));
    }
    if let Some(dir) = &flags.hgrm {
        std::fs::create_dir_all(dir).unwrap_or_else(|e| stop(&format!("--hgrm {}: {e}", dir.display())));
    }
    let conditions = machine::conditions();
    let (daemon, echo) = (Daemon::start(), Echo::start());
    let (mut t_ns, mut quiet_p50_us, mut quiet_p99_us) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=flags.rounds {
        let start = Instant::now();
        t_ns.push(measure_t(&mode));
        let (p50, p99) = echo::quiet_round_trip_us(if mode.smoke { 500 } else { 20_000 });
        quiet_p50_us.push(p50);
        quiet_p99_us.push(p99);
        // Every other round backwards: what drifts during a round, drifts both ways.
        let order: Vec<usize> =
            if round % 2 == 1 { (0..cases.len()).collect() } else { (0..cases.len()).rev().collect() };
        for at in order {
            let file = flags.hgrm.as_ref().map(|dir| dir.join(cases[at].file_name(round)));
            let outcome = run(&cases[at], &daemon, &echo, file.as_deref());
            cases[at].outcomes.push(outcome);
            std::thread::sleep(PAUSE);
        }
        eprintln!("  round {round} of {}: {:.0} s", flags.rounds, start.elapsed().as_secs_f64());
    }
    let t = spread(&t_ns).0;
    mode.note(&conditions_line(&conditions));
    mode.row("T: serde_json, typed borrow", &t_ns, "ns/event", None);
    mode.row("quiet echo, one round trip at a time: p50", &quiet_p50_us, "us", None);
    mode.row("quiet echo, one round trip at a time: p99", &quiet_p99_us, "us", None);
    steps::report(&mut mode, &cases, t);
    mode.finish_with(json!({ "conditions": conditions, "t_ns": t, "rounds": flags.rounds }));
}

fn conditions_line(conditions: &Value) -> String {
    let text = |name: &str| conditions[name].as_str().unwrap_or("unknown").to_owned();
    format!("{}, {}, Linux {}, commit {}", text("date"), text("cpu"), text("kernel"), text("commit"))
}

fn stop(what: &str) -> ! {
    eprintln!("latency: {what}");
    std::process::exit(2);
}
