//! Faults and overload, in a real daemon: what the kernel refuses, a thread that dies or is held, a clock
//! that jumps, a process that is stopped, clients that take all they can get. Polite clients go on, what was
//! acknowledged is true, the counters add up.
//!
//! Each test leaves its figures in `target/reliability/faults.json`.

#[path = "../common/mod.rs"]
mod common;

mod clock;
mod crowds;
mod drain;
mod kernel;
mod overload;
mod rig;
