#![no_main]
fuzz::target!("session");
