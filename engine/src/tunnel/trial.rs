//! Whether the peer accepts this side's smux version and compression (SMUX-40).
//!
//! A kcptun server ends a session at the first bytes that do not parse, and reports nothing: it acknowledges them, and has
//! forgotten the session when the next datagram arrives. So a session on trial carries keepalives instead of streams. Once the
//! first one is acknowledged and a pause has passed, a second one follows. A peer that acknowledges both has parsed the first.
//! Bytes of the peer decide at once.

use super::Tunnel;
use super::health::Trial;
use crate::event::Event;
use crate::time::{Deadline, Instant, Timer};
use core::time::Duration;

/// Time for a server to end a session that it rejects, before the second keepalive.
const PAUSE: Duration = Duration::from_millis(50);

impl Tunnel {
    /// Puts a new session on trial. [`Event::Passed`] or [`Event::Closed`] ends it; streams should be opened only after the
    /// former.
    pub fn begin_trial(&mut self, now: Instant) {
        self.health.trial = Trial::First;
        self.mux.probe();
        self.settle(now);
    }

    /// Whether the peer has not yet shown that it accepts the session.
    pub fn on_trial(&self) -> bool {
        self.health.trial != Trial::Over
    }

    pub(super) fn trial_deadline(&self) -> Option<Deadline> {
        match self.health.trial {
            Trial::Pause(until) => Some(Deadline { at: until, why: Timer::Probe }),
            _ => None,
        }
    }

    pub(super) fn watch_trial(&mut self, now: Instant) {
        if !self.on_trial() || self.is_closed() {
            return;
        }
        let drained = self.drained();
        match self.health.trial {
            _ if self.mux.peer_pads().is_some_and(|pads| pads != self.config.mux.pads) => {}
            _ if self.inbound.speaks_smux(self.config.mux.version) => self.pass_trial(),
            Trial::First if drained => self.health.trial = Trial::Pause(now + PAUSE),
            Trial::Pause(until) if until <= now => {
                self.health.trial = Trial::Second;
                self.mux.probe();
            }
            Trial::Second if drained => self.pass_trial(),
            _ => {}
        }
    }

    fn pass_trial(&mut self) {
        self.health.trial = Trial::Over;
        self.reports.events.push_back(Event::Passed);
    }
}
