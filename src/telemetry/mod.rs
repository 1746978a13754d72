//! What the daemon knows about itself: counters, latency, and the one catalog of metrics.

pub mod catalog;
pub mod counters;
pub mod latency;
