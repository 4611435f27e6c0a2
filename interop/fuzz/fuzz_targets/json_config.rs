#![no_main]
#[path = "../../../bins/tests/all/json_body/mod.rs"]
mod json_body;
libfuzzer_sys::fuzz_target!(|data: &[u8]| json_body::json_config(data));
