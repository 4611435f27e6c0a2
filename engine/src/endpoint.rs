//! Server side: which session a datagram belongs to, and the rules for accepting and replacing sessions.
//!
//! Sessions are keyed by the peer's address alone, as kcp-go keys them. Datagrams of a known address are not touched
//! here: they are opened by their own session, possibly on another thread. A datagram of an unknown address is opened
//! once, in place, before any state is made for it.

use crate::crypt::OpenError;
use crate::entropy::Entropy;
use crate::map::AddressMap;
use crate::observe::{Mark, Marks, Stats};
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
    /// Of a new conversation.
    pub(crate) first_sn: u32,
    /// It is not known to belong to a session.
    pub(crate) may_start: bool,
    pub(crate) payload: &'d [u8],
}

impl Incoming<'_> {
    /// Whether it looks like the first datagram of a new conversation, not like one out of the middle of a known one.
    pub fn starts_session(&self) -> bool {
        let starts = |identity: Identity| identity.replaces(self.first_sn).is_some();
        self.may_start && Identity::of(self.payload).is_ok_and(starts)
    }

    fn begins_with_data(&self) -> bool {
        Identity::of(self.payload).is_ok_and(|identity| identity.starts().is_some())
    }
}

/// Where a datagram goes.
#[derive(Debug)]
#[must_use]
pub enum Route<'d> {
    /// To this session's [`Tunnel::handle_datagram`], still sealed.
    Session(SessionId, &'d mut [u8]),
    /// To [`Endpoint::accept`].
    Incoming(Incoming<'d>),
    /// A conversation of this session from an unknown address: to [`Tunnel::migrate`], then, if that took it, to
    /// [`Endpoint::moved`]. If it did not, [`Incoming::starts_session`] says whether it may be accepted as a new session.
    Moved(SessionId, Incoming<'d>),
    /// Nowhere.
    Dropped(DropReason),
}

/// Where a session's peer is, and what it calls the session.
#[derive(Debug)]
struct Place {
    address: SocketAddr,
    conv: u32,
}

/// Address to session table of one listening socket.
#[derive(Debug)]
pub struct Endpoint {
    config: Arc<TunnelConfig>,
    limits: EndpointLimits,
    entropy: Entropy,
    by_address: AddressMap<SessionId>,
    sessions: BTreeMap<SessionId, Place>,
    /// The session that moves with each conversation: the oldest one that is alive.
    by_conv: BTreeMap<u32, SessionId>,
    next_id: u64,
    stats: Stats,
    notes: bool,
}

impl Endpoint {
    /// An endpoint without sessions.
    pub fn new(config: Arc<TunnelConfig>, limits: EndpointLimits, mut entropy: Entropy) -> Self {
        let by_address = AddressMap::new(&mut entropy);
        let (sessions, by_conv) = (BTreeMap::new(), BTreeMap::new());
        Self {
            config,
            limits,
            entropy,
            by_address,
            sessions,
            by_conv,
            next_id: 0,
            stats: Stats::default(),
            notes: false,
        }
    }

    /// The tunnels of sessions accepted from here on keep notes ([`Tunnel::keep_notes`]).
    pub const fn keep_notes(&mut self) {
        self.notes = true;
    }

    /// Finds the session of a datagram by its source address, or looks whether it may start one.
    pub fn route<'d>(&mut self, _now: Instant, from: SocketAddr, datagram: &'d mut [u8]) -> Route<'d> {
        if let Some(&id) = self.by_address.find(from) {
            return Route::Session(id, datagram);
        }
        match self.open(datagram) {
            Ok((range, conv)) => {
                let first_sn = self.config.first_sn;
                let incoming = Incoming { from, conv, first_sn, may_start: true, payload: &datagram[range] };
                match self.by_conv.get(&conv) {
                    Some(&id) if self.config.migrate => Route::Moved(id, incoming),
                    _ if self.is_full() => Route::Dropped(DropReason::TooManySessions),
                    _ if incoming.begins_with_data() => Route::Incoming(incoming),
                    _ => {
                        self.stats.marks.hit(Mark::NoSession);
                        Route::Dropped(DropReason::NoSession)
                    }
                }
            }
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
        let conv = Identity::of(&datagram[range.clone()])?.conv().ok_or(DropReason::NoSession)?;
        Ok((range, conv))
    }

    /// Makes the session an incoming datagram asks for and feeds it that datagram. A session of the same address is
    /// forgotten: its tunnel is the driver's to close.
    pub fn accept(&mut self, now: Instant, incoming: Incoming<'_>) -> (SessionId, Tunnel) {
        let id = SessionId(self.next_id);
        self.next_id += 1;
        if let Some(&replaced) = self.by_address.find(incoming.from) {
            self.retire(replaced);
        }
        self.by_address.insert(incoming.from, id);
        // A replayed first datagram makes a session, but must not take the conversation from the one that has it.
        self.stats.marks.hit_if(Mark::ConvReuse, self.by_conv.contains_key(&incoming.conv));
        self.by_conv.entry(incoming.conv).or_insert(id);
        self.sessions.insert(id, Place { address: incoming.from, conv: incoming.conv });
        debug_assert_eq!(self.by_address.len(), self.sessions.len());
        let entropy = self.entropy.fork();
        let mut tunnel = Tunnel::accept(&self.config, now, incoming.from, incoming.conv, entropy);
        if self.notes {
            tunnel.keep_notes();
        }
        if let Ok(identity) = Identity::of(incoming.payload) {
            // What the tunnel makes of it is in its own counters.
            let _ = tunnel.handle_payload(now, incoming.payload, identity);
        }
        (id, tunnel)
    }

    /// Forgets a session; its address may start a new one.
    pub fn retire(&mut self, id: SessionId) {
        let Some(place) = self.sessions.remove(&id) else { return };
        self.by_address.remove(place.address);
        if self.by_conv.get(&place.conv) == Some(&id) {
            self.by_conv.remove(&place.conv);
        }
    }

    /// Notes that a session's peer is now at `address`.
    pub fn moved(&mut self, id: SessionId, address: SocketAddr) {
        let Some(place) = self.sessions.get_mut(&id) else { return };
        self.by_address.remove(place.address);
        place.address = address;
        self.by_address.insert(address, id);
    }

    /// Whether no further session fits.
    pub fn is_full(&self) -> bool {
        self.sessions.len() >= self.limits.sessions_max
    }

    /// Whether a session belongs to this address.
    pub fn knows(&self, address: SocketAddr) -> bool {
        self.by_address.find(address).is_some()
    }

    /// Sessions held.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Rare paths that were taken; those of its sessions are in theirs.
    pub fn marks(&self) -> Marks {
        self.stats.marks
    }

    /// Counters of datagrams that reached no session.
    pub fn stats(&self) -> Stats {
        self.stats
    }
}
