//! How the windows of a grid close: in the order of their ends, group by group, as far as a budget
//! goes; and what is let go of afterwards.

use std::cmp::Reverse;

use super::super::{Budget, Closed, Trigger};
use super::{Cells, Grid, Member, SPARE};
use crate::aggregate::Aggregate;

/// A window that is being closed.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) start_us: i64,
    /// Parts that are still to come, descending: the group above, the number of the slice below
    /// 32 bits.
    parts: Vec<u64>,
    /// Its one slice will not be looked at again, so that aggregates may be moved out of it.
    moves: bool,
}

impl Closing {
    /// The next group, if there is one.
    fn group(&self) -> Option<u32> {
        self.parts.last().map(|part| (part >> 32) as u32)
    }

    /// The number of the next slice that the group is in.
    fn next_of(&mut self, group: u32) -> Option<i64> {
        let part = self.parts.pop_if(|part| *part >> 32 == u64::from(group))?;
        Some(i64::from(part as u32))
    }
}

impl Grid {
    /// Closes the windows whose end the watermark has reached; whether all of them have.
    pub fn close(&mut self, watermark_us: i64, budget: &mut Budget, out: &mut Vec<Closed>) -> bool {
        if self.next_end_us <= watermark_us {
            if !(0..self.members.len()).all(|at| self.close_member(at, watermark_us, budget, out)) {
                return false;
            }
            self.closed_us = self.closed_us.max(watermark_us);
            self.find_next_end();
        }
        self.closed_us = self.closed_us.max(watermark_us);
        self.retire(watermark_us);
        true
    }

    fn close_member(
        &mut self,
        at: usize,
        watermark_us: i64,
        budget: &mut Budget,
        out: &mut Vec<Closed>,
    ) -> bool {
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
                while let Some(number) = closing.next_of(group) {
                    let slice_us = start_us.saturating_add(number * self.slice_us);
                    if closing.moves {
                        aggregate = self.moved(slice_us, group);
                    } else if let Some(part) = self.slices.get(&slice_us).and_then(|s| s.cells.get(group)) {
                        aggregate.merge_shown(part, &self.members[at].show);
                        budget.spend(1);
                    }
                }
                out.push(self.closed(at, start_us, group, Trigger::Due, aggregate));
            }
            self.members[at].closed_us = self.members[at].end(start_us);
        }
        true
    }

    fn begin_closing(&self, at: usize, start_us: i64, watermark_us: i64) -> Closing {
        let member = &self.members[at];
        // With one member, a slice of one window that nothing late may change is nobody else's.
        let alone = self.members.len() == 1 && member.size_us == self.slice_us;
        let mut moves = alone;
        let mut parts = Vec::new();
        for (&slice_us, slice) in self.slices.range(start_us..member.end(start_us)) {
            moves &= slice.expires_us <= watermark_us;
            let number = ((slice_us - start_us) / self.slice_us) as u64;
            match &slice.cells {
                Cells::One(_) => parts.push(number),
                Cells::Many(table) => {
                    parts.extend(table.keys().map(|&group| u64::from(group) << 32 | number));
                }
            }
        }
        parts.sort_unstable_by_key(|&part| Reverse(part));
        Closing { start_us, parts, moves }
    }

    /// A group's aggregate out of the only slice that starts at `start_us`.
    fn moved(&mut self, start_us: i64, group: u32) -> Aggregate {
        let slice = self.slices.get_mut(&start_us);
        let moved = slice.and_then(|slice| match &mut slice.cells {
            Cells::One(aggregate) => Some(std::mem::take(&mut **aggregate)),
            Cells::Many(table) => table.remove(&group),
        });
        moved.unwrap_or_default()
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
            let mut keep = |mut aggregate: Aggregate| {
                if self.spare.len() < SPARE {
                    aggregate.clear();
                    self.spare.push(aggregate);
                }
            };
            match entry.remove().cells {
                Cells::One(aggregate) => keep(*aggregate),
                Cells::Many(table) => table.into_values().take(SPARE).for_each(keep),
            }
        }
    }
}
