//! A grid of slices: the pieces of event time that a family of windows is merged from.

use std::collections::{BTreeMap, BTreeSet};

use super::{Spec, floor_to};
use crate::aggregate::{Aggregate, Top};

/// Windows join one grid as long as the largest of them has no more slices than this;
/// sizes with a tiny common divisor get a grid each instead.
pub const MAX_SLICES_PER_WINDOW: i64 = 4_096;

/// A window that has closed: its index in the configuration, its bounds and what it holds.
#[derive(Clone, Debug)]
pub struct Closed {
    /// Index of the window in the configuration.
    pub window: usize,
    /// Start, microseconds, inclusive.
    pub start_us: i64,
    /// End, microseconds, exclusive.
    pub end_us: i64,
    /// All events of the window.
    pub aggregate: Aggregate,
}

#[derive(Debug)]
struct Slice {
    aggregate: Aggregate,
    /// When the last window over this slice closes.
    expires_us: i64,
}

#[derive(Debug)]
struct Member {
    window: usize,
    size_us: i64,
    /// Starts of the windows that hold events and have not closed.
    open: BTreeSet<i64>,
}

/// Slices of one size and the windows made of them.
#[derive(Debug)]
pub struct Grid {
    slice_us: i64,
    members: Vec<Member>,
    slices: BTreeMap<i64, Slice>,
    /// Cleared aggregates for the next slices, so that their memory is used again.
    spare: Vec<Aggregate>,
    /// Busiest sources of the slices that are gone.
    retired_top: Top,
}

impl Grid {
    /// Sorts windows into as few grids as [`MAX_SLICES_PER_WINDOW`] allows.
    pub fn for_windows(specs: &[Spec]) -> Vec<Self> {
        let mut grids: Vec<Self> = Vec::new();
        for (window, spec) in specs.iter().enumerate() {
            let member = Member { window, size_us: spec.size_us.max(1), open: BTreeSet::new() };
            let fits = |grid: &Self| {
                let slice_us = gcd(grid.slice_us, member.size_us);
                let largest = grid.members.iter().map(|m| m.size_us).max();
                largest.unwrap_or(0).max(member.size_us) / slice_us <= MAX_SLICES_PER_WINDOW
            };
            match grids.iter_mut().find(|grid| fits(grid)) {
                Some(grid) => {
                    grid.slice_us = gcd(grid.slice_us, member.size_us);
                    grid.members.push(member);
                }
                None => grids.push(Self {
                    slice_us: member.size_us,
                    members: vec![member],
                    slices: BTreeMap::new(),
                    spare: Vec::new(),
                    retired_top: Top::default(),
                }),
            }
        }
        grids
    }

    /// The slice that an event at `time_us` belongs to, made now if need be; `None` when every
    /// window over it has closed (`watermark_us` has reached their ends): the event is late.
    pub fn slice(&mut self, time_us: i64, watermark_us: i64) -> Option<&mut Aggregate> {
        let start_us = floor_to(time_us, self.slice_us);
        if !self.slices.contains_key(&start_us) {
            self.make_slice(start_us, watermark_us)?;
        }
        let slice = self.slices.get_mut(&start_us)?;
        (slice.expires_us > watermark_us).then_some(&mut slice.aggregate)
    }

    fn make_slice(&mut self, start_us: i64, watermark_us: i64) -> Option<()> {
        let end_of = |m: &Member| floor_to(start_us, m.size_us).saturating_add(m.size_us);
        let expires_us = self.members.iter().map(end_of).max()?;
        if expires_us <= watermark_us {
            return None;
        }
        for member in &mut self.members {
            if end_of(member) > watermark_us {
                member.open.insert(floor_to(start_us, member.size_us));
            }
        }
        let aggregate = self.spare.pop().unwrap_or_default();
        self.slices.insert(start_us, Slice { aggregate, expires_us });
        Some(())
    }

    /// Closes the windows whose end the watermark has reached, in the order of their ends.
    pub fn close(&mut self, watermark_us: i64, out: &mut Vec<Closed>) {
        let first = out.len();
        for at in 0..self.members.len() {
            while let Some(&start_us) = self.members[at].open.first() {
                let end_us = start_us.saturating_add(self.members[at].size_us);
                if end_us > watermark_us {
                    break;
                }
                self.members[at].open.pop_first();
                let closed = self.merged(at, start_us);
                out.push(closed);
            }
        }
        out[first..].sort_by_key(|c| (c.end_us, c.window));
        self.retire(watermark_us);
    }

    /// All windows that are still open, in the order of their ends; nothing stays.
    pub fn drain(&mut self, out: &mut Vec<Closed>) {
        self.close(i64::MAX, out);
    }

    /// The newest open window of configuration index `window`, as it is now.
    pub fn newest(&self, window: usize) -> Option<Closed> {
        let at = self.members.iter().position(|m| m.window == window)?;
        let start_us = *self.members[at].open.last()?;
        Some(self.merged(at, start_us))
    }

    /// The end of the window that closes first.
    pub fn next_end_us(&self) -> Option<i64> {
        self.members.iter().filter_map(|m| Some(m.open.first()?.saturating_add(m.size_us))).min()
    }

    /// Windows that hold events and have not closed.
    pub fn open_windows(&self) -> usize {
        self.members.iter().map(|m| m.open.len()).sum()
    }

    /// The busiest sources since the start.
    pub fn top(&self) -> Top {
        let mut top = self.retired_top.clone();
        for slice in self.slices.values() {
            top.merge(slice.aggregate.sources());
        }
        top
    }

    fn merged(&self, at: usize, start_us: i64) -> Closed {
        let member = &self.members[at];
        let end_us = start_us.saturating_add(member.size_us);
        let mut aggregate = Aggregate::default();
        for (_, slice) in self.slices.range(start_us..end_us) {
            aggregate.merge(&slice.aggregate);
        }
        Closed { window: member.window, start_us, end_us, aggregate }
    }

    /// Lets go of slices that no open window needs.
    fn retire(&mut self, watermark_us: i64) {
        while let Some(entry) = self.slices.first_entry() {
            if entry.get().expires_us > watermark_us {
                break;
            }
            let mut aggregate = entry.remove().aggregate;
            self.retired_top.merge(aggregate.sources());
            if self.spare.len() < 16 {
                aggregate.clear();
                self.spare.push(aggregate);
            }
        }
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grids(sizes: &[i64]) -> Vec<Grid> {
        Grid::for_windows(&sizes.iter().map(|&size_us| Spec { size_us }).collect::<Vec<_>>())
    }

    #[test]
    fn windows_share_slices_of_their_common_divisor() {
        let grids = grids(&[10, 60, 15]);
        assert_eq!(grids.len(), 1);
        assert_eq!(grids[0].slice_us, 5);
    }

    #[test]
    fn odd_sizes_get_grids_of_their_own() {
        let grids = grids(&[10_000_000, 9_999_991, 20_000_000]);
        assert_eq!(grids.len(), 2);
        assert_eq!(grids[0].slice_us, 10_000_000);
        assert_eq!(grids[1].slice_us, 9_999_991);
    }

    #[test]
    fn an_event_late_for_one_window_counts_in_the_other() {
        let mut grid = grids(&[10, 60]).remove(0);
        let mut out = Vec::new();
        grid.slice(5, i64::MIN).unwrap().begin_event(0, 0);
        grid.close(10, &mut out);
        assert_eq!(out.len(), 1);
        // Late for [0, 10), in time for [0, 60).
        grid.slice(6, 10).unwrap().begin_event(0, 0);
        out.clear();
        grid.close(60, &mut out);
        assert_eq!(out.len(), 1);
        assert_eq!((out[0].end_us, out[0].aggregate.event_count()), (60, 2));
        assert!(grid.slice(7, 60).is_none());
    }

    #[test]
    fn negative_times_have_windows_too() {
        let mut grid = grids(&[10]).remove(0);
        for t in [-1, -10, -11, 0] {
            grid.slice(t, i64::MIN).unwrap().begin_event(0, 0);
        }
        let mut out = Vec::new();
        grid.drain(&mut out);
        let got: Vec<_> = out.iter().map(|c| (c.start_us, c.aggregate.event_count())).collect();
        assert_eq!(got, [(-20, 1), (-10, 2), (0, 1)]);
    }
}
