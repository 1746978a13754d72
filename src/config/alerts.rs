//! `[[alert]]`.

use std::time::Duration;

use toml::de::DeValue;

use super::file::Place;
use super::tables::{Entry, entries};
use super::{Alert, Config, Errors, Statistic, Window, WindowKind};
use crate::event::field_name;

const ALERT_KEYS: &[&str] =
    &["name", "window", "field", "statistic", "above", "below", "for", "level", "message"];
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
/// any more go without a word.
pub(super) fn alerts(
    config: &mut Config,
    value: Option<&DeValue<'_>>,
    place: &Place<'_>,
    errors: &mut Errors,
) {
    let Some(value) = value else {
        let windows = &config.windows;
        config.alerts.retain(|alert| windows.iter().any(|window| window.name == alert.window));
        return;
    };
    config.alerts.clear();
    entries(value, "alert", place, errors, |mut entry| {
        if let Some(alert) = alert(&mut entry, &config.windows, &config.alerts) {
            config.alerts.push(alert);
        }
    });
}

fn alert(entry: &mut Entry<'_, '_>, windows: &[Window], alerts: &[Alert]) -> Option<Alert> {
    entry.unknown_keys(ALERT_KEYS);
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
