//! Where a name or a string lies.

use std::ops::Range;

/// A piece of what was built or, counted from [`WHOLE`] on, of the whole event.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::event) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

const WHOLE: u32 = 1 << 31;

impl Span {
    /// The longest text that can be pointed into.
    pub(in crate::event) const LONGEST: usize = WHOLE as usize - 1;

    /// A piece of an event of at most [`Span::LONGEST`] bytes.
    pub(in crate::event) fn of_whole(start: usize, end: usize) -> Self {
        Self { start: start as u32 | WHOLE, end: end as u32 | WHOLE }
    }

    /// Where in the whole event it lies, if it does.
    pub(in crate::event) fn in_whole(self) -> Option<Range<usize>> {
        (self.start >= WHOLE).then_some((self.start & !WHOLE) as usize..(self.end & !WHOLE) as usize)
    }
}
