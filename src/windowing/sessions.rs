//! Session windows: events of one group at most `gap` apart belong together, and an event that
//! reaches two sessions merges them.
//!
//! A session is `[first, last + gap)`. It is final when the watermark reaches its end, stays for
//! the allowed lateness and is then forgotten. An event is late if the session it would make
//! or join would be gone already; so an event behind the watermark that reaches an open session
//! joins it. These are the rules of Flink's merging windows.
//!
//! What must hold: sessions of one group are more than `gap` apart, in the order of their starts;
//! each has exactly one valid entry in the queue, at or before the moment something is due.

mod slab;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::ids::InUse;
use super::{Budget, Closed, Family, Kind, Layout, Sample, Trigger, WindowSet};
use crate::aggregate::{Aggregate, Projection};

use slab::Slab;

/// In the place of a group's only session: it has none, or several.
const NONE: u32 = u32::MAX;
const SEVERAL: u32 = u32::MAX - 1;

#[derive(Debug, Default)]
struct Session {
    /// Tells entries of the queue for this session from those for sessions that are gone; around
    /// after four billion, when these have gone as well.
    id: u32,
    first_us: i64,
    last_us: i64,
    /// When its entry in the queue comes up. An event that extends the session leaves the entry
    /// where it is: the session is looked at then and put back.
    looked_at_us: i64,
    /// Its result is out, for the watermark has reached its end.
    published: bool,
    /// Late events have changed it since.
    revised: bool,
    /// Number of its next result.
    revision: u32,
    /// Bounds of the results that its next one takes the place of.
    replaces: Vec<(i64, i64)>,
    aggregate: Aggregate,
}

/// The sessions of one window.
#[derive(Debug)]
pub struct Sessions {
    window: usize,
    family: Family,
    gap_us: i64,
    lateness_us: i64,
    show: Projection,
    sessions: Slab,
    /// By group, whose numbers are dense: the place of its only session, [`NONE`] or [`SEVERAL`].
    only: Vec<u32>,
    /// Places by group, in the order of their starts. A replay may open thousands in one group, and
    /// they go from the front.
    several: HashMap<u32, VecDeque<u32>, RandomState>,
    /// An empty list, for a moment's use.
    spare: VecDeque<u32>,
    /// Moment, group, session.
    queue: BinaryHeap<Reverse<(i64, u32, u32)>>,
    /// Groups with revised sessions, some more than once.
    revised: Vec<u32>,
    next_id: u32,
    open: usize,
}

impl Sessions {
    /// The session windows of `layout`.
    pub fn for_windows(layout: &Layout) -> Vec<Self> {
        let specs = layout.windows.iter().enumerate();
        let sessions = specs.filter_map(|(window, spec)| match spec.kind {
            Kind::Session { gap_us } => Some(Self {
                window,
                family: layout.families[spec.family],
                gap_us,
                lateness_us: spec.lateness_us,
                show: spec.show.clone(),
                sessions: Slab::default(),
                only: Vec::new(),
                several: HashMap::default(),
                spare: VecDeque::new(),
                queue: BinaryHeap::new(),
                revised: Vec::new(),
                next_id: 0,
                open: 0,
            }),
            Kind::Aligned { .. } => None,
        });
        sessions.collect()
    }

    /// The window that they are of.
    pub fn window(&self) -> usize {
        self.window
    }

    /// Puts an event where it belongs; whether it was in time. If not, `missed` gets the window.
    pub fn event(&mut self, sample: &Sample, watermark_us: i64, missed: &mut WindowSet) -> bool {
        let Some(group) = self.family.group_of(sample) else {
            return false;
        };
        let time_us = sample.time_us;
        // Nearly every event: it goes on with the only session, which is open.
        if let Some(&place) = self.only.get(group as usize)
            && place < SEVERAL
        {
            let only = self.sessions.get_mut(place);
            if !only.published
                && (only.first_us..=only.last_us.saturating_add(self.gap_us)).contains(&time_us)
            {
                only.last_us = only.last_us.max(time_us);
                sample.record(&mut only.aggregate, &self.show);
                return true;
            }
        }
        let mut places = self.take(group);
        let (gap_us, sessions) = (self.gap_us, &self.sessions);
        // The sessions that the event reaches stand side by side.
        let from = places.partition_point(|&p| sessions.get(p).last_us.saturating_add(gap_us) < time_us);
        let to = places.partition_point(|&p| sessions.get(p).first_us <= time_us.saturating_add(gap_us));
        let reached = to.checked_sub(1).filter(|&last| last >= from);
        let last_us = reached.map_or(time_us, |last| sessions.get(places[last]).last_us.max(time_us));
        let end_us = last_us.saturating_add(gap_us);
        if end_us.saturating_add(self.lateness_us) <= watermark_us {
            self.put(group, places);
            missed.insert(self.window);
            return false;
        }
        if from == to {
            let id = self.next_id;
            self.next_id = id.wrapping_add(1);
            self.open += 1;
            let (first_us, looked_at_us) = (time_us, i64::MAX);
            let session = Session { id, first_us, last_us, looked_at_us, ..Session::default() };
            places.insert(from, self.sessions.insert(session));
        } else {
            for place in places.drain(from + 1..to).collect::<Vec<_>>() {
                let mut other = self.sessions.remove(place);
                let session = self.sessions.get_mut(places[from]);
                if !session.published && !other.published {
                    self.open -= 1;
                }
                session.absorb(&mut other);
            }
            let session = self.sessions.get_mut(places[from]);
            session.first_us = session.first_us.min(time_us);
            session.last_us = last_us;
        }
        let place = places[from];
        self.put(group, places);
        let session = self.sessions.get_mut(place);
        if end_us > watermark_us {
            // It goes on, and its next result will take the place of what is out.
            session.revised = false;
            if session.published {
                session.published = false;
                self.open += 1;
            }
            if session.looked_at_us > end_us {
                session.looked_at_us = end_us;
                self.queue.push(Reverse((end_us, group, session.id)));
            }
        } else {
            if !session.published {
                session.published = true;
                self.open -= 1;
            }
            if session.looked_at_us > end_us.saturating_add(self.lateness_us) {
                session.looked_at_us = end_us.saturating_add(self.lateness_us);
                self.queue.push(Reverse((session.looked_at_us, group, session.id)));
            }
            if !session.revised {
                session.revised = true;
                self.revised.push(group);
            }
        }
        sample.record(&mut session.aggregate, &self.show);
        true
    }

    /// The places of a group's sessions, which are to be put back.
    fn take(&mut self, group: u32) -> VecDeque<u32> {
        match self.only.get(group as usize).copied().unwrap_or(NONE) {
            SEVERAL => self.several.remove(&group).unwrap_or_default(),
            place => {
                let mut places = std::mem::take(&mut self.spare);
                places.extend((place != NONE).then_some(place));
                places
            }
        }
    }

    fn put(&mut self, group: u32, mut places: VecDeque<u32>) {
        if places.len() > 1 {
            self.set_only(group, SEVERAL);
            self.several.insert(group, places);
        } else {
            self.set_only(group, places.pop_front().unwrap_or(NONE));
            self.spare = places;
        }
    }

    fn set_only(&mut self, group: u32, place: u32) {
        let group = group as usize;
        if group >= self.only.len() && place != NONE {
            self.only.resize(group + 1, NONE);
        }
        if let Some(only) = self.only.get_mut(group) {
            *only = place;
        }
    }

    /// Hands out the sessions that late events have changed since the last call; whether all are
    /// out.
    pub fn revise(&mut self, trigger: Trigger, budget: &mut Budget, out: &mut Vec<Closed>) -> bool {
        // A group is looked at as a whole, however many of its sessions have been revised.
        self.revised.sort_unstable();
        self.revised.dedup();
        while let Some(group) = self.revised.pop() {
            let places = self.take(group);
            let mut all = true;
            for &place in &places {
                let session = self.sessions.get_mut(place);
                if !session.revised {
                    continue;
                }
                if !budget.spend(1) {
                    all = false;
                    break;
                }
                session.revised = false;
                let aggregate = session.aggregate.clone();
                out.push(session.result(self.window, group, self.gap_us, trigger, aggregate));
            }
            self.put(group, places);
            if !all {
                self.revised.push(group);
                return false;
            }
        }
        true
    }

    /// Closes the sessions whose end the watermark has reached and forgets those that nothing
    /// can change any more; whether all have closed.
    pub fn close(&mut self, watermark_us: i64, budget: &mut Budget, out: &mut Vec<Closed>) -> bool {
        while let Some(&Reverse((at_us, group, id))) = self.queue.peek()
            && at_us <= watermark_us
        {
            if !budget.spend(1) {
                return false;
            }
            self.queue.pop();
            let mut places = self.take(group);
            let is_it = |session: &Session| session.id == id && session.looked_at_us == at_us;
            let Some(index) = places.iter().position(|&place| is_it(self.sessions.get(place))) else {
                self.put(group, places);
                continue;
            };
            let session = self.sessions.get_mut(places[index]);
            let end_us = session.last_us.saturating_add(self.gap_us);
            let gone_us = end_us.saturating_add(self.lateness_us);
            let gone = gone_us <= watermark_us;
            if !session.published && end_us <= watermark_us {
                let aggregate = match gone {
                    true => std::mem::take(&mut session.aggregate),
                    false => session.aggregate.clone(),
                };
                out.push(session.result(self.window, group, self.gap_us, Trigger::Due, aggregate));
                session.published = true;
                self.open -= 1;
            }
            if gone {
                places.remove(index).map(|place| self.sessions.remove(place));
            } else {
                session.looked_at_us = if session.published { gone_us } else { end_us };
                self.queue.push(Reverse((session.looked_at_us, group, id)));
            }
            self.put(group, places);
        }
        true
    }

    /// When something may be due next; not later than it is.
    pub fn next_end_us(&self) -> Option<i64> {
        self.queue.peek().map(|&Reverse((at_us, _, _))| at_us)
    }

    /// Sessions that have not closed.
    pub fn open_windows(&self) -> usize {
        self.open
    }

    /// Adds the names that sessions refer to.
    pub fn mark(&self, in_use: &mut InUse) {
        for (group, place) in (0..).zip(&self.only) {
            let only = (*place < SEVERAL).then_some(place);
            let several = self.several.get(&group).filter(|_| *place == SEVERAL);
            for &place in only.into_iter().chain(several.into_iter().flatten()) {
                in_use.group(self.family.names(), group);
                in_use.aggregate(&self.sessions.get(place).aggregate);
            }
        }
    }
}

impl Session {
    /// Takes in a later session of the group.
    fn absorb(&mut self, other: &mut Self) {
        self.last_us = self.last_us.max(other.last_us);
        self.aggregate.merge(&other.aggregate);
        self.published &= other.published;
        self.revised |= other.revised;
        self.revision = self.revision.max(other.revision);
        self.replaces.append(&mut other.replaces);
    }

    /// Its result as it is now; the next one will take its place.
    fn result(
        &mut self,
        window: usize,
        group: u32,
        gap_us: i64,
        trigger: Trigger,
        aggregate: Aggregate,
    ) -> Closed {
        let bounds = (self.first_us, self.last_us.saturating_add(gap_us));
        let mut replaces = std::mem::replace(&mut self.replaces, vec![bounds]);
        replaces.retain(|&old| old != bounds);
        let revision = self.revision;
        self.revision += 1;
        Closed {
            window,
            group,
            start_us: bounds.0,
            end_us: bounds.1,
            trigger,
            partial: false,
            revision,
            replaces,
            aggregate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::windowing::{GroupNames, Spec};

    /// Groups with one session and with several: what they refer to is in use, and no longer.
    #[test]
    fn names_of_open_sessions_are_in_use() {
        let family = Family::Given { slot: 0, names: GroupNames::Table(0) };
        let spec =
            Spec { kind: Kind::Session { gap_us: 10 }, family: 0, lateness_us: 0, show: Default::default() };
        let layout = Layout { families: vec![family], windows: vec![spec], started_us: None };
        let mut sessions = Sessions::for_windows(&layout).remove(0);
        let mut missed = WindowSet::default();
        for (group, time_us, source) in [(5, 100, 1), (7, 100, 2), (7, 200, 3), (7, 300, 4)] {
            let mut sample = Sample::default();
            sample.begin(time_us, source, 0);
            sample.groups.push((0, group));
            assert!(sessions.event(&sample, 0, &mut missed));
        }
        let marked = |sessions: &Sessions| {
            let mut in_use = InUse::new(1);
            sessions.mark(&mut in_use);
            let groups = [5, 6, 7].map(|group| in_use.groups[0].contains(group));
            (groups, [1, 2, 3, 4].map(|source| in_use.sources.contains(source)))
        };
        assert_eq!(marked(&sessions), ([true, false, true], [true; 4]));
        let mut closed = Vec::new();
        assert!(sessions.close(110, &mut Budget::new(100), &mut closed));
        assert_eq!(marked(&sessions), ([false, false, true], [false, false, true, true]));
        assert!(sessions.close(210, &mut Budget::new(100), &mut closed));
        assert_eq!((closed.len(), sessions.open_windows(), sessions.several.len()), (3, 1, 0));
        assert!(sessions.close(310, &mut Budget::new(100), &mut closed));
        assert_eq!(marked(&sessions), ([false; 3], [false; 4]));
    }
}
