//! Runs against servers of a test's own.

use super::*;
use std::sync::Arc;

fn args(listener: &std::net::TcpListener) -> GenerateArgs {
    GenerateArgs {
        url: format!("ws://{}/ws/ingest", listener.local_addr().unwrap()),
        flat_out: true,
        quiet: true,
        seed: Some(1),
        ..GenerateArgs::default()
    }
}

#[test]
fn a_lost_connection_is_made_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let args = args(&listener);
    let stop = Arc::new(AtomicBool::new(false));
    let server = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut first = tungstenite::accept(listener.accept().unwrap().0).unwrap();
            first.read().unwrap();
            drop(first);
            let mut second = tungstenite::accept(listener.accept().unwrap().0).unwrap();
            second.read().unwrap();
            stop.store(true, Ordering::Relaxed);
            while second.read().is_ok() {}
        }
    });
    let summary = run(&args, &stop).unwrap();
    server.join().unwrap();
    assert_eq!(summary.reconnects, 1);
    assert!(summary.sent > 2);
}

#[test]
fn a_count_is_met_exactly_in_batches_too() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let args = GenerateArgs { count: Some(1_001), batch: 10, ..args(&listener) };
    let server = std::thread::spawn(move || {
        let mut socket = tungstenite::accept(listener.accept().unwrap().0).unwrap();
        let mut events = 0;
        while let Ok(message) = socket.read() {
            if message.is_text() {
                let value: serde_json::Value = serde_json::from_slice(&message.into_data()).unwrap();
                events += value.as_array().unwrap().len();
            }
        }
        events
    });
    let summary = run(&args, &AtomicBool::new(false)).unwrap();
    assert_eq!(summary.sent, 1_001);
    assert_eq!(server.join().unwrap(), 1_001);
}

#[test]
fn what_makes_no_sense_is_said() {
    let bad = |bad: GenerateArgs, expected: &str| {
        let error = run(&bad, &AtomicBool::new(false)).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    };
    let good = GenerateArgs::default;
    bad(GenerateArgs { rate: -1.0, ..good() }, "--rate -1: expected a number above 0");
    bad(GenerateArgs { duration: f64::NAN, ..good() }, "--duration NaN: expected a number of seconds, or 0");
    bad(GenerateArgs { duration: f64::INFINITY, ..good() }, "--duration inf: ");
    bad(GenerateArgs { duration: -1.0, flat_out: true, ..good() }, "--duration -1: ");
}

/// A daemon that is full, say, accepts and closes; one whose connections last, or that acknowledges, is asked
/// again at once.
#[test]
fn a_connection_that_is_closed_at_once_counts_as_a_failed_attempt() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let args = GenerateArgs { ack: true, ..args(&listener) };
    const CLOSED: u64 = 4;
    let server = std::thread::spawn(move || {
        for _ in 0..CLOSED {
            drop(tungstenite::accept(listener.accept().unwrap().0).unwrap());
        }
        let mut socket = tungstenite::accept(listener.accept().unwrap().0).unwrap();
        socket.read().unwrap();
        socket.send(r#"{"type":"ack","seq":1,"accepted":1,"rejected":0}"#.into()).unwrap();
    });
    let mut run = Run::connect(&args).unwrap();
    let mut events = Events::with_capacity(16);
    let mut turn = |run: &mut Run<'_>| {
        run.reconnect().unwrap();
        run.flush_all();
        run.poll_sockets(&mut events, TICK).unwrap();
    };
    while run.summary.reconnects < CLOSED {
        turn(&mut run);
    }
    assert_eq!(run.lanes[0].attempt, CLOSED as i32);
    assert!(run.make(1));
    while run.lanes[0].client.is_some() {
        turn(&mut run);
    }
    assert_eq!(run.lanes[0].attempt, 1, "the first time that a good connection was lost");
    server.join().unwrap();
}
