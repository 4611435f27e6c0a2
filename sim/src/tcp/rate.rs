//! The delivery rate (draft-ietf-ccwg-bbr section 4.1, TCP-18): segments delivered over the longer of the time in which they were
//! sent and the time in which they were acknowledged.

use super::scoreboard::{Delivered, Sent};

/// Deliveries so far.
#[derive(Debug, Default)]
pub(super) struct Rate {
    pub(super) delivered: u64,
    /// When the last one was reported.
    pub(super) delivered_us: u64,
    /// When the first segment of the current flight was sent.
    flight_us: u64,
    /// Until that many deliveries, samples are limited by the application.
    app_limited_until: Option<u64>,
    /// The most recently sent of the segments that were newly delivered.
    newest: Option<(u64, Sent)>,
}

/// Deliveries over an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RateSample {
    /// Deliveries when the sampled segment was sent.
    pub(super) prior_delivered: u64,
    pub(super) delivered: u64,
    pub(super) interval_us: u64,
    pub(super) is_app_limited: bool,
}

impl Rate {
    /// Marks a segment that leaves; nothing else is in flight if `is_first`.
    pub(super) fn stamp(&mut self, now_us: u64, is_first: bool, sent: &mut Sent) {
        if is_first {
            (self.flight_us, self.delivered_us) = (now_us, now_us);
        }
        sent.delivered = self.delivered;
        sent.delivered_us = self.delivered_us;
        sent.flight_us = self.flight_us;
        sent.app_limited = self.app_limited_until.is_some();
    }

    /// The application has nothing to send while the window has room.
    pub(super) fn limit(&mut self, in_flight: u64) {
        self.app_limited_until = Some((self.delivered + in_flight).max(1));
    }

    pub(super) const fn is_app_limited(&self) -> bool {
        self.app_limited_until.is_some()
    }

    /// Counts a delivery.
    pub(super) fn count(&mut self, now_us: u64, found: &Delivered) {
        self.delivered += 1;
        self.delivered_us = now_us;
        let key = (found.sent.at_us, found.start);
        if self.newest.is_none_or(|(start, sent)| key > (sent.at_us, start)) {
            self.newest = Some((found.start, found.sent));
        }
    }

    /// The sample of all deliveries counted since the last call; `None` if their interval is shorter than `min_rtt_us`.
    pub(super) fn sample(&mut self, now_us: u64, min_rtt_us: Option<u64>) -> Option<RateSample> {
        if self.app_limited_until.is_some_and(|until| self.delivered > until) {
            self.app_limited_until = None;
        }
        let (_, sent) = self.newest.take()?;
        self.flight_us = sent.at_us;
        let sending_us = sent.at_us - sent.flight_us.min(sent.at_us);
        let interval_us = sending_us.max(now_us - sent.delivered_us);
        (interval_us >= min_rtt_us.unwrap_or(1).max(1)).then_some(RateSample {
            prior_delivered: sent.delivered,
            delivered: self.delivered - sent.delivered,
            interval_us,
            is_app_limited: sent.app_limited,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TCP-18: ten segments sent within 10 ms are reported together after 50 ms: ten in 50 ms, not in an instant.
    #[test]
    fn compressed_acknowledgements_do_not_raise_the_rate() {
        let mut rate = Rate::default();
        let sent: Vec<Sent> = (0..10)
            .map(|n| {
                let mut sent = Sent { len: 1, at_us: n * 1_000, ..Sent::default() };
                rate.stamp(n * 1_000, n == 0, &mut sent);
                sent
            })
            .collect();
        for (start, &sent) in (0..).zip(&sent) {
            rate.count(50_000, &Delivered { start, sent, by_sack: false });
        }
        let sample = rate.sample(50_000, Some(40_000)).unwrap();
        assert_eq!((sample.delivered, sample.interval_us), (10, 50_000));
        assert_eq!(rate.sample(50_000, None), None);
    }
}
