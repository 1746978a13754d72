//! Names that come and go: they are forgotten when their windows have gone, and no number ever means two names at
//! a time.

use super::*;

fn session(name: &str, group_by: Vec<Member>) -> Window {
    Window { group_by, ..Window::new(name, WindowKind::Session { gap: Duration::from_secs(1) }) }
}

/// 12,000 sources and users, each seen for a moment, with room for 5,000: names are forgotten
/// when their windows have gone, and no number ever means two names at a time.
#[test]
fn names_are_forgotten_and_never_confused() {
    const SOURCES: usize = 12_000;
    const EVENTS_EACH: usize = 3;
    let mut rng = SmallRng::seed_from_u64(7);
    let user = Member::Data("user".to_owned());
    let windows = vec![
        Window::new("second", WindowKind::Tumbling { size: Duration::from_secs(1) }),
        session("source", vec![Member::Source]),
        session("user", vec![user, Member::Source]),
    ];
    let start_s = START.wall_us as f64 / 1e6 - 1_000.0;
    let mut reads = Vec::new();
    for first in (0..SOURCES).step_by(50) {
        let mut stream = Vec::new();
        for n in first..first + 50 {
            for again in 0..EVENTS_EACH {
                let time_s = start_s + n as f64 * 0.01 + again as f64 * 0.1;
                let event = format!(
                    r#"{{"source":"s{n}","type":"t","timestamp":{time_s:.3},"data":{{"value":{n},"user":"u{n}"}}}}"#
                );
                write_masked(&mut stream, TEXT, rng.random(), event.as_bytes());
            }
        }
        reads.push(Read { conn: first / 50 % 3, bytes: stream, after_ns: 500_000_000 });
    }
    let script =
        Script { keys: 5_000, types: 1_024, rests: true, windows, conns: 3, reads, tail_ns: 30_000_000_000 };
    for (seed, &(lanes, shards)) in (0..).zip(LAYOUTS.iter().cycle().take(20)) {
        let outcome = run(&script, lanes, shards, seed);
        let all = (SOURCES * EVENTS_EACH) as u64;
        assert_eq!((outcome.events.applied, outcome.events.late), (all, 0), "{lanes} and {shards}");
        for name in ["source", "user"] {
            let results = &outcome.results[name];
            assert_eq!(results.len(), 1_000, "the history holds the last thousand");
            for result in results {
                let n = result["aggregates"]["value"]["max"].as_f64().unwrap();
                assert_eq!(result["event_count"], EVENTS_EACH, "{result}");
                assert_eq!(result["group"]["source"], format!("s{n}"), "{result}");
                assert_eq!(result["top_sources"][0]["source"], format!("s{n}"), "{result}");
                if name == "user" {
                    assert_eq!(result["group"]["user"], format!("u{n}"), "{result}");
                }
            }
        }
    }
}

/// 3,000 types, each seen for a moment, with room for 100, and one that stays: which of them are rejected
/// depends on the layout, but what is counted is counted under its own name, and from nothing.
#[test]
fn types_are_forgotten_and_their_counts_with_them() {
    const TYPES: usize = 3_000;
    let mut rng = SmallRng::seed_from_u64(8);
    let windows = vec![
        Window::new("second", WindowKind::Tumbling { size: Duration::from_secs(1) }),
        session("type", vec![Member::Kind]),
    ];
    let start_s = START.wall_us as f64 / 1e6 - 1_000.0;
    let mut reads = Vec::new();
    let mut sent = 0;
    for first in (0..TYPES).step_by(10) {
        let mut stream = Vec::new();
        for n in first..first + 10 {
            let time_s = start_s + n as f64 * 0.05;
            for (kind, again) in [(format!("t{n}"), n % 4 + 1), ("stays".to_owned(), 1)] {
                for _ in 0..again {
                    let event = format!(
                        r#"{{"source":"s","type":"{kind}","timestamp":{time_s:.3},"data":{{"value":{n}}}}}"#
                    );
                    write_masked(&mut stream, TEXT, rng.random(), event.as_bytes());
                    sent += 1;
                }
            }
        }
        reads.push(Read { conn: first / 10 % 3, bytes: stream, after_ns: 500_000_000 });
    }
    let tail_ns = 30_000_000_000;
    let script = Script { keys: 5_000, types: 100, rests: true, windows, conns: 3, reads, tail_ns };
    for (seed, &(lanes, shards)) in (0..).zip(LAYOUTS.iter().cycle().take(20)) {
        let outcome = run(&script, lanes, shards, seed);
        let (applied, rejected) = (outcome.events.applied, outcome.events.rejected_total());
        assert_eq!((applied + rejected, outcome.events.late), (sent, 0), "{lanes} and {shards}");
        // By type, from the results; one window has them all, and history keeps all of its results.
        let mut counts = BTreeMap::<Arc<str>, u64>::new();
        for result in &outcome.results["second"] {
            for (kind, n) in result["event_types"].as_object().unwrap() {
                *counts.entry(kind.as_str().into()).or_default() += n.as_u64().unwrap();
            }
        }
        assert_eq!(counts.values().sum::<u64>(), applied, "{lanes} and {shards}");
        assert_eq!(counts["stays"], TYPES as u64, "{lanes} and {shards}");
        assert!(counts.len() > 1_000, "numbers are used again: {}", counts.len());
        assert!(rejected > 0 && outcome.types.len() <= 100, "{rejected}");
        for (kind, n) in &outcome.types {
            assert_eq!(counts.get(kind), Some(n), "{kind}, {lanes} and {shards}");
        }
        for result in &outcome.results["type"] {
            let kind = result["group"]["type"].as_str().unwrap();
            assert_eq!(result["event_types"], serde_json::json!({ kind: result["event_count"] }), "{result}");
            if kind != "stays" {
                assert_eq!(kind, format!("t{}", result["aggregates"]["value"]["max"].as_f64().unwrap()));
                assert_eq!(result["event_count"], counts[kind], "{result}");
            }
        }
    }
}
