//! The protocol stack of karst, pure: no clock, no socket, no thread, no global.
//!
//! The manual is written at the end of the file's module list; see [`Tunnel`] and [`Endpoint`].

pub mod arq;
mod byte_queue;
pub mod crypt;
pub mod endpoint;
pub mod entropy;
pub mod fec;
mod map;
pub mod mux;
pub mod qpp;
pub mod settings;
pub mod snappy;
pub mod stats;
pub mod time;
pub mod tunnel;

pub use endpoint::{Endpoint, EndpointLimits, Incoming, Route, SessionId};
pub use entropy::Entropy;
pub use mux::StreamId;
pub use settings::{Settings, SettingsError};
pub use stats::Stats;
pub use time::{Deadline, Instant, Timer};
pub use tunnel::{CloseReason, DropReason, Event, Handled, Transmit, Tunnel, TunnelConfig};

/// Behaviours that differ between generations of kcp-go; the wire format is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Generation {
    /// kcp-go v5.6.1 as in Debian's kcptun 20210922.
    Go2021,
    /// kcp-go v5.6.63 and later, kcptun of 2026.
    #[default]
    Go2026,
}
