//! When the next datagram may leave: at a rate, in trains of a millisecond.

use crate::time::Instant;
use core::time::Duration;

/// What a train may take of the wire, and of a sender that wakes late.
const TRAIN: Duration = Duration::from_millis(1);
const LATE_MAX: Duration = Duration::from_millis(4);

/// Bytes in a train at most: sixteen datagrams.
const TRAIN_BYTES_MAX: u64 = 16 * 1_400;

/// The departure time of the next datagram, were they all evenly spaced.
#[derive(Debug, Default)]
pub(super) struct Pace {
    next_at: Instant,
    bytes_s: u64,
}

impl Pace {
    pub(super) fn set(&mut self, bytes_s: u64) {
        self.bytes_s = bytes_s.max(1);
    }

    pub(super) fn may_send(&self, now: Instant) -> bool {
        self.next_at <= now
    }

    pub(super) fn sent(&mut self, now: Instant, bytes: usize) {
        let us = bytes as u64 * 1_000_000 / self.bytes_s;
        let earliest = Instant::from_micros(now.as_micros().saturating_sub(LATE_MAX.as_micros() as u64));
        self.next_at = self.next_at.max(earliest) + Duration::from_micros(us);
    }

    /// When a whole train may leave, which is when to wake up.
    pub(super) fn train_at(&self) -> Instant {
        let us = TRAIN_BYTES_MAX * 1_000_000 / self.bytes_s;
        let one_us = 1_400 * 1_000_000 / self.bytes_s;
        let train_us = us.min(TRAIN.as_micros() as u64);
        self.next_at + Duration::from_micros(train_us.saturating_sub(one_us))
    }
}
