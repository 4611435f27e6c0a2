//! What the same work gets over direct TCP: the same links, seed, applications and report, with smoltcp's TCP in the
//! place of the tunnel and a connection in the place of each stream.
//!
//! smoltcp has congestion control by RFC (CUBIC or Reno, fast retransmit, a retransmission timeout of at least a
//! second), but no selective acknowledgements: on lossy lines Linux does better. Applications write without Nagle's
//! delay into buffers of [`BUFFER_BYTES`]. Machines have no limits here; faults that need a tunnel are refused.

mod device;
mod host;
mod port;
mod world;

pub use world::TcpWorld;

/// Room of a connection in each direction, bytes; about what Linux grows to.
pub const BUFFER_BYTES: usize = 4 << 20;
