//! The pacer: when the next datagram may leave, at a rate, in trains of a millisecond.

use crate::time::Instant;
use core::time::Duration;

/// Longest train, on the wire.
const TRAIN: Duration = Duration::from_millis(1);

/// A sender that wakes up late makes up for at most this.
const LATE_MAX: Duration = Duration::from_millis(4);

/// Bytes of a full datagram.
const DATAGRAM_BYTES: u64 = 1_400;

/// Longest train: sixteen datagrams.
const TRAIN_BYTES_MAX: u64 = 16 * DATAGRAM_BYTES;

/// The departure time of the next datagram, were they all evenly spaced.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    next_at: Instant,
    bytes_s: u64,
}

impl Pacer {
    /// The pacing rate, bytes per second.
    pub(super) fn set(&mut self, bytes_s: u64) {
        self.bytes_s = bytes_s.max(1);
    }

    /// Whether a datagram may leave now.
    pub(super) fn may_send(&self, now: Instant) -> bool {
        self.next_at <= now
    }

    /// `bytes` left.
    pub(super) fn sent(&mut self, now: Instant, bytes: usize) {
        let earliest = Instant::from_micros(now.as_micros().saturating_sub(LATE_MAX.as_micros() as u64));
        self.next_at = self.next_at.max(earliest) + Duration::from_micros(self.us_of(bytes as u64));
    }

    /// When a whole train may leave: the time to wake up.
    pub(super) fn train_at(&self) -> Instant {
        let train_us = self.us_of(TRAIN_BYTES_MAX).min(TRAIN.as_micros() as u64);
        self.next_at + Duration::from_micros(train_us.saturating_sub(self.us_of(DATAGRAM_BYTES)))
    }

    const fn us_of(&self, bytes: u64) -> u64 {
        bytes * 1_000_000 / self.bytes_s
    }
}
