//! The timer behind silence: a tail-loss probe first (RFC 8985, section 7), then retransmission timeouts (RFC 6298). Times are in
//! microseconds, unlike KCP's estimator ([`crate::arq::rtt`]).

use crate::time::Instant;
use core::time::Duration;

/// Timeout before the first sample.
const FIRST_US: u64 = 500_000;

/// Delay of acknowledgements at the receiver, and the coarseness of clocks.
const SLACK_US: u64 = 15_000;

/// Longest wait between two probes, unless the round trip is longer: the path may come back at any time.
const WAIT_US_MAX: u64 = 250_000;

/// Doublings of the timeout at most.
const BACKOFF_MAX: u32 = 4;

/// Round-trip estimate, and the timer that runs while something is in flight.
#[derive(Debug, Default)]
pub(super) struct ProbeTimer {
    srtt_us: u64,
    rttvar_us: u64,
    /// When something in flight was delivered last, or when the timer began to run.
    since: Instant,
    running: bool,
    /// Timeouts since then.
    expired: u32,
}

impl ProbeTimer {
    /// A round trip was measured.
    pub(super) const fn sample(&mut self, rtt_us: u64) {
        if self.srtt_us == 0 {
            (self.srtt_us, self.rttvar_us) = (rtt_us, rtt_us / 2);
            return;
        }
        let deviation_us = self.srtt_us.abs_diff(rtt_us);
        self.rttvar_us = self.rttvar_us - self.rttvar_us / 4 + deviation_us / 4;
        self.srtt_us = self.srtt_us - self.srtt_us / 8 + rtt_us / 8;
    }

    /// Whether round trips exceed the shortest one by so much that a queue stands.
    pub(super) const fn shows_queue(&self, min_rtt_us: u64) -> bool {
        self.srtt_us > min_rtt_us + min_rtt_us / 4 + 10_000
    }

    /// A segment was sent.
    pub(super) const fn sent(&mut self, now: Instant) {
        if !self.running {
            (self.running, self.since) = (true, now);
        }
    }

    /// A segment was delivered.
    pub(super) const fn delivered(&mut self, now: Instant) {
        (self.since, self.expired) = (now, 0);
    }

    /// Nothing is in flight.
    pub(super) const fn stop(&mut self) {
        (self.running, self.expired) = (false, 0);
    }

    /// Whether the tail-loss probe was not answered: from then on only probes leave.
    pub(super) const fn is_silent(&self) -> bool {
        self.expired > 1
    }

    /// When the timer expires, if it runs.
    pub(super) fn expires_at(&self) -> Option<Instant> {
        self.running.then(|| self.since + Duration::from_micros(self.wait_us()))
    }

    /// The timer expired; returns how often it has since something was delivered.
    pub(super) const fn expire(&mut self, now: Instant) -> u32 {
        self.since = now;
        self.expired += 1;
        self.expired
    }

    fn wait_us(&self) -> u64 {
        if self.srtt_us == 0 {
            return FIRST_US;
        }
        let one = self.srtt_us + (4 * self.rttvar_us).max(self.srtt_us / 8) + SLACK_US;
        (one << self.expired.min(BACKOFF_MAX)).min(WAIT_US_MAX.max(one))
    }
}
