//! A million generated events at full speed: nothing lost, nothing dropped, the identity at
//! every sample, and the windows hold exactly what was applied.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Daemon, LAYOUTS, PATIENCE, wait_for};

const EVENTS: u64 = 1_000_000;

/// Windows close soon after the last event.
const CONFIG: &str = "[time]\nwatermark_delay = \"500ms\"\nidle_timeout = \"1s\"\n\
    [[window]]\nname = \"realtime\"\nkind = \"tumbling\"\nsize = \"1s\"\n\
    [[window]]\nname = \"minute\"\nkind = \"tumbling\"\nsize = \"1m\"\n";

/// Opens the event stream and reads the head of the answer.
fn open_stream(daemon: &Daemon) {
    let mut stream = TcpStream::connect(daemon.http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /stream/metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 200") || line.starts_with("HTTP/1.1 503"), "{line}");
}

#[test]
fn a_million_events_are_all_accounted_for() {
    for (lanes, windows) in LAYOUTS {
        let daemon = Daemon::start(lanes, windows, CONFIG);
        let start = Instant::now();
        let mut generator = Command::new(env!("CARGO_BIN_EXE_flumen"))
            .args(["generate", "--flat-out", "--ack", "--connections", "4", "--seed", "1"])
            .args(["--count", &EVENTS.to_string()])
            .args(["--url", &format!("ws://{}/ws/ingest", daemon.ingest)])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut samples = 0;
        let mut slowest = Duration::ZERO;
        while generator.try_wait().unwrap().is_none() {
            for path in ["/api/stats", "/metrics"] {
                let asked = Instant::now();
                let (status, _) = daemon.get(path);
                slowest = slowest.max(asked.elapsed());
                assert_eq!(status, 200);
            }
            let asked = Instant::now();
            open_stream(&daemon);
            slowest = slowest.max(asked.elapsed());
            daemon.stats(); // checks the identity
            samples += 1;
        }
        let took = start.elapsed();
        let output = generator.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}");
        assert!(said.contains("accepted      1000000") && said.contains("unacked       0"), "{said}");

        let stats = daemon.wait_received(EVENTS);
        let events = &stats["events"];
        assert_eq!(events["rejected"], 0);
        assert_eq!(events["dropped"], 0);
        assert_eq!(events["filtered"], 0);
        let applied = events["applied"].as_u64().unwrap();
        assert_eq!(applied + events["late"].as_u64().unwrap(), EVENTS);
        let in_windows = wait_for("the last window to close", || {
            let closed = daemon.json("/api/aggregates/realtime?limit=10000");
            let closed = closed.as_array().unwrap();
            assert!(closed.iter().all(|w| w["final"] == true && w["revision"] == 0));
            let sum: u64 = closed.iter().map(|w| w["event_count"].as_u64().unwrap()).sum();
            // On a busy machine a connection may fall so far behind the others that events are too
            // late for this window; the longer ones take them.
            let late = daemon.json("/api/windows")[0]["late_events"].as_u64().unwrap();
            (sum >= EVENTS - late).then_some((sum, late))
        });
        assert_eq!(in_windows.0, EVENTS - in_windows.1, "the closed windows hold exactly what was in time");
        println!(
            "{lanes} lanes, {windows} window threads: {:.0} events/s in this build, {samples} samples, \
             slowest answer {slowest:?}, late {}, late for realtime {}",
            EVENTS as f64 / took.as_secs_f64(),
            events["late"],
            in_windows.1
        );
    }
}
