//! What a session observes about itself: whether the peer answers, whether it stands still, what it carries.

use super::burden::Traffic;
use super::liveness::Liveness;
use super::queue_delay::QueueDelay;
use super::stall::Stall;
use crate::time::Instant;
use core::time::Duration;

/// Interval at which buffers that were not needed meanwhile are freed.
const TRIM_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Health {
    pub(super) liveness: Liveness,
    pub(super) stall: Stall,
    pub(super) traffic: Traffic,
    pub(super) queue_delay: QueueDelay,
    /// When the session last moved to another address.
    pub(super) moved_at: Option<Instant>,
    trim_at: Instant,
}

impl Health {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            liveness: Liveness::default(),
            stall: Stall::default(),
            traffic: Traffic::default(),
            queue_delay: QueueDelay::default(),
            moved_at: None,
            trim_at: now + TRIM_INTERVAL,
        }
    }

    /// True once per interval.
    pub(super) fn trim_due(&mut self, now: Instant) -> bool {
        let due = self.trim_at <= now;
        if due {
            self.trim_at = now + TRIM_INTERVAL;
        }
        due
    }
}
