#![no_main]
fuzz::target!("kcp_input");
