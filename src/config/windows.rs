//! `[[window]]`.

use std::fmt;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::file::Place;
use super::layers::Loading;
use super::tables::{Entry, Table, entries, key};
use super::units::format_duration;
use super::{Window, WindowKind};
use crate::event::filter::Filter;
use crate::event::{Member, field_name};

/// What a `[[window]]` is.
pub(super) const TABLE: Table = Table {
    name: "window",
    help: "Windows of event time. A [[window]] in this file replaces all default windows. The first one is \
           published live. docs/WINDOWS.md explains them.",
    keys: &[
        key("name", "letters, digits, _ and -"),
        key("kind", "\"tumbling\" with size; \"sliding\" with size and slide; \"session\" with gap"),
        key("size", "how long one is: \"10s\""),
        key("slide", "from the start of one to the start of the next, at most the size"),
        key("gap", "events at most so far apart belong to one session"),
        key(
            "group_by",
            "a result for each combination: source, type, a string of data (\"user_id\") or of metadata \
             (\"metadata.rack\")",
        ),
        key("where", "only these events: \"type == 'user_action' and value >= 10\""),
        key("fields", "only these numeric fields; all by default"),
        key("distinct", "count the distinct values of these strings"),
        key("allowed_lateness", "how long late events still revise a result; 0s by default"),
    ],
};

/// Windows at most; the windowing keeps sets of them as bits.
const MAX_WINDOWS: usize = 256;
const MAX_SIZE: Duration = Duration::from_secs(7 * 86_400);
/// Slices of one window at most.
const MAX_SLICES: u128 = 4_096;
/// Windows over one event at most: each may become a result of its own.
const MAX_OVERLAP: u128 = 1_000;
/// Slices merged for one late event at most: results that it may revise, times slices of each.
const MAX_REVISION: u128 = 10_000;
/// Members of `group_by`, `fields` and `distinct` at most.
const MAX_GROUP_BY: usize = 8;
const MAX_FIELDS: usize = 256;
const MAX_DISTINCT: usize = 16;
const DURATION: &str = "a duration of whole milliseconds, at most 7d, such as \"10s\"";

/// As `flumen check` shows it.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = format_duration;
        write!(f, "{}: ", self.name)?;
        match self.kind {
            WindowKind::Tumbling { size } => write!(f, "tumbling {}", time(size))?,
            WindowKind::Sliding { size, slide } => {
                write!(f, "sliding {} every {}", time(size), time(slide))?;
            }
            WindowKind::Session { gap } => write!(f, "session with gap {}", time(gap))?,
        }
        let list = |members: &[Member]| members.iter().map(Member::label).collect::<Vec<_>>().join(", ");
        if !self.group_by.is_empty() {
            write!(f, " by {}", list(&self.group_by))?;
        }
        if let Some(filter) = &self.filter {
            write!(f, " where {filter}")?;
        }
        if let Some(fields) = &self.fields {
            write!(f, "; fields {}", if fields.is_empty() { "none".to_owned() } else { fields.join(", ") })?;
        }
        if !self.distinct.is_empty() {
            write!(f, "; distinct {}", list(&self.distinct))?;
        }
        if !self.allowed_lateness.is_zero() {
            write!(f, "; allowed lateness {}", time(self.allowed_lateness))?;
        }
        Ok(())
    }
}

/// `[[window]]`: replaces all default windows.
pub(super) fn windows(loading: &mut Loading, value: &Spanned<DeValue<'_>>, place: &Place<'_>) {
    let Loading { config, origins, errors } = loading;
    let origins = origins.give(TABLE.name, place.origin(value.span().start));
    config.windows.clear();
    let before = errors.0.len();
    entries(value, TABLE.name, place, errors, |mut entry| {
        if let Some(window) = window(&mut entry) {
            let position = entry.at;
            if config.windows.iter().any(|w| w.name == window.name) {
                entry.error(position, &format!(".name = {:?}: another window has this name", window.name));
            } else if config.windows.len() == MAX_WINDOWS {
                entry.error(position, &format!(": more than {MAX_WINDOWS} windows"));
            } else {
                config.windows.push(window);
                origins.push(place.origin(position));
            }
        }
    });
    if config.windows.is_empty() && errors.0.len() == before {
        errors.0.push(format!("{}window: at least one window is needed", place.at(value.span().start)));
    }
}

fn window(entry: &mut Entry<'_, '_>) -> Option<Window> {
    entry.unknown_keys(&TABLE);
    const NAME: &str = "a name of 1 to 64 letters, digits, _ and -";
    let name = entry.text("name", NAME)?;
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.len() > 64 || !name.chars().all(good) {
        let value = entry.get("name")?;
        entry.wrong("name", value, NAME);
        return None;
    }
    let kind = kind(entry)?;
    let allowed_lateness = match entry.get("allowed_lateness") {
        Some(_) => entry.duration("allowed_lateness", MAX_SIZE, DURATION)?,
        None => Duration::ZERO,
    };
    if let WindowKind::Sliding { size, slide } = kind {
        let slices = size.as_millis() / gcd(size.as_millis(), slide.as_millis());
        let revised = (allowed_lateness.min(size).as_millis() / slide.as_millis()).max(1);
        if !allowed_lateness.is_zero() && slices * revised > MAX_REVISION {
            let value = entry.get("allowed_lateness")?;
            let expected = format!(
                "less, or a longer slide: one late event would revise {revised} results of {slices} slices each"
            );
            entry.wrong("allowed_lateness", value, &expected);
            return None;
        }
    }
    let member = |text: &str| Member::parse(text);
    const GROUP_BY: &str = "a list such as [\"source\", \"metadata.rack\"]";
    let group_by = entry.list("group_by", MAX_GROUP_BY, GROUP_BY, member).ok()?;
    const DISTINCT: &str = "a list such as [\"user_id\"]";
    let distinct = entry.list("distinct", MAX_DISTINCT, DISTINCT, member).ok()?;
    const FIELDS: &str = "a list of numeric fields such as [\"value\", \"a.b\"]";
    let field = |text: &str| match field_name(text) {
        "" => Err(String::from("the name of a numeric field")),
        name => Ok(name.to_owned()),
    };
    let fields = entry.list("fields", MAX_FIELDS, FIELDS, field).ok()?;
    Some(Window {
        group_by: group_by.unwrap_or_default(),
        allowed_lateness,
        filter: filter(entry)?,
        fields,
        distinct: distinct.unwrap_or_default(),
        ..Window::new(name, kind)
    })
}

fn kind(entry: &mut Entry<'_, '_>) -> Option<WindowKind> {
    const KIND: &str = "\"tumbling\", \"sliding\" or \"session\"";
    let kind = entry.text("kind", KIND)?;
    let own: &[&str] = match kind {
        "tumbling" => &["size"],
        "sliding" => &["size", "slide"],
        "session" => &["gap"],
        _ => {
            let value = entry.get("kind")?;
            entry.wrong("kind", value, KIND);
            return None;
        }
    };
    for key in ["size", "slide", "gap"] {
        if let Some(value) = entry.get(key)
            && !own.contains(&key)
        {
            let position = value.span().start;
            entry.error(position, &format!(".{key}: a {kind} window has {} only", own.join(" and ")));
            return None;
        }
    }
    let mut duration = |key: &str| {
        let duration = entry.duration(key, MAX_SIZE, DURATION)?;
        if duration.is_zero() {
            let value = entry.get(key)?;
            entry.wrong(key, value, "a duration above 0");
            return None;
        }
        Some(duration)
    };
    match kind {
        "tumbling" => Some(WindowKind::Tumbling { size: duration("size")? }),
        "session" => Some(WindowKind::Session { gap: duration("gap")? }),
        _ => {
            let (size, slide) = (duration("size")?, duration("slide")?);
            let value = entry.get("slide")?;
            if slide > size {
                entry.wrong("slide", value, "at most the size: events between two windows would vanish");
                return None;
            }
            let slice_ms = gcd(size.as_millis(), slide.as_millis());
            if size.as_millis() / slice_ms > MAX_SLICES {
                let expected = format!(
                    "a slide that cuts the size into at most {MAX_SLICES} slices; these are slices of {slice_ms} ms"
                );
                entry.wrong("slide", value, &expected);
                return None;
            }
            if size.as_millis() / slide.as_millis() > MAX_OVERLAP {
                let expected = format!("a slide that puts an event into at most {MAX_OVERLAP} windows");
                entry.wrong("slide", value, &expected);
                return None;
            }
            Some(WindowKind::Sliding { size, slide })
        }
    }
}

/// `where`; outside: something is wrong.
fn filter(entry: &mut Entry<'_, '_>) -> Option<Option<Filter>> {
    let Some(value) = entry.get("where") else {
        return Some(None);
    };
    let text = entry.text("where", "an expression such as \"type == 'user_action' and value >= 10\"")?;
    match Filter::parse(text) {
        Ok(filter) => Some(Some(filter)),
        Err(error) => {
            let position = entry.text_position(value).map_or(value.span().start, |start| start + error.at);
            entry.error(position, &format!(".where: {}", error.message));
            None
        }
    }
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}
