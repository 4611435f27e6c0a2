//! The protocol stack of karst, pure: no clock, no socket, no thread, no global.
//!
//! An association of a kcptun client and server carries TCP streams over datagrams. Each layer is a module that is usable
//! alone, from top to bottom:
//!
//! | module | contents |
//! |---|---|
//! | [`server`] | the sessions of a server by client address and conversation: accept, migrate, replace: [`Server`] |
//! | [`client`] | the sessions of a client: which one the next stream uses, rotation, redial: [`Client`] |
//! | [`tunnel`] | the streams of one association: [`Tunnel`] |
//! | [`qpp`] | optional permutation pad per stream |
//! | [`mux`] | stream multiplexing (smux versions 1 and 2) behind one trait |
//! | [`snappy`] | framed compression of the whole multiplexed byte stream |
//! | [`arq`] | KCP as kcp-go implements it, and a paced sender under a controller |
//! | [`congestion`] | estimates of bandwidth, round trip and loss that set the pacing rate |
//! | [`fec`] | Reed-Solomon parity, detection of the peer's shape |
//! | [`crypt`] | nonce, checksum, packet ciphers |
//! | [`forged`] | packets, numbers and handshakes of forged TCP, which carries datagrams where UDP is throttled |
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
//! # Bounds
//!
//! Every structure whose length a peer controls has a bound, and so has the work of a datagram. `n` is the number of streams,
//! at most `streams_max`; windows are in segments, at most 65,535.
//!
//! | structure | bound | work of a datagram |
//! |---|---|---|
//! | datagram | 1,500 bytes, unopened above (CRYPT-19) | opened once, in place |
//! | segments in it | 62 | each acknowledgement is counted against the send window, eight segments at a time |
//! | send buffer and queue | send window, and one frame | a flush examines each segment once |
//! | reorder buffer, receive queue | receive window each | constant; a segment ahead grows the buffer once |
//! | acknowledgements pending | 65,536 | 62 for each datagram sent |
//! | first segments compared | 64 | one checksum |
//! | records of the paced sender | send window | constant, amortized; a timeout visits all |
//! | FEC groups, or list of 2021 | 8 groups, or 768 packets | one insertion among them |
//! | FEC shape detection | 258 samples | sorted while the shape does not fit |
//! | FEC rebuild | 255 shards | the group's shards times those missing, once for as many packets as it has data shards |
//! | compressed chunk | 76 KiB | at most 21 bytes of output for each byte |
//! | streams | `streams_max` | logarithm of n for each frame |
//! | frames to send | 2 n + 67 turns; 1,024 refusals share one | constant for each, amortized (SMUX-32) |
//! | unread bytes | `receive_bytes_max`, and one frame | copied once |
//! | search for the fullest stream | n, every 100 ms or n / 64 calls | 64 streams, amortized (SMUX-32) |
//! | events | five for each stream; the driver drains them | constant |
//! | flows of forged TCP | 8,192 for each port (FTCP-11) | logarithm of their number; one beyond the bound visits all |
//! | sessions | [`ServerLimits`] | logarithm of their number |
//! | ciphers tried for a diagnosis | 15 | the driver limits how often ([`diagnose`]) |
//!
//! The fuzz targets count steps, which must not exceed a constant for each datagram and one for each byte.
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
pub mod forged;
mod map;
pub mod mux;
mod nonce;
pub mod observe;
pub mod options;
pub mod path_probe;
#[cfg(feature = "planted")]
pub mod planted;
pub mod qpp;
mod sampled;
pub mod server;
pub mod settings;
pub mod snappy;
pub mod time;
pub mod tunnel;

pub use client::{Choice, Client, ClientLimits, Retired, Verdict};
pub use entropy::Entropy;
pub use event::{CloseReason, Event, SessionId, StreamId};
pub use nonce::Nonces;
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
