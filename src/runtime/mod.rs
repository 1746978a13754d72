//! What stages run on: threads, rings between them, the clock, sleep and wake.
//!
//! Nothing here knows an event or a window. [`stage`] turns one `poll` function into a pinned,
//! named thread; [`ring`] joins two of them; [`wake`] is the one piece of concurrency that is
//! ours; [`inline`] runs the same stages in one thread on a virtual clock, for the simulation.

pub mod cell;
pub mod clock;
pub mod descriptors;
pub mod door;
pub mod heap;
pub mod inline;
pub mod memory;
pub mod names;
pub mod progress;
pub mod ring;
pub mod stage;
pub mod thread;
pub mod wake;
