//! What the gate of the HTTP port hands on.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| flumen_fuzz::http_request::check(input));
