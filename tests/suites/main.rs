//! Two suites that others judge parsers by, JSONTestSuite and msgpack-test-suite (in `tests/data`, with their
//! licences), as frames over real sockets: what is no JSON is rejected, what is becomes an event or is
//! rejected for what the event lacks, nothing is counted twice or not at all, and a neighbour notices nothing.
//!
//! What a message comes to is known beforehand from a reader of its own, which reads all the slow way.

#[path = "../common/mod.rs"]
mod common;

use common::{Daemon, LAYOUTS, event, now_s, read_ack};
use flumen::event::{Limits, Reader, Reject};
use serde_json::Value;
use tungstenite::Message;

/// What a message comes to: good events, and reasons of the others.
#[derive(Default)]
struct Outcomes {
    good: u64,
    bad: Vec<Reject>,
}

fn outcomes(message: &[u8]) -> Outcomes {
    let mut outcomes = Outcomes::default();
    Reader::without_scanner(Limits::USUAL).read(message, &mut |outcome| match outcome.event {
        Ok(_) => outcomes.good += 1,
        Err(rejection) => outcomes.bad.push(rejection.reason),
    });
    outcomes
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|two| two[0] << 4 | two[1]).collect()
}

fn data(file: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    std::fs::read_to_string(folder.join(file)).unwrap()
}

/// Sends every message in a frame of its own, and now and then a good event on another connection.
/// Acknowledgements, counters and what the reader says have to agree to the last event.
fn send_all(messages: &[(String, Vec<u8>)]) {
    for (lanes, windows) in LAYOUTS {
        let daemon = Daemon::start(lanes, windows, "");
        let mut socket = daemon.connect("/ws/ingest?ack=1");
        let mut neighbour = daemon.connect("/ws/ingest?ack=1");
        let (mut good, mut bad, mut neighbours) = (0, vec![0; Reject::ALL.len()], 0);
        for (at, (name, message)) in messages.iter().enumerate() {
            let outcomes = outcomes(message);
            good += outcomes.good;
            outcomes.bad.iter().for_each(|reason| bad[reason.index()] += 1);
            socket.send(Message::binary(message.clone())).unwrap();
            let ack = read_ack(&mut socket, at as u64 + 1).1;
            let rejected: u64 = bad.iter().sum();
            assert_eq!((&ack["accepted"], &ack["rejected"]), (&good.into(), &rejected.into()), "{name}");
            if at % 16 == 0 {
                neighbours += 1;
                neighbour.send(Message::text(event("polite", now_s(), 1.0))).unwrap();
                assert_eq!(read_ack(&mut neighbour, neighbours).1["accepted"], neighbours, "{name}");
            }
        }
        let stats = daemon.wait_received(good + bad.iter().sum::<u64>() + neighbours);
        assert_eq!(stats["events"]["applied"], good + neighbours);
        let (_, metrics) = daemon.get("/metrics");
        for reason in Reject::ALL {
            let line = format!(
                "flumen_events_rejected_total{{reason=\"{}\"}} {}",
                reason.as_str(),
                bad[reason.index()]
            );
            assert!(metrics.lines().any(|l| l == line), "{line}\n{metrics}");
        }
    }
}

/// The cases of JSONTestSuite: name and bytes.
fn json_cases() -> Vec<(String, Vec<u8>)> {
    let text = data("json_test_suite.txt");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut cases: Vec<_> = lines
        .map(|line| {
            let (name, hex) = line.split_once(' ').unwrap_or((line, ""));
            (name.to_owned(), bytes(hex))
        })
        .collect();
    cases.push(("n_structure_100000_opening_arrays".to_owned(), b"[".repeat(100_000)));
    cases.push((
        "n_structure_open_array_object".to_owned(),
        [b"[{\"\":".repeat(50_000), b"\n".into()].concat(),
    ));
    let of = |kind: &str| cases.iter().filter(|(name, _)| name.starts_with(kind)).count();
    assert_eq!((of("y_"), of("n_"), of("i_")), (95, 188, 35));
    cases
}

#[test]
fn json_test_suite() {
    const NO_JSON: [Reject; 3] = [Reject::InvalidJson, Reject::BadNumber, Reject::TooDeep];
    const NO_EVENT: [Reject; 2] = [Reject::NotAnObject, Reject::MissingSource];
    let mut messages = Vec::new();
    for (name, case) in json_cases() {
        let begin = br#"{"source":"suite","type":"case","data":{"value":1,"case":"#;
        let inside = [&begin[..], &case, b"}}"].concat();
        let (alone, within) = (outcomes(&case), outcomes(&inside));
        assert_eq!(alone.good, 0, "{name} alone is no event");
        match name.split('_').next() {
            Some("y") => {
                assert!(alone.bad.iter().all(|reason| NO_EVENT.contains(reason)), "{name}: {:?}", alone.bad);
                assert!(within.good == 1 && within.bad.is_empty(), "{name}: {:?}", within.bad);
            }
            Some("n") => {
                assert!(!alone.bad.is_empty(), "{name} alone is rejected");
                assert!(within.good == 0 && !within.bad.is_empty(), "{name} in an event is rejected");
                // A line feed ends a value, and what stands in a line may be JSON and no event.
                let (broken, others): (Vec<_>, Vec<_>) = within.bad.iter().partition(|r| NO_JSON.contains(r));
                assert!(
                    !broken.is_empty() && others.iter().all(|r| NO_EVENT.contains(r)),
                    "{name}: {others:?}"
                );
            }
            // Some take these, others do not; whichever, it is one or the other.
            _ => assert!(within.good + within.bad.len() as u64 > 0, "{name}"),
        }
        messages.push((format!("{name} alone"), case));
        messages.push((format!("{name} in an event"), inside));
    }
    send_all(&messages);
}

#[test]
fn msgpack_test_suite() {
    let text = data("msgpack_test_suite.txt");
    let mut messages = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let case: Value = serde_json::from_str(line).unwrap();
        for hex in case["encodings"].as_array().unwrap() {
            let hex = hex.as_str().unwrap();
            let (name, encoded) = (format!("{} as {hex}", case["value"]), bytes(hex));
            // {"source":"suite","type":"case","data":{"case":...}}
            let begin = b"\x83\xa6source\xa5suite\xa4type\xa4case\xa4data\x81\xa4case";
            let inside = [&begin[..], &encoded].concat();
            let (alone, within) = (outcomes(&encoded), outcomes(&inside));
            assert_eq!(alone.good, 0, "{name} alone is no event");
            assert!(within.good == 1 && within.bad.is_empty(), "{name}: {:?}", within.bad);
            if let Some(number) = case["value"]["number"].as_f64() {
                let mut found = None;
                Reader::new(Limits::USUAL).read(&inside, &mut |outcome| {
                    found = outcome.event.unwrap().fields().next().map(|(_, value)| value);
                });
                assert_eq!(found, Some(number), "{name}");
            }
            let cut = inside[..inside.len() - 1].to_vec();
            let within = outcomes(&cut);
            assert!(within.good == 0 && within.bad == [Reject::InvalidMsgpack], "{name}: {:?}", within.bad);
            messages.push((format!("{name} alone"), encoded));
            messages.push((format!("{name} in an event"), inside));
            messages.push((format!("{name} cut short"), cut));
        }
    }
    assert!(messages.len() > 300, "{} messages", messages.len());
    send_all(&messages);
}
