//! A grid of slices: the pieces of event time that a family's tumbling and sliding windows are
//! merged from.
//!
//! No window is kept anywhere: which ones hold events follows from the slices, so that one event
//! costs one slice however many windows are over it. Closing and revising can be broken off when a
//! budget is used up and go on with the next call.
//!
//! A window of many groups closes group by group, and events may come in between, as long as they
//! are ahead of the watermark: such an event is in no slice of a window that is due.
//!
//! What must hold: a slice is there as long as a window over it may still be merged, that is
//! until the watermark has passed the last window's end and allowed lateness; and an event is in
//! a slice exactly if it entered at least one window. Windows of different lateness can share
//! slices because a window that refuses an event is never merged again.

mod cells;
mod close;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use cells::{Cells, Groups};
use close::Closing;

use super::ids::InUse;
use super::{Budget, Closed, Family, GroupNames, Kind, Layout, Sample, Trigger, WindowSet, floor_to};
use crate::aggregate::{Aggregate, Projection};

/// Windows join one grid as long as the largest of them has no more slices than this;
/// sizes with a tiny common divisor get a grid each instead.
pub const MAX_SLICES_PER_WINDOW: i64 = 4_096;
/// Nor do they where one late event could have so many slices merged again; the configuration allows no window more
/// by itself.
const MAX_REVISION: i64 = 10_000;
/// Cleared aggregates kept for the next slices.
const SPARE: usize = 64;
/// Those that have taken more are not kept, bytes.
const SPARE_BYTES: usize = 64 * 1024;

#[derive(Debug)]
struct Slice {
    cells: Cells,
    /// When nothing over this slice can be merged any more.
    expires_us: i64,
}

/// One window of the grid.
#[derive(Debug)]
struct Member {
    window: usize,
    size_us: i64,
    slide_us: i64,
    lateness_us: i64,
    show: Projection,
    /// Windows that end up to here have closed, if that is further than the grid's.
    closed_us: i64,
    /// Late events that change closed windows: group and start of their slice.
    revised: BTreeSet<(u32, i64)>,
    /// The group and the start of the window that was revised last.
    revised_last: Option<(u32, i64)>,
}

impl Member {
    fn end(&self, start_us: i64) -> i64 {
        start_us.saturating_add(self.size_us)
    }

    /// Starts of the windows over `t`, `slide` apart.
    fn starts(&self, t: i64) -> RangeInclusive<i64> {
        self.first_ending_after(t)..=floor_to(t, self.slide_us)
    }

    /// The start of the first window that ends after `t`.
    fn first_ending_after(&self, t: i64) -> i64 {
        floor_to(t.saturating_sub(self.size_us), self.slide_us).saturating_add(self.slide_us)
    }

    /// Whether a late event has few enough slices of this size merged again.
    fn revises_little(&self, slice_us: i64) -> bool {
        let windows = (self.lateness_us.min(self.size_us) / self.slide_us).max(1);
        self.lateness_us == 0 || windows.saturating_mul(self.size_us / slice_us) <= MAX_REVISION
    }

    /// An event behind the watermark: notes that it revises closed windows, if it does. Whether
    /// any window takes it.
    fn admit(&mut self, time_us: i64, slice_us: i64, group: u32, watermark_us: i64) -> bool {
        let starts = self.starts(time_us);
        let gone_us = watermark_us.saturating_sub(self.lateness_us);
        if self.end(*starts.end()) <= gone_us {
            return false;
        }
        if self.lateness_us > 0 && self.end(*starts.start()) <= watermark_us {
            self.revised.insert((group, floor_to(time_us, slice_us)));
        }
        true
    }

    /// The start of the next window that holds events and has not closed, given that those that
    /// end up to `closed_us` have.
    fn next_open(&self, closed_us: i64, slices: &BTreeMap<i64, Slice>) -> Option<i64> {
        let closed_us = closed_us.max(self.closed_us);
        if closed_us == i64::MAX {
            return None;
        }
        let start_us = self.first_ending_after(closed_us);
        let (&slice_us, _) = slices.range(start_us..).next()?;
        // Not before the first window that reaches the slice.
        Some(start_us.max(self.first_ending_after(slice_us)))
    }
}

/// Slices of one size and the windows made of them.
#[derive(Debug)]
pub struct Grid {
    family: Family,
    slice_us: i64,
    members: Vec<Member>,
    slices: BTreeMap<i64, Slice>,
    /// Windows that end up to here have closed.
    closed_us: i64,
    /// The end of the window that closes next; `i64::MAX`: there is none.
    next_end_us: i64,
    /// The window of the first member that is not done yet.
    closing: Option<Closing>,
    /// What any member shows.
    keep: Projection,
    /// Cleared aggregates for the next slices, so that their memory is used again.
    spare: Vec<Aggregate>,
}

impl Grid {
    /// The tumbling and sliding windows of `layout`, in as few grids as families and
    /// [`MAX_SLICES_PER_WINDOW`] allow.
    pub fn for_windows(layout: &Layout) -> Vec<Self> {
        let mut grids: Vec<(usize, Self)> = Vec::new();
        for (window, spec) in layout.windows.iter().enumerate() {
            let Kind::Aligned { size_us, slide_us } = spec.kind else { continue };
            let member = Member {
                window,
                size_us,
                slide_us,
                lateness_us: spec.lateness_us,
                show: spec.show.clone(),
                closed_us: i64::MIN,
                revised: BTreeSet::new(),
                revised_last: None,
            };
            let step_us = gcd(size_us, slide_us);
            let fits = |grid: &Self| {
                let slice_us = gcd(grid.slice_us, step_us);
                let largest = grid.members.iter().map(|m| m.size_us).max();
                largest.unwrap_or(0).max(size_us) / slice_us <= MAX_SLICES_PER_WINDOW
                    && grid.members.iter().chain([&member]).all(|m| m.revises_little(slice_us))
            };
            match grids.iter_mut().find(|(family, grid)| *family == spec.family && fits(grid)) {
                Some((_, grid)) => {
                    grid.slice_us = gcd(grid.slice_us, step_us);
                    grid.members.push(member);
                }
                None => grids.push((
                    spec.family,
                    Self {
                        family: layout.families[spec.family],
                        slice_us: step_us,
                        members: vec![member],
                        slices: BTreeMap::new(),
                        closed_us: i64::MIN,
                        next_end_us: i64::MAX,
                        closing: None,
                        keep: Projection::default(),
                        spare: Vec::new(),
                    },
                )),
            }
        }
        let mut grids: Vec<Self> = grids.into_iter().map(|(_, grid)| grid).collect();
        for grid in &mut grids {
            grid.keep = Projection::union(grid.members.iter().map(|m| &m.show));
        }
        grids
    }

    /// Puts an event where it belongs; whether any window took it. Windows that wanted it and
    /// were gone are added to `missed`.
    pub fn event(&mut self, sample: &Sample, watermark_us: i64, missed: &mut WindowSet) -> bool {
        let Some(group) = self.family.group_of(sample) else {
            return false;
        };
        if sample.time_us < watermark_us {
            // Only here can a window over it have closed: windows end after what they hold.
            let mut taken = false;
            for member in &mut self.members {
                if member.admit(sample.time_us, self.slice_us, group, watermark_us) {
                    taken = true;
                } else {
                    missed.insert(member.window);
                }
            }
            if !taken {
                return false;
            }
        }
        let start_us = floor_to(sample.time_us, self.slice_us);
        if !self.slices.contains_key(&start_us) {
            self.make_slice(start_us);
        }
        let Some(slice) = self.slices.get_mut(&start_us) else {
            return false;
        };
        let aggregate = match &mut slice.cells {
            Cells::One(aggregate) => aggregate,
            Cells::Many(groups) => {
                let spare = &mut self.spare;
                groups.get_or_insert(group, || spare.pop().unwrap_or_default())
            }
        };
        sample.record(aggregate, &self.keep);
        true
    }

    fn make_slice(&mut self, start_us: i64) {
        let expiry = |m: &Member| m.end(*m.starts(start_us).end()).saturating_add(m.lateness_us);
        let expires_us = self.members.iter().map(expiry).max().unwrap_or(i64::MIN);
        let cells = match self.family.names() {
            GroupNames::None => Cells::One(Box::new(self.spare.pop().unwrap_or_default())),
            // A new window has about as many groups as the last one. Only the newest slice goes by
            // that, so that one flood leaves one table that is too large and not many.
            _ => Cells::Many(match self.slices.last_key_value() {
                Some((&last_us, last)) if last_us < start_us => Groups::with_room(last.cells.len()),
                _ => Groups::default(),
            }),
        };
        self.slices.insert(start_us, Slice { cells, expires_us });
        self.find_next_end();
    }

    /// Hands out the closed windows that late events have changed since the last call, each
    /// once however many events there were. Whether all are out.
    pub fn revise(
        &mut self,
        watermark_us: i64,
        trigger: Trigger,
        budget: &mut Budget,
        out: &mut Vec<Closed>,
    ) -> bool {
        for at in 0..self.members.len() {
            let member = &mut self.members[at];
            let gone_us = watermark_us.saturating_sub(member.lateness_us);
            while let Some(&(group, slice_us)) = self.members[at].revised.first() {
                let member = &self.members[at];
                let starts = member.starts(slice_us);
                let from_us = (*starts.start()).max(member.first_ending_after(gone_us));
                // A window that an earlier slice of the group has revised has everything.
                let from_us = match member.revised_last {
                    Some((last, start_us)) if last == group => {
                        from_us.max(start_us.saturating_add(member.slide_us))
                    }
                    _ => from_us,
                };
                if from_us > *starts.end() || member.end(from_us) > watermark_us {
                    self.members[at].revised.pop_first();
                    continue;
                }
                if !budget.spend(self.slices_of(at)) {
                    return false;
                }
                let aggregate = self.merged(at, from_us, group);
                out.push(self.closed(at, from_us, group, trigger, aggregate));
                self.members[at].revised_last = Some((group, from_us));
            }
            self.members[at].revised_last = None;
        }
        true
    }

    /// Which member a window is, if it is one.
    pub fn member(&self, window: usize) -> Option<usize> {
        self.members.iter().position(|m| m.window == window)
    }

    /// How many slices a window is merged from.
    fn slices_of(&self, at: usize) -> i64 {
        self.members[at].size_us / self.slice_us
    }

    /// The newest open window `window` that has begun at `now_us`, with all its groups together,
    /// as it is; nothing when it has more than `most_groups` groups in a slice.
    pub fn newest(&self, window: usize, now_us: i64, most_groups: usize) -> Option<Closed> {
        let at = self.member(window)?;
        let member = &self.members[at];
        // Not the one that the fastest clock has opened in the future.
        let (&slice_us, _) = self.slices.range(..=now_us).next_back()?;
        let start_us = *member.starts(slice_us).end();
        // One that is being closed may be there in part only.
        let closing = self.closing.as_ref().is_some_and(|closing| start_us <= closing.start_us);
        if closing || member.end(start_us) <= self.closed_us.max(member.closed_us) {
            return None;
        }
        let mut all = Aggregate::default();
        for (_, slice) in self.slices.range(start_us..member.end(start_us)) {
            if slice.cells.len() > most_groups {
                return None;
            }
            slice.cells.for_each(|_, aggregate| all.merge_shown(aggregate, &member.show));
        }
        Some(self.closed(at, start_us, 0, Trigger::Due, all))
    }

    /// The end of the window that closes first.
    pub fn next_end_us(&self) -> Option<i64> {
        Some(self.next_end_us).filter(|&end_us| end_us != i64::MAX)
    }

    /// Windows that hold events and have not closed, groups not told apart.
    pub fn open_windows(&self) -> usize {
        let open = |member: &Member| {
            let (mut windows, mut after_us) = (0, self.closed_us);
            for &slice_us in self.slices.keys() {
                let (from_us, to_us) = (member.first_ending_after(after_us), *member.starts(slice_us).end());
                let from_us = from_us.max(*member.starts(slice_us).start());
                if from_us <= to_us {
                    windows += (to_us - from_us) / member.slide_us + 1;
                    after_us = member.end(to_us);
                }
            }
            windows as usize
        };
        self.members.iter().map(open).sum()
    }

    /// Adds the names that slices refer to.
    pub fn mark(&self, in_use: &mut InUse) {
        for slice in self.slices.values() {
            slice.cells.for_each(|group, aggregate| {
                in_use.group(self.family.names(), group);
                in_use.aggregate(aggregate);
            });
        }
    }

    fn closed(&self, at: usize, start_us: i64, group: u32, trigger: Trigger, aggregate: Aggregate) -> Closed {
        let member = &self.members[at];
        Closed {
            window: member.window,
            group,
            start_us,
            end_us: member.end(start_us),
            trigger,
            partial: false,
            revision: 0,
            replaces: Vec::new(),
            aggregate,
        }
    }

    fn merged(&self, at: usize, start_us: i64, group: u32) -> Aggregate {
        let member = &self.members[at];
        let mut aggregate = Aggregate::default();
        for (_, slice) in self.slices.range(start_us..member.end(start_us)) {
            if let Some(part) = slice.cells.get(group) {
                aggregate.merge_shown(part, &member.show);
            }
        }
        aggregate
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::windowing::Spec;

    /// Windows that would make each other's revisions too long have no slices in common.
    #[test]
    fn one_late_event_has_few_slices_merged_again() {
        let spec = |size_us, slide_us, lateness_us| Spec {
            kind: Kind::Aligned { size_us, slide_us },
            family: 0,
            lateness_us,
            show: Projection::default(),
        };
        let grids = |windows| {
            let grids = Grid::for_windows(&Layout { families: vec![Family::All], windows, started_us: None });
            grids.iter().map(|grid| grid.slice_us).collect::<Vec<_>>()
        };
        let (late, fine) = (spec(100_000, 1_000, 100_000), spec(25, 25, 0));
        assert_eq!(grids(vec![late.clone(), fine.clone()]), [1_000, 25]);
        assert_eq!(grids(vec![fine.clone(), late]), [25, 1_000]);
        assert_eq!(grids(vec![spec(100_000, 1_000, 0), fine]), [25], "none is revised");
        assert_eq!(grids(vec![spec(10_000, 10_000, 30_000), spec(60_000, 1_000, 1_000)]), [1_000]);
    }

    /// Windows that share their slices close: what the slices took is free again, but for a little that the next
    /// ones use.
    #[test]
    fn large_slices_give_their_memory_back() {
        let spec = |size_us| Spec {
            kind: Kind::Aligned { size_us, slide_us: size_us },
            family: 0,
            lateness_us: 0,
            show: Projection::default(),
        };
        let layout =
            Layout { families: vec![Family::All], windows: vec![spec(10), spec(20)], started_us: None };
        let mut grid = Grid::for_windows(&layout).remove(0);
        let mut missed = WindowSet::default();
        let mut sample = Sample::default();
        let fill = |grid: &mut Grid, fields: u32, sample: &mut Sample, missed: &mut WindowSet| {
            for slice in 0..2 * SPARE as i64 {
                sample.begin(slice * 10, 0, 0);
                sample.fields.extend((0..fields).map(|field| (field, 1.0)));
                assert!(grid.event(sample, 0, missed));
            }
            let held = |grid: &Grid| {
                let mut bytes = 0;
                let slices = grid.slices.values();
                slices.for_each(|slice| slice.cells.for_each(|_, a| bytes += a.size_bytes()));
                bytes + grid.spare.iter().map(Aggregate::size_bytes).sum::<usize>()
            };
            let full = held(grid);
            let (mut out, until_us) = (Vec::new(), 20 * SPARE as i64);
            for window in [0, 1] {
                assert!(grid.close(window, until_us, &mut Budget::new(i64::MAX), &mut out));
            }
            grid.closed_up_to(until_us);
            assert_eq!((out.len(), grid.slices.len()), (3 * SPARE, 0));
            grid.closed_us = i64::MIN;
            grid.members.iter_mut().for_each(|member| member.closed_us = i64::MIN);
            (full, held(grid))
        };
        let (full, left) = fill(&mut grid, 2, &mut sample, &mut missed);
        assert!(left <= full && grid.spare.len() == SPARE, "small ones are kept");
        let (full, left) = fill(&mut grid, 4_000, &mut sample, &mut missed);
        assert!(full > 2 * SPARE * SPARE_BYTES, "{full} bytes are not many");
        assert!(left <= SPARE * SPARE_BYTES, "{left} of {full} bytes");
    }
}
