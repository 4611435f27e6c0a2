#![no_main]
#[path = "../../../bins/tests/all/json_body/mod.rs"]
mod json_body;
fuzz::target!(|data| json_body::json_config(data));
