//! The whole daemon, flat out: a real process, real sockets, the generator on the same cores.
//! Events per second, and CPU time of the daemon per event against `T`.

mod support;

use std::process::{Command, Stdio};
use std::time::Instant;

use support::{Daemon, Mode, measure_t};

fn run(daemon: &Daemon, events: usize, batch: &str) -> (f64, f64) {
    let cpu = daemon.cpu();
    let start = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_flumen"))
        .args(["generate", "--flat-out", "--ack", "--quiet", "--seed", "1", "--batch", batch])
        .args(["--count", &events.to_string(), "--url", &daemon.url()])
        .stdout(Stdio::null())
        .status()
        .expect("the generator runs");
    assert!(status.success());
    let rate = events as f64 / start.elapsed().as_secs_f64();
    let cpu_ns = (daemon.cpu() - cpu).as_nanos() as f64 / events as f64;
    (rate, cpu_ns)
}

fn main() {
    let mut mode = Mode::from_args("pipeline");
    let events = if mode.smoke { 100_000 } else { 2_000_000 };
    let rounds = if mode.smoke { 1 } else { 7 };
    let daemon = Daemon::start();
    let mut by_batch = [("1", Vec::new(), Vec::new()), ("100", Vec::new(), Vec::new())];
    let mut calibrations = Vec::new();
    for _ in 0..rounds {
        calibrations.push(measure_t(&mode));
        for (batch, rates, cpu) in &mut by_batch {
            let (rate, cpu_ns) = run(&daemon, events, batch);
            rates.push(rate);
            cpu.push(cpu_ns);
        }
    }
    let t = support::spread(&calibrations).0;
    mode.row("T: serde_json, typed borrow", &calibrations, "ns/event", Some(t));
    for (batch, rates, cpu) in &by_batch {
        mode.row(&format!("events a frame: {batch}: rate, generator included"), rates, "events/s", None);
        mode.row(&format!("events a frame: {batch}: CPU of the daemon"), cpu, "ns/event", Some(t));
    }
    mode.note("CPU time has a resolution of 10 ms a run; each run waits for all acknowledgements");
    mode.finish();
}
