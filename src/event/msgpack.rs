//! MessagePack (<https://github.com/msgpack/msgpack/blob/master/spec.md>), read from the bytes
//! into the same scratch as JSON. Bounded: a declared length never allocates, nesting is
//! checked on the way down, and what is broken ends the reading.

pub(super) mod quick;

use super::scratch::Section;
use super::{Limits, MAX_PARTS, Reject, Rejection, Scratch};

/// How deep the reader itself goes, beyond what `limits.nesting` may allow: the stack is finite.
const MAX_DEPTH: usize = 128;

/// What stands at the reader's position.
#[derive(Debug, PartialEq)]
enum Token<'a> {
    Nil,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(&'a str),
    /// A string that is not UTF-8.
    NotUtf8,
    /// Bytes, or an extension that is no timestamp.
    Opaque,
    /// The timestamp extension (type -1), in microseconds; `None` when out of range.
    Time(Option<i64>),
    Array(u32),
    Map(u32),
}

impl Token<'_> {
    /// Values that belong to it and follow.
    fn values(&self) -> u64 {
        match self {
            Self::Array(n) => u64::from(*n),
            Self::Map(n) => u64::from(*n) * 2,
            _ => 0,
        }
    }
}

/// Why reading cannot go on: the bytes end too early, or a reserved byte.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken(&'static str);

impl Broken {
    pub(super) fn rejection(&self) -> Rejection {
        Rejection::new(Reject::InvalidMsgpack, self.0)
    }
}

/// A position in a message.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Goes on there.
    pub(super) fn go_to(&mut self, at: usize) {
        self.at = at;
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Broken> {
        let end = self.at.checked_add(n).filter(|&end| end <= self.bytes.len());
        let Some(end) = end else {
            return Err(Broken("the MessagePack value is cut short"));
        };
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// A big-endian number of `n` bytes, at most 8.
    fn number(&mut self, n: usize) -> Result<u64, Broken> {
        let bytes = self.take(n)?;
        Ok(bytes.iter().fold(0, |sum, &b| sum << 8 | u64::from(b)))
    }

    fn text(&mut self, len: usize) -> Result<Token<'a>, Broken> {
        let bytes = self.take(len)?;
        Ok(simdutf8::basic::from_utf8(bytes).map_or(Token::NotUtf8, Token::Str))
    }

    fn extension(&mut self, len: usize) -> Result<Token<'a>, Broken> {
        let kind = self.number(1)? as u8 as i8;
        let body = self.take(len)?;
        if kind != -1 {
            return Ok(Token::Opaque);
        }
        // The three layouts of the timestamp extension.
        let number = |bytes: &[u8]| bytes.iter().fold(0u64, |sum, &b| sum << 8 | u64::from(b));
        let (seconds, nanos) = match len {
            4 => (i128::from(number(body)), 0),
            8 => {
                let both = number(body);
                (i128::from(both & ((1 << 34) - 1)), both >> 34)
            }
            12 => (i128::from(number(&body[4..]) as i64), number(&body[..4])),
            _ => return Ok(Token::Opaque),
        };
        let ns = seconds * 1_000_000_000 + i128::from(nanos);
        Ok(Token::Time(super::time::in_range(ns.div_euclid(1_000))))
    }

    fn token(&mut self) -> Result<Token<'a>, Broken> {
        let first = self.number(1)? as u8;
        Ok(match first {
            0x00..=0x7f => Token::Int(i128::from(first)),
            0x80..=0x8f => Token::Map(u32::from(first & 0x0f)),
            0x90..=0x9f => Token::Array(u32::from(first & 0x0f)),
            0xa0..=0xbf => self.text(usize::from(first & 0x1f))?,
            0xc0 => Token::Nil,
            0xc1 => return Err(Broken("the byte c1 is no MessagePack")),
            0xc2 | 0xc3 => Token::Bool(first == 0xc3),
            0xc4..=0xc6 => {
                let len = self.number(1 << (first - 0xc4))? as usize;
                self.take(len)?;
                Token::Opaque
            }
            0xc7..=0xc9 => {
                let len = self.number(1 << (first - 0xc7))? as usize;
                self.extension(len)?
            }
            0xca => Token::Float(f64::from(f32::from_bits(self.number(4)? as u32))),
            0xcb => Token::Float(f64::from_bits(self.number(8)?)),
            0xcc..=0xcf => Token::Int(i128::from(self.number(1 << (first - 0xcc))?)),
            0xd0 => Token::Int(i128::from(self.number(1)? as u8 as i8)),
            0xd1 => Token::Int(i128::from(self.number(2)? as u16 as i16)),
            0xd2 => Token::Int(i128::from(self.number(4)? as u32 as i32)),
            0xd3 => Token::Int(i128::from(self.number(8)? as i64)),
            0xd4..=0xd8 => self.extension(1 << (first - 0xd4))?,
            0xd9..=0xdb => {
                let len = self.number(1 << (first - 0xd9))? as usize;
                self.text(len)?
            }
            0xdc => Token::Array(self.number(2)? as u32),
            0xdd => Token::Array(self.number(4)? as u32),
            0xde => Token::Map(self.number(2)? as u32),
            0xdf => Token::Map(self.number(4)? as u32),
            0xe0..=0xff => Token::Int(i128::from(first as i8)),
        })
    }

    /// The number of elements of the array that begins here.
    pub(super) fn array(&mut self) -> Result<u32, Broken> {
        match self.token()? {
            Token::Array(n) => Ok(n),
            _ => Err(Broken("an array was expected")),
        }
    }

    /// Passes so many values, however deep they are nested; says whether their strings are UTF-8.
    pub(super) fn skip(&mut self, values: u64) -> Result<bool, Broken> {
        let (mut left, mut is_utf8) = (values, true);
        while left > 0 {
            let token = self.token()?;
            is_utf8 &= token != Token::NotUtf8;
            // A token of a byte announces 2^33 at most, so that no message is long enough for an overflow.
            left = left - 1 + token.values();
        }
        Ok(is_utf8)
    }
}

/// Reads one event; the judgement on its meaning, or what is wrong where its end is not to be found.
pub(super) fn parse(
    cursor: &mut Cursor<'_>,
    scratch: &mut Scratch,
    limits: &Limits,
) -> Result<Result<(), Rejection>, Rejection> {
    scratch.clear();
    let mut event = Event { cursor, scratch, limits, not_utf8: false };
    let is_map = match event.read() {
        Ok(is_map) => is_map,
        Err(broken) => return Err(event.scratch.is_too_deep().unwrap_or_else(|| broken.rejection())),
    };
    Ok(if event.not_utf8 {
        Err(Rejection::new(Reject::InvalidMsgpack, "a MessagePack string is not UTF-8"))
    } else if is_map {
        event.scratch.judge(limits)
    } else {
        Err(Rejection::new(Reject::NotAnObject, "an event must be a MessagePack map"))
    })
}

struct Event<'c, 'a, 's> {
    cursor: &'c mut Cursor<'a>,
    scratch: &'s mut Scratch,
    limits: &'s Limits,
    /// One of its strings is not; where it ends is clear all the same.
    not_utf8: bool,
}

impl<'a> Event<'_, 'a, '_> {
    /// Reads it to its end; says whether it is a map.
    fn read(&mut self) -> Result<bool, Broken> {
        let token = self.token()?;
        match token {
            Token::Map(members) => self.members(members)?,
            _ => self.pass(&token, 1)?,
        }
        Ok(matches!(token, Token::Map(_)))
    }

    fn token(&mut self) -> Result<Token<'a>, Broken> {
        let token = self.cursor.token()?;
        self.not_utf8 |= token == Token::NotUtf8;
        Ok(token)
    }

    fn members(&mut self, members: u32) -> Result<(), Broken> {
        for _ in 0..members {
            let name = self.token()?;
            self.pass(&name, 2)?;
            let value = self.token()?;
            let text = match value {
                Token::Str(text) => Some(text),
                _ => None,
            };
            match name {
                Token::Str("id") => self.scratch.set_id(text, self.limits),
                Token::Str("source") => self.scratch.set_source(text, self.limits),
                Token::Str("type") => self.scratch.set_kind(text),
                Token::Str("timestamp") => self.timestamp(&value),
                Token::Str("data") => {
                    self.section(Section::Data, &value)?;
                    continue;
                }
                Token::Str("metadata") => {
                    self.section(Section::Metadata, &value)?;
                    continue;
                }
                _ => {}
            }
            self.pass(&value, 2)?;
        }
        Ok(())
    }

    fn timestamp(&mut self, value: &Token<'_>) {
        let unit = self.limits.timestamp_unit;
        match value {
            Token::Nil => self.scratch.no_timestamp(),
            Token::Int(n) => self.scratch.timestamp_int(*n, unit),
            Token::Float(x) => self.scratch.timestamp_float(*x, unit),
            Token::Str(text) => self.scratch.timestamp_text(text),
            Token::Time(us) => self.scratch.timestamp_us(*us),
            _ => self.scratch.bad_timestamp(),
        }
    }

    fn section(&mut self, section: Section, value: &Token<'a>) -> Result<(), Broken> {
        if let Token::Map(members) = value {
            self.scratch.begin(section);
            self.fields(section, *members, 2, 1)
        } else {
            self.scratch.not_an_object(section);
            self.pass(value, 2)
        }
    }

    /// The members of a map at nesting `level`, which get names of `parts` parts.
    fn fields(&mut self, section: Section, members: u32, level: usize, parts: usize) -> Result<(), Broken> {
        self.check_level(level);
        let before = self.scratch.path.len();
        for _ in 0..members {
            let name = self.token()?;
            self.pass(&name, level + 1)?;
            let value = self.token()?;
            let Token::Str(name) = name else {
                self.pass(&value, level + 1)?;
                continue;
            };
            self.scratch.enter(name, section, self.limits);
            match value {
                Token::Map(members) if parts < MAX_PARTS => {
                    self.fields(section, members, level + 1, parts + 1)?;
                }
                Token::Str(text) => self.scratch.add_dim(text, section, self.limits),
                _ if section == Section::Metadata => self.pass(&value, level + 1)?,
                Token::Bool(b) => {
                    let value = f64::from(u8::from(b));
                    self.scratch.add_field(value, self.limits);
                }
                Token::Int(n) => self.scratch.add_field(n as f64, self.limits),
                Token::Float(x) => self.scratch.add_field(x, self.limits),
                other => self.pass(&other, level + 1)?,
            }
            self.scratch.path.truncate(before);
        }
        Ok(())
    }

    /// Passes the rest of a value that is ignored, a container at nesting `level`.
    fn pass(&mut self, token: &Token<'a>, level: usize) -> Result<(), Broken> {
        if !matches!(token, Token::Array(_) | Token::Map(_)) {
            return Ok(());
        }
        self.check_level(level);
        if level > MAX_DEPTH {
            self.not_utf8 |= !self.cursor.skip(token.values())?;
            return Ok(());
        }
        for _ in 0..token.values() {
            let token = self.token()?;
            self.pass(&token, level + 1)?;
        }
        Ok(())
    }

    fn check_level(&mut self, level: usize) {
        if level > self.limits.nesting {
            self.scratch.too_deep(self.limits);
        }
    }
}
