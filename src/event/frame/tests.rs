use tungstenite::protocol::frame::coding::CloseCode;

use super::*;

mod against_tungstenite;

const MAX: usize = 1 << 20;
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8A;
/// Clears FIN where it is XORed in.
const MORE: u8 = 0x80;
const CONTINUE: u8 = 0x80;

/// A masked frame as a client writes it, the length in its shortest form.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xFA, 0x21, first ^ payload.len() as u8];
    let mut out = vec![first];
    match payload.len() {
        len @ 0..=125 => out.push(0x80 | len as u8),
        len @ 126..=0xFFFF => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    out.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    out
}

fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// An [`Item`] that owns what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

impl From<Item<'_>> for Said {
    fn from(item: Item<'_>) -> Self {
        match item {
            Item::Message { text: true, payload } => Self::Text(payload.to_vec()),
            Item::Message { text: false, payload } => Self::Binary(payload.to_vec()),
            Item::Ping(payload) => Self::Ping(payload.to_vec()),
            Item::Pong(payload) => Self::Pong(payload.to_vec()),
            Item::Close { code, reason } => Self::Close(code, reason.to_string()),
        }
    }
}

type Outcome = (Vec<Said>, Result<(), Violation>);

/// What the parts say to a decoder, in this order.
fn decode<'a>(max_message: usize, parts: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut decoder = Decoder::new(max_message);
    let mut said = Vec::new();
    let mut outcome = Ok(());
    for part in parts {
        let before = said.len();
        let was_closed = decoder.is_closed();
        let result = decoder.feed(&mut part.to_vec(), &mut Vec::new(), &mut |item| said.push(item.into()));
        assert!(decoder.carry.capacity() <= max_message + MAX_CONTROL);
        if was_closed {
            assert_eq!((said.len(), result), (before, Ok(())), "deaf once closed");
        } else if result.is_err() {
            assert!(decoder.is_closed());
            outcome = result;
        }
        if decoder.is_closed() || (decoder.cut.is_none() && decoder.open.is_none()) {
            assert_eq!(decoder.carry.capacity(), 0, "idle decoders own no heap");
        }
    }
    (said, outcome)
}

fn decode_whole(stream: &[u8]) -> Outcome {
    decode(MAX, [stream])
}

fn decode_bytewise(stream: &[u8]) -> Outcome {
    decode(MAX, stream.chunks(1))
}

/// Asserts the violation, however the stream is cut, and that what came before it was handed out.
fn assert_violation(stream: &[u8], close_code: u16, what: &str) {
    let stream = [frame(TEXT, b"before"), stream.to_vec(), frame(TEXT, b"behind")].concat();
    for (said, outcome) in [decode_whole(&stream), decode_bytewise(&stream)] {
        let violation = outcome.expect_err(what);
        assert!(
            violation.close_code == close_code && violation.what.contains(what),
            "{violation}, not {what}"
        );
        assert_eq!(said[0], Said::Text(b"before".to_vec()));
        assert!(!said.contains(&Said::Text(b"behind".to_vec())));
    }
}

#[test]
fn whole_messages_are_handed_out_in_place() {
    let mut stream = [frame(TEXT, b"{}"), frame(BINARY, &[0xC1; 300])].concat();
    let read = stream.as_ptr_range();
    let mut decoder = Decoder::new(MAX);
    let mut said = Vec::new();
    decoder
        .feed(&mut stream, &mut Vec::new(), &mut |item| {
            let Item::Message { text, payload } = item else { panic!("{item:?}") };
            assert!(read.contains(&payload.as_ptr()), "no copy");
            said.push((text, payload.to_vec()));
        })
        .unwrap();
    assert_eq!(said, [(true, b"{}".to_vec()), (false, vec![0xC1; 300])]);
    assert_eq!(decoder.carry.capacity(), 0);
}

#[test]
fn idle_decoders_are_small() {
    assert!(size_of::<Decoder>() <= 96, "{}", size_of::<Decoder>());
    let mut decoder = Decoder::new(MAX);
    let stream = frame(BINARY, &vec![7; MAX]);
    let (first, second) = stream.split_at(MAX / 2);
    decoder.feed(&mut first.to_vec(), &mut Vec::new(), &mut |_| panic!()).unwrap();
    assert!(decoder.carry.capacity() >= MAX / 2 - MAX_HEADER);
    let mut seen = 0;
    decoder.feed(&mut second.to_vec(), &mut Vec::new(), &mut |_| seen += 1).unwrap();
    assert_eq!((seen, decoder.carry.capacity()), (1, 0));
}

#[test]
fn an_announced_megabyte_costs_nothing_until_it_comes() {
    let mut decoder = Decoder::new(MAX);
    let stream = frame(BINARY, &vec![7; MAX]);
    decoder.feed(&mut stream[..20].to_vec(), &mut Vec::new(), &mut |_| panic!()).unwrap();
    assert!(decoder.carry.capacity() <= SMALL_CARRY);
}

#[test]
fn a_message_in_many_pieces_moves_seldom() {
    let mut decoder = Decoder::new(MAX);
    let fragments = [frame(BINARY ^ MORE, b""), frame(CONTINUE ^ MORE, &[7; 512]).repeat(2000)];
    for stream in [frame(BINARY, &vec![7; MAX]), fragments.concat()] {
        let mut capacities = vec![];
        for part in stream.chunks(1000) {
            decoder.feed(&mut part.to_vec(), &mut Vec::new(), &mut |_| ()).unwrap();
            capacities.push(decoder.carry.capacity());
        }
        capacities.dedup();
        assert!(capacities.len() <= 12, "{capacities:?}");
    }
}

/// Everything a client may do, and what it says.
fn a_bit_of_everything() -> (Vec<u8>, Vec<Said>) {
    let long = "grüße ".repeat(30);
    let stream = [
        frame(TEXT, b"one"),
        frame(BINARY, &[0xFF; 126]),
        frame(PING, b"are you there"),
        frame(TEXT, b""),
        frame(TEXT ^ MORE, &long.as_bytes()[..3]),
        frame(PING, b""),
        frame(CONTINUE ^ MORE, &long.as_bytes()[3..140]),
        frame(PONG, &[1; 125]),
        frame(CONTINUE ^ MORE, b""),
        frame(CONTINUE, &long.as_bytes()[140..]),
        frame(BINARY ^ MORE, b""),
        frame(CONTINUE, b""),
        frame(BINARY, b"\xC3("),
        frame(CLOSE, &close_payload(1000, "bye, café")),
        frame(TEXT, b"not heard"),
    ]
    .concat();
    let said = vec![
        Said::Text(b"one".to_vec()),
        Said::Binary(vec![0xFF; 126]),
        Said::Ping(b"are you there".to_vec()),
        Said::Text(vec![]),
        Said::Ping(vec![]),
        Said::Pong(vec![1; 125]),
        Said::Text(long.into_bytes()),
        Said::Binary(vec![]),
        Said::Binary(b"\xC3(".to_vec()),
        Said::Close(Some(1000), "bye, café".to_string()),
    ];
    (stream, said)
}

#[test]
fn every_cut_gives_the_same_items() {
    let (stream, said) = a_bit_of_everything();
    assert_eq!(decode_whole(&stream), (said.clone(), Ok(())));
    assert_eq!(decode_bytewise(&stream), (said.clone(), Ok(())));
    for first in 0..stream.len() {
        let (head, tail) = stream.split_at(first);
        assert_eq!(decode(MAX, [head, tail]), (said.clone(), Ok(())), "cut at {first}");
        let (middle, end) = tail.split_at(tail.len().min(1 + first % 150));
        assert_eq!(decode(MAX, [head, middle, end]), (said.clone(), Ok(())), "cut at {first} and again");
    }
}

#[test]
fn lengths_at_the_edges_of_their_forms() {
    for len in [0, 1, 7, 8, 9, 125, 126, 127, 65_535, 65_536, 65_537] {
        let payload: Vec<u8> = (0..len).map(|at| b' ' + (at % 90) as u8).collect();
        let stream = [frame(TEXT, &payload), frame(BINARY, &payload)].concat();
        let said = vec![Said::Text(payload.clone()), Said::Binary(payload)];
        assert_eq!(decode_whole(&stream), (said.clone(), Ok(())), "{len}");
        assert_eq!(decode(MAX, stream.chunks(1000)), (said, Ok(())), "{len}");
    }
}

#[test]
fn the_largest_message_fits_and_one_more_byte_does_not() {
    let (exactly, over) = (vec![b'x'; 1000], vec![b'x'; 1001]);
    for size in [1, 7, 999, 1006, 5000] {
        let outcome = decode(1000, frame(TEXT, &exactly).chunks(size));
        assert_eq!(outcome, (vec![Said::Text(exactly.clone())], Ok(())));
        // Judged from the header: no payload has to come.
        let outcome = decode(1000, frame(TEXT, &over)[..8].chunks(size));
        assert_eq!(outcome, (vec![], Err(Violation::TOO_BIG)));

        let begun =
            [frame(TEXT ^ MORE, &exactly[..600]), frame(PING, b"?"), frame(CONTINUE ^ MORE, b"")].concat();
        let fits = [begun.clone(), frame(CONTINUE, &exactly[..400])].concat();
        let outcome = decode(1000, fits.chunks(size));
        assert_eq!(outcome, (vec![Said::Ping(b"?".to_vec()), Said::Text(exactly.clone())], Ok(())));
        let grows = [begun, frame(CONTINUE ^ MORE, &exactly[..401])[..8].to_vec()].concat();
        let outcome = decode(1000, grows.chunks(size));
        assert_eq!(outcome, (vec![Said::Ping(b"?".to_vec())], Err(Violation::TOO_BIG)));
    }
    let outcome = decode(0, [&[frame(TEXT, b""), frame(PING, &[9; 125]), frame(TEXT, b"x")].concat()[..]]);
    assert_eq!(outcome, (vec![Said::Text(vec![]), Said::Ping(vec![9; 125])], Err(Violation::TOO_BIG)));
}

#[test]
fn violations_of_a_header() {
    assert_violation(b"\x81\x05hello", 1002, "unmasked");
    for bit in [0x40, 0x20, 0x10] {
        assert_violation(&frame(TEXT | bit, b"x"), 1002, "reserved bit");
        assert_violation(&frame(PING | bit, b"x"), 1002, "reserved bit");
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        assert_violation(&frame(0x80 | opcode, b"x"), 1002, "reserved opcode");
        assert_violation(&frame(opcode, b"x"), 1002, "reserved opcode");
    }
    for control in [PING, PONG, CLOSE] {
        assert_violation(&frame(control ^ MORE, b""), 1002, "fragmented control");
        assert_violation(&frame(control, &[b'x'; 126]), 1002, "over 125");
        assert_violation(&frame(control, &[b'x'; 70_000]), 1002, "over 125");
    }
    let long_form =
        |length: &[u8]| [&[BINARY, 0x80 | if length.len() == 2 { 126 } else { 127 }], length].concat();
    for length in [0_u16, 1, 125] {
        assert_violation(&[long_form(&length.to_be_bytes()), vec![0; 4]].concat(), 1002, "shortest");
    }
    for length in [0_u64, 125, 126, 65_535] {
        assert_violation(&[long_form(&length.to_be_bytes()), vec![0; 4]].concat(), 1002, "shortest");
    }
    for length in [1_u64 << 63, u64::MAX] {
        assert_violation(&[long_form(&length.to_be_bytes()), vec![0; 4]].concat(), 1002, "top bit");
    }
    for length in [MAX as u64 + 1, u64::MAX >> 1] {
        assert_violation(&[long_form(&length.to_be_bytes()), vec![0; 4]].concat(), 1009, "too big");
    }
}

#[test]
fn violations_of_the_order() {
    assert_violation(&frame(CONTINUE, b"x"), 1002, "continuation of nothing");
    assert_violation(&frame(CONTINUE ^ MORE, b"x"), 1002, "continuation of nothing");
    for second in [TEXT, BINARY, TEXT ^ MORE] {
        let stream = [frame(TEXT ^ MORE, b"x"), frame(PING, b""), frame(second, b"y")].concat();
        assert_violation(&stream, 1002, "new message inside");
    }
    let over = [frame(TEXT ^ MORE, b""), frame(CONTINUE, b""), frame(CONTINUE, b"x")].concat();
    assert_violation(&over, 1002, "continuation of nothing");
}

#[test]
fn violations_of_utf8() {
    for bad in [
        &b"\xFF"[..],
        b"plain, then \xC3(",
        b"\xED\xA0\x80",
        b"\xF4\x90\x80\x80",
        b"\xC0\xAF",
        b"cut \xE2\x82",
    ] {
        assert_violation(&frame(TEXT, bad), 1007, "UTF-8");
        assert_violation(&frame(TEXT, &[&[b'x'; 300], bad].concat()), 1007, "UTF-8");
        let fragments: Vec<u8> = bad.iter().flat_map(|&byte| frame(CONTINUE ^ MORE, &[byte])).collect();
        assert_violation(&[frame(TEXT ^ MORE, b""), fragments, frame(CONTINUE, b"")].concat(), 1007, "UTF-8");
        assert_violation(&frame(CLOSE, &[&[3, 232], bad].concat()), 1007, "UTF-8");
        assert_eq!(decode_whole(&frame(BINARY, bad)), (vec![Said::Binary(bad.to_vec())], Ok(())));
    }
}

#[test]
fn text_that_cannot_become_utf8_fails_early() {
    let stream = frame(TEXT, &[b"fine so far \xF4\x90".to_vec(), vec![b'x'; 1000]].concat());
    let header = 8;
    let bad_at = header + b"fine so far \xF4".len();
    assert_eq!(decode(MAX, stream[..bad_at].chunks(3)).1, Ok(()));
    assert_eq!(decode(MAX, stream[..=bad_at].chunks(3)).1, Err(Violation::NOT_UTF8));
}

#[test]
fn close_frames() {
    assert_eq!(decode_whole(&frame(CLOSE, b"")), (vec![Said::Close(None, String::new())], Ok(())));
    assert_violation(&frame(CLOSE, b"\x03"), 1002, "one byte");
    for code in 0..=u16::MAX {
        let stream = frame(CLOSE, &close_payload(code, "why"));
        let outcome = decode_whole(&stream);
        if matches!(code, 0..=999 | 1004..=1006 | 1015 | 1016..=2999 | 5000..) {
            assert_eq!(outcome.0, []);
            assert_eq!(outcome.1.unwrap_err().close_code, 1002);
        } else {
            assert_eq!(outcome, (vec![Said::Close(Some(code), "why".to_string())], Ok(())));
        }
        // tungstenite does not know 1014 (bad gateway) yet.
        assert_eq!(allowed_on_the_wire(code), CloseCode::from(code).is_allowed() || code == 1014, "{code}");
    }
    let inside = [frame(TEXT ^ MORE, b"never ended"), frame(CLOSE, &close_payload(4999, ""))].concat();
    for outcome in [decode_whole(&inside), decode_bytewise(&inside)] {
        assert_eq!(outcome, (vec![Said::Close(Some(4999), String::new())], Ok(())));
    }
}

/// A message goes by the limit it began with, whole or in fragments, however the limit changes.
#[test]
fn a_new_limit_is_for_the_next_message() {
    let (small, big) = (frame(TEXT, &[b'a'; 10]), frame(TEXT, &[b'b'; 100]));
    let fragments = [frame(TEXT ^ MORE, &[b'c'; 50]), frame(CONTINUE, &[b'd'; 50])];
    for (first, rest) in [(&big[..20], &big[20..]), (&fragments[0][..], &fragments[1][..])] {
        let mut decoder = Decoder::new(100);
        let mut lengths = Vec::new();
        let mut feed = |decoder: &mut Decoder, bytes: &[u8]| {
            decoder.feed(&mut bytes.to_vec(), &mut Vec::new(), &mut |item| match item {
                Item::Message { payload, .. } => lengths.push(payload.len()),
                other => panic!("{other:?}"),
            })
        };
        feed(&mut decoder, first).unwrap();
        decoder.set_limits(10, usize::MAX);
        feed(&mut decoder, rest).unwrap();
        assert_eq!(decoder.max_message, 10, "of the next message");
        feed(&mut decoder, &small).unwrap();
        decoder.set_limits(100, usize::MAX);
        feed(&mut decoder, &big).unwrap();
        decoder.set_limits(10, usize::MAX);
        let refused = feed(&mut decoder, first);
        assert_eq!(refused, Err(Violation::TOO_BIG));
        assert_eq!(lengths, [100, 10, 100]);
    }
}

#[test]
fn a_frame_has_a_limit_of_its_own() {
    let feed =
        |decoder: &mut Decoder, bytes: &[u8]| decoder.feed(&mut bytes.to_vec(), &mut Vec::new(), &mut |_| ());
    let longest = [frame(TEXT ^ MORE, &[b'a'; 10]), frame(PING, &[9; 125]), frame(CONTINUE, &[b'b'; 10])];
    let longest = longest.concat();
    for at in 0..=longest.len() {
        let mut decoder = Decoder::with_limits(20, 10);
        feed(&mut decoder, &longest[..at]).unwrap();
        feed(&mut decoder, &longest[at..]).unwrap();
        let header = &frame(TEXT, &[b'a'; 11])[..6];
        assert_eq!(feed(&mut decoder, header), Err(Violation::FRAME_TOO_BIG));
        assert!(decoder.is_closed());
    }
    let mut decoder = Decoder::with_limits(20, 10);
    decoder.set_limits(20, 5);
    assert_eq!(feed(&mut decoder, &frame(TEXT, &[b'a'; 6])), Err(Violation::FRAME_TOO_BIG));
    let mut decoder = Decoder::with_limits(20, 10);
    assert_eq!(feed(&mut decoder, &frame(TEXT, &[b'a'; 21])), Err(Violation::TOO_BIG));
}
