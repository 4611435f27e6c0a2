//! The minimum round trip, and the queue that longer ones show.

use super::AckEvent;
use crate::time::Instant;
use core::time::Duration;

/// Age at which the minimum round trip is measured again.
const MIN_RTT_AGE: Duration = Duration::from_secs(10);

/// Difference between the shortest round trips of two rounds on a path with steady delay, microseconds.
const VARIATION_US: u64 = 1_500;

/// Round trips, in microseconds.
#[derive(Debug)]
pub(super) struct RoundTrip {
    /// Minimum; 0 before the first sample.
    pub(super) min_us: u64,
    min_at: Instant,
    /// Shortest of the current round and of the one before; `u64::MAX` without a sample.
    rounds_us: [u64; 2],
    /// Smoothed over the last eight samples or so.
    smoothed_us: u64,
    /// Smoothed difference between the shortest round trips of consecutive rounds.
    variation_us: u64,
}

impl RoundTrip {
    pub(super) const fn new() -> Self {
        Self { min_us: 0, min_at: Instant::ZERO, rounds_us: [u64::MAX; 2], smoothed_us: 0, variation_us: 0 }
    }

    /// Takes in a sample. `true` when the minimum is too old; in ProbeRtt (`probes`) any sample then replaces it.
    pub(super) fn take(&mut self, event: &AckEvent, probes: bool) -> bool {
        let expired = event.now.since(self.min_at) > MIN_RTT_AGE;
        if let Some(rtt_us) = event.rtt_us {
            self.rounds_us[0] = self.rounds_us[0].min(rtt_us);
            let before_us = if self.smoothed_us == 0 { rtt_us } else { self.smoothed_us };
            self.smoothed_us = before_us - before_us / 8 + rtt_us / 8;
            let near_us = self.min_us + (self.min_us / 32).max(1_000);
            if self.min_us == 0 || rtt_us <= self.min_us || expired && probes {
                self.min_us = rtt_us;
            }
            if rtt_us <= near_us || self.min_us == rtt_us {
                self.min_at = event.now;
            }
        }
        expired
    }

    /// ProbeRtt begins: the minimum is what the last rounds gave, at most twice the one before.
    pub(super) fn expire_min(&mut self) {
        self.min_us = self.rounds_us[0].min(self.rounds_us[1]).min(2 * self.min_us);
    }

    /// ProbeRtt ended: the minimum is fresh.
    pub(super) const fn refresh_min(&mut self, now: Instant) {
        self.min_at = now;
    }

    /// Measures how much rounds differ at a `steady` queue, where a difference is the path's, and starts the next round.
    pub(super) fn start_round(&mut self, steady: bool) {
        let [last, before] = self.rounds_us;
        if steady && last.max(before) != u64::MAX {
            self.variation_us = self.variation_us - self.variation_us.div_ceil(8) + last.abs_diff(before) / 8;
        }
        self.rounds_us = [u64::MAX, last];
    }

    /// Whether there is a queue, be it as short as those of switches. The shortest round trip of two rounds shows it, less the
    /// time `segment_us` that a segment takes on the bottleneck, and the variation of the path.
    pub(super) fn shows_queue(&self, segment_us: u64) -> bool {
        let shortest_us = self.rounds_us[0].min(self.rounds_us[1]);
        let slack_us = 1_500 + segment_us.min(6_000) + 6 * self.variation_us.saturating_sub(VARIATION_US);
        shortest_us != u64::MAX && shortest_us > self.min_us + self.min_us / 32 + slack_us
    }

    /// Whether the last few round trips show a large queue.
    pub(super) fn shows_large_queue(&self) -> bool {
        self.smoothed_us > self.min_us + self.min_us / 4 + 5_000
    }
}
