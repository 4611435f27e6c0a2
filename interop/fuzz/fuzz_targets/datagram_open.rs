#![no_main]
fuzz::target!("datagram_open");
