//! Filter rules as JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| flumen_fuzz::rules::check(input));
