//! Timers of the dialects.

use crate::time::Instant;
use core::time::Duration;

/// Lateness of a check from which the process must have been paused, or its clock jumped (SMUX-31).
pub(super) const LATE: Duration = Duration::from_secs(1);

/// A timer on a fixed grid; missed ticks are skipped, as by Go's tickers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticker {
    pub(super) next: Instant,
    pub(super) period: Duration,
}

impl Ticker {
    pub(super) fn new(start: Instant, period_ms: u32) -> Self {
        let period = Duration::from_millis(u64::from(period_ms.max(1)));
        Self { next: start + period, period }
    }

    pub(super) fn tick(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        let period_us = self.period.as_micros() as u64;
        let late_us = now.as_micros() - self.next.as_micros();
        self.next = self.next + Duration::from_micros((late_us / period_us + 1) * period_us);
        true
    }
}
