use crate::check::{SpinGuard, TIMEOUTS_PER_INSTANT_MAX};
use crate::net::{Key, Schedule};
use engine::Instant;

/// A side's timer. It is kept outside of the event heap, because it moves with almost every datagram.
#[derive(Debug)]
pub struct Alarm {
    armed: Option<Key>,
    spin: SpinGuard,
}

impl Alarm {
    /// Moves the alarm; it keeps its place in the order of events while the instant stays the same.
    pub fn arm(&mut self, schedule: &mut Schedule, at: Option<Instant>) {
        if at != self.armed.map(|key| key.at) {
            self.armed = at.map(|at| schedule.key(at));
        }
    }

    /// When it rings.
    pub const fn key(&self) -> Option<Key> {
        self.armed
    }

    /// It rang; false when it rang too often at this instant.
    pub fn ring(&mut self, now: Instant) -> bool {
        self.armed = None;
        self.spin.allows(now)
    }
}

impl Default for Alarm {
    fn default() -> Self {
        Self { armed: None, spin: SpinGuard::new(TIMEOUTS_PER_INSTANT_MAX) }
    }
}
