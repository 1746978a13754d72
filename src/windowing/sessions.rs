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

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::ids::InUse;
use super::{Budget, Closed, Family, Kind, Layout, Sample, Trigger, WindowSet};
use crate::aggregate::{Aggregate, Projection};

#[derive(Debug)]
struct Session {
    /// Tells entries of the queue for this session from those for sessions that are gone.
    id: u64,
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
    /// Boxed, and in a queue: most groups have one session, but a replay may open thousands in
    /// one, and they go from the front.
    groups: HashMap<u32, VecDeque<Box<Session>>, RandomState>,
    /// Moment, group, session.
    queue: BinaryHeap<Reverse<(i64, u32, u64)>>,
    /// Groups with revised sessions.
    revised: Vec<u32>,
    next_id: u64,
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
                groups: HashMap::default(),
                queue: BinaryHeap::new(),
                revised: Vec::new(),
                next_id: 0,
                open: 0,
            }),
            Kind::Aligned { .. } => None,
        });
        sessions.collect()
    }

    /// Puts an event where it belongs; whether it was in time. If not, `missed` gets the window.
    pub fn event(&mut self, sample: &Sample, watermark_us: i64, missed: &mut WindowSet) -> bool {
        let Some(group) = self.family.group_of(sample) else {
            return false;
        };
        let time_us = sample.time_us;
        let sessions = self.groups.entry(group).or_default();
        // Nearly every event: it goes on with the only session, which is open.
        if sessions.len() == 1
            && let Some(only) = sessions.front_mut()
            && !only.published
            && (only.first_us..=only.last_us.saturating_add(self.gap_us)).contains(&time_us)
        {
            only.last_us = only.last_us.max(time_us);
            sample.record(&mut only.aggregate, &self.show);
            return true;
        }
        // The sessions that the event reaches stand side by side.
        let from = sessions.partition_point(|s| s.last_us.saturating_add(self.gap_us) < time_us);
        let to = sessions.partition_point(|s| s.first_us <= time_us.saturating_add(self.gap_us));
        let reached = to.checked_sub(1).filter(|&last| last >= from);
        let last_us = reached.map_or(time_us, |last| sessions[last].last_us.max(time_us));
        let end_us = last_us.saturating_add(self.gap_us);
        if end_us.saturating_add(self.lateness_us) <= watermark_us {
            if sessions.is_empty() {
                self.groups.remove(&group);
            }
            missed.insert(self.window);
            return false;
        }
        if from == to {
            let session = Session {
                id: self.next_id,
                first_us: time_us,
                last_us: time_us,
                looked_at_us: i64::MAX,
                published: false,
                revised: false,
                revision: 0,
                replaces: Vec::new(),
                aggregate: Aggregate::default(),
            };
            self.next_id += 1;
            self.open += 1;
            sessions.insert(from, Box::new(session));
        } else {
            for mut other in sessions.drain(from + 1..to).collect::<Vec<_>>() {
                let session = &mut sessions[from];
                if !session.published && !other.published {
                    self.open -= 1;
                }
                session.absorb(&mut other);
            }
            let session = &mut sessions[from];
            session.first_us = session.first_us.min(time_us);
            session.last_us = last_us;
        }
        let session = &mut sessions[from];
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

    /// Hands out the sessions that late events have changed since the last call; whether all are
    /// out.
    pub fn revise(&mut self, trigger: Trigger, budget: &mut Budget, out: &mut Vec<Closed>) -> bool {
        while let Some(group) = self.revised.pop() {
            for session in self.groups.get_mut(&group).into_iter().flatten().filter(|s| s.revised) {
                if !budget.spend(1) {
                    self.revised.push(group);
                    return false;
                }
                session.revised = false;
                let aggregate = session.aggregate.clone();
                out.push(session.result(self.window, group, self.gap_us, trigger, aggregate));
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
            let Some(sessions) = self.groups.get_mut(&group) else { continue };
            let Some(index) = sessions.iter().position(|s| s.id == id && s.looked_at_us == at_us) else {
                continue;
            };
            let session = &mut sessions[index];
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
                sessions.remove(index);
                if sessions.is_empty() {
                    self.groups.remove(&group);
                }
            } else {
                session.looked_at_us = if session.published { gone_us } else { end_us };
                self.queue.push(Reverse((session.looked_at_us, group, id)));
            }
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
        for (&group, sessions) in &self.groups {
            in_use.group(self.family.names(), group);
            sessions.iter().for_each(|session| in_use.aggregate(&session.aggregate));
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
