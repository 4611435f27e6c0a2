//! What karst-client and karst-server are made of: options, logging, sockets, and the loop that drives the engine.

pub mod check;
pub mod config;
pub mod driver;
pub mod flags;
pub mod heap;
pub mod local_time;
pub mod log;
pub mod metrics;
pub mod net;
pub mod profile;
pub mod proxy;
pub mod service;
pub mod snmp;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The path that the text of an option stands for (CLI-70).
pub fn path_of(text: &str) -> PathBuf {
    OsString::from_vec(engine::options::bytes_of(text)).into()
}

/// Version of the programs.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
