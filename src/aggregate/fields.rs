//! The fields of one aggregate by number: the first in place, the others in a list.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::{FieldStats, reserve_one};

/// Fields that are looked for one by one; more of them get an index. Events repeat their fields in
/// the same order, so that usually there is nothing to look for.
pub(super) const SCANNED_FIELDS: usize = 32;

/// Statistics by field.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    first_id: u32,
    /// The first place is taken.
    has_first: bool,
    first: FieldStats,
    others: Option<Box<Others>>,
}

#[derive(Clone, Debug, Default)]
struct Others {
    /// In the order of first appearance, which most events repeat.
    ids: Vec<u32>,
    /// Parallel to `ids`.
    stats: Vec<FieldStats>,
    /// Where the next field is looked for first: behind the last one.
    next: usize,
    /// Where each field is, once there are more than a scan should walk.
    index: Option<Box<HashMap<u32, u32, RandomState>>>,
}

impl Fields {
    /// The statistics of a field, which from now on has some.
    #[inline]
    pub(super) fn get_mut(&mut self, field: u32) -> &mut FieldStats {
        if self.has_first && self.first_id == field {
            return &mut self.first;
        }
        self.other_mut(field)
    }

    #[inline]
    fn other_mut(&mut self, field: u32) -> &mut FieldStats {
        // A place that became free may be taken only by a field that is nowhere else.
        if !self.has_first && self.others.as_ref().is_none_or(|others| others.find(field).is_none()) {
            (self.first_id, self.has_first) = (field, true);
            return &mut self.first;
        }
        self.others.get_or_insert_default().get_mut(field)
    }

    /// One field, if it has values.
    pub(super) fn get(&self, field: u32) -> Option<&FieldStats> {
        let stats = if self.has_first && self.first_id == field {
            &self.first
        } else {
            let others = self.others.as_ref()?;
            &others.stats[others.find(field)?]
        };
        Some(stats).filter(|stats| !stats.is_empty())
    }

    /// The fields that have values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &FieldStats)> {
        let first = self.has_first.then_some((self.first_id, &self.first));
        let others = self.others.iter().flat_map(|o| o.ids.iter().copied().zip(&o.stats));
        first.into_iter().chain(others).filter(|(_, stats)| !stats.is_empty())
    }

    /// Forgets all values. Keeps the memory of the fields that had any.
    pub(super) fn clear(&mut self) {
        self.has_first &= !self.first.is_empty();
        if self.has_first {
            self.first.clear();
        } else {
            self.first = FieldStats::default();
        }
        if let Some(others) = &mut self.others {
            others.clear();
            if others.ids.is_empty() {
                self.others = None;
            }
        }
    }

    /// Heap memory, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.first.quantiles.heap_bytes() + self.others.as_ref().map_or(0, |others| others.size_bytes())
    }
}

impl Others {
    #[inline]
    fn get_mut(&mut self, field: u32) -> &mut FieldStats {
        let mut at = self.next;
        if self.ids.get(at) != Some(&field) {
            at = self.find_or_add(field);
        }
        self.next = if at + 1 == self.ids.len() { 0 } else { at + 1 };
        &mut self.stats[at]
    }

    fn find(&self, field: u32) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(&field).map(|&at| at as usize),
            None => self.ids.iter().position(|&id| id == field),
        }
    }

    fn find_or_add(&mut self, field: u32) -> usize {
        if self.index.is_none() && self.ids.len() > SCANNED_FIELDS {
            let places = self.ids.iter().copied().zip(0..);
            self.index = Some(Box::new(places.collect()));
        }
        self.find(field).unwrap_or_else(|| {
            let at = self.ids.len();
            reserve_one(&mut self.ids);
            reserve_one(&mut self.stats);
            self.ids.push(field);
            self.stats.push(FieldStats::default());
            if let Some(index) = &mut self.index {
                index.insert(field, at as u32);
            }
            at
        })
    }

    fn clear(&mut self) {
        let mut kept = 0;
        for at in 0..self.stats.len() {
            if !self.stats[at].is_empty() {
                self.stats[at].clear();
                self.stats.swap(kept, at);
                self.ids.swap(kept, at);
                kept += 1;
            }
        }
        self.stats.truncate(kept);
        self.ids.truncate(kept);
        self.next = 0;
        self.index = None;
    }

    fn size_bytes(&self) -> usize {
        let quantiles = self.stats.iter().map(|stats| stats.quantiles.heap_bytes());
        size_of::<Self>()
            + self.ids.capacity() * size_of::<u32>()
            + self.stats.capacity() * size_of::<FieldStats>()
            + quantiles.sum::<usize>()
            + self.index.as_ref().map_or(0, |index| size_of_val(&**index) + index.allocation_size())
    }
}
