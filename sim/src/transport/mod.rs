//! What carries the streams of applications: the tunnel, and what it is compared with.

mod port;
pub mod tcp;
pub mod tunnel;

pub use port::Port;
