//! Server side: which session a datagram belongs to, and the rules for accepting, moving and replacing sessions.
//!
//! Sessions are keyed by the peer's address alone, as kcp-go keys them. A datagram from a known address is opened by its
//! own session. A datagram from an unknown address is opened once, in place, before any state is created for it.

use crate::crypt::OpenError;
use crate::entropy::Entropy;
use crate::event::{CloseReason, SessionId};
use crate::map::AddressMap;
use crate::nonce::Nonces;
use crate::observe::{Mark, Marks, Stats};
use crate::time::Instant;
use crate::tunnel::{DropReason, Handled, Identity, Incoming, Tunnel, TunnelConfig, admit};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// Bounds of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Sessions that receive datagrams at once; datagrams that would start another are dropped.
    pub sessions_max: usize,
}

/// Result of [`Server::handle_datagram`]: which sessions changed, and have to be drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Received {
    /// This session handled the datagram.
    Session(SessionId, Handled),
    /// The datagram started a session.
    Accepted {
        /// The new session.
        id: SessionId,
        /// The session of the same address that it replaced, closed as [`CloseReason::Replaced`].
        replaced: Option<SessionId>,
    },
    /// No session received the datagram.
    Dropped(DropReason),
}

/// The sessions of one listening socket, from address to tunnel.
///
/// After each call that changes a session, the driver drains its tunnel ([`Self::tunnel_mut`]). Once that reported
/// [`crate::Event::Closed`], the driver calls [`Self::remove`].
#[derive(Debug)]
pub struct Server {
    config: Arc<TunnelConfig>,
    limits: ServerLimits,
    nonces: Nonces,
    /// Sessions that receive datagrams, by the peer's address.
    by_address: AddressMap<SessionId>,
    /// The session that moves with each conversation: the oldest live one.
    by_conv: BTreeMap<u32, SessionId>,
    /// The sessions in `by_address`, and replaced ones that were not removed yet.
    tunnels: BTreeMap<SessionId, Tunnel>,
    next_id: u64,
    accepting: bool,
    notes: bool,
    stats: Stats,
}

impl Server {
    /// A server without sessions.
    pub fn new(config: Arc<TunnelConfig>, limits: ServerLimits, mut entropy: Entropy) -> Self {
        Self {
            config,
            limits,
            by_address: AddressMap::new(&mut entropy),
            nonces: entropy.nonces(),
            by_conv: BTreeMap::new(),
            tunnels: BTreeMap::new(),
            next_id: 0,
            accepting: true,
            notes: false,
            stats: Stats::default(),
        }
    }

    /// Makes the tunnels accepted from now on keep notes ([`Tunnel::keep_notes`]).
    pub const fn keep_notes(&mut self) {
        self.notes = true;
    }

    /// Whether datagrams may start sessions; a driver that is short of memory refuses them.
    pub const fn set_accepting(&mut self, accepting: bool) {
        self.accepting = accepting;
    }

    /// Passes a datagram to the session of its source address. From an unknown address it moves the session of its
    /// conversation there (KCP-24), or starts a session.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) -> Received {
        if from.port() == 0 {
            self.stats.in_errs += 1;
            return Received::Dropped(DropReason::NoSource);
        }
        let known = self.by_address.find(from).copied();
        let Some((id, tunnel)) = known.and_then(|id| Some((id, self.tunnels.get_mut(&id)?))) else {
            return self.handle_unknown(now, from, datagram);
        };
        match tunnel.receive(now, datagram) {
            Ok(handled) => Received::Session(id, handled),
            Err(incoming) => {
                tunnel.close(now, CloseReason::Replaced);
                self.accept(now, incoming)
            }
        }
    }

    fn handle_unknown(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) -> Received {
        let incoming = match self.open(from, datagram) {
            Ok(incoming) => incoming,
            Err(reason) => return Received::Dropped(reason),
        };
        match self.by_conv.get(&incoming.conv) {
            Some(&id) if self.config.migrate => self.migrate(now, id, incoming),
            _ if self.is_full() => Received::Dropped(DropReason::TooManySessions),
            _ if !incoming.begins_with_data() => {
                self.stats.marks.hit(Mark::NoSession);
                Received::Dropped(DropReason::NoSession)
            }
            _ => self.accept_if_allowed(now, incoming),
        }
    }

    fn open<'d>(&mut self, from: SocketAddr, datagram: &'d mut [u8]) -> Result<Incoming<'d>, DropReason> {
        admit(&self.config, &self.nonces, datagram).inspect_err(|reason| match reason {
            DropReason::Reflected => self.stats.reflected += 1,
            _ => self.stats.in_errs += 1,
        })?;
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
        let payload = &datagram[range];
        let conv = Identity::of(payload)?.conv().ok_or(DropReason::NoSession)?;
        Ok(Incoming { from, conv, first_sn: self.config.first_sn, may_start: true, payload })
    }

    /// A known conversation from an unknown address: moves its session, or starts another one.
    fn migrate(&mut self, now: Instant, id: SessionId, incoming: Incoming<'_>) -> Received {
        let Some(tunnel) = self.tunnels.get_mut(&id) else {
            return Received::Dropped(DropReason::NoSession);
        };
        let (before, after) = (tunnel.peer(), incoming.from);
        match tunnel.migrate(now, incoming) {
            Ok(()) => {
                self.by_address.remove(before);
                self.by_address.insert(after, id);
                self.check();
                Received::Session(id, Handled::Used)
            }
            Err(incoming) if !incoming.starts_session() => Received::Dropped(DropReason::MoveRefused),
            Err(_) if self.is_full() => Received::Dropped(DropReason::TooManySessions),
            Err(incoming) => self.accept_if_allowed(now, incoming),
        }
    }

    fn accept_if_allowed(&mut self, now: Instant, incoming: Incoming<'_>) -> Received {
        match self.accepting {
            true => self.accept(now, incoming),
            false => Received::Dropped(DropReason::NotAccepting),
        }
    }

    /// Creates a session and passes the datagram that starts it. A session of the same address receives nothing more.
    fn accept(&mut self, now: Instant, incoming: Incoming<'_>) -> Received {
        let id = SessionId(self.next_id);
        self.next_id += 1;
        let replaced = self.by_address.find(incoming.from).copied();
        replaced.inspect(|replaced| self.stop_routing(*replaced));
        self.by_address.insert(incoming.from, id);
        // A replayed first datagram creates a session, but must not take the conversation from the one that has it.
        self.stats.marks.hit_if(Mark::ConvReuse, self.by_conv.contains_key(&incoming.conv));
        self.by_conv.entry(incoming.conv).or_insert(id);
        let nonces = self.nonces.another();
        let mut tunnel = Tunnel::accept(&self.config, now, incoming.from, incoming.conv, nonces);
        if self.notes {
            tunnel.keep_notes();
        }
        if let Ok(identity) = Identity::of(incoming.payload) {
            // The tunnel's own counters show what it did with it.
            let _ = tunnel.handle_payload(now, incoming.payload, identity);
        }
        self.tunnels.insert(id, tunnel);
        self.check();
        Received::Accepted { id, replaced }
    }

    fn stop_routing(&mut self, id: SessionId) {
        let Some(tunnel) = self.tunnels.get(&id) else { return };
        if self.by_address.find(tunnel.peer()) == Some(&id) {
            self.by_address.remove(tunnel.peer());
        }
        if self.by_conv.get(&tunnel.conv()) == Some(&id) {
            self.by_conv.remove(&tunnel.conv());
        }
    }

    /// Forgets a session and returns its tunnel; its address may start a new one.
    pub fn remove(&mut self, id: SessionId) -> Option<Tunnel> {
        self.stop_routing(id);
        let removed = self.tunnels.remove(&id);
        self.check();
        removed
    }

    /// The tunnel of a session that was not removed.
    pub fn tunnel(&self, id: SessionId) -> Option<&Tunnel> {
        self.tunnels.get(&id)
    }

    /// The tunnel of a session that was not removed.
    pub fn tunnel_mut(&mut self, id: SessionId) -> Option<&mut Tunnel> {
        self.tunnels.get_mut(&id)
    }

    /// All sessions, oldest first, including closed ones that were not removed.
    pub fn tunnels(&self) -> impl Iterator<Item = (SessionId, &Tunnel)> {
        self.tunnels.iter().map(|(id, tunnel)| (*id, tunnel))
    }

    /// As [`Self::tunnels`].
    pub fn tunnels_mut(&mut self) -> impl Iterator<Item = (SessionId, &mut Tunnel)> {
        self.tunnels.iter_mut().map(|(id, tunnel)| (*id, tunnel))
    }

    fn is_full(&self) -> bool {
        self.session_count() >= self.limits.sessions_max
    }

    /// Whether a session receives the datagrams of this address.
    pub fn knows(&self, address: SocketAddr) -> bool {
        self.by_address.find(address).is_some()
    }

    /// Sessions that receive datagrams.
    pub fn session_count(&self) -> usize {
        self.by_address.len()
    }

    /// Coverage marks of the server itself; its tunnels keep their own.
    pub fn marks(&self) -> Marks {
        self.stats.marks
    }

    /// Counters of datagrams that no session received.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    fn check(&self) {
        debug_assert!(self.by_address.len() <= self.tunnels.len(), "every address belongs to a tunnel");
        debug_assert!(
            self.by_conv.len() <= self.by_address.len(),
            "every conversation has a session that receives"
        );
        debug_assert!(self.session_count() <= self.limits.sessions_max.max(1), "more sessions than allowed");
    }
}
