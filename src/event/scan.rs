//! A one-pass scanner for the usual shape of a JSON event, in front of serde_json.
//!
//! What must always hold: [`scan`] fills the scratch exactly as `json::parse` would from the same
//! text, to the last bit and in the same order, or answers `None`, and the event is `json`'s,
//! from its beginning. It rejects nothing: whatever is malformed, repeated, escaped, too long,
//! too many, deep or merely odd is left to `json`, so that every rejection comes from one place.
//!
//! That is, of the strings in `data` and `metadata` if somebody asks for them; else they are checked
//! and counted only, which saves a quarter of the work.
//!
//! Names and strings are not copied one by one: the event's text is copied once, when it is
//! whole, and spans point into it. Only names that are no piece of the text (`metadata.x`, and
//! those of nested objects) are built.

pub(super) mod bytes;
mod number;

#[cfg(test)]
mod tests;

use bytes::{byte, chunk, head, string_end};

use super::scratch::{Section, Span, is_at_or_below};
use super::{Limits, MAX_KIND, MAX_NAME, MAX_PARTS, MAX_SOURCE, Scratch, time};

/// Levels of nesting beyond which an event is unusual (the scanner calls itself once a level).
const DEEPEST: usize = 16;

/// An event that was the scanner's.
pub(super) struct Scanned {
    /// The position behind its closing brace.
    pub(super) end: usize,
    /// Whether there is a line feed in it.
    pub(super) over_lines: bool,
}

/// Reads the event that begins at `from`, whatever stands behind it; strings in `data` and
/// `metadata` become dimensions if `strings` says so.
pub(super) fn scan(
    text: &str,
    from: usize,
    scratch: &mut Scratch,
    limits: &Limits,
    strings: bool,
) -> Option<Scanned> {
    if text.len() > Span::LONGEST || text.as_bytes().get(from) != Some(&b'{') {
        return None;
    }
    scratch.clear();
    let mut scan = Scan { text, bytes: text.as_bytes(), from, scratch, limits, strings, over_lines: false };
    let end = scan.event()?;
    Some(Scanned { end, over_lines: scan.over_lines })
}

struct Scan<'t, 's> {
    text: &'t str,
    bytes: &'t [u8],
    /// Where the event begins; spans count from here.
    from: usize,
    scratch: &'s mut Scratch,
    limits: &'t Limits,
    strings: bool,
    over_lines: bool,
}

/// What a value in `data` or `metadata` belongs to.
#[derive(Clone, Copy)]
struct Inside {
    section: Section,
    /// The flattened name of the object; `None`: the section itself, or nobody asks.
    name: Option<Span>,
    /// Its length, and that of the dot behind it, bytes.
    name_len: usize,
    /// Levels of nesting, the event's being 1.
    level: usize,
    /// Parts of the name.
    parts: usize,
}

impl Inside {
    fn section(section: Section, name_len: usize) -> Self {
        Self { section, name: None, name_len, level: 2, parts: 0 }
    }
}

impl Scan<'_, '_> {
    /// The position of the next byte that is no white space.
    #[inline(always)]
    fn next(&mut self, at: usize) -> usize {
        if byte(self.bytes, at) > b' ' { at } else { self.next_behind_space(at) }
    }

    fn next_behind_space(&mut self, mut at: usize) -> usize {
        loop {
            match byte(self.bytes, at) {
                b' ' | b'\t' | b'\r' => {}
                b'\n' => self.over_lines = true,
                _ => return at,
            }
            at += 1;
        }
    }

    /// A member's name that begins at `at`: where its inside starts and ends, and its value begins.
    #[inline(always)]
    fn key(&mut self, at: usize) -> Option<(usize, usize, usize)> {
        if byte(self.bytes, at) != b'"' {
            return None;
        }
        let end = string_end(self.bytes, at + 1)?;
        Some((at + 1, end, self.value(end + 1)?))
    }

    /// Where the value of a member begins whose name ends at `at`.
    #[inline(always)]
    fn value(&mut self, at: usize) -> Option<usize> {
        // Mostly there is no space, and one look at two bytes is enough.
        if let Some(&[b':', value]) = chunk(self.bytes, at)
            && value > b' '
        {
            return Some(at + 1);
        }
        let colon = self.next(at);
        (byte(self.bytes, colon) == b':').then(|| self.next(colon + 1))
    }

    /// Where the value of this member of an event begins, if it is this one. Names are compared
    /// in turn and not searched for their end: tokens wait for the position of the one before,
    /// and behind a guessed name it is known early.
    #[inline(always)]
    fn own<const N: usize>(&mut self, at: usize, name: &[u8; N]) -> Option<usize> {
        if chunk(self.bytes, at) != Some(name) {
            return None;
        }
        self.value(at + N)
    }

    /// Behind a value: the next member or element, or, after `close`, what follows (`Err`).
    #[inline(always)]
    fn more(&mut self, at: usize, close: u8) -> Option<Result<usize, usize>> {
        if let Some(&[b',', value]) = chunk(self.bytes, at)
            && value > b' '
        {
            return Some(Ok(at + 1));
        }
        let at = self.next(at);
        match byte(self.bytes, at) {
            b',' => Some(Ok(self.next(at + 1))),
            b if b == close => Some(Err(at + 1)),
            _ => None,
        }
    }

    #[inline(always)]
    fn span(&self, start: usize, end: usize) -> Span {
        Span::of_whole(start - self.from, end - self.from)
    }

    /// A string of 1 to `max` bytes at `at`, and what follows it.
    #[inline(always)]
    fn text(&self, at: usize, max: usize) -> Option<(Span, usize)> {
        if byte(self.bytes, at) != b'"' {
            return None;
        }
        let end = string_end(self.bytes, at + 1)?;
        (1..=max).contains(&(end - at - 1)).then(|| (self.span(at + 1, end), end + 1))
    }

    /// The event at `self.from`; what follows it.
    fn event(&mut self) -> Option<usize> {
        let (mut source, mut kind, mut id, mut time) = (None, None, None, None);
        let (mut saw_id, mut saw_time, mut saw_data, mut saw_metadata) = (false, false, false, false);
        // A repeated member replaces the one before: json's.
        let once = |saw: &mut bool| (!std::mem::replace(saw, true)).then_some(());
        let mut at = self.next(self.from + 1);
        let end = loop {
            at = if let Some(value) = self.own(at, b"\"id\"") {
                once(&mut saw_id)?;
                // An id may be anything; only a string of the right length is one.
                match self.text(value, MAX_NAME) {
                    Some((span, next)) => {
                        id = Some(span);
                        next
                    }
                    None => self.skip(value, 2)?,
                }
            } else if let Some(value) = self.own(at, b"\"source\"") {
                let (span, next) = self.text(value, MAX_SOURCE)?;
                source.replace(span).is_none().then_some(next)?
            } else if let Some(value) = self.own(at, b"\"type\"") {
                let (span, next) = self.text(value, MAX_KIND)?;
                kind.replace(span).is_none().then_some(next)?
            } else if let Some(value) = self.own(at, b"\"timestamp\"") {
                once(&mut saw_time)?;
                let (us, next) = self.timestamp(value)?;
                time = us;
                next
            } else if let Some(value) = self.own(at, b"\"data\"") {
                once(&mut saw_data)?;
                if byte(self.bytes, value) != b'{' {
                    return None;
                }
                self.members(value, Inside::section(Section::Data, 0))?
            } else if let Some(value) = self.own(at, b"\"metadata\"") {
                once(&mut saw_metadata)?;
                if byte(self.bytes, value) == b'{' {
                    self.members(value, Inside::section(Section::Metadata, "metadata.".len()))?
                } else {
                    self.skip(value, 2)?
                }
            } else {
                let (_, _, value) = self.key(at)?;
                self.skip(value, 2)?
            };
            match self.more(at, b'}')? {
                Ok(next) => at = next,
                Err(end) => break end,
            }
        };
        if !saw_data {
            return None;
        }
        self.scratch.complete(self.text.get(self.from..end)?, source?, kind?, id, time);
        Some(end)
    }

    /// A timestamp that is one; `None` within: there is none, it is null.
    fn timestamp(&self, at: usize) -> Option<(Option<i64>, usize)> {
        let unit = self.limits.timestamp_unit;
        match byte(self.bytes, at) {
            b'"' => {
                let end = string_end(self.bytes, at + 1)?;
                let us = time::parse_rfc3339_us(self.text.get(at + 1..end)?)?;
                Some((Some(us), end + 1))
            }
            b'n' => Some((None, self.literal(at, b"null")?)),
            _ => {
                let number = number::read(self.text, at)?;
                let us = match number.integer {
                    Some(whole) => time::from_int(whole, unit)?,
                    None => time::from_float(number.value, unit)?,
                };
                Some((Some(us), number.end))
            }
        }
    }

    #[inline(always)]
    fn literal(&self, at: usize, literal: &[u8]) -> Option<usize> {
        self.bytes.get(at..)?.starts_with(literal).then_some(at + literal.len())
    }

    /// The members of `data`, `metadata` or an object in them; what follows the object.
    fn members(&mut self, open: usize, inside: Inside) -> Option<usize> {
        if inside.level > self.limits.nesting.min(DEEPEST) {
            return None;
        }
        if inside.parts == 0 {
            self.scratch.seen.clear();
        }
        let mut at = self.next(open + 1);
        if byte(self.bytes, at) == b'}' {
            return Some(at + 1);
        }
        // `metadata` has no numbers, so without strings nothing of it is kept.
        let passes = inside.section == Section::Metadata && !self.strings;
        loop {
            let (start, end, value) = self.key(at)?;
            let name_len = inside.name_len + (end - start);
            // An empty name or one too long is json's.
            if start == end || name_len > MAX_NAME {
                return None;
            }
            let (name, head) = if passes { (Span::default(), 0) } else { self.name(start, end, inside)? };
            at = match byte(self.bytes, value) {
                b'"' => {
                    let end = string_end(self.bytes, value + 1)?;
                    // A longer one is no dimension.
                    if end - value - 1 <= MAX_NAME {
                        if self.strings {
                            let text = self.span(value + 1, end);
                            self.scratch.seen.push((head, name));
                            self.scratch.put_dim(name, text, inside.section, self.limits)?;
                        } else {
                            self.scratch.pass_dim(self.limits)?;
                        }
                    }
                    end + 1
                }
                b'-' | b'0'..=b'9' => {
                    let number = number::read(self.text, value)?;
                    self.field(name, head, number.value, inside)?;
                    number.end
                }
                b'{' if inside.parts + 1 < MAX_PARTS => {
                    let inside = Inside {
                        section: inside.section,
                        name: (!passes).then_some(name),
                        name_len: name_len + 1,
                        level: inside.level + 1,
                        parts: inside.parts + 1,
                    };
                    self.members(value, inside)?
                }
                b't' => {
                    self.field(name, head, 1.0, inside)?;
                    self.literal(value, b"true")?
                }
                b'f' => {
                    self.field(name, head, 0.0, inside)?;
                    self.literal(value, b"false")?
                }
                _ => self.skip(value, inside.level + 1)?,
            };
            match self.more(at, b'}')? {
                Ok(next) => at = next,
                Err(end) => return Some(end),
            }
        }
    }

    #[inline(always)]
    fn field(&mut self, name: Span, head: u64, value: f64, inside: Inside) -> Option<()> {
        if inside.section == Section::Metadata {
            return Some(()); // Only `data` has numbers.
        }
        self.scratch.seen.push((head, name));
        self.scratch.put_field(name, value, self.limits)
    }

    /// The flattened name of a member and its head; `None`: it replaces what another member gave
    /// (the last of repeated members wins: json's). A string that is only passed is no such member:
    /// replacing it, or being replaced by it, makes no difference but to the count.
    #[inline(always)]
    fn name(&mut self, start: usize, end: usize, inside: Inside) -> Option<(Span, u64)> {
        let name = match (inside.name, inside.section) {
            (None, Section::Data) => self.span(start, end),
            (object, _) => {
                let key = self.text.get(start..end)?;
                match object.map(|object| (object, object.in_whole())) {
                    None => self.scratch.build_metadata(key),
                    Some((object, None)) => self.scratch.build_below(object, key),
                    Some((_, Some(range))) => {
                        let object = self.text.get(self.from..)?.get(range)?;
                        self.scratch.build_names(object, key)
                    }
                }
            }
        };
        // Heads are of names within the section: without `metadata.`, which all of them share.
        let (head, mask) = match inside.parts {
            0 => head(self.bytes, start, end),
            _ => {
                let built = self.resolve(name);
                let skipped = if inside.section == Section::Metadata { "metadata.".len() } else { 0 };
                head(built, skipped, built.len())
            }
        };
        let mut seen = self.scratch.seen.iter();
        if seen.any(|&(other, _)| other & mask == head) && self.replaces(name, head, mask) {
            return None;
        }
        Some((name, head))
    }

    /// Whether a name that was seen is this one or below it, as `Scratch::forget_path` sees it.
    #[cold]
    fn replaces(&self, name: Span, head: u64, mask: u64) -> bool {
        let name = self.resolve(name);
        let alike = self.scratch.seen.iter().filter(|(other, _)| other & mask == head);
        alike.map(|&(_, span)| self.resolve(span)).any(|other| is_at_or_below(other, name))
    }

    fn resolve(&self, span: Span) -> &[u8] {
        match span.in_whole() {
            None => self.scratch.built(span).as_bytes(),
            Some(range) => self.bytes.get(self.from..).and_then(|event| event.get(range)).unwrap_or(&[]),
        }
    }

    /// A value that is only checked, on this level of nesting; what follows it.
    fn skip(&mut self, at: usize, level: usize) -> Option<usize> {
        match byte(self.bytes, at) {
            b'"' => Some(string_end(self.bytes, at + 1)? + 1),
            b'n' => self.literal(at, b"null"),
            b't' => self.literal(at, b"true"),
            b'f' => self.literal(at, b"false"),
            open @ (b'{' | b'[') => {
                if level > self.limits.nesting.min(DEEPEST) {
                    return None;
                }
                // `]` and `}` stand two behind their openings.
                let close = open + 2;
                let mut at = self.next(at + 1);
                if byte(self.bytes, at) == close {
                    return Some(at + 1);
                }
                loop {
                    if open == b'{' {
                        at = self.key(at)?.2;
                    }
                    at = self.skip(at, level + 1)?;
                    match self.more(at, close)? {
                        Ok(next) => at = next,
                        Err(end) => return Some(end),
                    }
                }
            }
            _ => Some(number::read(self.text, at)?.end),
        }
    }
}
