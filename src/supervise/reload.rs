//! What a reload (SIGHUP) takes over, and what it leaves for the next start. Pure.
//!
//! What must hold: the configuration in force is the one the daemon was started with, but for
//! what [`InForce::take_over`] says it has taken over; which options these are stands in the table
//! of options, and nowhere else.

use std::fmt;

use crate::config::entries::{self, Members, to_toml};
use crate::config::options::{OPTIONS, Reload};
use crate::config::{Alert, Config, Window};
use crate::event::rules;

/// What the daemon goes by.
#[derive(Debug)]
pub struct InForce {
    started: Config,
    config: Config,
}

/// One thing that differs between two configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `limits.keys`, `[[alert]] slow-checkout: above`.
    pub what: String,
    /// As it stands in a file; empty: it was not there.
    pub old: String,
    /// As it stands in a file; empty: it is gone.
    pub new: String,
    /// Anything else there is to say; mostly empty.
    pub note: String,
}

/// Whose rules are in force after a reload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rules {
    /// The configuration has none and had none when last read: those that were set over HTTP, if
    /// any, stay.
    #[default]
    Kept,
    /// Those of the configuration, which has some, or had some when last read.
    Configured,
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kept => "the configuration has no rules; those set over HTTP, if any, stay",
            Self::Configured => "the rules are those of the configuration",
        })
    }
}

/// What came of a reload. Both lists are empty when nothing has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What is in force now.
    pub taken_over: Vec<Change>,
    /// What takes effect at the next start.
    pub needs_restart: Vec<Change>,
    /// Whose rules are in force.
    pub rules: Rules,
}

impl Change {
    fn new(what: impl Into<String>, old: impl Into<String>, new: impl Into<String>) -> Self {
        Self { what: what.into(), old: old.into(), new: new.into(), note: String::new() }
    }

    fn with_note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, old, new, note } = self;
        match (old.is_empty(), new.is_empty()) {
            (true, true) => f.write_str(what)?,
            (true, false) => write!(f, "{what}: now {new}")?,
            (false, true) => write!(f, "{what}: no longer {old}")?,
            (false, false) => write!(f, "{what}: {old} → {new}")?,
        }
        if note.is_empty() { Ok(()) } else { write!(f, " ({note})") }
    }
}

impl InForce {
    /// The configuration that a daemon is started with.
    pub fn new(config: &Config) -> Self {
        Self { started: config.clone(), config: config.clone() }
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Takes over what can change while running, and says what has and what has not.
    pub fn take_over(&mut self, new: &Config) -> Outcome {
        let mut outcome = Outcome::default();
        if has_rules(&self.config) || has_rules(new) {
            outcome.rules = Rules::Configured;
        }
        self.options(new, &mut outcome);
        compare("[[window]]", &self.config.windows, &new.windows, &mut outcome.needs_restart);
        self.alerts(new, &mut outcome);
        self.filters(new, &mut outcome);
        outcome
    }

    fn filters(&mut self, new: &Config, outcome: &mut Outcome) {
        let shown = |config: &Config| config.filters.iter().map(entries::filter).collect::<Vec<_>>();
        let (before, after) = (shown(&self.config), shown(new));
        for gone in before.iter().filter(|members| !after.contains(members)) {
            outcome.taken_over.push(Change::new("[[filter]]", entries::inline(gone), ""));
        }
        for added in after.iter().filter(|members| !before.contains(members)) {
            outcome.taken_over.push(Change::new("[[filter]]", "", entries::inline(added)));
        }
        self.config.filters.clone_from(&new.filters);
    }

    fn options(&mut self, new: &Config, outcome: &mut Outcome) {
        for option in OPTIONS {
            let change = |old, new| Change::new(option.key, option.show(old), option.show(new));
            let differs = |old, new| option.show(old) != option.show(new);
            // What is the most that can be taken over; the rest needs a restart.
            let most = match option.reload {
                Reload::Takes => new,
                Reload::TakesLess if option.is_at_most(new, &self.started) => new,
                Reload::TakesLess => &self.started,
                Reload::Restart => &self.config,
            };
            if differs(most, new) {
                let more = option.reload == Reload::TakesLess;
                let note = if more { "a reload cannot make it more than at the start" } else { "" };
                outcome.needs_restart.push(change(most, new).with_note(note));
            }
            if differs(&self.config, most) {
                outcome.taken_over.push(change(&self.config, most));
                let most = most.clone();
                option.copy(&most, &mut self.config);
            }
        }
    }

    /// Alerts are taken over, but for those that the windows in force have no results for.
    fn alerts(&mut self, new: &Config, outcome: &mut Outcome) {
        let mut fitting = Vec::new();
        for alert in &new.alerts {
            let window = self.config.windows.iter().find(|window| window.name == alert.window);
            let waits = |note: String| Change::new(title("[[alert]]", &alert.name), "", "").with_note(note);
            match window.map(|window| alert.fits(window)) {
                Some(Ok(())) => fitting.push(alert.clone()),
                Some(Err((key, expected))) => {
                    let note =
                        format!("{key}: for window {:?} as it is now expected {expected}", alert.window);
                    outcome.needs_restart.push(waits(note));
                }
                None => {
                    let note = format!("window {:?} is there after the next start only", alert.window);
                    outcome.needs_restart.push(waits(note));
                }
            }
        }
        compare("[[alert]]", &self.config.alerts, &fitting, &mut outcome.taken_over);
        self.config.alerts = fitting;
    }
}

/// Whether a configuration has rules for events.
fn has_rules(config: &Config) -> bool {
    config.event_rules() != rules::Rules::default()
}

/// One of several tables that are told apart by name.
trait Named {
    fn name(&self) -> &str;
    fn members(&self) -> Members;
}

impl Named for Window {
    fn name(&self) -> &str {
        &self.name
    }

    fn members(&self) -> Members {
        self.members()
    }
}

impl Named for Alert {
    fn name(&self) -> &str {
        &self.name
    }

    fn members(&self) -> Members {
        self.members()
    }
}

fn title(what: &str, name: &str) -> String {
    format!("{what} {name:?}")
}

/// What differs between two lists of tables: those that are new, those that are gone, members
/// of those that stay, and the order.
fn compare<T: Named + PartialEq>(what: &str, old: &[T], new: &[T], changes: &mut Vec<Change>) {
    let find = |list: &[T], name: &str| list.iter().position(|entry| entry.name() == name);
    for entry in old.iter().filter(|entry| find(new, entry.name()).is_none()) {
        changes.push(Change::new(format!("{} is gone", title(what, entry.name())), "", ""));
    }
    for entry in new {
        let title = title(what, entry.name());
        let Some(before) = find(old, entry.name()) else {
            changes.push(Change::new(format!("{title} is new"), "", ""));
            continue;
        };
        let (before, after) = (old[before].members(), entry.members());
        let get = |members: &Members, key| {
            let found = members.iter().find(|(known, _)| *known == key);
            found.map_or_else(String::new, |(_, value)| to_toml(value))
        };
        let gone = before.iter().filter(|(key, _)| !after.iter().any(|(known, _)| known == key));
        for &(key, _) in gone.chain(&after) {
            let (old, new) = (get(&before, key), get(&after, key));
            if old != new {
                changes.push(Change::new(format!("{title}: {key}"), old, new));
            }
        }
    }
    let order = |list: &[T], other: &[T]| -> Vec<String> {
        let stay = list.iter().filter(|entry| find(other, entry.name()).is_some());
        stay.map(|entry| entry.name().to_owned()).collect()
    };
    let (before, after) = (order(old, new), order(new, old));
    if before != after {
        changes.push(Change::new(format!("{what} order"), before.join(", "), after.join(", ")));
    }
}

#[cfg(test)]
mod tests;
