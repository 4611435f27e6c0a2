//! Server side: which session a datagram belongs to, and the rules for accepting and replacing sessions.
//!
//! Sessions are keyed by the peer's address alone, as kcp-go keys them. Datagrams of a known address are not touched
//! here: they are opened by their own session, possibly on another thread. A datagram of an unknown address is opened
//! once, in place, before any state is made for it.

use crate::crypt::OpenError;
use crate::entropy::Entropy;
use crate::map::AddressMap;
use crate::stats::Stats;
use crate::time::Instant;
use crate::tunnel::{DropReason, Identity, Tunnel, TunnelConfig};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// A session of one endpoint. Never used again after it was retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// Bounds of one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// Address to session table of one listening socket.
#[derive(Debug)]
pub struct Endpoint {
    config: Arc<TunnelConfig>,
    limits: EndpointLimits,
    entropy: Entropy,
    by_address: AddressMap<SessionId>,
    addresses: BTreeMap<SessionId, SocketAddr>,
    next_id: u64,
    stats: Stats,
}

impl Endpoint {
    /// An endpoint without sessions.
    pub fn new(config: Arc<TunnelConfig>, limits: EndpointLimits, mut entropy: Entropy) -> Self {
        let by_address = AddressMap::new(&mut entropy);
        let addresses = BTreeMap::new();
        Self { config, limits, entropy, by_address, addresses, next_id: 0, stats: Stats::default() }
    }

    /// Finds the session of a datagram by its source address, or looks whether it may start one.
    pub fn route<'d>(&mut self, _now: Instant, from: SocketAddr, datagram: &'d mut [u8]) -> Route<'d> {
        if let Some(&id) = self.by_address.find(from) {
            return Route::Session(id, datagram);
        }
        match self.open(datagram) {
            Ok((range, conv)) => Route::Incoming(Incoming { from, conv, payload: &datagram[range] }),
            Err(reason) => Route::Dropped(reason),
        }
    }

    fn open(&mut self, datagram: &mut [u8]) -> Result<(core::ops::Range<usize>, u32), DropReason> {
        let range = self.config.suite.open(datagram).map_err(|error| match error {
            OpenError::Short => {
                self.stats.in_errs += 1;
                DropReason::Short
            }
            _ => {
                self.stats.in_csum_errors += 1;
                DropReason::Checksum
            }
        })?;
        let conv = Identity::of(&datagram[range.clone()])?.starts().ok_or(DropReason::NoSession)?;
        if self.addresses.len() >= self.limits.sessions_max {
            return Err(DropReason::TooManySessions);
        }
        Ok((range, conv))
    }

    /// Makes the session an incoming datagram asks for and feeds it that datagram. A session of the same address is
    /// forgotten: its tunnel is the driver's to close.
    pub fn accept(&mut self, now: Instant, incoming: Incoming<'_>) -> (SessionId, Tunnel) {
        let id = SessionId(self.next_id);
        self.next_id += 1;
        if let Some(replaced) = self.by_address.insert(incoming.from, id) {
            self.addresses.remove(&replaced);
        }
        self.addresses.insert(id, incoming.from);
        debug_assert_eq!(self.by_address.len(), self.addresses.len());
        let entropy = self.entropy.fork();
        let mut tunnel = Tunnel::accept(&self.config, now, incoming.from, incoming.conv, entropy);
        if let Ok(identity) = Identity::of(incoming.payload) {
            // What the tunnel makes of it is in its own counters.
            let _ = tunnel.handle_payload(now, incoming.payload, identity);
        }
        (id, tunnel)
    }

    /// Forgets a session; its address may start a new one.
    pub fn retire(&mut self, id: SessionId) {
        if let Some(address) = self.addresses.remove(&id) {
            self.by_address.remove(address);
        }
    }

    /// Sessions held.
    pub fn session_count(&self) -> usize {
        self.addresses.len()
    }

    /// Counters of datagrams that reached no session.
    pub fn stats(&self) -> Stats {
        self.stats
    }
}
