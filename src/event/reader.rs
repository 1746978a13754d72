//! A message told apart and split into events, so that a bad one is rejected alone.
//!
//! - `[`: a JSON array, split at its top-level commas by a scan that knows strings and brackets
//!   only, so that a broken element does not take its neighbours with it.
//! - `{`: one event, over one line or several, or NDJSON, a value a line.
//! - 0x80-0x8f, 0xde, 0xdf: one MessagePack map; 0x90-0x9f, 0xdc, 0xdd: an array of maps.
//!
//! What cannot be split is one rejected event.
//!
//! JSON is offered to `scan` first, which also finds the end of an event; what it leaves, from
//! the beginning of that event, goes the way that is right for all JSON.

use super::elements::{self, Elements, Piece, trim};
use super::json::{self, Parsed};
use super::msgpack::{self, Cursor, quick};
use super::scan::{self, Scanned};
use super::shapes::Shapes;
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
    shapes: Shapes,
    scans: bool,
    strings: bool,
    left: u64,
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
        Self {
            limits,
            scratch: Scratch::default(),
            shapes: Shapes::default(),
            scans: true,
            strings: true,
            left: 0,
        }
    }

    /// Other limits, from the next message on.
    pub fn set_limits(&mut self, limits: Limits) {
        if limits != self.limits {
            self.limits = limits;
            // What follows a known shape is not checked against limits that its first event met.
            self.shapes.forget(&mut self.scratch);
        }
    }

    /// A reader that reads all JSON by serde_json and all MessagePack by the careful reader, the
    /// slow way: to compare with.
    pub fn without_scanner(limits: Limits) -> Self {
        Self { scans: false, ..Self::new(limits) }
    }

    /// Strings in `data` and `metadata` are wanted or not: an event need not have them as dimensions
    /// then, which is cheaper. They are until this is called.
    pub fn with_strings(self, wanted: bool) -> Self {
        Self { strings: wanted, ..self }
    }

    /// How many pieces of JSON were left to serde_json so far, and events of MessagePack to the
    /// careful reader.
    pub fn left_to_serde(&self) -> u64 {
        self.left
    }

    /// Hands every event of the message to `visit`, good or rejected, in order.
    pub fn read(&mut self, payload: &[u8], visit: &mut dyn FnMut(Outcome<'_>)) {
        let (shape, body) = tell_apart(payload);
        let mut out = Out { index: 0, limit: self.limits.events_per_message, visit };
        match shape {
            Shape::JsonArray => return self.read_array(body, &mut out),
            Shape::JsonLines => return self.read_lines(body, &mut out),
            Shape::MsgpackMap | Shape::MsgpackArray => {}
        }
        let mut maps = Maps { body, cursor: Cursor::new(body), reader: self };
        match shape {
            Shape::MsgpackMap => {
                if maps.read_one(&mut out) {
                    maps.trailing(&mut out);
                }
            }
            _ => maps.read_all(&mut out),
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
                let not_inner = || body.split(|&b| b == b'\n').filter(|line| !is_inner(line)).count() as u64;
                elements::count_lines(body).unwrap_or_else(not_inner).max(1)
            }
            Shape::MsgpackMap | Shape::MsgpackArray => {
                let mut cursor = Cursor::new(body);
                let announced = if shape == Shape::MsgpackMap { Ok(1) } else { cursor.array() };
                let Ok(announced) = announced.map(u64::from) else { return 1 };
                let mut n = 0;
                while n < announced && n < limit && cursor.skip(1).is_ok() {
                    n += 1;
                }
                // One more is cut short, or the bytes behind the last are rejected.
                n + u64::from(n < announced || !cursor.is_at_end())
            }
        };
        events.min(limit)
    }
}

#[cfg(test)]
impl Reader {
    /// Bytes that its buffers take.
    pub(super) fn room(&self) -> usize {
        self.scratch.room()
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
    let body = trim(body);
    match body.first() {
        Some(b'[') => (Shape::JsonArray, body),
        _ => (Shape::JsonLines, body),
    }
}

/// JSON, in its three framings.
impl Reader {
    /// The whole of a message as text, if the scanner may read it: events are cut out of it
    /// without another look at UTF-8.
    fn text<'b>(&self, body: &'b [u8]) -> Option<&'b str> {
        self.scans.then(|| simdutf8::basic::from_utf8(body).ok()).flatten()
    }

    fn scan(&mut self, text: Option<&str>, from: usize) -> Option<Scanned> {
        scan::scan(text?, from, &mut self.scratch, &mut self.shapes, &self.limits, self.strings)
    }

    fn parse(&mut self, piece: &[u8]) -> Parsed {
        self.left += 1;
        json::parse(piece, &mut self.scratch, &self.limits)
    }

    /// Reads a piece of text that should be one event and reports it.
    fn put_json(&mut self, piece: &[u8], out: &mut Out<'_>) {
        let parsed = self.parse(piece);
        out.put(piece, self.judged(parsed));
    }

    /// The event that was parsed last.
    fn judged(&self, parsed: Parsed) -> Result<&Scratch, Rejection> {
        match parsed {
            Parsed::Whole(Ok(())) => Ok(&self.scratch),
            Parsed::Whole(Err(rejection)) | Parsed::Broken(rejection) => Err(rejection),
        }
    }

    fn read_array(&mut self, body: &[u8], out: &mut Out<'_>) {
        let text = self.text(body);
        let mut elements = Elements::new(body);
        loop {
            let rest = elements.rest();
            let start = elements.start();
            if let Some(event) = self.scan(text, start)
                && elements.pass(event.end)
            {
                if !out.may_go_on(rest) {
                    return;
                }
                out.put(&body[start..event.end], Ok(&self.scratch));
                continue;
            }
            match elements.next() {
                None => return,
                Some(Piece::Element(piece)) => {
                    if !out.may_go_on(rest) {
                        return;
                    }
                    self.put_json(piece, out);
                }
                Some(Piece::Rest(rest)) => {
                    let message = "the array does not end where it should; this rest could not be split";
                    out.reject(rest, Reject::InvalidJson, message);
                }
            }
        }
    }

    fn read_lines(&mut self, body: &[u8], out: &mut Out<'_>) {
        if body.is_empty() {
            return self.put_json(body, out);
        }
        let text = self.text(body);
        let (mut at, mut in_vain) = (0, 0);
        while at < body.len() {
            let start = at + spaces(&body[at..]);
            if body.get(start) == Some(&b'\n') {
                at = start + 1;
                continue;
            }
            if let Some(event) = self.scan(text, start)
                && (!event.over_lines || in_vain < MOST_IN_VAIN)
                && let Some(next) = line_behind(body, event.end)
            {
                if !out.may_go_on(&body[at..]) {
                    return;
                }
                out.put(&body[start..event.end], Ok(&self.scratch));
                at = next;
                continue;
            }
            if !out.may_go_on(&body[at..]) {
                return;
            }
            let mut end = line_end(body, at);
            let mut judged = self.parse(trim(&body[at..end]));
            if judged.is_broken() {
                (judged, end) = self.go_on(body, at, end, judged, &mut in_vain);
            }
            out.put(trim(&body[at..end]), self.judged(judged));
            at = end + 1;
        }
    }

    /// A line that is broken by itself may go on over the next ones: to where its bracket is closed, if that makes a
    /// value; else over those that are inside of it. What has been read then, and where it ends.
    fn go_on(
        &mut self,
        body: &[u8],
        at: usize,
        mut end: usize,
        broken: Parsed,
        in_vain: &mut u32,
    ) -> (Parsed, usize) {
        let mut depth = elements::depth_behind(&body[at..end], 0);
        if depth == 0 {
            return (broken, end);
        }
        let look = *in_vain < MOST_IN_VAIN;
        let closed = look.then(|| elements::closed_at(body, at, &mut 0)).flatten();
        let closed_end = closed.map(|closed| line_end(body, closed));
        if let Some(whole_end) = closed_end
            && let Some(whole) = self.parse_over_lines(trim(&body[at..whole_end]))
        {
            return (whole, whole_end);
        }
        // What is an event of its own is not inside, if nobody knows where that ends.
        while let Some(next) = body.get(end + 1..line_end(body, end + 1))
            && depth > 0
            && is_inner(next)
            && !(closed.is_none()
                && may_be_event(next)
                && matches!(self.parse(trim(next)), Parsed::Whole(Ok(()))))
        {
            depth = elements::depth_behind(next, depth);
            end += 1 + next.len();
        }
        *in_vain += u32::from(look && closed_end.is_none_or(|closed_end| closed_end > end));
        (broken, end)
    }

    /// A value over several lines; `None`: it is no JSON.
    fn parse_over_lines(&mut self, piece: &[u8]) -> Option<Parsed> {
        let whole = self.parse(piece);
        // A number that is too large ends the reading, as nesting does, and what stands behind it is not known.
        let is_json = !whole.is_broken() || json::is_json(piece);
        is_json.then_some(whole)
    }
}

/// How often in a message a value over several lines may be looked for and not be found: each time costs the rest of
/// the message.
const MOST_IN_VAIN: u32 = 3;

/// How much white space of JSON, but for line feeds, stands in front.
fn spaces(text: &[u8]) -> usize {
    text.iter().position(|b| !matches!(b, b' ' | b'\t' | b'\r')).unwrap_or(text.len())
}

/// Where the next line begins, if nothing but white space is left of this one.
fn line_behind(body: &[u8], at: usize) -> Option<usize> {
    let end = at + spaces(body.get(at..)?);
    matches!(body.get(end), None | Some(b'\n')).then_some(end + 1)
}

/// Whether a line may be the inside of a pretty-printed value.
fn is_inner(line: &[u8]) -> bool {
    matches!(line.first(), None | Some(b' ' | b'\t' | b'\r' | b'}' | b']'))
}

/// Whether the line is worth reading as an event of its own.
fn may_be_event(line: &[u8]) -> bool {
    const SHORTEST: usize = r#"{"source":"s","type":"t","data":{}}"#.len();
    let line = trim(line);
    line.len() >= SHORTEST && line.starts_with(b"{") && line.ends_with(b"}")
}

/// Where the line that holds this position ends.
fn line_end(body: &[u8], from: usize) -> usize {
    let found = body.get(from..).and_then(|rest| rest.iter().position(|&b| b == b'\n'));
    found.map_or(body.len(), |n| from + n)
}

/// A message of MessagePack.
struct Maps<'b, 'r> {
    body: &'b [u8],
    cursor: Cursor<'b>,
    reader: &'r mut Reader,
}

impl Maps<'_, '_> {
    /// Reads one map; says whether what follows can be told apart.
    fn read_one(&mut self, out: &mut Out<'_>) -> bool {
        let Reader { scratch, shapes, limits, scans, strings, left, .. } = &mut *self.reader;
        let start = self.cursor.position();
        if *scans && let Some(end) = quick::read(self.body, start, scratch, shapes, limits, *strings) {
            self.cursor.go_to(end);
            out.put(&self.body[start..end], Ok(scratch));
            return true;
        }
        *left += 1;
        match msgpack::parse(&mut self.cursor, scratch, limits) {
            Ok(judged) => {
                let raw = &self.body[start..self.cursor.position()];
                out.put(raw, judged.map(|()| &*scratch));
                true
            }
            Err(rejection) => {
                out.put(&self.body[start..], Err(rejection));
                false
            }
        }
    }

    fn read_all(&mut self, out: &mut Out<'_>) {
        let elements = match self.cursor.array() {
            Ok(elements) => elements,
            Err(broken) => return out.put(self.body, Err(broken.rejection())),
        };
        for _ in 0..elements {
            if !out.may_go_on(&self.body[self.cursor.position()..]) || !self.read_one(out) {
                return;
            }
        }
        self.trailing(out);
    }

    fn trailing(&self, out: &mut Out<'_>) {
        if !self.cursor.is_at_end() {
            let message = "bytes behind the end of the MessagePack value";
            out.reject(&self.body[self.cursor.position()..], Reject::InvalidMsgpack, message);
        }
    }
}
