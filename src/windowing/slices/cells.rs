//! The groups of one slice.
//!
//! There may be a million, and each is met by every event of it, so they lie in blocks in the order
//! of their first events: growing moves no aggregate, and the table that finds a group holds no more
//! than its place. Group numbers come from names that strangers choose: the table is seeded.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::aggregate::Aggregate;

/// Aggregates of a block. The first one grows up to it, for most slices have few groups.
const BLOCK: usize = 1_024;

#[derive(Debug)]
pub(super) enum Cells {
    /// A family without groups: all its events.
    One(Box<Aggregate>),
    Many(Groups),
}

/// Aggregates by group.
#[derive(Debug, Default)]
pub(super) struct Groups {
    places: HashTable<u32>,
    hasher: RandomState,
    /// By place.
    groups: Vec<u32>,
    blocks: Vec<Block>,
}

#[derive(Debug)]
struct Block {
    /// Empty once all have been taken out.
    aggregates: Vec<Aggregate>,
    taken: usize,
}

impl Cells {
    pub(super) fn get(&self, group: u32) -> Option<&Aggregate> {
        match self {
            Self::One(aggregate) => Some(aggregate),
            Self::Many(groups) => groups.at(groups.place(group)?),
        }
    }

    /// The aggregate at a place, as [`Cells::places`] has told it.
    pub(super) fn at(&self, place: u32) -> Option<&Aggregate> {
        match self {
            Self::One(aggregate) => Some(aggregate),
            Self::Many(groups) => groups.at(place),
        }
    }

    /// Takes out the aggregate at a place; it is not to be asked for again.
    pub(super) fn take(&mut self, place: u32) -> Aggregate {
        match self {
            Self::One(aggregate) => std::mem::take(&mut **aggregate),
            Self::Many(groups) => groups.take(place),
        }
    }

    /// Groups; 1 where there are none.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(groups) => groups.groups.len(),
        }
    }

    /// All groups with their places, in the order of the places.
    pub(super) fn places(&self) -> impl DoubleEndedIterator<Item = (u32, u32)> + '_ {
        let groups: &[u32] = match self {
            Self::One(_) => &[0],
            Self::Many(groups) => &groups.groups,
        };
        groups.iter().copied().zip(0..groups.len()).map(|(group, place)| (group, place as u32))
    }

    pub(super) fn for_each(&self, mut each: impl FnMut(u32, &Aggregate)) {
        match self {
            Self::One(aggregate) => each(0, aggregate),
            Self::Many(groups) => {
                let aggregates = groups.blocks.iter().map(|block| &block.aggregates);
                let numbers = groups.groups.chunks(BLOCK);
                for (numbers, aggregates) in numbers.zip(aggregates) {
                    numbers.iter().zip(aggregates).for_each(|(&group, aggregate)| each(group, aggregate));
                }
            }
        }
    }

    /// The first aggregates of those that have not been taken out with their blocks.
    pub(super) fn into_first(self, most: usize) -> impl Iterator<Item = Aggregate> {
        let (one, many) = match self {
            Self::One(aggregate) => (Some(*aggregate), Vec::new()),
            Self::Many(groups) => (None, groups.blocks),
        };
        one.into_iter().chain(many.into_iter().flat_map(|block| block.aggregates)).take(most)
    }
}

impl Groups {
    /// Room for so many groups in the table, which then need not grow on the way.
    pub(super) fn with_room(groups: usize) -> Self {
        Self {
            places: HashTable::with_capacity(groups),
            groups: Vec::with_capacity(groups),
            ..Self::default()
        }
    }

    /// The aggregate of a group; if it is new, what `make` gives.
    #[inline]
    pub(super) fn get_or_insert(&mut self, group: u32, make: impl FnOnce() -> Aggregate) -> &mut Aggregate {
        let (groups, hasher) = (&self.groups, &self.hasher);
        let same = |&place: &u32| groups[place as usize] == group;
        let rehash = |&place: &u32| hasher.hash_one(groups[place as usize]);
        let place = match self.places.entry(hasher.hash_one(group), same, rehash) {
            Entry::Occupied(known) => *known.get() as usize,
            Entry::Vacant(vacant) => {
                // As many groups as numbers at most.
                let place = self.groups.len();
                vacant.insert(place as u32);
                self.add(group, make());
                place
            }
        };
        &mut self.blocks[place / BLOCK].aggregates[place % BLOCK]
    }

    fn add(&mut self, group: u32, aggregate: Aggregate) {
        if self.groups.len() == self.blocks.len() * BLOCK {
            let room = if self.blocks.is_empty() { 1 } else { BLOCK };
            self.blocks.push(Block { aggregates: Vec::with_capacity(room), taken: 0 });
        }
        self.groups.push(group);
        if let Some(block) = self.blocks.last_mut() {
            block.aggregates.push(aggregate);
        }
    }

    fn place(&self, group: u32) -> Option<u32> {
        let same = |&place: &u32| self.groups[place as usize] == group;
        self.places.find(self.hasher.hash_one(group), same).copied()
    }

    fn at(&self, place: u32) -> Option<&Aggregate> {
        let place = place as usize;
        self.blocks.get(place / BLOCK)?.aggregates.get(place % BLOCK)
    }

    fn take(&mut self, place: u32) -> Aggregate {
        let place = place as usize;
        let Some(block) = self.blocks.get_mut(place / BLOCK) else {
            return Aggregate::default();
        };
        let aggregate = block.aggregates.get_mut(place % BLOCK).map(std::mem::take).unwrap_or_default();
        block.taken += 1;
        if block.taken == BLOCK {
            block.aggregates = Vec::new();
        }
        aggregate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(n: u32) -> Cells {
        let mut groups = Groups::default();
        for event in 0..2 * n {
            let group = event.wrapping_mul(7_919) % n * 3;
            groups.get_or_insert(group, Aggregate::default).begin_event(group, 0);
        }
        Cells::Many(groups)
    }

    #[test]
    fn each_group_is_found_by_its_number_and_by_its_place_until_it_is_taken() {
        let n = 3 * BLOCK as u32 + 7;
        let mut cells = groups(n);
        assert_eq!(cells.len(), n as usize);
        let mut seen = 0;
        cells.for_each(|group, aggregate| {
            assert_eq!(aggregate.top(9), [(group, 2)]);
            seen += 1;
        });
        assert_eq!(seen, n);
        assert!(cells.get(1).is_none() && cells.at(n).is_none());
        let places: Vec<_> = cells.places().collect();
        for (group, place) in places {
            assert_eq!(cells.get(group).map(|found| found.top(9)), Some(vec![(group, 2)]));
            assert_eq!(cells.take(place).top(9), [(group, 2)]);
            assert!(cells.get(group).is_none_or(Aggregate::is_empty));
        }
        assert_eq!(cells.into_first(BLOCK).count(), 7, "whole blocks have gone");
    }
}
