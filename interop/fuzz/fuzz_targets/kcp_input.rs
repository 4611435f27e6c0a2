#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| interop::fuzz::kcp_input(data));
