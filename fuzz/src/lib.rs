//! What the fuzz targets check, a module a target.
//!
//! `tests/fuzz_seeds.rs` takes this file in as a module of its own and runs the same checks under
//! plain `cargo test`; so modules here name each other by `super`, and need nothing but flumen and
//! what is among its dependencies for tests.

pub mod configuration;
pub mod expressions;
pub mod frames;
pub mod http_request;
pub mod json_agreement;
pub mod memory;
pub mod msgpack;
pub mod query;
pub mod report;
pub mod rules;
pub mod upgrade;

/// Events with something for any rule or expression: numbers, strings, nested ones, names that look
/// like others.
pub const EVENTS: &[u8] = br#"[
{"source":"s1","type":"sensor_data","data":{"value":51.5,"unit":"celsius","a":{"b":-1,"c":"x"}},"metadata":{"rack":"r7"}},
{"source":"test_2","type":"t","timestamp":1,"data":{"value":"text","user_id":"u1","on":true}},
{"source":"'q'","type":"user_action","data":{"value":1e300,"data":{"x":2},"source":3,"type":"z"},"metadata":{"data":{"x":"y"}}},
{"source":"s","type":"sensor_data","data":{}}
]"#;

/// A number that depends on every byte, for a choice that is the same for the same input.
pub fn spread(input: &[u8]) -> usize {
    input.iter().fold(7, |sum: usize, &byte| sum.wrapping_mul(31).wrapping_add(byte.into())) >> 3
}
