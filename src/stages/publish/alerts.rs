//! Alert rules, evaluated on every final result of their window.

use std::sync::Arc;

use super::encode::{group_map, seconds, statistic, to_json};
use super::groups::Group;
use crate::config::{Alert, Window};
use crate::event::time::format_rfc3339_us;
use crate::runtime::names::Dictionary;
use crate::windowing::Closed;

/// The alerts that a final result fires, as JSON.
pub fn evaluate(
    rules: &[Alert],
    window: &Window,
    closed: &Closed,
    group: &Group,
    names: &Dictionary,
    now_us: i64,
) -> Vec<Arc<str>> {
    rules
        .iter()
        .filter(|rule| rule.window == window.name)
        .filter_map(|rule| {
            let field = closed.aggregate.field(names.fields.id(&rule.field)?)?;
            let value = statistic(field, rule.statistic)?;
            let threshold = match (rule.above, rule.below) {
                (Some(above), _) if value > above => above,
                (_, Some(below)) if value < below => below,
                _ => return None,
            };
            let alert = serde_json::json!({
                "name": rule.name,
                "state": "firing",
                "level": rule.level,
                "message": fill(&rule.message, value),
                "window": window.name,
                "group": group_map(group),
                "revision": closed.revision,
                "field": rule.field,
                "statistic": format!("{:?}", rule.statistic).to_lowercase(),
                "value": value,
                "threshold": threshold,
                "window_start": seconds(closed.start_us),
                "window_end": seconds(closed.end_us),
                "time": format_rfc3339_us(now_us),
            });
            Some(to_json(&alert).into())
        })
        .collect()
}

/// Puts the value into `{value}` and `{value:.N}`; anything else stays as it is written.
fn fill(template: &str, value: f64) -> String {
    let mut out = String::with_capacity(template.len() + 8);
    let mut rest = template;
    while let Some(at) = rest.find("{value") {
        out.push_str(&rest[..at]);
        let after = &rest[at + "{value".len()..];
        let Some(end) = after.find('}') else {
            out.push_str(&rest[at..]);
            return out;
        };
        let digits = after[..end].strip_prefix(":.").map(str::parse::<usize>);
        match (&after[..end], digits) {
            ("", _) => out.push_str(&value.to_string()),
            (_, Some(Ok(digits))) if digits <= 17 => out.push_str(&format!("{value:.digits$}")),
            _ => out.push_str(&rest[at..at + "{value".len() + end + 1]),
        }
        rest = &after[end + 1..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn templates() {
        assert_eq!(fill("high: {value:.1}!", 81.26), "high: 81.3!");
        assert_eq!(fill("{value} {value:.0}", 2.5), "2.5 2");
        assert_eq!(fill("{value:x} {valu", 1.0), "{value:x} {valu");
        assert_eq!(fill("{value", 1.0), "{value");
    }
}
