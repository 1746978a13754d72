//! How the windows of a grid close: in the order of their ends, group by group, as far as a budget
//! goes; and what is let go of afterwards.

use std::cmp::Reverse;

use super::super::{Budget, Closed, Trigger};
use super::{Grid, Member, SPARE, SPARE_BYTES};
use crate::aggregate::Aggregate;

/// A window that is being closed.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) start_us: i64,
    /// Parts that are still to come, descending: the group above, the number of the slice below
    /// 32 bits; of a window of one slice, the group's place in it.
    parts: Vec<u64>,
    of_slices: Slices,
}

/// What a window is merged from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slices {
    Many,
    One,
    /// One that will not be looked at again, so that aggregates may be moved out of it.
    Last,
}

impl Closing {
    /// The next group, if there is one.
    fn group(&self) -> Option<u32> {
        self.parts.last().map(|part| (part >> 32) as u32)
    }

    /// The number of the next slice that the group is in, or its place.
    fn next_of(&mut self, group: u32) -> Option<u32> {
        let part = self.parts.pop_if(|part| *part >> 32 == u64::from(group))?;
        Some(part as u32)
    }
}

impl Grid {
    /// Closes those windows of a member whose end the watermark has reached; whether all of them have.
    pub fn close(
        &mut self,
        at: usize,
        watermark_us: i64,
        budget: &mut Budget,
        out: &mut Vec<Closed>,
    ) -> bool {
        if self.next_end_us > watermark_us {
            return true;
        }
        while let Some(start_us) = self.members[at].next_open(self.closed_us, &self.slices)
            && self.members[at].end(start_us) <= watermark_us
        {
            let mut closing = match self.closing.take() {
                Some(closing) => closing,
                None if budget.spend(self.slices_of(at)) => self.begin_closing(at, start_us, watermark_us),
                None => return false,
            };
            while let Some(group) = closing.group() {
                if !budget.spend(1) {
                    self.closing = Some(closing);
                    return false;
                }
                let mut aggregate = Aggregate::default();
                while let Some(part) = closing.next_of(group) {
                    self.add_part(at, &closing, group, part, &mut aggregate, budget);
                }
                out.push(self.closed(at, start_us, group, Trigger::Due, aggregate));
            }
            self.members[at].closed_us = self.members[at].end(start_us);
        }
        true
    }

    /// All windows whose end the watermark has reached have closed.
    pub fn closed_up_to(&mut self, watermark_us: i64) {
        self.closed_us = self.closed_us.max(watermark_us);
        if self.next_end_us <= watermark_us {
            self.find_next_end();
        }
        self.retire(watermark_us);
    }

    /// Adds a part of a group to its result.
    fn add_part(
        &mut self,
        at: usize,
        closing: &Closing,
        group: u32,
        part: u32,
        aggregate: &mut Aggregate,
        budget: &mut Budget,
    ) {
        let show = &self.members[at].show;
        let found = match closing.of_slices {
            Slices::Many => {
                let slice_us = closing.start_us.saturating_add(i64::from(part) * self.slice_us);
                budget.spend(1);
                self.slices.get(&slice_us).and_then(|slice| slice.cells.get(group))
            }
            Slices::One => {
                budget.spend(1);
                self.slices.get(&closing.start_us).and_then(|slice| slice.cells.at(part))
            }
            Slices::Last => {
                if let Some(slice) = self.slices.get_mut(&closing.start_us) {
                    *aggregate = slice.cells.take(part);
                }
                return;
            }
        };
        if let Some(found) = found {
            aggregate.merge_shown(found, show);
        }
    }

    fn begin_closing(&self, at: usize, start_us: i64, watermark_us: i64) -> Closing {
        let member = &self.members[at];
        let mut slices = self.slices.range(start_us..member.end(start_us));
        let mut parts = Vec::new();
        let mut of_slices = Slices::Many;
        if member.size_us == self.slice_us
            && let Some((_, slice)) = slices.next()
        {
            // With one member, a slice that nothing late may change is nobody else's.
            let last = self.members.len() == 1 && slice.expires_us <= watermark_us;
            of_slices = if last { Slices::Last } else { Slices::One };
            parts.extend(slice.cells.places().map(|(group, place)| part(group, place)));
        }
        for (&slice_us, slice) in slices {
            let number = ((slice_us - start_us) / self.slice_us) as u32;
            parts.extend(slice.cells.places().map(|(group, _)| part(group, number)));
        }
        // Not `sort_unstable`: groups come mostly in the order of their numbers, which are given out
        // in the order of first events too, and this one makes use of it.
        parts.sort_by_key(|&part| Reverse(part));
        Closing { start_us, parts, of_slices }
    }

    pub(super) fn find_next_end(&mut self) {
        let open = |m: &Member| Some(m.end(m.next_open(self.closed_us, &self.slices)?));
        self.next_end_us = self.members.iter().filter_map(open).min().unwrap_or(i64::MAX);
    }

    /// Lets go of slices that no window needs any more.
    fn retire(&mut self, watermark_us: i64) {
        // Expiries rise with the slices, so the first that stays ends the search.
        while let Some(entry) = self.slices.first_entry() {
            if entry.get().expires_us > watermark_us {
                break;
            }
            let more = SPARE.saturating_sub(self.spare.len());
            for mut aggregate in entry.remove().cells.into_first(more) {
                // A large one gives its memory back: at `limits.memory` nothing is read before that.
                if aggregate.size_bytes() <= SPARE_BYTES {
                    aggregate.clear();
                    self.spare.push(aggregate);
                }
            }
        }
    }
}

fn part(group: u32, below: u32) -> u64 {
    u64::from(group) << 32 | u64::from(below)
}
