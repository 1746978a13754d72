use super::*;
use crate::aggregate::Aggregate;
use crate::config::Statistic;
use crate::event::Member;
use crate::plan::windows::WindowPlan;
use crate::windowing::Trigger;
use std::time::Duration;

const S: i64 = 1_000_000;

pub(super) fn alert() -> Alert {
    Alert {
        name: "hot".to_owned(),
        window: "w".to_owned(),
        field: "value".to_owned(),
        statistic: Statistic::Max,
        above: Some(80.0),
        below: None,
        hold: Duration::ZERO,
        level: "warning".to_owned(),
        message: "{group}: {value:.0}".to_owned(),
    }
}

/// Alerts on a window by source of ten seconds.
struct World {
    alerts: Alerts,
    windows: Vec<Window>,
    groups: Groups,
    dictionary: Dictionary,
    now_us: i64,
}

impl World {
    fn new(rules: &[Alert]) -> Self {
        let mut window = Window::new("w", WindowKind::Tumbling { size: Duration::from_secs(10) });
        window.group_by = vec![Member::Source];
        let windows = vec![window];
        let plan = WindowPlan::new(&windows);
        let groups = Groups::new(&windows, &plan);
        let dictionary = Dictionary::new(0);
        dictionary.fields.pin("value");
        for source in ["a", "b"] {
            dictionary.sources.pin(source);
        }
        let mut world = Self { alerts: Alerts::default(), windows, groups, dictionary, now_us: 0 };
        assert_eq!(world.tell(|alerts, words| alerts.replace(rules, words)), [""; 0]);
        world
    }

    /// Changes as "state message value".
    fn tell(&mut self, what: impl FnOnce(&mut Alerts, &Words<'_>) -> Vec<Change>) -> Vec<String> {
        let (windows, groups, dictionary) = (&self.windows, &self.groups, &self.dictionary);
        self.now_us += 1;
        let words = Words { windows, groups, dictionary, now_us: self.now_us };
        let text = |change: Change| {
            let json: serde_json::Value = serde_json::from_str(&change.json).unwrap();
            assert_eq!(change.fires, json["state"] == "firing");
            format!(
                "{} {} {}",
                json["state"].as_str().unwrap(),
                json["message"].as_str().unwrap(),
                json["value"]
            )
        };
        what(&mut self.alerts, &words).into_iter().map(text).collect()
    }

    /// A final result of a group's window that ends at `end_s`.
    fn result(&mut self, group: u32, end_s: i64, value: f64) -> Vec<String> {
        self.revision(group, end_s, value, 0)
    }

    fn revision(&mut self, group: u32, end_s: i64, value: f64, revision: u32) -> Vec<String> {
        let closed = Self::closed(group, end_s, value, revision);
        self.tell(|alerts, words| alerts.judge(&closed, words))
    }

    fn closed(group: u32, end_s: i64, value: f64, revision: u32) -> Closed {
        let mut aggregate = Aggregate::default();
        aggregate.begin_event(group, 0);
        aggregate.record_field(0, value);
        Closed {
            window: 0,
            group,
            start_us: (end_s - 10) * S,
            end_us: end_s * S,
            trigger: Trigger::Due,
            partial: false,
            revision,
            replaces: Vec::new(),
            aggregate,
        }
    }
}

#[test]
fn only_changes_are_told() {
    let mut world = World::new(&[alert()]);
    assert_eq!(world.result(0, 10, 70.0), [""; 0]);
    assert_eq!(world.result(0, 20, 80.0), [""; 0], "not above");
    assert_eq!(world.result(0, 30, 90.0), ["firing a: 90 90.0"]);
    assert_eq!(world.result(1, 30, 91.0), ["firing b: 91 91.0"], "each group by itself");
    assert_eq!(world.result(0, 40, 95.0), [""; 0], "still");
    assert_eq!(world.alerts.firing().len(), 2);
    assert_eq!(world.result(0, 50, 60.0), ["resolved a: 90 60.0"]);
    assert_eq!(world.alerts.firing().len(), 1);
    assert_eq!(world.result(0, 60, 90.0), ["firing a: 90 90.0"], "again");
    // The newest is the last, whatever its group's number.
    let firing = world.alerts.firing();
    let messages =
        firing.iter().map(|json| serde_json::from_str::<serde_json::Value>(json).unwrap()["message"].clone());
    assert_eq!(messages.collect::<Vec<_>>(), ["b: 91", "a: 90"]);
}

#[test]
fn below_and_for() {
    let hold = Duration::from_secs(20);
    let mut world = World::new(&[Alert { above: None, below: Some(5.0), hold, ..alert() }]);
    assert_eq!(world.result(0, 10, 4.0), [""; 0]);
    assert_eq!(world.result(0, 20, 4.0), [""; 0]);
    assert_eq!(world.result(0, 30, 3.0), ["firing a: 3 3.0"], "for 20 s");
    assert_eq!(world.result(0, 40, 6.0), ["resolved a: 3 6.0"]);
    assert_eq!(world.result(0, 50, 4.0), [""; 0]);
    assert_eq!(world.result(0, 60, 9.0), [""; 0], "it never fired");
    assert_eq!(world.result(0, 70, 4.0), [""; 0], "from the beginning");
    assert_eq!(world.result(0, 80, 4.0), [""; 0]);
}

#[test]
fn silence_resolves() {
    let hold = Duration::from_secs(10);
    let mut world = World::new(&[alert(), Alert { hold, name: "long".to_owned(), ..alert() }]);
    assert_eq!(world.result(0, 10, 90.0), ["firing a: 90 90.0"]);
    let expire = |world: &mut World, at: i64| world.tell(|alerts, words| alerts.expire(at * S, words));
    assert_eq!(expire(&mut world, 19), [""; 0], "the next window has not closed");
    assert_eq!(expire(&mut world, 20), ["resolved a: 90 null"], "it closed without this group");
    // What held and had not fired begins anew as well.
    assert_eq!(world.result(0, 30, 90.0), ["firing a: 90 90.0"]);
    assert_eq!(world.alerts.states.len(), 2);
}

#[test]
fn a_result_that_is_missing_in_between_ends_it_as_well() {
    let hold = Duration::from_secs(20);
    let mut world = World::new(&[alert(), Alert { hold, name: "long".to_owned(), ..alert() }]);
    assert_eq!(world.result(0, 10, 90.0), ["firing a: 90 90.0"]);
    assert_eq!(world.result(0, 30, 91.0), ["resolved a: 90 null", "firing a: 91 91.0"]);
    assert_eq!(world.result(0, 40, 91.0), [""; 0], "for 10 s");
    assert_eq!(world.result(0, 50, 91.0), ["firing a: 91 91.0"], "for 20 s");
}

/// Sessions of different groups end when they like.
#[test]
fn sessions_are_judged_by_group() {
    let mut world = World::new(&[]);
    world.windows[0].kind = WindowKind::Session { gap: Duration::from_secs(10) };
    assert_eq!(world.tell(|alerts, words| alerts.replace(&[alert()], words)), [""; 0]);
    assert_eq!(world.result(1, 18, 70.0), [""; 0]);
    assert_eq!(world.result(0, 15, 90.0), ["firing a: 90 90.0"], "late, and the newest of its group");
    assert_eq!(world.revision(0, 16, 40.0, 1), ["resolved a: 90 40.0"]);
    assert_eq!(world.revision(0, 12, 90.0, 1), [""; 0], "nobody knows what came since");
    assert_eq!(world.result(0, 40, 90.0), ["firing a: 90 90.0"]);
    let gone = world.tell(|alerts, words| alerts.expire(50 * S, words));
    assert_eq!(gone, ["resolved a: 90 null"], "a gap behind its end");
}

#[test]
fn revisions_of_the_newest_result_count_and_older_ones_do_not() {
    let mut world = World::new(&[alert()]);
    assert_eq!(world.result(0, 10, 70.0), [""; 0]);
    assert_eq!(world.revision(0, 10, 85.0, 1), ["firing a: 85 85.0"]);
    assert_eq!(world.revision(0, 10, 86.0, 2), [""; 0]);
    assert_eq!(world.result(0, 20, 70.0), ["resolved a: 85 70.0"]);
    assert_eq!(world.revision(0, 10, 99.0, 3), [""; 0]);
}

#[test]
fn a_reload_keeps_what_fires_by_the_same_rule_and_resolves_the_rest() {
    let second = Alert { name: "second".to_owned(), above: Some(50.0), ..alert() };
    let mut world = World::new(&[alert(), second.clone()]);
    assert_eq!(world.result(0, 10, 90.0).len(), 2);
    assert_eq!(world.tell(|alerts, words| alerts.replace(&[second], words)), ["resolved a: 90 null"]);
    assert_eq!(world.result(0, 20, 90.0), [""; 0]);
    assert_eq!(world.result(0, 30, 40.0), ["resolved a: 90 40.0"]);
}

#[test]
fn states_are_bounded() {
    let critical = Alert { name: "critical".to_owned(), above: Some(1_000.0), ..alert() };
    let mut world = World::new(&[alert(), critical]);
    for group in 0..MOST_STATES as u32 + 5 {
        world.result(group, 10, 90.0);
    }
    let after = MOST_STATES as u32 + 5;
    assert_eq!(world.result(after, 10, 2_000.0).len(), 1, "another rule has room");
    assert_eq!(world.result(after, 20, 5.0).len(), 1);
    world.alerts.untracked -= 1;
    assert_eq!((world.alerts.firing().len(), world.alerts.untracked), (MOST_STATES, 5));
    assert_eq!(world.alerts.groups().count(), MOST_STATES);
    world.result(3, 20, 1.0);
    assert_eq!(world.result(1_000_000, 20, 90.0).len(), 1, "there is room again");
}

/// The first window after a start lacks what came before it: it may be too much already, but not too little.
#[test]
fn a_partial_result_is_not_below() {
    let sum = Alert { statistic: Statistic::Sum, ..alert() };
    let mut world = World::new(&[Alert { above: None, below: Some(50.0), ..sum.clone() }, sum]);
    let mut judge = |end_s, value| {
        let closed = Closed { partial: true, ..World::closed(0, end_s, value, 0) };
        world.tell(|alerts, words| alerts.judge(&closed, words))
    };
    assert_eq!(judge(10, 4.0), [""; 0]);
    assert_eq!(judge(20, 90.0), ["firing a: 90 90.0"], "above it is what it is");
    assert_eq!(world.result(0, 30, 4.0), ["firing a: 4 4.0", "resolved a: 90 4.0"]);
    let undone = |statistic, above, below| more_might_undo(&Alert { statistic, above, below, ..alert() });
    assert!(undone(Statistic::Max, None, Some(1.0)) && !undone(Statistic::Max, Some(1.0), None));
    assert!(undone(Statistic::Min, Some(1.0), None) && !undone(Statistic::Min, None, Some(1.0)));
}

#[test]
fn a_rule_that_is_changed_looks_on_from_where_it_was() {
    let mut world = World::new(&[alert()]);
    assert_eq!(world.result(0, 100, 70.0), [""; 0]);
    let changed = Alert { message: "changed: {value:.0}".to_owned(), ..alert() };
    assert_eq!(world.tell(|alerts, words| alerts.replace(&[changed], words)), [""; 0]);
    assert_eq!(world.revision(0, 50, 90.0, 1), [""; 0], "of a window before the newest");
    assert_eq!(world.result(0, 110, 90.0), ["firing changed: 90 90.0"]);
}
