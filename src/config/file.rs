//! The TOML file: read with the position of every key and value, so that an error can say
//! file, line and column.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::options::{self, OPTIONS, Raw};
use super::{Config, Errors, alerts, hint, windows};

/// A file being read: turns byte positions into `file:line:column`.
pub(super) struct Place<'a> {
    file: &'a str,
    text: &'a str,
}

impl Place<'_> {
    /// `file:line:column: ` of a byte position; columns count characters.
    pub(super) fn at(&self, position: usize) -> String {
        let before = self.text.get(..position).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |n| n + 1);
        let column = before[start..].chars().count() + 1;
        format!("{}:{line}:{column}: ", self.file)
    }

    /// What stands there, for the message.
    pub(super) fn source(&self, span: std::ops::Range<usize>) -> String {
        self.whole(span).chars().take(60).collect()
    }

    /// All that stands there.
    pub(super) fn whole(&self, span: std::ops::Range<usize>) -> &str {
        self.text.get(span).unwrap_or("")
    }
}

/// Applies a file to `config`; what is wrong is added to `errors`.
pub fn apply(config: &mut Config, file: &str, text: &str, errors: &mut Errors) {
    let place = Place { file, text };
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let at = place.at(error.span().map_or(0, |span| span.start));
            errors.0.push(format!("{at}{}", error.message().trim()));
            return;
        }
    };
    for (key, value) in table.get_ref() {
        let name: &str = key.get_ref();
        let at = place.at(key.span().start);
        match (name, value.get_ref()) {
            ("window", value) => windows::windows(config, value, &place, &at, errors),
            ("alert", _) => {} // After the windows, which alerts name.
            (section, DeValue::Table(options)) if is_section(section) => {
                for (key, value) in options {
                    set(config, section, key, value, &place, errors);
                }
            }
            (section, _) if is_section(section) => {
                errors.0.push(format!("{at}{section}: expected a section, [{section}]"));
            }
            _ => errors.0.push(format!("{at}{name}: unknown key{}", top_hint(name))),
        }
    }
    let alerts = table.get_ref().get("alert").map(Spanned::get_ref);
    alerts::alerts(config, alerts, &place, errors);
}

fn is_section(name: &str) -> bool {
    OPTIONS.iter().any(|option| option.section() == name)
}

/// A key outside of any section may be a right one in the wrong place.
fn top_hint(name: &str) -> String {
    if let Some(option) = OPTIONS.iter().find(|option| option.name() == name) {
        return format!("; did you mean {:?}, in [{}]?", option.key, option.section());
    }
    let sections = OPTIONS.iter().map(options::Opt::section);
    hint(name, sections.chain(["window", "alert"]))
}

fn set(
    config: &mut Config,
    section: &str,
    key: &Spanned<std::borrow::Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
    place: &Place<'_>,
    errors: &mut Errors,
) {
    let full = format!("{section}.{}", key.get_ref());
    let Some(option) = options::by_key(&full) else {
        let elsewhere = OPTIONS.iter().find(|option| option.name() == key.get_ref());
        let hint = match elsewhere {
            Some(option) => format!("; did you mean {:?}?", option.key),
            None => hint(&full, OPTIONS.iter().map(|option| option.key)),
        };
        let at = place.at(key.span().start);
        errors.0.push(format!("{at}{full}: unknown key{hint}"));
        return;
    };
    if let Err(expected) = option.set(config, &raw(value.get_ref())) {
        let at = place.at(value.span().start);
        let source = place.source(value.span());
        errors.0.push(format!("{at}{full} = {source}: expected {expected}"));
    }
}

/// A TOML value as an option takes it.
pub(super) fn raw<'a>(value: &'a DeValue<'_>) -> Raw<'a> {
    match value {
        DeValue::String(text) => Raw::Text(text),
        DeValue::Integer(number) if number.radix() == 10 => Raw::Whole(number.as_str()),
        DeValue::Boolean(value) => Raw::Bool(*value),
        DeValue::Array(list) => {
            let whole = |item: &'a Spanned<DeValue<'_>>| match item.get_ref() {
                DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str()),
                _ => None,
            };
            let list: Option<Vec<_>> = list.iter().map(whole).collect();
            list.map_or(Raw::Other, Raw::List)
        }
        _ => Raw::Other,
    }
}
