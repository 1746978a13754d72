//! Events of a shape seen before, read by comparing (`event/shapes.rs`).

use super::bytes::byte;
use super::{Scan, Section, Span};
use crate::event::MAX_KIND;
use crate::event::shapes::{Is, Steps};

impl Scan<'_, '_> {
    /// Reads the event if its shape is known; what follows it.
    pub(super) fn follow(&mut self, known: &Steps) -> Option<usize> {
        let (mut source, mut kind, mut id, mut time) = (Span::default(), Span::default(), None, None);
        let (mut at, mut next) = (self.from, known.first);
        loop {
            let step = known.find(next, self.bytes, at)?;
            let value = at + step.len;
            let target = &step.target;
            match target.is {
                Is::Data => {
                    at = self.member(value, target.name, Section::Data, target.level, target.object)?;
                }
                Is::Metadata => {
                    at = self.member(value, target.name, Section::Metadata, target.level, target.object)?;
                }
                Is::Id => (id, at) = self.id(value)?,
                Is::Source => (source, at) = self.text(value, self.limits.name_size)?,
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
                    self.scratch.keep_text(self.text.get(self.from..value)?);
                    self.scratch.complete(source, kind, id, time);
                    return Some(value);
                }
            }
            next = step.then;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan;
    use crate::event::shapes::Shapes;
    use crate::event::{Limits, Scratch};

    /// Whether an event, which must be the scanner's, was read by its shape.
    fn follows((shapes, scratch): &mut (Shapes, Scratch), event: &str) -> bool {
        shapes.forget_notes();
        let scanned = scan(event, 0, scratch, shapes, &Limits::USUAL, true);
        assert_eq!(scanned.map(|scanned| scanned.end), Some(event.len()), "{event}");
        !shapes.noted()
    }

    fn event(data: &str) -> String {
        format!(r#"{{"source":"s","type":"t","data":{{{data}}}}}"#)
    }

    #[test]
    fn shapes_that_begin_alike_are_told_apart() {
        let mut shapes = <(Shapes, Scratch)>::default();
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
        let mut shapes = <(Shapes, Scratch)>::default();
        for n in 0..Shapes::PATIENCE {
            follows(&mut shapes, &event(&format!("\"a{}\":1,\"b{n}\":2", n % 10)));
            assert!(shapes.0.is_bounded(&shapes.1));
        }
        for n in 0..Shapes::PATIENCE {
            follows(&mut shapes, &event(&format!("\"c{n}\":1")));
        }
        let mut new = (0..=Shapes::PATIENCE).map(|_| follows(&mut shapes, &event("\"new\":1")));
        assert!(new.any(|follows| follows));
    }
}
