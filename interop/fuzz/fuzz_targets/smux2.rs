#![no_main]
fuzz::target!("smux2");
