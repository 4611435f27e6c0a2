//! Rates at which losses without a queue began: a policer drops what exceeds its rate.

use crate::time::Instant;
use core::time::Duration;

/// Age at which a failed rate is forgotten.
const FAILED_AGE: Duration = Duration::from_secs(30);

/// How long a policer may penalize what exceeded its rate.
const PENALTY: Duration = Duration::from_millis(1_200);

/// Rates that failed, and the one to return to; bytes per second.
#[derive(Debug)]
pub(super) struct FailedRates {
    /// The last rate that was good for a whole cruise, 0 if none.
    good_bytes_s: u64,
    /// Lowest rate that failed, `u64::MAX` if none.
    failed_bytes_s: u64,
    /// Failures since there was none.
    pub(super) count: u32,
    failed_at: Instant,
}

impl FailedRates {
    pub(super) const fn new() -> Self {
        Self { good_bytes_s: 0, failed_bytes_s: u64::MAX, count: 0, failed_at: Instant::ZERO }
    }

    /// `bytes_s` failed.
    pub(super) fn note(&mut self, bytes_s: u64, now: Instant) {
        self.failed_bytes_s = self.failed_bytes_s.min(bytes_s);
        self.failed_at = now;
        self.count += 1;
    }

    /// After a failure at `bytes_s`: the rate to return to is a little less than one that was good.
    pub(super) fn lower_good(&mut self, bytes_s: u64) {
        self.good_bytes_s = self.good_bytes_s.min(bytes_s) * 19 / 20;
    }

    /// A cruise at `bytes_s` has ended; returns the good rate before it.
    pub(super) const fn cruised(&mut self, bytes_s: u64) -> u64 {
        std::mem::replace(&mut self.good_bytes_s, bytes_s)
    }

    /// Forgets failures after [`FAILED_AGE`].
    pub(super) fn age(&mut self, now: Instant) {
        if now.since(self.failed_at) > FAILED_AGE {
            (self.failed_bytes_s, self.count) = (u64::MAX, 0);
        }
    }

    /// Whether a rate has failed lately.
    pub(super) const fn any(&self) -> bool {
        self.failed_bytes_s < u64::MAX
    }

    /// Whether a penalty may last.
    pub(super) fn is_penalized(&self, now: Instant) -> bool {
        self.count > 0 && now.since(self.failed_at) < PENALTY
    }

    /// Whether `bytes_s` is not far from a rate that failed.
    pub(super) const fn is_near(&self, bytes_s: u64) -> bool {
        bytes_s > self.failed_bytes_s / 10 * 7
    }
    /// A rate has failed exactly when failures were counted.
    pub(super) fn check_invariants(&self) {
        assert_eq!(self.any(), self.count > 0, "failures without a rate, or the reverse");
    }
}
