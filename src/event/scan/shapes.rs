//! The shapes of events seen before: most events of a stream repeat the names, the order and the
//! white space of others, and differ in their values only.
//!
//! A shape is what stands between the values. It is learned from an event that the scanner has
//! read, and followed by comparing: no search for the end of a name, no look at what was named
//! before, no nesting to keep track of. Shapes that begin alike share their beginning: they make a
//! tree of steps, each of them some bytes and the value behind them.
//!
//! What must always hold: what follows a shape is read as the scanner would read it. The way of the
//! scanner through an event depends on the bytes between the values, which are the same, on the
//! limits, which are the same for all events of a reader, and on two things in values:
//! - whether a member of an object is an object (then what is in it is part of the shape);
//! - whether a member is kept, for another one of the name may only be met by json then. So no shape
//!   is learned from an event in which a name might replace another, whatever their values.
//!
//! What a stranger can do with it is bounded: steps, alternatives to a step, bytes and values of an
//! event that are noted. A tree that has become full is dropped after a while, for the
//! stream may have changed.

use super::bytes::{byte, sixteen};
use super::{Scan, Section, Span};
use crate::event::{MAX_KIND, MAX_NAME, MAX_SOURCE, Scratch};

/// Steps of the tree.
const STEPS: usize = 512;
/// Steps that may come next after one.
const ALTERNATIVES: usize = 12;
/// Values noted of one event, and names of a section.
const NOTES: usize = 64;
/// Bytes of all steps.
const BYTES: usize = 32 * 1024;
/// A tree that had no room for so many events is dropped.
const PATIENCE: u32 = 4_096;

/// No step.
const NONE: u32 = u32::MAX;

/// What a value is to its event.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    Id,
    Source,
    Kind,
    Timestamp,
    /// Only checked.
    Passed {
        /// The level of nesting it is on.
        level: usize,
        /// Whether it may be an object.
        object: bool,
    },
    /// Of a member of `data`, `metadata` or an object in them.
    Member {
        section: Section,
        level: usize,
        name: Span,
        object: bool,
    },
}

/// What the scanner notes of an event, to learn its shape.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Values, from where to where.
    values: Vec<(usize, usize, Role)>,
    /// Names of the section that were not kept, and what they begin with: of objects, nulls and such.
    pub(super) names: Vec<(u64, Span)>,
    /// There is no shape to learn from this event.
    given_up: bool,
}

impl Notes {
    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.names.clear();
        self.given_up = false;
    }

    pub(super) fn give_up(&mut self) {
        self.given_up = true;
        self.names.clear();
    }

    #[inline]
    pub(super) fn value(&mut self, start: usize, end: usize, role: Role) {
        if self.values.len() == NOTES {
            return self.give_up();
        }
        self.values.push((start, end, role));
    }

    #[inline]
    pub(super) fn name(&mut self, head: u64, name: Span) {
        if self.names.len() == NOTES {
            self.give_up();
        }
        if !self.given_up {
            self.names.push((head, name));
        }
    }
}

/// What stands behind the bytes of a step.
#[derive(Clone, Copy, Debug)]
struct Target {
    is: Is,
    level: usize,
    /// Whether the value may be an object.
    object: bool,
    /// Whether the name was built.
    built: bool,
    /// The name: where among the bytes of all steps if it was built, else where in front of the value.
    name: (usize, usize),
}

/// As [`Role`], in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Id,
    Source,
    Kind,
    Timestamp,
    Passed,
    Data,
    Metadata,
    /// Nothing, the event is over.
    End,
    /// The same, and there was a line feed in it.
    EndOverLines,
}

/// Bytes, and the value behind them.
#[derive(Debug)]
struct Step {
    /// The first sixteen of the bytes, zeros behind fewer, and the bits that these take.
    first: u128,
    mask: u128,
    /// The last sixteen, if there are more.
    last: u128,
    len: usize,
    /// Where they lie among the bytes of all steps.
    at: usize,
    target: Target,
    /// The first step behind the value.
    then: u32,
    /// The step to try if this one does not fit.
    or: u32,
}

/// The tree.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// The first step to try.
    first: u32,
    steps: Vec<Step>,
    bytes: String,
}

impl Steps {
    #[inline(always)]
    fn get(&self, step: u32) -> Option<&Step> {
        self.steps.get(step as usize)
    }

    /// Whether the bytes from `at` on are this step's.
    #[inline(always)]
    fn fits(&self, step: &Step, bytes: &[u8], at: usize) -> bool {
        (sixteen(bytes, at) ^ step.first) & step.mask == 0
            && match step.len {
                0..=16 => true,
                17..=32 => sixteen(bytes, at + step.len - 16) == step.last,
                _ => bytes.get(at..at + step.len) == Some(self.bytes_of(step).as_bytes()),
            }
    }

    fn bytes_of(&self, step: &Step) -> &str {
        self.bytes.get(step.at..step.at + step.len).unwrap_or("")
    }

    /// The step behind `before` (`None`: the first of all) that has these bytes; it is made if there
    /// is none. `None`: there is no room.
    fn step(
        &mut self,
        before: Option<u32>,
        bytes: &str,
        target: impl FnOnce(&mut String) -> Target,
    ) -> Option<u32> {
        let mut next = before.map_or(Some(self.first), |before| Some(self.get(before)?.then))?;
        // Behind the steps that do not begin this one: where both fit, the longer one is meant.
        let (mut last, mut n, mut or) = (None, 0, None);
        while let Some(step) = self.get(next) {
            let own = self.bytes_of(step);
            if own == bytes {
                return Some(next);
            }
            if or.is_none() && bytes.starts_with(own) {
                or = Some(next);
            }
            if or.is_none() {
                last = Some(next);
            }
            (n, next) = (n + 1, step.or);
        }
        if self.steps.len() == STEPS || n == ALTERNATIVES || self.bytes.len() + bytes.len() + MAX_NAME > BYTES
        {
            return None;
        }
        let new = self.steps.len() as u32;
        match (last, before) {
            (Some(last), _) => self.steps.get_mut(last as usize)?.or = new,
            (None, Some(before)) => self.steps.get_mut(before as usize)?.then = new,
            (None, None) => self.first = new,
        }
        let at = self.bytes.len();
        self.bytes.push_str(bytes);
        let target = target(&mut self.bytes);
        let mut first = [0; 16];
        let taken = bytes.len().min(first.len());
        first[..taken].copy_from_slice(&bytes.as_bytes()[..taken]);
        self.steps.push(Step {
            first: u128::from_le_bytes(first),
            mask: u128::MAX >> (8 * (first.len() - taken)),
            last: bytes.as_bytes().last_chunk().map_or(0, |last| u128::from_le_bytes(*last)),
            len: bytes.len(),
            at,
            target,
            then: NONE,
            or: or.unwrap_or(NONE),
        });
        Some(new)
    }
}

/// Shapes of events, learned and being learned.
#[derive(Debug, Default)]
pub(in super::super) struct Shapes {
    pub(super) steps: Steps,
    pub(super) notes: Notes,
    /// Events there was no room for.
    refused: u32,
}

impl Shapes {
    /// Learns the shape of the event from `from` to `end`, which the scanner has just read.
    pub(super) fn learn(&mut self, text: &str, from: usize, end: usize, scratch: &Scratch) {
        if self.notes.given_up || self.add(text, from, end, scratch).is_some() {
            return;
        }
        self.refused += 1;
        if self.refused == PATIENCE {
            self.refused = 0;
            self.steps.steps.clear();
            self.steps.bytes.clear();
        }
    }

    /// `None`: there is no room.
    fn add(&mut self, text: &str, from: usize, end: usize, scratch: &Scratch) -> Option<()> {
        let plain = Target { is: Is::End, level: 0, object: false, built: false, name: (0, 0) };
        let (mut before, mut at, mut over_lines) = (None, from, false);
        for &(start, end, role) in &self.notes.values {
            let bytes = text.get(at..start)?;
            over_lines |= bytes.contains('\n');
            let step = self.steps.step(before, bytes, |bytes| match role {
                Role::Id => Target { is: Is::Id, level: 2, ..plain },
                Role::Source => Target { is: Is::Source, ..plain },
                Role::Kind => Target { is: Is::Kind, ..plain },
                Role::Timestamp => Target { is: Is::Timestamp, ..plain },
                Role::Passed { level, object } => Target { is: Is::Passed, level, object, ..plain },
                Role::Member { section, level, name, object } => {
                    let is = if section == Section::Data { Is::Data } else { Is::Metadata };
                    let (built, name) = match name.in_whole() {
                        Some(name) => (false, (start - from - name.start, start - from - name.end)),
                        None => {
                            let at = bytes.len();
                            bytes.push_str(scratch.built(name));
                            // A name that nobody asks for is empty.
                            (bytes.len() > at, (at, bytes.len()))
                        }
                    };
                    let name = if built || is == Is::Data { name } else { (0, 0) };
                    Target { is, level, object, built, name }
                }
            })?;
            (before, at) = (Some(step), end);
        }
        let bytes = text.get(at..end)?;
        let is = if over_lines || bytes.contains('\n') { Is::EndOverLines } else { Is::End };
        self.steps.step(before, bytes, |_| Target { is, ..plain })?;
        Some(())
    }
}

impl Scan<'_, '_> {
    /// Reads the event if its shape is known; what follows it.
    pub(super) fn follow(&mut self, known: &Steps) -> Option<usize> {
        let (mut source, mut kind, mut id, mut time) = (Span::default(), Span::default(), None, None);
        let (mut at, mut next) = (self.from, known.first);
        loop {
            let mut step = known.get(next)?;
            while !known.fits(step, self.bytes, at) {
                step = known.get(step.or)?;
            }
            let value = at + step.len;
            let target = &step.target;
            match target.is {
                Is::Data => {
                    let name = self.name_of(target, value, known);
                    at = self.member(value, name, Section::Data, target.level, target.object)?;
                }
                Is::Metadata => {
                    let name = self.name_of(target, value, known);
                    at = self.member(value, name, Section::Metadata, target.level, target.object)?;
                }
                Is::Id => (id, at) = self.id(value)?,
                Is::Source => (source, at) = self.text(value, MAX_SOURCE)?,
                Is::Kind => (kind, at) = self.text(value, MAX_KIND)?,
                Is::Timestamp => (time, at) = self.timestamp(value)?,
                Is::Passed => {
                    if byte(self.bytes, value) == b'{' && !target.object {
                        return None;
                    }
                    at = self.skip(value, target.level)?;
                }
                Is::End | Is::EndOverLines => {
                    self.over_lines |= target.is == Is::EndOverLines;
                    self.scratch.complete(self.text.get(self.from..value)?, source, kind, id, time);
                    return Some(value);
                }
            }
            next = step.then;
        }
    }

    #[inline(always)]
    fn name_of(&mut self, target: &Target, value: usize, known: &Steps) -> Span {
        let (start, end) = target.name;
        if target.built {
            return self.scratch.build(known.bytes.get(start..end).unwrap_or(""));
        }
        self.span(value - start, value - end)
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan;
    use super::*;
    use crate::event::{Limits, time::TimestampUnit};

    /// Whether an event, which must be the scanner's, was read by its shape.
    fn follows(shapes: &mut Shapes, event: &str) -> bool {
        let limits = Limits {
            nesting: 9,
            fields_per_event: 99,
            events_per_message: 1,
            timestamp_unit: TimestampUnit::Auto,
        };
        shapes.notes.clear();
        let scanned = scan(event, 0, &mut Scratch::default(), shapes, &limits, true);
        assert_eq!(scanned.map(|scanned| scanned.end), Some(event.len()), "{event}");
        shapes.notes.values.is_empty()
    }

    fn event(data: &str) -> String {
        format!(r#"{{"source":"s","type":"t","data":{{{data}}}}}"#)
    }

    #[test]
    fn shapes_that_begin_alike_are_told_apart() {
        let mut shapes = Shapes::default();
        let long = format!("\"{}\":1", "n".repeat(40));
        let all =
            [r#""a":1"#, r#""a": 1"#, r#""a":{"b":1}"#, r#""a":{"b":{"c":1}}"#, r#""a":1,"b":2"#, &long];
        for data in all {
            assert!(!follows(&mut shapes, &event(data)), "{data}");
        }
        for data in all {
            assert!(follows(&mut shapes, &event(&data.replace('1', "[2,\"x\"]"))), "{data}");
        }
        assert!(!follows(&mut shapes, &event(&long.replacen("nn", "no", 1))));
        // An object where there was none: its members count.
        assert!(!follows(&mut shapes, &event(r#""a":{"d":1}"#)));
    }

    #[test]
    fn a_full_tree_is_bounded_and_makes_room_in_the_end() {
        let mut shapes = Shapes::default();
        for n in 0..PATIENCE {
            follows(&mut shapes, &event(&format!("\"a{}\":1,\"b{n}\":2", n % 10)));
            assert!(shapes.steps.steps.len() <= STEPS && shapes.steps.bytes.len() <= BYTES);
        }
        for n in 0..PATIENCE {
            follows(&mut shapes, &event(&format!("\"c{n}\":1")));
        }
        let mut new = (0..=PATIENCE).map(|_| follows(&mut shapes, &event("\"new\":1")));
        assert!(new.any(|follows| follows));
    }
}
