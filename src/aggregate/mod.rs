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
//! There may be a million groups of one source, one type and one field each: what such a group needs
//! is in one piece, without a block of its own, and everything else behind pointers.
//!
//! Nothing allocates per event once the fields, types and octaves have been seen. `clear` forgets
//! the values and keeps the memory of what was in use, for the next slice.

mod buckets;
mod counters;
pub mod distinct;
mod fields;
pub mod moments;
mod projection;
pub mod quantile;
#[cfg(test)]
mod tests;
pub mod top;

use fields::Fields;

pub use distinct::Distinct;
pub use moments::Moments;
pub use projection::Projection;
pub use quantile::Quantiles;
pub use top::Top;

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

/// What only groups of several sources or types have, or of distinct values.
#[derive(Clone, Debug, Default)]
struct Mixed {
    /// Events by type, sorted by type.
    types: Vec<(u16, u64)>,
    top: Top,
    /// Distinct values by the caller's slot, sorted by slot; empty unless asked for.
    distinct: Vec<(u16, Distinct)>,
}

/// All statistics of one group in one slice or window.
///
/// Sources, types and fields are ids of the caller's dictionaries. 136 bytes, which hold one source,
/// one type and one field of two values; more of them bring a block of 110 bytes (sources, types) or
/// 70 and 100 a field, and what [`Quantiles`] and [`Top`] say.
#[derive(Clone, Debug, Default)]
pub struct Aggregate {
    event_count: u64,
    /// The source and the type of all events, unless `mixed` says more.
    source: u32,
    kind: u16,
    fields: Fields,
    mixed: Option<Box<Mixed>>,
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
        self.add_events(source, kind, 1);
    }

    /// Adds one value of a field, which must be finite. Fast when events repeat their fields in
    /// the same order, else a scan of the ids.
    #[inline]
    pub fn record_field(&mut self, field: u32, x: f64) {
        self.fields.get_mut(field).record(x);
    }

    /// Counts the value behind a hash ([`distinct::hash`]) among the distinct ones of a slot.
    #[inline]
    pub fn record_distinct(&mut self, slot: u16, hash: u64) {
        self.mixed().distinct(slot).record(hash);
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
        let no_distinct = other.mixed.as_ref().is_none_or(|mixed| mixed.distinct.is_empty());
        if show.shows_all_fields() && no_distinct {
            return self.merge(other);
        }
        self.merge_filtered(other, |field| show.shows_field(field), |slot| show.shows_distinct(slot));
    }

    fn merge_filtered(&mut self, other: &Self, field: impl Fn(u32) -> bool, slot: impl Fn(u16) -> bool) {
        match &other.mixed {
            None if other.is_empty() => {}
            None => self.add_events(other.source, other.kind, other.event_count),
            Some(theirs) => {
                self.mixed().merge(theirs, slot);
                self.event_count += other.event_count;
            }
        }
        for (id, stats) in other.fields().filter(|&(id, _)| field(id)) {
            self.fields.get_mut(id).merge(stats);
        }
    }

    /// Forgets all events. Keeps the memory of the fields that had values.
    pub fn clear(&mut self) {
        self.event_count = 0;
        self.fields.clear();
        match &mut self.mixed {
            Some(mixed) if !mixed.types.is_empty() => mixed.clear(),
            mixed => *mixed = None,
        }
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
        self.fields.iter()
    }

    /// One field, if it has values.
    pub fn field(&self, field: u32) -> Option<&FieldStats> {
        self.fields.get(field)
    }

    /// Events by type, by ascending type id.
    pub fn types(&self) -> impl Iterator<Item = (u16, u64)> {
        let only = self.only().map(|(_, kind)| (kind, self.event_count));
        let types = self.mixed.iter().flat_map(|mixed| mixed.types.iter().copied());
        only.into_iter().chain(types)
    }

    /// The sources that are counted, in no particular order.
    pub fn sources(&self) -> impl Iterator<Item = u32> + '_ {
        let only = self.only().map(|(source, _)| source);
        only.into_iter().chain(self.mixed.iter().flat_map(|mixed| mixed.top.ids()))
    }

    /// The `k` sources with the most events, as [`Top::top`].
    pub fn top(&self, k: usize) -> Vec<(u32, u64)> {
        match &self.mixed {
            Some(mixed) => mixed.top.top(k),
            None => self.only().map(|(source, _)| (source, self.event_count)).into_iter().take(k).collect(),
        }
    }

    /// Distinct values by slot, where any were seen.
    pub fn distinct(&self) -> impl Iterator<Item = (u16, &Distinct)> {
        let distinct = self.mixed.iter().flat_map(|mixed| &mixed.distinct);
        distinct.filter(|(_, d)| !d.is_empty()).map(|(slot, d)| (*slot, d))
    }

    /// Memory in all, in bytes, without the allocator's own; walks all fields.
    pub fn size_bytes(&self) -> usize {
        let mixed = self.mixed.as_ref().map_or(0, |mixed| mixed.size_bytes());
        size_of::<Self>() + self.fields.heap_bytes() + mixed
    }

    /// The source and the type of all events, if there is but one of each.
    fn only(&self) -> Option<(u32, u16)> {
        (self.mixed.is_none() && self.event_count > 0).then_some((self.source, self.kind))
    }

    #[inline]
    fn add_events(&mut self, source: u32, kind: u16, n: u64) {
        match &mut self.mixed {
            Some(mixed) => mixed.add(source, kind, n),
            None if self.event_count == 0 => (self.source, self.kind) = (source, kind),
            None if (self.source, self.kind) == (source, kind) => {}
            None => self.mixed().add(source, kind, n),
        }
        self.event_count += n;
    }

    /// What is mixed, from now on.
    fn mixed(&mut self) -> &mut Mixed {
        let only = self.only();
        self.mixed.get_or_insert_with(|| {
            let mut mixed = Box::<Mixed>::default();
            if let Some((source, kind)) = only {
                mixed.add(source, kind, self.event_count);
            }
            mixed
        })
    }
}

impl Mixed {
    #[inline]
    fn add(&mut self, source: u32, kind: u16, n: u64) {
        self.add_type(kind, n);
        self.top.add(source, n);
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

    fn distinct(&mut self, slot: u16) -> &mut Distinct {
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

    fn merge(&mut self, other: &Self, slot: impl Fn(u16) -> bool) {
        for &(kind, n) in &other.types {
            self.add_type(kind, n);
        }
        self.top.merge(&other.top);
        for (id, distinct) in other.distinct.iter().filter(|&&(id, _)| slot(id)) {
            self.distinct(*id).merge(distinct);
        }
    }

    fn clear(&mut self) {
        self.types.clear();
        self.top.clear();
        self.distinct.iter_mut().for_each(|(_, distinct)| distinct.clear());
    }

    fn size_bytes(&self) -> usize {
        size_of::<Self>()
            + self.types.capacity() * size_of::<(u16, u64)>()
            + self.top.heap_bytes()
            + self.distinct.capacity() * size_of::<(u16, Distinct)>()
            + self.distinct.iter().map(|(_, d)| d.heap_bytes()).sum::<usize>()
    }
}

/// Room for one more, growing by a quarter: a million groups with one field each must not pay for
/// four.
fn reserve_one<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 4).max(1));
    }
}
