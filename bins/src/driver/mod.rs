//! The loop that drives the engine: one thread, no locks, no channels.
//!
//! A [`hub::Hub`] owns one datagram socket and the sessions behind it. Stream tasks read from their connection straight
//! into the tunnel and write from the tunnel straight to their connection, so that a slow end slows the other one. Every
//! change marks its session; the hub's own task then sends its datagrams, wakes its streams, and arms one timer.
//!
//! Which session a datagram or stream belongs to is decided by [`engine::Server`] and [`engine::Client`].

mod census;
mod client;
mod clock;
mod diagnose;

mod detected;
mod hub;
mod memory;
mod monitor;
mod pipe;
mod proxy;
mod server;
mod startup;
mod stop;
mod stream;
mod tunnels;

pub use startup::{parameters, run, run_simulated};
