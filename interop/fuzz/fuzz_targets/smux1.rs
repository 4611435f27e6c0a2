#![no_main]
fuzz::target!("smux1");
