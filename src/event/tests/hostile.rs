//! Messages that are made to cost much: the memory and the work of a reader are bounded, and whatever stands beside
//! what is bad counts.

use super::*;

const MIB: usize = 1 << 20;

/// `{"source":"s","type":"t","data":DATA}` of a mebibyte: `open`, as often as there is room for it, and `close`.
fn large(open: &str, again: &str, close: &str) -> String {
    data(&format!("{open}{}{close}", again.repeat((MIB - open.len()) / again.len())))
}

#[test]
fn a_large_event_leaves_no_room_behind() {
    let long = "x".repeat(MIB);
    let most = "x".repeat(250);
    let fields: Vec<String> = (0..255).map(|n| format!("\"f{n}\":{n}")).collect();
    for (message, reason) in [
        (data(&format!("{{\"{long}\":{{\"z\":0{}}}}}", ",\"a\":1".repeat(10_000))), Some(Reject::TooLong)),
        (large(&format!("{{\"{most}\":{{\"z\":0"), ",\"a\":1", "}}"), Some(Reject::TooManyFields)),
        (large(&format!("{{\"{most}\":{{\"z\":0"), ",\"a\":[]", "}}"), Some(Reject::TooManyFields)),
        (large(&format!("{{{}", fields.join(",")), ",\"b\":0", "}"), Some(Reject::TooManyFields)),
        // As many as there may be.
        (data(&format!("{{\"{most}\":{{\"z\":0{}}}}}", ",\"a\":1".repeat(2_046))), None),
        (
            data(&format!("{{\"{most}\":{{\"z\":0{}}}}}", ",\"a\":1".repeat(2_047))),
            Some(Reject::TooManyFields),
        ),
        (data(&format!("{{\"v\":\"{long}\"}}")), None),
        (format!(r#"{{"source":"{long}","type":"t","data":{{}}}}"#), Some(Reject::TooLong)),
    ] {
        // As every member counts, and not only the last of a name, `packed` cannot make it of a map.
        let batch = format!("[{message},{GOOD}]");
        for mut reader in [Reader::new(limits()), Reader::without_scanner(limits())] {
            let mut said = Vec::new();
            reader.read(message.as_bytes(), &mut |outcome| said.push(outcome.event.err().map(|r| r.reason)));
            let shown = &message[..60];
            assert!(reader.room() < message.len() * 3 + MIB, "{} bytes for {shown}", reader.room());
            reader.read(batch.as_bytes(), &mut |outcome| said.push(outcome.event.err().map(|r| r.reason)));
            assert!(reader.room() < MIB, "{} bytes behind {shown}", reader.room());
            assert_eq!(said, [reason, reason, None], "{shown}");
        }
    }
}

/// A map of MessagePack with these members of `data`, already packed, each of them `again` times.
fn packed_members(member: &[u8], again: usize) -> Vec<u8> {
    let mut message = b"\x83\xa6source\xa1s\xa4type\xa1t\xa4data\xdf".to_vec();
    message.extend_from_slice(&(again as u32).to_be_bytes());
    message.extend_from_slice(&member.repeat(again));
    message
}

#[test]
fn members_of_messagepack_are_as_many() {
    for (member, again, reason) in [
        (&b"\xa1a\x01"[..], 2_048, None),
        (b"\xa1a\x01", 2_049, Some(Reject::TooManyFields)),
        (b"\xa1a\xc0", 300_000, Some(Reject::TooManyFields)),
        (b"\xa1a\x81\xa1b\x90", 1_025, Some(Reject::TooManyFields)),
    ] {
        let message = packed_members(member, again);
        for (mut reader, strings) in [
            (Reader::new(limits()), true),
            (Reader::new(limits()).with_strings(false), false),
            (Reader::without_scanner(limits()), true),
        ] {
            let mut said = None;
            reader.read(&message, &mut |outcome| said = outcome.event.err().map(|r| r.reason));
            assert_eq!(said, reason, "{again} times {member:?}, strings {strings}");
            assert!(reader.room() < message.len() + MIB);
        }
    }
}

/// The members of `metadata` count though nobody asks for them and the quick readers pass them.
#[test]
fn members_that_nobody_asks_for_are_as_many() {
    let event = |n: usize| with(&format!("\"metadata\":{{\"z\":1{}}}", ",\"a\":1".repeat(n)));
    for (n, reason) in [(2_047, None), (2_048, Some(Reject::TooManyFields))] {
        for reader in [Reader::new(limits()), Reader::without_scanner(limits())] {
            let mut said = None;
            let mut reader = reader.with_strings(false);
            reader.read(event(n).as_bytes(), &mut |outcome| said = outcome.event.err().map(|r| r.reason));
            assert_eq!(said, reason, "{n}");
        }
    }
}

#[test]
fn what_is_bad_in_messagepack_is_rejected_alone() {
    let good = packed(GOOD);
    let event = |value: &[u8]| {
        let mut event = b"\x84\xa6source\xa1s\xa4type\xa1t\xa4data\x81\xa1v\x01\xa5other".to_vec();
        event.extend_from_slice(value);
        event
    };
    let deep = [&[0x91; 130][..], &[0x01]].concat();
    let wide = [&[0x91; 130][..], &[0x82, 0x01, 0x02, 0x03, 0x04]].concat();
    for (bad, reason) in [
        (event(b"\xa1\xff"), Reject::InvalidMsgpack),
        (event(b"\x81\xa1\xff\x01"), Reject::InvalidMsgpack),
        (b"\x83\xa6source\xa1\xff\xa4type\xa1t\xa4data\x80".to_vec(), Reject::InvalidMsgpack),
        (b"\x83\xa6source\xa1s\xa4type\xa1t\xa4data\x81\xa1\xff\x01".to_vec(), Reject::InvalidMsgpack),
        (b"\xa1\xff".to_vec(), Reject::InvalidMsgpack),
        (event(&deep), Reject::TooDeep),
        (event(&wide), Reject::TooDeep),
        (deep, Reject::NotAnObject),
    ] {
        let batch = [&[0x93][..], &good, &bad, &good].concat();
        assert_eq!(outcomes(&batch), [None, Some(reason), None], "{bad:x?}");
        assert_eq!(Reader::new(limits()).count(&batch), 3, "{bad:x?}");
    }
    // Where it ends is not clear: the rest is one.
    assert_eq!(outcomes(vec![0x91; MIB]), [Some(Reject::TooDeep)]);
    assert_eq!(
        outcomes([&[0x92][..], &good, &good[..good.len() - 1]].concat()),
        [None, Some(Reject::InvalidMsgpack)]
    );
}

#[test]
fn lines_beside_a_bad_one_count() {
    let bad = Some(Reject::InvalidJson);
    let number = data(r#"{"v":1e999}"#);
    // However they are indented.
    assert_eq!(outcomes(format!("nope\n {GOOD}\n {GOOD}")), [bad, None, None]);
    assert_eq!(outcomes(format!("{number}\n {GOOD}\n\t{GOOD}")), [Some(Reject::BadNumber), None, None]);
    assert_eq!(outcomes(format!("{{\"a\":\n{number}\n{GOOD}")), [bad, Some(Reject::BadNumber), None]);
    let missing = |reason| [bad, Some(reason), Some(Reject::MissingType), None];
    let empty = r#"{"source":"","type":"t","data":{}}"#;
    assert_eq!(
        outcomes(format!("nope\n {empty}\n {{\"source\":\"a\"}}\n{GOOD}")),
        missing(Reject::MissingSource)
    );
}

/// An event over several lines is one, whatever is wrong with it, whatever stands in it, and however it is laid out.
#[test]
fn an_event_over_lines_is_one() {
    let lines =
        format!("{{\n\"source\":\"s\",\n\"type\":\"t\",\n\"data\":{{\"v\":1\n}},\n\"x\":[\n{GOOD}\n]\n}}");
    let indented = lines.replace('\n', "\n  ").replace("\n  }", "\n}");
    for pretty in [lines, indented] {
        let deep = pretty.replacen(":1", &format!(":{}{}", "[".repeat(200), "]".repeat(200)), 1);
        for (event, reason) in [
            (pretty.clone(), None),
            (pretty.replacen(":1", ":1e999", 1), Some(Reject::BadNumber)),
            (deep.clone(), Some(Reject::TooDeep)),
            (pretty.replacen("\"source\"", "\"sauce\"", 1), Some(Reject::MissingSource)),
        ] {
            assert_eq!(outcomes(&event), [reason], "{event}");
            assert_eq!(
                outcomes(format!("{GOOD}\n{event}\n{event}\r\n{GOOD}")),
                [None, reason, reason, None],
                "{event}"
            );
            assert_eq!(Reader::new(limits()).count(event.as_bytes()), 1);
        }
    }
    // What is no JSON is one as far as it is indented, whatever stands in it, and however many there are.
    let bad = Some(Reject::InvalidJson);
    let pretty = format!(
        "{{\n  \"source\": \"s\",\n\n  \"data\": {{\n    \"v\": 01\n  }},\n  \"x\": [\n    {GOOD}\n  ]\n}}"
    );
    assert_eq!(outcomes(format!("{pretty}\n{GOOD}")), [bad, None]);
    let good = GOOD.replace(',', ",\n  ");
    assert_eq!(
        outcomes(format!("{0}\n{0}\n{0}\n{0}\n{good}\n{good}", pretty)),
        [bad, bad, bad, bad, None, None]
    );
    // A line that was cut does not end where another one is closed twice.
    let cut = data("{\"v\":1e999}").strip_suffix('}').unwrap().to_owned();
    assert_eq!(
        outcomes(format!("{cut}\n{GOOD}\n{GOOD}\n{GOOD}}}")),
        [Some(Reject::BadNumber), None, None, bad]
    );
    // Looking for where a value is closed costs the rest of the message, and is not done for ever.
    let open = "{\"a\":\n";
    for (times, found) in [(2, true), (3, false)] {
        let event = GOOD.replace(',', ",\n  ");
        let got = outcomes(format!("{}{event}", open.repeat(times)));
        assert_eq!(got.len() == times + 1 && got[times].is_none(), found, "{times}: {got:?}");
    }
}

#[test]
fn lines_of_nothing_but_brackets_are_as_many_as_others() {
    for message in [format!("x{}", "\n}".repeat(250_000)), "\n {".repeat(250_000)] {
        let got = outcomes(&message);
        assert!(got.len() <= 101 && got.iter().all(|reason| reason.is_some()), "{}", got.len());
    }
}

/// Shed messages are counted as they would have been read, as far as that can be seen without reading them.
#[test]
fn what_is_shed_is_counted_as_it_would_be_read() {
    let good = packed(GOOD);
    let reader = Reader::new(limits());
    let over_lines = GOOD.replace(',', ",\n").replace('{', "{\n");
    let messages = [
        over_lines.into_bytes(),
        format!("{GOOD}\n {GOOD}\n\t{GOOD}\r\n").into_bytes(),
        format!("{GOOD}{GOOD}\n\n{GOOD}").into_bytes(),
        b"nope\nnor [this\n".to_vec(),
        format!("{{\"source\":\"a\"\n{GOOD}\n{GOOD}").into_bytes(),
        format!("{{\"source\":\"a\n{GOOD}\n{GOOD}").into_bytes(),
        format!("[{GOOD},nope,{GOOD}] x").into_bytes(),
        vec![0xdd, 0xff, 0xff, 0xff, 0xff],
        vec![0xdd, 0, 0, 0],
        vec![0x90],
        vec![0x90, 0],
        [&[0x93][..], &good, &good].concat(),
        [&[0x92][..], &good, &good, &good].concat(),
        [&good[..], &good].concat(),
        good[..10].to_vec(),
        [&[0x92][..], &good, b"\xa1\xff"].concat(),
        b"[]".to_vec(),
        b" ".to_vec(),
    ];
    for message in messages {
        let shown = String::from_utf8_lossy(&message);
        assert_eq!(reader.count(&message), outcomes(&message).len() as u64, "{shown}");
    }
}
