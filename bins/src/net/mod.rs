//! Addresses and sockets.

pub mod address;
pub mod dns;
pub mod hosts;
pub mod http;
pub mod network;
pub mod wire;
