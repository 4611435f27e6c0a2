//! One client-server association: crypt, FEC, ARQ, compression and multiplexing.

use crate::crypt::Suite;
use crate::endpoint::Incoming;
use crate::entropy::Entropy;
use crate::mux::{OpenError, ReadError, StreamId, WriteError};
use crate::stats::Stats;
use crate::time::{Deadline, Instant};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

/// Everything a session needs to know; made by [`crate::Settings::tunnel_config`].
#[derive(Clone, Debug)]
pub struct TunnelConfig {
    /// Packet cipher with its keys.
    pub suite: Suite,
}

/// A batch of sealed datagrams for one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// Bytes written to the caller's buffer.
    pub len: usize,
    /// Set when `len` holds several datagrams of this size, the last one possibly shorter.
    pub segment: Option<NonZeroU16>,
}

/// What became of a datagram.
#[derive(Debug)]
#[must_use]
pub enum Handled<'d> {
    /// It was fed in.
    Used,
    /// It was counted and dropped.
    Dropped(DropReason),
    /// The peer started a new session at the same address: close this tunnel, then accept the datagram.
    Reopen(Incoming<'d>),
}

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DropReason {
    /// Too short for its headers.
    Short,
    /// CRC or tag wrong: damaged, or another key or cipher.
    Checksum,
    /// Another conversation that does not start with sn 0.
    ForeignConv,
    /// The ARQ could not parse it.
    Malformed,
    /// From an address that is not the peer.
    ForeignSource,
    /// No session, and nothing that could start one.
    NoSession,
    /// The endpoint holds as many sessions as it may.
    TooManySessions,
    /// The tunnel is closed.
    Closed,
}

/// What the application should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The peer opened a stream.
    Opened(StreamId),
    /// Bytes, or the end of the stream, can be read.
    Readable(StreamId),
    /// A write that was refused as blocked can be tried again.
    Writable(StreamId),
    /// The peer sent everything it had; bytes may still wait to be read.
    Finished(StreamId),
    /// The session ended; all its streams are gone.
    Closed(CloseReason),
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// Closed by the driver.
    Local,
    /// Nothing was heard from the peer for a keepalive timeout.
    PeerTimeout,
    /// The peer broke the multiplexer's protocol (wrong smux version, other compression setting).
    Protocol,
    /// The compressed stream was corrupt (other compression setting).
    Corrupt,
    /// The peer started a new session at the same address.
    Replaced,
}

/// One association. See the crate's manual for the order of calls.
#[derive(Debug)]
pub struct Tunnel {}

#[expect(missing_docs, reason = "stub")]
impl Tunnel {
    pub fn connect(_config: &Arc<TunnelConfig>, _now: Instant, _to: SocketAddr, _entropy: Entropy) -> Self {
        unimplemented!()
    }
    pub fn handle_datagram<'d>(&mut self, _now: Instant, _datagram: &'d mut [u8]) -> Handled<'d> {
        unimplemented!()
    }
    pub fn handle_timeout(&mut self, _now: Instant) {
        unimplemented!()
    }
    pub fn poll_transmit(&mut self, _now: Instant, _out: &mut [u8]) -> Option<Transmit> {
        unimplemented!()
    }
    pub fn poll_timeout(&self) -> Option<Deadline> {
        unimplemented!()
    }
    pub fn poll_event(&mut self) -> Option<Event> {
        unimplemented!()
    }
    pub fn open_stream(&mut self, _now: Instant) -> Result<StreamId, OpenError> {
        unimplemented!()
    }
    pub fn write(&mut self, _now: Instant, _id: StreamId, _data: &[u8]) -> Result<usize, WriteError> {
        unimplemented!()
    }
    pub fn read(&mut self, _now: Instant, _id: StreamId, _buf: &mut [u8]) -> Result<usize, ReadError> {
        unimplemented!()
    }
    pub fn peek(&mut self, _id: StreamId) -> Result<&[u8], ReadError> {
        unimplemented!()
    }
    pub fn consume(&mut self, _now: Instant, _id: StreamId, _n: usize) {
        unimplemented!()
    }
    pub fn finish(&mut self, _now: Instant, _id: StreamId) -> Result<(), WriteError> {
        unimplemented!()
    }
    pub fn close_stream(&mut self, _now: Instant, _id: StreamId) {
        unimplemented!()
    }
    pub fn close(&mut self, _now: Instant, _reason: CloseReason) {
        unimplemented!()
    }
    pub fn is_closed(&self) -> bool {
        unimplemented!()
    }
    pub fn drained(&self) -> bool {
        unimplemented!()
    }
    pub fn conv(&self) -> u32 {
        unimplemented!()
    }
    pub fn peer(&self) -> SocketAddr {
        unimplemented!()
    }
    pub fn stats(&self) -> Stats {
        unimplemented!()
    }
}
