//! The sleep protocol, apart from threads and rings so that loom can try every interleaving of
//! the very same lines (`tests/loom_wake.rs` compiles this file against loom's atomics).
//!
//! # The promise
//!
//! A sleeper that goes to sleep after the protocol allowed it is roused by every later ring of
//! the bell for one of the reasons it awaits. Nobody sleeps on work that is already there.
//!
//! # The proof
//!
//! The waker does `P: publish work; F1: fence; L: load awaits`. The sleeper does
//! `S: store awaits; F2: fence; R: look for work again`, and sleeps only if `R` found none.
//! Both fences are SeqCst, so one comes before the other in the single total order of fences.
//! If `F1` is first, `P` happens before `R` and the sleeper sees the work: it does not sleep.
//! If `F2` is first, `S` is visible to `L`: the waker sees the sleeper and rouses it. A rouse
//! that arrives before the sleep itself is kept by the thread's token (`unpark` before `park`)
//! or by the readiness of the poll's waker, so it is not lost either.
//!
//! The bell is rung once a batch, not once an item: a waker pays one fence and one load while
//! nobody sleeps.

use super::sync::{AtomicU8, Ordering, fence};

/// The sleeper waits for input.
pub const INPUT: u8 = 1;
/// The sleeper holds output that did not fit and waits for space.
pub const SPACE: u8 = 2;
/// The sleeper waits for a window thread to apply what it sent.
pub const APPLIED: u8 = 4;
/// Main asks for a sign of life: every sleeper wakes for this, and only turns once.
pub const PULSE: u8 = 8;

/// The flag of one sleeper: zero while it is awake, else the reasons it awaits.
#[derive(Debug)]
pub struct Flag {
    awaits: AtomicU8,
}

impl Flag {
    /// An awake sleeper.
    pub fn new() -> Self {
        Self { awaits: AtomicU8::new(0) }
    }

    /// Sleeper: says what it is about to wait for. It must look for work once more after this.
    pub fn prepare(&self, reasons: u8) {
        self.awaits.store(reasons, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Sleeper: is awake again.
    pub fn cancel(&self) {
        self.awaits.store(0, Ordering::Relaxed);
    }

    /// Waker: after publishing; `true` means that this caller must rouse the sleeper.
    pub fn must_rouse(&self, reason: u8) -> bool {
        fence(Ordering::SeqCst);
        // The load is the common, cheap path; the swap lets one of several wakers win.
        self.awaits.load(Ordering::Relaxed) & reason != 0 && self.awaits.swap(0, Ordering::Relaxed) != 0
    }
}

impl Default for Flag {
    fn default() -> Self {
        Self::new()
    }
}
