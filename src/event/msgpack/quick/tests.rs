//! The quick reader against the careful one: the same outcomes for all bytes, and it is in use.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::super::Reader;
use super::*;
use crate::generate::sources::Sources;

fn limits() -> Limits {
    let tight = Limits { nesting: 4, fields_per_event: 6, events_per_message: 5, ..Limits::USUAL };
    // Between strings of nine bytes and of ten.
    Limits { name_size: 18, string_size: 9, ..tight }
}

type Reported = Vec<(u32, Vec<u8>, Result<String, String>)>;

fn report(reader: &mut Reader, message: &[u8], dims: bool) -> Reported {
    let mut all = Vec::new();
    reader.read(message, &mut |outcome| {
        let told = |event: &Scratch| {
            let fields: Vec<_> = event.fields().map(|(name, x)| (name, x.to_bits())).collect();
            let dims: Vec<_> = event.dims().filter(|_| dims).collect();
            let own = (event.source(), event.kind(), event.id(), event.time_us(), event.long_strings());
            format!("{own:?} {fields:?} {dims:?}")
        };
        let event = outcome.event.map(told).map_err(|r| format!("{:?} {}", r.reason, r.message));
        all.push((outcome.index, outcome.raw.to_vec(), event));
    });
    all
}

/// Panics if the quick reader makes a difference; how many events the careful one had to read.
fn compare_with(limits: Limits, message: &[u8]) -> u64 {
    let mut left = 0;
    let mut careful = Reader::without_scanner(limits);
    for strings in [true, false] {
        let mut quick = Reader::new(limits).with_strings(strings);
        // What one message leaves in the scratch must not be seen in the next.
        for _ in 0..2 {
            let wanted = report(&mut careful, message, strings);
            assert_eq!(report(&mut quick, message, strings), wanted, "{message:02x?}");
        }
        left += quick.left_to_serde() / 2;
        // Nor what was learned from it, in others that differ in a byte or end early.
        for (at, byte) in changes(message) {
            let mut other = message.to_vec();
            match byte {
                Some(byte) => other[at] = byte,
                None => other.truncate(at),
            }
            let wanted = report(&mut careful, &other, strings);
            assert_eq!(report(&mut quick, &other, strings), wanted, "{other:02x?} behind {message:02x?}");
        }
    }
    left
}

/// Some places of a message, with what to put there, or `None`: it ends there.
fn changes(message: &[u8]) -> impl Iterator<Item = (usize, Option<u8>)> {
    const BYTES: [u8; 10] = [0xc0, 0xa1, 0x81, 0xd9, 0xcb, 0xff, 0x90, 0x80, 0x01, 0xc3];
    let step = message.len() / 8 + 1;
    (0..message.len()).step_by(step).flat_map(move |at| {
        let at = at + at / step % step;
        let byte = BYTES[at % BYTES.len()];
        [(at, Some(byte)), (at, None)].into_iter().filter(move |&(at, _)| at < message.len())
    })
}

fn number(width: usize, n: u64) -> Vec<u8> {
    n.to_be_bytes()[8 - width..].to_vec()
}

fn tagged(tag: u8, width: usize, n: u64) -> Vec<u8> {
    [vec![tag], number(width, n)].concat()
}

/// A string in one of the forms that can hold it.
fn packed(text: &[u8], form: usize) -> Vec<u8> {
    let len = text.len() as u64;
    let head = match form % 4 {
        0 if len < 32 => vec![0xa0 | len as u8],
        0 | 1 if len < 256 => tagged(0xd9, 1, len),
        3 => tagged(0xdb, 4, len),
        _ => tagged(0xda, 2, len),
    };
    [head, text.to_vec()].concat()
}

fn map(members: Vec<(Vec<u8>, Vec<u8>)>, form: usize) -> Vec<u8> {
    let n = members.len() as u64;
    let mut out = match form % 3 {
        0 if n < 16 => vec![0x80 | n as u8],
        1 => tagged(0xdf, 4, n),
        _ => tagged(0xde, 2, n),
    };
    members.into_iter().for_each(|(name, value)| out.extend([name, value].concat()));
    out
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    const SOME: [&str; 10] =
        ["", "a", "a.b", "ab", "abcdefgh", "abcdefghi", "abcdefgh.i", "s", "\u{e9}", "x\u{20ac}y"];
    let known = select(&SOME[..]).prop_map(|s| s.as_bytes().to_vec());
    let long = (250usize..260).prop_map(|n| vec![b'n'; n]);
    prop_oneof![12 => known, 1 => long, 1 => vec(any::<u8>(), 0..20)]
}

fn string() -> impl Strategy<Value = Vec<u8>> {
    (text(), 0usize..8).prop_map(|(text, form)| packed(&text, form))
}

fn scalar() -> impl Strategy<Value = Vec<u8>> {
    let widths = [(0xcc, 1), (0xcd, 2), (0xce, 4), (0xcf, 8), (0xd0, 1), (0xd1, 2), (0xd2, 4), (0xd3, 8)];
    let float = prop_oneof![any::<f64>(), select(&[0.0, -0.0, f64::NAN, f64::INFINITY, 1763888880.5][..])];
    prop_oneof![
        4 => string(),
        2 => (select(widths.to_vec()), any::<u64>()).prop_map(|((tag, width), n)| tagged(tag, width, n)),
        1 => (0u64..2_000_000_000).prop_map(|n| tagged(0xce, 4, n)),
        2 => float.prop_map(|x| tagged(0xcb, 8, x.to_bits())),
        1 => any::<u32>().prop_map(|bits| tagged(0xca, 4, bits.into())),
        2 => any::<u8>().prop_filter("alone", |b| !(0x80..0xc0).contains(b) && !(0xc4..0xe0).contains(b))
            .prop_map(|tag| vec![tag]),
        1 => Just(tagged(0xd6, 1, 0xff).into_iter().chain(number(4, 1_763_888_880)).collect()),
        1 => Just(vec![0xc4, 2, 1, 2]),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    scalar().prop_recursive(3, 8, 4, |inner| {
        prop_oneof![
            8 => scalar(),
            1 => vec(inner.clone(), 0..3).prop_map(|all| [vec![0x90 | all.len() as u8], all.concat()].concat()),
            1 => (vec((string(), inner), 0..4), 0usize..3).prop_map(|(all, form)| map(all, form)),
        ]
    })
}

fn members() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![9 => string(), 1 => value()];
    (vec((name, value()), 0..6), 0usize..3).prop_map(|(all, form)| map(all, form))
}

fn event() -> impl Strategy<Value = Vec<u8>> {
    let own = |name: &'static str, value: BoxedStrategy<Vec<u8>>| {
        (0usize..4, value).prop_map(move |(form, value)| (packed(name.as_bytes(), form), value))
    };
    let good = || string().boxed();
    let mostly = |usual: BoxedStrategy<Vec<u8>>| prop_oneof![9 => usual, 1 => value()].boxed();
    let head =
        (own("source", mostly(good())), own("type", mostly(good())), own("data", mostly(members().boxed())));
    let more = prop_oneof![
        own("id", mostly(good())),
        own("timestamp", mostly(Just(tagged(0xce, 4, 1_763_888_880)).boxed())),
        own("metadata", mostly(members().boxed())),
        own("data", members().boxed()),
        own("other", value().boxed()),
    ];
    (head, vec(more, 0..4), 0usize..3, any::<bool>()).prop_map(|((a, b, c), mut rest, form, first)| {
        let own = vec![a, b, c];
        let all = if first {
            own.into_iter().chain(rest).collect()
        } else {
            rest.extend(own);
            rest
        };
        map(all, form)
    })
}

/// Events that have their names in common and, now and then, are harmed.
fn alike() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let names = (vec(string(), 6), 0usize..7, 0usize..3, 0usize..6);
    let harm = proptest::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>()));
    let stamp = prop_oneof![4 => scalar(), 1 => (0u64..2_000_000_000).prop_map(|n| tagged(0xce, 4, n))];
    let value = || prop_oneof![9 => scalar(), 1 => value()];
    let values = (vec(value(), 6), value(), stamp, string(), harm);
    (names, vec(values, 2..6)).prop_map(|((names, cut, form, order), events)| {
        let event = |(values, id, stamp, source, harm): (Vec<Vec<u8>>, _, _, _, Option<_>)| {
            let members: Vec<_> = names.iter().cloned().zip(values).collect();
            let mut own = vec![
                (packed(b"id", 0), id),
                (packed(b"source", 0), source),
                (packed(b"type", 0), packed(b"t", 0)),
                (packed(b"timestamp", form), stamp),
                (packed(b"data", 0), map(members[..cut].to_vec(), form)),
                (packed(b"metadata", 0), map(members[cut..].to_vec(), form)),
            ];
            own.rotate_left(order);
            let mut event = map(own, form);
            if let Some((at, byte)) = harm {
                let at = prop::sample::Index::index(&at, event.len());
                event[at] = byte;
            }
            event
        };
        events.into_iter().map(event).collect()
    })
}

/// An event of the generator's mix, packed as other clients pack it.
fn generated(n: usize) -> Vec<Vec<u8>> {
    fn pack(value: &serde_json::Value, out: &mut Vec<u8>) {
        use serde_json::Value as Json;
        match value {
            Json::Null => out.push(0xc0),
            Json::Bool(b) => out.push(0xc2 + u8::from(*b)),
            Json::Number(n) => out.extend(tagged(0xcb, 8, n.as_f64().unwrap().to_bits())),
            Json::String(s) => out.extend(packed(s.as_bytes(), 0)),
            Json::Array(_) => unreachable!("the mix has none"),
            Json::Object(all) => {
                out.push(0x80 | all.len() as u8);
                for (name, value) in all {
                    out.extend(packed(name.as_bytes(), 0));
                    pack(value, out);
                }
            }
        }
    }
    let mut sources = Sources::new(10, 1);
    let one = |_| {
        let (mut json, mut out) = (Vec::new(), Vec::new());
        sources.event(1_763_888_880_000_000, 0.0, &mut json);
        pack(&serde_json::from_slice(&json).unwrap(), &mut out);
        out
    };
    (0..n).map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn any_event_reads_the_same(event in event()) {
        compare_with(limits(), &event);
    }

    /// What one reader learns from some events changes nothing in others that are like them.
    #[test]
    fn events_that_are_alike_read_the_same(events in alike()) {
        let mut careful = Reader::without_scanner(limits());
        for strings in [true, false] {
            let mut quick = Reader::new(limits()).with_strings(strings);
            for event in events.iter().chain(&events) {
                let wanted = report(&mut careful, event, strings);
                prop_assert_eq!(report(&mut quick, event, strings), wanted, "{:02x?} of {:02x?}", event, events);
            }
        }
    }

    #[test]
    fn harmed_messages_read_the_same(
        events in vec(event(), 1..8),
        harms in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut message = [tagged(0xdc, 2, events.len() as u64), events.concat()].concat();
        for (at, byte) in harms {
            let at = at.index(message.len());
            message[at] = byte;
        }
        compare_with(limits(), &message);
    }
}

#[test]
fn every_cut_and_every_byte_of_events() {
    let limits = Limits { fields_per_event: 50, ..Limits::USUAL };
    for event in generated(12) {
        for cut in 0..event.len() {
            compare_with(limits, &event[..cut]);
            let mut harmed = event.clone();
            for byte in [0x00, 0x81, 0xa1, 0xc0, 0xc1, 0xd9, 0xff, event[cut] ^ 1, event[cut] ^ 0x80] {
                harmed[cut] = byte;
                compare_with(limits, &harmed);
            }
        }
    }
}

#[test]
fn generated_events_are_the_quick_readers() {
    let limits = Limits { fields_per_event: 50, ..Limits::USUAL };
    let left: u64 = generated(1_000).iter().map(|event| compare_with(limits, event)).sum();
    assert_eq!(left, 0);
}

/// Nearly all of them by their shapes.
#[test]
fn generated_events_have_few_shapes() {
    let limits = Limits { fields_per_event: 50, ..Limits::USUAL };
    let (mut shapes, mut scratch, mut new) = (Shapes::default(), Scratch::default(), 0);
    for event in generated(1_000) {
        shapes.forget_notes();
        let end = read(&event, 0, &mut scratch, &mut shapes, &limits, true);
        assert_eq!(end, Some(event.len()));
        new += u32::from(shapes.noted());
    }
    assert!(new <= 20, "{new} of 1,000 had a new shape");
}

/// Headers that end in zeros, which are not there, behind a shape in which they are.
#[test]
fn an_event_that_ends_early_is_no_event_by_its_shape_either() {
    let text = |text: &str| packed(text.as_bytes(), 0);
    for form in 0..3 {
        let own = |last: &str| {
            let members = vec![
                (text("source"), text("s")),
                (text("type"), text("t")),
                (text("data"), map(Vec::new(), form)),
                (text(last), map(Vec::new(), form)),
            ];
            map(members, form)
        };
        let event = own("metadata");
        let (mut quick, mut careful) = (Reader::new(limits()), Reader::without_scanner(limits()));
        for cut in (0..=event.len()).rev() {
            let wanted = report(&mut careful, &event[..cut], true);
            assert_eq!(report(&mut quick, &event[..cut], true), wanted, "{cut} of {event:02x?}");
        }
        assert_eq!(compare_with(limits(), &event), 0);
        assert_ne!(compare_with(limits(), &own("other")), 0);
    }
}

/// What a stranger can do with shapes and with names is bounded.
#[test]
fn many_shapes_and_many_names_are_bounded() {
    let limits = Limits { fields_per_event: 50, ..Limits::USUAL };
    let text = |text: &str| packed(text.as_bytes(), 0);
    let event = |names: &[String]| {
        let members = names.iter().map(|name| (text(name), vec![0xc0])).collect();
        let own =
            vec![(text("source"), text("s")), (text("type"), text("t")), (text("data"), map(members, 2))];
        map(own, 0)
    };
    let (mut shapes, mut scratch) = (Shapes::default(), Scratch::default());
    for n in 0..2 * Shapes::PATIENCE {
        let event = event(&[format!("a{}", n % 10), format!("b{n}")]);
        read(&event, 0, &mut scratch, &mut shapes, &limits, true).unwrap();
        assert!(shapes.is_bounded(&scratch));
    }
    // Of names in a section each is compared with all before it, whether they hold anything or not.
    let names: Vec<String> = (0..60).map(|n| format!("n{n}")).collect();
    assert_eq!(compare_with(limits, &event(&names[..50])), 0);
    assert_ne!(compare_with(limits, &event(&names)), 0);
}

/// Each in `data`, in `metadata` and as the time, in an event that is usual otherwise.
#[test]
fn every_encoding_of_a_scalar() {
    let edges = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0x7fff_ffff, 0x8000_0000, 1 << 63, u64::MAX];
    let mut scalars: Vec<Vec<u8>> = (0..=0xff).map(|tag| vec![tag]).collect();
    for (tag, width) in [
        (0xcc, 1),
        (0xcd, 2),
        (0xce, 4),
        (0xcf, 8),
        (0xd0, 1),
        (0xd1, 2),
        (0xd2, 4),
        (0xd3, 8),
        (0xca, 4),
        (0xcb, 8),
    ] {
        scalars.extend(edges.map(|n| tagged(tag, width, n)));
    }
    for form in 0..4 {
        scalars.extend(["", "x", "2025-11-23T09:08:00Z", "\u{e9}"].map(|text| packed(text.as_bytes(), form)));
    }
    let text = |text: &str| packed(text.as_bytes(), 0);
    for scalar in scalars {
        let section = || map(vec![(text("a"), scalar.clone()), (text("ab"), tagged(0xcc, 1, 7))], 0);
        let members = vec![
            (text("id"), scalar.clone()),
            (text("source"), text("s")),
            (text("type"), text("t")),
            (text("data"), section()),
            (text("metadata"), section()),
        ];
        compare_with(limits(), &map(members.clone(), 0));
        let timed = [members, vec![(text("timestamp"), scalar.clone())]].concat();
        compare_with(limits(), &map(timed, 0));
    }
}
