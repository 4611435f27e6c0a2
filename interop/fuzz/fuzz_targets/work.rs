#![no_main]
fuzz::target!("work");
