//! `[[filter]]`: with `[rules]` the file's form of what `/api/rules` takes.

use toml::Spanned;
use toml::de::DeValue;

use super::file::Place;
use super::layers::Loading;
use super::tables::{Entry, Table, entries, key};
use crate::event::field_name;
use crate::event::rules::Filter;

/// What a `[[filter]]` is.
pub(super) const TABLE: Table = Table {
    name: "filter",
    help: "Filters take out events of a type whose field lies outside of a range, before any window; an event \
           without the field stays. None by default. Reloadable: as long as the configuration has a \
           [[filter]] or a rules.max_age, or had one when last read, a reload replaces what was set over \
           HTTP (/api/rules); otherwise it leaves that alone.",
    keys: &[
        key("type", "only events of this type; any by default"),
        key("field", "the numeric field"),
        key("min", "values below this number are taken out"),
        key("max", "values above this one are; at least one of the two is given"),
    ],
};

/// `[[filter]]`.
pub(super) fn filters(loading: &mut Loading, value: &Spanned<DeValue<'_>>, place: &Place<'_>) {
    let Loading { config, origins, errors } = loading;
    let origins = origins.give(TABLE.name, place.origin(value.span().start));
    entries(value, TABLE.name, place, errors, |mut entry| {
        if let Some(filter) = filter(&mut entry) {
            config.filters.push(filter);
            origins.push(place.origin(entry.at));
        }
    });
}

fn filter(entry: &mut Entry<'_, '_>) -> Option<Filter> {
    entry.unknown_keys(&TABLE);
    let kind = match entry.get("type") {
        Some(_) => Some(entry.text("type", "the type of events")?.to_owned()),
        None => None,
    };
    let field = field_name(entry.text("field", "the name of a numeric field")?).to_owned();
    let mut bound = |key| match entry.get(key) {
        Some(_) => entry.number(key).map(Some),
        None => Some(None),
    };
    let filter = Filter { kind, field, min: bound("min")?, max: bound("max")? };
    if let Err(message) = filter.check() {
        let position = entry.get("max").map_or(entry.at, |max| max.span().start);
        entry.error(position, &format!(": {message}"));
        return None;
    }
    Some(filter)
}
