//! Addresses and sockets.

pub mod address;
pub mod http;
pub mod network;
pub mod udp;
mod segmentation;
pub mod wire;
