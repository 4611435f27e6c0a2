//! Delivery rate (draft-cheng-iccrg-delivery-rate-estimation).

use crate::congestion::RateSample;
use crate::time::Instant;

/// State of the estimator; bytes are those of segments, headers included.
#[derive(Debug, Default)]
pub(super) struct DeliveryRate {
    /// Bytes delivered since the conversation began (`C.delivered`), and when that changed last (`C.delivered_time`).
    pub(super) delivered_bytes: u64,
    delivered_at: Instant,
    /// When the transmission was sent that the newest sample is of (`C.first_sent_time`).
    first_sent_at: Instant,
    /// Samples are of a sender without data until this much is delivered (`C.app_limited`).
    app_limited_until: u64,
}

/// The estimator at the time of a transmission.
#[derive(Clone, Copy, Debug)]
pub(super) struct Snapshot {
    delivered_bytes: u64,
    delivered_at: Instant,
    first_sent_at: Instant,
    app_limited: bool,
}

impl DeliveryRate {
    /// Begins a new sampling interval: a transmission leaves while none is in flight.
    pub(super) const fn restart(&mut self, now: Instant) {
        (self.first_sent_at, self.delivered_at) = (now, now);
    }

    /// The state to be kept with a transmission.
    pub(super) const fn snapshot(&self) -> Snapshot {
        Snapshot {
            delivered_bytes: self.delivered_bytes,
            delivered_at: self.delivered_at,
            first_sent_at: self.first_sent_at,
            app_limited: self.app_limited_until > self.delivered_bytes,
        }
    }

    /// A transmission of `bytes` was delivered.
    pub(super) const fn delivered(&mut self, bytes: u64, now: Instant) {
        self.delivered_bytes += bytes;
        self.delivered_at = now;
    }

    /// The sender has no data although the window has room for more than `in_flight_bytes`.
    pub(super) fn limit_by_app(&mut self, in_flight_bytes: u64) {
        self.app_limited_until = self.delivered_bytes + in_flight_bytes.max(1);
    }

    /// The sample of a transmission sent at `sent_at` (section 3.3).
    pub(super) fn sample(&mut self, sent_at: Instant, then: Snapshot, min_rtt_us: u64) -> Option<RateSample> {
        self.first_sent_at = self.first_sent_at.max(sent_at);
        let sending = sent_at.since(then.first_sent_at);
        let arriving = self.delivered_at.since(then.delivered_at);
        let elapsed_us = sending.max(arriving).as_micros() as u64;
        let bytes = self.delivered_bytes - then.delivered_bytes;
        let bytes_s = (bytes * 1_000_000).checked_div(elapsed_us)?;
        // A sample of less than the shortest round trip was acknowledged in a burst.
        let long_enough = elapsed_us >= min_rtt_us;
        Some(RateSample {
            bytes_s: if long_enough { bytes_s } else { 0 },
            delivered_before: then.delivered_bytes,
            sent_at,
            app_limited: then.app_limited,
        })
    }
}
