//! What it costs to have many of something: connections, keys, windows; to do nothing; and to close
//! many groups while events come in.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use flumen::client::{Client, Url};
use support::feeder::{BLOCK_EVENTS, Block, Form, feed};
use support::{Daemon, Mode, measure_t};

const GROUPED: &str = "
[limits]
keys = 2000000
new_keys_per_second = 0
[[window]]
name = \"by_source\"
kind = \"tumbling\"
size = \"SIZE\"
group_by = [\"source\"]
fields = [\"value\"]
";

fn main() {
    let mut mode = Mode::from_args("footprint");
    let rounds = if mode.smoke { 1 } else { 5 };
    type Part = fn(&mut Mode, usize);
    let parts: [(&str, Part); 5] = [
        ("idle", idle),
        ("connections", connections),
        ("windows", windows),
        ("keys", keys),
        ("closing", closing),
    ];
    for (name, part) in parts {
        if mode.wants(name) {
            part(&mut mode, rounds);
        }
    }
    mode.finish();
}

/// Nothing to do, with a reader of the event stream, as an open dashboard is one.
fn idle(mode: &mut Mode, rounds: usize) {
    let (mut rss, mut busy) = (Vec::new(), Vec::new());
    let seconds = if mode.smoke { 1 } else { 5 };
    for _ in 0..rounds {
        let daemon = Daemon::start();
        rss.push(daemon.rss_bytes() / 1_048_576.0);
        let mut stream = TcpStream::connect(daemon.http).expect("HTTP listens");
        stream.write_all(b"GET /stream/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("asked");
        stream.read_exact(&mut [0; 12]).expect("an answer");
        let reader = stream.try_clone().expect("a second handle");
        let read = std::thread::spawn(move || std::io::copy(&mut &reader, &mut std::io::sink()));
        std::thread::sleep(Duration::from_secs(1));
        let before = daemon.cpu_ns();
        std::thread::sleep(Duration::from_secs(seconds));
        busy.push((daemon.cpu_ns() - before) as f64 / seconds as f64 / 1e7);
        drop(daemon);
        drop(read.join().expect("the reader ends with the daemon"));
    }
    mode.row("idle, a dashboard open: CPU", &busy, "% of a core", None);
    mode.row("resident memory at start", &rss, "MiB", None);
}

fn connections(mode: &mut Mode, rounds: usize) {
    let n: usize = if mode.smoke { 100 } else { 9_000 };
    let mut each = Vec::new();
    for _ in 0..rounds {
        let daemon = Daemon::start();
        let url = Url::parse(&daemon.url()).expect("a URL");
        let before = daemon.rss_bytes();
        let clients: Vec<Client> = (0..n).map_while(|_| Client::connect(&url).ok()).collect();
        if clients.len() < n {
            mode.note(&format!("only {} connections: raise ulimit -n", clients.len()));
        }
        std::thread::sleep(Duration::from_millis(300));
        each.push((daemon.rss_bytes() - before) / clients.len() as f64);
    }
    mode.row(&format!("each of {n} idle connections"), &each, "B", None);
}

/// CPU of the daemon an event, flat out, with one window and with a hundred: half tumbling, half
/// sliding, all grouped by source.
fn windows(mode: &mut Mode, rounds: usize) {
    let window = |n: usize| {
        let (size, slide) = (5 * (n / 2 + 1), n / 2 + 1);
        let kind = match n % 2 {
            0 => format!("kind = \"tumbling\"\nsize = \"{size}s\""),
            _ => format!("kind = \"sliding\"\nsize = \"{size}s\"\nslide = \"{slide}s\""),
        };
        format!("[[window]]\nname = \"w{n}\"\n{kind}\ngroup_by = [\"source\"]\n")
    };
    let times: usize = if mode.smoke { 1 } else { 60 };
    let mut costs = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (count, costs) in [1, 100].into_iter().zip(&mut costs) {
            let daemon = Daemon::with(&(0..count).map(window).collect::<String>());
            let t = measure_t(mode);
            let before = daemon.cpu_ns();
            for _ in 0..(times / 20).max(1) {
                let block = Block::new(Form::Json, 100, BLOCK_EVENTS);
                feed(&daemon.url(), &block, times.min(20));
            }
            let events = (BLOCK_EVENTS * times) as f64;
            costs.push((daemon.cpu_ns() - before) as f64 / events / t);
        }
    }
    let ratios: Vec<f64> = costs[1].iter().zip(&costs[0]).map(|(many, one)| many / one).collect();
    mode.row("1 window by source", &costs[0], "T/event", None);
    mode.row("100 windows by source", &costs[1], "T/event", None);
    mode.row("100 windows to 1", &ratios, "x", None);
}

/// The same with 100 and with 1,000,000 sources: the generator's mix under the default windows, of
/// which one is by source; small events of one field under them; and these under one tumbling
/// window by source, all of it closed and published.
fn keys(mode: &mut Mode, rounds: usize) {
    let (many, events, times) = if mode.smoke { (10_000, 20_000, 1) } else { (1_000_000, 1_000_000, 4) };
    let tumbling = GROUPED.replace("SIZE", "10s");
    // A million at once is more than the default limits let in.
    let default = &GROUPED[..GROUPED.find("[[window]]").unwrap_or(0)];
    type Make = fn(usize, usize) -> Block;
    // The last tumbling window closes some 20 s after its events: silence, and the disorder allowed.
    let cases: [(&str, &str, Make, u64); 3] = [
        ("mix, default windows", default, Block::mix_of, 1),
        ("one field, default windows", default, Block::keyed, 1),
        ("one field, tumbling by source", &tumbling, Block::keyed, 20),
    ];
    for (name, config, make, quiet_s) in cases {
        let quiet = Duration::from_secs(if mode.smoke { 1 } else { quiet_s });
        let mut costs = [Vec::new(), Vec::new()];
        let mut memory = Vec::new();
        for _ in 0..rounds {
            for (keys, costs) in [100, many].into_iter().zip(&mut costs) {
                let daemon = Daemon::with(config);
                let t = measure_t(mode);
                feed(&daemon.url(), &Block::keyed(1, 1_000), 1);
                // Made anew: it is stamped.
                let block = make(keys, events);
                let (before, cpu) = (daemon.rss_bytes(), daemon.cpu_ns());
                feed(&daemon.url(), &block, 1);
                if keys == many {
                    memory.push((daemon.rss_bytes() - before) / many as f64);
                }
                feed(&daemon.url(), &block, times - 1);
                std::thread::sleep(quiet);
                costs.push((daemon.cpu_ns() - cpu) as f64 / (events * times) as f64 / t);
            }
        }
        let ratios: Vec<f64> = costs[1].iter().zip(&costs[0]).map(|(many, few)| many / few).collect();
        mode.row(&format!("{name}, 100 keys"), &costs[0], "T/event", None);
        mode.row(&format!("{name}, {many} keys"), &costs[1], "T/event", None);
        mode.row(&format!("{name}, many keys to 100"), &ratios, "x", None);
        mode.row(&format!("{name}, memory a key (name included)"), &memory, "B", None);
    }
}

/// Open-loop latency at 100,000 events/s of 100,000 sources, or of 100, under a window by source that
/// closes every 5 s: a batch a millisecond, and each of 100 connections with an event of its own
/// every millisecond.
fn closing(mode: &mut Mode, rounds: usize) {
    let (rate, seconds, many) = if mode.smoke { ("1000", "2", "1000") } else { ("100000", "16", "100000") };
    for (name, batch_ms) in [("a batch a ms", "100"), ("an event a write", "1")] {
        let mut tails = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            let [few, many] = ["100", many].map(|sources| tail(sources, rate, seconds, batch_ms));
            // A round counts only as a pair.
            if let (Some(few), Some(many)) = (few, many) {
                tails[0].push(few);
                tails[1].push(many);
            }
        }
        if tails[0].is_empty() {
            mode.note(&format!("{name}: void, the load could not be offered"));
            continue;
        }
        let added: Vec<f64> = tails[1].iter().zip(&tails[0]).map(|(many, few)| many - few).collect();
        mode.row(&format!("{name}: p99.9 while 100 groups close"), &tails[0], "ms", None);
        mode.row(&format!("{name}: p99.9 while {many} groups close"), &tails[1], "ms", None);
        mode.row(&format!("{name}: added p99.9"), &added, "ms", None);
    }
}

/// The p99.9 of 100 clients; nothing if the load could not be offered.
fn tail(sources: &str, rate: &str, seconds: &str, batch_ms: &str) -> Option<f64> {
    let daemon = Daemon::with(&GROUPED.replace("SIZE", "5s"));
    let output = Command::new(env!("CARGO_BIN_EXE_flumen"))
        .args(["load", "--json", "--url", &daemon.url(), "--clients", "100", "--batch-ms", batch_ms])
        .args(["--rate", rate, "--duration", seconds, "--sources", sources])
        .output()
        .expect("the load test runs");
    let steps: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    (steps[0]["valid"] == true).then(|| steps[0]["latency_ms"]["p99.9"].as_f64()).flatten()
}
