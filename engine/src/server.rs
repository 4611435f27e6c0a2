//! Server side: which session a datagram belongs to, and the rules for accepting, moving and replacing sessions.
//!
//! A datagram goes to the session of its source address and conversation. Datagrams of a known conversation from another
//! address go to its session, too, which decides whether its peer moved (KCP-24). From anything else, data starts a session,
//! unless it may be a replay (KCP-33). A session is validated once its peer has acknowledged something (KCP-34); only then
//! it replaces others at its address (KCP-22).

use crate::congestion::Path;
use crate::crypt::OpenError;
use crate::entropy::Entropy;
use crate::event::{CloseReason, SessionId};
use crate::map::AddressMap;
use crate::nonce::Nonces;
use crate::observe::{Mark, Marks, Stats};
use crate::time::{Instant, diff};
use crate::tunnel::{DropReason, Handled, Identity, Incoming, Tunnel, TunnelConfig, admit};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Sessions at one address, and of one conversation id.
const SHARING_MAX: usize = 4;

/// How long a session that shares its address or its conversation with others is safe from them: its peer may be about to
/// acknowledge something.
const SHARING_LIFETIME: Duration = Duration::from_secs(1);

/// Conversations that ended are remembered for this long, and at most this many for each session that the server may hold.
const ENDED_LIFETIME: Duration = Duration::from_secs(3600);
const ENDED_PER_SESSION: usize = 4;

/// Bounds of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Sessions that receive datagrams at once. One more takes the place of the oldest whose peer has acknowledged nothing;
    /// without one, the datagram that would start it is dropped.
    pub sessions_max: usize,
}

/// Result of [`Server::handle_datagram`]: which session changed, and has to be drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Received {
    /// This session handled the datagram.
    Session(SessionId, Handled),
    /// The datagram started a session.
    Accepted {
        /// The new session.
        id: SessionId,
    },
    /// No session received the datagram.
    Dropped(DropReason),
}

/// The sessions of one listening socket, from address and conversation to tunnel.
///
/// After each call that changes a session, the driver drains its tunnel ([`Self::tunnel_mut`]); [`Self::poll_closed`] names the
/// sessions that the server closed itself, which have to be drained, too. Once a tunnel reported [`crate::Event::Closed`], the
/// driver calls [`Self::remove`].
#[derive(Debug)]
pub struct Server {
    config: Arc<TunnelConfig>,
    limits: ServerLimits,
    entropy: Entropy,
    nonces: Nonces,
    /// Sessions that receive datagrams, by the peer's address; the one heard last comes first.
    by_address: AddressMap<Sharing>,
    /// The same sessions, by conversation.
    by_conv: BTreeMap<u32, Sharing>,
    /// The same sessions, with the address that they have in the table: a tunnel may have moved since.
    routed: BTreeMap<SessionId, SocketAddr>,
    /// Those that were not validated when they were looked at last.
    unvalidated: BTreeSet<SessionId>,
    /// Paths to the hosts of validated sessions, and how many share them (CC-20).
    paths: BTreeMap<IpAddr, (Path, usize)>,
    /// The routed sessions that were validated, with the host whose path they share.
    hosts: BTreeMap<SessionId, IpAddr>,
    /// The routed sessions, and closed ones that were not removed yet.
    tunnels: BTreeMap<SessionId, Tunnel>,
    ended: Ended,
    closed: VecDeque<SessionId>,
    next_id: u64,
    accepting: bool,
    notes: bool,
    stats: Stats,
}

/// Sessions with the same address or conversation, at most [`SHARING_MAX`].
type Sharing = Vec<SessionId>;

impl Server {
    /// A server without sessions.
    pub fn new(config: Arc<TunnelConfig>, limits: ServerLimits, mut entropy: Entropy) -> Self {
        Self {
            config,
            limits,
            by_address: AddressMap::new(&mut entropy),
            paths: BTreeMap::new(),
            hosts: BTreeMap::new(),
            nonces: entropy.nonces(),
            entropy,
            by_conv: BTreeMap::new(),
            routed: BTreeMap::new(),
            unvalidated: BTreeSet::new(),
            tunnels: BTreeMap::new(),
            ended: Ended::new(limits.sessions_max.saturating_mul(ENDED_PER_SESSION)),
            closed: VecDeque::new(),
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

    /// Passes a datagram to the session of its source address and conversation, or of its conversation alone, or starts a
    /// session with it.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) -> Received {
        if from.port() == 0 {
            self.stats.in_errs += 1;
            return Received::Dropped(DropReason::NoSource);
        }
        let known = self.by_address.find(from).and_then(|sharing| sharing.first()).copied();
        let result = match known.and_then(|id| Some((id, self.tunnels.get_mut(&id)?))) {
            // The session may have moved away since the table was written.
            Some((id, tunnel)) if tunnel.peer() == from => match tunnel.receive(now, datagram) {
                Ok(handled) => Received::Session(id, handled),
                Err(incoming) => self.route(now, incoming, Some(id)),
            },
            _ => match self.open(from, datagram) {
                Ok(incoming) => self.route(now, incoming, None),
                Err(reason) => Received::Dropped(reason),
            },
        };
        if let Received::Session(id, _) = result {
            self.follow(now, id);
        }
        self.check();
        result
    }

    fn open<'d>(&mut self, from: SocketAddr, datagram: &'d mut [u8]) -> Result<Incoming<'d>, DropReason> {
        let bytes = datagram.len();
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
        Ok(Incoming { from, conv, first_sn: self.config.first_sn, payload, bytes })
    }

    /// A datagram that is not of the session heard last at its address, `here`.
    fn route(&mut self, now: Instant, incoming: Incoming<'_>, here: Option<SessionId>) -> Received {
        let of_conv = self.by_conv.get(&incoming.conv).map_or(&[][..], Vec::as_slice);
        let at_address =
            |id: &SessionId| self.tunnels.get(id).is_some_and(|tunnel| tunnel.peer() == incoming.from);
        if let Some(id) = of_conv.iter().copied().find(at_address) {
            return self.pass(now, id, &incoming);
        }
        if self.config.migrate
            && let Some(&id) = of_conv.first()
        {
            return self.pass_elsewhere(now, id, &incoming);
        }
        match here {
            Some(id) if !self.may_start(&incoming) => {
                let dropped = self.tunnels.get_mut(&id).map(Tunnel::drop_foreign);
                Received::Session(id, dropped.unwrap_or(Handled::Dropped(DropReason::ForeignConv)))
            }
            None if !incoming.begins_with_data() => {
                self.stats.marks.hit(Mark::NoSession);
                Received::Dropped(DropReason::NoSession)
            }
            None if !self.accepting => Received::Dropped(DropReason::NotAccepting),
            _ if self.is_replay(now, &incoming) => Received::Dropped(DropReason::Replayed),
            _ if !self.make_room(now, &incoming) => Received::Dropped(DropReason::TooManySessions),
            _ => self.accept(now, incoming),
        }
    }

    /// KCP-22: whether a datagram starts a session at an address that has others. Beside sessions that may all be replays, a
    /// client must learn that its own is lost, as it would at an address without a session.
    fn may_start(&self, incoming: &Incoming<'_>) -> bool {
        let sharing = self.by_address.find(incoming.from).map_or(&[][..], Vec::as_slice);
        let settled =
            sharing.iter().filter_map(|id| self.tunnels.get(id)).any(|tunnel| tunnel.is_validated());
        if settled { incoming.starts_session() } else { incoming.begins_with_data() }
    }

    /// A datagram of another session at its address, which becomes the one heard last.
    fn pass(&mut self, now: Instant, id: SessionId, incoming: &Incoming<'_>) -> Received {
        self.write_address(id);
        if let Some(sharing) = self.by_address.find_mut(incoming.from)
            && let Some(place) = sharing.iter().position(|other| *other == id)
        {
            sharing[..=place].rotate_right(1);
        }
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return Received::Dropped(DropReason::NoSession) };
        match Identity::of(incoming.payload) {
            Ok(identity) => {
                let handled = tunnel.handle_opened(now, incoming.payload, incoming.bytes, identity);
                Received::Session(id, handled)
            }
            Err(reason) => Received::Dropped(reason),
        }
    }

    /// A datagram of a conversation whose session has another address.
    fn pass_elsewhere(&mut self, now: Instant, id: SessionId, incoming: &Incoming<'_>) -> Received {
        let handled =
            self.tunnels.get_mut(&id).and_then(|tunnel| tunnel.receive_elsewhere(now, incoming).ok());
        match handled {
            Some(handled) => Received::Session(id, handled),
            None => Received::Dropped(DropReason::MoveRefused),
        }
    }

    /// KCP-33: whether the first data of a conversation may be a copy of what was received before.
    fn is_replay(&mut self, now: Instant, incoming: &Incoming<'_>) -> bool {
        let Some(ts) = incoming.ts() else { return true };
        let of_conv = self.by_conv.get(&incoming.conv).map_or(&[][..], Vec::as_slice);
        let live =
            of_conv.iter().filter_map(|id| self.tunnels.get(id)).filter(|tunnel| tunnel.is_validated());
        let newest = live.filter_map(Tunnel::newest_ts).chain(self.ended.newest_ts(now, incoming.conv));
        let replayed = newest.into_iter().any(|newest| diff(ts, newest) <= 0);
        self.stats.marks.hit_if(Mark::ConvReuse, !of_conv.is_empty() && !replayed);
        replayed
    }

    /// Closes sessions that were not validated where the limits leave no room for another one; `false` if there is none.
    fn make_room(&mut self, now: Instant, incoming: &Incoming<'_>) -> bool {
        let at_address = self.by_address.find(incoming.from).cloned().unwrap_or_default();
        let of_conv = self.by_conv.get(&incoming.conv).cloned().unwrap_or_default();
        for sharing in [at_address, of_conv] {
            if sharing.len() < SHARING_MAX {
                continue;
            }
            let idle = |id: &SessionId| {
                let tunnel = self.tunnels.get(id).filter(|tunnel| !tunnel.is_validated())?;
                Some((tunnel.advanced_at(), *id))
            };
            let oldest = sharing.iter().filter_map(idle).min();
            let Some((_, id)) = oldest.filter(|(at, _)| now.since(*at) >= SHARING_LIFETIME) else {
                return false;
            };
            self.close(now, id, CloseReason::Unvalidated);
        }
        while self.session_count() >= self.limits.sessions_max {
            let Some(id) = self.unvalidated.pop_first() else { return false };
            if self.tunnels.get(&id).is_some_and(|tunnel| !tunnel.is_validated()) {
                self.close(now, id, CloseReason::Unvalidated);
            }
        }
        true
    }

    /// Creates a session and passes the datagram that starts it.
    fn accept(&mut self, now: Instant, incoming: Incoming<'_>) -> Received {
        let id = SessionId(self.next_id);
        self.next_id += 1;
        self.by_address.find_or_insert(incoming.from).insert(0, id);
        self.by_conv.entry(incoming.conv).or_default().push(id);
        self.routed.insert(id, incoming.from);
        self.unvalidated.insert(id);
        let entropy = self.entropy.fork();
        let mut tunnel = Tunnel::accept(&self.config, now, incoming.from, incoming.conv, entropy);
        if self.notes {
            tunnel.keep_notes();
        }
        if let Ok(identity) = Identity::of(incoming.payload) {
            // The tunnel's own counters show what it did with it.
            let _ = tunnel.handle_opened(now, incoming.payload, incoming.bytes, identity);
        }
        self.tunnels.insert(id, tunnel);
        Received::Accepted { id }
    }

    /// After a session handled a datagram: it may have moved, or proven that its peer is at its address.
    fn follow(&mut self, now: Instant, id: SessionId) {
        self.write_address(id);
        self.share_path(id);
        let Some(tunnel) = self.tunnels.get(&id) else { return };
        let Some(sharing) = self.by_address.find(tunnel.peer()).filter(|sharing| sharing.len() > 1) else {
            return;
        };
        if !tunnel.is_validated() || !sharing.contains(&id) {
            return;
        }
        // KCP-22: the newest process that answered has the address. Datagrams of an earlier one may be replays.
        for other in sharing.clone().into_iter().filter(|other| *other < id) {
            self.close(now, other, CloseReason::Replaced);
        }
    }

    /// Moves a session to its present address in the table.
    fn write_address(&mut self, id: SessionId) {
        let Some(tunnel) = self.tunnels.get(&id) else { return };
        let Some(address) = self.routed.get_mut(&id) else { return };
        let peer = tunnel.peer();
        if *address != peer {
            let before = std::mem::replace(address, peer);
            self.by_address.take_out(before, id);
            self.by_address.find_or_insert(peer).insert(0, id);
        }
    }

    /// CC-20: a validated session shares what is known of the path to its host, which changes when it moves. Others share
    /// nothing: their datagrams may be replays from forged addresses.
    fn share_path(&mut self, id: SessionId) {
        let Some(tunnel) = self.tunnels.get(&id).filter(|tunnel| tunnel.is_validated()) else { return };
        let host = tunnel.peer().ip();
        if self.hosts.get(&id) == Some(&host) {
            return;
        }
        self.leave_path(id);
        if !self.routed.contains_key(&id) {
            return;
        }
        self.hosts.insert(id, host);
        let (path, sessions) = self.paths.entry(host).or_default();
        *sessions += 1;
        let path = path.clone();
        if let Some(tunnel) = self.tunnels.get_mut(&id) {
            tunnel.set_path(path);
        }
    }

    /// Forgets the path once no session shares it.
    fn leave_path(&mut self, id: SessionId) {
        let Some(host) = self.hosts.remove(&id) else { return };
        if let Some(tunnel) = self.tunnels.get_mut(&id) {
            tunnel.set_path(Path::default());
        }
        if let Some((_, sessions)) = self.paths.get_mut(&host) {
            *sessions -= 1;
            if *sessions == 0 {
                self.paths.remove(&host);
            }
        }
    }

    fn close(&mut self, now: Instant, id: SessionId, reason: CloseReason) {
        if let Some(tunnel) = self.tunnels.get_mut(&id) {
            tunnel.close(now, reason);
        }
        self.stop_routing(id);
        self.closed.push_back(id);
    }

    fn stop_routing(&mut self, id: SessionId) {
        self.unvalidated.remove(&id);
        self.leave_path(id);
        let Some(address) = self.routed.remove(&id) else { return };
        self.by_address.take_out(address, id);
        let Some(conv) = self.tunnels.get(&id).map(Tunnel::conv) else { return };
        if let Some(sharing) = self.by_conv.get_mut(&conv) {
            sharing.retain(|other| *other != id);
            if sharing.is_empty() {
                self.by_conv.remove(&conv);
            }
        }
    }

    /// The next session that the server closed itself, to be drained; `None` when there is none.
    pub fn poll_closed(&mut self) -> Option<SessionId> {
        self.closed.pop_front()
    }

    /// Forgets a session and returns its tunnel; its address may start a new one.
    pub fn remove(&mut self, now: Instant, id: SessionId) -> Option<Tunnel> {
        self.stop_routing(id);
        let removed = self.tunnels.remove(&id)?;
        // Clients continue a session that this side lost, to learn of the loss.
        let continues = matches!(removed.closed(), Some(CloseReason::Unknown | CloseReason::PeerRestarted));
        if !continues {
            self.ended.add(now, removed.conv(), removed.newest_ts());
        }
        self.check();
        Some(removed)
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

    /// Whether a session receives the datagrams of this address.
    pub fn knows(&self, address: SocketAddr) -> bool {
        self.by_address.find(address).is_some()
    }

    /// Sessions that receive datagrams.
    pub fn session_count(&self) -> usize {
        self.routed.len()
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
        debug_assert!(self.by_address.len() <= self.routed.len(), "every address has a session");
        debug_assert!(self.by_conv.len() <= self.routed.len(), "every conversation has a session");
        debug_assert!(self.routed.len() <= self.tunnels.len(), "every routed session has a tunnel");
        debug_assert!(self.unvalidated.len() <= self.routed.len(), "only routed sessions are evicted");
        debug_assert!(self.hosts.len() <= self.routed.len(), "only routed sessions share paths");
        debug_assert!(self.paths.len() <= self.hosts.len(), "every path has a session");
        debug_assert!(self.session_count() <= self.limits.sessions_max.max(1), "more sessions than allowed");
    }
}

impl AddressMap<Sharing> {
    fn find_or_insert(&mut self, address: SocketAddr) -> &mut Sharing {
        self.entry_or_default(address)
    }

    fn take_out(&mut self, address: SocketAddr, id: SessionId) {
        let Some(sharing) = self.find_mut(address) else { return };
        sharing.retain(|other| *other != id);
        if sharing.is_empty() {
            self.remove(address);
        }
    }
}

/// Conversations that ended (KCP-33): when, and the newest clock value of the peer.
#[derive(Debug)]
struct Ended {
    max: usize,
    by_conv: BTreeMap<u32, (Instant, Option<u32>)>,
    /// The order in which they ended.
    order: VecDeque<(Instant, u32)>,
}

impl Ended {
    const fn new(max: usize) -> Self {
        Self { max, by_conv: BTreeMap::new(), order: VecDeque::new() }
    }

    fn add(&mut self, now: Instant, conv: u32, newest_ts: Option<u32>) {
        self.by_conv.insert(conv, (now, newest_ts));
        self.order.push_back((now, conv));
        while self.order.len() > self.max || self.order.front().is_some_and(|(at, _)| is_old(now, *at)) {
            let Some((at, conv)) = self.order.pop_front() else { return };
            // It may have ended again since.
            if self.by_conv.get(&conv).is_some_and(|(latest, _)| *latest == at) {
                self.by_conv.remove(&conv);
            }
        }
    }

    fn newest_ts(&self, now: Instant, conv: u32) -> Option<u32> {
        self.by_conv.get(&conv).filter(|(at, _)| !is_old(now, *at)).and_then(|(_, ts)| *ts)
    }
}

fn is_old(now: Instant, at: Instant) -> bool {
    now.since(at) >= ENDED_LIFETIME
}
