//! Addresses and sockets.

pub mod address;
pub mod http;
pub mod network;
pub mod udp;
pub mod wire;
