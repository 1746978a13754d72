//! The TOML file: read with the position of every key and value, so that an error can say
//! file, line and column.

use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::layers::{Loading, Origin, hint, unknown_key};
use super::options::{self, OPTIONS, Raw};
use super::tables::TABLES;
use super::{alerts, filters, windows};

/// A file being read: turns byte positions into `file:line:column`.
pub(super) struct Place<'a> {
    file: Arc<str>,
    text: &'a str,
}

impl Place<'_> {
    /// `file:line:column: ` of a byte position; columns count characters.
    pub(super) fn at(&self, position: usize) -> String {
        let (line, before) = self.line(position);
        format!("{}:{line}:{}: ", self.file, before.chars().count() + 1)
    }

    /// Where a value came from that stands there.
    pub(super) fn origin(&self, position: usize) -> Origin {
        Origin::File { file: Arc::clone(&self.file), line: self.line(position).0 }
    }

    /// The number of the line, and what stands in it before the position.
    fn line(&self, position: usize) -> (usize, &str) {
        let before = self.text.get(..position).unwrap_or(self.text);
        let start = before.rfind('\n').map_or(0, |n| n + 1);
        (before.matches('\n').count() + 1, &before[start..])
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

/// Applies a file to what is being loaded.
pub(super) fn apply(loading: &mut Loading, file: &str, text: &str) {
    let place = Place { file: Arc::from(file), text };
    let (table, wrong) = DeTable::parse_recoverable(text);
    if !wrong.is_empty() {
        // What else it says is a guess, and complaints about guesses mislead.
        for error in wrong {
            let at = place.at(error.span().map_or(0, |span| span.start));
            loading.errors.0.push(format!("{at}{}", error.message().trim().replace('\n', ": ")));
        }
        return;
    }
    let table = table.get_ref();
    for (key, value) in table {
        let name: &str = key.get_ref();
        let at = place.at(key.span().start);
        match value.get_ref() {
            _ if TABLES.iter().any(|table| table.name == name) => {} // Below, in their order.
            DeValue::Table(options) if is_section(name) => {
                for (key, value) in options {
                    set(loading, name, key, value, &place);
                }
            }
            _ if is_section(name) => {
                loading.errors.0.push(format!("{at}{name}: expected a section, [{name}]"));
            }
            _ => loading.errors.0.push(format!("{at}{name}: unknown key{}", top_hint(name))),
        }
    }
    if let Some(value) = table.get("window") {
        windows::windows(loading, value, &place);
    }
    // After the windows, which alerts name.
    alerts::alerts(loading, table.get("alert"), &place);
    if let Some(value) = table.get("filter") {
        filters::filters(loading, value, &place);
    }
}

/// What to say of a file that is not UTF-8.
pub(super) fn not_utf8(file: &str, error: &std::string::FromUtf8Error) -> String {
    let good = error.utf8_error().valid_up_to();
    let text = std::str::from_utf8(&error.as_bytes()[..good]).unwrap_or_default();
    let at = Place { file: Arc::from(file), text }.at(good);
    format!("{at}not UTF-8 from here on; save the file as UTF-8")
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
    hint(name, sections.chain(TABLES.iter().map(|table| table.name)))
}

fn set(
    loading: &mut Loading,
    section: &str,
    key: &Spanned<std::borrow::Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
    place: &Place<'_>,
) {
    let full = format!("{section}.{}", key.get_ref());
    let Some(option) = options::by_key(&full) else {
        let at = place.at(key.span().start);
        loading.errors.0.push(format!("{at}{full}: unknown key{}", unknown_key(&full)));
        return;
    };
    match option.set(&mut loading.config, &raw(value.get_ref())) {
        Ok(()) => loading.note(option, place.origin(key.span().start)),
        Err(expected) => {
            let at = place.at(value.span().start);
            let source = place.source(value.span());
            loading.errors.0.push(format!("{at}{full} = {source}: expected {expected}"));
        }
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
            let text = |item: &'a Spanned<DeValue<'_>>| match item.get_ref() {
                DeValue::String(text) => Some(&**text),
                _ => None,
            };
            let numbers: Option<Vec<_>> = list.iter().map(whole).collect();
            let texts = || list.iter().map(text).collect::<Option<Vec<_>>>();
            numbers.map(Raw::List).or_else(|| texts().map(Raw::Texts)).unwrap_or(Raw::Other)
        }
        _ => Raw::Other,
    }
}
