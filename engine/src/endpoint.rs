//! Server side: which session a datagram belongs to, and the rules for accepting and replacing sessions.

use crate::entropy::Entropy;
use crate::time::Instant;
use crate::tunnel::{DropReason, Tunnel, TunnelConfig};
use std::net::SocketAddr;
use std::sync::Arc;

/// A session of one endpoint. Never used again after it was retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// Bounds of one endpoint.
#[derive(Clone, Copy, Debug)]
pub struct EndpointLimits {
    /// Sessions held at once; datagrams that would start another are dropped.
    pub sessions_max: usize,
}

/// A datagram that may start a session, already opened.
#[derive(Debug)]
pub struct Incoming<'d> {
    /// Where it came from.
    pub from: SocketAddr,
    /// The conversation it belongs to.
    pub conv: u32,
    pub(crate) payload: &'d [u8],
}

/// Where a datagram goes.
#[derive(Debug)]
#[must_use]
pub enum Route<'d> {
    /// To this session's [`Tunnel::handle_datagram`], still sealed.
    Session(SessionId, &'d mut [u8]),
    /// To [`Endpoint::accept`].
    Incoming(Incoming<'d>),
    /// Nowhere.
    Dropped(DropReason),
}

/// Address to session table.
#[derive(Debug)]
pub struct Endpoint {}

#[expect(missing_docs, reason = "stub")]
impl Endpoint {
    pub fn new(_config: Arc<TunnelConfig>, _limits: EndpointLimits, _entropy: Entropy) -> Self {
        unimplemented!()
    }
    pub fn route<'d>(&mut self, _now: Instant, _from: SocketAddr, _datagram: &'d mut [u8]) -> Route<'d> {
        unimplemented!()
    }
    pub fn accept(&mut self, _now: Instant, _incoming: Incoming<'_>) -> (SessionId, Tunnel) {
        unimplemented!()
    }
    pub fn retire(&mut self, _id: SessionId) {
        unimplemented!()
    }
    pub fn session_count(&self) -> usize {
        unimplemented!()
    }
}
