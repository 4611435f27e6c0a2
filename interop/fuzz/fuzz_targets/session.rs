#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| interop::fuzz::session(data));
