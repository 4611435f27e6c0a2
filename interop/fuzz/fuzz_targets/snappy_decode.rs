#![no_main]
fuzz::target!("snappy_decode");
