//! Addresses and sockets.

pub mod address;
pub mod http;
pub mod sockets;
pub mod udp;
pub mod wire;
