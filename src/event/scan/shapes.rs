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

/// What a value is to its event; names are spans in notes, and something else in steps.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role<N> {
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
        name: N,
        object: bool,
    },
    /// The members themselves, each of which is noted.
    Members,
}

/// The name of the member that a step leads to.
#[derive(Clone, Copy, Debug)]
enum Name {
    /// It stands in the step; where, counted back from the value.
    Before(usize, usize),
    /// It was built; where among the bytes of all steps. Empty: nobody asks for it.
    Built(usize, usize),
}

/// What the scanner notes of an event, to learn its shape.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Values, from where to where.
    values: Vec<(usize, usize, Role<Span>)>,
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
    pub(super) fn value(&mut self, start: usize, end: usize, role: Role<Span>) {
        if matches!(role, Role::Members) {
            return;
        }
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
    /// `None`: no value, the event ends here.
    role: Option<Role<Name>>,
    /// Whether the value may be an object.
    object: bool,
    over_lines: bool,
    /// The first step behind the value.
    then: u32,
    /// The step to try if this one does not fit.
    or: u32,
}

/// The tree; its first step is the first to try.
#[derive(Debug, Default)]
pub(super) struct Steps {
    steps: Vec<Step>,
    bytes: String,
}

impl Steps {
    #[inline(always)]
    fn get(&self, step: u32) -> Option<&Step> {
        self.steps.get(step as usize)
    }

    /// Whether the bytes from `at` on are this step's, and its value may begin behind them.
    #[inline(always)]
    fn fits(&self, step: &Step, bytes: &[u8], at: usize) -> bool {
        let same = (sixteen(bytes, at) ^ step.first) & step.mask == 0
            && match step.len {
                0..=16 => true,
                17..=32 => sixteen(bytes, at + step.len - 16) == step.last,
                _ => bytes.get(at..at + step.len) == self.bytes.as_bytes().get(step.at..step.at + step.len),
            };
        if !same || step.role.is_none() {
            return same;
        }
        // With white space or the beginning of an object here it is another step.
        let value = byte(bytes, at + step.len);
        value > b' ' && (value != b'{' || step.object)
    }

    /// The step behind `before` (`None`: the first of all) that has these bytes; it is made if there
    /// is none. `None`: there is no room.
    fn step(
        &mut self,
        before: Option<u32>,
        bytes: &str,
        role: impl FnOnce(&mut String) -> Option<Role<Name>>,
    ) -> Option<u32> {
        let first = match before {
            Some(before) => self.get(before)?.then,
            None => 0,
        };
        let (mut last, mut n, mut next) = (None, 0, first);
        while let Some(step) = self.get(next) {
            if self.bytes.get(step.at..step.at + step.len) == Some(bytes) {
                return Some(next);
            }
            (last, n, next) = (Some(next), n + 1, step.or);
        }
        if self.steps.len() == STEPS || n == ALTERNATIVES || self.bytes.len() + bytes.len() + MAX_NAME > BYTES
        {
            return None;
        }
        let new = self.steps.len() as u32;
        if let Some(last) = last {
            self.steps.get_mut(last as usize)?.or = new;
        } else if let Some(before) = before {
            self.steps.get_mut(before as usize)?.then = new;
        }
        let at = self.bytes.len();
        self.bytes.push_str(bytes);
        let role = role(&mut self.bytes);
        let object = matches!(
            role,
            Some(Role::Id | Role::Passed { object: true, .. } | Role::Member { object: true, .. })
        );
        let mut first = [0; 16];
        let taken = bytes.len().min(first.len());
        first[..taken].copy_from_slice(&bytes.as_bytes()[..taken]);
        self.steps.push(Step {
            first: u128::from_le_bytes(first),
            mask: u128::MAX >> (8 * (first.len() - taken)),
            last: bytes.as_bytes().last_chunk().map_or(0, |last| u128::from_le_bytes(*last)),
            len: bytes.len(),
            at,
            role,
            object,
            over_lines: bytes.contains('\n'),
            then: NONE,
            or: NONE,
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
        let (mut before, mut at) = (None, from);
        for &(start, end, role) in &self.notes.values {
            let named = |name: Span, bytes: &mut String| match name.in_whole() {
                Some(name) => Name::Before(start - from - name.start, start - from - name.end),
                None => {
                    let at = bytes.len();
                    bytes.push_str(scratch.built(name));
                    Name::Built(at, bytes.len())
                }
            };
            let step = self.steps.step(before, text.get(at..start)?, |bytes| {
                Some(match role {
                    Role::Member { section, level, name, object } => {
                        Role::Member { section, level, name: named(name, bytes), object }
                    }
                    Role::Id => Role::Id,
                    Role::Source => Role::Source,
                    Role::Kind => Role::Kind,
                    Role::Timestamp => Role::Timestamp,
                    Role::Passed { level, object } => Role::Passed { level, object },
                    Role::Members => Role::Members,
                })
            })?;
            (before, at) = (Some(step), end);
        }
        self.steps.step(before, text.get(at..end)?, |_| None)?;
        Some(())
    }
}

impl Scan<'_, '_> {
    /// Reads the event if its shape is known; what follows it.
    pub(super) fn follow(&mut self, known: &Steps) -> Option<usize> {
        let (mut source, mut kind, mut id, mut time) = (Span::default(), Span::default(), None, None);
        let (mut at, mut next) = (self.from, 0);
        loop {
            let mut step = known.get(next)?;
            while !known.fits(step, self.bytes, at) {
                step = known.get(step.or)?;
            }
            let value = at + step.len;
            self.over_lines |= step.over_lines;
            match step.role {
                Some(Role::Member { section, level, name, .. }) => {
                    let name = |scan: &mut Self| match name {
                        Name::Before(start, end) => scan.span(value - start, value - end),
                        Name::Built(start, end) => {
                            scan.scratch.build(known.bytes.get(start..end).unwrap_or(""))
                        }
                    };
                    at = self.member(value, name, section, level)?;
                }
                Some(Role::Id) => (id, at) = self.id(value)?,
                Some(Role::Source) => (source, at) = self.text(value, MAX_SOURCE)?,
                Some(Role::Kind) => (kind, at) = self.text(value, MAX_KIND)?,
                Some(Role::Timestamp) => (time, at) = self.timestamp(value)?,
                Some(Role::Passed { level, .. }) => at = self.skip(value, level)?,
                Some(Role::Members) => return None,
                None => {
                    self.scratch.complete(self.text.get(self.from..value)?, source, kind, id, time);
                    return Some(value);
                }
            }
            next = step.then;
        }
    }
}
