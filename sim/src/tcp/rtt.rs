//! The round-trip estimate and the retransmission timeout (RFC 6298) with the bounds that Linux has.

use std::collections::VecDeque;

/// Least variation that enters the timeout: the timeout is at least a round trip and this.
const VARIATION_MIN_US: u64 = 200_000;
const RTO_MAX_US: u64 = 120_000_000;
/// Timeout before the first sample.
const RTO_INITIAL_US: u64 = 1_000_000;
/// Time over which the minimum is taken.
const MIN_WINDOW_US: u64 = 300_000_000;
/// The granularity of the kernel's timers, at 250 Hz.
const JIFFY_US: u64 = 4_000;

/// Round trips of a connection, microseconds.
#[derive(Debug, Default)]
pub(super) struct Rtt {
    smoothed_us: Option<u64>,
    /// Four times the mean deviation.
    deviation_us: u64,
    /// Largest deviation of the current round trip, and the one of the timeout.
    peak_us: u64,
    variation_us: u64,
    /// Where the round trip ends over which the peak is taken.
    round_end: u64,
    /// Samples that may become the minimum, ascending: time, round trip.
    minima: VecDeque<(u64, u64)>,
    /// Doublings of the timeout.
    pub(super) backoff: u32,
}

impl Rtt {
    /// Takes a sample; the acknowledgement covers numbers below `una`, and those below `nxt` are sent.
    pub(super) fn sample(&mut self, rtt_us: u64, una: u64, nxt: u64) {
        let rtt_us = rtt_us.max(1);
        self.backoff = 0;
        let Some(smoothed) = self.smoothed_us else {
            self.smoothed_us = Some(rtt_us);
            self.deviation_us = rtt_us * 2;
            self.variation_us = self.deviation_us.max(VARIATION_MIN_US);
            self.peak_us = self.variation_us;
            self.round_end = nxt;
            return;
        };
        let deviation = rtt_us.abs_diff(smoothed);
        self.smoothed_us = Some((smoothed * 7 + rtt_us) / 8);
        // A sample far below the mean must not raise the timeout.
        let gain = if rtt_us < smoothed && deviation > self.deviation_us / 4 { 32 } else { 4 };
        self.deviation_us = self.deviation_us + 4 * deviation / gain - self.deviation_us / gain;
        self.peak_us = self.peak_us.max(self.deviation_us);
        self.variation_us = self.variation_us.max(self.peak_us);
        if una > self.round_end {
            if self.peak_us < self.variation_us {
                self.variation_us -= (self.variation_us - self.peak_us) / 4;
            }
            self.round_end = nxt;
            self.peak_us = VARIATION_MIN_US;
        }
    }

    /// Takes a sample for the minimum only.
    pub(super) fn sample_min(&mut self, now_us: u64, rtt_us: u64) {
        while self.minima.back().is_some_and(|&(_, last)| last >= rtt_us) {
            self.minima.pop_back();
        }
        self.minima.push_back((now_us, rtt_us.max(1)));
        while self.minima.front().is_some_and(|&(at, _)| at + MIN_WINDOW_US < now_us) {
            self.minima.pop_front();
        }
    }

    pub(super) const fn smoothed_us(&self) -> Option<u64> {
        self.smoothed_us
    }

    pub(super) fn min_us(&self) -> Option<u64> {
        self.minima.front().map(|&(_, rtt)| rtt)
    }

    /// The timeout, doubled as often as it expired.
    pub(super) fn rto_us(&self) -> u64 {
        let base = self.smoothed_us.map_or(RTO_INITIAL_US, |smoothed| smoothed + self.variation_us);
        (ticks(base) << self.backoff.min(16)).min(RTO_MAX_US)
    }
}

/// A time rounded up to the kernel's timer.
pub(super) const fn ticks(us: u64) -> u64 {
    us.div_ceil(JIFFY_US) * JIFFY_US
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TCP-9.
    #[test]
    fn the_timeout_is_a_round_trip_and_at_least_200_ms() {
        let mut rtt = Rtt::default();
        assert_eq!(rtt.rto_us(), 1_000_000);
        for n in 0..200 {
            rtt.sample(40_000, n, n + 10);
        }
        assert_eq!(rtt.rto_us(), 240_000);
        rtt.backoff = 2;
        assert_eq!(rtt.rto_us(), 960_000);
        rtt.sample(40_000, 300, 310);
        assert_eq!(rtt.rto_us(), 240_000);
    }

    #[test]
    fn the_minimum_is_the_least_recent_sample() {
        let mut rtt = Rtt::default();
        for (at, sample) in [(0, 50), (1, 40), (2, 60), (MIN_WINDOW_US + 2, 70)] {
            rtt.sample_min(at, sample);
        }
        assert_eq!(rtt.min_us(), Some(60));
    }
}
