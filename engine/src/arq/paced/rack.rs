//! When a segment counts as lost: RACK's reordering window (RFC 8985, section 6.2).

use crate::time::Instant;
use core::time::Duration;

/// Upper bound of the adaptive part of the reordering window, quarters of the shortest round trip.
const QUARTERS_MAX: u64 = 8;

/// Segments delivered without a spurious loss after which the reordering window shrinks.
const PERSIST_SEGMENTS: u32 = 4_096;

/// The round trip of the most recent transmission delivered, and the reordering window. Times in microseconds.
#[derive(Debug, Default)]
pub(super) struct Rack {
    /// When the most recently sent transmission that was delivered was sent (`RACK.xmit_ts`), and its round trip (`RACK.rtt`).
    pub(super) sent_at: Instant,
    rtt_us: u64,
    /// Shortest round trip of the conversation; 0 before the first.
    pub(super) min_rtt_us: u64,
    /// `RACK.reo_wnd_mult`.
    quarters: u64,
    /// Segments delivered since the last spurious loss.
    undisturbed: u32,
    /// When the next segment in flight counts as lost, if nothing more is delivered.
    pub(super) overdue_at: Option<Instant>,
}

impl Rack {
    /// A round trip was measured, whichever transmission it was of.
    pub(super) fn sample_rtt(&mut self, rtt_us: u64) {
        if self.min_rtt_us == 0 || rtt_us < self.min_rtt_us {
            self.min_rtt_us = rtt_us;
        }
    }

    /// The transmission sent at `sent_at` was delivered (section 6.2, step 2).
    pub(super) fn delivered(&mut self, sent_at: Instant, rtt_us: u64) {
        if sent_at >= self.sent_at {
            (self.sent_at, self.rtt_us) = (sent_at, rtt_us);
        }
    }

    /// Section 6.2, step 4: a spurious loss widens the window, a long time without one narrows it.
    pub(super) fn adapt(&mut self, spurious: bool, delivered_segments: u32) {
        if spurious {
            self.quarters = (self.quarters + 1).min(QUARTERS_MAX);
            self.undisturbed = 0;
            return;
        }
        self.undisturbed += delivered_segments;
        if self.undisturbed > PERSIST_SEGMENTS {
            self.quarters = self.quarters.saturating_sub(1);
            self.undisturbed = 0;
        }
    }

    /// Time from the transmission of a segment until it counts as lost, once a later one was delivered.
    pub(super) fn timeout(&self) -> Duration {
        Duration::from_micros(self.rtt_us + self.window_us())
    }

    /// The reordering window: an eighth of the round trip, and at least what receivers hold acknowledgements back for.
    fn window_us(&self) -> u64 {
        (self.min_rtt_us / 8).max(6_000) + self.quarters * self.min_rtt_us.max(8_000) / 4
    }

    pub(super) fn check_invariants(&self) {
        assert!(self.quarters <= QUARTERS_MAX && self.undisturbed <= PERSIST_SEGMENTS, "reordering window");
    }
}
