//! Event time: watermark, slices, windows. Pure: no thread, no socket, no clock; a moment is an
//! argument, so every rule about windows can be tested as a function.
//!
//! An event updates one slice a grid; windows are merged from slices when they close, so that
//! many windows cost about what one does. This version has tumbling windows; sliding windows
//! need only another `starts` rule over the same slices ([`slices::Grid`]), sessions get a room
//! of their own beside it.

pub mod engine;
pub mod slices;
pub mod watermark;

/// A tumbling window: `[start, end)`, aligned to the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Size, microseconds, at least 1.
    pub size_us: i64,
}

/// The largest multiple of `step` that is not above `t` (`step > 0`); saturates at the ends of
/// time.
pub fn floor_to(t: i64, step: i64) -> i64 {
    t.div_euclid(step).saturating_mul(step)
}
