//! What one window, or one slice of windows, knows about one group of events.
//!
//! Pure: no threads, no sockets, no clock. The window threads own one [`Aggregate`] for each
//! group and slice and update it event by event; closing a window merges slices, and the publish
//! thread merges the parts of all window threads. So everything in here can be merged, in any
//! order, without losing what it promises:
//!
//! | module | statistics | promise |
//! | --- | --- | --- |
//! | [`moments`] | count, sum, min, max, mean, standard deviation | exact, or compensated sums |
//! | [`quantile`] | any quantile | within 1 % of the value; exact up to 16 values |
//! | [`top`] | most frequent sources | exact up to 2,048; else too low by at most n/1,024 |
//! | [`distinct`] | distinct values of a dimension | exact up to 1,024; else standard error 0.81 % |
//!
//! Nothing allocates per event once the fields, types and octaves have been seen. `clear` forgets
//! the values and keeps the memory of what was in use, for the next slice.

mod counters;
pub mod distinct;
pub mod moments;
mod projection;
pub mod quantile;
#[cfg(test)]
mod tests;
pub mod top;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

pub use distinct::Distinct;
pub use moments::Moments;
pub use projection::Projection;
pub use quantile::Quantiles;
pub use top::Top;

/// Fields that are looked for one by one; more of them get an index. Events repeat their fields in
/// the same order, so that usually there is nothing to look for.
const SCANNED_FIELDS: usize = 32;

/// The statistics of one numeric field.
#[derive(Clone, Debug, Default)]
pub struct FieldStats {
    pub moments: Moments,
    pub quantiles: Quantiles,
}

impl FieldStats {
    /// Adds one value, which must be finite.
    #[inline]
    pub fn record(&mut self, x: f64) {
        self.moments.record(x);
        self.quantiles.record(x);
    }

    /// Adds what `other` has seen.
    pub fn merge(&mut self, other: &Self) {
        self.moments.merge(&other.moments);
        self.quantiles.merge(&other.quantiles);
    }

    /// Forgets all values.
    pub fn clear(&mut self) {
        self.moments.clear();
        self.quantiles.clear();
    }

    /// [`Quantiles::quantile`], never outside of the exact minimum and maximum.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let (min, max) = (self.moments.min(), self.moments.max());
        self.quantiles.quantile_within(q, min, max)
    }

    fn is_empty(&self) -> bool {
        self.moments.count() == 0
    }
}

/// All statistics of one group in one slice or window.
///
/// Sources, types and fields are ids of the caller's dictionaries. About 150 bytes plus, per
/// field, 150 and what [`Quantiles`] and [`Top`] say.
#[derive(Clone, Debug, Default)]
pub struct Aggregate {
    event_count: u64,
    /// In the order of first appearance, which most events repeat.
    field_ids: Vec<u32>,
    /// Parallel to `field_ids`.
    field_stats: Vec<FieldStats>,
    /// Where the next field is looked for first: behind the last one.
    next_field: usize,
    /// Where each field is, once there are more than a scan should walk.
    field_index: Option<Box<HashMap<u32, u32, RandomState>>>,
    /// Events by type, sorted by type.
    types: Vec<(u16, u64)>,
    top: Top,
    /// Distinct values by the caller's slot, sorted by slot; empty unless asked for.
    distinct: Vec<(u16, Distinct)>,
}

impl Aggregate {
    /// Nothing yet; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts one event of a source and type. Its fields follow with
    /// [`record_field`](Self::record_field).
    #[inline]
    pub fn begin_event(&mut self, source: u32, kind: u16) {
        self.event_count += 1;
        self.add_type(kind, 1);
        self.top.record(source);
    }

    /// Adds one value of a field, which must be finite. Fast when events repeat their fields in
    /// the same order, else a scan of the ids.
    #[inline]
    pub fn record_field(&mut self, field: u32, x: f64) {
        self.stats_mut(field).record(x);
    }

    /// Counts the value behind a hash ([`distinct::hash`]) among the distinct ones of a slot.
    #[inline]
    pub fn record_distinct(&mut self, slot: u16, hash: u64) {
        self.distinct_mut(slot).record(hash);
    }

    /// Adds what `other` has seen.
    pub fn merge(&mut self, other: &Self) {
        if self.is_empty() {
            *self = other.clone();
        } else {
            self.merge_filtered(other, |_| true, |_| true);
        }
    }

    /// Adds what `other` has seen of what `show` shows; events, types and sources always.
    pub fn merge_shown(&mut self, other: &Self, show: &Projection) {
        if show.shows_all_fields() && other.distinct.is_empty() {
            return self.merge(other);
        }
        self.merge_filtered(other, |field| show.shows_field(field), |slot| show.shows_distinct(slot));
    }

    fn merge_filtered(&mut self, other: &Self, field: impl Fn(u32) -> bool, slot: impl Fn(u16) -> bool) {
        self.event_count += other.event_count;
        for (id, stats) in other.fields().filter(|&(id, _)| field(id)) {
            self.stats_mut(id).merge(stats);
        }
        for &(kind, n) in &other.types {
            self.add_type(kind, n);
        }
        self.top.merge(&other.top);
        for (id, distinct) in other.distinct.iter().filter(|&&(id, _)| slot(id)) {
            self.distinct_mut(*id).merge(distinct);
        }
    }

    /// Forgets all events. Keeps the memory of the fields that had values.
    pub fn clear(&mut self) {
        let mut kept = 0;
        for index in 0..self.field_stats.len() {
            if !self.field_stats[index].is_empty() {
                self.field_stats[index].clear();
                self.field_stats.swap(kept, index);
                self.field_ids.swap(kept, index);
                kept += 1;
            }
        }
        self.field_stats.truncate(kept);
        self.field_ids.truncate(kept);
        self.next_field = 0;
        self.field_index = None;
        self.event_count = 0;
        self.types.clear();
        self.top.clear();
        self.distinct.iter_mut().for_each(|(_, distinct)| distinct.clear());
    }

    /// No event was counted.
    pub fn is_empty(&self) -> bool {
        self.event_count == 0
    }

    /// Events counted.
    pub fn event_count(&self) -> u64 {
        self.event_count
    }

    /// The fields that have values, in no particular order.
    pub fn fields(&self) -> impl Iterator<Item = (u32, &FieldStats)> {
        let fields = self.field_ids.iter().copied().zip(&self.field_stats);
        fields.filter(|(_, stats)| !stats.is_empty())
    }

    /// One field, if it has values.
    pub fn field(&self, field: u32) -> Option<&FieldStats> {
        let index = self.find(field)?;
        Some(&self.field_stats[index]).filter(|stats| !stats.is_empty())
    }

    /// Events by type, by ascending type id.
    pub fn types(&self) -> impl Iterator<Item = (u16, u64)> {
        self.types.iter().copied()
    }

    /// Events by source.
    pub fn sources(&self) -> &Top {
        &self.top
    }

    /// The `k` sources with the most events, as [`Top::top`].
    pub fn top(&self, k: usize) -> Vec<(u32, u64)> {
        self.top.top(k)
    }

    /// Distinct values by slot, where any were seen.
    pub fn distinct(&self) -> impl Iterator<Item = (u16, &Distinct)> {
        self.distinct.iter().filter(|(_, d)| !d.is_empty()).map(|(slot, d)| (*slot, d))
    }

    /// Memory in all, in bytes, without the allocator's own; walks all fields.
    pub fn size_bytes(&self) -> usize {
        let quantiles = self.field_stats.iter().map(|s| s.quantiles.heap_bytes());
        size_of::<Self>()
            + self.field_ids.capacity() * size_of::<u32>()
            + self.field_stats.capacity() * size_of::<FieldStats>()
            + quantiles.sum::<usize>()
            + self.field_index.as_ref().map_or(0, |index| size_of_val(&**index) + index.allocation_size())
            + self.types.capacity() * size_of::<(u16, u64)>()
            + self.top.heap_bytes()
            + self.distinct.capacity() * size_of::<(u16, Distinct)>()
            + self.distinct.iter().map(|(_, d)| d.heap_bytes()).sum::<usize>()
    }

    fn distinct_mut(&mut self, slot: u16) -> &mut Distinct {
        let index = match self.distinct.binary_search_by_key(&slot, |&(known, _)| known) {
            Ok(index) => index,
            Err(index) => {
                reserve_one(&mut self.distinct);
                self.distinct.insert(index, (slot, Distinct::default()));
                index
            }
        };
        &mut self.distinct[index].1
    }

    #[inline]
    fn add_type(&mut self, kind: u16, n: u64) {
        match self.types.binary_search_by_key(&kind, |&(known, _)| known) {
            Ok(index) => self.types[index].1 += n,
            Err(index) => {
                reserve_one(&mut self.types);
                self.types.insert(index, (kind, n));
            }
        }
    }

    #[inline]
    fn stats_mut(&mut self, field: u32) -> &mut FieldStats {
        let mut index = self.next_field;
        if self.field_ids.get(index) != Some(&field) {
            index = self.find_or_add(field);
        }
        self.next_field = index + 1;
        &mut self.field_stats[index]
    }

    fn find(&self, field: u32) -> Option<usize> {
        match &self.field_index {
            Some(index) => index.get(&field).map(|&at| at as usize),
            None => self.field_ids.iter().position(|&id| id == field),
        }
    }

    fn find_or_add(&mut self, field: u32) -> usize {
        if self.field_index.is_none() && self.field_ids.len() > SCANNED_FIELDS {
            let places = self.field_ids.iter().copied().zip(0..);
            self.field_index = Some(Box::new(places.collect()));
        }
        self.find(field).unwrap_or_else(|| {
            let at = self.field_ids.len();
            reserve_one(&mut self.field_ids);
            reserve_one(&mut self.field_stats);
            self.field_ids.push(field);
            self.field_stats.push(FieldStats::default());
            if let Some(index) = &mut self.field_index {
                index.insert(field, at as u32);
            }
            at
        })
    }
}

/// Room for one more, growing by a quarter: a million groups with one field each must not pay for
/// four.
fn reserve_one<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 4).max(1));
    }
}
