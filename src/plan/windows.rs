//! Pure: the configured windows → families, filters, groupings, and the thread an event goes to.
//!
//! Windows with the same `where` and `group_by` are a family: they see the same events in the
//! same groups and share slices. Filters and groupings are worked out once an event, by the parse
//! thread, however many windows have them.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::aggregate::Projection;
use crate::config::{Window, WindowKind};
use crate::event::Member;
use crate::event::filter::Filter;
use crate::windowing::{Family, GroupNames, Kind, Layout, Spec};

/// Which window thread an event goes to. Parts of tumbling and sliding windows are merged
/// anyway; a session must live in one thread as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// By source.
    Source,
    /// By another member that all session windows are grouped by.
    Member(Member),
    /// All to the first: session windows have nothing in common that they are grouped by.
    First,
}

/// One family: which events, in which groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyPlan {
    /// Index of its filter.
    pub filter: Option<usize>,
    /// How events find their groups.
    pub family: Family,
}

/// What the configured windows come to.
#[derive(Clone, Debug)]
pub struct WindowPlan {
    /// All families.
    pub families: Vec<FamilyPlan>,
    /// The family of each window.
    pub family_of: Vec<usize>,
    /// Different filters.
    pub filters: Vec<Filter>,
    /// Different groupings that need a table of names: all but source alone and type alone.
    pub groupings: Vec<Vec<Member>>,
    /// Dimensions whose distinct values are counted.
    pub distinct: Vec<Member>,
    /// Numeric fields that any window shows; `None`: all.
    pub fields: Option<BTreeSet<String>>,
    /// Whether any window looks at strings in `data` or `metadata`.
    pub strings: bool,
    /// Which window thread an event goes to.
    pub route: Route,
}

impl WindowPlan {
    /// Sorts windows into families.
    pub fn new(windows: &[Window]) -> Self {
        let mut plan = Self {
            families: Vec::new(),
            family_of: Vec::new(),
            filters: Vec::new(),
            groupings: Vec::new(),
            distinct: Vec::new(),
            fields: Some(BTreeSet::new()),
            strings: false,
            route: route(windows),
        };
        for window in windows {
            let filter = window.filter.as_ref().map(|filter| index_of(&mut plan.filters, filter));
            let names = match &*window.group_by {
                [] => GroupNames::None,
                [Member::Source] => GroupNames::Sources,
                [Member::Kind] => GroupNames::Kinds,
                members => GroupNames::Table(index_of(&mut plan.groupings, &members.to_vec()) as u16),
            };
            let known = plan.families.iter().position(|f| f.filter == filter && f.family.names() == names);
            let family = known.unwrap_or_else(|| {
                let slot = plan.families.len() as u16;
                let family = match (filter, names) {
                    (None, GroupNames::None) => Family::All,
                    (None, GroupNames::Sources) => Family::Source,
                    (None, GroupNames::Kinds) => Family::Kind,
                    _ => Family::Given { slot, names },
                };
                plan.families.push(FamilyPlan { filter, family });
                plan.families.len() - 1
            });
            plan.family_of.push(family);
            plan.fields = match (plan.fields.take(), &window.fields) {
                (Some(known), Some(more)) => Some(known.into_iter().chain(more.iter().cloned()).collect()),
                _ => None,
            };
            for member in &window.distinct {
                index_of(&mut plan.distinct, member);
            }
        }
        let is_inner = |member: &Member| matches!(member, Member::Data(_) | Member::Metadata(_));
        plan.strings = plan.filters.iter().any(|filter| filter.looks_at(&is_inner))
            || plan.groupings.iter().flatten().chain(&plan.distinct).any(is_inner);
        plan
    }

    /// What the engines take. `field` gives the number of a field's name.
    pub fn layout(&self, windows: &[Window], started_us: Option<i64>, field: impl Fn(&str) -> u32) -> Layout {
        let specs = windows.iter().zip(&self.family_of).map(|(window, &family)| {
            let kind = match window.kind {
                WindowKind::Tumbling { size } => {
                    Kind::Aligned { size_us: micros(size), slide_us: micros(size) }
                }
                WindowKind::Sliding { size, slide } => {
                    Kind::Aligned { size_us: micros(size), slide_us: micros(slide) }
                }
                WindowKind::Session { gap } => Kind::Session { gap_us: micros(gap) },
            };
            let fields = window.fields.as_ref().map(|names| names.iter().map(|name| field(name)).collect());
            let slot = |member| self.distinct.iter().position(|known| known == member).map(|at| at as u16);
            let distinct = window.distinct.iter().filter_map(slot).collect();
            Spec {
                kind,
                family,
                lateness_us: micros(window.allowed_lateness),
                show: Projection::new(fields, distinct),
            }
        });
        Layout {
            windows: specs.collect(),
            families: self.families.iter().map(|f| f.family).collect(),
            started_us,
        }
    }
}

/// What all session windows are grouped by decides; the source if it is among it, or if there
/// are no session windows.
fn route(windows: &[Window]) -> Route {
    let mut sessions = windows.iter().filter(|w| matches!(w.kind, WindowKind::Session { .. }));
    let Some(first) = sessions.next() else {
        return Route::Source;
    };
    let rest: Vec<_> = sessions.collect();
    let mut common = first.group_by.iter().filter(|m| rest.iter().all(|w| w.group_by.contains(m)));
    match common.clone().find(|m| **m == Member::Source).or_else(|| common.next()) {
        Some(Member::Source) => Route::Source,
        Some(member) => Route::Member(member.clone()),
        None => Route::First,
    }
}

fn index_of<T: PartialEq + Clone>(list: &mut Vec<T>, item: &T) -> usize {
    list.iter().position(|known| known == item).unwrap_or_else(|| {
        list.push(item.clone());
        list.len() - 1
    })
}

/// Whole microseconds of a duration.
pub fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Writes the key of a group for its table of names: each value with its length in front, or
/// `-` for one that is absent, so that no value can pass for two.
pub fn encode_group<'a>(key: &mut String, values: impl Iterator<Item = Option<&'a str>>) {
    use std::fmt::Write;
    key.clear();
    for value in values {
        match value {
            Some(value) => {
                let written = write!(key, "{}:{value}", value.len());
                debug_assert!(written.is_ok(), "writing to a string cannot fail");
            }
            None => key.push('-'),
        }
    }
}

/// Undoes [`encode_group`].
pub fn decode_group(mut key: &str) -> Vec<Option<&str>> {
    let mut values = Vec::new();
    while !key.is_empty() {
        if let Some(rest) = key.strip_prefix('-') {
            values.push(None);
            key = rest;
            continue;
        }
        let parsed = key.split_once(':').and_then(|(len, rest)| rest.split_at_checked(len.parse().ok()?));
        let Some((value, rest)) = parsed else {
            debug_assert!(false, "not a group's key: {key:?}");
            break;
        };
        values.push(Some(value));
        key = rest;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn window(kind: WindowKind, group_by: &[&str], filter: Option<&str>) -> Window {
        let member = |text: &&str| Member::parse(text).unwrap();
        Window {
            group_by: group_by.iter().map(member).collect(),
            filter: filter.map(|text| Filter::parse(text).unwrap()),
            ..Window::new("w", kind)
        }
    }

    const S: Duration = Duration::from_secs(1);
    const TUMBLING: WindowKind = WindowKind::Tumbling { size: S };
    const SESSION: WindowKind = WindowKind::Session { gap: S };

    #[test]
    fn the_defaults_are_two_families() {
        let plan = WindowPlan::new(&Config::default().windows);
        assert_eq!(plan.family_of, [0, 0, 0, 1]);
        assert_eq!(plan.families[0].family, Family::All);
        assert_eq!(plan.families[1].family, Family::Source);
        assert_eq!(plan.route, Route::Source);
        assert!(plan.groupings.is_empty());
    }

    #[test]
    fn what_is_the_same_is_worked_out_once() {
        let windows = [
            window(TUMBLING, &["rack", "type"], None),
            window(TUMBLING, &["data.rack", "type"], Some("value > 1")),
            window(TUMBLING, &["type", "rack"], Some("data.value > 1.0")),
            window(TUMBLING, &["rack", "type"], Some("value > 1")),
        ];
        let plan = WindowPlan::new(&windows);
        assert_eq!(plan.family_of, [0, 1, 2, 1]);
        assert_eq!((plan.filters.len(), plan.groupings.len()), (1, 2));
    }

    #[test]
    fn sessions_decide_where_events_go() {
        let route = |sessions: &[&[&str]]| {
            let sessions: Vec<_> = sessions.iter().map(|by| window(SESSION, by, None)).collect();
            WindowPlan::new(&sessions).route
        };
        assert_eq!(route(&[]), Route::Source);
        assert_eq!(route(&[&["type", "source"], &["source"]]), Route::Source);
        assert_eq!(route(&[&["rack", "type"], &["type"]]), Route::Member(Member::Kind));
        assert_eq!(route(&[&["source"], &["type"]]), Route::First);
        assert_eq!(route(&[&[]]), Route::First);
    }

    #[test]
    fn groups_survive_their_keys() {
        for values in [
            vec![Some("a"), None, Some("")],
            vec![Some("1:a"), Some("-"), Some("é:")],
            vec![None],
            vec![Some("-")],
        ] {
            let mut key = String::new();
            encode_group(&mut key, values.iter().copied());
            assert_eq!(decode_group(&key), values);
        }
    }
}
