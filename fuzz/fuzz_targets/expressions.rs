//! Expressions of `where`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| flumen_fuzz::expressions::check(input));
