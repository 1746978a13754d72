//! Events of a shape seen before, read by comparing (`event/shapes.rs`). Headers of maps and names
//! stand between the values, so that how many members there are is part of a shape.

use super::Event;
use crate::event::MAX_KIND;
use crate::event::scratch::{Section, Span};
use crate::event::shapes::{Is, Steps};

impl Event<'_, '_> {
    /// Reads the event if its shape is known; what follows it.
    pub(super) fn follow(&mut self, known: &Steps) -> Option<usize> {
        let (mut source, mut kind, mut id, mut time) = (Span::default(), Span::default(), None, None);
        let (mut at, mut next) = (self.from, known.first);
        loop {
            let step = known.find(next, self.bytes, at)?;
            let value = at + step.len;
            let target = &step.target;
            match target.is {
                Is::Data => at = self.member(value, target.name, Section::Data)?,
                Is::Metadata => at = self.member(value, target.name, Section::Metadata)?,
                Is::Id => (id, at) = self.id(value)?,
                Is::Source => (source, at) = self.text(value, self.limits.name_size)?,
                Is::Kind => (kind, at) = self.text(value, MAX_KIND)?,
                Is::Timestamp => (time, at) = self.timestamp(value)?,
                Is::Passed => at = self.pass(value)?,
                Is::End | Is::EndOverLines => {
                    // Behind the end of the message there seem to be zeros, and a header may end in some.
                    if value > self.bytes.len() {
                        return None;
                    }
                    self.scratch.complete(source, kind, id, time);
                    return Some(value);
                }
            }
            next = step.then;
        }
    }
}
