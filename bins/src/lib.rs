//! What karst-client and karst-server are made of: options, logging, sockets, and the loop that drives the engine.

pub mod check;
pub mod config;
pub mod datagrams;
pub mod driver;
pub mod flags;
pub mod heap;
pub mod local_time;
pub mod log;
pub mod metrics;
pub mod net;
pub mod platform;
pub mod profile;
pub mod proxy;
pub mod snmp;

/// Version of the programs.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
