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
//! Most events have the shape of others before them and are read by comparing (`follow`), the
//! others, and whatever compares badly, member by member.
//!
//! Names and strings are not copied one by one: the event's text is copied once, when it is
//! whole, and spans point into it. Only names that are no piece of the text (`metadata.x`, and
//! those of nested objects) are built.

pub(super) mod bytes;
mod follow;
mod members;
mod number;

#[cfg(test)]
mod tests;

use bytes::{byte, chunk, string_end};
use members::Inside;

use super::scratch::{Section, Span};
use super::shapes::{Format, Notes, Role, Shapes};
use super::{Limits, MAX_KIND, Scratch, time};

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
    shapes: &mut Shapes,
    limits: &Limits,
    strings: bool,
) -> Option<Scanned> {
    if text.len() > Span::LONGEST || text.as_bytes().get(from) != Some(&b'{') {
        return None;
    }
    scratch.clear();
    let notes = &mut shapes.notes;
    let bytes = text.as_bytes();
    let mut scan = Scan { text, bytes, from, scratch, notes, limits, strings, over_lines: false };
    if let Some(end) = scan.follow(&shapes.json) {
        return Some(Scanned { end, over_lines: scan.over_lines });
    }
    scan.over_lines = false;
    scan.scratch.clear();
    scan.notes.clear();
    let end = scan.event()?;
    let over_lines = scan.over_lines;
    shapes.learn(Format::Json, bytes, from, end, scratch);
    Some(Scanned { end, over_lines })
}

struct Scan<'t, 's> {
    text: &'t str,
    bytes: &'t [u8],
    /// Where the event begins; spans count from here.
    from: usize,
    scratch: &'s mut Scratch,
    notes: &'s mut Notes,
    limits: &'t Limits,
    strings: bool,
    over_lines: bool,
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
            let (start, end, role) = if let Some(value) = self.own(at, b"\"id\"") {
                once(&mut saw_id)?;
                let end;
                (id, end) = self.id(value)?;
                (value, end, Some(Role::Id))
            } else if let Some(value) = self.own(at, b"\"source\"") {
                let (span, end) = self.text(value, self.limits.name_size)?;
                source.replace(span).is_none().then_some((value, end, Some(Role::Source)))?
            } else if let Some(value) = self.own(at, b"\"type\"") {
                let (span, end) = self.text(value, MAX_KIND)?;
                kind.replace(span).is_none().then_some((value, end, Some(Role::Kind)))?
            } else if let Some(value) = self.own(at, b"\"timestamp\"") {
                once(&mut saw_time)?;
                let end;
                (time, end) = self.timestamp(value)?;
                (value, end, Some(Role::Timestamp))
            } else if let Some(value) = self.own(at, b"\"data\"") {
                once(&mut saw_data)?;
                if byte(self.bytes, value) != b'{' {
                    return None;
                }
                (value, self.members(value, Inside::section(Section::Data, 0))?, None)
            } else if let Some(value) = self.own(at, b"\"metadata\"") {
                once(&mut saw_metadata)?;
                if byte(self.bytes, value) == b'{' {
                    let inside = Inside::section(Section::Metadata, "metadata.".len());
                    (value, self.members(value, inside)?, None)
                } else {
                    (value, self.skip(value, 2)?, Some(Role::Passed { level: 2, object: false }))
                }
            } else {
                let (_, _, value) = self.key(at)?;
                (value, self.skip(value, 2)?, Some(Role::Passed { level: 2, object: true }))
            };
            // Members of these two are noted one by one.
            if let Some(role) = role {
                self.notes.value(start, end, role);
            }
            at = end;
            match self.more(at, b'}')? {
                Ok(next) => at = next,
                Err(end) => break end,
            }
        };
        if !saw_data {
            return None;
        }
        self.scratch.keep_text(self.text.get(self.from..end)?);
        self.scratch.complete(source?, kind?, id, time);
        Some(end)
    }

    /// An id may be anything; only a string of the right length is one. What follows it.
    fn id(&mut self, at: usize) -> Option<(Option<Span>, usize)> {
        match self.text(at, self.limits.name_size) {
            Some((span, end)) => Some((Some(span), end)),
            None => {
                let end = self.skip(at, 2)?;
                let is_long = byte(self.bytes, at) == b'"' && end - at - 2 > self.limits.name_size;
                self.scratch.long_strings += u32::from(is_long);
                Some((None, end))
            }
        }
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
