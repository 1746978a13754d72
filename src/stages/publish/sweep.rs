//! Publish's part in a sweep of names (`runtime::names` has the whole of it): begins one at most
//! once a second, collects the window threads' answers.

use std::sync::Arc;

use crate::runtime::names::Dictionary;
use crate::runtime::wake::{Bell, INPUT};
use crate::windowing::ids::InUse;

/// Where a sweep stands.
pub(super) struct Sweep {
    /// The parse threads: an idle one must look up, or its old numbers would hold the sweep up.
    parsers: Vec<Arc<Bell>>,
    /// The one under way.
    epoch: Option<u32>,
    /// By window thread: whether it has answered.
    answered: Vec<bool>,
    in_use: InUse,
    /// Another may begin.
    allowed: bool,
}

impl Sweep {
    pub(super) fn new(shards: usize, parsers: Vec<Arc<Bell>>) -> Self {
        Self { parsers, epoch: None, answered: vec![false; shards], in_use: InUse::default(), allowed: false }
    }

    /// A second has passed.
    pub(super) fn allow(&mut self) {
        self.allowed = true;
    }

    /// Begins a sweep if none is under way and one is worth it.
    pub(super) fn begin(&mut self, dictionary: &Dictionary) {
        if self.epoch.is_some() || !std::mem::take(&mut self.allowed) {
            return;
        }
        self.epoch = dictionary.begin_sweep();
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
