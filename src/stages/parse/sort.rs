//! Which windows an event belongs to and in which groups: filters, groupings and hashes of
//! dimensions, worked out once an event. Which window thread gets it.

use crate::aggregate::distinct;
use crate::event::Member;
use crate::event::Scratch;
use crate::plan::windows::{Route, WindowPlan, encode_group};
use crate::runtime::names::{Cache, Dictionary, Room};
use crate::telemetry::counters::ParseCounters;
use crate::windowing::{Family, GroupNames};

/// What a parse thread keeps for it.
pub(super) struct Sorter {
    plan: WindowPlan,
    /// One a grouping.
    caches: Vec<Cache>,
    /// Of the current event: what each filter says.
    passed: Vec<bool>,
    /// Of the current event, by grouping: its group once worked out, `None` inside: no room.
    known: Vec<Option<Option<u32>>>,
    /// Being built.
    key: String,
    /// Groups of the current event, by slot.
    pub(super) groups: Vec<(u16, u32)>,
    /// Slots of the current event whose group is its type.
    pub(super) by_type: Vec<u16>,
    /// Hashes of the current event, by slot.
    pub(super) hashes: Vec<(u16, u64)>,
}

/// Whether any window wants an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Yes,
    /// No window's filter lets it in.
    No,
    /// Some would, but it begins a new group, and there are too many or they come too fast.
    NoRoom,
}

impl Sorter {
    pub(super) fn new(plan: WindowPlan) -> Self {
        Self {
            caches: plan.groupings.iter().map(|_| Cache::default()).collect(),
            plan,
            passed: Vec::new(),
            known: Vec::new(),
            key: String::new(),
            groups: Vec::new(),
            by_type: Vec::new(),
            hashes: Vec::new(),
        }
    }

    /// A sweep of names has begun: forgets all numbers.
    pub(super) fn begin_epoch(&mut self, epoch: u32) {
        self.caches.iter_mut().for_each(|cache| cache.begin_epoch(epoch));
    }

    /// Whether any window shows a numeric field.
    pub(super) fn shows(&self, field: &str) -> bool {
        self.plan.fields.as_ref().is_none_or(|fields| fields.contains(field))
    }

    /// Sorts an event into its families. Its type needs no number for that.
    pub(super) fn sort(
        &mut self,
        event: &Scratch,
        source: u32,
        dictionary: &Dictionary,
        room: Room,
        counters: &ParseCounters,
    ) -> Wanted {
        self.groups.clear();
        self.by_type.clear();
        self.hashes.clear();
        self.passed.clear();
        self.passed.extend(self.plan.filters.iter().map(|filter| filter.matches(event)));
        self.known.clear();
        self.known.resize(self.plan.groupings.len(), None);
        let mut wanted = Wanted::No;
        for (at, family) in self.plan.families.iter().enumerate() {
            let Family::Given { slot, names } = family.family else {
                wanted = Wanted::Yes;
                continue;
            };
            if family.filter.is_some_and(|filter| !self.passed[filter]) {
                continue;
            }
            let group = match names {
                GroupNames::None => Some(0),
                GroupNames::Sources => Some(source),
                GroupNames::Kinds => {
                    self.by_type.push(slot);
                    wanted = Wanted::Yes;
                    continue;
                }
                GroupNames::Table(table) => {
                    let table = usize::from(table);
                    *self.known[table].get_or_insert_with(|| {
                        let members = &self.plan.groupings[table];
                        encode_group(&mut self.key, members.iter().map(|member| event.text_of(member)));
                        self.caches[table].id(&dictionary.groups[table], &self.key, room)
                    })
                }
            };
            match group {
                Some(group) => {
                    self.groups.push((slot, group));
                    wanted = Wanted::Yes;
                }
                None => {
                    counters.no_room[at].add(1);
                    if wanted == Wanted::No {
                        wanted = Wanted::NoRoom;
                    }
                }
            }
        }
        if wanted == Wanted::Yes {
            for (slot, member) in self.plan.distinct.iter().enumerate() {
                if let Some(value) = event.text_of(member) {
                    self.hashes.push((slot as u16, distinct::hash(value)));
                }
            }
        }
        wanted
    }

    /// The window thread, of `shards`, that an event goes to.
    pub(super) fn shard(&self, event: &Scratch, source: u32, kind: u16, shards: usize) -> usize {
        match &self.plan.route {
            _ if shards == 1 => 0,
            Route::Source => source as usize % shards,
            Route::Member(Member::Kind) => usize::from(kind) % shards,
            Route::Member(member) => {
                (distinct::hash(event.text_of(member).unwrap_or("")) % shards as u64) as usize
            }
            Route::First => 0,
        }
    }
}
