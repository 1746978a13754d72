//! However a stream of WebSocket frames is cut, it says the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| flumen_fuzz::frames::check(input));
