//! The members of `data` and `metadata`.

use super::bytes::{byte, head, string_end};
use super::{DEEPEST, Scan, number};
use crate::event::MAX_PARTS;
use crate::event::scratch::{Section, Span, is_at_or_below};
use crate::event::shapes::Role;

/// What a value in `data` or `metadata` belongs to.
#[derive(Clone, Copy)]
pub(super) struct Inside {
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
    pub(super) fn section(section: Section, name_len: usize) -> Self {
        Self { section, name: None, name_len, level: 2, parts: 0 }
    }
}

impl Scan<'_, '_> {
    /// The members of `data`, `metadata` or an object in them; what follows the object.
    pub(super) fn members(&mut self, open: usize, inside: Inside) -> Option<usize> {
        if inside.level > self.limits.nesting.min(DEEPEST) {
            return None;
        }
        if inside.parts == 0 {
            self.scratch.seen.clear();
            self.notes.names.clear();
        }
        let mut at = self.next(open + 1);
        if byte(self.bytes, at) == b'}' {
            return Some(at + 1);
        }
        // `metadata` has no numbers, so without strings nothing of it is kept.
        let passes = inside.section == Section::Metadata && !self.strings;
        let has_parts = inside.parts + 1 < MAX_PARTS;
        loop {
            let (start, end, value) = self.key(at)?;
            let name_len = inside.name_len + (end - start);
            // An empty name or one too long is json's.
            if start == end || name_len > self.limits.name_size {
                return None;
            }
            self.scratch.count_member(self.limits)?;
            let (name, head) = if passes { (Span::default(), 0) } else { self.name(start, end, inside)? };
            at = if has_parts && byte(self.bytes, value) == b'{' {
                if !passes {
                    self.notes.name(head, name);
                }
                let inside = Inside {
                    section: inside.section,
                    name: (!passes).then_some(name),
                    name_len: name_len + 1,
                    level: inside.level + 1,
                    parts: inside.parts + 1,
                };
                self.members(value, inside)?
            } else {
                let kept = self.scratch.kept();
                let end = self.member(value, name, inside.section, inside.level, !has_parts)?;
                if self.scratch.kept() > kept {
                    self.scratch.seen.push((head, name));
                } else if !passes {
                    self.notes.name(head, name);
                }
                let (section, level) = (inside.section, inside.level);
                self.notes.value(value, end, Role::Member { section, level, name, object: !has_parts });
                end
            };
            match self.more(at, b'}')? {
                Ok(next) => at = next,
                Err(end) => return Some(end),
            }
        }
    }

    /// The value of a member that has no members itself, or none that have names; what follows it.
    /// It is not for an object unless `object` says so.
    #[inline(always)]
    pub(super) fn member(
        &mut self,
        value: usize,
        name: Span,
        section: Section,
        level: usize,
        object: bool,
    ) -> Option<usize> {
        match byte(self.bytes, value) {
            b'"' => {
                let end = string_end(self.bytes, value + 1)?;
                // A longer one is no dimension.
                if end - value - 1 <= self.limits.string_size {
                    if self.strings {
                        let text = self.span(value + 1, end);
                        self.scratch.put_dim(name, text, section, self.limits)?;
                    } else {
                        self.scratch.pass_dim(self.limits)?;
                    }
                } else {
                    self.scratch.long_strings += 1;
                }
                Some(end + 1)
            }
            b'-' | b'0'..=b'9' => {
                let number = number::read(self.text, value)?;
                self.field(name, number.value, section)?;
                Some(number.end)
            }
            b't' => {
                self.field(name, 1.0, section)?;
                self.literal(value, b"true")
            }
            b'f' => {
                self.field(name, 0.0, section)?;
                self.literal(value, b"false")
            }
            b'{' if !object => None,
            _ => self.skip(value, level + 1),
        }
    }

    #[inline(always)]
    fn field(&mut self, name: Span, value: f64, section: Section) -> Option<()> {
        if section == Section::Metadata {
            return Some(()); // Only `data` has numbers.
        }
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
        let is_alike = |&(other, _): &(u64, Span)| other & mask == head;
        if self.scratch.seen.iter().any(is_alike) && self.replaces(&self.scratch.seen, name, head, mask) {
            return None;
        }
        // Here it replaces nothing, but it would if the values were others.
        if self.notes.names.iter().any(is_alike) && self.replaces(&self.notes.names, name, head, mask) {
            self.notes.give_up();
        }
        Some((name, head))
    }

    /// Whether a name that was seen is this one or below it, as `Scratch::forget_path` sees it.
    #[cold]
    fn replaces(&self, seen: &[(u64, Span)], name: Span, head: u64, mask: u64) -> bool {
        let name = self.resolve(name);
        let alike = seen.iter().filter(|(other, _)| other & mask == head);
        alike.map(|&(_, span)| self.resolve(span)).any(|other| is_at_or_below(other, name))
    }

    fn resolve(&self, span: Span) -> &[u8] {
        match span.in_whole() {
            None => self.scratch.built(span).as_bytes(),
            Some(range) => self.bytes.get(self.from..).and_then(|event| event.get(range)).unwrap_or(&[]),
        }
    }
}
