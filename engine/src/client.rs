//! Client side: which session the next stream uses, when a slot dials a new session, and when an old session ends
//! (CLI-20, CLI-51, CLI-56).
//!
//! The client dials nothing itself: [`Client::choose`] names the slot that needs a session, and the driver opens a socket
//! and calls [`Client::dial`].

use crate::entropy::Entropy;
use crate::event::{CloseReason, SessionId};
use crate::time::{Deadline, Instant, Timer};
use crate::tunnel::{Burden, DropReason, Handled, Tunnel, TunnelConfig};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

/// Slots of a client under a controller, unless the user configures a number (CC-12).
pub const SLOTS_AUTO: usize = 4;

/// Silence, or blocking by a stalled reader, after which new streams avoid a session that answered before.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// The same for a session that was never answered: there the path is at fault, and more sessions would not help.
const FIRST_ANSWER_MAX: Duration = Duration::from_secs(10);

/// Replaced sessions that may still carry streams; one more closes the oldest.
const OLD_MAX: usize = 16;

/// Interval at which a replaced session is checked, and checks without traffic before its streams may be cut.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
const IDLE_CHECKS: u32 = 10;

/// Stream bytes between two checks up to which a session is idle: keepalives do not count as use.
const IDLE_BYTES: u64 = 64;

/// How many sessions a client keeps, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// Sessions that new streams are spread over (`--conn`), at least one.
    pub slots: usize,
    /// Age at which a session takes no more new streams (`--autoexpire`); `None` for unlimited.
    pub lifetime: Option<Duration>,
    /// Time after its replacement from which an idle session is closed with its streams (`--scavengettl`).
    pub grace: Duration,
}

/// Position of a session in the client's rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(usize);

/// Which session the next stream uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Choice {
    /// Open the stream in this session.
    Session(SessionId),
    /// [`Client::dial`] a session for this slot first.
    Dial(Slot),
}

/// Why the client closed a replaced session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retired {
    /// Its last stream ended.
    Unused,
    /// Its streams were idle after the grace period.
    Expired,
    /// Newer replaced sessions needed its place.
    Crowded,
}

/// The sessions of one client.
///
/// After each call that changes a session, the driver drains its tunnel ([`Self::tunnel_mut`]); [`Self::poll_retired`]
/// names the sessions that the client closed itself. Once a tunnel reported [`crate::Event::Closed`], the driver calls
/// [`Self::remove`].
#[derive(Debug)]
pub struct Client {
    config: Arc<TunnelConfig>,
    limits: ClientLimits,
    tunnels: BTreeMap<SessionId, Tunnel>,
    slots: Vec<SlotState>,
    /// Replaced sessions that are not closed, oldest first.
    old: VecDeque<Old>,
    retired: VecDeque<(SessionId, Retired)>,
    next_id: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct SlotState {
    session: Option<SessionId>,
    expires_at: Option<Instant>,
    /// When an expired session is next checked for streams; the first time when it expires.
    idle_check_at: Option<Instant>,
    /// Turn in which the slot was chosen last; equally loaded slots take turns.
    chosen: u64,
}

impl SlotState {
    /// When the slot's session is closed if it has no streams; `None` without a session or a limit.
    fn idle_check_at(&self) -> Option<Instant> {
        self.session.and(self.idle_check_at)
    }
}

/// A session whose slot has a newer one.
#[derive(Clone, Copy, Debug)]
struct Old {
    id: SessionId,
    cut_at: Instant,
    check_at: Instant,
    /// Stream bytes at the last check.
    bytes: u64,
    idle_checks: u32,
}

impl Client {
    /// A client without sessions.
    pub fn new(config: Arc<TunnelConfig>, limits: ClientLimits) -> Self {
        Self {
            config,
            limits,
            tunnels: BTreeMap::new(),
            slots: vec![SlotState::default(); limits.slots.max(1)],
            old: VecDeque::new(),
            retired: VecDeque::new(),
            next_id: 0,
        }
    }

    /// Chooses the slot with the fewest streams; among equals the one not chosen for longest. Under a controller, slots
    /// that carry bulk come last, and among equals the first one is chosen, so that no more sessions are dialled than are
    /// of use.
    pub fn choose(&mut self, now: Instant) -> Choice {
        let turn = self.slots.iter().map(|slot| slot.chosen).max().unwrap_or(0) + 1;
        let load = |slot: &SlotState| self.usable(now, slot).map(|(_, tunnel)| tunnel.burden(now));
        let loads = self.slots.iter().map(|slot| (load(slot).unwrap_or_default(), slot.chosen));
        let index = least_loaded(loads, self.config.auto);
        let Some(slot) = self.slots.get_mut(index) else { return Choice::Dial(Slot(0)) };
        slot.chosen = turn;
        let slot = *slot;
        self.usable(now, &slot).map_or(Choice::Dial(Slot(index)), |(id, _)| Choice::Session(id))
    }

    /// The session of a slot, if new streams may use it.
    fn usable(&self, now: Instant, slot: &SlotState) -> Option<(SessionId, &Tunnel)> {
        let id = slot.session.filter(|_| slot.expires_at.is_none_or(|at| now < at))?;
        let tunnel = self.tunnels.get(&id).filter(|tunnel| !tunnel.is_closed())?;
        let silence_max = if tunnel.was_heard() { SILENCE_MAX } else { FIRST_ANSWER_MAX };
        let stalled = tunnel.silent_for(now) >= silence_max || tunnel.blocked_for(now) >= SILENCE_MAX;
        (!stalled).then_some((id, tunnel))
    }

    /// Starts a session with the server at `to` for a slot. The slot's session before continues for the streams it has.
    pub fn dial(&mut self, now: Instant, slot: Slot, to: SocketAddr, entropy: Entropy) -> SessionId {
        let id = SessionId(self.next_id);
        self.next_id += 1;
        self.tunnels.insert(id, Tunnel::connect(&self.config, now, to, entropy));
        let expires_at = self.limits.lifetime.map(|lifetime| now + lifetime);
        if let Some(state) = self.slots.get_mut(slot.0) {
            (state.expires_at, state.idle_check_at) = (expires_at, expires_at);
            if let Some(replaced) = state.session.replace(id) {
                self.keep_old(now, replaced);
            }
        }
        self.check();
        id
    }

    fn keep_old(&mut self, now: Instant, id: SessionId) {
        let tunnels = &self.tunnels;
        let live = |id| tunnels.get(&id).filter(|tunnel| !tunnel.is_closed());
        self.old.retain(|old| live(old.id).is_some());
        let Some(bytes) = live(id).map(Tunnel::stream_bytes) else { return };
        let (cut_at, check_at) = (now + self.limits.grace, now + CHECK_INTERVAL);
        self.old.push_back(Old { id, cut_at, check_at, bytes, idle_checks: 0 });
        if self.old.len() > OLD_MAX
            && let Some(oldest) = self.old.pop_front()
        {
            self.retire(now, oldest.id, Retired::Crowded);
        }
    }

    fn retire(&mut self, now: Instant, id: SessionId, why: Retired) {
        if let Some(tunnel) = self.tunnels.get_mut(&id) {
            tunnel.close(now, CloseReason::Local);
            self.retired.push_back((id, why));
        }
    }

    /// The next session that the client closed, to be drained.
    pub fn poll_retired(&mut self) -> Option<(SessionId, Retired)> {
        self.retired.pop_front()
    }

    /// When [`Self::handle_timeout`] has to be called; the deadlines of the tunnels are their own.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let checks = self.old.iter().map(|old| old.check_at);
        let at = checks.chain(self.slots.iter().filter_map(SlotState::idle_check_at)).min()?;
        Some(Deadline { at, why: Timer::Scavenge })
    }

    /// Checks replaced sessions that are due: closes those whose last stream is gone, and after the grace period those
    /// whose streams are idle. A session whose streams carry bytes is never closed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.expire_slots(now);
        let mut old = core::mem::take(&mut self.old);
        old.retain_mut(|old| now < old.check_at || self.keeps(now, old));
        self.old = old;
        self.check();
    }

    /// Closes sessions whose lifetime is over once they have no streams, even if no new stream needs another (CLI-77).
    fn expire_slots(&mut self, now: Instant) {
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            let Some(id) = slot.session.filter(|_| slot.idle_check_at().is_some_and(|at| at <= now)) else {
                continue;
            };
            let tunnel = self.tunnels.get(&id).filter(|tunnel| !tunnel.is_closed());
            match tunnel.is_some_and(|tunnel| tunnel.stream_count() > 0 || !tunnel.drained()) {
                true => slot.idle_check_at = Some(now + CHECK_INTERVAL),
                false => {
                    slot.session = None;
                    self.retire(now, id, Retired::Unused);
                }
            }
        }
    }

    fn keeps(&mut self, now: Instant, old: &mut Old) -> bool {
        // It may have ended meanwhile.
        let Some(tunnel) = self.tunnels.get(&old.id).filter(|tunnel| !tunnel.is_closed()) else {
            return false;
        };
        let bytes = tunnel.stream_bytes();
        old.idle_checks = if bytes - old.bytes <= IDLE_BYTES { old.idle_checks + 1 } else { 0 };
        (old.bytes, old.check_at) = (bytes, now + CHECK_INTERVAL);
        if tunnel.stream_count() == 0 && tunnel.drained() {
            self.retire(now, old.id, Retired::Unused);
            return false;
        }
        if now >= old.cut_at && old.idle_checks >= IDLE_CHECKS {
            self.retire(now, old.id, Retired::Expired);
            return false;
        }
        true
    }

    /// Passes a datagram that arrived at the socket of that session; only those of its peer count (CLI-21).
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        id: SessionId,
        from: SocketAddr,
        datagram: &mut [u8],
    ) -> Handled {
        match self.tunnels.get_mut(&id).filter(|tunnel| tunnel.peer() == from) {
            Some(tunnel) => tunnel.handle_datagram(now, datagram),
            None => Handled::Dropped(DropReason::NoSession),
        }
    }

    /// Forgets a session and returns its tunnel.
    pub fn remove(&mut self, id: SessionId) -> Option<Tunnel> {
        self.old.retain(|old| old.id != id);
        self.tunnels.remove(&id)
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

    fn check(&self) {
        debug_assert!(self.old.len() <= OLD_MAX, "too many old sessions");
        debug_assert!(
            self.old.iter().all(|old| self.slots.iter().all(|slot| slot.session != Some(old.id))),
            "a session is both current and old"
        );
    }
}

/// The position of the best slot, given what each carries and when it was chosen last.
fn least_loaded(slots: impl Iterator<Item = (Burden, u64)>, bulk_apart: bool) -> usize {
    let rank = |(burden, chosen): (Burden, u64)| match bulk_apart {
        true => (burden, 0),
        false => (Burden { bulk: false, ..burden }, chosen),
    };
    slots.enumerate().min_by_key(|(_, slot)| rank(*slot)).map_or(0, |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(bulk: bool, streams: usize, chosen: u64) -> (Burden, u64) {
        (Burden { bulk, streams }, chosen)
    }

    // CLI-56
    #[test]
    fn bulk_is_kept_apart_only_under_a_controller() {
        let slots = [slot(true, 1, 1), slot(false, 3, 4), slot(false, 2, 3), slot(false, 2, 2)];
        assert_eq!(least_loaded(slots.into_iter(), true), 2);
        assert_eq!(least_loaded(slots.into_iter(), false), 0);
    }

    // CLI-51, CLI-56
    #[test]
    fn equals_take_turns_or_the_first_is_chosen() {
        let slots = [slot(false, 0, 7), slot(false, 0, 0), slot(false, 0, 3)];
        assert_eq!((least_loaded(slots.into_iter(), true), least_loaded(slots.into_iter(), false)), (0, 1));
    }
}
