#![no_main]
fuzz::target!("tcp_frame");
