//! Acknowledgement aggregation (BBR version 2, "extra acked").

use super::max_filter::MaxFilter;
use crate::time::Instant;

/// What is delivered in bursts, beyond the estimated bandwidth.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Aggregation {
    /// When deliveries fell below the estimated bandwidth last, and bytes since then.
    since: Instant,
    bytes: u64,
    extra: MaxFilter,
}

impl Aggregation {
    /// `newly_bytes` were delivered, at an estimated bandwidth of `bytes_s`.
    pub(super) fn take(&mut self, now: Instant, newly_bytes: u64, bytes_s: u64, round: u64) {
        let expected = |since: Instant| {
            let elapsed_us = now.since(since).as_micros() as u64;
            bytes_s.saturating_mul(elapsed_us) / 1_000_000
        };
        if self.bytes <= expected(self.since) {
            (self.since, self.bytes) = (now, 0);
        }
        self.bytes += newly_bytes;
        let extra = self.bytes.saturating_sub(expected(self.since));
        self.extra.update(round, extra);
    }

    /// Bytes to be in flight beyond the path's, for acknowledgements that the receiver holds back.
    pub(super) fn extra_bytes(&self, round: u64) -> u64 {
        self.extra.max(round)
    }
}
