//! The same bytes, read by tungstenite.

use std::io::{self, Cursor, Read, Write};

use proptest::prelude::*;
use tungstenite::{
    Message, WebSocket,
    error::{Error as PeerError, ProtocolError},
    protocol::{Role, WebSocketConfig, frame::FrameHeader},
};

use super::*;

/// A client's in-memory end, to read with what we wrote, or a server's, to read with what a client
/// wrote.
struct Wire(Cursor<Vec<u8>>);

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Wire {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite makes of the same bytes; `true`: it found a violation.
fn judge(role: Role, stream: &[u8]) -> (Vec<Said>, bool) {
    let config = WebSocketConfig::default().read_buffer_size(4096).max_message_size(Some(MAX));
    let mut socket = WebSocket::from_raw_socket(Wire(Cursor::new(stream.to_vec())), role, Some(config));
    let mut said = Vec::new();
    loop {
        said.push(match socket.read() {
            Ok(Message::Text(text)) => Said::Text(text.as_bytes().to_vec()),
            Ok(Message::Binary(bytes)) => Said::Binary(bytes.to_vec()),
            Ok(Message::Ping(bytes)) => Said::Ping(bytes.to_vec()),
            Ok(Message::Pong(bytes)) => Said::Pong(bytes.to_vec()),
            Ok(Message::Close(None)) => Said::Close(None, String::new()),
            Ok(Message::Close(Some(frame))) => Said::Close(Some(frame.code.into()), frame.reason.to_string()),
            Ok(Message::Frame(frame)) => panic!("{frame}"),
            Err(PeerError::ConnectionClosed) => return (said, false),
            Err(PeerError::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                return (said, false);
            }
            Err(PeerError::Protocol(_) | PeerError::Utf8(_) | PeerError::Capacity(_)) => {
                return (said, true);
            }
            Err(error) => panic!("{error}"),
        });
    }
}

/// A client has to take any length but may insist on the shortest form of it; tungstenite does not.
#[test]
fn replies_tell_their_length_in_the_shortest_form() {
    for (len, header) in [
        (0, &[0x81, 0][..]),
        (125, &[0x81, 125]),
        (126, &[0x81, 126, 0, 126]),
        (65_535, &[0x81, 126, 0xFF, 0xFF]),
        (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        let mut out = Vec::new();
        write_text(&mut out, &vec![b'x'; len]);
        assert_eq!((&out[..header.len()], out.len()), (header, header.len() + len));
    }
}

#[test]
fn replies_are_read_by_a_client() {
    let mut out = Vec::new();
    let mut expected = Vec::new();
    for len in [0, 1, 125, 126, 65_535, 65_536] {
        let text = vec![b'x'; len];
        write_text(&mut out, &text);
        expected.push(Said::Text(text));
    }
    for len in [0, 125, 126] {
        write_pong(&mut out, &vec![5; len]);
        expected.push(Said::Pong(vec![5; len.min(125)]));
    }
    for (reason, kept) in
        [("", 0), ("bye", 3), (&"x".repeat(200), 123), (&"ü".repeat(62), 122), (&"€".repeat(41), 123)]
    {
        let mut out = out.clone();
        write_close(&mut out, 1001, reason);
        let expected = [&expected[..], &[Said::Close(Some(1001), reason[..kept].to_string())]].concat();
        assert_eq!(judge(Role::Client, &out), (expected, false));
    }
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => ".{0,40}".prop_map(String::into_bytes),
        4 => prop::collection::vec(any::<u8>(), 0..300),
        1 => (any::<u8>(), 65_000..67_000_usize).prop_map(|(byte, len)| vec![byte & 0x7F; len]),
    ]
}

/// A valid message in as many fragments as there are cuts, a control frame behind each of them.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let cuts = prop::collection::vec(any::<prop::sample::Index>(), 0..4);
    let controls = prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..126)), 0..3);
    (payload(), cuts, controls).prop_map(|(payload, cuts, controls)| {
        let first = if simdutf8::basic::from_utf8(&payload).is_ok() { TEXT } else { BINARY };
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
        cuts.sort_unstable();
        let mut controls = controls.into_iter();
        let mut out = Vec::new();
        let mut from = 0;
        for (index, to) in cuts.iter().copied().chain([payload.len()]).enumerate() {
            let opcode = if index == 0 { first } else { CONTINUE };
            let fin = if index == cuts.len() { 0 } else { MORE };
            out.extend(frame(opcode ^ fin, &payload[from..to]));
            if let Some((ping, payload)) = controls.next() {
                out.extend(frame(if ping { PING } else { PONG }, &payload));
            }
            from = to;
        }
        out
    })
}

fn valid_stream() -> impl Strategy<Value = Vec<u8>> {
    let goodbye = prop::option::of((prop::sample::select(vec![1000, 1001, 3000, 4999]), ".{0,30}"));
    (prop::collection::vec(message(), 0..8), goodbye).prop_map(|(messages, goodbye)| {
        let mut out = messages.concat();
        if let Some((code, reason)) = goodbye {
            out.extend(frame(CLOSE, &close_payload(code, &reason)));
        }
        out
    })
}

/// The stream in reads of these sizes, again and again.
fn reads<'a>(mut stream: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    for &size in sizes.iter().cycle() {
        let (part, rest) = stream.split_at(size.min(stream.len()));
        parts.push(part);
        stream = rest;
        if stream.is_empty() {
            break;
        }
    }
    parts
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1..20_usize, 1..70_000_usize], 1..6)
}

proptest! {
    #[test]
    fn valid_streams_read_as_tungstenite_reads_them(stream in valid_stream(), sizes in sizes()) {
        let (said, violation) = judge(Role::Server, &stream);
        prop_assert!(!violation);
        prop_assert_eq!(decode(MAX, reads(&stream, &sizes)), (said, Ok(())));
    }

    /// Never laxer than tungstenite; stricter about lengths only, though often sooner: it waits for
    /// whole frames and messages. A close code that must not be sent it hands out as 1002.
    #[test]
    fn damaged_streams_are_never_taken_for_more(
        stream in valid_stream(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u32), 1..4),
        sizes in sizes(),
    ) {
        let mut stream = [frame(TEXT, b"{}"), stream].concat();
        for (at, bit) in damage {
            // Half of the damage goes where the first headers are.
            let at = if bit % 2 == 0 { at.index(stream.len()) } else { at.index(stream.len().min(16)) };
            stream[at] ^= 1 << bit;
        }
        let (theirs, violation) = judge(Role::Server, &stream);
        let (ours, outcome) = decode(MAX, reads(&stream, &sizes));
        prop_assert!(theirs.starts_with(&ours), "{ours:?} are not the first of {theirs:?}");
        match outcome {
            Ok(()) => prop_assert!(!violation && ours == theirs),
            // A control frame that tells a short length in a long form is one of them.
            Err(Violation { what, .. }) if what.contains("length") || what.contains("over 125") => {}
            Err(Violation { what, .. }) => match &theirs[ours.len()..] {
                [] => {}
                [Said::Close(Some(1002), _)] => prop_assert!(what.contains("close code")),
                more => prop_assert!(false, "{more:?} after {what}"),
            },
        }
    }

    /// `decode` asserts the bound on memory after every read.
    #[test]
    fn random_bytes_never_panic_nor_pile_up(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        start in prop::sample::select(vec![&b""[..], b"\x81\xFE", b"\x01\x85\0\0\0\0hello"]),
        sizes in sizes(),
        max in prop::sample::select(vec![0, 1, 100, 5000, usize::MAX - MAX_CONTROL]),
    ) {
        let stream = [start, &bytes].concat();
        let whole = decode(max, [&stream[..]]);
        let cut = decode(max, reads(&stream, &sizes));
        prop_assert_eq!(&whole.0, &cut.0);
        // A text that is cut may be found out before its frame is whole.
        prop_assert!(whole.1 == cut.1 || (whole.1.is_ok() && cut.1 == Err(Violation::NOT_UTF8)));
    }

    #[test]
    fn headers_parse_as_tungstenite_parses_them(
        mut bytes in prop::collection::vec(any::<u8>(), 0..16),
        masked: bool,
    ) {
        if let (true, [first, second, ..]) = (masked, &mut bytes[..]) {
            *first &= 0x8F;
            *second |= 0x80;
        }
        let mut cursor = Cursor::new(&bytes);
        let theirs = FrameHeader::parse(&mut cursor);
        match header::parse(&bytes) {
            Ok(Some((ours, size))) => {
                let (header, len) = theirs.unwrap().unwrap();
                prop_assert_eq!((header.is_final, header.opcode), (ours.fin, ours.opcode));
                prop_assert_eq!(header.mask, Some(ours.mask));
                prop_assert_eq!((len, cursor.position()), (ours.len as u64, size as u64));
                prop_assert!(!(header.rsv1 || header.rsv2 || header.rsv3));
                prop_assert_eq!(header.len(len), size);
            }
            Ok(None) => prop_assert!(theirs.unwrap().is_none()),
            // Ours is judged as soon as it can be, theirs when it is whole.
            Err(_) => if let Ok(Some((header, len))) = theirs {
                let fine = header.mask.is_some() && !(header.rsv1 || header.rsv2 || header.rsv3)
                    && header.len(len) as u64 == cursor.position() && len >> 63 == 0
                    && (matches!(header.opcode, OpCode::Data(_)) || (header.is_final && len <= 125));
                prop_assert!(!fine);
            },
        }
    }
}
