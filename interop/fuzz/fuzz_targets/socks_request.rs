#![no_main]
#[path = "../../../bins/tests/all/proxy_body/mod.rs"]
mod proxy_body;
fuzz::target!(|data| fuzz::linear(proxy_body::socks_request, data));
