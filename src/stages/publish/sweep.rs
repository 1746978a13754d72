//! Publish's part in a sweep of names (`runtime::names` has the whole of it): begins one at most
//! once a second, collects the window threads' answers.

use std::sync::Arc;

use crate::runtime::names::Dictionary;
use crate::runtime::wake::{Bell, INPUT};
use crate::windowing::ids::InUse;

/// The longest pause, in seconds, between sweeps for a table that is full of names in use: they
/// free next to nothing and only cost.
const MAX_PAUSE: u32 = 64;

/// Where a sweep stands.
pub(super) struct Sweep {
    /// The parse threads: an idle one must look up, or its old numbers would hold the sweep up.
    parsers: Vec<Arc<Bell>>,
    /// The one under way.
    epoch: Option<u32>,
    /// By window thread: whether it has answered.
    answered: Vec<bool>,
    in_use: InUse,
    /// A second has passed since the last one began.
    allowed: bool,
    /// Seconds to pass before another may begin for a full table.
    pause: u32,
    /// Of these, how many are left.
    left: u32,
}

impl Sweep {
    pub(super) fn new(shards: usize, parsers: Vec<Arc<Bell>>) -> Self {
        Self {
            parsers,
            epoch: None,
            answered: vec![false; shards],
            in_use: InUse::default(),
            allowed: false,
            pause: 1,
            left: 0,
        }
    }

    /// A second has passed.
    pub(super) fn allow(&mut self) {
        self.allowed = true;
        self.left = self.left.saturating_sub(1);
    }

    /// Begins a sweep if none is under way and one is worth it.
    pub(super) fn begin(&mut self, dictionary: &Dictionary) {
        if self.epoch.is_some() || !std::mem::take(&mut self.allowed) {
            return;
        }
        self.epoch = dictionary.begin_sweep(self.left == 0);
        if self.epoch.is_some() {
            self.answered.fill(false);
            self.in_use = InUse::new(dictionary.groups.len());
            self.parsers.iter().for_each(|bell| bell.ring(INPUT));
        }
    }

    /// A window thread says what it refers to.
    pub(super) fn answer(&mut self, shard: usize, epoch: u32, names: &InUse) {
        if self.epoch == Some(epoch) {
            self.answered[shard] = true;
            self.in_use.union(names);
        }
    }

    /// The sweep has freed so many names: of few, the next one is put off.
    pub(super) fn ended(&mut self, swept: usize, dictionary: &Dictionary) {
        let groups: usize = dictionary.groups.iter().map(|names| names.len()).sum();
        let left = dictionary.types.len() + dictionary.sources.len() + dictionary.fields.len() + groups;
        self.pause = if swept > left / 16 { 1 } else { (self.pause * 2).min(MAX_PAUSE) };
        self.left = self.pause;
    }

    /// All have answered: the sweep's epoch and what is in use. Only once a sweep.
    pub(super) fn answered(&mut self) -> Option<(u32, InUse)> {
        let epoch = self.epoch?;
        if !self.answered.iter().all(|&answered| answered) {
            return None;
        }
        self.epoch = None;
        Some((epoch, std::mem::take(&mut self.in_use)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::names::Cache;

    /// A table full of names in use, and a stranger with a new one every second.
    #[test]
    fn a_sweep_that_frees_nothing_is_put_off_longer_and_longer() {
        let dictionary = Dictionary::new(0);
        let mut cache = Cache::default();
        let mut in_use = InUse::new(0);
        for at in 0..1_000 {
            let id = cache.id(&dictionary.sources, &at.to_string(), 1_000);
            in_use.sources.insert(id.unwrap());
        }
        let mut sweep = Sweep::new(1, Vec::new());
        let mut sweeps = 0;
        for second in 0..120 {
            assert_eq!(cache.id(&dictionary.sources, &format!("new {second}"), 1_000), None);
            sweep.allow();
            sweep.begin(&dictionary);
            let Some(epoch) = sweep.epoch else { continue };
            cache.begin_epoch(epoch);
            sweep.answer(0, epoch, &in_use);
            let (epoch, in_use) = sweep.answered().unwrap();
            let swept = dictionary.sweep(&in_use, epoch, |_| 0);
            sweep.ended(swept, &dictionary);
            sweeps += 1;
        }
        assert!((3..=8).contains(&sweeps), "{sweeps} sweeps in two minutes");
        // Room again: at once.
        in_use = InUse::new(0);
        sweep.left = 0;
        sweep.allow();
        assert_eq!(cache.id(&dictionary.sources, "new", 1_000), None);
        sweep.begin(&dictionary);
        let epoch = sweep.epoch.unwrap();
        sweep.answer(0, epoch, &in_use);
        let (epoch, in_use) = sweep.answered().unwrap();
        sweep.ended(dictionary.sweep(&in_use, epoch, |_| 0), &dictionary);
        assert_eq!(sweep.pause, 1);
    }
}
