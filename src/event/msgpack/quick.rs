//! The usual shape of a MessagePack event, read in one pass in front of the careful reader.
//!
//! What must always hold: [`read`] fills the scratch exactly as `msgpack::parse` would from the same
//! bytes, in the same order (dimensions only if they are asked for), or answers `None`, and the
//! event is the careful reader's, from its beginning. It rejects nothing. Unusual, and the other
//! one's, are: strings that are not ASCII, repeated names, objects in objects, arrays, bytes,
//! extensions, and whatever is too long, too many or wrong.

use super::super::scan::bytes::{chunk, head};
use super::super::scratch::{Section, Span, is_at_or_below};
use super::super::{Limits, MAX_KIND, MAX_NAME, MAX_SOURCE, Scratch, time};

/// Below these levels nothing usual lies: the event and its `data`.
const LEVELS: usize = 2;

/// A value that is no container.
#[derive(Clone, Copy)]
enum Value {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    /// From where to where its bytes, which are ASCII, stand in the message.
    Str(usize, usize),
}

/// Reads the event that begins at `from`; the position behind it.
pub(in super::super) fn read(
    bytes: &[u8],
    from: usize,
    scratch: &mut Scratch,
    limits: &Limits,
    strings: bool,
) -> Option<usize> {
    if limits.nesting < LEVELS || bytes.len() > Span::LONGEST {
        return None;
    }
    scratch.clear();
    let mut text = std::mem::take(&mut scratch.bytes);
    text.clear();
    let mut event = Event { bytes, at: from, scratch, limits, strings, text: &mut text };
    let end = event.read();
    scratch.bytes = text;
    end
}

struct Event<'b, 's> {
    bytes: &'b [u8],
    at: usize,
    scratch: &'s mut Scratch,
    limits: &'b Limits,
    strings: bool,
    /// The strings that are kept, one after the other: what spans point into.
    text: &'s mut Vec<u8>,
}

impl Event<'_, '_> {
    fn read(&mut self) -> Option<usize> {
        let (mut source, mut kind, mut id, mut stamp) = (None, None, None, None);
        let (mut data, mut metadata) = (false, false);
        for _ in 0..self.map()? {
            let (start, end) = self.name()?;
            match self.bytes.get(start..end)? {
                b"id" => {
                    // An id may be anything; only a string of the right length is one.
                    let span = match self.value()? {
                        Value::Str(start, end) if (1..=MAX_NAME).contains(&(end - start)) => {
                            Some(self.keep(start, end)?)
                        }
                        _ => None,
                    };
                    id.replace(span).is_none().then_some(())?;
                }
                b"source" => {
                    let span = self.string(MAX_SOURCE)?;
                    source.replace(span).is_none().then_some(())?;
                }
                b"type" => {
                    let span = self.string(MAX_KIND)?;
                    kind.replace(span).is_none().then_some(())?;
                }
                b"timestamp" => {
                    let us = self.timestamp()?;
                    stamp.replace(us).is_none().then_some(())?;
                }
                b"data" => {
                    (!std::mem::replace(&mut data, true)).then_some(())?;
                    self.members(Section::Data)?;
                }
                b"metadata" => {
                    (!std::mem::replace(&mut metadata, true)).then_some(())?;
                    match self.bytes.get(self.at)? {
                        0x80..=0x8f | 0xde | 0xdf => self.members(Section::Metadata)?,
                        _ => drop(self.value()?),
                    }
                }
                _ => drop(self.value()?),
            }
        }
        if !data {
            return None;
        }
        // All of it is ASCII, which is found again quickly.
        let text = std::str::from_utf8(self.text).ok()?;
        self.scratch.complete(text, source?, kind?, id.flatten(), stamp.flatten());
        Some(self.at)
    }

    /// The members of `data` or `metadata`.
    fn members(&mut self, section: Section) -> Option<()> {
        self.scratch.seen.clear();
        // `metadata` has no numbers, so without strings nothing of it is kept.
        let passes = section == Section::Metadata && !self.strings;
        let prefix: &[u8] = if section == Section::Metadata { b"metadata." } else { b"" };
        for _ in 0..self.map()? {
            let (start, end) = self.name()?;
            if start == end || prefix.len() + (end - start) > MAX_NAME {
                return None;
            }
            let (name_head, mask) = head(self.bytes, start, end);
            if !passes {
                let mut seen = self.scratch.seen.iter();
                if seen.any(|&(other, _)| other & mask == name_head) && self.replaces(start, end) {
                    return None;
                }
                self.scratch.seen.push((name_head, Span::of_whole(start, end)));
            }
            let number = match self.value()? {
                Value::Nil => continue,
                Value::Str(from, to) => {
                    if to - from > MAX_NAME {
                        continue; // A longer one is no dimension.
                    }
                    if self.strings {
                        let name = self.keep_name(prefix, start, end)?;
                        let value = self.keep(from, to)?;
                        self.scratch.put_dim(name, value, section, self.limits)?;
                    } else {
                        self.scratch.pass_dim(self.limits)?;
                    }
                    continue;
                }
                _ if section == Section::Metadata => continue,
                Value::Bool(b) => f64::from(u8::from(b)),
                Value::Unsigned(n) => n as f64,
                Value::Signed(n) => n as f64,
                Value::Float(x) if x.is_finite() => x,
                Value::Float(_) => return None,
            };
            let name = self.keep_name(prefix, start, end)?;
            self.scratch.put_field(name, number, self.limits)?;
        }
        Some(())
    }

    /// Whether a name is one of those before, or one of them lies below it, as
    /// `Scratch::forget_path` sees it: the last of repeated members wins.
    #[cold]
    fn replaces(&self, start: usize, end: usize) -> bool {
        let name = self.bytes.get(start..end).unwrap_or(&[]);
        let mut others = self.scratch.seen.iter().filter_map(|(_, span)| self.bytes.get(span.in_whole()?));
        others.any(|other| is_at_or_below(other, name))
    }

    fn timestamp(&mut self) -> Option<Option<i64>> {
        let unit = self.limits.timestamp_unit;
        let us = match self.value()? {
            Value::Nil => return Some(None),
            Value::Unsigned(n) => time::from_int(i128::from(n), unit)?,
            Value::Signed(n) => time::from_int(i128::from(n), unit)?,
            Value::Float(x) => time::from_float(x, unit)?,
            Value::Str(from, to) => {
                time::parse_rfc3339_us(std::str::from_utf8(self.bytes.get(from..to)?).ok()?)?
            }
            Value::Bool(_) => return None,
        };
        Some(Some(us))
    }

    /// A string of 1 to `max` bytes, kept.
    fn string(&mut self, max: usize) -> Option<Span> {
        match self.value()? {
            Value::Str(from, to) if (1..=max).contains(&(to - from)) => self.keep(from, to),
            _ => None,
        }
    }

    fn keep(&mut self, from: usize, to: usize) -> Option<Span> {
        self.keep_name(b"", from, to)
    }

    #[inline]
    fn keep_name(&mut self, prefix: &[u8], from: usize, to: usize) -> Option<Span> {
        let start = self.text.len();
        self.text.extend_from_slice(prefix);
        self.text.extend_from_slice(self.bytes.get(from..to)?);
        Some(Span::of_whole(start, self.text.len()))
    }

    #[inline(always)]
    fn number<const N: usize>(&mut self) -> Option<u64> {
        let big_endian: &[u8; N] = chunk(self.bytes, self.at)?;
        self.at += N;
        let mut eight = [0; 8];
        eight[8 - N..].copy_from_slice(big_endian);
        Some(u64::from_be_bytes(eight))
    }

    /// The number of members of the map here.
    fn map(&mut self) -> Option<u64> {
        match self.number::<1>()? {
            tag @ 0x80..=0x8f => Some(tag & 0x0f),
            0xde => self.number::<2>(),
            0xdf => self.number::<4>(),
            _ => None,
        }
    }

    /// A member's name: where it starts and ends.
    #[inline(always)]
    fn name(&mut self) -> Option<(usize, usize)> {
        let len = match self.number::<1>()? {
            tag @ 0xa0..=0xbf => tag & 0x1f,
            0xd9 => self.number::<1>()?,
            _ => return None,
        };
        self.ascii(len as usize)
    }

    #[inline(always)]
    fn ascii(&mut self, len: usize) -> Option<(usize, usize)> {
        let start = self.at;
        self.at = start.checked_add(len)?;
        let piece = self.bytes.get(start..self.at)?;
        is_ascii(piece).then_some((start, self.at))
    }

    #[inline(always)]
    fn value(&mut self) -> Option<Value> {
        let tag = self.number::<1>()?;
        let string = |range: (usize, usize)| Value::Str(range.0, range.1);
        Some(match tag {
            0xa0..=0xbf => string(self.ascii((tag & 0x1f) as usize)?),
            0xd9 => {
                let len = self.number::<1>()?;
                string(self.ascii(len as usize)?)
            }
            0xcb => Value::Float(f64::from_bits(self.number::<8>()?)),
            0x00..=0x7f => Value::Unsigned(tag),
            0xca => Value::Float(f64::from(f32::from_bits(self.number::<4>()? as u32))),
            0xcc => Value::Unsigned(self.number::<1>()?),
            0xcd => Value::Unsigned(self.number::<2>()?),
            0xce => Value::Unsigned(self.number::<4>()?),
            0xcf => Value::Unsigned(self.number::<8>()?),
            0xd0 => Value::Signed(i64::from(self.number::<1>()? as u8 as i8)),
            0xd1 => Value::Signed(i64::from(self.number::<2>()? as u16 as i16)),
            0xd2 => Value::Signed(i64::from(self.number::<4>()? as u32 as i32)),
            0xd3 => Value::Signed(self.number::<8>()? as i64),
            0xe0..=0xff => Value::Signed(i64::from(tag as u8 as i8)),
            0xc0 => Value::Nil,
            0xc2 | 0xc3 => Value::Bool(tag == 0xc3),
            0xda => {
                let len = self.number::<2>()?;
                string(self.ascii(len as usize)?)
            }
            0xdb => {
                let len = self.number::<4>()?;
                string(self.ascii(len as usize)?)
            }
            _ => return None,
        })
    }
}

/// Whether all bytes are ASCII; most strings here are short, for which the standard library takes
/// some 280 instructions an event more.
#[inline(always)]
fn is_ascii(piece: &[u8]) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (words, rest) = piece.as_chunks::<8>();
    let mut seen = words.iter().fold(0, |seen, word| seen | u64::from_ne_bytes(*word));
    match piece.last_chunk::<8>() {
        // The last word covers the rest.
        Some(last) => seen |= u64::from_ne_bytes(*last),
        None => seen = rest.iter().fold(seen, |seen, &b| seen | u64::from(b)),
    }
    seen & HIGH == 0
}

#[cfg(test)]
mod tests;
