//! The loop that drives the engine: one thread, no locks, no channels.
//!
//! A [`hub::Hub`] owns one datagram socket and the sessions behind it. Stream tasks read from their connection straight
//! into the tunnel and write from the tunnel straight to their connection, so that a slow end slows the other one. Every
//! change marks its session; the hub's own task then sends what there is to send, wakes who has to be woken, and arms one
//! timer.

mod census;
mod client;
mod clock;
mod diagnose;
mod hub;
mod memory;
mod monitor;
mod pipe;
mod server;
mod startup;
mod stop;
mod stream;
mod tunnels;

pub use startup::{parameters, run, run_simulated};
