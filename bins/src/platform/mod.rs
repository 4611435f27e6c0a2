//! What differs between operating systems: sockets, signals, local time, the figures of the process, and the parent.
//!
//! Two layers, each with one name for every concern, so that no other module asks for the system:
//!
//! - `linux` has the calls that only Linux has: batches of datagrams, TCP fast open, forged TCP, /proc. `portable` has the
//!   same names over std, tokio and socket2: one datagram per call, and no forged TCP. Linux has it too with the cargo feature
//!   `portable`, which is how it is tested and measured.
//! - `unix` has what every Unix has: signals, Unix sockets, the local time of the C library, limits. `other` has the same names for
//!   Windows: the events of a console, no Unix sockets, UTC.

#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod linux;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
use linux as backend;

#[cfg(any(test, not(all(target_os = "linux", not(feature = "portable")))))]
#[cfg_attr(test, allow(dead_code, unreachable_pub, reason = "tests use its sockets only"))]
mod portable;
#[cfg(not(all(target_os = "linux", not(feature = "portable"))))]
use portable as backend;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as system;

#[cfg(not(unix))]
mod other;
#[cfg(not(unix))]
use other as system;

pub mod calendar;
pub mod memory;
pub mod profile;

pub use backend::forged;
pub use backend::fragments::forbid_fragments;
pub use backend::udp::UdpSocket;
pub(crate) use backend::{fast_open, process, tcp};
pub(crate) use system::{errors, host, limits, service, signals};
pub use system::{sockets, text};
