//! What karst-client and karst-server are made of: options, logging, sockets, and the loop that drives the engine.

pub mod config;
pub mod driver;
pub mod flags;
pub mod local_time;
pub mod log;
pub mod metrics;
pub mod net;
pub mod profile;
pub mod service;
pub mod snmp;

/// The system's allocator, counting what is in use.
#[global_allocator]
pub(crate) static ALLOCATOR: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, usize::MAX);

/// Version of the programs.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
