//! Every metric of `/metrics`, once: name, kind, labels, help, and the query one would write. The
//! renderer refuses a name that is not here; `docs/METRICS.md` is made from this list.

mod daemon;
mod flow;

use std::fmt::Write;

use daemon::DAEMON;
use flow::FLOW;

/// The catalog.
pub static METRICS: [Metric; FLOW.len() + DAEMON.len()] = {
    let mut all = [FLOW[0]; FLOW.len() + DAEMON.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = if at < FLOW.len() { FLOW[at] } else { DAEMON[at - FLOW.len()] };
        at += 1;
    }
    all
};

/// Upper bounds of the latency histogram, seconds.
pub const LATENCY_BOUNDS_S: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// What kind of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Goes both ways.
    Gauge,
    /// Cumulative buckets, sum and count.
    Histogram,
}

impl Kind {
    /// As the text format writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Full name, with the unit as Prometheus wants it.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Names of its labels (without the buckets' `le`); their values come from the configuration or
    /// from the code, never from events.
    pub labels: &'static [&'static str],
    /// One line.
    pub help: &'static str,
    /// What one would ask Prometheus; empty where another metric's query takes it in.
    pub query: &'static str,
}

const fn metric(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
    query: &'static str,
) -> Metric {
    Metric { name, kind, labels, help, query }
}

/// Finds a metric by its name.
pub fn find(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|m| m.name == name)
}

/// The table of `docs/METRICS.md`.
pub fn markdown_table() -> String {
    let mut table =
        String::from("| metric | kind | labels | meaning | ask |\n| --- | --- | --- | --- | --- |\n");
    let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
    for m in &METRICS {
        let (kind, labels) = (m.kind.as_str(), m.labels.join("`, `"));
        let (labels, query) = (code(&labels), code(m.query));
        let written = writeln!(table, "| `{}` | {kind} | {labels} | {} | {query} |", m.name, m.help);
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_say_their_kind() {
        for (at, m) in METRICS.iter().enumerate() {
            assert!(METRICS[..at].iter().all(|o| o.name != m.name), "{}", m.name);
            assert_eq!(m.name.ends_with("_total"), m.kind == Kind::Counter, "{}", m.name);
            assert!(m.help.ends_with('.'), "{}", m.name);
            assert!(!(m.help.contains('|') || m.query.contains('|')), "{}: a table's cell", m.name);
            assert!(m.query.is_empty() || m.query.contains(m.name), "{}: another metric's query", m.name);
        }
    }
}
