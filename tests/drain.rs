//! The end: every acknowledged event is in a published window, exit code 0, clients are told.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Daemon, LAYOUTS, collect_windows, event, now_s, read_ack, read_close, wait_for};
use serde_json::Value;
use tungstenite::Message;

#[test]
fn every_acknowledged_event_is_in_a_published_window() {
    for (lanes, windows) in LAYOUTS {
        let mut daemon = Daemon::start(lanes, windows, "");
        let published = collect_windows(&daemon);
        let stop = Arc::new(AtomicBool::new(false));
        let senders: Vec<_> = (0..3)
            .map(|n| {
                let mut socket = daemon.connect("/ws/ingest?ack=1");
                let stop = Arc::clone(&stop);
                std::thread::spawn(move || {
                    let mut accepted = 0;
                    let mut sent = 0u64;
                    // Full speed, never more than 2,000 frames ahead of the acks.
                    loop {
                        for _ in 0..1_000 {
                            let text = event(&format!("s{n}"), now_s(), 1.0);
                            if stop.load(Ordering::Relaxed) || socket.send(Message::text(text)).is_err() {
                                break;
                            }
                            sent += 1;
                        }
                        let wanted = sent.saturating_sub(1_000);
                        loop {
                            match socket.read() {
                                Ok(Message::Text(text)) => {
                                    let value: Value = serde_json::from_str(&text).unwrap();
                                    if value["type"] == "ack" {
                                        assert_eq!(value["rejected"], 0);
                                        accepted = value["accepted"].as_u64().unwrap();
                                        if value["seq"].as_u64().unwrap() >= wanted {
                                            break;
                                        }
                                    }
                                }
                                Ok(Message::Close(frame)) => {
                                    let code = frame.map(|f| u16::from(f.code));
                                    // Answers the close, so that the daemon need not wait.
                                    socket.flush().ok();
                                    return (accepted, code);
                                }
                                Ok(_) => {}
                                Err(_) => return (accepted, None),
                            }
                        }
                    }
                })
            })
            .collect();
        wait_for("load", || {
            let received = daemon.stats()["events"]["received"].as_u64().unwrap();
            (received > 20_000).then_some(())
        });
        daemon.signal("TERM");
        let (status, said) = daemon.wait_end();
        stop.store(true, Ordering::Relaxed);
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(said.contains("drained"), "{said}");
        let mut accepted = 0;
        for sender in senders {
            let (n, code) = sender.join().unwrap();
            accepted += n;
            assert!(code == Some(1001) || code.is_none(), "{code:?}");
        }
        let published = published.join().unwrap();
        let in_window = |name: &str| -> u64 {
            let of = published.iter().filter(|w| w["window"] == name);
            of.map(|w| w["event_count"].as_u64().unwrap()).sum()
        };
        assert!(accepted > 10_000, "{accepted}");
        assert!(in_window("realtime") >= accepted, "{} < {accepted}", in_window("realtime"));
        assert!(in_window("minute") >= accepted);
        let open = published.iter().filter(|w| w["final"] == false).count();
        assert!(open >= 1, "windows that were open go out as not final");
        println!("{lanes}/{windows}: acknowledged {accepted}, published {}", in_window("realtime"));
    }
}

/// Far more open windows than one turn of a window thread gives out, and a watermark that goes on moving meanwhile,
/// as event time is ahead of the clock.
#[test]
fn all_open_windows_come_out_while_time_goes_on() {
    const SOURCES: usize = 5_000;
    for (lanes, windows) in LAYOUTS {
        let mut daemon = Daemon::start(lanes, windows, "");
        let published = collect_windows(&daemon);
        wait_for("the reader", || (daemon.metric("flumen_sse_subscribers") == 1).then_some(()));
        let mut socket = daemon.connect("/ws/ingest?ack=1");
        let events: Vec<_> = (0..SOURCES).map(|n| event(&format!("s{n}"), now_s() + 10.0, 1.0)).collect();
        socket.send(Message::text(format!("[{}]", events.join(",")))).unwrap();
        read_ack(&mut socket, 1);
        daemon.signal("TERM");
        let (status, said) = daemon.wait_end();
        assert_eq!(status.code(), Some(0), "{said}");
        let published = published.join().unwrap();
        let of_sessions = published.iter().filter(|w| w["window"] == "session");
        let mut sources: Vec<_> = of_sessions.map(|w| w["group"]["source"].as_str().unwrap()).collect();
        sources.sort_unstable();
        sources.dedup();
        assert_eq!(sources.len(), SOURCES, "{lanes}/{windows}");
        let in_minutes: u64 = published
            .iter()
            .filter(|w| w["window"] == "minute")
            .map(|w| w["event_count"].as_u64().unwrap())
            .sum();
        assert_eq!(in_minutes, SOURCES as u64, "{lanes}/{windows}");
    }
}

#[test]
fn a_quiet_client_gets_its_final_ack_and_1001() {
    let mut daemon = Daemon::start(1, 1, "");
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    socket.send(Message::text(event("a", now_s(), 1.0))).unwrap();
    read_ack(&mut socket, 1);
    daemon.signal("INT");
    assert_eq!(read_close(&mut socket), Some(1001));
    drop(socket);
    assert_eq!(daemon.wait_end().0.code(), Some(0));
}

#[test]
fn a_client_that_never_reads_nor_leaves_does_not_hold_the_drain_up() {
    let mut daemon = Daemon::start(1, 1, "[shutdown]\ntimeout = \"4s\"\n");
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    socket.send(Message::text(event("a", now_s(), 1.0))).unwrap();
    daemon.wait_received(1);
    daemon.signal("TERM");
    let (status, said) = daemon.wait_end();
    assert_eq!(status.code(), Some(0), "{said}");
}

#[test]
fn a_bad_configuration_exits_78_and_a_taken_port_says_so() {
    let daemon = Daemon::start(1, 1, "");
    let run = |args: &[&str], env: (&str, &str)| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_flumen"))
            .args(args)
            .env(env.0, env.1)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = run(&["check"], ("FLUMEN_TIME_IDLE_TIMEOUT", "5"));
    assert_eq!(code, Some(78));
    assert!(said.contains("FLUMEN_TIME_IDLE_TIMEOUT=5: time.idle_timeout: expected a duration"), "{said}");
    let taken = daemon.ingest.to_string();
    let (code, said) = run(&["serve", "--ingest-listen", &taken], ("FLUMEN_HTTP_LISTEN", "127.0.0.1:0"));
    assert_eq!(code, Some(1));
    assert!(
        said.contains("ingest.listen") && said.contains(&taken) && said.contains("another program"),
        "{said}"
    );
}
