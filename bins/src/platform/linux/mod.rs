//! Linux: what `portable` has, with the calls that only this system has.

pub(crate) mod fast_open;
pub mod forged;
pub(crate) mod fragments;
pub(crate) mod process;
mod segmentation;
pub(crate) mod tcp;
pub(crate) mod udp;
mod watched;
