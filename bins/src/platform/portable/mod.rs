//! Systems of which nothing is known but what std, tokio and socket2 offer.

pub(crate) mod fast_open;
pub mod forged;
pub(crate) mod fragments;
pub(crate) mod process;
pub(crate) mod tcp;
pub(crate) mod udp;
