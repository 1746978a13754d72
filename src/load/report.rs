//! What a load test prints: text, JSON, and HdrHistogram's percentile text.

use std::fmt;
use std::path::{Path, PathBuf};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Below this share of the intended load the figures say nothing about the daemon.
const VALID_SHARE: f64 = 0.999;

const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.50), ("p90", 0.90), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];

/// The outcome of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Connections.
    pub clients: u32,
    /// Intended events per second.
    pub rate: f64,
    /// How long it was, seconds.
    pub seconds: f64,
    /// Events that were due, client by client.
    pub intended: u64,
    /// Events that were.
    pub sent: u64,
    /// Write calls that took them, of the connections that lasted.
    pub writes: u64,
    /// Acknowledged as applied, filtered or late.
    pub applied: u64,
    /// Acknowledged as rejected or dropped.
    pub rejected: u64,
    /// Never acknowledged.
    pub unacknowledged: u64,
    /// Connections that were lost.
    pub connection_errors: u64,
    /// Latency by name, ms; the last is `max`.
    pub percentiles: Vec<(&'static str, f64)>,
}

/// The percentiles of a report, ms.
pub(super) fn percentiles(latencies: &Histogram<u64>) -> Vec<(&'static str, f64)> {
    let ms = |ns: u64| ns as f64 / 1e6;
    QUANTILES
        .iter()
        .map(|&(name, q)| (name, ms(latencies.value_at_quantile(q))))
        .chain([("max", ms(latencies.max()))])
        .collect()
}

impl Report {
    /// The share of the intended load that was offered, 0 to 1.
    pub fn offered(&self) -> f64 {
        self.sent as f64 / self.intended.max(1) as f64
    }

    /// Whether the figures say what the daemon did under the intended load.
    pub fn is_valid(&self) -> bool {
        self.why_void().is_empty()
    }

    /// What is wrong with the run, in words. The latency of an event that was never acknowledged is only known to be
    /// more than so much, and one that was never sent has none.
    fn why_void(&self) -> Vec<String> {
        let counted = |n: u64, what: &str| (n > 0).then(|| format!("{n} {what}"));
        let offered = self.offered();
        let short = (offered < VALID_SHARE).then(|| {
            format!(
                "only {:.1} % of the load was offered ({} of {} events)",
                offered * 100.0,
                self.sent,
                self.intended
            )
        });
        [
            counted(self.connection_errors, "connections were lost"),
            counted(self.unacknowledged, "events were never acknowledged"),
            short,
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The report as JSON.
    pub fn to_json(&self) -> Value {
        let latency: serde_json::Map<String, Value> =
            self.percentiles.iter().map(|&(name, ms)| (name.to_owned(), ms.into())).collect();
        json!({
            "clients": self.clients,
            "rate": self.rate,
            "seconds": self.seconds,
            "sent": self.sent,
            "writes": self.writes,
            "offered": self.offered(),
            "valid": self.is_valid(),
            "applied": self.applied,
            "rejected": self.rejected,
            "unacknowledged": self.unacknowledged,
            "connection_errors": self.connection_errors,
            "latency_ms": latency,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} clients, {} events/s, {:.1} s", self.clients, self.rate, self.seconds)?;
        writeln!(f, "  sent             {}", self.sent)?;
        writeln!(f, "  applied          {}", self.applied)?;
        writeln!(f, "  rejected         {}", self.rejected)?;
        writeln!(f, "  unacknowledged   {}", self.unacknowledged)?;
        writeln!(f, "  lost connections {}", self.connection_errors)?;
        let void = self.why_void();
        if !void.is_empty() {
            writeln!(f, "  VOID: {}", void.join("; "))?;
        }
        writeln!(f, "  latency, intended send time to acknowledgement, ms:")?;
        for (name, ms) in &self.percentiles {
            writeln!(f, "    {name:<7} {ms:>10.3}")?;
        }
        Ok(())
    }
}

/// `load.hgrm` → `load-2.hgrm` for the second step of a suite.
pub(super) fn numbered(file: &Path, step: Option<usize>) -> PathBuf {
    let Some(step) = step else {
        return file.to_owned();
    };
    let mut name = file.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{step}"));
    if let Some(extension) = file.extension() {
        name.push(".");
        name.push(extension);
    }
    file.with_file_name(name)
}

/// HdrHistogram's percentile text (what its plotters read), in ms.
pub(super) fn hgrm(latencies: &Histogram<u64>) -> String {
    let mut text =
        format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    for step in latencies.iter_quantiles(5) {
        let (ms, q) = (step.value_iterated_to() as f64 / 1e6, step.quantile_iterated_to());
        let count = latencies.count_between(0, step.value_iterated_to());
        let odds = if q < 1.0 { format!("{:>14.2}", 1.0 / (1.0 - q)) } else { format!("{:>14}", "inf") };
        text.push_str(&format!("{ms:>12.3} {q:>14.12} {count:>10} {odds}\n"));
    }
    text.push_str(&format!(
        "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]\n#[Max     = {:>12.3}, Total count    = {:>12}]\n#[Buckets = {:>12}, SubBuckets     = {:>12}]\n",
        latencies.mean() / 1e6,
        latencies.stdev() / 1e6,
        latencies.max() as f64 / 1e6,
        latencies.len(),
        latencies.buckets(),
        latencies.distinct_values() / usize::from(latencies.buckets()).max(1)
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Report = Report {
        clients: 1_000,
        rate: 1_000.0,
        seconds: 1.0,
        intended: 1_000,
        sent: 1_000,
        writes: 1_000,
        applied: 1_000,
        rejected: 0,
        unacknowledged: 0,
        connection_errors: 0,
        percentiles: Vec::new(),
    };

    #[test]
    fn a_run_is_void_for_a_reason() {
        assert!(GOOD.is_valid() && !GOOD.to_string().contains("VOID"));
        for (report, why) in [
            (Report { sent: 0, ..GOOD }, "VOID: only 0.0 % of the load was offered (0 of 1000 events)\n"),
            (Report { sent: 998, ..GOOD }, "VOID: only 99.8 %"),
            (Report { intended: 0, sent: 0, ..GOOD }, "VOID: only 0.0 %"),
            (Report { unacknowledged: 2, ..GOOD }, "VOID: 2 events were never acknowledged\n"),
            (Report { connection_errors: 3, ..GOOD }, "VOID: 3 connections were lost\n"),
            (
                Report { connection_errors: 1, sent: 500, ..GOOD },
                "VOID: 1 connections were lost; only 50.0 % of the load was offered",
            ),
        ] {
            assert!(!report.is_valid() && report.to_json()["valid"] == false, "{report}");
            assert!(report.to_string().contains(why), "{report}");
        }
    }

    #[test]
    fn suite_files_are_numbered() {
        assert_eq!(numbered(Path::new("/a/load.hgrm"), Some(2)), Path::new("/a/load-2.hgrm"));
        assert_eq!(numbered(Path::new("load"), Some(1)), Path::new("load-1"));
        assert_eq!(numbered(Path::new("load.hgrm"), None), Path::new("load.hgrm"));
    }

    #[test]
    fn the_distribution_ends_at_everything() {
        let mut latencies = Histogram::new_with_bounds(1_000, 1_000_000_000, 3).unwrap();
        for n in 1..=1_000u64 {
            latencies.record(n * 100_000).unwrap();
        }
        let text = hgrm(&latencies);
        let last = text.lines().rfind(|l| !l.starts_with('#')).unwrap();
        assert!(last.contains(" 1000 ") && last.contains("inf"), "{last}");
        assert!(text.contains("Total count    =         1000"));
        let p50 = percentiles(&latencies)[0].1;
        assert!((p50 - 50.0).abs() < 0.2, "{p50}");
    }
}
