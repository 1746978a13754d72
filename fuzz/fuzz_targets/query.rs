//! Queries of HTTP requests.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| flumen_fuzz::query::check(input));
