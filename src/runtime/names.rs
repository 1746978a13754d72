//! The names strangers send, each stored once and known everywhere by a small number.
//!
//! Every parse thread keeps its own cache ([`Cache`]) and asks the shared table only for a name
//! it has not seen, so the lock is taken once a name and lane, not once an event. The tables
//! are bounded; a name beyond the bound is refused and the caller counts it. Hashing is seeded.
//!
//! # Forgetting
//!
//! Names whose windows have gone are swept, so that a bound on names is one on names at a time.
//! A sweep is a mark-and-sweep collection over the pipeline, without a lock on its way:
//!
//! 1. publish raises [`Dictionary::epoch`];
//! 2. each parse thread sees it before its next chunk, empties its caches and sends a marker down
//!    the pipeline. From here on it gets every number anew from the table, which notes the epoch;
//! 3. a window thread that has the markers of all lanes has seen every older number. It sends the
//!    set of numbers its windows refer to, behind the results it has sent before;
//! 4. once all sets are in, publish adds what it holds itself and frees every name that is in no
//!    set and has not been asked for since step 2.
//!
//! So a number is only ever given to another name when nobody holds it any more.
//!
//! # Event types
//!
//! The window threads count events by the number of their type, since the start, so a type that is
//! forgotten loses its count: types are freed only when one was refused. A counter has one writer and
//! is never set back. Instead step 4 notes, under the lock, what the counters of a number say when it
//! is freed, and what is shown is what came since ([`Names::counted`]). That is exact: every event
//! of the old name was sent before the marker of step 2, so it was counted before the set of step 3
//! was sent, which publish has taken in; and no other event brings the number before it has a name
//! again.

mod cache;
mod pace;

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::windowing::ids::{IdSet, InUse};
pub use cache::Cache;
use pace::Pace;
pub use pace::Room;

/// A table that is far from full is swept when it has this many more names than after the last
/// sweep (or half as many again, if that is more).
const SWEEP_AFTER: usize = 1_024;
/// Entries looked at while a sweep holds the lock.
const SWEEP_STEP: usize = 4_096;
/// An epoch that no sweep reaches: names of the configuration.
const PINNED: u32 = u32::MAX;

/// A number that has been given out.
#[derive(Debug)]
struct Entry {
    /// `None`: it is free again.
    name: Option<Arc<str>>,
    /// The newest epoch in which it was asked for.
    epoch: u32,
    /// Of the name: the table grows without reading a million names.
    hash: u32,
}

#[derive(Debug, Default)]
struct Table {
    /// Numbers by name, which is told by the entry.
    ids: HashTable<u32>,
    hasher: RandomState,
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// By number, what had been counted under it when it was last freed; 0 beyond the end.
    bases: Vec<u64>,
    /// Names left by the last sweep.
    swept: usize,
    /// Names allowed, when one was last asked for.
    limit: usize,
    /// A name was refused since the last sweep, because all were in use.
    refused: bool,
    pace: Pace,
}

/// What the table of numbers takes for the hash of a name: it chooses by the lower bits and compares
/// the upper ones.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

impl Table {
    fn hash(&self, name: &str) -> u32 {
        (self.hasher.hash_one(name) >> 32) as u32
    }

    fn find(&self, name: &str, hash: u32) -> Option<u32> {
        let same = |&id: &u32| {
            let entry = &self.entries[id as usize];
            entry.hash == hash && entry.name.as_deref() == Some(name)
        };
        self.ids.find(spread(hash), same).copied()
    }

    /// Gives out a number for a name that has none.
    fn add(&mut self, name: &Arc<str>, hash: u32, epoch: u32) -> Option<u32> {
        let entry = Entry { name: Some(Arc::clone(name)), epoch, hash };
        let id = match self.free.pop() {
            Some(id) => {
                self.entries[id as usize] = entry;
                id
            }
            None => {
                let id = u32::try_from(self.entries.len()).ok()?;
                self.entries.push(entry);
                id
            }
        };
        let entries = &self.entries;
        self.ids.insert_unique(spread(hash), id, |&id| spread(entries[id as usize].hash));
        Some(id)
    }

    /// Frees a number that is given out and has not been asked for since `epoch` began; whether it
    /// was one.
    fn free(&mut self, id: u32, epoch: u32) -> bool {
        let entry = &mut self.entries[id as usize];
        if entry.epoch >= epoch || entry.name.take().is_none() {
            return false;
        }
        if let Ok(found) = self.ids.find_entry(spread(entry.hash), |&known| known == id) {
            found.remove();
        }
        self.free.push(id);
        true
    }

    fn set_base(&mut self, id: u32, counted: u64) {
        let id = id as usize;
        // Of tables that nobody counts by, nothing.
        if counted > 0 {
            self.bases.resize(self.bases.len().max(id + 1), 0);
            self.bases[id] = counted;
        }
    }
}

/// A bounded table of distinct names, shared by all threads.
#[derive(Debug, Default)]
pub struct Names {
    table: Mutex<Table>,
}

impl Names {
    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing in here can be left half done by a panic.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of `name`, given out now if it is new and there is room for it.
    fn intern(&self, name: &str, room: Room, epoch: u32) -> Option<(Arc<str>, u32)> {
        let mut table = self.lock();
        table.limit = room.names;
        let hash = table.hash(name);
        if let Some(id) = table.find(name, hash) {
            let entry = &mut table.entries[id as usize];
            entry.epoch = epoch.max(entry.epoch);
            return Some((entry.name.clone()?, id));
        }
        if table.ids.len() >= room.names {
            table.refused = true;
            return None;
        }
        if !table.pace.take(room) {
            return None;
        }
        let name: Arc<str> = Arc::from(name);
        let id = table.add(&name, hash, epoch)?;
        Some((name, id))
    }

    /// The number of a name that is never to be forgotten.
    pub fn pin(&self, name: &str) -> u32 {
        // No limit: the configuration is bounded by its file.
        self.intern(name, usize::MAX.into(), PINNED).map_or(u32::MAX, |(_, id)| id)
    }

    /// The name behind a number; empty for a number that is not given out.
    pub fn name(&self, id: u32) -> Arc<str> {
        let name = self.lock().entries.get(id as usize).and_then(|entry| entry.name.clone());
        name.unwrap_or_else(|| Arc::from(""))
    }

    /// The number of a name that is known.
    pub fn id(&self, name: &str) -> Option<u32> {
        let table = self.lock();
        table.find(name, table.hash(name))
    }

    /// A name and its count: what `count` says of its number, without what that had counted before
    /// it got this name. `None` for a number that is not given out.
    pub fn counted(&self, id: u32, count: impl FnOnce() -> u64) -> Option<(Arc<str>, u64)> {
        let table = self.lock();
        let name = table.entries.get(id as usize)?.name.clone()?;
        let base = table.bases.get(id as usize).copied().unwrap_or(0);
        // Counted while the lock holds the name.
        let count = count();
        debug_assert!(count >= base, "a counter went back");
        Some((name, count.saturating_sub(base)))
    }

    /// The numbers that are given out or free: all below this.
    pub fn numbers(&self) -> u32 {
        self.lock().entries.len() as u32
    }

    fn refused(&self) -> bool {
        self.lock().refused
    }

    /// How many names are known.
    pub fn len(&self) -> usize {
        self.lock().ids.len()
    }

    /// Whether no name is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn wants_sweep(&self, full_ones: bool) -> bool {
        let table = self.lock();
        // Half of the room that was left is gone, or it has grown by half.
        let room = (table.limit.saturating_sub(table.swept) / 2).max(table.limit / 64);
        let grown = SWEEP_AFTER.max(table.swept / 2).min(room);
        table.ids.len() > table.swept + grown || full_ones && table.refused
    }

    /// Frees the names that are not in use and have not been asked for since `epoch` began;
    /// how many. `counted` says what has been counted under a number.
    fn sweep(&self, in_use: &IdSet, epoch: u32, counted: impl Fn(u32) -> u64) -> usize {
        let mut freed = 0;
        let mut from = 0;
        loop {
            let mut guard = self.lock();
            let table = &mut *guard;
            let to = table.entries.len().min(from + SWEEP_STEP);
            for id in from as u32..to as u32 {
                if !in_use.contains(id) && table.free(id, epoch) {
                    table.set_base(id, counted(id));
                    freed += 1;
                }
            }
            if to == table.entries.len() {
                table.swept = table.ids.len();
                table.refused = false;
                return freed;
            }
            from = to;
        }
    }
}

/// The tables.
#[derive(Debug, Default)]
pub struct Dictionary {
    /// Event types (`type`); swept only when one was refused, for they are counted since the start.
    pub types: Names,
    /// Sources.
    pub sources: Names,
    /// Flattened names of numeric fields.
    pub fields: Names,
    /// Groups of windows that are grouped by something else than source or type alone.
    pub groups: Vec<Names>,
    epoch: AtomicU32,
}

impl Dictionary {
    /// A dictionary with `groups` tables of groups.
    pub fn new(groups: usize) -> Self {
        Self { groups: (0..groups).map(|_| Names::default()).collect(), ..Self::default() }
    }

    /// The epoch; it rises when names are to be swept.
    pub fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Step 1 of a sweep, if one is worth it: the new epoch. With `full_ones` also for tables
    /// that had to refuse a name. Only one thread calls this.
    pub fn begin_sweep(&self, full_ones: bool) -> Option<u32> {
        let mut tables = [&self.sources, &self.fields].into_iter().chain(&self.groups);
        let wanted = full_ones && self.types.refused() || tables.any(|names| names.wants_sweep(full_ones));
        wanted.then(|| self.epoch.fetch_add(1, Ordering::AcqRel) + 1)
    }

    /// Step 4: frees what is not in use; how many names. `of_type` says how many events have been
    /// counted under the number of a type.
    pub fn sweep(&self, in_use: &InUse, epoch: u32, of_type: impl Fn(u32) -> u64) -> usize {
        let uncounted = |_| 0;
        let types = if self.types.refused() { self.types.sweep(&in_use.types, epoch, of_type) } else { 0 };
        let groups = self.groups.iter().zip(&in_use.groups);
        types
            + self.sources.sweep(&in_use.sources, epoch, uncounted)
            + self.fields.sweep(&in_use.fields, epoch, uncounted)
            + groups.map(|(names, ids)| names.sweep(ids, epoch, uncounted)).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_caches_agree_and_the_bound_holds() {
        let names = Names::default();
        let (mut a, mut b) = (Cache::default(), Cache::default());
        assert_eq!(a.id(&names, "x", 2), Some(0));
        assert_eq!(b.id(&names, "y", 2), Some(1));
        assert_eq!(b.id(&names, "x", 2), Some(0));
        assert_eq!(a.id(&names, "z", 2), None);
        assert_eq!(a.id(&names, "y", 2), Some(1), "known names stay usable");
        assert_eq!(&*names.name(1), "y");
        assert_eq!(&*names.name(9), "");
    }

    #[test]
    fn a_sweep_frees_what_nobody_holds() {
        let dictionary = Dictionary::new(0);
        let names = &dictionary.sources;
        let mut cache = Cache::default();
        assert_eq!(names.pin("kept by the configuration"), 0);
        for (id, name) in ["in a window", "gone", "asked for again"].into_iter().enumerate() {
            assert_eq!(cache.id(names, name, 10), Some(id as u32 + 1));
        }
        assert_eq!(dictionary.begin_sweep(true), None, "there is room");
        assert_eq!(cache.id(names, "new", 4), None);
        let epoch = dictionary.begin_sweep(true).unwrap();
        cache.begin_epoch(epoch);
        assert_eq!(cache.id(names, "asked for again", 4), Some(3));
        let mut in_use = InUse::new(0);
        in_use.sources.insert(1);
        assert_eq!(dictionary.sweep(&in_use, epoch, |_| 0), 1);
        assert_eq!(names.id("gone"), None);
        assert_eq!(cache.id(names, "new", 4), Some(2), "the number is free again");
        assert_eq!((&*names.name(1), &*names.name(2), names.len()), ("in a window", "new", 4));
    }

    /// A type's number that another name gets counts from there on, and the others as before; types
    /// are not forgotten unless one was refused.
    #[test]
    fn a_type_that_gets_a_number_again_counts_from_nothing() {
        let dictionary = Dictionary::new(0);
        let types = &dictionary.types;
        let mut cache = Cache::default();
        for (id, name) in ["kept", "gone", "asked for again"].into_iter().enumerate() {
            assert_eq!(cache.id(types, name, 3), Some(id as u32));
        }
        let counters = [5, 7, 9];
        let counted = |id: u32| types.counted(id, || counters[id as usize]);
        let named = |name: &str, n| Some((Arc::from(name), n));
        let mut in_use = InUse::new(0);
        in_use.types.insert(0);
        assert_eq!(dictionary.begin_sweep(true), None, "none was refused");
        assert_eq!(dictionary.sweep(&in_use, 1, |id| counters[id as usize]), 0, "a sweep for others");
        assert_eq!(counted(1), named("gone", 7));
        assert_eq!(cache.id(types, "new", 3), None);
        assert_eq!(dictionary.begin_sweep(false), None, "put off");
        let epoch = dictionary.begin_sweep(true).unwrap();
        cache.begin_epoch(epoch);
        assert_eq!(cache.id(types, "asked for again", 3), Some(2));
        assert_eq!(dictionary.sweep(&in_use, epoch, |id| counters[id as usize]), 1);
        assert_eq!((counted(1), types.numbers()), (None, 3));
        assert_eq!(cache.id(types, "new", 3), Some(1), "the number is free again");
        let counters = [6, 8, 9];
        let counted = |id: u32| types.counted(id, || counters[id as usize]);
        let all = [named("kept", 6), named("new", 1), named("asked for again", 9), None];
        assert_eq!(
            [0, 1, 2, 3].map(|id| types.counted(id, || *counters.get(id as usize).unwrap_or(&0))),
            all
        );
        // Freed again: the newest base counts.
        assert_eq!(cache.id(types, "newer", 3), None);
        let epoch = dictionary.begin_sweep(true).unwrap();
        cache.begin_epoch(epoch);
        in_use.types.insert(2);
        assert_eq!(dictionary.sweep(&in_use, epoch, |id| counters[id as usize]), 1);
        assert_eq!(cache.id(types, "newer", 3), Some(1));
        assert_eq!(counted(1), named("newer", 0));
    }

    /// Every second name goes, many times over: the others are found and keep their numbers, and
    /// what comes in their stead gets the numbers that are free.
    #[test]
    fn names_are_found_however_many_have_gone() {
        let dictionary = Dictionary::new(0);
        let names = &dictionary.sources;
        let mut cache = Cache::default();
        let mut known: Vec<String> = Vec::new();
        for round in 0..5u32 {
            known.extend((0..2_000).map(|n| format!("{round} {n} {}", "x".repeat(n % 23))));
            let ids: Vec<u32> = known.iter().map(|name| cache.id(names, name, 9_000).unwrap()).collect();
            assert!(ids.iter().all(|&id| id < 4_000), "numbers are used again");
            let epoch = dictionary.begin_sweep(true).unwrap();
            cache.begin_epoch(epoch);
            let mut in_use = InUse::new(0);
            ids.iter().step_by(2).for_each(|&id| in_use.sources.insert(id));
            assert_eq!(dictionary.sweep(&in_use, epoch, |_| 0), known.len() / 2);
            for (name, id) in known.iter().zip(&ids) {
                let kept = in_use.sources.contains(*id);
                assert_eq!(names.id(name), kept.then_some(*id));
                assert_eq!(&*names.name(*id), if kept { name } else { "" });
            }
            known = known.into_iter().step_by(2).collect();
        }
    }
}
