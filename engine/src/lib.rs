//! The protocol stack of karst, pure: no clock, no socket, no thread, no global.
//!
//! An association of a kcptun client and server carries TCP streams over datagrams. Each layer is a module that is usable
//! alone, from top to bottom:
//!
//! | module | contents |
//! |---|---|
//! | [`server`] | the sessions of a server by client address: accept, migrate, replace: [`Server`] |
//! | [`client`] | the sessions of a client: which one the next stream uses, rotation, redial: [`Client`] |
//! | [`tunnel`] | the streams of one association: [`Tunnel`] |
//! | [`qpp`] | optional permutation pad per stream |
//! | [`mux`] | stream multiplexing (smux versions 1 and 2) behind one trait |
//! | [`snappy`] | framed compression of the whole multiplexed byte stream |
//! | [`arq`] | KCP as kcp-go implements it, and a paced sender under a controller |
//! | [`congestion`] | estimates of bandwidth, round trip and loss that set the pacing rate |
//! | [`fec`] | Reed-Solomon parity, detection of the peer's shape |
//! | [`crypt`] | nonce, checksum, packet ciphers |
//! | [`options`] | the table of options: name, JSON key, defaults, meaning |
//! | [`observe`] | counters, causes of transmissions, notes, coverage marks |
//!
//! # Contract
//!
//! Every call that changes state takes `now`, a time on the driver's own monotonic clock. After such a call the driver
//!
//! 1. calls [`Tunnel::poll_transmit`] until `None` and sends the datagrams it wrote,
//! 2. calls [`Tunnel::poll_event`] until `None`,
//! 3. reads [`Tunnel::poll_timeout`] and calls [`Tunnel::handle_timeout`] at that time, unless another call precedes it.
//!
//! A driver whose socket blocks stops at step 1 and resumes later: datagrams are written on demand, so none is queued or
//! lost meanwhile. Deadlines are absolute and name their reason. Randomness comes only from the injected [`Entropy`].
//! Hostile datagrams are counted by [`DropReason`], never returned as errors, and cannot exceed the limits of
//! [`TunnelConfig`] and [`ServerLimits`].
//!
//! # A client
//!
//! ```
//! use engine::{Entropy, Instant, Settings, Tunnel};
//! use std::sync::Arc;
//!
//! let config = Arc::new(Settings::client().tunnel_config()?);
//! let server = "192.0.2.1:29900".parse().unwrap();
//! let mut now = Instant::ZERO;
//! let mut tunnel = Tunnel::connect(&config, now, server, Entropy::from_seed([1; 32]));
//! let stream = tunnel.open_stream(now).unwrap();
//! tunnel.write(now, stream, b"hello").unwrap();
//! let mut datagram = [0; 1500];
//! while let Some(transmit) = tunnel.poll_transmit(now, &mut datagram) {
//!     assert_eq!(transmit.to, server); // send datagram[..transmit.len]
//! }
//! while let Some(event) = tunnel.poll_event() {
//!     println!("{event:?}");
//! }
//! now = tunnel.poll_timeout().unwrap().at;
//! tunnel.handle_timeout(now); // without an acknowledgement, the segment is retransmitted
//! # Ok::<(), engine::SettingsError>(())
//! ```

/// Whether the seeded bug `$bug` is active; always false without the feature `planted`.
macro_rules! planted {
    ($where:expr, $bug:ident) => {{
        #[cfg(feature = "planted")]
        let planted = $where.planted == Some(crate::planted::Planted::$bug);
        #[cfg(not(feature = "planted"))]
        let planted = false;
        planted
    }};
}

pub mod arq;
mod byte_queue;
pub mod client;
pub mod congestion;
pub mod crypt;
pub mod diagnose;
pub mod entropy;
mod event;
pub mod fec;
mod map;
pub mod mux;
pub mod observe;
pub mod options;
#[cfg(feature = "planted")]
pub mod planted;
pub mod qpp;
mod sampled;
pub mod server;
pub mod settings;
pub mod snappy;
pub mod time;
pub mod tunnel;

pub use client::{Choice, Client, ClientLimits, Retired};
pub use entropy::Entropy;
pub use event::{CloseReason, Event, SessionId, StreamId};
pub use observe::{Cause, Mark, Marks, Note, Stats};
pub use options::Settings;
pub use server::{Received, Server, ServerLimits};
pub use settings::SettingsError;
pub use time::{Deadline, Instant, Timer};
pub use tunnel::{DropReason, Handled, Mismatch, Transmit, Tunnel, TunnelConfig};

/// Behaviours that differ between generations of kcp-go; the wire format is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Generation {
    /// kcp-go v5.6.1 as in Debian's kcptun 20210922.
    Go2021,
    /// kcp-go v5.6.63 and later, kcptun of 2026.
    #[default]
    Go2026,
}
