#![no_main]
fuzz::target!("qpp");
