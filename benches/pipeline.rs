//! The whole daemon, flat out: a real process, real sockets, the client on the same cores.
//! Events per second, and CPU time of the daemon per event against `T`.

mod support;

use support::feeder::{BLOCK_EVENTS, Block, Form, feed};
use support::{Daemon, Mode, measure_t, measure_t_beside};

const SOURCES: u32 = 100;

fn main() {
    let mut mode = Mode::from_args("pipeline");
    let times = if mode.smoke { 1 } else { 20 };
    let rounds = if mode.smoke { 1 } else { 7 };
    let daemon = Daemon::start();
    let forms = [
        ("JSON, one event a frame", Form::Json),
        ("JSON arrays of 100", Form::Array(100)),
        ("MessagePack, one event a frame", Form::MessagePack),
    ];
    let forms: Vec<_> = forms.into_iter().filter(|f| mode.wants(f.0)).collect();
    let mut rates = vec![Vec::new(); forms.len()];
    let mut cpus = vec![Vec::new(); forms.len()];
    let mut beside = vec![Vec::new(); forms.len()];
    let (mut calibrations, mut calibrations_beside) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        for (at, &(_, form)) in forms.iter().enumerate() {
            // T of this very minute.
            let t = measure_t(&mode);
            calibrations.push(t);
            let t_beside = measure_t_beside(&mode);
            calibrations_beside.push(t_beside);
            let block = Block::new(form, SOURCES, BLOCK_EVENTS);
            let cpu = daemon.cpu_ns();
            let seconds = feed(&daemon.url(), &block, times).as_secs_f64();
            let events = (block.events * times) as f64;
            rates[at].push(events / seconds * t / 1e9);
            let cpu_ns = (daemon.cpu_ns() - cpu) as f64 / events;
            cpus[at].push(cpu_ns / t);
            beside[at].push(cpu_ns / t_beside);
        }
    }
    mode.row("T: serde_json, typed borrow", &calibrations, "ns/event", None);
    mode.row("T2: the same beside a busy core", &calibrations_beside, "ns/event", None);
    for (at, (name, _)) in forms.iter().enumerate() {
        mode.row(&format!("{name}: events a T"), &rates[at], "1/T", None);
        mode.row(&format!("{name}: CPU of the daemon"), &cpus[at], "T/event", None);
        mode.row(&format!("{name}: CPU of the daemon, in T2"), &beside[at], "T2/event", None);
    }
    mode.note("events a T: 1 means as many events a second as one core parses with serde_json");
    mode.finish();
}
