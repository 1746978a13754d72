//! JSON by serde_json: a visitor that writes into the scratch and allocates nothing of its own.
//!
//! What is wrong with the meaning is noted and the value read to its end; what is wrong with
//! the syntax ends the value. Members that are ignored are walked as strictly as used ones
//! (`IgnoredAny` would let broken strings pass).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::scratch::Section;
use super::{Limits, MAX_PARTS, Reject, Rejection, Scratch};

/// What became of a piece of text.
pub(super) enum Parsed {
    /// A whole value; the judgement on its meaning.
    Whole(Result<(), Rejection>),
    /// Not JSON (or too deep, or a number beyond f64, which serde_json both refuses).
    Broken(Rejection),
}

impl Parsed {
    pub(super) fn is_broken(&self) -> bool {
        matches!(self, Self::Broken(_))
    }
}

/// Reads one event from a piece of text that should hold exactly one value.
pub(super) fn parse(piece: &[u8], scratch: &mut Scratch, limits: &Limits) -> Parsed {
    let Ok(text) = simdutf8::basic::from_utf8(piece) else {
        return Parsed::Broken(Rejection::new(Reject::InvalidJson, "the text is not UTF-8"));
    };
    scratch.clear();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut is_object = false;
    let event = Event { scratch: &mut *scratch, limits, is_object: &mut is_object };
    let read = event.deserialize(&mut deserializer);
    match read.and_then(|()| deserializer.end()) {
        Err(error) => Parsed::Broken(broken(&error)),
        Ok(()) if !is_object => {
            Parsed::Whole(Err(Rejection::new(Reject::NotAnObject, "an event must be a JSON object")))
        }
        Ok(()) => Parsed::Whole(scratch.judge(limits)),
    }
}

/// Whether it is JSON but for what strings hold, whatever its numbers are and however deep it is nested.
pub(super) fn is_json(piece: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(piece).is_ok()
}

fn broken(error: &serde_json::Error) -> Rejection {
    // serde_json tells these two apart from plain syntax errors by their text only.
    let text = error.to_string();
    let reason = if text.starts_with("number out of range") {
        Reject::BadNumber
    } else if text.starts_with("recursion limit exceeded") {
        Reject::TooDeep
    } else {
        Reject::InvalidJson
    };
    Rejection::new(reason, text)
}

/// The event itself.
struct Event<'a> {
    scratch: &'a mut Scratch,
    limits: &'a Limits,
    is_object: &'a mut bool,
}

#[derive(Clone, Copy)]
enum Member {
    Id,
    Source,
    Kind,
    Timestamp,
    Section(Section),
    Other,
}

struct MemberName;

impl<'de> DeserializeSeed<'de> for MemberName {
    type Value = Member;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Member, D::Error> {
        d.deserialize_str(self)
    }
}

impl Visitor<'_> for MemberName {
    type Value = Member;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }
    fn visit_str<E>(self, name: &str) -> Result<Member, E> {
        Ok(member(name))
    }
}

fn member(name: &str) -> Member {
    match name {
        "id" => Member::Id,
        "source" => Member::Source,
        "type" => Member::Kind,
        "timestamp" => Member::Timestamp,
        "data" => Member::Section(Section::Data),
        "metadata" => Member::Section(Section::Metadata),
        _ => Member::Other,
    }
}

impl<'de> DeserializeSeed<'de> for Event<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

/// For visitors that take any value and care for a few kinds only.
macro_rules! ignore {
    ($($method:ident: $kind:ty),*) => {$(
        fn $method<E>(self, _: $kind) -> Result<(), E> {
            Ok(())
        }
    )*};
}

impl<'de> Visitor<'de> for Event<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }
    ignore!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        skip(self.scratch, self.limits, 1).visit_seq(seq)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        *self.is_object = true;
        while let Some(member) = map.next_key_seed(MemberName)? {
            let (scratch, limits) = (&mut *self.scratch, self.limits);
            match member {
                Member::Section(section) => map.next_value_seed(Value {
                    scratch,
                    limits,
                    section,
                    role: Role::Section,
                    level: 2,
                    parts: 0,
                })?,
                Member::Other => map.next_value_seed(skip(scratch, limits, 2))?,
                member => map.next_value_seed(Plain { scratch, limits, member })?,
            }
        }
        Ok(())
    }
}

/// A member that should be a string or a number.
struct Plain<'a> {
    scratch: &'a mut Scratch,
    limits: &'a Limits,
    member: Member,
}

impl Plain<'_> {
    fn whole(mut self, value: i128) {
        match self.member {
            Member::Timestamp => self.scratch.timestamp_int(value, self.limits.timestamp_unit),
            _ => self.set_text(None),
        }
    }

    fn set_text(&mut self, text: Option<&str>) {
        match self.member {
            Member::Id => self.scratch.set_id(text, self.limits),
            Member::Source => self.scratch.set_source(text, self.limits),
            Member::Kind => self.scratch.set_kind(text),
            _ => match text {
                Some(text) => self.scratch.timestamp_text(text),
                None => self.scratch.bad_timestamp(),
            },
        }
    }
}

impl<'de> DeserializeSeed<'de> for Plain<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Plain<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_bool<E>(mut self, _: bool) -> Result<(), E> {
        self.set_text(None);
        Ok(())
    }
    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.whole(i128::from(value));
        Ok(())
    }
    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.whole(i128::from(value));
        Ok(())
    }
    fn visit_f64<E>(mut self, value: f64) -> Result<(), E> {
        match self.member {
            Member::Timestamp => {
                let unit = self.limits.timestamp_unit;
                self.scratch.timestamp_float(value, unit);
            }
            _ => self.set_text(None),
        }
        Ok(())
    }
    fn visit_str<E>(mut self, value: &str) -> Result<(), E> {
        self.set_text(Some(value));
        Ok(())
    }
    fn visit_unit<E>(mut self) -> Result<(), E> {
        match self.member {
            Member::Timestamp => self.scratch.no_timestamp(),
            _ => self.set_text(None),
        }
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(mut self, seq: A) -> Result<(), A::Error> {
        self.set_text(None);
        skip(self.scratch, self.limits, 2).visit_seq(seq)
    }
    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<(), A::Error> {
        self.set_text(None);
        skip(self.scratch, self.limits, 2).visit_map(map)
    }
}

/// What a value in or below `data` and `metadata` is read for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It is the section.
    Section,
    /// It is a member of it, named by the path.
    Field,
    /// It is only checked.
    Skipped,
}

/// A value at nesting `level` (the event is level 1), under a name of `parts` parts.
struct Value<'a> {
    scratch: &'a mut Scratch,
    limits: &'a Limits,
    section: Section,
    role: Role,
    level: usize,
    parts: usize,
}

fn skip<'a>(scratch: &'a mut Scratch, limits: &'a Limits, level: usize) -> Value<'a> {
    Value { scratch, limits, section: Section::Data, role: Role::Skipped, level, parts: 0 }
}

impl Value<'_> {
    fn number(self, value: f64) {
        match self.role {
            Role::Section => self.scratch.not_an_object(self.section),
            Role::Field if self.section == Section::Data => {
                self.scratch.add_field(value, self.limits);
            }
            Role::Field | Role::Skipped => {}
        }
    }

    fn nothing(self) {
        if self.role == Role::Section {
            self.scratch.not_an_object(self.section);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.number(f64::from(u8::from(value)));
        Ok(())
    }
    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.number(value as f64);
        Ok(())
    }
    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.number(value as f64);
        Ok(())
    }
    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.number(value);
        Ok(())
    }
    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        match self.role {
            Role::Field => self.scratch.add_dim(value, self.section, self.limits),
            Role::Section | Role::Skipped => self.nothing(),
        }
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        self.nothing();
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if self.role == Role::Section {
            self.scratch.not_an_object(self.section);
        }
        if self.level > self.limits.nesting {
            self.scratch.too_deep(self.limits);
        }
        let level = self.level + 1;
        while seq.next_element_seed(skip(self.scratch, self.limits, level))?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if self.level > self.limits.nesting {
            self.scratch.too_deep(self.limits);
        }
        if self.role == Role::Section {
            self.scratch.begin(self.section);
        }
        let named = self.role != Role::Skipped && self.parts < MAX_PARTS;
        let before = self.scratch.path.len();
        let (limits, section) = (self.limits, self.section);
        while map.next_key_seed(Name { scratch: &mut *self.scratch, limits, section, named })?.is_some() {
            map.next_value_seed(Value {
                scratch: &mut *self.scratch,
                limits,
                section,
                role: if named { Role::Field } else { Role::Skipped },
                level: self.level + 1,
                parts: self.parts + 1,
            })?;
            self.scratch.path.truncate(before);
        }
        Ok(())
    }
}

/// A member's name, appended to the path.
struct Name<'a> {
    scratch: &'a mut Scratch,
    limits: &'a Limits,
    section: Section,
    named: bool,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }
    fn visit_str<E: Error>(self, name: &str) -> Result<(), E> {
        if self.named {
            self.scratch.enter(name, self.section, self.limits);
        }
        Ok(())
    }
}
