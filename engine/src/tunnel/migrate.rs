//! Following a peer whose address changes: NAT rebinding, a new network (KCP-24).

use super::paths::{Situation, unvalidated_lifetime};
use super::{Handled, Identity, Incoming, Transmit, Tunnel};
use crate::arq::Flush;
use crate::event::CloseReason;
use crate::fec::{self, Kind};
use crate::mux::Role;
use crate::observe::Mark;
use crate::time::{Deadline, Instant, Timer};
use core::time::Duration;

/// Bytes from a client that suffice for all attempts to be acknowledged by it.
const PLENTY_BYTES: u64 = 4_096;

impl Tunnel {
    /// Whether the peer acknowledged something that was sent to its address; always true where that is not required.
    pub fn is_validated(&self) -> bool {
        self.arq.is_validated()
    }

    /// When the peer last sent what no replay can contain; for servers.
    pub(crate) fn advanced_at(&self) -> Instant {
        self.paths.advanced_at
    }

    /// Clock value of the peer's newest data.
    pub(crate) fn newest_ts(&self) -> Option<u32> {
        self.arq.newest_ts()
    }

    /// Takes a datagram of this conversation from another address. If it carries anything new, that is used; the session
    /// moves once the peer answered a probe there.
    ///
    /// # Errors
    /// The datagram may be a replay, or moves are disabled: it had no effect.
    pub(crate) fn receive_elsewhere(&mut self, now: Instant, incoming: &Incoming<'_>) -> Result<Handled, ()> {
        if self.is_closed() || !self.config.migrate || self.role == Role::Client {
            return Err(());
        }
        let Ok(identity) = Identity::of(incoming.payload) else { return Err(()) };
        let segments = match identity.kind {
            Some(Kind::Data) => &incoming.payload[fec::HEADER_LEN..],
            Some(_) => return Err(()),
            None => incoming.payload,
        };
        if !self.is_validated() && !self.arq.has_received() {
            // Nothing was delivered, so nothing can be probed with, and only acknowledgements are sent.
            self.peer = incoming.from;
            self.paths.moved(now, None);
            return Ok(self.handle_opened(now, incoming.payload, incoming.bytes, identity));
        }
        let advances = self.arq.advanced_by(segments);
        let situation = self.situation();
        if !advances && !self.paths.is_worth_a_probe(now, incoming.from, situation) {
            self.paths.doubt(now);
            self.reports.stats.marks.hit(Mark::MigrationReplay);
            return Err(());
        }
        let was_validated = self.is_validated();
        self.paths.heard_elsewhere(now, incoming.from, incoming.bytes);
        if let Some(answer) = self.arq.path_answer_in(now, segments) {
            self.note_answer(now, answer);
        }
        let mut handled = Handled::Used;
        if advances {
            self.paths.advanced_at = now;
            // The layers count what they drop.
            if let Err(reason) = self.handle_payload(now, incoming.payload, identity) {
                handled = Handled::Dropped(reason);
            }
        }
        self.follow_peer(now);
        if !was_validated {
            self.note_validation(now);
            self.arq.add_allowance(incoming.bytes * 3 / 2);
            self.greet(now);
            self.number_first(now);
        }
        let waits = self.peer != incoming.from;
        self.reports.stats.marks.hit_if(Mark::MigrationWaits, waits);
        Ok(handled)
    }

    /// A datagram of `bytes` came from the peer's address; `segments` of it, unless it carries parity.
    pub(super) fn heard_at_address(&mut self, now: Instant, bytes: usize, segments: Option<&[u8]>) {
        if self.role == Role::Client {
            return;
        }
        let validated = self.is_validated();
        let matters = !validated || self.paths.is_contested();
        let advances = matters && segments.is_some_and(|segments| self.arq.advanced_by(segments));
        self.paths.heard(now, advances);
        if advances {
            self.paths.advanced_at = now;
        }
        if !validated {
            self.feed(now);
            self.paths.received += bytes as u64;
            // The other half is for acknowledgements and retransmissions, or their loss would leave nothing to send.
            self.arq.add_allowance(bytes * 3 / 2);
            if self.paths.received >= PLENTY_BYTES {
                self.arq.release_acks();
            }
        }
    }

    /// More may be sent: timers that waited with it run now.
    fn feed(&mut self, now: Instant) {
        if std::mem::take(&mut self.starved) {
            self.arq.handle_timeout(now);
        }
    }

    /// What waited for the peer's first acknowledgement leaves, if that has arrived.
    pub(super) fn note_validation(&mut self, now: Instant) {
        if self.is_validated() && !self.is_closed() {
            self.feed(now);
            self.arq.set_validated();
            self.arq.flush(now, Flush::Full);
            self.settle(now);
        }
    }

    fn note_answer(&mut self, now: Instant, answer: u32) {
        if self.paths.answered(now, answer) && !self.is_validated() {
            self.arq.finish_validation();
        }
    }

    /// The peer's acknowledgement was lost, and what arrived after it acknowledges as much without an echo: nothing that is
    /// left to retransmit would be acknowledged once more.
    pub(super) fn probe_acknowledged(&mut self, now: Instant) {
        if self.greeted && !self.is_validated() && !self.arq.awaits_acks() {
            self.paths.ask_current(now, self.situation());
        }
    }

    /// Moves the session if the peer is elsewhere.
    pub(super) fn follow_peer(&mut self, now: Instant) {
        if let Some(answer) = self.arq.take_path_answer() {
            self.note_answer(now, answer);
        }
        if self.paths.is_settled() {
            return;
        }
        let Some(to) = self.paths.choose(now, self.situation()) else { return };
        let from = self.is_validated().then_some(self.peer);
        self.paths.moved(now, from);
        self.peer = to;
        self.arq.set_validated();
        self.reports.stats.migrations += 1;
        self.arq.peer_is_back(now);
        self.arq.flush(now, Flush::Full);
        self.settle(now);
    }

    pub(super) fn situation(&self) -> Situation {
        let round_trip = Duration::from_millis(self.arq.srtt_ms().unwrap_or(0).into());
        let header_bytes = self.config.suite.head_len() + self.config.suite.tail_len();
        let probe_bytes = self.arq.path_probe_bytes().map(|bytes| header_bytes + bytes);
        Situation {
            validated: self.is_validated(),
            round_trip,
            probe_bytes,
            lifetime: unvalidated_lifetime(&self.config),
        }
    }

    pub(super) fn path_deadline(&self) -> Option<Deadline> {
        if self.role == Role::Client || (self.is_validated() && self.paths.is_settled()) {
            return None;
        }
        let at = self.paths.poll_timeout(self.situation());
        at.map(|at| Deadline { at, why: Timer::Path })
    }

    pub(super) fn handle_path_timeout(&mut self, now: Instant) {
        if self.role == Role::Client {
            return;
        }
        let situation = self.situation();
        if !situation.validated && self.paths.is_expired(now, situation) {
            if !self.paths.expired_long_ago(now, situation) {
                return self.reports.close(CloseReason::Unvalidated);
            }
            // KCP-25: not the peer was silent, but this process stood still.
            self.paths.advanced_at = now;
        }
        self.paths.handle_timeout(now, situation);
        self.follow_peer(now);
    }

    /// Gives the first segment its number, so that another address can be probed with it, though nothing may be sent to the
    /// current one, which may be an attacker's. It is retransmitted when the peer's address is known.
    fn number_first(&mut self, now: Instant) {
        if self.is_validated() || self.is_closed() || self.arq.path_probe_bytes().is_some() {
            return;
        }
        self.arq.flush(now, Flush::Full);
        let mut lost = vec![0; self.config.mtu];
        self.arq.poll_transmit(now, &mut lost);
    }

    /// Writes the next path probe, sealed, into `out`.
    pub(super) fn poll_path_probe(&mut self, now: Instant, out: &mut [u8]) -> Option<Transmit> {
        if self.role == Role::Client || self.is_closed() || self.paths.is_settled() {
            return None;
        }
        let to = self.paths.next_probe(self.situation())?;
        let (head, tail) = (self.config.suite.head_len(), self.config.suite.tail_len());
        let room = self.config.mtu - tail;
        let random = self.entropy.next_u32();
        let (len, token) = self.arq.write_path_probe(now, random, &mut out[head..room])?;
        let len = head + len + tail;
        self.config.suite.seal_run(&mut self.nonces, &mut out[..len], len);
        self.paths.probed(now, to, token, len);
        self.reports.stats.out_pkts += 1;
        self.reports.stats.out_bytes += len as u64;
        Some(Transmit { to: to.unwrap_or(self.peer), len, segment: None })
    }

    /// Bytes that the next datagrams may have together: a peer that has acknowledged nothing may be a replay from a forged
    /// address (KCP-34).
    pub(super) fn address_allowance(&self) -> usize {
        if self.is_validated() { usize::MAX } else { self.paths.credit() }
    }

    /// The first data of a client arrived: something has to be sent that it acknowledges.
    pub(super) fn greet(&mut self, now: Instant) {
        let greets = self.role == Role::Server && !self.greeted && self.arq.has_received();
        if !greets || self.is_closed() {
            return;
        }
        if !self.is_validated() && self.paths.received < PLENTY_BYTES {
            self.arq.hold_acks();
        }
        if self.arq.waitsnd() > 0 || self.queue_greeting(now) {
            self.greeted = true;
            self.arq.seal_last();
        }
    }
}
