//! A naive, obviously right implementation: keep every event, look at all of them, compute. Time
//! is in units; there are no slices, no queues, no sketches.

use std::collections::{BTreeMap, BTreeSet};

use flumen::windowing::{Family, Kind, Layout};

use crate::rig::Event;

/// One result, with the events it is made of.
#[derive(Clone, Debug)]
pub struct Expected {
    pub window: usize,
    pub group: u32,
    pub start: i64,
    pub end: i64,
    pub is_final: bool,
    pub revision: u32,
    pub partial: bool,
    pub replaces: Vec<(i64, i64)>,
    pub events: Vec<Event>,
}

/// A tumbling or sliding window that has events.
#[derive(Default)]
struct Aligned {
    events: Vec<Event>,
    published: u32,
    revised: bool,
}

#[derive(Clone, Default)]
struct Session {
    events: Vec<Event>,
    published: bool,
    revised: bool,
    revision: u32,
    replaces: Vec<(i64, i64)>,
}

impl Session {
    fn first(&self) -> i64 {
        self.events.iter().map(|e| e.time).min().unwrap()
    }

    fn end(&self, gap: i64) -> i64 {
        self.events.iter().map(|e| e.time).max().unwrap() + gap
    }
}

pub struct Oracle {
    layout: Layout,
    delay: i64,
    idle_timeout: i64,
    /// Everything that has happened: mono, wall, largest event time of the arrival.
    arrivals: Vec<(i64, i64, i64)>,
    pub watermark: i64,
    aligned: BTreeMap<(usize, i64, u32), Aligned>,
    sessions: BTreeMap<(usize, u32), Vec<Session>>,
    pub results: Vec<Expected>,
    pub applied: u64,
    pub late: u64,
    pub missed: Vec<(usize, f64)>,
}

fn group_of(family: Family, event: &Event) -> Option<u32> {
    match family {
        Family::All => Some(0),
        Family::Source => Some(event.source),
        Family::Kind => Some(u32::from(event.kind)),
        Family::Given { .. } => event.group,
    }
}

impl Oracle {
    pub fn new(layout: &Layout, delay: i64, idle_timeout: i64) -> Self {
        Self {
            layout: layout.clone(),
            delay,
            idle_timeout,
            arrivals: Vec::new(),
            watermark: i64::MIN,
            aligned: BTreeMap::new(),
            sessions: BTreeMap::new(),
            results: Vec::new(),
            applied: 0,
            late: 0,
            missed: Vec::new(),
        }
    }

    /// `min(largest event time, wall clock) - delay`, with silence; never back.
    fn move_watermark(&mut self, mono: i64, wall: i64) {
        let with_events = self.arrivals.iter().filter(|a| a.2 != i64::MIN);
        let Some(largest) = with_events.clone().map(|a| a.2).max() else {
            return;
        };
        let last_event = with_events.map(|a| a.0).max().unwrap();
        let silence = mono - last_event;
        let reached = if silence >= self.idle_timeout { largest + silence } else { largest };
        self.watermark = self.watermark.max(reached.min(wall) - self.delay);
    }

    /// Time passes; what is due comes out.
    pub fn pass(&mut self, mono: i64, wall: i64) {
        self.move_watermark(mono, wall);
        self.close(self.watermark);
    }

    fn close(&mut self, watermark: i64) {
        let mut due = Vec::new();
        for (&(window, start, group), aligned) in &mut self.aligned {
            let Kind::Aligned { size_us: size, .. } = self.layout.windows[window].kind else {
                unreachable!()
            };
            if start + size <= watermark && aligned.published == 0 {
                aligned.published = 1;
                due.push(expected(window, group, (start, start + size), 0, &[], &aligned.events));
            }
        }
        for (&(window, group), sessions) in &mut self.sessions {
            let Kind::Session { gap_us: gap } = self.layout.windows[window].kind else { unreachable!() };
            for session in sessions.iter_mut() {
                if !session.published && session.end(gap) <= watermark {
                    session.published = true;
                    due.push(publish_session(window, group, gap, session));
                }
            }
            let lateness = self.layout.windows[window].lateness_us;
            sessions.retain(|s| s.end(gap).saturating_add(lateness) > watermark);
        }
        due.sort_by_key(|e| (e.end, e.window, e.start, e.group));
        self.publish(due);
    }

    pub fn arrive(&mut self, mono: i64, wall: i64, events: &[Event]) {
        self.pass(mono, wall);
        for event in events {
            let mut taken = false;
            let mut missed = Vec::new();
            for window in 0..self.layout.windows.len() {
                let spec = &self.layout.windows[window];
                let Some(group) = group_of(self.layout.families[spec.family], event) else {
                    continue;
                };
                let entered = match spec.kind {
                    Kind::Aligned { size_us, slide_us } => {
                        self.enter(window, group, size_us, slide_us, event)
                    }
                    Kind::Session { gap_us } => self.join(window, group, gap_us, event),
                };
                taken |= entered;
                if !entered {
                    missed.push((window, event.value));
                }
            }
            self.missed.extend(missed);
            if taken {
                self.applied += 1;
            } else {
                self.late += 1;
            }
        }
        let largest = events.iter().map(|e| e.time).max().unwrap_or(i64::MIN);
        self.arrivals.push((mono, wall, largest));
        self.revise();
    }

    fn enter(&mut self, window: usize, group: u32, size: i64, slide: i64, event: &Event) -> bool {
        let lateness = self.layout.windows[window].lateness_us;
        let mut entered = false;
        // Every multiple of the slide that could be the start of a window over the event.
        for n in (event.time - size).div_euclid(slide)..=event.time.div_euclid(slide) {
            let (start, end) = (n * slide, n * slide + size);
            if start <= event.time && event.time < end && end.saturating_add(lateness) > self.watermark {
                let aligned = self.aligned.entry((window, start, group)).or_default();
                aligned.events.push(event.clone());
                aligned.revised |= end <= self.watermark;
                entered = true;
            }
        }
        entered
    }

    fn join(&mut self, window: usize, group: u32, gap: i64, event: &Event) -> bool {
        let lateness = self.layout.windows[window].lateness_us;
        let sessions = self.sessions.entry((window, group)).or_default();
        let mut joined = Session { events: vec![event.clone()], published: true, ..Session::default() };
        let mut apart = Vec::new();
        for session in sessions.iter() {
            let near = |e: &Event| (e.time - event.time).abs() <= gap;
            if session.events.iter().any(near) {
                joined.events.extend(session.events.iter().cloned());
                joined.revision = joined.revision.max(session.revision);
                joined.replaces.extend(&session.replaces);
            } else {
                apart.push(session.clone());
            }
        }
        if joined.end(gap).saturating_add(lateness) <= self.watermark {
            return false;
        }
        joined.published = joined.end(gap) <= self.watermark;
        joined.revised = joined.published;
        apart.push(joined);
        apart.sort_by_key(Session::first);
        *sessions = apart;
        true
    }

    fn revise(&mut self) {
        let mut revised = Vec::new();
        for (&(window, start, group), aligned) in &mut self.aligned {
            if std::mem::take(&mut aligned.revised) {
                let Kind::Aligned { size_us: size, .. } = self.layout.windows[window].kind else {
                    unreachable!()
                };
                let bounds = (start, start + size);
                revised.push(expected(window, group, bounds, aligned.published, &[], &aligned.events));
                aligned.published += 1;
            }
        }
        for (&(window, group), sessions) in &mut self.sessions {
            let Kind::Session { gap_us: gap } = self.layout.windows[window].kind else { unreachable!() };
            for session in sessions.iter_mut().filter(|s| s.revised) {
                session.revised = false;
                revised.push(publish_session(window, group, gap, session));
            }
        }
        revised.sort_by_key(|e| (e.end, e.window, e.start, e.group));
        self.publish(revised);
    }

    pub fn drain(&mut self) {
        let finals = self.results.len();
        self.close(i64::MAX);
        for result in &mut self.results[finals..] {
            result.is_final = result.end <= self.watermark;
            result.partial |= !result.is_final;
        }
    }

    /// Windows that hold events and have not closed: sessions each, others whatever their groups.
    pub fn open_windows(&self) -> usize {
        let open = self.aligned.keys().filter(|&&(window, start, _)| {
            let Kind::Aligned { size_us: size, .. } = self.layout.windows[window].kind else {
                unreachable!()
            };
            start + size > self.watermark
        });
        let open: BTreeSet<_> = open.map(|&(window, start, _)| (window, start)).collect();
        open.len() + self.sessions.values().flatten().filter(|s| !s.published).count()
    }

    fn publish(&mut self, mut results: Vec<Expected>) {
        if let Some(started) = self.layout.started_us {
            for result in &mut results {
                let spec = &self.layout.windows[result.window];
                let begins = match spec.kind {
                    Kind::Aligned { .. } => result.start,
                    Kind::Session { gap_us } => result.start - gap_us,
                };
                let open_until = result.end + spec.lateness_us + self.delay;
                result.partial = begins < started && started < open_until;
            }
        }
        self.results.extend(results);
    }
}

fn publish_session(window: usize, group: u32, gap: i64, session: &mut Session) -> Expected {
    let bounds = (session.first(), session.end(gap));
    session.replaces.retain(|old| *old != bounds);
    let result = expected(window, group, bounds, session.revision, &session.replaces, &session.events);
    session.replaces = vec![bounds];
    session.revision += 1;
    result
}

fn expected(
    window: usize,
    group: u32,
    (start, end): (i64, i64),
    revision: u32,
    replaces: &[(i64, i64)],
    events: &[Event],
) -> Expected {
    Expected {
        window,
        group,
        start,
        end,
        is_final: true,
        revision,
        partial: false,
        replaces: replaces.to_vec(),
        events: events.to_vec(),
    }
}
