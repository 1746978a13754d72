//! The shards' parts of results, put together: each result comes out once, complete, and in an
//! order that is the same for every number of shards.
//!
//! # Order
//!
//! A result that is due when the watermark reaches its end stands at that end. One that late
//! events have revised stands behind everything that was due by the watermark they were judged
//! by, and before everything that is due later; several of them by arrival. A due result comes
//! out when every shard's watermark has reached it, a revision when every shard has worked past
//! the arrival behind it as well. Events of one arrival may be spread over the shards, which is why the
//! revisions they cause wait for each other and are one.
//!
//! A shard hands its parts out nearly in that order, so they wait in a queue by shard and the least
//! of the first ones is next; only what is behind its queue's last is sorted in.
//!
//! The due results of tumbling and sliding windows it hands out exactly in that order. So a part of a window with a
//! hundred thousand groups tells that everything before it has been handed out, and results go out while the
//! window is being closed instead of waiting for all of them.
//!
//! # Revisions
//!
//! A shard hands out what it knows of a window as a whole, never a difference. So the newest part
//! of each shard is kept as long as a late event may still change one of them; sessions, which
//! live in one shard as a whole, number their revisions themselves.

use std::collections::{BTreeMap, VecDeque};

use super::ids::InUse;
use super::{Closed, Kind, Layout, Trigger};
use crate::aggregate::Aggregate;

/// A result as it goes out.
#[derive(Clone, Debug)]
pub struct Complete {
    /// All shards' parts together; `revision` counts.
    pub closed: Closed,
    /// Every shard's watermark has reached its end.
    pub is_final: bool,
}

/// Where a result stands: watermark, arrival of a revision and its lane; then its end, window,
/// start, group.
type Place = (i64, Option<(u64, u32)>, i64, usize, i64, u32);
/// What results of one window and group have in common through their revisions.
type Name = (usize, i64, u32);

/// Parts of one result by shard.
type Parts = Vec<(usize, Closed)>;

/// A queue that has grown beyond this gives memory back when it is nearly empty, parts.
const SMALL_QUEUE: usize = 1_024;

#[derive(Debug, Default)]
struct Kept {
    /// The newest part of each shard; empty with one shard, whose parts are whole.
    parts: Vec<(usize, Aggregate)>,
    /// How often it has come out.
    published: u32,
}

/// How far a shard has come.
#[derive(Clone, Debug)]
struct Shard {
    /// Its watermark, up to which it has told all.
    watermark_us: i64,
    /// The arrival before which it has applied and told all; [`Merger::AT_THE_END`]: what follows is open.
    arrival_ns: u64,
    /// What is due before this place it has told as well.
    told: Place,
}

impl Shard {
    const NEW: Self =
        Self { watermark_us: i64::MIN, arrival_ns: 0, told: (i64::MIN, None, i64::MIN, 0, i64::MIN, 0) };

    /// Whether it has no more to tell of what is due at or before this place.
    fn has_told(&self, at: Place) -> bool {
        at.0 <= self.watermark_us || at <= self.told
    }
}

/// Puts parts together.
#[derive(Debug)]
pub struct Merger {
    layout: Layout,
    shards: Vec<Shard>,
    /// The latest end of a due result that has come out.
    out_us: i64,
    /// By shard: parts that wait, in order.
    queues: Vec<VecDeque<Closed>>,
    /// Parts that came behind their place.
    sorted_in: BTreeMap<Place, Parts>,
    /// The parts of the next result; empty in between.
    parts: Parts,
    /// Published windows that may still be revised, by the moment from which they may not.
    kept: BTreeMap<(i64, Name), Kept>,
}

impl Merger {
    /// The arrival of a shard that has closed what is due and hands out what is still open.
    pub const AT_THE_END: u64 = u64::MAX;

    /// A merger for `shards` engines of the same `layout`.
    pub fn new(layout: Layout, shards: usize) -> Self {
        Self {
            layout,
            shards: vec![Shard::NEW; shards],
            out_us: i64::MIN,
            queues: vec![VecDeque::new(); shards],
            sorted_in: BTreeMap::new(),
            parts: Vec::new(),
            kept: BTreeMap::new(),
        }
    }

    /// A shard's part of a result.
    pub fn add(&mut self, shard: usize, part: Closed) {
        let at = place(&part);
        if let Trigger::Due = part.trigger {
            let (due_us, arrival, end_us, window, ..) = at;
            let told = match self.layout.windows[window].kind {
                Kind::Aligned { .. } => at,
                // Of one end they come in any order.
                Kind::Session { .. } => (due_us, arrival, end_us, window, i64::MIN, 0),
            };
            let shard = &mut self.shards[shard];
            shard.told = shard.told.max(told);
        }
        let queue = &mut self.queues[shard];
        if queue.back().is_none_or(|last| place(last) <= at) {
            queue.push_back(part);
        } else {
            self.sorted_in.entry(at).or_default().push((shard, part));
        }
    }

    /// The shards that have not come as far as the next result needs, if there is one.
    pub fn waits_for(&self) -> impl Iterator<Item = usize> {
        let first = self.first_place().unwrap_or(Shard::NEW.told);
        self.shards.iter().enumerate().filter(move |(_, s)| !s.has_told(first)).map(|(at, _)| at)
    }

    /// Where the next result stands.
    fn first_place(&self) -> Option<Place> {
        let queued = self.queues.iter().filter_map(|queue| queue.front()).map(place).min();
        let sorted_in = self.sorted_in.keys().next().copied();
        queued.into_iter().chain(sorted_in).min()
    }

    /// Takes out the parts that stand at a place.
    fn take_parts(&mut self, at: Place) -> Parts {
        let mut parts = std::mem::take(&mut self.parts);
        for (shard, queue) in self.queues.iter_mut().enumerate() {
            while queue.front().is_some_and(|part| place(part) == at) {
                parts.extend(queue.pop_front().map(|part| (shard, part)));
            }
            if queue.capacity() > SMALL_QUEUE && queue.len() < queue.capacity() / 4 {
                queue.shrink_to(queue.capacity() / 2);
            }
        }
        if let Some(more) = self.sorted_in.remove(&at) {
            parts.extend(more);
            // Whichever came first: sums depend on the order in their last bits.
            parts.sort_by_key(|&(shard, _)| shard);
        }
        parts
    }

    /// A shard has told everything up to this watermark and from arrivals before this one.
    pub fn reached(&mut self, shard: usize, watermark_us: i64, arrival_ns: u64) {
        let shard = &mut self.shards[shard];
        (shard.watermark_us, shard.arrival_ns) = (watermark_us, arrival_ns);
        if !self.kept.is_empty() {
            let watermark_us = self.watermark_us();
            let first = self.first_place();
            while let Some(entry) = self.kept.first_entry()
                && entry.key().0 <= watermark_us
                // What is still to come out counts on it.
                && first.is_none_or(|place| place.0 > entry.key().0)
            {
                entry.remove();
            }
        }
    }

    /// The watermark that every shard has reached.
    pub fn watermark_us(&self) -> i64 {
        self.shards.iter().map(|s| s.watermark_us).min().unwrap_or(i64::MIN)
    }

    /// Of windows that end up to here, results are out.
    pub fn closed_us(&self) -> i64 {
        self.out_us.max(self.watermark_us())
    }

    /// The next result that is complete; with `all`, also what is not, as not final.
    pub fn next(&mut self, all: bool) -> Option<Complete> {
        let at = self.first_place()?;
        let (due_us, arrival, end_us, ..) = at;
        let ready = match arrival {
            None => self.shards.iter().all(|s| s.has_told(at)),
            // A shard may be past an arrival and still be closing what was due before it.
            Some((arrival_ns, _)) => {
                self.shards.iter().all(|s| due_us <= s.watermark_us && arrival_ns < s.arrival_ns)
            }
        };
        if !ready && !all {
            return None;
        }
        let mut parts = self.take_parts(at);
        // At the end, a window that is handed out may be open still.
        let is_over = |s: &Shard| end_us <= s.watermark_us || ready && s.arrival_ns != Self::AT_THE_END;
        let is_final = self.shards.iter().all(is_over);
        self.out_us = self.out_us.max(end_us);
        let mut closed = self.put_together(&mut parts);
        self.parts = parts;
        // More might have come.
        closed.partial |= !is_final;
        Some(Complete { closed, is_final })
    }

    fn put_together(&mut self, parts: &mut Parts) -> Closed {
        let single = self.shards.len() == 1;
        let head = &parts[0].1;
        let spec = &self.layout.windows[head.window];
        let revisable = spec.lateness_us > 0 && matches!(spec.kind, Kind::Aligned { .. });
        if !revisable {
            return merge(parts);
        }
        let deadline_us = head.end_us.saturating_add(spec.lateness_us);
        let kept = self.kept.entry((deadline_us, (head.window, head.start_us, head.group))).or_default();
        let revision = kept.published;
        kept.published += 1;
        if single {
            return Closed { revision, ..merge(parts) };
        }
        let header = Closed { aggregate: Aggregate::default(), ..head.clone() };
        for (shard, part) in parts.drain(..) {
            match kept.parts.iter_mut().find(|(of, _)| *of == shard) {
                Some((_, old)) => *old = part.aggregate,
                None => {
                    // Not four places for one part: there may be a million of them.
                    kept.parts.reserve_exact(1);
                    kept.parts.push((shard, part.aggregate));
                }
            }
        }
        kept.parts.sort_by_key(|&(shard, _)| shard);
        let mut aggregate = Aggregate::default();
        kept.parts.iter().for_each(|(_, part)| aggregate.merge(part));
        Closed { revision, aggregate, ..header }
    }

    /// Adds the names that parts refer to.
    pub fn mark(&self, in_use: &mut InUse) {
        let families = &self.layout.families;
        let names = |window: usize| families[self.layout.windows[window].family].names();
        let sorted_in = self.sorted_in.values().flatten().map(|(_, part)| part);
        for part in self.queues.iter().flatten().chain(sorted_in) {
            in_use.group(names(part.window), part.group);
            in_use.aggregate(&part.aggregate);
        }
        for (&(_, (window, _, group)), kept) in &self.kept {
            in_use.group(names(window), group);
            kept.parts.iter().for_each(|(_, part)| in_use.aggregate(part));
        }
    }
}

fn place(part: &Closed) -> Place {
    let (watermark_us, arrival) = match part.trigger {
        Trigger::Due => (part.end_us, None),
        Trigger::Late { arrival_ns, lane, watermark_us } => (watermark_us, Some((arrival_ns, lane))),
    };
    (watermark_us, arrival, part.end_us, part.window, part.start_us, part.group)
}

fn merge(parts: &mut Parts) -> Closed {
    let mut parts = parts.drain(..).map(|(_, part)| part);
    let Some(mut first) = parts.next() else {
        unreachable!("a result without parts");
    };
    for part in parts {
        first.aggregate.merge(&part.aggregate);
        first.partial |= part.partial;
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::windowing::{Family, GroupNames, Sample, Spec};

    /// A layout with one tumbling window by groups of a table of their own.
    fn layout(lateness_us: i64) -> Layout {
        let kind = Kind::Aligned { size_us: 10, slide_us: 10 };
        let family = Family::Given { slot: 0, names: GroupNames::Table(0) };
        let spec = Spec { kind, family: 0, lateness_us, show: Default::default() };
        Layout { families: vec![family], windows: vec![spec], started_us: None }
    }

    fn part(source: u32) -> Closed {
        let mut sample = Sample::default();
        sample.begin(5, source, 2);
        sample.fields.push((3, 1.0));
        let mut aggregate = Aggregate::default();
        sample.record(&mut aggregate, &Default::default());
        Closed {
            window: 0,
            group: 9,
            start_us: 0,
            end_us: 10,
            trigger: Trigger::Due,
            partial: false,
            revision: 0,
            replaces: Vec::new(),
            aggregate,
        }
    }

    #[test]
    fn names_of_what_waits_and_of_what_may_be_revised_are_in_use() {
        let mut merger = Merger::new(layout(5), 2);
        let marked = |merger: &Merger| {
            let mut in_use = InUse::new(1);
            merger.mark(&mut in_use);
            let of_aggregates =
                [in_use.types.contains(2), in_use.sources.contains(7), in_use.fields.contains(3)];
            (of_aggregates, in_use.groups[0].contains(9))
        };
        merger.add(0, part(7));
        assert_eq!(marked(&merger), ([true; 3], true), "it waits for the other shard");
        merger.reached(0, 12, 100);
        merger.reached(1, 12, 100);
        assert!(merger.next(false).is_some_and(|complete| complete.is_final));
        assert_eq!(marked(&merger), ([true; 3], true), "it may be revised");
        merger.reached(0, 15, 200);
        assert_eq!(marked(&merger), ([true; 3], true), "by the other shard's watermark");
        merger.reached(1, 15, 200);
        assert_eq!(marked(&merger), ([false; 3], false));
    }

    #[test]
    fn parts_come_out_in_order_whatever_the_order_they_came_in() {
        let mut sessions = layout(0);
        sessions.windows[0].kind = Kind::Session { gap_us: 5 };
        let mut merger = Merger::new(sessions, 2);
        let of = |group| Closed { group, ..part(group) };
        assert_eq!(merger.waits_for().next(), None, "there is nothing to wait with");
        for (shard, group) in [(0, 5), (1, 3), (0, 3), (0, 9), (1, 4), (0, 4), (0, 7)] {
            merger.add(shard, of(group));
        }
        merger.reached(0, 10, 0);
        assert!(merger.next(false).is_none(), "one shard has told all");
        assert_eq!(merger.waits_for().collect::<Vec<_>>(), [1]);
        merger.reached(1, 10, 0);
        let next = || merger.next(false).map(|c| (c.closed.group, c.closed.aggregate.event_count()));
        let all: Vec<_> = std::iter::from_fn(next).collect();
        assert_eq!(all, [(3, 2), (4, 2), (5, 1), (7, 1), (9, 1)]);
    }

    /// As soon as every shard has come to a group, though the window is still being closed.
    #[test]
    fn what_all_have_told_goes_out_before_the_window_has_closed() {
        for ends in [false, true] {
            let mut merger = Merger::new(layout(0), 2);
            let of = |group| Closed { group, ..part(group) };
            let next = |merger: &mut Merger| {
                let next = || merger.next(false).map(|c| (c.closed.group, c.is_final, c.closed.partial));
                std::iter::from_fn(next).collect::<Vec<_>>()
            };
            if ends {
                // The window is open, and as no more is to come it comes out all the same.
                merger.reached(1, 9, Merger::AT_THE_END);
            }
            merger.add(0, of(3));
            merger.add(0, of(5));
            assert_eq!(next(&mut merger), []);
            assert_eq!(merger.waits_for().collect::<Vec<_>>(), [1]);
            merger.add(1, of(4));
            assert_eq!(next(&mut merger), [(3, !ends, ends), (4, !ends, ends)]);
            assert_eq!(merger.closed_us(), 10, "some of it is out");
            assert_eq!(merger.waits_for().collect::<Vec<_>>(), [1]);
            merger.add(1, of(5));
            merger.add(1, of(6));
            merger.reached(0, 10, 0);
            assert_eq!(next(&mut merger), [(5, !ends, ends), (6, !ends, ends)]);
        }
    }
}
