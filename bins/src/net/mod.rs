//! Addresses and sockets.

pub mod address;
pub mod carrier;
pub mod dns;
mod fast_open;
pub mod forged;
pub mod fragments;
pub mod hosts;
pub mod http;
pub mod network;
mod segmentation;
pub mod udp;
mod watched;
pub mod wire;
