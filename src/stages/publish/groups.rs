//! The groups of results in words: which members a window is grouped by, and the values behind
//! a group's number.

use std::sync::Arc;

use crate::config::Window;
use crate::event::Member;
use crate::plan::windows::{WindowPlan, decode_group};
use crate::runtime::names::Dictionary;
use crate::windowing::GroupNames;

/// A group: the members it is made of and their values; `None`: the events have no such member.
pub type Group = Arc<[(Arc<str>, Option<Arc<str>>)]>;

/// The group of a window that is not grouped.
pub fn none() -> Group {
    Arc::from([])
}

/// By window: the table of names behind its groups, and the members.
#[derive(Debug)]
pub struct Groups {
    /// Dimensions whose distinct values are counted, by slot.
    pub distinct: Vec<Member>,
    windows: Vec<(GroupNames, Vec<Arc<str>>)>,
}

impl Groups {
    /// The groups of `windows`.
    pub fn new(windows: &[Window], plan: &WindowPlan) -> Self {
        let names = plan.family_of.iter().map(|&family| plan.families[family].family.names());
        let labels = |w: &Window| w.group_by.iter().map(|member| member.label().into()).collect();
        Self { distinct: plan.distinct.clone(), windows: names.zip(windows.iter().map(labels)).collect() }
    }

    /// The table of names behind a window's groups.
    pub fn names(&self, window: usize) -> GroupNames {
        self.windows.get(window).map_or(GroupNames::None, |&(names, _)| names)
    }

    /// The group behind a number.
    pub fn of(&self, window: usize, group: u32, dictionary: &Dictionary) -> Group {
        let Some((names, labels)) = self.windows.get(window) else {
            return none();
        };
        let whole = |name: Arc<str>| labels.iter().map(|label| (label.clone(), Some(name.clone()))).collect();
        match names {
            GroupNames::None => none(),
            GroupNames::Sources => whole(dictionary.sources.name(group)),
            GroupNames::Kinds => whole(dictionary.types.name(group)),
            GroupNames::Table(table) => {
                let Some(names) = dictionary.groups.get(usize::from(*table)) else {
                    return none();
                };
                let key = names.name(group);
                let values = decode_group(&key).into_iter().map(|value| value.map(Arc::from));
                labels.iter().cloned().zip(values).collect()
            }
        }
    }
}
