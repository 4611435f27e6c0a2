//! Addresses and sockets.

pub mod address;
pub mod udp;
pub mod wire;
