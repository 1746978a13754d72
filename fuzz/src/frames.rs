//! A stream of WebSocket frames says the same however reads cut it, and takes no more memory than
//! its limit and than what has come.
//!
//! The input: a byte that picks the limit, two that pick the cuts, and the stream.

use flumen::event::frame::{Decoder, Item, MAX_CONTROL, Violation};

use super::memory;

/// Limits of a message, bytes: around the forms of a length, and around what is reserved at once.
const LIMITS: [usize; 8] = [1 << 20, 0, 1, 125, 126, 1000, 4096, 70_000];

/// What a decoder may reserve before as much has come, bytes.
const AT_ONCE: usize = 4096;

/// How much of a stream is fed byte by byte, bytes.
const BYTEWISE: usize = 512;

/// Panics if a cut makes a difference, or if the decoder takes too much.
pub fn check(input: &[u8]) {
    let &[limit, a, b, ref stream @ ..] = input else { return };
    let limit = LIMITS[usize::from(limit) % LIMITS.len()];
    let whole = decode(limit, stream, &mut || stream.len());
    // A long stream is slow to feed so, and its end is no different from its beginning.
    let mut single = (0..BYTEWISE).map(|_| 1);
    let bytewise = decode(limit, stream, &mut || single.next().unwrap_or(stream.len()));
    bytewise.must_be(&whole, stream, "byte by byte");
    let mut cuts = Cuts(u32::from(a) << 8 | u32::from(b));
    let mut sizes = Vec::new();
    let cut = decode(limit, stream, &mut || {
        let size = cuts.next();
        sizes.push(size);
        size
    });
    cut.must_be(&whole, stream, &format!("in pieces of {sizes:?}"));
}

/// Sizes of pieces, mostly small ones, by Knuth's linear congruential generator.
struct Cuts(u32);

impl Cuts {
    fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let bits = self.0 >> 29;
        1 + (self.0 >> 12) as usize % (1 << (bits + 2))
    }
}

/// What a stream said, as bytes that can be compared, and how it went wrong.
#[derive(PartialEq, Eq)]
struct Said {
    bytes: Vec<u8>,
    violation: Option<Violation>,
    closed: bool,
}

impl Said {
    fn item(&mut self, kind: u8, payload: &[u8]) {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes());
        self.bytes.extend_from_slice(payload);
    }

    fn must_be(&self, wanted: &Self, stream: &[u8], how: &str) {
        if self == wanted {
            return;
        }
        let show = |said: &Self| {
            let text = said.bytes.escape_ascii();
            format!("{:?}, closed: {}, {text}", said.violation, said.closed)
        };
        let (stream, got, wanted) = (stream.escape_ascii(), show(self), show(wanted));
        panic!("this stream:\n{stream}\nsaid, {how}:\n{got}\nand in one piece:\n{wanted}");
    }
}

fn decode(limit: usize, stream: &[u8], size: &mut dyn FnMut() -> usize) -> Said {
    let mut decoder = Decoder::new(limit);
    let mut spare = Vec::new();
    // What is said must take no memory while the decoder is measured. The smallest frame has six
    // bytes, and a close frame a code, so that three times the stream is always enough.
    let room = 3 * stream.len();
    let mut said = Said { bytes: Vec::with_capacity(room), violation: None, closed: false };
    let mut read = Vec::with_capacity(stream.len());
    let (mut at, mut held) = (0, 0);
    while at < stream.len() {
        let end = stream.len().min(at + size().max(1));
        read.clear();
        read.extend_from_slice(&stream[at..end]);
        at = end;
        let (before, was_closed) = (said.bytes.len(), decoder.is_closed());
        let (result, taken) = memory::taken_by(|| {
            decoder.feed(&mut read, &mut spare, &mut |item| {
                assert!(!said.closed, "nothing is said behind a close frame");
                hear(&mut said, &item, limit);
            })
        });
        if was_closed {
            assert!(said.bytes.len() == before && result.is_ok(), "deaf once closed");
        }
        if let Err(violation) = result {
            assert!(decoder.is_closed(), "a violation ends the conversation");
            said.violation = Some(violation);
        }
        assert!(said.bytes.len() <= room);
        held += taken.kept;
        let bound = (2 * at).max(AT_ONCE).min(limit + MAX_CONTROL);
        assert!(taken.largest <= bound, "{} bytes at once, {at} have come", taken.largest);
        // All that is held is the decoder's carry and what it gave back for the next read.
        let carry = held - spare.capacity() as isize;
        assert!((0..=bound as isize).contains(&carry), "a carry of {carry} bytes, {at} have come");
        assert!(spare.is_empty() && spare.capacity() <= AT_ONCE);
        assert!(!decoder.is_closed() || carry == 0, "a closed decoder owns no heap");
    }
    said.closed = decoder.is_closed();
    said
}

/// Checks an item by itself and notes it.
fn hear(said: &mut Said, item: &Item<'_>, limit: usize) {
    match *item {
        Item::Message { text, payload } => {
            assert!(payload.len() <= limit, "{} bytes of {limit}", payload.len());
            assert!(!text || std::str::from_utf8(payload).is_ok(), "a text is UTF-8");
            said.item(if text { b't' } else { b'b' }, payload);
        }
        Item::Ping(payload) | Item::Pong(payload) => {
            assert!(payload.len() <= MAX_CONTROL);
            said.item(if matches!(item, Item::Ping(_)) { b'i' } else { b'o' }, payload);
        }
        Item::Close { code, reason } => {
            assert!(reason.len() <= MAX_CONTROL - 2);
            said.bytes.extend_from_slice(&code.unwrap_or(0).to_be_bytes());
            said.item(b'c', reason.as_bytes());
            said.closed = true;
        }
    }
}
