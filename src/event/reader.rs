//! A message told apart and split into events, so that a bad one is rejected alone.
//!
//! - `[`: a JSON array, split at its top-level commas by a scan that knows strings and brackets
//!   only, so that a broken element does not take its neighbours with it.
//! - `{`: one event, over one line or several, or NDJSON, a value a line.
//! - 0x80-0x8f, 0xde, 0xdf: one MessagePack map; 0x90-0x9f, 0xdc, 0xdd: an array of maps.
//!
//! What cannot be split is one rejected event.

use super::json::{self, Parsed};
use super::msgpack::{self, Cursor};
use super::{Limits, Reject, Rejection, Scratch};

/// One event of a message.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// Its place in the message, from 0.
    pub index: u32,
    /// Its own bytes.
    pub raw: &'a [u8],
    /// The event, or why it was rejected.
    pub event: Result<&'a Scratch, Rejection>,
}

/// Reads messages; owns the scratch that events are taken apart in.
#[derive(Debug)]
pub struct Reader {
    limits: Limits,
    scratch: Scratch,
}

/// What a message is, by its first significant byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    JsonArray,
    /// A JSON value, or several, a line each.
    JsonLines,
    MsgpackMap,
    MsgpackArray,
}

impl Reader {
    /// A reader with these limits.
    pub fn new(limits: Limits) -> Self {
        Self { limits, scratch: Scratch::default() }
    }

    /// Hands every event of the message to `visit`, good or rejected, in order.
    pub fn read(&mut self, payload: &[u8], visit: &mut dyn FnMut(Outcome<'_>)) {
        let (shape, body) = tell_apart(payload);
        let mut out = Out { index: 0, limit: self.limits.events_per_message, visit };
        let (scratch, limits) = (&mut self.scratch, &self.limits);
        match shape {
            Shape::JsonArray => read_array(body, scratch, limits, &mut out),
            Shape::JsonLines => read_lines(body, scratch, limits, &mut out),
            Shape::MsgpackMap => {
                let mut cursor = Cursor::new(body);
                if read_map(body, &mut cursor, scratch, limits, &mut out) {
                    trailing(body, &cursor, &mut out);
                }
            }
            Shape::MsgpackArray => read_maps(body, scratch, limits, &mut out),
        }
    }

    /// About how many events [`Reader::read`] would report, without reading them: for events
    /// that are shed under overload. Exact for well-formed messages.
    pub fn count(&self, payload: &[u8]) -> u64 {
        let (shape, body) = tell_apart(payload);
        let limit = self.limits.events_per_message as u64 + 1;
        let events = match shape {
            Shape::JsonArray => {
                let mut elements = Elements::new(body);
                let mut n = 0;
                while let Some(Piece::Element(_) | Piece::Rest(_)) = elements.next() {
                    n += 1;
                }
                n
            }
            Shape::JsonLines => {
                let starts = |line: &&[u8]| matches!(line.first(), Some(b) if !is_inner(*b));
                body.split(|&b| b == b'\n').filter(starts).count().max(1) as u64
            }
            Shape::MsgpackMap => 1,
            Shape::MsgpackArray => {
                let mut cursor = Cursor::new(body);
                let announced = cursor.array().map_or(1, u64::from);
                let mut n = 0;
                while n < announced && n < limit && !cursor.is_at_end() {
                    n += 1;
                    if cursor.skip().is_err() {
                        break;
                    }
                }
                n
            }
        };
        events.min(limit)
    }
}

/// Counts events and stops at the limit.
struct Out<'v> {
    index: u32,
    limit: usize,
    visit: &'v mut dyn FnMut(Outcome<'_>),
}

impl Out<'_> {
    fn put(&mut self, raw: &[u8], event: Result<&Scratch, Rejection>) {
        (self.visit)(Outcome { index: self.index, raw, event });
        self.index += 1;
    }

    fn reject(&mut self, raw: &[u8], reason: Reject, message: &str) {
        self.put(raw, Err(Rejection::new(reason, message)));
    }

    /// Whether another event may come; if not, the rest of the message is one rejected event.
    fn may_go_on(&mut self, rest: &[u8]) -> bool {
        if (self.index as usize) < self.limit {
            return true;
        }
        let limit = self.limit;
        let message =
            format!("more than {limit} events in one message; limits.events_per_message allows no more");
        self.reject(rest, Reject::TooLong, &message);
        false
    }
}

fn tell_apart(payload: &[u8]) -> (Shape, &[u8]) {
    match payload.first() {
        Some(0x80..=0x8f | 0xde | 0xdf) => return (Shape::MsgpackMap, payload),
        Some(0x90..=0x9f | 0xdc | 0xdd) => return (Shape::MsgpackArray, payload),
        _ => {}
    }
    // Some editors and languages put a byte order mark in front of UTF-8.
    let body = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
    let body = body.trim_ascii();
    match body.first() {
        Some(b'[') => (Shape::JsonArray, body),
        _ => (Shape::JsonLines, body),
    }
}

/// Reads a piece of text that should be one event and reports it.
fn put_json(piece: &[u8], scratch: &mut Scratch, limits: &Limits, out: &mut Out<'_>) {
    let event = match json::parse(piece, scratch, limits) {
        Parsed::Whole(Ok(())) => Ok(&*scratch),
        Parsed::Whole(Err(rejection)) | Parsed::Broken(rejection) => Err(rejection),
    };
    out.put(piece, event);
}

fn read_array(body: &[u8], scratch: &mut Scratch, limits: &Limits, out: &mut Out<'_>) {
    let mut elements = Elements::new(body);
    loop {
        let rest = elements.rest();
        match elements.next() {
            None => return,
            Some(Piece::Element(piece)) => {
                if !out.may_go_on(rest) {
                    return;
                }
                put_json(piece, scratch, limits, out);
            }
            Some(Piece::Rest(rest)) => {
                let message = "the array does not end where it should; this rest could not be split";
                out.reject(rest, Reject::InvalidJson, message);
            }
        }
    }
}

fn read_lines(body: &[u8], scratch: &mut Scratch, limits: &Limits, out: &mut Out<'_>) {
    let line_end = |from: usize| memchr_newline(body, from).unwrap_or(body.len());
    let first_end = line_end(0);
    if first_end == body.len() {
        return put_json(body, scratch, limits, out);
    }
    // One event over several lines, or one event a line? If the first line is not a value of
    // its own but the whole is, it is the former.
    if let Parsed::Broken(_) = json::parse(body[..first_end].trim_ascii(), scratch, limits) {
        match json::parse(body, scratch, limits) {
            Parsed::Whole(Ok(())) => return out.put(body, Ok(scratch)),
            Parsed::Whole(Err(rejection)) => return out.put(body, Err(rejection)),
            Parsed::Broken(rejection) if rejection.reason != Reject::InvalidJson => {
                return out.put(body, Err(rejection));
            }
            Parsed::Broken(_) => {}
        }
    }
    let mut at = 0;
    while at < body.len() {
        let mut end = line_end(at);
        let line = body[at..end].trim_ascii();
        if line.is_empty() {
            at = end + 1;
            continue;
        }
        if !out.may_go_on(&body[at..]) {
            return;
        }
        match json::parse(line, scratch, limits) {
            Parsed::Whole(Ok(())) => out.put(line, Ok(scratch)),
            Parsed::Whole(Err(rejection)) => out.put(line, Err(rejection)),
            Parsed::Broken(rejection) => {
                // The lines inside of a broken event over several lines belong to it.
                while end < body.len() && body.get(end + 1).is_some_and(|&b| is_inner(b)) {
                    end = line_end(end + 1);
                }
                out.put(body[at..end].trim_ascii(), Err(rejection));
            }
        }
        at = end + 1;
    }
}

/// Whether a line that begins so is the inside of a pretty-printed value.
fn is_inner(first: u8) -> bool {
    matches!(first, b' ' | b'\t' | b'\r' | b'}' | b']')
}

fn memchr_newline(body: &[u8], from: usize) -> Option<usize> {
    let found = body.get(from..)?.iter().position(|&b| b == b'\n')?;
    Some(from + found)
}

/// Reads one map; says whether what follows can be told apart.
fn read_map(
    body: &[u8],
    cursor: &mut Cursor<'_>,
    scratch: &mut Scratch,
    limits: &Limits,
    out: &mut Out<'_>,
) -> bool {
    let start = cursor.position();
    match msgpack::parse(cursor, scratch, limits) {
        Ok(judged) => {
            let raw = &body[start..cursor.position()];
            out.put(raw, judged.map(|()| &*scratch));
            true
        }
        Err(broken) => {
            out.put(&body[start..], Err(broken.rejection()));
            false
        }
    }
}

fn read_maps(body: &[u8], scratch: &mut Scratch, limits: &Limits, out: &mut Out<'_>) {
    let mut cursor = Cursor::new(body);
    let elements = match cursor.array() {
        Ok(elements) => elements,
        Err(broken) => return out.put(body, Err(broken.rejection())),
    };
    for _ in 0..elements {
        if !out.may_go_on(&body[cursor.position()..]) {
            return;
        }
        if !read_map(body, &mut cursor, scratch, limits, out) {
            return;
        }
    }
    trailing(body, &cursor, out);
}

fn trailing(body: &[u8], cursor: &Cursor<'_>, out: &mut Out<'_>) {
    if !cursor.is_at_end() {
        let message = "bytes behind the end of the MessagePack value";
        out.reject(&body[cursor.position()..], Reject::InvalidMsgpack, message);
    }
}

/// A piece of a JSON array.
enum Piece<'a> {
    /// Between two commas or brackets.
    Element(&'a [u8]),
    /// What could not be split, or stands behind the array.
    Rest(&'a [u8]),
}

/// The elements of a JSON array, found by strings, brackets and commas alone.
struct Elements<'a> {
    body: &'a [u8],
    at: usize,
    done: bool,
    first: bool,
}

impl<'a> Elements<'a> {
    /// `body` begins with `[`.
    fn new(body: &'a [u8]) -> Self {
        Self { body, at: 1, done: false, first: true }
    }

    fn rest(&self) -> &'a [u8] {
        self.body.get(self.at..).unwrap_or(&[])
    }

    fn next(&mut self) -> Option<Piece<'a>> {
        if self.done {
            let rest = self.rest().trim_ascii();
            self.at = self.body.len();
            return (!rest.is_empty()).then_some(Piece::Rest(rest));
        }
        let start = self.at;
        let mut depth = 0usize;
        let mut at = start;
        while let Some(&byte) = self.body.get(at) {
            match byte {
                b'"' => {
                    at += 1;
                    while let Some(&inside) = self.body.get(at) {
                        match inside {
                            b'\\' => at += 1,
                            b'"' => break,
                            _ => {}
                        }
                        at += 1;
                    }
                }
                b'{' | b'[' => depth += 1,
                b']' if depth == 0 => return self.close(start, at),
                b'}' | b']' => depth = depth.saturating_sub(1),
                b',' if depth == 0 => {
                    self.at = at + 1;
                    self.first = false;
                    return Some(Piece::Element(self.body[start..at].trim_ascii()));
                }
                _ => {}
            }
            at += 1;
        }
        // The end came before the bracket.
        self.at = self.body.len();
        self.done = true;
        Some(Piece::Rest(self.body[start..].trim_ascii()))
    }

    fn close(&mut self, start: usize, at: usize) -> Option<Piece<'a>> {
        self.at = at + 1;
        self.done = true;
        let last = self.body[start..at].trim_ascii();
        if last.is_empty() && self.first {
            return self.next(); // An empty array holds no event.
        }
        Some(Piece::Element(last))
    }
}
