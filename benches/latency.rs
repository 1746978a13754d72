//! Open-loop latency: intended send time to acknowledgement, by rate, beside the floor of a
//! plain WebSocket echo in the same run. A step that offered less than 99.9 % of its rate is
//! void and says so.

mod support;

use std::process::Command;
use std::time::Instant;

use serde_json::Value;
use support::{Daemon, Mode, measure_t};

/// Round trips of one small message over tungstenite, one at a time: p50 and p99, us.
fn echo_floor(trips: usize) -> (f64, f64) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = std::thread::spawn(move || {
        let stream = listener.accept().expect("a client").0;
        stream.set_nodelay(true).expect("nodelay");
        let mut socket = tungstenite::accept(stream).expect("a handshake");
        while let Ok(message) = socket.read() {
            if !message.is_text() || socket.send(message).is_err() {
                break;
            }
        }
    });
    let stream = std::net::TcpStream::connect(address).expect("the echo server");
    stream.set_nodelay(true).expect("nodelay");
    let (mut socket, _) = tungstenite::client(format!("ws://{address}/"), stream).expect("a handshake");
    let text = "x".repeat(150);
    let mut samples: Vec<f64> = (0..trips)
        .map(|_| {
            let start = Instant::now();
            socket.send(text.as_str().into()).expect("sent");
            socket.read().expect("an echo");
            start.elapsed().as_nanos() as f64 / 1e3
        })
        .collect();
    socket.close(None).ok();
    drop(socket);
    server.join().expect("the echo server ends");
    samples.sort_by(f64::total_cmp);
    (samples[samples.len() / 2], samples[samples.len() * 99 / 100])
}

fn main() {
    let mut mode = Mode::from_args("latency");
    let t = measure_t(&mode);
    let (p50, p99) = echo_floor(if mode.smoke { 500 } else { 20_000 });
    mode.note(&format!("T = {t:.0} ns; echo floor over tungstenite: p50 {p50:.0} us, p99 {p99:.0} us"));
    let daemon = Daemon::start();
    let steps: &[(&str, &str, &str)] = if mode.smoke {
        &[("10", "1000", "10")]
    } else {
        &[
            ("10", "1000", "10"),
            ("20", "5000", "10"),
            ("50", "10000", "10"),
            ("100", "25000", "10"),
            ("100", "100000", "1"),
        ]
    };
    let duration = if mode.smoke { "1" } else { "15" };
    for (clients, rate, batch_ms) in steps {
        let cpu = daemon.cpu();
        let output = Command::new(env!("CARGO_BIN_EXE_flumen"))
            .args(["load", "--json", "--url", &daemon.url(), "--clients", clients, "--rate", rate])
            .args(["--duration", duration, "--batch-ms", batch_ms])
            .output()
            .expect("the load test runs");
        let all: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let step = &all[0];
        let name = format!("{clients} clients, {rate}/s, {batch_ms} ms batches");
        let void = if step["valid"] == true { "" } else { " VOID" };
        for percentile in ["p50", "p90", "p99", "p99.9", "p99.99", "max"] {
            let ms = step["latency_ms"][percentile].as_f64().unwrap_or(f64::NAN);
            mode.row(&format!("{name}: {percentile}{void}"), &[ms * 1e3], "us", None);
        }
        let sent = step["sent"].as_f64().unwrap_or(1.0);
        let cpu_ns = (daemon.cpu() - cpu).as_nanos() as f64 / sent;
        mode.row(&format!("{name}: CPU of the daemon"), &[cpu_ns], "ns/event", Some(t));
    }
    mode.finish();
}
