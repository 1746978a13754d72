//! The scanner and serde_json alone tell the same of any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|message: &[u8]| flumen_fuzz::json_agreement::check(message));
