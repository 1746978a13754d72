//! Results that nobody reads are put in words late or never: nobody may notice.

use std::sync::Arc;
use std::time::Duration;

use flumen::config::Config;
use flumen::event::Member;
use flumen::message::Frame;
use flumen::runtime::ring::Rx;

use super::core::{Daemon, tumbling};

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

#[test]
fn a_reader_without_room_is_told_how_much_it_lost() {
    let mut daemon = daemon();
    let mut slow = daemon.subscribe(4, None);
    play(&mut daemon);
    assert_eq!(frames(&mut slow).len(), 4);
    daemon.pass(2.0); // The next statistics find room again.
    let next = frames(&mut slow);
    let lost = next[0].1.split_once("\"message\":\"").and_then(|(_, text)| text.split_once(' ')).unwrap().0;
    // Every frame has a number, made or not.
    let before = next[0].0;
    assert_eq!(lost.parse::<u64>().unwrap(), before - 4, "{next:?}");
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

/// History holds a result, its revision comes with so many others that it is let go: the old one
/// must go as well.
#[test]
fn what_is_let_go_leaves_nothing_stale_behind() {
    let mut daemon = daemon();
    let event = |source: u32, time_s: i64| {
        let time = super::core::START_S + time_s;
        format!(r#"{{"source":"s{source:02}","type":"t","timestamp":{time},"data":{{"value":1}}}}"#)
    };
    // The last by name has the first number.
    let all = |time_s| (0..12).map(|n| event((n + 11) % 12, time_s)).collect::<Vec<_>>().join("\n");
    let reader = daemon.subscribe(64, None);
    daemon.send(0, &all(0));
    daemon.pass(25.0);
    daemon.event(0, "s00", 25.0, 1.0);
    let newest = |d: &Daemon| d.results("by_source").last().unwrap()["group"]["source"].clone();
    assert_eq!(newest(&daemon), "s11", "the largest name, with a reader");
    drop(reader);
    daemon.pass(2.0); // It is gone with the next frame.
    daemon.send(0, &all(1));
    daemon.pass(0.2);
    let results = daemon.results("by_source");
    assert_eq!(results.len(), HISTORY);
    assert!(results.iter().all(|r| r["revision"] == 1), "{results:?}");
}
