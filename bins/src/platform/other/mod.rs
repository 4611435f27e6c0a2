//! What `unix` has, for Windows.

pub(crate) mod errors;
pub(crate) mod host;
pub(crate) mod limits;
pub(crate) mod local_time;
pub(crate) mod service;
pub(crate) mod signals;
pub mod sockets;
pub mod text;
