//! Any bytes may come as MessagePack.
#![no_main]

libfuzzer_sys::fuzz_target!(|message: &[u8]| flumen_fuzz::msgpack::check(message));
