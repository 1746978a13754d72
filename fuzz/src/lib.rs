//! What the fuzz targets check, a module a target.
//!
//! `tests/fuzz_seeds.rs` takes this file in as a module of its own and runs the same checks under
//! plain `cargo test`; so modules here name each other by `super`, and need nothing but flumen.

pub mod frames;
pub mod json_agreement;
pub mod memory;
pub mod msgpack;
pub mod report;
