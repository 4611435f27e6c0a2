//! Which address the peer is at (KCP-24, KCP-26, KCP-34).
//!
//! Everything is sent to one address, the current one. Another address from which the peer is heard is sent only path probes,
//! until the peer answered one. A session moves to an address that answered when the current one is silent.

use super::TunnelConfig;
use super::flush_timer::PAUSE_MIN;
use crate::time::Instant;
use core::time::Duration;
use std::net::SocketAddr;

/// Bytes sent per byte received, at most, to an address that has not proven that the peer is there (RFC 9000 section 8.1).
pub(super) const AMPLIFICATION_MAX: u64 = 3;

/// Silence of the current address after which the session may move, unless a round trip is longer.
const SILENCE_MIN: Duration = Duration::from_millis(250);

/// How long datagrams with nothing new in them, which may be replays, count as life while the peer answers elsewhere.
const REPEATS_MAX: Duration = Duration::from_secs(1);

/// Addresses that are probed at once; one more takes the place of the one not heard for longest.
const RIVALS_MAX: usize = 4;

/// Interval of probes to one address.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);

/// Probes of one address whose answers are awaited.
const PROBES_MAX: usize = 8;

/// Time without a datagram after which an address is forgotten.
const RIVAL_LIFETIME: Duration = Duration::from_secs(3);

/// How long a session is kept whose peer acknowledges nothing, after its last datagram that no replay can be: the usual
/// keepalive timeout, after which its client gives up, too. A client that is not told of the end, since this side does not
/// probe, may go on after a longer outage.
const UNVALIDATED_LIFETIME: Duration = Duration::from_secs(30);

/// See [`UNVALIDATED_LIFETIME`].
pub(super) fn unvalidated_lifetime(config: &TunnelConfig) -> Duration {
    // As smux, whose timer may miss a silence of almost twice the timeout.
    let timeout_ms = if config.probe { 0 } else { config.mux.peer_timeout_ms.saturating_mul(2) };
    UNVALIDATED_LIFETIME.max(Duration::from_millis(timeout_ms.into()))
}

/// What the rules depend on besides the datagrams.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    /// The peer acknowledged something at the current address.
    pub(super) validated: bool,
    /// Estimate of the round trip; zero before the first sample.
    pub(super) round_trip: Duration,
    /// Bytes of a probe; `None` before there is something to probe with.
    pub(super) probe_bytes: Option<usize>,
    /// How long a session is kept whose peer acknowledges nothing.
    pub(super) lifetime: Duration,
}

#[derive(Debug)]
pub(super) struct Paths {
    /// When the current address last showed life, and when it last did with more than a repeated datagram.
    heard_at: Instant,
    confirmed_at: Instant,
    /// When the peer last sent what no replay can contain.
    pub(super) advanced_at: Instant,
    /// Bytes from and to the current address, until it is validated.
    pub(super) received: u64,
    pub(super) sent: u64,
    /// The address before the last move.
    previous: Option<SocketAddr>,
    rivals: Vec<Rival>,
    /// Probes of the current address, while it is in doubt.
    current: Probes,
    /// When the peer answered one last, and since when one is unanswered.
    answered_at: Instant,
    doubted_since: Option<Instant>,
}

/// Another address from which the peer was heard.
#[derive(Debug)]
struct Rival {
    address: SocketAddr,
    heard_at: Instant,
    received: u64,
    sent: u64,
    probes: Probes,
    /// The peer answered a probe.
    answered: bool,
}

/// Probes of one address.
#[derive(Debug, Default)]
struct Probes {
    tokens: Vec<u32>,
    due: bool,
    next_at: Instant,
}

impl Paths {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            heard_at: now,
            confirmed_at: now,
            advanced_at: now,
            received: 0,
            sent: 0,
            previous: None,
            rivals: Vec::new(),
            current: Probes::default(),
            answered_at: now,
            doubted_since: None,
        }
    }

    /// Bytes that may still be sent to the current address before it is validated.
    pub(super) fn credit(&self) -> usize {
        let credit = (AMPLIFICATION_MAX * self.received).saturating_sub(self.sent);
        usize::try_from(credit).unwrap_or(usize::MAX)
    }

    /// Whether the peer was heard nowhere else lately, and nothing is to be probed.
    pub(super) fn is_settled(&self) -> bool {
        self.rivals.is_empty() && !self.current.due
    }

    /// Whether another address has answered, so that it matters whether what the current one sends is new.
    pub(super) fn is_contested(&self) -> bool {
        self.rivals.iter().any(|rival| rival.answered)
    }

    /// A datagram came from the current address; `advances` unless it may be a replay.
    pub(super) fn heard(&mut self, now: Instant, advances: bool) {
        if !self.is_contested() || advances {
            (self.heard_at, self.confirmed_at) = (now, now);
            return;
        }
        self.current.ask(now);
        if now.since(self.confirmed_at) < REPEATS_MAX {
            self.heard_at = now;
        }
    }

    /// Whether an address is probed though the datagram from it carries nothing new: the peer may have returned there, or
    /// another address repeats its datagrams faster.
    pub(super) fn is_worth_a_probe(&self, now: Instant, from: SocketAddr, situation: Situation) -> bool {
        !situation.validated
            || self.previous == Some(from)
            || self.rivals.iter().any(|rival| rival.address == from)
            || self.is_silent(now, situation)
            || self.is_stuck(now)
    }

    /// Another address repeats what came from the current one: is the peer still reached there?
    pub(super) fn doubt(&mut self, now: Instant) {
        if self.doubted_since.is_none() && now.since(self.answered_at) >= REPEATS_MAX {
            self.doubted_since = Some(now);
        }
        if self.doubted_since.is_some() {
            self.current.ask(now);
        }
    }

    /// Whether the peer did not answer at the current address though it was heard from there: an attacker that relayed its
    /// datagrams stopped.
    fn is_stuck(&self, now: Instant) -> bool {
        self.doubted_since.is_some_and(|since| now.since(since) >= REPEATS_MAX)
    }

    /// A datagram of `bytes` came from another address.
    pub(super) fn heard_elsewhere(&mut self, now: Instant, from: SocketAddr, bytes: usize) {
        self.rivals.retain(|rival| now.since(rival.heard_at) < RIVAL_LIFETIME);
        let known = self.rivals.iter().position(|rival| rival.address == from);
        let index = known.unwrap_or_else(|| {
            if self.rivals.len() == RIVALS_MAX {
                let oldest = self.rivals.iter().enumerate().min_by_key(|(_, rival)| rival.heard_at);
                oldest.map(|(index, _)| index).map(|index| self.rivals.swap_remove(index));
            }
            self.rivals.push(Rival::new(now, from));
            self.rivals.len() - 1
        });
        let rival = &mut self.rivals[index];
        rival.heard_at = now;
        rival.received += bytes as u64;
        if !rival.answered {
            rival.probes.ask(now);
        }
    }

    /// The peer acknowledged everything at the current address, but echoed no clock value: this one asks for it.
    pub(super) fn ask_current(&mut self, now: Instant, situation: Situation) {
        if situation.probe_bytes.is_some_and(|bytes| bytes <= self.credit()) {
            self.current.ask(now);
        }
    }

    /// The peer answered a probe; `true` if it was at the current address.
    pub(super) fn answered(&mut self, now: Instant, token: u32) -> bool {
        let at_current = self.current.tokens.contains(&token);
        if at_current {
            (self.heard_at, self.confirmed_at, self.answered_at) = (now, now, now);
            self.doubted_since = None;
        }
        for rival in &mut self.rivals {
            if rival.probes.tokens.contains(&token) && !rival.answered {
                rival.answered = true;
                rival.probes.due = false;
                self.confirmed_at = now;
            }
        }
        at_current
    }

    /// The address to move to, if there is one now.
    pub(super) fn choose(&self, now: Instant, situation: Situation) -> Option<SocketAddr> {
        let answered = self.rivals.iter().filter(|rival| rival.answered);
        let latest = answered.clone().max_by_key(|rival| rival.heard_at)?;
        let returned = answered.clone().find(|rival| Some(rival.address) == self.previous);
        match returned {
            Some(rival) => Some(rival.address),
            None => {
                let lost = !situation.validated || self.is_silent(now, situation) || self.is_stuck(now);
                lost.then_some(latest.address)
            }
        }
    }

    fn is_silent(&self, now: Instant, situation: Situation) -> bool {
        now >= self.silent_at(situation)
    }

    fn silent_at(&self, situation: Situation) -> Instant {
        self.heard_at + SILENCE_MIN.max(situation.round_trip)
    }

    /// The session moved away from `from`.
    pub(super) fn moved(&mut self, now: Instant, from: Option<SocketAddr>) {
        *self = Self { previous: from, advanced_at: self.advanced_at, ..Self::new(now) };
    }

    /// Runs what is due.
    pub(super) fn handle_timeout(&mut self, now: Instant, situation: Situation) {
        self.rivals.retain(|rival| now.since(rival.heard_at) < RIVAL_LIFETIME);
        for rival in self.rivals.iter_mut().filter(|rival| rival.awaits_probe(situation)) {
            rival.probes.ask(now);
        }
    }

    /// When there is something to do.
    pub(super) fn poll_timeout(&self, situation: Situation) -> Option<Instant> {
        let expiry = (!situation.validated).then(|| self.advanced_at + situation.lifetime);
        let silence = self.is_contested().then(|| self.silent_at(situation));
        let waiting = self.rivals.iter().filter(|rival| rival.awaits_probe(situation));
        let probe = waiting.map(|rival| rival.probes.next_at);
        expiry.into_iter().chain(silence).chain(probe).min()
    }

    /// Whether the peer has acknowledged nothing for too long.
    pub(super) fn is_expired(&self, now: Instant, situation: Situation) -> bool {
        now >= self.advanced_at + situation.lifetime
    }

    /// Whether that was so a while ago, and no timer ran since.
    pub(super) fn expired_long_ago(&self, now: Instant, situation: Situation) -> bool {
        now >= self.advanced_at + situation.lifetime + PAUSE_MIN
    }

    /// The next address to probe; `None` for the current one.
    pub(super) fn next_probe(&mut self, situation: Situation) -> Option<Option<SocketAddr>> {
        if std::mem::take(&mut self.current.due) {
            return Some(None);
        }
        let due = |rival: &&mut Rival| rival.probes.due && rival.can_afford(situation);
        let rival = self.rivals.iter_mut().find(due)?;
        rival.probes.due = false;
        Some(Some(rival.address))
    }

    /// A probe was sent.
    pub(super) fn probed(&mut self, now: Instant, to: Option<SocketAddr>, token: u32, bytes: usize) {
        let probes = match to {
            None => {
                self.sent += bytes as u64;
                &mut self.current
            }
            Some(address) => {
                let Some(rival) = self.rivals.iter_mut().find(|rival| rival.address == address) else {
                    return;
                };
                rival.sent += bytes as u64;
                &mut rival.probes
            }
        };
        if probes.tokens.len() == PROBES_MAX {
            probes.tokens.remove(0);
        }
        probes.tokens.push(token);
        probes.next_at = now + PROBE_INTERVAL;
    }
}

impl Rival {
    fn new(now: Instant, address: SocketAddr) -> Self {
        Self { address, heard_at: now, received: 0, sent: 0, probes: Probes::default(), answered: false }
    }

    /// Whether another probe is sent unless the last one is answered.
    fn awaits_probe(&self, situation: Situation) -> bool {
        !self.answered && !self.probes.due && self.can_afford(situation)
    }

    /// Whether the bytes received from the address allow another probe.
    fn can_afford(&self, situation: Situation) -> bool {
        let credit = (AMPLIFICATION_MAX * self.received).saturating_sub(self.sent);
        situation.probe_bytes.is_some_and(|bytes| bytes as u64 <= credit)
    }
}

impl Probes {
    /// Wants one, unless the last was sent just before.
    fn ask(&mut self, now: Instant) {
        self.due |= now >= self.next_at;
    }
}
