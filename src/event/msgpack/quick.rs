//! The usual shape of a MessagePack event, read in one pass in front of the careful reader.
//!
//! What must always hold: [`read`] fills the scratch exactly as `msgpack::parse` would from the same
//! bytes, in the same order (dimensions only if they are asked for), or answers `None`, and the
//! event is the careful reader's, from its beginning. It rejects nothing. Unusual, and the other
//! one's, are: strings that are not ASCII, repeated names, objects in objects, arrays, bytes,
//! extensions, and whatever is too long, too many or wrong.
//!
//! Most events have the shape of others before them and are read by comparing (`follow`), the
//! others, and whatever compares badly, member by member.
//!
//! Strings are copied one after the other, and are made text of together, when the event is whole.

mod follow;

use super::super::scan::bytes::{HIGH, byte, chunk, head, word};
use super::super::scratch::{Section, Span, is_at_or_below};
use super::super::shapes::{Format, Notes, Role, Shapes};
use super::super::{Limits, MAX_KIND, Scratch, time};

/// Below these levels nothing usual lies: the event and its `data`.
const LEVELS: usize = 2;

/// A value that is no string and no container.
#[derive(Clone, Copy)]
enum Scalar {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

/// Reads the event that begins at `from`; the position behind it.
pub(in super::super) fn read(
    bytes: &[u8],
    from: usize,
    scratch: &mut Scratch,
    shapes: &mut Shapes,
    limits: &Limits,
    strings: bool,
) -> Option<usize> {
    if limits.nesting < LEVELS || bytes.len() > Span::LONGEST {
        return None;
    }
    scratch.clear();
    let kept = scratch.take_room();
    let notes = &mut shapes.notes;
    let mut event = Event { bytes, from, scratch, notes, limits, strings, kept };
    if let Some(end) = event.follow(&shapes.msgpack) {
        event.scratch.keep_ascii(event.kept);
        return Some(end);
    }
    event.scratch.clear();
    event.notes.clear();
    event.kept.clear();
    let end = event.read();
    event.scratch.keep_ascii(event.kept);
    shapes.learn(Format::Msgpack, bytes, from, end?, scratch);
    end
}

struct Event<'b, 's> {
    bytes: &'b [u8],
    /// Where the event begins.
    from: usize,
    scratch: &'s mut Scratch,
    notes: &'s mut Notes,
    limits: &'b Limits,
    strings: bool,
    /// The strings that are kept, one after the other: what spans point into.
    kept: Vec<u8>,
}

impl Event<'_, '_> {
    /// The event at `self.from`; what follows it.
    fn read(&mut self) -> Option<usize> {
        let (mut source, mut kind, mut id, mut stamp) = (None, None, None, None);
        let (mut data, mut metadata) = (false, false);
        let (members, mut at) = self.map(self.from)?;
        for _ in 0..members {
            let (start, value) = self.string(at)?;
            let role;
            (role, at) = match self.bytes.get(start..value)? {
                b"id" => {
                    let (span, end) = self.id(value)?;
                    id.replace(span).is_none().then_some((Role::Id, end))?
                }
                b"source" => {
                    let (span, end) = self.text(value, self.limits.name_size)?;
                    source.replace(span).is_none().then_some((Role::Source, end))?
                }
                b"type" => {
                    let (span, end) = self.text(value, MAX_KIND)?;
                    kind.replace(span).is_none().then_some((Role::Kind, end))?
                }
                b"timestamp" => {
                    let (us, end) = self.timestamp(value)?;
                    stamp.replace(us).is_none().then_some((Role::Timestamp, end))?
                }
                b"data" => {
                    (!std::mem::replace(&mut data, true)).then_some(())?;
                    at = self.members(value, Section::Data)?;
                    continue;
                }
                b"metadata" => {
                    (!std::mem::replace(&mut metadata, true)).then_some(())?;
                    if self.map(value).is_some() {
                        at = self.members(value, Section::Metadata)?;
                        continue;
                    }
                    (Role::Passed { level: LEVELS, object: false }, self.pass(value)?)
                }
                _ => (Role::Passed { level: LEVELS, object: false }, self.pass(value)?),
            };
            self.notes.value(value, at, role);
        }
        if !data {
            return None;
        }
        self.scratch.complete(source?, kind?, id.flatten(), stamp.flatten());
        Some(at)
    }

    /// The members of `data` or `metadata`; what follows them.
    fn members(&mut self, at: usize, section: Section) -> Option<usize> {
        self.scratch.seen.clear();
        // `metadata` has no numbers, so without strings nothing of it is kept.
        let passes = section == Section::Metadata && !self.strings;
        let prefix = if section == Section::Metadata { "metadata.".len() } else { 0 };
        let (members, mut at) = self.map(at)?;
        for _ in 0..members {
            let (start, value) = self.string(at)?;
            if start == value || prefix + (value - start) > self.limits.name_size {
                return None;
            }
            self.scratch.count_member(self.limits)?;
            let mut name = Span::default();
            if !passes {
                self.name_is_new(start, value)?;
                let key = std::str::from_utf8(self.bytes.get(start..value)?).ok()?;
                name = match section {
                    Section::Data => self.scratch.build(key),
                    Section::Metadata => self.scratch.build_metadata(key),
                };
            }
            at = self.member(value, name, section)?;
            self.notes.value(value, at, Role::Member { section, level: LEVELS, name, object: false });
        }
        Some(at)
    }

    /// `None`: a name is one of those before, or one of them lies below it, as
    /// `Scratch::forget_path` sees it: the last of repeated members wins. Or there are more of them,
    /// which are all looked at for each, than a section may hold.
    fn name_is_new(&mut self, start: usize, end: usize) -> Option<()> {
        let (name_head, mask) = head(self.bytes, start, end);
        let name = self.bytes.get(start..end)?;
        let alike = |&&(other, _): &&(u64, Span)| other & mask == name_head;
        let mut others = self.scratch.seen.iter().filter(alike).filter_map(|(_, span)| span.in_whole());
        let is_new = !others.any(|other| self.bytes.get(other).is_some_and(|o| is_at_or_below(o, name)));
        if !is_new || self.scratch.seen.len() > self.limits.fields_per_event {
            return None;
        }
        self.scratch.seen.push((name_head, Span::of_whole(start, end)));
        Some(())
    }

    /// The value of a member of `data` or `metadata`; what follows it.
    #[inline(always)]
    fn member(&mut self, at: usize, name: Span, section: Section) -> Option<usize> {
        let (number, end) = if byte(self.bytes, at) == 0xcb {
            (f64::from_bits(self.number::<8>(at + 1)?), at + 9)
        } else if let Some((start, end)) = self.header(at) {
            is_ascii(self.bytes, start, end)?;
            // A longer one is no dimension.
            if end - start <= self.limits.string_size {
                if self.strings {
                    let text = self.keep(start, end)?;
                    self.scratch.put_dim(name, text, section, self.limits)?;
                } else {
                    self.scratch.pass_dim(self.limits)?;
                }
            } else {
                self.scratch.long_strings += 1;
            }
            return Some(end);
        } else {
            let (value, end) = self.scalar(at)?;
            let number = match value {
                Scalar::Nil => return Some(end),
                Scalar::Bool(b) => f64::from(u8::from(b)),
                Scalar::Unsigned(n) => n as f64,
                Scalar::Signed(n) => n as f64,
                Scalar::Float(x) => x,
            };
            (number, end)
        };
        // Only `data` has numbers.
        if section == Section::Data {
            number.is_finite().then_some(())?;
            self.scratch.put_field(name, number, self.limits)?;
        }
        Some(end)
    }

    /// A timestamp that is one, and what follows it; `None` within: there is none, it is nil.
    fn timestamp(&self, at: usize) -> Option<(Option<i64>, usize)> {
        let unit = self.limits.timestamp_unit;
        if let Some((start, end)) = self.header(at) {
            let text = std::str::from_utf8(self.bytes.get(start..end)?).ok()?;
            return Some((Some(time::parse_rfc3339_us(text)?), end));
        }
        let (value, end) = self.scalar(at)?;
        let us = match value {
            Scalar::Nil => return Some((None, end)),
            Scalar::Unsigned(n) => time::from_int(i128::from(n), unit)?,
            Scalar::Signed(n) => time::from_int(i128::from(n), unit)?,
            Scalar::Float(x) => time::from_float(x, unit)?,
            Scalar::Bool(_) => return None,
        };
        Some((Some(us), end))
    }

    /// An id may be anything; only a string of the right length is one. What follows it.
    #[inline(always)]
    fn id(&mut self, at: usize) -> Option<(Option<Span>, usize)> {
        match self.text(at, self.limits.name_size) {
            Some((span, end)) => Some((Some(span), end)),
            None => {
                let passed = self.pass(at)?;
                let is_long = |(start, end)| end - start > self.limits.name_size;
                self.scratch.long_strings += u32::from(self.header(at).is_some_and(is_long));
                Some((None, passed))
            }
        }
    }

    /// A string of 1 to `max` bytes, and what follows it.
    #[inline(always)]
    fn text(&mut self, at: usize, max: usize) -> Option<(Span, usize)> {
        let (start, end) = self.string(at)?;
        if !(1..=max).contains(&(end - start)) {
            return None;
        }
        Some((self.keep(start, end)?, end))
    }

    /// A value that is only checked; what follows it.
    fn pass(&self, at: usize) -> Option<usize> {
        match self.header(at) {
            Some(_) => Some(self.string(at)?.1),
            None => Some(self.scalar(at)?.1),
        }
    }

    /// Keeps a string.
    #[inline(always)]
    fn keep(&mut self, start: usize, end: usize) -> Option<Span> {
        let before = self.kept.len();
        let after = before + (end - start);
        match chunk::<16>(self.bytes, start) {
            // Copying sixteen bytes and forgetting some takes fewer instructions than a few.
            Some(sixteen) if end - start <= 16 => {
                self.kept.extend_from_slice(sixteen);
                self.kept.truncate(after);
            }
            _ => self.kept.extend_from_slice(self.bytes.get(start..end)?),
        }
        Some(Span::of_whole(before, after))
    }

    /// A big-endian number of so many bytes.
    #[inline(always)]
    fn number<const N: usize>(&self, at: usize) -> Option<u64> {
        let big_endian: &[u8; N] = chunk(self.bytes, at)?;
        let mut eight = [0; 8];
        eight[8 - N..].copy_from_slice(big_endian);
        Some(u64::from_be_bytes(eight))
    }

    /// The number of members of the map there, and where they begin.
    fn map(&self, at: usize) -> Option<(u64, usize)> {
        match self.number::<1>(at)? {
            tag @ 0x80..=0x8f => Some((tag & 0x0f, at + 1)),
            0xde => Some((self.number::<2>(at + 1)?, at + 3)),
            0xdf => Some((self.number::<4>(at + 1)?, at + 5)),
            _ => None,
        }
    }

    /// Where the inside of the string there begins and ends. It is ASCII.
    #[inline(always)]
    fn string(&self, at: usize) -> Option<(usize, usize)> {
        let (start, end) = self.header(at)?;
        is_ascii(self.bytes, start, end)?;
        Some((start, end))
    }

    /// The same by the header alone: the bytes may be others, or not be there.
    #[inline(always)]
    fn header(&self, at: usize) -> Option<(usize, usize)> {
        let (len, start) = match byte(self.bytes, at) {
            tag @ 0xa0..=0xbf => (u64::from(tag & 0x1f), at + 1),
            0xd9 => (self.number::<1>(at + 1)?, at + 2),
            0xda => (self.number::<2>(at + 1)?, at + 3),
            0xdb => (self.number::<4>(at + 1)?, at + 5),
            _ => return None,
        };
        Some((start, start.checked_add(len as usize)?))
    }

    /// A value that is no string and no container, and what follows it.
    fn scalar(&self, at: usize) -> Option<(Scalar, usize)> {
        let tag = *self.bytes.get(at)?;
        let at = at + 1;
        Some(match tag {
            0x00..=0x7f => (Scalar::Unsigned(tag.into()), at),
            0xe0..=0xff => (Scalar::Signed(i64::from(tag as i8)), at),
            0xc0 => (Scalar::Nil, at),
            0xc2 | 0xc3 => (Scalar::Bool(tag == 0xc3), at),
            0xca => (Scalar::Float(f32::from_bits(self.number::<4>(at)? as u32).into()), at + 4),
            0xcb => (Scalar::Float(f64::from_bits(self.number::<8>(at)?)), at + 8),
            0xcc => (Scalar::Unsigned(self.number::<1>(at)?), at + 1),
            0xcd => (Scalar::Unsigned(self.number::<2>(at)?), at + 2),
            0xce => (Scalar::Unsigned(self.number::<4>(at)?), at + 4),
            0xcf => (Scalar::Unsigned(self.number::<8>(at)?), at + 8),
            0xd0 => (Scalar::Signed(i64::from(self.number::<1>(at)? as i8)), at + 1),
            0xd1 => (Scalar::Signed(i64::from(self.number::<2>(at)? as i16)), at + 2),
            0xd2 => (Scalar::Signed(i64::from(self.number::<4>(at)? as i32)), at + 4),
            0xd3 => (Scalar::Signed(self.number::<8>(at)? as i64), at + 8),
            _ => return None,
        })
    }
}

/// Says if these bytes are there and all ASCII; most strings are short, for which the standard
/// library takes some 280 instructions an event more.
#[inline(always)]
fn is_ascii(bytes: &[u8], start: usize, end: usize) -> Option<()> {
    let piece = bytes.get(start..end)?;
    let seen = match (piece.first_chunk(), piece.last_chunk()) {
        // The two overlap, or there is a middle to look at as well.
        (Some(first), Some(last)) => {
            let ends = u64::from_le_bytes(*first) | u64::from_le_bytes(*last);
            ends | if piece.len() > 16 { all_bits(piece) } else { 0 }
        }
        // Of eight bytes from its beginning, or of fewer, those that are its own.
        _ => match word(bytes, start) {
            Some(word) => word & !(u64::MAX << (8 * piece.len())),
            None => piece.iter().fold(0, |all, &b| all << 8 | u64::from(b)),
        },
    };
    (seen & HIGH == 0).then_some(())
}

/// The bits of all whole words.
#[inline(never)]
fn all_bits(piece: &[u8]) -> u64 {
    let (words, _) = piece.as_chunks();
    words.iter().fold(0, |seen, word| seen | u64::from_le_bytes(*word))
}

#[cfg(test)]
mod tests;
