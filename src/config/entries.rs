//! Windows and alerts as they would stand in a file: to be shown, and to be compared.

use toml::Value;

use super::units::format_duration;
use super::{Alert, Window, WindowKind};
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
        members.extend(self.above.map(|above| ("above", Value::Float(above))));
        members.extend(self.below.map(|below| ("below", Value::Float(below))));
        if !self.hold.is_zero() {
            members.push(("for", text(&format_duration(self.hold))));
        }
        members.extend([("level", text(&self.level)), ("message", text(&self.message))]);
        members
    }
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}
