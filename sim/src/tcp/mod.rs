//! TCP as Linux has it, without clocks and sockets: selective acknowledgements (RFC 2018, 6675), loss detection by time with
//! tail loss probes (RACK-TLP, RFC 8985), proportional rate reduction (RFC 6937), CUBIC with HyStart (RFC 9438), BBR version 1,
//! delayed acknowledgements, scaled windows and buffers that grow, and F-RTO (RFC 5682). The rules are in
//! `engine/requirements/TCP.md`.
//!
//! A [`Connection`] takes packets and times, and returns packets and deadlines. Segments leave one by one, as on a device
//! without segmentation offload; applications write without Nagle's delay.

mod bbr;
mod connection;
mod control;
mod cubic;
mod rate;
mod receiver;
mod recovery;
mod rtt;
mod scoreboard;
mod sender;
mod wire;

pub use connection::{Connection, Role, answer_closed};
pub use wire::{Endpoints, ports};

/// Largest payload of a segment, bytes: 1500 without the headers.
pub(crate) const MSS: u64 = 1_448;
