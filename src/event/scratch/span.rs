//! Where a name or a string lies.

use std::ops::Range;

/// A piece of what was built or, counted from [`WHOLE`] on, of the whole event; or the number of a
/// known name, with [`KNOWN`] behind it.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::event) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

const WHOLE: u32 = 1 << 31;
const KNOWN: u32 = u32::MAX;

impl Span {
    /// The longest text that can be pointed into.
    pub(in crate::event) const LONGEST: usize = WHOLE as usize - 2;

    /// A piece of an event of at most [`Span::LONGEST`] bytes.
    pub(in crate::event) fn of_whole(start: usize, end: usize) -> Self {
        Self { start: start as u32 | WHOLE, end: end as u32 | WHOLE }
    }

    /// A name of a known shape.
    pub(in crate::event) fn of_known(number: u32) -> Self {
        Self { start: number, end: KNOWN }
    }

    /// The number of the known name, if it is one.
    #[inline(always)]
    pub(super) fn in_known(self) -> Option<u32> {
        (self.end == KNOWN).then_some(self.start)
    }

    /// Where in the whole event it lies, if it does.
    pub(in crate::event) fn in_whole(self) -> Option<Range<usize>> {
        (self.start >= WHOLE).then_some((self.start & !WHOLE) as usize..(self.end & !WHOLE) as usize)
    }
}
