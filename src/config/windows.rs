//! `[[window]]` and `[[alert]]`. Sliding and session windows, groups, lateness and filters are
//! known names that this version refuses in plain words; their place is `window`.

use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::Place;
use super::units::parse_duration;
use super::{Alert, Config, Errors, Statistic, Window, WindowKind, hint};

/// The default windows and alerts, as they would stand in a file.
pub(super) const DEFAULT_TOML: &str = r#"
# Windows of event time. A [[window]] in this file replaces all default windows. The first one
# is published live and drives the dashboard.
[[window]]
name = "realtime"
kind = "tumbling"
size = "10s"

[[window]]
name = "minute"
kind = "tumbling"
size = "1m"

# Alerts on final results. An [[alert]] in this file replaces all default alerts. `statistic` is
# count, sum, min, max, avg, std, p50, p95 or p99; `level` is info, warning or critical.
[[alert]]
name = "high-sensor-value"
window = "realtime"
field = "value"
statistic = "max"
above = 80.0
level = "warning"
message = "High sensor value detected: {value:.1}"

[[alert]]
name = "high-variance"
window = "realtime"
field = "value"
statistic = "std"
above = 10.0
level = "info"
message = "High variance detected: σ={value:.1}"
"#;

const MAX_SIZE: Duration = Duration::from_secs(7 * 86_400);
const WINDOW_KEYS: &[&str] = &["name", "kind", "size"];
const LATER_KEYS: &[&str] = &["slide", "gap", "group_by", "allowed_lateness", "where", "fields", "distinct"];
const ALERT_KEYS: &[&str] = &["name", "window", "field", "statistic", "above", "below", "level", "message"];
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

/// One table of an array of tables, being read.
struct Entry<'a, 'e> {
    what: &'static str,
    table: &'a DeTable<'a>,
    at: usize,
    place: &'a Place<'a>,
    errors: &'e mut Errors,
}

impl<'a> Entry<'a, '_> {
    fn error(&mut self, position: usize, message: &str) {
        let at = self.place.at(position);
        self.errors.0.push(format!("{at}{}{message}", self.what));
    }

    /// Complains of a value.
    fn wrong(&mut self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        let source = self.place.source(value.span());
        self.error(value.span().start, &format!(".{key} = {source}: expected {expected}"));
    }

    fn unknown_keys(&mut self, known: &[&str], later: &[&str]) {
        for (key, _) in self.table {
            let (name, position) = (key.get_ref(), key.span().start);
            if later.contains(&name.as_ref()) {
                self.error(
                    position,
                    &format!(".{name}: not in this version, which has tumbling windows without groups"),
                );
            } else if !known.contains(&name.as_ref()) {
                let hint = hint(name, known.iter());
                self.error(position, &format!(".{name}: unknown key{hint}"));
            }
        }
    }

    fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.get(key)
    }

    /// A string member.
    fn text(&mut self, key: &str, expected: &str) -> Option<&'a str> {
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

    fn number(&mut self, key: &str) -> Option<f64> {
        let value = self.get(key)?;
        let number = match value.get_ref() {
            DeValue::Integer(n) => n.as_str().parse().ok(),
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
fn entries<'a>(
    value: &'a DeValue<'a>,
    what: &'static str,
    place: &'a Place<'a>,
    errors: &mut Errors,
    mut read: impl FnMut(Entry<'a, '_>),
) {
    let Some(list) = value.as_array() else {
        errors.0.push(format!("{what}: expected tables, [[{what}]]"));
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

/// `[[window]]`: replaces all default windows.
pub(super) fn windows(
    config: &mut Config,
    value: &DeValue<'_>,
    place: &Place<'_>,
    at: &str,
    errors: &mut Errors,
) {
    config.windows.clear();
    let before = errors.0.len();
    entries(value, "window", place, errors, |mut entry| {
        if let Some(window) = window(&mut entry) {
            if config.windows.iter().any(|w| w.name == window.name) {
                let position = entry.at;
                entry.error(position, &format!(".name = {:?}: another window has this name", window.name));
            } else {
                config.windows.push(window);
            }
        }
    });
    if config.windows.is_empty() && errors.0.len() == before {
        errors.0.push(format!("{at}window: at least one window is needed"));
    }
}

fn window(entry: &mut Entry<'_, '_>) -> Option<Window> {
    entry.unknown_keys(WINDOW_KEYS, LATER_KEYS);
    const NAME: &str = "a name of 1 to 64 letters, digits, _ and -";
    let name = entry.text("name", NAME)?;
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.len() > 64 || !name.chars().all(good) {
        let value = entry.get("name")?;
        entry.wrong("name", value, NAME);
        return None;
    }
    let kind = entry.text("kind", "\"tumbling\"")?;
    if kind != "tumbling" {
        let value = entry.get("kind")?;
        entry.wrong("kind", value, "\"tumbling\" (sliding and session windows are not in this version)");
        return None;
    }
    const SIZE: &str = "a duration of whole milliseconds, at most 7d, such as \"10s\"";
    let text = entry.text("size", SIZE)?;
    let size = parse_duration(text)
        .filter(|size| !size.is_zero() && *size <= MAX_SIZE && size.subsec_nanos() % 1_000_000 == 0);
    let Some(size) = size else {
        let value = entry.get("size")?;
        entry.wrong("size", value, SIZE);
        return None;
    };
    Some(Window { name: name.to_owned(), kind: WindowKind::Tumbling { size } })
}

/// `[[alert]]`: replaces all default alerts. Default alerts on a window that is not configured
/// any more go without a word.
pub(super) fn alerts(
    config: &mut Config,
    value: Option<&DeValue<'_>>,
    place: &Place<'_>,
    errors: &mut Errors,
) {
    let names: Vec<String> = config.windows.iter().map(|w| w.name.clone()).collect();
    let Some(value) = value else {
        config.alerts.retain(|alert| names.contains(&alert.window));
        return;
    };
    config.alerts.clear();
    entries(value, "alert", place, errors, |mut entry| {
        if let Some(alert) = alert(&mut entry, &names) {
            config.alerts.push(alert);
        }
    });
}

fn alert(entry: &mut Entry<'_, '_>, windows: &[String]) -> Option<Alert> {
    entry.unknown_keys(ALERT_KEYS, &[]);
    let name = entry.text("name", "a name")?;
    let known = format!("the name of a window: {}", windows.join(", "));
    let window = entry.text("window", &known)?;
    if !windows.iter().any(|w| w == window) {
        let value = entry.get("window")?;
        entry.wrong("window", value, &known);
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
    const LEVEL: &str = "one of info, warning, critical";
    let level = entry.text("level", LEVEL)?;
    if !["info", "warning", "critical"].contains(&level) {
        let value = entry.get("level")?;
        entry.wrong("level", value, LEVEL);
        return None;
    }
    let message = entry.text("message", "a text such as \"too high: {value:.1}\"")?;
    Some(Alert {
        name: name.to_owned(),
        window: window.to_owned(),
        field: field.to_owned(),
        statistic,
        above,
        below,
        level: level.to_owned(),
        message: message.to_owned(),
    })
}
