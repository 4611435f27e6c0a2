//! Whether the peer answers (KCP-23): unanswered data is followed by probes, so that a restarted peer or a restored path is
//! detected within about a second instead of a keepalive timeout. A side that only waits for data sends nothing that could
//! stay unanswered; it probes once when its streams become idle (KCP-27).

use crate::time::Instant;
use core::time::Duration;

/// Silence after which the peer is probed, unless twice the RTO is longer.
const PROBE_AFTER: Duration = Duration::from_secs(1);

/// Longest interval between probes.
const PROBE_AFTER_MAX: Duration = Duration::from_secs(5);

/// Time for an answer after the peer's host refused a datagram, unless [`silence`] is longer.
const REFUSED_MAX: Duration = Duration::from_secs(2);

/// Time without a byte of any stream after which the peer is probed.
const QUIET: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Liveness {
    /// When the streams will have been idle for [`QUIET`]; `None` once the peer was probed.
    quiet_at: Option<Instant>,
    /// When the oldest datagram was sent after which nothing was received.
    unanswered_since: Option<Instant>,
    probe_at: Option<Instant>,
    /// When the peer is taken for dead unless it is heard: its host refused a datagram (KCP-60).
    dead_at: Option<Instant>,
}

impl Liveness {
    /// A datagram was sent that the peer must answer.
    pub(super) fn sent(&mut self, now: Instant, rto_ms: u32) {
        if self.unanswered_since.is_none() {
            self.unanswered_since = Some(now);
            self.probe_at = Some(now + silence(rto_ms));
        }
    }

    /// A valid datagram was received; returns how long the peer had not answered.
    pub(super) fn heard(&mut self, now: Instant) -> Duration {
        let silent_for = self.silent_for(now);
        *self = Self { quiet_at: self.quiet_at, ..Self::default() };
        silent_for
    }

    /// The peer's host refused a datagram. True for the first time since the peer was heard.
    pub(super) fn refused(&mut self, now: Instant, rto_ms: u32) -> bool {
        let first = self.dead_at.is_none();
        self.dead_at.get_or_insert(now + silence(rto_ms).max(REFUSED_MAX));
        first
    }

    /// Whether nothing was heard since the host refused a datagram, for long enough.
    pub(super) fn is_dead(&self, now: Instant) -> bool {
        self.dead_at.is_some_and(|at| at <= now)
    }

    /// An application wrote or read.
    pub(super) fn active(&mut self, now: Instant) {
        self.quiet_at = Some(now + QUIET);
    }

    /// No stream is left that could wait for data.
    pub(super) fn forget_streams(&mut self) {
        self.quiet_at = None;
    }

    /// True once when a probe is due; without an answer the next one follows after another wait.
    pub(super) fn probe_due(&mut self, now: Instant, rto_ms: u32) -> bool {
        if self.quiet_at.is_some_and(|at| at <= now) {
            self.quiet_at = None;
            // While an answer is awaited, probes follow anyway.
            if self.unanswered_since.is_none() {
                return true;
            }
        }
        if self.probe_at.is_none_or(|at| now < at) {
            return false;
        }
        self.probe_at = Some(now + silence(rto_ms));
        true
    }

    pub(super) fn probe_at(&self) -> Option<Instant> {
        self.quiet_at.into_iter().chain(self.probe_at).chain(self.dead_at).min()
    }

    pub(super) fn silent_for(&self, now: Instant) -> Duration {
        self.unanswered_since.map_or(Duration::ZERO, |since| now.since(since))
    }
}

/// Silence long enough to trigger a probe.
pub(super) fn silence(rto_ms: u32) -> Duration {
    Duration::from_millis(2 * u64::from(rto_ms)).clamp(PROBE_AFTER, PROBE_AFTER_MAX)
}
