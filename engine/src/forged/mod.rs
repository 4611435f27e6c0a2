//! Forged TCP: datagrams as segments of what looks like a TCP connection, without a kernel's TCP behind it.
//!
//! Pure: packets, numbers and handshakes, no socket and no clock. [`Connection`] is a client's side of one flow,
//! [`Listener`] all flows of a server's port. One segment carries one datagram, which may be lost, duplicated or reordered
//! like any other.
//!
//! Two programs are understood besides karst: kcptun's `--tcp`, which hides behind a kernel connection (tcpraw.md), and the
//! fork kcptun(tcp) of 2017, which forges everything (kcptun-tcp.md). Both take any segment with PSH and ACK, so one way of
//! sending suits all.
//!
//! Numbers are taken only from segments whose datagram was opened, so that strangers cannot move a flow (FTCP-8), and a
//! listener keeps nothing of a peer before that: the numbers of its SYN|ACK are a keyed hash (FTCP-3).

mod client;
mod control;
mod flow;
mod packet;
mod server;
mod variant;

pub use client::Connection;
pub use control::Control;
pub use flow::{Arrival, DATA, Flow, Numbers, WINDOW, WINDOW_SCALE};
pub use packet::{Checksum, Flags, HEADERS_MAX, HOP_LIMIT, Header, Options, ParseError, Segment, WriteError};
pub use server::{FLOWS_MAX, IDLE_MAX, Listener};
pub use variant::Variant;
