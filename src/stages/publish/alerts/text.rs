//! Alerts in words: the message's template, the line in the log.

use crate::config::Alert;
use crate::stages::publish::groups::Group;

/// The values of a group, for `{group}`; empty without grouping.
pub(super) fn values(group: &Group) -> String {
    group.iter().map(|(_, value)| value.as_deref().unwrap_or("-")).collect::<Vec<_>>().join(", ")
}

/// What the log says of a change; groups come from strangers.
pub(super) fn line(alert: &Alert, state: &str, message: &str, value: Option<f64>, group: &str) -> String {
    let group = if group.is_empty() { String::new() } else { format!(" for {}", group.escape_debug()) };
    let value = value.map_or("no value".to_owned(), |value| value.to_string());
    let (window, field, statistic) = (&alert.window, &alert.field, alert.statistic.word());
    let (name, level) = (&alert.name, &alert.level);
    // What is resolved is no longer so: its message would say the opposite.
    let message = if state == "firing" { format!(": {}", message.escape_debug()) } else { String::new() };
    format!("alert {name} ({level}) is {state}{group}{message} [{window}: {statistic} of {field}: {value}]")
}

/// Fills in `{value}`, `{threshold}` (both also with digits: `{value:.1}`), `{group}`, `{window}`,
/// `{field}` and `{name}`; anything else stays as it is written.
pub(super) fn fill(alert: &Alert, value: f64, group: &str) -> String {
    let threshold = alert.above.or(alert.below).unwrap_or_default();
    let mut out = String::with_capacity(alert.message.len() + 16);
    let mut rest = alert.message.as_str();
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some(end) = rest.find('}') else { break };
        let (name, digits) = match rest[1..end].split_once(":.") {
            Some((name, digits)) => (name, digits.parse::<usize>().ok().filter(|&digits| digits <= 17)),
            None => (&rest[1..end], None),
        };
        let plain = digits.is_none() && !rest[1..end].contains(':');
        match (name, digits) {
            ("value", Some(digits)) => out.push_str(&format!("{value:.digits$}")),
            ("threshold", Some(digits)) => out.push_str(&format!("{threshold:.digits$}")),
            ("value", None) if plain => out.push_str(&value.to_string()),
            ("threshold", None) if plain => out.push_str(&threshold.to_string()),
            ("group", None) if plain => out.push_str(group),
            ("window", None) if plain => out.push_str(&alert.window),
            ("field", None) if plain => out.push_str(&alert.field),
            ("name", None) if plain => out.push_str(&alert.name),
            _ => {
                // Perhaps something else begins inside of it.
                out.push('{');
                rest = &rest[1..];
                continue;
            }
        }
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        let fill = |template: &str, value| {
            let alert = Alert { message: template.to_owned(), ..super::super::tests::alert() };
            fill(&alert, value, "a, -")
        };
        assert_eq!(fill("high: {value:.1}!", 81.26), "high: 81.3!");
        assert_eq!(fill("{value} {value:.0}", 2.5), "2.5 2");
        assert_eq!(fill("{value:x} {valu", 1.0), "{value:x} {valu");
        assert_eq!(fill("{value", 1.0), "{value");
        assert_eq!(fill("{{value}} {} {other:.1}", 1.0), "{1} {} {other:.1}");
        assert_eq!(fill("{group}: {field} over {threshold:.2}", 1.0), "a, -: value over 80.00");
        assert_eq!(fill("{name} {window}", 1.0), "hot w");
    }
}
