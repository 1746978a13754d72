//! Arrays of tables, `[[window]]`, `[[alert]]` and `[[filter]]`: what they take, and what reading
//! them has in common. Errors name file, line, column, the key and what was expected.

use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::Place;
use super::layers::hint;
use super::units::parse_duration;
use super::{Errors, alerts, filters, windows};

/// A kind of table.
pub struct Table {
    /// `window`, for `[[window]]`.
    pub name: &'static str,
    /// What such tables are, sentences.
    pub help: &'static str,
    /// What stands in one.
    pub keys: &'static [Key],
}

/// A member of a table.
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub help: &'static str,
}

pub(super) const fn key(name: &'static str, help: &'static str) -> Key {
    Key { name, help }
}

/// All kinds of tables, in the order of the default file.
pub static TABLES: &[Table] = &[windows::TABLE, alerts::TABLE, filters::TABLE];

/// One table of an array of tables, being read.
pub(super) struct Entry<'a, 'e> {
    what: &'static str,
    table: &'a DeTable<'a>,
    /// Where it begins.
    pub(super) at: usize,
    place: &'a Place<'a>,
    errors: &'e mut Errors,
}

impl<'a> Entry<'a, '_> {
    pub(super) fn error(&mut self, position: usize, message: &str) {
        let at = self.place.at(position);
        self.errors.0.push(format!("{at}{}{message}", self.what));
    }

    /// Complains of a value.
    pub(super) fn wrong(&mut self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        let source = self.place.source(value.span());
        self.error(value.span().start, &format!(".{key} = {source}: expected {expected}"));
    }

    pub(super) fn unknown_keys(&mut self, table: &Table) {
        for (key, _) in self.table {
            let (name, position) = (key.get_ref(), key.span().start);
            if !table.keys.iter().any(|known| known.name == name.as_ref()) {
                let hint = hint(name, table.keys.iter().map(|known| known.name));
                self.error(position, &format!(".{name}: unknown key{hint}"));
            }
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.get(key)
    }

    /// A string member.
    pub(super) fn text(&mut self, key: &str, expected: &str) -> Option<&'a str> {
        let Some(value) = self.get(key) else {
            self.error(self.at, &format!(".{key} is missing: expected {expected}"));
            return None;
        };
        let text = value.get_ref().as_str().filter(|text| !text.is_empty());
        if text.is_none() {
            self.wrong(key, value, expected);
        }
        text
    }

    /// A duration of whole milliseconds up to `max`.
    pub(super) fn duration(&mut self, key: &str, max: Duration, expected: &str) -> Option<Duration> {
        let text = self.text(key, expected)?;
        let duration = parse_duration(text).filter(|d| *d <= max && d.subsec_nanos() % 1_000_000 == 0);
        if duration.is_none()
            && let Some(value) = self.get(key)
        {
            self.wrong(key, value, expected);
        }
        duration
    }

    /// An optional list of at most `most` different things that `read` makes of strings; `Err`
    /// when something is wrong.
    pub(super) fn list<T: PartialEq>(
        &mut self,
        key: &str,
        most: usize,
        expected: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<Vec<T>>, ()> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let Some(items) = value.get_ref().as_array() else {
            self.wrong(key, value, expected);
            return Err(());
        };
        let mut list = Vec::new();
        for item in items {
            let place = format!("{key}[{}]", list.len());
            match item.get_ref().as_str().map(&read) {
                None => self.wrong(&place, item, expected),
                Some(Err(message)) => self.wrong(&place, item, &message),
                Some(Ok(thing)) if list.contains(&thing) => self.wrong(&place, item, "each one once"),
                Some(Ok(thing)) => {
                    list.push(thing);
                    continue;
                }
            }
            return Err(());
        }
        if list.len() > most {
            self.wrong(key, value, &format!("at most {most}"));
            return Err(());
        }
        Ok(Some(list))
    }

    /// Where the text of a string value begins, if it stands there as it is.
    pub(super) fn text_position(&self, value: &Spanned<DeValue<'_>>) -> Option<usize> {
        let text = value.get_ref().as_str()?;
        let source = self.place.whole(value.span());
        let quotes = if source.starts_with("\"\"\"") || source.starts_with("'''") { 3 } else { 1 };
        (source.get(quotes..quotes + text.len()) == Some(text)).then(|| value.span().start + quotes)
    }

    pub(super) fn number(&mut self, key: &str) -> Option<f64> {
        let value = self.get(key)?;
        let number = match value.get_ref() {
            DeValue::Integer(n) if n.radix() == 10 => n.as_str().parse().ok(),
            // 0xff, 0o777, 0b11: without a sign, and the prefix is not among the digits.
            DeValue::Integer(n) => u128::from_str_radix(n.as_str(), n.radix()).ok().map(|n| n as f64),
            DeValue::Float(x) => x.as_str().parse().ok(),
            _ => None,
        };
        if number.is_none_or(|n: f64| !n.is_finite()) {
            self.wrong(key, value, "a number");
            return None;
        }
        number
    }
}

/// Reads an array of tables with `read`.
pub(super) fn entries<'a>(
    value: &'a Spanned<DeValue<'a>>,
    what: &'static str,
    place: &'a Place<'a>,
    errors: &mut Errors,
    mut read: impl FnMut(Entry<'a, '_>),
) {
    let Some(list) = value.get_ref().as_array() else {
        errors.0.push(format!("{}{what}: expected tables, [[{what}]]", place.at(value.span().start)));
        return;
    };
    for item in list {
        let at = item.span().start;
        match item.get_ref() {
            DeValue::Table(table) => read(Entry { what, table, at, place, errors: &mut *errors }),
            _ => errors.0.push(format!("{}{what}: expected tables, [[{what}]]", place.at(at))),
        }
    }
}
