//! The protocol stack of karst, pure: no clock, no socket, no thread, no global.
//!
//! A kcptun association carries TCP streams over datagrams. From top to bottom, each layer a module usable alone:
//!
//! | module | what |
//! |---|---|
//! | [`tunnel`] | one client-server association: [`Tunnel`] |
//! | [`qpp`] | optional permutation pad per stream |
//! | [`mux`] | smux versions 1 and 2 behind one trait |
//! | [`snappy`] | framed compression of the whole multiplexed byte stream |
//! | [`arq`] | KCP as kcp-go does it |
//! | [`fec`] | Reed-Solomon shards with parameter detection |
//! | [`crypt`] | nonce, checksum, packet ciphers |
//! | [`server`] | the sessions of a server, by address: [`Server`] |
//! | [`client`] | the sessions of a client, and which one a stream uses: [`Client`] |
//! | [`observe`] | counters, coverage marks, notes |
//!
//! # Contract
//!
//! Every call that changes state takes `now`, a point on the driver's own monotonic axis that never goes back. After such
//! a call the driver
//!
//! 1. calls [`Tunnel::poll_transmit`] until `None` and sends what it wrote,
//! 2. calls [`Tunnel::poll_event`] until `None`,
//! 3. reads [`Tunnel::poll_timeout`] and calls [`Tunnel::handle_timeout`] at that time, if nothing else comes first.
//!
//! A driver whose socket blocks simply stops at step 1 and goes on later: datagrams are written when they are asked for,
//! so nothing is queued or lost meanwhile. Deadlines are absolute and say what they are for. Randomness comes only from the
//! injected [`Entropy`]. Hostile datagrams are counted by [`DropReason`], never returned as errors, and cannot make
//! anything grow beyond the limits in [`TunnelConfig`] and [`ServerLimits`].
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
//! tunnel.handle_timeout(now); // nobody acknowledged: the hello goes out again in time
//! # Ok::<(), engine::SettingsError>(())
//! ```

/// Whether that bug was planted; false without the feature.
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
