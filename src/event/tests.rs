//! Every rule of splitting and every reason, over bytes; and properties over random ones.

use proptest::prelude::*;

use super::rules::Rules;
use super::*;

mod hostile;

const GOOD: &str = r#"{"source":"s","type":"t","timestamp":1763888880,"data":{"v":1}}"#;

fn limits() -> Limits {
    Limits { events_per_message: 100, ..Limits::USUAL }
}

/// What a reader says of a message: the reason of each event, `None` for a good one.
fn outcomes(payload: impl AsRef<[u8]>) -> Vec<Option<Reject>> {
    let mut all = Vec::new();
    Reader::new(limits()).read(payload.as_ref(), &mut |outcome| {
        assert_eq!(outcome.index as usize, all.len());
        all.push(outcome.event.err().map(|rejection| {
            assert!(!rejection.message.is_empty());
            rejection.reason
        }));
    });
    all
}

/// One good event, flattened.
#[derive(Debug, PartialEq)]
struct Flat {
    source: String,
    kind: String,
    time_us: Option<i64>,
    fields: Vec<(String, f64)>,
    dims: Vec<(String, String)>,
}

fn flat(payload: impl AsRef<[u8]>) -> Flat {
    let mut found = None;
    Reader::new(limits()).read(payload.as_ref(), &mut |outcome| {
        let event = outcome.event.unwrap();
        found = Some(Flat {
            source: event.source().to_owned(),
            kind: event.kind().to_owned(),
            time_us: event.time_us(),
            fields: event.fields().map(|(n, v)| (n.to_owned(), v)).collect(),
            dims: event.dims().map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
        });
    });
    found.unwrap()
}

fn with(members: &str) -> String {
    format!(r#"{{"source":"s","type":"t","data":{{}},{members}}}"#)
}

fn data(data: &str) -> String {
    format!(r#"{{"source":"s","type":"t","data":{data}}}"#)
}

#[test]
fn data_is_flattened() {
    let event = flat(
        r#"{"id":"x","source":"s\u0031","type":"t","timestamp":"2025-11-23T09:08:00Z","other":[{}],
        "data":{"v":1,"ok":true,"no":false,"nil":null,"list":[1,{"x":2}],"a":{"b":{"c":{"d":4,"e":{"f":5}}}},"u":"C"},
        "metadata":{"rack":"r1","n":5}}"#,
    );
    assert_eq!(event.source, "s1");
    assert_eq!(event.time_us, Some(1_763_888_880_000_000));
    let field = |n: &str, v| (n.to_owned(), v);
    assert_eq!(event.fields, [field("v", 1.0), field("ok", 1.0), field("no", 0.0), field("a.b.c.d", 4.0)]);
    let dims = [("u", "C"), ("metadata.rack", "r1")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    assert_eq!(event.dims, dims);
}

#[test]
fn numbers_are_the_nearest_f64() {
    // Found by rounding errors of a faster parser: extremes must be exact.
    for text in ["51.24817837550540", "0.14411540478050715", "1763888880.123457", "2.2250738585072011e-308"] {
        let event = flat(data(&format!(r#"{{"v":{text}}}"#)));
        assert_eq!(event.fields[0].1.to_bits(), text.parse::<f64>().unwrap().to_bits(), "{text}");
    }
}

#[test]
fn the_last_of_repeated_members_wins() {
    let event = flat(
        r#"{"source":1,"source":"s","type":"a","type":"b","data":{"x":1},"data":{"v":1,"v":2,"w":{"z":1},"w":3,"k":"t","k":4}}"#,
    );
    assert_eq!((event.source.as_str(), event.kind.as_str()), ("s", "b"));
    let fields: Vec<_> = event.fields.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    assert_eq!(fields, [("v", 2.0), ("w", 3.0), ("k", 4.0)]);
    assert!(event.dims.is_empty());
    assert_eq!(outcomes(r#"{"source":"s","source":1,"type":"t","data":{}}"#), [Some(Reject::MissingSource)]);
    assert_eq!(outcomes(r#"{"source":"s","type":"t","data":{},"data":1}"#), [Some(Reject::MissingData)]);
    assert_eq!(outcomes(r#"{"source":"s","type":"t","timestamp":"x","timestamp":null,"data":{}}"#), [None]);
}

#[test]
fn every_reason_a_json_event_can_have() {
    let long_type = format!(r#"{{"source":"s","type":"{}","data":{{}}}}"#, "t".repeat(65));
    let many: Vec<String> = (0..257).map(|n| format!("\"f{n}\":{n}")).collect();
    let deep = format!("{}1{}", r#"{"a":"#.repeat(32), "}".repeat(32));
    let deeper = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let cases: Vec<(String, Reject)> = vec![
        (String::new(), Reject::InvalidJson),
        ("  ".into(), Reject::InvalidJson),
        ("{".into(), Reject::InvalidJson),
        ("nope".into(), Reject::InvalidJson),
        (format!("{GOOD}x"), Reject::InvalidJson),
        (data(r#"{"v":01}"#), Reject::InvalidJson),
        (data(r#"{"v":"\ud800"}"#), Reject::InvalidJson),
        (with(r#""ignored":"\ud800""#), Reject::InvalidJson),
        (with(r#""ignored":[1,]"#), Reject::InvalidJson),
        ("42".into(), Reject::NotAnObject),
        ("null".into(), Reject::NotAnObject),
        ("\"text\"".into(), Reject::NotAnObject),
        (r#"{"type":"t","data":{}}"#.into(), Reject::MissingSource),
        (r#"{"source":"","type":"t","data":{}}"#.into(), Reject::MissingSource),
        (r#"{"source":["s"],"type":"t","data":{}}"#.into(), Reject::MissingSource),
        (r#"{"source":"s","type":7,"data":{}}"#.into(), Reject::MissingType),
        (r#"{"source":"s","type":"t"}"#.into(), Reject::MissingData),
        (data("[1]"), Reject::MissingData),
        (data("null"), Reject::MissingData),
        (with(r#""timestamp":"now""#), Reject::BadTimestamp),
        (with(r#""timestamp":true"#), Reject::BadTimestamp),
        (with(r#""timestamp":{}"#), Reject::BadTimestamp),
        (with(r#""timestamp":1e300"#), Reject::BadTimestamp),
        (data(r#"{"v":1e999}"#), Reject::BadNumber),
        (with(r#""timestamp":-1e999"#), Reject::BadNumber),
        (format!(r#"{{"source":"{}","type":"t","data":{{}}}}"#, "s".repeat(257)), Reject::TooLong),
        (long_type, Reject::TooLong),
        (data(&format!(r#"{{"{}":1}}"#, "n".repeat(257))), Reject::TooLong),
        (data(&deep), Reject::TooDeep),
        (with(&format!(r#""ignored":{deeper}"#)), Reject::TooDeep),
        (with(&format!(r#""ignored":{}"#, "[".repeat(100_000))), Reject::TooDeep),
        (data(&format!("{{{}}}", many.join(","))), Reject::TooManyFields),
    ];
    for (payload, reason) in cases {
        let shown: String = payload.chars().take(80).collect();
        assert_eq!(outcomes(&payload), [Some(reason)], "{shown}");
        // The same as an element between good neighbours, where that can be split.
        if !payload.trim().is_empty() && payload != "{" && !payload.contains("[[[[") {
            let batch = format!("[{GOOD},{payload},{GOOD}]");
            assert_eq!(outcomes(batch), [None, Some(reason), None], "{shown}");
        }
        if !payload.trim().is_empty() {
            let lines = format!("{GOOD}\n{payload}\n{GOOD}");
            assert_eq!(outcomes(lines), [None, Some(reason), None], "{shown}");
            let lines = format!("{payload}\r\n{GOOD}\n {GOOD}");
            assert_eq!(outcomes(lines), [Some(reason), None, None], "{shown}");
        }
    }
    let deep_enough = format!("{}1{}", r#"{"a":"#.repeat(31), "}".repeat(31));
    assert_eq!(outcomes(data(&deep_enough)), [None], "32 levels are allowed");
}

#[test]
fn arrays_are_split_whatever_their_elements_are() {
    let bad = Some(Reject::InvalidJson);
    assert_eq!(outcomes("[]"), []);
    assert_eq!(outcomes(" [ ] "), []);
    assert_eq!(outcomes(format!("[{GOOD}]")), [None]);
    assert_eq!(outcomes(format!("\u{feff}[{GOOD} , {GOOD}]")), [None, None]);
    assert_eq!(outcomes(format!("[{GOOD},]")), [None, bad]);
    assert_eq!(outcomes(format!("[,{GOOD}]")), [bad, None]);
    assert_eq!(outcomes(format!("[{GOOD}] x")), [None, bad]);
    assert_eq!(outcomes(format!("[{GOOD},{{\"a\":}},{GOOD}]")), [None, bad, None]);
    assert_eq!(
        outcomes(format!("[{GOOD},{{\"a\\\"],\":1}},{GOOD}]")),
        [None, Some(Reject::MissingSource), None]
    );
    // From where it cannot be split, the rest is one.
    assert_eq!(outcomes(format!("[{GOOD},{{\"a\":\"open,{GOOD}]")), [None, bad]);
    assert_eq!(outcomes(format!("[{GOOD},{GOOD}")), [None, bad]);
    assert_eq!(outcomes("[".repeat(1 << 20)), [bad]);
}

#[test]
fn lines_are_split_and_one_event_may_have_many() {
    let bad = Some(Reject::InvalidJson);
    assert_eq!(outcomes(format!("{GOOD}\n{GOOD}\r\n\n{GOOD}\n")), [None; 3]);
    assert_eq!(outcomes(format!("{GOOD}\nnot json\nnor this\n{GOOD}")), [None, bad, bad, None]);
    assert_eq!(outcomes(format!("{{\"source\":\n{GOOD}\n{GOOD}")), [bad, None, None]);
    assert_eq!(outcomes(format!("{GOOD}{GOOD}\n{GOOD}")), [bad, None]);
    assert_eq!(outcomes(format!("{GOOD}\n[{GOOD}]")), [None, Some(Reject::NotAnObject)]);
    let pretty = "{\n  \"source\": \"s\",\n  \"type\": \"t\",\n  \"data\": {\n    \"v\": 1\n  }\n}";
    assert_eq!(outcomes(pretty), [None]);
    assert_eq!(outcomes(pretty.replace("\"source\"", "\"sauce\"")), [Some(Reject::MissingSource)]);
    assert_eq!(outcomes(pretty.replace(": 1", ": 01")), [bad], "a broken one is one rejection");
}

#[test]
fn utf8_is_judged_piece_by_piece() {
    let mut batch = format!("[{GOOD},").into_bytes();
    batch.extend_from_slice(b"{\"source\":\"\xff\",\"type\":\"t\",\"data\":{}},");
    batch.extend_from_slice(format!("{GOOD}]").as_bytes());
    assert_eq!(outcomes(&batch), [None, Some(Reject::InvalidJson), None]);
}

#[test]
fn a_long_batch_ends_in_one_rejection() {
    let many = vec![GOOD; 150];
    for text in [format!("[{}]", many.join(",")), many.join("\n")] {
        let all = outcomes(&text);
        assert_eq!(all.len(), 101);
        assert!(all[..100].iter().all(Option::is_none));
        assert_eq!(all[100], Some(Reject::TooLong));
    }
    assert_eq!(outcomes(format!("[{}]", many[..100].join(","))).len(), 100);
}

/// MessagePack of a JSON value.
fn pack(value: &serde_json::Value, out: &mut Vec<u8>) {
    use serde_json::Value;
    let head = |out: &mut Vec<u8>, code: u8, len: usize| {
        out.push(code);
        out.extend_from_slice(&(len as u32).to_be_bytes());
    };
    match value {
        Value::Null => out.push(0xc0),
        Value::Bool(b) => out.push(0xc2 + u8::from(*b)),
        Value::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(n), _) => {
                out.push(0xd3);
                out.extend_from_slice(&n.to_be_bytes());
            }
            (None, x) => {
                out.push(0xcb);
                out.extend_from_slice(&x.unwrap().to_be_bytes());
            }
        },
        Value::String(s) => {
            head(out, 0xdb, s.len());
            out.extend_from_slice(s.as_bytes());
        }
        Value::Array(list) => {
            head(out, 0xdd, list.len());
            list.iter().for_each(|v| pack(v, out));
        }
        Value::Object(map) => {
            head(out, 0xdf, map.len());
            for (k, v) in map {
                pack(&Value::String(k.clone()), out);
                pack(v, out);
            }
        }
    }
}

fn packed(json: &str) -> Vec<u8> {
    let mut out = Vec::new();
    pack(&serde_json::from_str(json).unwrap(), &mut out);
    out
}

#[test]
fn messagepack_has_the_same_reasons() {
    for (json, reason) in [
        (GOOD, None),
        ("42", Some(Reject::NotAnObject)),
        (r#"{"type":"t","data":{}}"#, Some(Reject::MissingSource)),
        (r#"{"source":"s","type":"t","data":[]}"#, Some(Reject::MissingData)),
        (r#"{"source":"s","type":"t","data":{},"timestamp":"x"}"#, Some(Reject::BadTimestamp)),
    ] {
        if json.starts_with('{') {
            assert_eq!(outcomes(packed(json)), [reason], "{json}");
        }
        let batch = format!("[{GOOD},{json},{GOOD}]");
        assert_eq!(outcomes(packed(&batch)), [None, reason, None], "{json}");
    }
    let mut nan = packed(r#"{"source":"s","type":"t","data":{"v":0.5}}"#);
    let at = nan.windows(8).position(|w| w == 0.5f64.to_be_bytes()).unwrap();
    nan[at..at + 8].copy_from_slice(&f64::NAN.to_be_bytes());
    assert_eq!(outcomes(&nan), [Some(Reject::BadNumber)]);
    // Cut short: what came before counts, the rest is one.
    let batch = packed(&format!("[{GOOD},{GOOD}]"));
    assert_eq!(outcomes(&batch[..batch.len() - 1]), [None, Some(Reject::InvalidMsgpack)]);
    assert_eq!(outcomes([batch.as_slice(), &[0xc0]].concat()), [None, None, Some(Reject::InvalidMsgpack)]);
    assert_eq!(outcomes(vec![0x91; 1 << 20]), [Some(Reject::TooDeep)]);
    assert_eq!(outcomes([0xdd, 0xff, 0xff, 0xff, 0xff]), [Some(Reject::InvalidMsgpack)]);
    // The timestamp extension: 4, 8 and 12 bytes.
    let stamp = |ext: &[u8]| {
        let mut event = packed(r#"{"source":"s","type":"t","data":{},"timestamp":null}"#);
        let at = event.windows(9).position(|w| w == b"timestamp").unwrap() + 9;
        event.splice(at..=at, ext.iter().copied());
        flat(event).time_us
    };
    assert_eq!(stamp(&[0xd6, 0xff, 0, 0, 0, 5]), Some(5_000_000));
    assert_eq!(stamp(&[0xd7, 0xff, 0, 0, 0x0f, 0xa0, 0, 0, 0, 5]), Some(5_000_001));
    let minus_one = [0xc7, 12, 0xff, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255];
    assert_eq!(stamp(&minus_one), Some(-1_000_000));
}

#[test]
fn rules_filter_by_type_field_and_age() {
    let keeps = |rules: &str, event: &str, age_s: i64| {
        let rules = Rules::parse(rules.as_bytes()).unwrap();
        let mut kept = None;
        Reader::new(limits()).read(event.as_bytes(), &mut |o| {
            kept = Some(rules.keeps(o.event.unwrap(), 0, age_s * 1_000_000));
        });
        kept.unwrap()
    };
    let rule = r#"{"filters":[{"type":"t","field":"data.v","min":1,"max":5}],"max_age_seconds":60}"#;
    assert!(keeps(rule, &data(r#"{"v":1}"#), 60));
    assert!(keeps(rule, &data(r#"{"v":5}"#), 0));
    assert!(!keeps(rule, &data(r#"{"v":0.9}"#), 0));
    assert!(!keeps(rule, &data(r#"{"v":5.1}"#), 0));
    assert!(keeps(rule, &data(r#"{"w":9}"#), 0), "an event without the field stays");
    assert!(!keeps(rule, &data(r#"{"v":1}"#), 61));
    assert!(keeps(rule, &data(r#"{"v":9}"#).replace("\"t\"", "\"u\""), 0));
}

/// A JSON value a client might put into `data`.
fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (-1e9..1e9f64).prop_map(Into::into),
        "[a-z\"\\\\é]{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 24, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            proptest::collection::btree_map("[a-e.]{0,4}", inner, 0..5)
                .prop_map(|m| m.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

fn any_event() -> impl Strategy<Value = serde_json::Value> {
    let member = proptest::collection::btree_map("[a-z]{1,6}", value(), 0..6);
    ("[a-z]{1,8}", member, any::<i32>()).prop_map(|(source, data, time)| {
        serde_json::json!({ "source": source, "type": "t", "timestamp": time, "data": data })
    })
}

proptest! {
    #[test]
    fn no_bytes_do_any_harm(bytes: Vec<u8>) {
        outcomes(&bytes);
        Reader::new(limits()).count(&bytes);
        for first in [b'{', b'[', 0x83, 0x93, 0xdd, 0xdf] {
            let mut bytes = bytes.clone();
            bytes.insert(0, first);
            outcomes(&bytes);
            Reader::new(limits()).count(&bytes);
        }
    }

    #[test]
    fn json_and_messagepack_say_the_same(event in any_event()) {
        let json = event.to_string();
        prop_assert_eq!(flat(&json), flat(packed(&json)));
        let pretty = serde_json::to_string_pretty(&event).unwrap();
        prop_assert_eq!(flat(&json), flat(pretty));
    }

    #[test]
    fn damage_in_one_event_stays_there(
        events in proptest::collection::vec(any_event(), 1..6), at: prop::sample::Index, cut: prop::sample::Index,
    ) {
        // Lines are the surest borders: one is damaged, the others count.
        let mut lines: Vec<String> = events.iter().map(ToString::to_string).collect();
        let at = at.index(lines.len());
        let mut keep = cut.index(lines[at].len());
        while !lines[at].is_char_boundary(keep) {
            keep -= 1;
        }
        lines[at].truncate(keep.max(1));
        let got = outcomes(lines.join("\n"));
        prop_assert_eq!(got.len(), lines.len());
        for (n, outcome) in got.iter().enumerate() {
            prop_assert_eq!(outcome.is_some(), n == at, "{:?}", lines);
        }
    }

    #[test]
    fn well_formed_messages_are_counted_exactly(events in proptest::collection::vec(any_event(), 0..8)) {
        let reader = Reader::new(limits());
        let array = serde_json::Value::from(events.clone()).to_string();
        prop_assert_eq!(reader.count(array.as_bytes()), events.len() as u64);
        prop_assert_eq!(reader.count(&packed(&array)), events.len() as u64);
        if let Some(event) = events.first() {
            let lines: Vec<String> = events.iter().map(ToString::to_string).collect();
            prop_assert_eq!(reader.count(lines.join("\n  ").as_bytes()), events.len() as u64);
            let pretty = serde_json::to_string_pretty(event).unwrap();
            prop_assert_eq!(reader.count(pretty.as_bytes()), 1);
            prop_assert_eq!(reader.count(pretty.replace("\n ", "\n").as_bytes()), 1);
        }
    }
}

/// Events of a known shape, of either format, meet limits that are set after the shape was learned;
/// the numbers of names are not mistaken for those of before.
#[test]
fn limits_that_change_hold_for_shapes_that_are_known() {
    let json = r#"{"source":"s","type":"t","data":{"a":1,"b":{"c":{"d":2}}}}"#;
    let packed = b"\x83\xa6source\xa1s\xa4type\xa1t\xa4data\x82\xa1a\x01\xa1b\x02".to_vec();
    for (message, tight, reason) in [
        (json.as_bytes().to_vec(), Limits { fields_per_event: 1, ..limits() }, Reject::TooManyFields),
        (json.as_bytes().to_vec(), Limits { nesting: 3, ..limits() }, Reject::TooDeep),
        (packed, Limits { fields_per_event: 1, ..limits() }, Reject::TooManyFields),
    ] {
        let mut reader = Reader::new(limits());
        let read = |reader: &mut Reader| {
            let mut said = None;
            reader.read(&message, &mut |outcome| {
                said = Some(outcome.event.map(Scratch::generation).map_err(|r| r.reason));
            });
            said.unwrap()
        };
        let generation = read(&mut reader).unwrap();
        assert_eq!(read(&mut reader), Ok(generation));
        reader.set_limits(limits());
        assert_eq!(read(&mut reader), Ok(generation), "the same limits change nothing");
        reader.set_limits(tight);
        assert_eq!(read(&mut reader), Err(reason));
        reader.set_limits(limits());
        assert!(read(&mut reader).unwrap() > generation);
        let batch = [b"[", json.as_bytes(), b",", json.as_bytes(), b"]"].concat();
        reader.set_limits(Limits { events_per_message: 1, ..limits() });
        let mut reasons = Vec::new();
        reader.read(&batch, &mut |outcome| reasons.push(outcome.event.err().map(|r| r.reason)));
        assert_eq!(reasons, [None, Some(Reject::TooLong)]);
    }
}

/// Of either format, read by comparing and carefully: what is as long as allowed is taken, a byte more
/// is not, and who sent it is told what, how much and by which option.
#[test]
fn what_is_too_long_is_said_with_its_size_or_left_out() {
    let limits = Limits { name_size: 20, string_size: 5, ..limits() };
    let event = |source: usize, kind: usize, name: usize, rack: usize, text: usize, id: usize| {
        let n = |n: usize| "n".repeat(n);
        let (source, kind, id, text) = (n(source), n(kind), n(id), n(text));
        let data = format!(r#"{{"a":{{"{}":1}},"b":"{text}"}}"#, n(name - "a.".len()));
        let metadata = format!(r#"{{"{}":"{text}"}}"#, n(rack - "metadata.".len()));
        format!(r#"{{"id":"{id}","source":"{source}","type":"{kind}","data":{data},"metadata":{metadata}}}"#)
    };
    for (message, said) in [
        (event(20, 64, 20, 20, 5, 20), Ok((2, true))),
        (event(20, 64, 20, 20, 6, 20), Ok((0, true))),
        (event(20, 64, 20, 20, 5, 21), Ok((2, false))),
        (
            event(21, 64, 20, 20, 5, 20),
            Err("\"source\" is \"nnnnnnnnnnnnnnnnnnnnn\", which has 21 bytes; limits.name_size allows 20"),
        ),
        (
            event(20, 65, 20, 20, 5, 20),
            Err(
                "\"type\" is \"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\"…, which has 65 bytes; it may have 64",
            ),
        ),
        (
            event(20, 64, 21, 20, 5, 20),
            Err("the name \"a.nnnnnnnnnnnnnnnnnnn\" has 21 bytes; limits.name_size allows 20"),
        ),
        (
            event(20, 64, 20, 21, 5, 20),
            Err("the name \"metadata.nnnnnnnnnnnn\" has 21 bytes; limits.name_size allows 20"),
        ),
    ] {
        for message in [message.as_bytes().to_vec(), packed(&message)] {
            for mut reader in [Reader::new(limits), Reader::without_scanner(limits)] {
                for _ in 0..2 {
                    reader.read(&message, &mut |outcome| match (&outcome.event, said) {
                        (Ok(event), Ok((dims, has_id))) => {
                            assert_eq!((event.dims().count(), event.id().is_some()), (dims, has_id));
                            assert_eq!(event.fields().count(), 1);
                        }
                        (Err(rejection), Err(message)) => {
                            assert_eq!((rejection.reason, &*rejection.message), (Reject::TooLong, message));
                        }
                        (event, _) => panic!("{event:?} instead of {said:?}"),
                    });
                }
            }
        }
    }
}
