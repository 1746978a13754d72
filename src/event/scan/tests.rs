//! The scanner against serde_json: the same outcomes for all bytes, and it is really in use.
//!
//! Every comparison is of two readers, one without the scanner, over the same message: places,
//! bytes, reasons, messages, and all of the scratch, numbers by their bits.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::super::Reader;
use super::super::time::TimestampUnit;
use super::*;
use crate::generate::sources::Sources;

const GOOD: &str = r#"{"source":"s","type":"t","timestamp":1763888880,"data":{"v":1}}"#;

fn limits() -> Limits {
    let tight = Limits { nesting: 6, fields_per_event: 12, events_per_message: 9, ..Limits::USUAL };
    Limits { name_size: 11, string_size: 7, ..tight }
}

/// Everything that an event tells, as text.
fn told(event: &Scratch) -> String {
    let fields: Vec<_> = event.fields().map(|(name, value)| (name, value.to_bits(), value)).collect();
    let dims: Vec<_> = event.dims().collect();
    let members = ["source", "type", "data.a", "data.metadata.a", "metadata.a", "a.b", "metadata.a.b"];
    let members = members.map(|name| {
        let member = super::super::Member::parse(name).unwrap();
        (event.text_of(&member).map(str::to_owned), event.number_of(&member).map(f64::to_bits))
    });
    let own = (event.source(), event.kind(), event.id(), event.time_us(), event.long_strings());
    format!("{own:?} {fields:?} {dims:?} {members:?}")
}

/// What an event tells if nobody asks for strings in it, as text.
fn told_without_strings(event: &Scratch) -> String {
    let fields: Vec<_> = event.fields().map(|(name, value)| (name, value.to_bits())).collect();
    let own = (event.source(), event.kind(), event.id(), event.time_us(), event.long_strings());
    format!("{own:?} {fields:?}")
}

type Reported = Vec<(u32, Vec<u8>, Result<String, String>)>;

/// Everything that a reader reports.
fn report(reader: &mut Reader, message: &[u8], told: fn(&Scratch) -> String) -> Reported {
    let mut all = Vec::new();
    reader.read(message, &mut |outcome| {
        let event = outcome.event.map(told).map_err(|r| format!("{:?} {}", r.reason, r.message));
        all.push((outcome.index, outcome.raw.to_vec(), event));
    });
    all
}

/// Panics if the scanner makes a difference; says how many events there were, and how many of
/// them were left to serde_json.
fn compare_with(limits: Limits, message: &[u8]) -> (usize, u64) {
    let mut fast = Reader::new(limits);
    let got = report(&mut fast, message, told);
    // What one message leaves in the scratch must not be seen in the next.
    let again = report(&mut fast, message, told);
    let mut slow = Reader::without_scanner(limits);
    let wanted = report(&mut slow, message, told);
    let mut faster = Reader::new(limits).with_strings(false);
    for _ in 0..2 {
        let got = report(&mut faster, message, told_without_strings);
        let wanted = report(&mut slow, message, told_without_strings);
        assert_eq!(got, wanted, "without strings: {}", String::from_utf8_lossy(message));
    }
    assert!(faster.left_to_serde() <= fast.left_to_serde());
    let left = fast.left_to_serde() / 2;
    // Nor what was learned from it, in others that differ in their values.
    for (from, to) in [("null", "1"), ("1", "null"), ("true", "{}"), ("0", "\"0\"")] {
        let other = String::from_utf8_lossy(message).replace(from, to).into_bytes();
        let wanted = report(&mut slow, &other, told);
        let got = report(&mut fast, &other, told);
        assert_eq!(got, wanted, "behind another: {}", String::from_utf8_lossy(&other));
        let wanted = report(&mut slow, &other, told_without_strings);
        let got = report(&mut faster, &other, told_without_strings);
        assert_eq!(got, wanted, "without strings, behind another: {}", String::from_utf8_lossy(&other));
    }
    assert_eq!(got, wanted, "{}", String::from_utf8_lossy(message));
    assert_eq!(again, wanted, "the second time: {}", String::from_utf8_lossy(message));
    (wanted.len(), left)
}

fn compare(message: impl AsRef<[u8]>) -> (usize, u64) {
    compare_with(limits(), message.as_ref())
}

/// The event alone, in all framings, between good ones, before what does not belong there.
fn compare_framed(event: &[u8]) {
    compare(event);
    for (before, behind) in [
        ("[", "]"),
        ("[ ", " ]"),
        ("[", ""),
        ("[", ",]"),
        ("[", " x]"),
        ("[", "\u{c}]"),
        ("[\u{c}", "]"),
        ("[", "]]"),
        (",", "]"),
        ("", "x"),
        ("", "\n"),
        (" \r", " \n \n\t"),
        ("{GOOD}\n", "\n{GOOD}"),
        ("{GOOD}\r\n\r\n ", " \r\n{GOOD}\n"),
        ("{GOOD}\n\u{c}", "\u{c}\n{GOOD}"),
        ("{GOOD}", "{GOOD}"),
        ("[{GOOD},", ",{GOOD}]"),
        ("[{GOOD} , ", "\n,\n{GOOD}] "),
        ("[{GOOD}, 1,", ",{\"a\":},{GOOD}] {GOOD}"),
        ("\u{feff}[", ",{GOOD}]"),
    ] {
        let mut message = before.replace("{GOOD}", GOOD).into_bytes();
        message.extend_from_slice(event);
        message.extend_from_slice(behind.replace("{GOOD}", GOOD).as_bytes());
        compare(message);
    }
}

fn pieces(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(of).prop_map(str::to_owned)
}

/// White space, mostly none.
fn space() -> impl Strategy<Value = String> {
    prop_oneof![12 => Just(String::new()), 3 => Just(" ".to_owned()), 1 => pieces(&["\n", "\r\n  ", "\t", "          "])]
}

/// Inside of a string: what is usual, and what is not.
fn inside() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-zA-Z0-9_./-]{1,20}",
        2 => "[a-e]{1,2}",
        1 => pieces(&["", ".", "a.b", "a.b.c", "metadata", "metadata.a", "ab", "abcdefgh", "abcdefghi", "abcdefgh.x"]),
        1 => "[a-z é€😀\u{80}\u{7f}]{0,12}",
        1 => pieces(&["\\n", "\\\"", "\\u0041", "\\ud83d\\ude00", "\\ud800", "\\x", "\u{1}", "\\", "x\\\\"]),
        1 => (230usize..270).prop_map(|n| "n".repeat(n)),
        1 => (60usize..70).prop_map(|n| "é".repeat(n / 2)),
    ]
}

fn string() -> impl Strategy<Value = String> {
    inside().prop_map(|s| format!("\"{s}\""))
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => any::<i32>().prop_map(|n| n.to_string()),
        2 => "-?(0|[1-9][0-9]{0,8})\\.[0-9]{1,9}",
        2 => (any::<u64>(), 0u32..64).prop_map(|(n, by)| (n >> by).to_string()),
        1 => any::<i64>().prop_map(|n| n.to_string()),
        1 => any::<f64>().prop_map(|x| format!("{x}")),
        1 => any::<f64>().prop_map(|x| format!("{x:e}")),
        1 => (0.0..1e4).prop_map(|x| format!("{x}")),
        1 => "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?",
        1 => "-?[0-9]{1,3}\\.?[0-9]{0,3}(e[+-]?[0-9]{0,5})?",
        1 => (1u64 << 52..1 << 54, 1usize..20).prop_map(|(n, at)| {
            let mut text = n.to_string();
            text.insert(at.min(text.len() - 1), '.');
            text
        }),
        2 => pieces(&[
            "0", "-0", "-0.0", "0.0", "0e0", "-", "01", "-01", "1.", ".5", "1e", "+1", "0x1", "1.e5", "NaN",
            "Infinity", "-Infinity", "9007199254740992", "9007199254740993", "9007199254740993.0",
            "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
            "18446744073709551615", "18446744073709551616", "9999999999999999999", "-9999999999999999999",
            "99999999999999999999", "1e22", "1e23", "8.5e22", "1e308", "1e309", "-1e999", "4.9e-324",
            "2.4703282292062327e-324", "2.4703282292062328e-324", "2.2250738585072011e-308",
            "1.7976931348623157e308", "1.7976931348623159e308", "0.1000000000000000055511151231257827",
            "9007199254740991.5", "0.000000000000000000000001", "12345678.12345678", "1234567812345678",
            "0.00000000000000000000000000", "100000000000000000000000", "1e00005", "1e-400", "0e999999",
        ]),
    ]
}

fn stamp() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (1_600_000_000u64..1_900_000_000, 0u32..1_000_000).prop_map(|(s, us)| format!("{s}.{us:06}")),
        2 => (1_600_000_000u64..1_900_000_000, 0u32..4).prop_map(|(s, by)| (s * 1000u64.pow(by)).to_string()),
        2 => (0i64..253_402_300_799_999_999).prop_map(|us| format!("\"{}\"", time::format_rfc3339_us(us))),
        1 => number(),
        1 => string(),
        1 => pieces(&["null", "true", "{}", "[1]", "\"2025-11-23T09:08:00+01:30\"", "\"2025-13-23T09:08:00Z\""]),
    ]
}

fn list(
    of: impl Strategy<Value = String>,
    open: &'static str,
    close: &'static str,
) -> impl Strategy<Value = String> {
    (vec((space(), of, space()), 0..4), space()).prop_map(move |(items, end)| {
        let items: Vec<String> = items.into_iter().map(|(a, item, b)| format!("{a}{item}{b}")).collect();
        format!("{open}{}{end}{close}", items.join(","))
    })
}

fn member(
    name: impl Strategy<Value = String>,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    (name, space(), space(), value).prop_map(|(name, a, b, value)| format!("{name}{a}:{b}{value}"))
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => string(),
        4 => number(),
        1 => pieces(&["null", "true", "false"]),
        1 => prop_oneof![9 => Just("[]".to_owned()), 1 => pieces(&["nul", "truefalse", "True", "[", "}", "", "[1,]"])],
    ];
    leaf.prop_recursive(7, 24, 4, |inner| {
        prop_oneof![
            1 => list(inner.clone(), "[", "]"),
            3 => list(member(string(), inner), "{", "}"),
        ]
    })
}

fn object() -> impl Strategy<Value = String> {
    (vec((space(), member(string(), value()), space()), 0..8)).prop_map(|members| {
        let members: Vec<String> =
            members.into_iter().map(|(a, member, b)| format!("{a}{member}{b}")).collect();
        format!("{{{}}}", members.join(","))
    })
}

/// An event of any shape, good more often than not.
fn event() -> impl Strategy<Value = String> {
    let plain = || prop_oneof![8 => "\"[a-z_0-9]{1,12}\"", 1 => string(), 1 => value()];
    let own = (plain(), plain(), stamp(), object(), prop_oneof![object(), Just("null".to_owned()), value()]);
    let more = prop_oneof![
        4 => member(string(), value()),
        1 => member(
            pieces(&["\"id\"", "\"source\"", "\"type\"", "\"timestamp\"", "\"data\"", "\"metadata\"", "\"Data\""]),
            value(),
        ),
        2 => member(Just("\"id\"".to_owned()), prop_oneof![plain(), string()]),
    ];
    let left_out = prop_oneof![9 => Just(None), 1 => any::<Index>().prop_map(Some)];
    (own, vec(more, 0..3), left_out, any::<u64>(), space(), space()).prop_map(
        |((source, kind, stamp, data, metadata), more, left_out, order, a, b)| {
            let mut members = vec![
                format!("\"source\":{source}"),
                format!("\"type\":{kind}"),
                format!("\"timestamp\":{stamp}"),
                format!("\"data\":{data}"),
                format!("\"metadata\":{metadata}"),
            ];
            members.extend(more);
            if let Some(index) = left_out {
                members.remove(index.index(members.len()));
            }
            if order % 3 == 0 {
                let by = order as usize / 3 % members.len();
                members.rotate_left(by);
            }
            format!("{{{a}{}{b}}}", members.join(&format!("{b},{a}")))
        },
    )
}

/// Events that differ in their values and, now and then, in more.
fn alike() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let name = || prop_oneof![4 => "\"[a-e]{1,2}(\\.[a-c])?\"", 1 => string()];
    let leaf = || {
        prop_oneof![
            4 => string(),
            4 => number(),
            2 => pieces(&["null", "true", "false", "[]", "{}", "[1,{\"a\":2}]"]),
            1 => value(),
        ]
    };
    // `data`, an object in it, `metadata`, the event's own: six values or fewer, names in all of them.
    let names = (vec(name(), 6), 0usize..7, 0usize..7, space(), 0usize..6);
    let values = (vec(leaf(), 6), stamp(), string(), proptest::option::of((any::<Index>(), harm())));
    (names, vec(values, 2..6)).prop_map(|((names, a, b, space, order), events)| {
        let event = |(values, stamp, source, harm): (Vec<String>, String, String, Option<(Index, Harm)>)| {
            let members: Vec<String> =
                names.iter().zip(&values).map(|(n, v)| format!("{n}:{space}{v}")).collect();
            let (a, b) = (a.min(b), a.max(b));
            let inner = members[a..b].join(",");
            let mut data = members[..a].to_vec();
            data.push(format!("\"o\":{space}{{{inner}}}"));
            let mut all = [
                format!("\"source\":{source}"),
                format!("\"type\":{space}\"t\""),
                format!("\"timestamp\":{stamp}"),
                format!("\"data\":{{{}}}", data.join(",")),
                format!("\"metadata\":{{{}}}", members[b..].join(&format!("{space},"))),
                format!("\"id\":{}", values[0]),
            ];
            all.rotate_left(order);
            let bytes = format!("{{{}}}", all.join(",")).into_bytes();
            match harm {
                Some((index, harm)) if index.index(3) == 0 => harmed(bytes, &harm),
                _ => bytes,
            }
        };
        events.into_iter().map(event).collect()
    })
}

/// What happens to bytes.
#[derive(Clone, Debug)]
enum Harm {
    Set(Index, u8),
    Delete(Index, usize),
    Insert(Index, Vec<u8>),
    Cut(Index),
    Again(Index, Index),
}

fn harm() -> impl Strategy<Value = Harm> {
    let byte = || prop_oneof![3 => select(&b"\"\\{}[],:.-+eE0123456789 \n\r\tntf\0\x1f\x7f\x80\xff\xc3"[..]), 1 => any::<u8>()];
    prop_oneof![
        (any::<Index>(), byte()).prop_map(|(at, b)| Harm::Set(at, b)),
        (any::<Index>(), 1usize..6).prop_map(|(at, n)| Harm::Delete(at, n)),
        (any::<Index>(), vec(byte(), 1..4)).prop_map(|(at, bytes)| Harm::Insert(at, bytes)),
        any::<Index>().prop_map(Harm::Cut),
        (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Harm::Again(a, b)),
    ]
}

fn harmed(mut bytes: Vec<u8>, harm: &Harm) -> Vec<u8> {
    let at = |index: &Index, bytes: &[u8]| index.index(bytes.len() + 1);
    match harm {
        Harm::Set(index, to) => {
            let at = at(index, &bytes);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = *to;
            }
        }
        Harm::Delete(index, n) => {
            let at = at(index, &bytes);
            bytes.drain(at..bytes.len().min(at + n));
        }
        Harm::Insert(index, more) => {
            let at = at(index, &bytes);
            bytes.splice(at..at, more.iter().copied());
        }
        Harm::Cut(index) => bytes.truncate(at(index, &bytes)),
        Harm::Again(a, b) => {
            let (a, b) = (at(a, &bytes), at(b, &bytes));
            let piece = bytes[a.min(b)..a.max(b)].to_vec();
            bytes.splice(a..a, piece);
        }
    }
    bytes
}

fn generated(n: usize, seed: u64) -> Vec<Vec<u8>> {
    let mut sources = Sources::new(100, seed);
    let event = |n: usize| {
        let mut out = Vec::new();
        sources.event(1_763_888_880_000_001 + n as u64 * 1_234_567, n as f64, &mut out);
        out
    };
    (0..n).map(event).collect()
}

/// The three framings of some events.
fn framed(events: &[Vec<u8>]) -> [Vec<u8>; 3] {
    let array = [b"[", events.join(&b',').as_slice(), b"]"].concat();
    [array, events.join(&b'\n'), events.join(&b"\r\n "[..])]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn any_event_reads_the_same(event in event()) {
        compare_framed(event.as_bytes());
    }

    #[test]
    fn harmed_events_read_the_same(event in event(), harms in vec(harm(), 1..4)) {
        let bytes = harms.iter().fold(event.into_bytes(), harmed);
        compare_framed(&bytes);
    }

    #[test]
    fn harmed_messages_read_the_same(events in vec(event(), 1..12), harms in vec(harm(), 0..4)) {
        let events: Vec<Vec<u8>> = events.into_iter().map(String::into_bytes).collect();
        for message in framed(&events) {
            compare(harms.iter().fold(message, harmed));
        }
    }

    /// What one reader learns from some events changes nothing in others that are like them.
    #[test]
    fn events_that_are_alike_read_the_same(events in alike()) {
        let (mut fast, mut faster) = (Reader::new(limits()), Reader::new(limits()).with_strings(false));
        let mut slow = Reader::without_scanner(limits());
        for event in events.iter().chain(&events) {
            let wanted = report(&mut slow, event, told);
            let got = report(&mut fast, event, told);
            prop_assert_eq!(got, wanted, "{}", String::from_utf8_lossy(event));
            let wanted = report(&mut slow, event, told_without_strings);
            let got = report(&mut faster, event, told_without_strings);
            prop_assert_eq!(got, wanted, "without strings: {}", String::from_utf8_lossy(event));
        }
        for message in framed(&events) {
            compare(message);
        }
    }

    #[test]
    fn harmed_generated_messages_read_the_same(n in 1usize..4, seed: u64, harms in vec(harm(), 1..4)) {
        for message in framed(&generated(n, seed)) {
            compare(harms.iter().fold(message, harmed));
        }
    }

    #[test]
    fn numbers_read_the_same(numbers in vec(number(), 1..12), unit in 0usize..5) {
        use TimestampUnit::*;
        let timestamp_unit = [Auto, Seconds, Millis, Micros, Nanos][unit];
        let limits = Limits { timestamp_unit, ..limits() };
        for number in &numbers {
            for pad in ["", "          "] {
                let data = format!(r#"{{"source":"s","type":"t","data":{{"v":{number}}}}}{pad}"#);
                compare_with(limits, data.as_bytes());
                let time = format!(r#"{{"source":"s","type":"t","data":{{}},"timestamp":{number}}}{pad}"#);
                compare_with(limits, time.as_bytes());
                let skipped = format!(r#"{{"source":"s","type":"t","data":{{}},"x":{number}}}{pad}"#);
                compare_with(limits, skipped.as_bytes());
            }
        }
    }
}

#[test]
fn every_cut_and_every_byte_of_an_event() {
    let event = r#"{"id":"é","source":"a","type":"t","timestamp":1.5,"data":{"v":-1,"w":{"x":"y"},"n":null},"metadata":{"a":"b"}}"#;
    for at in 0..event.len() {
        compare(&event.as_bytes()[..at]);
        for to in 0..=255u8 {
            let mut bytes = event.as_bytes().to_vec();
            bytes[at] = to;
            compare(&bytes);
        }
    }
}

#[test]
fn limits_are_met_at_the_same_place() {
    let data = |data: &str| format!(r#"{{"source":"s","type":"t","data":{data}}}"#);
    for n in 0..14 {
        let members: Vec<String> = (0..n).map(|n| format!("\"f{n}\":{n},\"g{n}\":null")).collect();
        compare(data(&format!("{{{}}}", members.join(","))));
        compare(data(&format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n))));
        compare(data(&format!("{{\"a\":{}1{}}}", "[".repeat(n), "]".repeat(n))));
        compare(vec![GOOD; n].join("\n"));
        compare(format!("[{}]", vec![GOOD; n].join(",")));
    }
    for n in [1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 63, 64, 65, 240, 246, 247, 248, 255, 256, 257] {
        let long = "n".repeat(n);
        let compare = |message: String| {
            compare_with(limits(), message.as_bytes());
            compare_with(Limits::USUAL, message.as_bytes());
        };
        for member in ["\"id\"", "\"source\"", "\"type\"", "\"metadata\""] {
            compare(format!(r#"{{{member}:"{long}","source":"s","type":"t","data":{{}}}}"#));
            compare(format!(r#"{{{member}:"{long}","data":{{}}}}"#));
        }
        compare(data(&format!(r#"{{"{long}":1}}"#)));
        compare(data(&format!(r#"{{"v":"{long}"}}"#)));
        compare(data(&format!(r#"{{"abcdefgh":{{"{long}":1}}}}"#)));
        compare(format!(r#"{{"source":"s","type":"t","data":{{}},"metadata":{{"{long}":"x"}}}}"#));
    }
}

#[test]
fn nearly_all_generated_events_are_the_scanners() {
    let limits = Limits::USUAL;
    let events = generated(5_000, 1);
    let mut left = 0;
    for event in &events {
        let (found, slow) = compare_with(limits, event);
        assert_eq!(found, 1);
        left += slow;
    }
    assert!(left * 100 <= events.len() as u64, "{left} of {} one by one", events.len());
    for message in framed(&events) {
        let (found, slow) = compare_with(limits, &message);
        assert_eq!(found, events.len());
        assert!(slow * 100 <= found as u64, "{slow} of {found} in one message");
    }
}

#[test]
fn usual_events_are_the_scanners() {
    // Of the kinds that clients in other languages write.
    for event in [
        GOOD,
        r#"{"source": "s", "type": "t", "timestamp": 1763888880.25, "data": {"value": 21.5, "ok": true}}"#,
        r#"{"type":"t","data":{"a":{"b":{"c":{"d":1,"e":{"f":[1,{"g":null}]}}}}},"source":"é","timestamp":null}"#,
        r#"{"source":"s","type":"t","timestamp":"2025-11-23T09:08:00Z","data":{"x":0.14411540478050715,"y":1e-7}}"#,
        r#"{"id":7,"source":"s","type":"t","extra":{"a":[1,2,"x"]},"data":{},"metadata":{"a":"b","n":{"m":"x"}}}"#,
        "{\n  \"source\": \"s\",\n  \"type\": \"t\",\n  \"data\": {\n    \"v\": 1\n  }\n}",
    ] {
        let limits = Limits::USUAL;
        assert_eq!(compare_with(limits, event.as_bytes()), (1, 0), "{event}");
    }
}
