//! Upgrade requests of WebSocket clients.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| flumen_fuzz::upgrade::check(input));
