//! How long silence may last: RFC 6298's estimate in microseconds, a probe first (RFC 8985, section 7), then timeouts.

use crate::time::Instant;
use core::time::Duration;

/// Before anything was measured.
const FIRST_US: u64 = 500_000;

/// What a receiver may hold an acknowledgement back for, and the coarseness of clocks.
const SLACK_US: u64 = 15_000;

/// Longest wait between two probes, unless the round trip is longer: the path may come back at any time.
const WAIT_US_MAX: u64 = 1_000_000;

#[derive(Debug, Default)]
pub(super) struct Timing {
    srtt_us: u64,
    rttvar_us: u64,
    /// Since when nothing that was in flight is known to have arrived.
    waits_since: Instant,
    waits: bool,
    expired: u32,
}

impl Timing {
    pub(super) fn sample(&mut self, rtt_us: u64) {
        if self.srtt_us == 0 {
            (self.srtt_us, self.rttvar_us) = (rtt_us, rtt_us / 2);
            return;
        }
        let deviation_us = self.srtt_us.abs_diff(rtt_us);
        self.rttvar_us = self.rttvar_us - self.rttvar_us / 4 + deviation_us / 4;
        self.srtt_us = self.srtt_us - self.srtt_us / 8 + rtt_us / 8;
    }

    /// Something was sent.
    pub(super) fn sent(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.waits, true) {
            self.waits_since = now;
        }
    }

    /// Something arrived.
    pub(super) fn heard(&mut self, now: Instant) {
        (self.waits_since, self.expired) = (now, 0);
    }

    /// Nothing is in flight.
    pub(super) fn rests(&mut self) {
        (self.waits, self.expired) = (false, 0);
    }

    /// Whether a probe was not answered: then only probes leave.
    pub(super) fn is_silent(&self) -> bool {
        self.expired > 1
    }

    pub(super) fn expires_at(&self) -> Option<Instant> {
        self.waits.then(|| self.waits_since + Duration::from_micros(self.wait_us()))
    }

    /// The time is over; how often that has happened since something arrived.
    pub(super) fn expire(&mut self, now: Instant) -> u32 {
        self.waits_since = now;
        self.expired += 1;
        self.expired
    }

    fn wait_us(&self) -> u64 {
        if self.srtt_us == 0 {
            return FIRST_US;
        }
        let one = self.srtt_us + (4 * self.rttvar_us).max(self.srtt_us / 8) + SLACK_US;
        (one << self.expired.min(4)).min(WAIT_US_MAX.max(one))
    }
}
