//! Client side: which session the next stream uses, when a slot dials a new session, and when an old session ends
//! (CLI-20, CLI-51, CLI-56).
//!
//! The client dials nothing itself: [`Client::choose`] names the slot that needs a session, and the driver opens a socket
//! and calls [`Client::dial`].

mod detect;

pub use detect::{Given, StreamFormat, Verdict};

use crate::congestion::Path;
use crate::entropy::Entropy;
use crate::event::{CloseReason, SessionId};
use crate::time::{Deadline, Instant, Timer};
use crate::tunnel::{Burden, DropReason, Handled, Tunnel, TunnelConfig};
use core::time::Duration;
use detect::{Detection, OnTrial};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
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
    /// Choose again once a trial ended, or the client's next deadline has passed ([`Client::detect`]).
    Wait,
    /// Refuse the stream: the server has another format than the user gave ([`Verdict::Conflict`]), or other pads.
    Refuse,
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
    /// The server did not answer it.
    Unanswered,
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
    /// `None` where the server's format is taken for this side's.
    detection: Option<Detection>,
    trial: Option<OnTrial>,
    /// No trial begins before this time; until then streams wait, or are refused.
    pause: Option<(Instant, Choice)>,
    verdicts: VecDeque<Verdict>,
    /// The path to the host dialled last (CC-20).
    path: Option<(IpAddr, Path)>,
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
            detection: None,
            trial: None,
            pause: None,
            verdicts: VecDeque::new(),
            path: None,
        }
    }

    /// Makes the client find out the server's format: sessions are put on trial until one is accepted, and again after one
    /// failed. [`Self::poll_verdict`] reports the results. `given` states what the user gave explicitly.
    pub fn detect(&mut self, given: Given) {
        self.detection = Some(Detection::new(self.config.stream_format(), given));
    }

    /// What new sessions use.
    pub fn stream_format(&self) -> StreamFormat {
        self.detection.as_ref().map_or_else(|| self.config.stream_format(), Detection::current)
    }

    /// The next result of a trial.
    pub fn poll_verdict(&mut self) -> Option<Verdict> {
        self.verdicts.pop_front()
    }

    /// Chooses the slot with the fewest streams; among equals the one not chosen for longest. Under a controller, slots
    /// that carry bulk come last, and among equals the first one is chosen, so that no more sessions are dialled than are
    /// of use.
    pub fn choose(&mut self, now: Instant) -> Choice {
        self.doubt_if_silent(now);
        if self.in_doubt() {
            return self.choose_in_doubt(now);
        }
        let turn = self.slots.iter().map(|slot| slot.chosen).max().unwrap_or(0) + 1;
        let load = |slot: &SlotState| self.usable(now, slot).map(|(_, tunnel)| tunnel.burden(now));
        let loads = self.slots.iter().map(|slot| (load(slot).unwrap_or_default(), slot.chosen));
        let index = least_loaded(loads, self.config.auto);
        let Some(slot) = self.slots.get_mut(index) else { return Choice::Dial(Slot(0)) };
        slot.chosen = turn;
        let slot = *slot;
        self.usable(now, &slot).map_or(Choice::Dial(Slot(index)), |(id, _)| Choice::Session(id))
    }

    /// New streams wait for a server that answered once and is silent now (CLI-101).
    fn doubt_if_silent(&mut self, now: Instant) {
        let tunnels = &self.tunnels;
        let sessions = self.slots.iter().filter_map(|slot| tunnels.get(&slot.session?));
        let mut live = sessions.filter(|tunnel| !tunnel.is_closed() && tunnel.was_heard()).peekable();
        if live.peek().is_some() && live.all(|tunnel| tunnel.silent_for(now) >= SILENCE_MAX) {
            self.detection.as_mut().filter(|detection| detection.is_known()).map(Detection::doubt);
        }
    }

    fn in_doubt(&self) -> bool {
        self.detection.as_ref().is_some_and(|detection| !detection.is_known())
    }

    /// Sessions that work are used all the same; otherwise one session is on trial at a time (SMUX-41).
    fn choose_in_doubt(&self, now: Instant) -> Choice {
        let sessions = self.slots.iter().filter_map(|slot| self.usable(now, slot));
        let accepted = sessions.filter(|(_, tunnel)| !tunnel.on_trial());
        match accepted.min_by_key(|(_, tunnel)| tunnel.stream_count()) {
            Some((id, _)) => Choice::Session(id),
            None if self.trial.is_some() => Choice::Wait,
            None => self
                .pause
                .filter(|(until, _)| now < *until)
                .map_or(Choice::Dial(Slot(0)), |(_, choice)| choice),
        }
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
        let config = self.config.with_stream_format(self.stream_format());
        let mut tunnel = Tunnel::connect(&config, now, to, entropy);
        tunnel.set_path(self.path_to(to.ip()));
        if self.in_doubt() {
            tunnel.begin_trial(now);
            self.trial = Some(OnTrial { id, until: now + FIRST_ANSWER_MAX });
        }
        self.tunnels.insert(id, tunnel);
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

    /// The path to a host: one, as long as sessions are dialled to the same one.
    fn path_to(&mut self, host: IpAddr) -> Path {
        let known = self.path.take().filter(|(of, _)| *of == host);
        let (_, path) = self.path.insert(known.unwrap_or_else(|| (host, Path::default())));
        path.clone()
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
        let checks = checks.chain(self.slots.iter().filter_map(SlotState::idle_check_at));
        let check = checks.min().map(|at| Deadline { at, why: Timer::Scavenge });
        let trial = self.trial.map(|trial| trial.until).into_iter().chain(self.pause.map(|(until, _)| until));
        Deadline::earliest(check, trial.min().map(|at| Deadline { at, why: Timer::Probe }))
    }

    /// Checks replaced sessions that are due: closes those whose last stream is gone, and after the grace period those
    /// whose streams are idle. A session whose streams carry bytes is never closed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(trial) = self.trial.take_if(|trial| trial.until <= now) {
            self.retire(now, trial.id, Retired::Unanswered);
        }
        self.pause = self.pause.filter(|(until, _)| now < *until);
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
        let Some(tunnel) = self.tunnels.get_mut(&id).filter(|tunnel| tunnel.peer() == from) else {
            return Handled::Dropped(DropReason::NoSession);
        };
        let handled = tunnel.handle_datagram(now, datagram);
        if self.trial.is_some_and(|trial| trial.id == id) {
            self.judge(now, id, handled);
        }
        handled
    }

    /// Ends the trial of a session once its tunnel shows the result.
    fn judge(&mut self, now: Instant, id: SessionId, handled: Handled) {
        let (Some(detection), Some(tunnel)) = (&mut self.detection, self.tunnels.get_mut(&id)) else {
            return;
        };
        let verdict = match tunnel.closed() {
            Some(CloseReason::Pads) => Some(Verdict::Pads),
            Some(_) => detection.rejected(tunnel.mismatch()),
            None if !tunnel.on_trial() => Some(detection.accepted()),
            None => {
                // A lossy path may need more time.
                if let (Some(trial), Handled::Used) = (&mut self.trial, handled) {
                    trial.until = now + FIRST_ANSWER_MAX;
                }
                return;
            }
        };
        self.trial = None;
        match verdict {
            Some(Verdict::Conflict(_)) => {
                tunnel.close(now, CloseReason::Local);
                self.pause = Some((now + detect::CONFLICT, Choice::Refuse));
            }
            Some(Verdict::Pads) => self.pause = Some((now + detect::CONFLICT, Choice::Refuse)),
            Some(Verdict::Rejected) => self.pause = Some((now + detect::PAUSE, Choice::Wait)),
            _ => {}
        }
        self.verdicts.extend(verdict);
    }

    /// Forgets a session and returns its tunnel. One that the server ended puts the next one on trial.
    pub fn remove(&mut self, id: SessionId) -> Option<Tunnel> {
        self.old.retain(|old| old.id != id);
        let was_on_trial = self.trial.take_if(|trial| trial.id == id).is_some();
        let tunnel = self.tunnels.remove(&id)?;
        let by_peer = !matches!(
            tunnel.closed(),
            None | Some(CloseReason::Local | CloseReason::Memory | CloseReason::Rejected)
        );
        if let Some(detection) = self.detection.as_mut().filter(|_| by_peer && !was_on_trial) {
            detection.doubt();
        }
        Some(tunnel)
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
