#![no_main]
fuzz::target!("smuxb");
