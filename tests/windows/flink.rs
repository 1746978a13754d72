//! What a real Apache Flink 2.3.0 emitted for 41 scripted cases (`tests/data`), and what flumen
//! emits for them.
//!
//! Where flumen differs on purpose:
//! - Flink refires once a late event; flumen folds the late events of one arrival into one
//!   revision. The script is replayed with one arrival an event, so that the fires must be equal.
//! - T12 has windows with an offset, which flumen has not: the case is replayed shifted by it.
//! - S04 has a slide longer than the size, in which events vanish; flumen's configuration refuses
//!   it (tested there), and the case is replayed to see that the gap is what is missing.
//! - A watermark in Flink says that no event at or before it will come; in flumen, before it:
//!   w is w + 1 here.

use std::collections::BTreeMap;

use flumen::windowing::{Family, GroupNames, Kind, Trigger};
use serde_json::Value;

use crate::rig::{Event, Rig, layout, session, sliding, tumbling};

/// A fire: key, window, sorted values, the watermark it came at (`None`: the end of the input).
type Fires = Vec<(String, i64, i64, String, Option<i64>)>;

struct Case {
    id: String,
    kind: Kind,
    offset: i64,
    lateness: i64,
    script: Vec<String>,
    fires: Fires,
    late: Vec<String>,
}

fn cases() -> Vec<Case> {
    let text = include_str!("../data/window_cases_flink_2.3.0.jsonl");
    text.lines().map(|line| case(&serde_json::from_str(line).unwrap())).collect()
}

fn case(json: &Value) -> Case {
    let window: Vec<&str> = json["window"].as_str().unwrap().split(':').collect();
    let number = |at: usize| window[at].parse::<i64>().unwrap();
    let (kind, offset) = match window[0] {
        "tumble" => (tumbling(number(1)), window.get(2).map_or(0, |_| number(2))),
        "slide" => (sliding(number(1), number(2)), 0),
        _ => (session(number(1)), 0),
    };
    let mut fires = Vec::new();
    let mut late = Vec::new();
    for out in json["out"].as_array().unwrap() {
        match out["late"].as_str() {
            Some(value) => late.push(value.to_owned()),
            None => fires.push((
                out["fire"].as_str().unwrap().to_owned(),
                out["win"][0].as_i64().unwrap(),
                out["win"][1].as_i64().unwrap(),
                out["vals"].as_str().unwrap().to_owned(),
                out["wm"].as_i64(),
            )),
        }
    }
    fires.sort();
    Case {
        id: json["id"].as_str().unwrap().to_owned(),
        kind,
        offset,
        lateness: json["lateness"].as_i64().unwrap(),
        script: json["script"].as_str().unwrap().split(' ').map(str::to_owned).collect(),
        fires,
        late,
    }
}

/// The letters of a value are counted by power of 64, so that a sum tells which ones are in.
const BASE: f64 = 64.0;

fn number_of(letter: &str, letters: &mut Vec<String>) -> f64 {
    let at = letters.iter().position(|known| known == letter).unwrap_or_else(|| {
        letters.push(letter.to_owned());
        letters.len() - 1
    });
    BASE.powi(at as i32)
}

fn letters_of(mut sum: f64, letters: &[String]) -> String {
    let mut found = Vec::new();
    for letter in letters {
        for _ in 0..(sum % BASE) as usize {
            found.push(letter.as_str());
        }
        sum = (sum / BASE).floor();
    }
    found.sort_unstable();
    found.concat()
}

/// The watermark is set by hand here: delay 0, and an event of no window (family with a slot,
/// no group) that carries it.
fn run(case: &Case, shards: usize) -> (Fires, Vec<String>) {
    let family = Family::Given { slot: 0, names: GroupNames::Table(0) };
    let layout = layout(&[family], &[(case.kind, 0, case.lateness)]);
    let mut rig = Rig::new(&layout, 0, i64::MAX, shards);
    let mut letters = Vec::new();
    let mut keys: Vec<String> = Vec::new();
    let mut late = Vec::new();
    let mut arrivals = 0;
    let mut moment = || {
        arrivals += 1;
        Rig::moment(arrivals, i64::MAX / 2)
    };
    // The script's watermark, by the number of results that were out before it moved.
    let mut watermarks = Vec::new();
    for step in &case.script {
        let parts: Vec<&str> = step.split(':').collect();
        let time: i64 = parts[1].parse().unwrap();
        if parts[0] == "w" {
            rig.mark(moment(), time + 1 - case.offset);
            rig.pass(moment());
            watermarks.resize(rig.results.len(), Some(time));
            continue;
        }
        let key = parts.get(3).copied().unwrap_or("k");
        let group = keys.iter().position(|k| k == key).unwrap_or_else(|| {
            keys.push(key.to_owned());
            keys.len() - 1
        }) as u32;
        let value = number_of(parts[2], &mut letters);
        let event = Event { group: Some(group), ..Event::at(time - case.offset, value) };
        // Sessions of one group live in one shard; parts of other windows anywhere.
        let shard = match case.kind {
            Kind::Session { .. } => group as usize % shards,
            Kind::Aligned { .. } => time.rem_euclid(3) as usize % shards,
        };
        rig.arrive_without_mark(moment(), &event, shard);
        if !rig.applied {
            late.push(parts[2].to_owned());
        }
    }
    rig.drain();
    watermarks.resize(rig.results.len(), None);
    let fires = rig.results.iter().zip(watermarks).map(|(complete, watermark)| {
        let closed = &complete.closed;
        let sum = closed.aggregate.field(0).unwrap().moments.sum();
        let key = keys[closed.group as usize].clone();
        // A revision comes at the watermark that its events were judged by.
        let watermark = match closed.trigger {
            Trigger::Due => watermark,
            Trigger::Late { watermark_us, .. } => Some(watermark_us + case.offset - 1),
        };
        let (start, end) = (closed.start_us + case.offset, closed.end_us + case.offset);
        (key, start, end, letters_of(sum, &letters), watermark)
    });
    let mut fires: Fires = fires.collect();
    fires.sort();
    (fires, late)
}

#[test]
fn flumen_emits_what_flink_emitted() {
    let cases = cases();
    assert_eq!(cases.len(), 41);
    let mut kinds = BTreeMap::new();
    for case in &cases {
        *kinds.entry(case.id.chars().next().unwrap()).or_insert(0) += 1;
        for shards in 1..=3 {
            let (fires, late) = run(case, shards);
            assert_eq!(fires, case.fires, "{} with {shards} shards: fires", case.id);
            assert_eq!(late, case.late, "{} with {shards} shards: late", case.id);
        }
    }
    println!("{kinds:?}, each with 1, 2 and 3 shards");
}
