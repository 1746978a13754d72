//! What the daemon knows about itself: counters, latency, the process, the one catalog of metrics; and the log.

pub mod catalog;
pub mod control;
pub mod counters;
pub mod latency;
pub mod letters;
pub mod log;
pub mod process;
pub mod refusal;
