//! Whether the peer answers (KCP-23): unanswered data is followed by probes, so that a peer that restarted, or a path that
//! came back, shows within about a second instead of a keepalive timeout.

use crate::time::Instant;
use core::time::Duration;

/// Silence after which the peer is asked, unless twice the RTO is longer.
const PROBE_AFTER: Duration = Duration::from_secs(1);

/// Longest wait between two probes.
const PROBE_AFTER_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Liveness {
    /// When the oldest datagram was sent that nothing has been heard since.
    unanswered_since: Option<Instant>,
    probe_at: Option<Instant>,
}

impl Liveness {
    /// Something was sent that the peer must answer.
    pub(super) fn sent(&mut self, now: Instant, rto_ms: u32) {
        if self.unanswered_since.is_none() {
            self.unanswered_since = Some(now);
            self.probe_at = Some(now + wait(rto_ms));
        }
    }

    /// Something valid came from the peer.
    pub(super) fn heard(&mut self) {
        *self = Self::default();
    }

    /// True once when a probe is due; the next one follows after another wait.
    pub(super) fn probe_due(&mut self, now: Instant, rto_ms: u32) -> bool {
        if self.probe_at.is_none_or(|at| now < at) {
            return false;
        }
        self.probe_at = Some(now + wait(rto_ms));
        true
    }

    pub(super) fn probe_at(&self) -> Option<Instant> {
        self.probe_at
    }

    pub(super) fn silent_for(&self, now: Instant) -> Duration {
        self.unanswered_since.map_or(Duration::ZERO, |since| now.since(since))
    }
}

fn wait(rto_ms: u32) -> Duration {
    Duration::from_millis(2 * u64::from(rto_ms)).clamp(PROBE_AFTER, PROBE_AFTER_MAX)
}
