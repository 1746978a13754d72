//! `[[alert]]`.

use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::file::Place;
use super::layers::Loading;
use super::tables::{Entry, Table, entries, key};
use super::{Alert, Statistic, Window, WindowKind};
use crate::event::field_name;

/// What an `[[alert]]` is.
pub(super) const TABLE: Table = Table {
    name: "alert",
    help: "Alerts on final results. An [[alert]] in this file replaces all default alerts. It fires when the \
           statistic has been above (or below) a number in every result of a group for so long, and is \
           resolved by the first result that is not, or that is missing. Reloadable.",
    keys: &[
        key("name", "what it is called"),
        key("window", "the name of the window whose results it looks at"),
        key("field", "the numeric field"),
        key("statistic", "count, sum, min, max, avg, std, p50, p95 or p99"),
        key("above", "it fires above this number"),
        key("below", "or below this one; exactly one of the two is given"),
        key("for", "how long it has to be so; at once by default"),
        key("level", "info, warning or critical"),
        key(
            "message",
            "a text, in which {value}, {threshold} (also {value:.1}), {group}, {window}, {field} and {name} \
             may stand",
        ),
    ],
};
/// Longest `for`.
const MOST_HOLD: Duration = Duration::from_secs(86_400);
const STATISTICS: &[(&str, Statistic)] = &[
    ("count", Statistic::Count),
    ("sum", Statistic::Sum),
    ("min", Statistic::Min),
    ("max", Statistic::Max),
    ("avg", Statistic::Avg),
    ("std", Statistic::Std),
    ("p50", Statistic::P50),
    ("p95", Statistic::P95),
    ("p99", Statistic::P99),
];

impl Statistic {
    /// The contract's name of it.
    pub fn word(self) -> &'static str {
        STATISTICS.iter().find(|&&(_, statistic)| statistic == self).map_or("", |&(word, _)| word)
    }
}

impl Alert {
    /// Whether it can be judged by the results of this window; otherwise the member that is in
    /// the way, and what it would have to be.
    pub fn fits(&self, window: &Window) -> Result<(), (&'static str, String)> {
        if !self.hold.is_zero() && matches!(window.kind, WindowKind::Session { .. }) {
            let expected = "no `for`: between two sessions there is always a pause, so nothing lasts";
            return Err(("for", expected.to_owned()));
        }
        match &window.fields {
            Some(fields) if !fields.contains(&self.field) => {
                let shown = if fields.is_empty() { "none".to_owned() } else { fields.join(", ") };
                Err(("field", format!("a field that window {:?} shows; it shows {shown}", window.name)))
            }
            _ => Ok(()),
        }
    }
}

/// `[[alert]]`: replaces all default alerts. Default alerts on a window that is not configured
/// any more, or does not show their field, go without a word.
pub(super) fn alerts(loading: &mut Loading, value: Option<&Spanned<DeValue<'_>>>, place: &Place<'_>) {
    let Loading { config, origins, errors } = loading;
    let windows = &config.windows;
    let Some(value) = value else {
        let fits = |alert: &Alert, window: &Window| window.name == alert.window && alert.fits(window).is_ok();
        config.alerts.retain(|alert| windows.iter().any(|window| fits(alert, window)));
        return;
    };
    let origins = origins.give(TABLE.name, place.origin(value.span().start));
    config.alerts.clear();
    entries(value, TABLE.name, place, errors, |mut entry| {
        if let Some(alert) = alert(&mut entry, windows, &config.alerts) {
            config.alerts.push(alert);
            origins.push(place.origin(entry.at));
        }
    });
}

fn alert(entry: &mut Entry<'_, '_>, windows: &[Window], alerts: &[Alert]) -> Option<Alert> {
    entry.unknown_keys(&TABLE);
    let name = entry.text("name", "a name")?;
    let names: Vec<&str> = windows.iter().map(|w| w.name.as_str()).collect();
    let known = format!("the name of a window: {}", names.join(", "));
    let window = entry.text("window", &known)?;
    let Some(of) = windows.iter().find(|w| w.name == window) else {
        let value = entry.get("window")?;
        entry.wrong("window", value, &known);
        return None;
    };
    if alerts.iter().any(|alert| alert.name == name) {
        let value = entry.get("name")?;
        entry.wrong("name", value, "a name of its own: another alert has this one");
        return None;
    }
    let field = entry.text("field", "the name of a numeric field")?;
    const STATISTIC: &str = "one of count, sum, min, max, avg, std, p50, p95, p99";
    let text = entry.text("statistic", STATISTIC)?;
    let Some(&(_, statistic)) = STATISTICS.iter().find(|&&(name, _)| name == text) else {
        let value = entry.get("statistic")?;
        entry.wrong("statistic", value, STATISTIC);
        return None;
    };
    let (above, below) = (entry.number("above"), entry.number("below"));
    if above.is_some() == below.is_some() {
        let position = entry.at;
        entry.error(position, ": expected either above or below, a number");
        return None;
    }
    let hold = match entry.get("for") {
        Some(_) => entry.duration("for", MOST_HOLD, "a duration such as \"30s\", 1d at most")?,
        None => Duration::ZERO,
    };
    const LEVEL: &str = "one of info, warning, critical";
    let level = entry.text("level", LEVEL)?;
    if !["info", "warning", "critical"].contains(&level) {
        let value = entry.get("level")?;
        entry.wrong("level", value, LEVEL);
        return None;
    }
    let message = entry.text("message", "a text such as \"too high: {value:.1}\"")?;
    let alert = Alert {
        name: name.to_owned(),
        window: window.to_owned(),
        field: field_name(field).to_owned(),
        statistic,
        above,
        below,
        hold,
        level: level.to_owned(),
        message: message.to_owned(),
    };
    if let Err((key, expected)) = alert.fits(of) {
        let value = entry.get(key)?;
        entry.wrong(key, value, &expected);
        return None;
    }
    Some(alert)
}
