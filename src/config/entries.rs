//! Windows, alerts and filters as they would stand in a file: to be shown, and to be compared.

use serde_json::Value;

use super::units::format_duration;
use super::{Alert, Window, WindowKind};
use crate::event::rules::Filter;
use crate::event::{Member, written_field};

/// The members of one table that are not at their default, in the order of a file.
pub type Members = Vec<(&'static str, Value)>;

impl Window {
    /// The members of its `[[window]]`.
    pub fn members(&self) -> Members {
        let mut members = vec![("name", text(&self.name))];
        let mut time = |key, duration| members.push((key, text(&format_duration(duration))));
        match self.kind {
            WindowKind::Tumbling { size } => time("size", size),
            WindowKind::Sliding { size, slide } => {
                time("size", size);
                time("slide", slide);
            }
            WindowKind::Session { gap } => time("gap", gap),
        }
        members.insert(1, ("kind", text(self.kind.word())));
        let list = |list: &[Member]| Value::Array(list.iter().map(|m| text(&m.label())).collect());
        if !self.group_by.is_empty() {
            members.push(("group_by", list(&self.group_by)));
        }
        if let Some(filter) = &self.filter {
            members.push(("where", text(&filter.to_string())));
        }
        if let Some(fields) = &self.fields {
            members.push((
                "fields",
                Value::Array(fields.iter().map(|name| text(&written_field(name))).collect()),
            ));
        }
        if !self.distinct.is_empty() {
            members.push(("distinct", list(&self.distinct)));
        }
        if !self.allowed_lateness.is_zero() {
            members.push(("allowed_lateness", text(&format_duration(self.allowed_lateness))));
        }
        members
    }
}

impl Alert {
    /// The members of its `[[alert]]`.
    pub fn members(&self) -> Members {
        let mut members = vec![
            ("name", text(&self.name)),
            ("window", text(&self.window)),
            ("field", text(&written_field(&self.field))),
            ("statistic", text(self.statistic.word())),
        ];
        members.extend(self.above.map(|above| ("above", above.into())));
        members.extend(self.below.map(|below| ("below", below.into())));
        if !self.hold.is_zero() {
            members.push(("for", text(&format_duration(self.hold))));
        }
        members.extend([("level", text(&self.level)), ("message", text(&self.message))]);
        members
    }
}

/// The members of a `[[filter]]`.
pub fn filter(filter: &Filter) -> Members {
    let mut members = Members::new();
    members.extend(filter.kind.iter().map(|kind| ("type", text(kind))));
    members.push(("field", text(&written_field(&filter.field))));
    members.extend(filter.min.map(|min| ("min", min.into())));
    members.extend(filter.max.map(|max| ("max", max.into())));
    members
}

/// A value as TOML has it: strings, lists of them and finite numbers are written as in JSON, but for
/// one character.
pub fn to_toml(value: &Value) -> String {
    match value {
        Value::Array(list) => format!("[{}]", list.iter().map(to_toml).collect::<Vec<_>>().join(", ")),
        value => value.to_string().replace('\u{7f}', "\\u007f"),
    }
}

/// A table of a file; `comment` stands behind its head.
pub fn table(name: &str, comment: &str, members: &Members) -> String {
    let mut text = format!("[[{name}]]{comment}\n");
    for (key, value) in members {
        text.push_str(&format!("{key} = {}\n", to_toml(value)));
    }
    text
}

/// All members in one line, as TOML has them.
pub fn inline(members: &Members) -> String {
    let members: Vec<_> = members.iter().map(|(key, value)| format!("{key} = {}", to_toml(value))).collect();
    format!("{{ {} }}", members.join(", "))
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}
