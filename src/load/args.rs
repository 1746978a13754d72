//! Flags of the load test, and their bounds.

use std::path::PathBuf;

use crate::client::RunError;

/// More than any machine makes; beyond, what is due could not be counted.
const MAX_RATE: f64 = 1e9;
/// Shorter ticks come at once, whatever the clock does.
const BATCH_MS: std::ops::RangeInclusive<f64> = 0.01..=60_000.0;

/// Flags of `flumen load`.
#[derive(Clone, Debug, clap::Args)]
pub struct LoadArgs {
    /// Where to send
    #[arg(long, default_value = "ws://localhost:8000/ws/ingest")]
    pub url: String,
    /// Connections
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub clients: u32,
    /// Events per second, over all clients
    #[arg(long, default_value_t = 1_000.0)]
    pub rate: f64,
    /// Seconds (of each step)
    #[arg(long, default_value_t = 30.0)]
    pub duration: f64,
    /// Four steps: 10 x 1,000/s, 20 x 5,000/s, 50 x 10,000/s, 100 x 25,000/s
    #[arg(long, conflicts_with_all = ["clients", "rate"])]
    pub suite: bool,
    /// How often each client sends what is due, ms: 0.01 to 60000
    #[arg(long, default_value_t = 10.0)]
    pub batch_ms: f64,
    /// Send each event in a write of its own, not all that are due in one
    #[arg(long)]
    pub write_each: bool,
    /// Sources that the events come from, in turn; 0: one a client
    #[arg(long, default_value_t = 0)]
    pub sources: u32,
    /// Print JSON (an array of steps)
    #[arg(long)]
    pub json: bool,
    /// Write the percentile distribution in HdrHistogram's text form; a suite writes FILE-1 to -4
    #[arg(long, value_name = "FILE")]
    pub hgrm: Option<PathBuf>,
}

impl LoadArgs {
    /// Whether the flags make sense.
    pub(super) fn check(&self) -> Result<(), RunError> {
        let bounded = |flag: &str, value: f64, good: bool, expected: &str| {
            if good { Ok(()) } else { Err(RunError::Flag(format!("{flag} {value}: expected {expected}"))) }
        };
        let (rate, duration) = (self.rate, self.duration);
        bounded("--rate", rate, rate > 0.0 && rate <= MAX_RATE, "a number above 0, at most 1000000000")?;
        bounded("--duration", duration, duration > 0.0 && duration.is_finite(), "a number above 0")?;
        let good = BATCH_MS.contains(&self.batch_ms);
        bounded("--batch-ms", self.batch_ms, good, "a number from 0.01 to 60000")
    }
}
