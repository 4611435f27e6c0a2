#![no_main]
fuzz::target!("fec_decode");
