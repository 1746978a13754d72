//! Flags of the generator, and what a run came to.

use std::fmt;

use super::pattern::Pattern;
use crate::client::RunError;

/// Flags of `flumen generate`.
#[derive(Clone, Debug, clap::Args)]
pub struct GenerateArgs {
    /// Where to send
    #[arg(long, default_value = "ws://localhost:8000/ws/ingest")]
    pub url: String,
    /// Events per second, over all connections
    #[arg(long, default_value_t = 1_000.0)]
    pub rate: f64,
    /// Sensors; users are ten times as many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub sources: u32,
    /// How the rate changes over time
    #[arg(long, value_enum, default_value_t)]
    pub pattern: Pattern,
    /// Stop after this many seconds (0: when stopped)
    #[arg(long, default_value_t = 0.0)]
    pub duration: f64,
    /// Stop after exactly this many events
    #[arg(long)]
    pub count: Option<u64>,
    /// Connections
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub connections: u32,
    /// Make the same events again (times apart)
    #[arg(long)]
    pub seed: Option<u64>,
    /// Events per frame, as a JSON array; 1: one event a frame
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub batch: u32,
    /// Ignore the rate: as fast as the daemon takes them
    #[arg(long)]
    pub flat_out: bool,
    /// Ask for acknowledgements, and wait for them at the end
    #[arg(long)]
    pub ack: bool,
    /// No progress line
    #[arg(long)]
    pub quiet: bool,
}

impl Default for GenerateArgs {
    fn default() -> Self {
        Self {
            url: "ws://localhost:8000/ws/ingest".to_owned(),
            rate: 1_000.0,
            sources: 100,
            pattern: Pattern::Steady,
            duration: 0.0,
            count: None,
            connections: 1,
            seed: None,
            batch: 1,
            flat_out: false,
            ack: false,
            quiet: false,
        }
    }
}

impl GenerateArgs {
    /// Whether the flags make sense.
    pub(super) fn check(&self) -> Result<(), RunError> {
        let (rate, duration) = (self.rate, self.duration);
        if !(self.flat_out || rate > 0.0 && rate.is_finite()) {
            return Err(RunError::Flag(format!("--rate {rate}: expected a number above 0")));
        }
        if !(duration >= 0.0 && duration.is_finite()) {
            let what =
                format!("--duration {duration}: expected a number of seconds, or 0: until it is stopped");
            return Err(RunError::Flag(what));
        }
        Ok(())
    }
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Events handed to connections.
    pub sent: u64,
    /// Bytes of their frames' payloads.
    pub bytes: u64,
    /// How long it took, seconds.
    pub seconds: f64,
    /// Times a connection was made again.
    pub reconnects: u64,
    /// Events that acks call applied, filtered or late (with `--ack`).
    pub accepted: u64,
    /// Events that acks call rejected or dropped (with `--ack`).
    pub rejected: u64,
    /// Frames that no ack came for (with `--ack`).
    pub unacknowledged: u64,
    /// Error notices.
    pub errors: u64,
    /// Backpressure notices.
    pub backpressure: u64,
    /// Whether acks were asked for.
    pub acks: bool,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.sent as f64 / self.seconds.max(1e-9);
        write!(f, "sent          {} events in {:.2} s: {rate:.0}/s", self.sent, self.seconds)?;
        if self.acks {
            write!(f, "\naccepted      {}", self.accepted)?;
            write!(f, "\nrejected      {}", self.rejected)?;
            write!(f, "\nunacked       {} frames", self.unacknowledged)?;
        }
        if self.errors + self.backpressure + self.reconnects > 0 {
            write!(f, "\nreconnects    {}", self.reconnects)?;
            write!(f, "\nnotices       {} errors, {} backpressure", self.errors, self.backpressure)?;
        }
        Ok(())
    }
}
