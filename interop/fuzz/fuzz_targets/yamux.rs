#![no_main]
fuzz::target!("yamux");
