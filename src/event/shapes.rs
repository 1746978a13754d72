//! The shapes of events seen before: most events of a stream repeat the names, the order and the
//! white space of others, and differ in their values only.
//!
//! A shape is what stands between the values: names with the punctuation of JSON, or with the
//! headers of MessagePack. It is learned from an event that the quick reader of the format has read
//! (`scan`, `msgpack::quick`), and followed by comparing: no search for the end of a name, no look
//! at what was named before, no nesting to keep track of. Shapes that begin alike share their
//! beginning: they make a tree of steps, each of them some bytes and the value behind them.
//!
//! What must always hold: what follows a shape is read as the quick reader would read it. The way of
//! that through an event depends on the bytes between the values, which are the same, on the
//! limits, which are the same for all events of a reader, and on two things in values:
//! - whether a member of an object is an object (then what is in it is part of the shape);
//! - whether a member is kept, for another one of the name may only be met by the careful reader
//!   then. So no shape is learned from an event in which a name might replace another, whatever
//!   their values.
//!
//! What a stranger can do with it is bounded: steps, alternatives to a step, bytes and values of an
//! event that are noted. A tree that has become full is dropped after a while, for the
//! stream may have changed.

use super::scan::bytes::sixteen;
use super::scratch::{Section, Span};
use super::{MAX_NAME, Scratch};

/// Steps of the tree.
const STEPS: usize = 512;
/// Steps that may come next after one.
const ALTERNATIVES: usize = 12;
/// Values noted of one event, and names of a section.
const NOTES: usize = 64;
/// Bytes of all steps of a format and of all names.
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

/// What a quick reader notes of an event, to learn its shape.
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
pub(super) struct Target {
    pub(super) is: Is,
    pub(super) level: usize,
    /// Whether the value may be an object.
    pub(super) object: bool,
    /// The name of a member that has one.
    pub(super) name: Span,
}

/// As [`Role`], in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Is {
    Id,
    Source,
    Kind,
    Timestamp,
    Passed,
    Data,
    Metadata,
    /// Nothing, the event is over.
    End,
    /// The same, and there was a line feed in it, between values.
    EndOverLines,
}

/// Bytes, and the value behind them.
#[derive(Debug)]
pub(super) struct Step {
    /// The first sixteen of the bytes, zeros behind fewer, and the bits that these take.
    first: u128,
    mask: u128,
    /// The last sixteen, if there are more.
    last: u128,
    pub(super) len: usize,
    /// Where they lie among the bytes of all steps.
    at: usize,
    pub(super) target: Target,
    /// The first step behind the value.
    pub(super) then: u32,
    /// The step to try if this one does not fit.
    or: u32,
}

/// The tree.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// The first step to try.
    pub(super) first: u32,
    steps: Vec<Step>,
    bytes: Vec<u8>,
}

impl Steps {
    #[inline(always)]
    fn get(&self, step: u32) -> Option<&Step> {
        self.steps.get(step as usize)
    }

    /// The step that begins at `at`, of those from `next` on.
    #[inline(always)]
    pub(super) fn find(&self, next: u32, bytes: &[u8], at: usize) -> Option<&Step> {
        let mut step = self.get(next)?;
        while !self.fits(step, bytes, at) {
            step = self.get(step.or)?;
        }
        Some(step)
    }

    /// Whether the bytes from `at` on are this step's.
    #[inline(always)]
    fn fits(&self, step: &Step, bytes: &[u8], at: usize) -> bool {
        (sixteen(bytes, at) ^ step.first) & step.mask == 0
            && match step.len {
                0..=16 => true,
                17..=32 => sixteen(bytes, at + step.len - 16) == step.last,
                _ => bytes.get(at..at + step.len) == Some(self.bytes_of(step)),
            }
    }

    fn bytes_of(&self, step: &Step) -> &[u8] {
        self.bytes.get(step.at..step.at + step.len).unwrap_or(&[])
    }

    /// The step behind `before` (`None`: the first of all) that has these bytes; it is made if there
    /// is none. `None`: there is no room.
    fn step(
        &mut self,
        before: Option<u32>,
        bytes: &[u8],
        scratch: &mut Scratch,
        target: impl FnOnce(&mut Scratch) -> Option<Target>,
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
        let all = self.bytes.len() + bytes.len() + scratch.known.bytes() + MAX_NAME;
        if self.steps.len() == STEPS || n == ALTERNATIVES || all > BYTES {
            return None;
        }
        let target = target(scratch)?;
        let new = self.steps.len() as u32;
        match (last, before) {
            (Some(last), _) => self.steps.get_mut(last as usize)?.or = new,
            (None, Some(before)) => self.steps.get_mut(before as usize)?.then = new,
            (None, None) => self.first = new,
        }
        let at = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        let mut first = [0; 16];
        let taken = bytes.len().min(first.len());
        first[..taken].copy_from_slice(&bytes[..taken]);
        self.steps.push(Step {
            first: u128::from_le_bytes(first),
            // None, at the end of an event of MessagePack, fit everywhere.
            mask: u128::MAX.checked_shr(8 * (first.len() - taken) as u32).unwrap_or(0),
            last: bytes.last_chunk().map_or(0, |last| u128::from_le_bytes(*last)),
            len: bytes.len(),
            at,
            target,
            then: NONE,
            or: or.unwrap_or(NONE),
        });
        Some(new)
    }
}

/// A format of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Msgpack,
}

/// Shapes of events, learned and being learned.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    pub(super) json: Steps,
    pub(super) msgpack: Steps,
    pub(super) notes: Notes,
    /// Events there was no room for.
    refused: u32,
}

impl Shapes {
    /// Learns the shape of the event from `from` to `end`, which a quick reader has just read into the
    /// scratch. Names of shapes are that scratch's from then on.
    pub(super) fn learn(
        &mut self,
        format: Format,
        message: &[u8],
        from: usize,
        end: usize,
        scratch: &mut Scratch,
    ) {
        if self.notes.given_up || self.add(format, message, from, end, scratch).is_some() {
            return;
        }
        self.refused += 1;
        if self.refused == PATIENCE {
            self.forget(scratch);
        }
    }

    /// Drops all shapes, and the names that are known for them.
    pub(super) fn forget(&mut self, scratch: &mut Scratch) {
        self.refused = 0;
        for steps in [&mut self.json, &mut self.msgpack] {
            steps.steps.clear();
            steps.bytes.clear();
        }
        scratch.known.forget();
    }

    /// `None`: there is no room.
    fn add(
        &mut self,
        format: Format,
        message: &[u8],
        from: usize,
        end: usize,
        scratch: &mut Scratch,
    ) -> Option<()> {
        let steps = if format == Format::Json { &mut self.json } else { &mut self.msgpack };
        let plain = Target { is: Is::End, level: 0, object: false, name: Span::default() };
        let (mut before, mut at, mut over_lines) = (None, from, false);
        for &(start, end, role) in &self.notes.values {
            let bytes = message.get(at..start)?;
            over_lines |= bytes.contains(&b'\n');
            let step = steps.step(before, bytes, scratch, |scratch| {
                Some(match role {
                    Role::Id => Target { is: Is::Id, level: 2, ..plain },
                    Role::Source => Target { is: Is::Source, ..plain },
                    Role::Kind => Target { is: Is::Kind, ..plain },
                    Role::Timestamp => Target { is: Is::Timestamp, ..plain },
                    Role::Passed { level, object } => Target { is: Is::Passed, level, object, ..plain },
                    Role::Member { section, level, name, object } => {
                        let is = if section == Section::Data { Is::Data } else { Is::Metadata };
                        Target { is, level, object, name: scratch.know(name, message.get(from..)?)? }
                    }
                })
            })?;
            (before, at) = (Some(step), end);
        }
        let bytes = message.get(at..end)?;
        let is = if over_lines || bytes.contains(&b'\n') { Is::EndOverLines } else { Is::End };
        steps.step(before, bytes, scratch, |_| Some(Target { is, ..plain }))?;
        Some(())
    }
}

#[cfg(test)]
impl Shapes {
    /// Forgets what was noted of the last event, for [`Shapes::noted`].
    pub(super) fn forget_notes(&mut self) {
        self.notes.clear();
    }

    /// Whether anything was noted since: then the event was of no known shape.
    pub(super) fn noted(&self) -> bool {
        !self.notes.values.is_empty()
    }

    pub(super) fn is_bounded(&self, scratch: &Scratch) -> bool {
        let fits =
            |steps: &Steps| steps.steps.len() <= STEPS && steps.bytes.len() + scratch.known.bytes() <= BYTES;
        fits(&self.json) && fits(&self.msgpack)
    }

    pub(super) const PATIENCE: u32 = PATIENCE;
}
