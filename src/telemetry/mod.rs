//! What the daemon knows about itself: counters, latency, the process, and the one catalog of metrics.

pub mod catalog;
pub mod counters;
pub mod latency;
pub mod process;
