//! Results that nobody reads are put in words late or never: nobody may notice.

use std::sync::Arc;
use std::time::Duration;

use flumen::config::{Alert, Config};
use flumen::event::Member;
use flumen::event::filter::Filter;
use flumen::message::Frame;
use flumen::runtime::ring::Rx;

use super::core::{Daemon, START_S, tumbling};

const HISTORY: usize = 5;

/// Two windows by source, one of them revised by late events, and a history shorter than what
/// closes at once.
fn daemon() -> Daemon {
    let mut by_source = tumbling("by_source", 10);
    by_source.group_by = vec![Member::Source];
    by_source.allowed_lateness = Duration::from_secs(30);
    let mut config = Config { windows: vec![tumbling("all", 10), by_source], ..Config::default() };
    config.threads.ingest = 1;
    config.publish.history = HISTORY;
    Daemon::with(config, 1.0)
}

/// Twelve sources in two windows, then late events of four of them in the first: of the results
/// they revise, history keeps some and has forgotten others.
fn play(daemon: &mut Daemon) {
    for n in 0..24 {
        daemon.event(0, &format!("s{:02}", n % 12), f64::from(n / 12) * 10.0 + 0.5, 1.0);
    }
    daemon.pass(25.0);
    daemon.event(0, "s00", 25.0, 1.0);
    for source in ["s01", "s11", "s09", "s03"] {
        daemon.event(0, source, 11.0, 2.0);
    }
    daemon.pass(0.2);
}

fn frames(rx: &mut Rx<Arc<Frame>>) -> Vec<(u64, String)> {
    std::iter::from_fn(|| rx.pop()).map(|frame| (frame.id, frame.text.to_string())).collect()
}

/// What lasts, by id: `event: live` and `event: stats` are not repeated to who comes back.
fn lasting(frames: Vec<(u64, String)>) -> Vec<String> {
    let lasts = |text: &str| text.contains("\"final\":true");
    frames.into_iter().map(|(_, text)| text).filter(|text| lasts(text)).collect()
}

/// A frame without its number: `live` and `stats` have some as well, while there is a reader.
fn body(text: &str) -> &str {
    text.split_once('\n').unwrap().1
}

#[test]
fn history_and_what_a_reader_missed_are_the_same_without_a_reader() {
    let (mut read, mut unread) = (daemon(), daemon());
    let mut reader = read.subscribe(4_096, None);
    play(&mut read);
    play(&mut unread);
    assert_eq!(unread.results("all"), read.results("all"));
    assert_eq!(unread.results("by_source"), read.results("by_source"));
    let revisions = |d: &Daemon| d.results("by_source").iter().filter(|r| r["revision"] == 1).count();
    assert!((1..HISTORY).contains(&revisions(&read)), "{}", revisions(&read));

    // Everything it missed, as far as it was made: the newest, in their order, after a gap.
    let seen = lasting(frames(&mut reader));
    let again = frames(&mut unread.subscribe(4_096, Some(0)));
    assert!(again[0].1.contains("event: gap"), "{again:?}");
    assert!(again[1..].windows(2).all(|pair| pair[0].0 <= pair[1].0), "ids rise");
    let again = lasting(again);
    assert!((HISTORY..seen.len()).contains(&again.len()), "{} of {}", again.len(), seen.len());
    let newest: Vec<_> = seen.iter().map(|text| body(text)).collect();
    for text in &again {
        assert!(newest.contains(&body(text)), "{text}");
    }
    assert_eq!(body(again.last().unwrap()), *newest.last().unwrap());
}

/// Results of groups that come late to a window that has closed are older than those of the window behind it, which
/// wait to be put in words: history forgets them first, whether somebody reads or not.
#[test]
fn late_results_push_no_newer_ones_out() {
    let play = |mut daemon: Daemon| {
        (0..HISTORY + 1).for_each(|n| daemon.event(0, &format!("s{n}"), 10.5, 1.0));
        daemon.stalled = vec![daemon.publish()];
        daemon.pass(25.0);
        daemon.event(0, "s0", 25.0, 1.0);
        daemon.pass(0.1);
        (0..HISTORY + 1).for_each(|n| daemon.event(0, &format!("late{n}"), 1.0, 1.0));
        daemon.pass(0.1);
        daemon.stalled.clear();
        daemon.pass(2.0);
        let results = daemon.results("by_source");
        results.iter().map(|r| r["window_start"].as_f64().unwrap() as i64 - START_S).collect::<Vec<_>>()
    };
    let mut read = daemon();
    let _reader = read.subscribe(4_096, None);
    assert_eq!(play(read), [10; HISTORY]);
    assert_eq!(play(daemon()), [10; HISTORY]);
}

#[test]
fn a_reader_without_room_is_told_how_much_it_lost() {
    let mut daemon = daemon();
    let mut slow = daemon.subscribe(4, None);
    play(&mut daemon);
    let first = frames(&mut slow);
    assert_eq!(first.len(), 4);
    daemon.pass(2.0); // The next statistics find room again.
    let next = frames(&mut slow);
    let lost = next[0].1.split_once("\"message\":\"").and_then(|(_, text)| text.split_once(' ')).unwrap().0;
    // Every frame has a number, made or not.
    let before = next[0].0;
    assert_eq!(lost.parse::<u64>().unwrap(), before - first[3].0, "{next:?}");
}

#[test]
fn who_comes_while_results_wait_gets_them_all() {
    let mut daemon = daemon();
    daemon.event(0, "s00", 0.5, 1.0);
    daemon.pass(20.0);
    daemon.event(0, "s00", 20.0, 1.0);
    let results = frames(&mut daemon.subscribe(64, Some(0)));
    // The window of all, unnamed and named, and that by source.
    assert_eq!(lasting(results).len(), 3);
}

/// An alert ends when the results do, however quiet it is; one window thread or several.
#[test]
fn silence_resolves_an_alert() {
    for threads in [1, 2] {
        let mut hot = tumbling("hot", 10);
        hot.filter = Some(Filter::parse("type == 't'").unwrap());
        let mut config = Config { windows: vec![hot], ..Config::default() };
        config.alerts = vec![Alert { window: "hot".to_owned(), ..config.alerts[0].clone() }];
        config.threads.ingest = 1;
        config.threads.window = threads;
        let mut daemon = Daemon::with(config, 1.0);
        daemon.event(0, "s", 0.5, 90.0);
        daemon.pass(20.0);
        let states = |daemon: &Daemon| {
            daemon.alerts().iter().map(|a| a["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(states(&daemon), ["firing"], "{threads} window threads");
        // Others go on, or nobody does.
        for _ in 0..20 * threads {
            daemon.pass(0.5);
            let time = START_S as f64 + daemon.wall_s();
            daemon.send(0, &format!(r#"{{"source":"s","type":"other","timestamp":{time},"data":{{}}}}"#));
        }
        (0..20).for_each(|_| daemon.pass(2.0));
        assert_eq!(states(&daemon), ["firing", "resolved"], "{threads} window threads");
    }
}

/// A burst of more results than publish puts out in a turn: who comes in the middle of it, an alert
/// in it and a sweep of names find everything that waits.
#[test]
fn what_waits_in_a_burst_is_there_for_whoever_comes() {
    const GROUPS: usize = 1_000;
    let mut by_source = tumbling("by_source", 10);
    by_source.group_by = vec![Member::Source];
    let mut config = Config { windows: vec![by_source], ..Config::default() };
    // Fires for the one before the last.
    config.alerts = vec![Alert { window: "by_source".to_owned(), ..config.alerts[0].clone() }];
    config.threads.ingest = 1;
    let mut daemon = Daemon::with(config, 1.0);
    let values = (0..GROUPS).map(|n| (n, if n == GROUPS - 2 { 90 } else { 1 }));
    let event = |(n, value)| {
        format!(r#"{{"source":"s{n:04}","type":"t","timestamp":{START_S},"data":{{"value":{value}}}}}"#)
    };
    daemon.send(0, &values.map(event).collect::<Vec<_>>().join("\n"));
    let publish = daemon.publish();
    daemon.stalled = vec![publish];
    daemon.pass(20.0);
    daemon.event(0, "s0000", 20.0, 1.0);
    // So many turns that some of the results are out, and not all.
    while daemon.results_out() < 300 {
        daemon.turn(publish);
    }
    assert!(daemon.results_out() < GROUPS as u64 - 300);
    let mut reader = daemon.subscribe_later(4_096, Some(0));
    daemon.turn(publish);
    let early = lasting(frames(&mut reader));
    assert!(early.len() >= 2 * 300, "{} of what waited, named and unnamed", early.len());
    drop(reader);
    daemon.stalled.clear();
    daemon.settle();
    let all = frames(&mut daemon.subscribe(4_096, Some(0)));
    assert!(all[1..].windows(2).all(|pair| pair[0].0 < pair[1].0), "ids rise");
    let place = |what: &str| all.iter().position(|(_, text)| text.contains(what)).unwrap();
    assert!(place("event: alert") > place("s0998\"},\"event_count"), "behind its result");
    assert!(place("event: alert") < place("s0999\"},\"event_count"));
    let results = daemon.results("by_source");
    assert_eq!(results.len(), GROUPS);
    for (n, result) in results.iter().enumerate() {
        assert_eq!(result["group"]["source"], format!("s{n:04}"));
    }
}
