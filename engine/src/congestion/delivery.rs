//! Rounds, and the bandwidth estimate: the highest delivery rate of the last rounds.

use super::max_filter::MaxFilter;
use super::{AckEvent, RateSample};
use crate::time::Instant;

/// Rounds over which a delivery rate is averaged: a lost datagram of acknowledgements moves deliveries to a later round.
const RATE_ROUNDS: usize = 3;

/// Counts rounds and estimates the bandwidth. Rates in bytes per second.
#[derive(Debug)]
pub(super) struct Delivery {
    /// Number of the current round.
    pub(super) round: u64,
    /// The delivery of a segment sent from here on ends the round.
    round_end_bytes: u64,
    bandwidth: MaxFilter,
    rates: RoundRates,
    /// The user's limit; `u64::MAX` without one.
    bytes_s_max: u64,
}

/// Delivery rates of whole rounds: single samples err upwards when an acknowledgement was lost and a later one covers more.
#[derive(Clone, Copy, Debug, Default)]
struct RoundRates {
    /// Ends of the last rounds, the newest first: time, time at which the newest delivered segment had been sent, and bytes
    /// delivered.
    ends: [(Instant, Instant, u64); RATE_ROUNDS],
    /// The sender had no data for a part of the current round.
    app_limited: bool,
}

/// A round that has ended. Rates in bytes per second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    /// Delivery rate of the round.
    pub(super) last_bytes_s: u64,
    /// Delivery rate of the last [`RATE_ROUNDS`] rounds.
    pub(super) average_bytes_s: u64,
    /// The sender had no data for a part of it.
    pub(super) app_limited: bool,
}

impl Delivery {
    /// The first round; `bytes_s_max` limits the estimate.
    pub(super) fn new(bytes_s_max: u64) -> Self {
        Self {
            round: 1,
            round_end_bytes: 0,
            bandwidth: MaxFilter::default(),
            rates: RoundRates::default(),
            bytes_s_max,
        }
    }

    /// The bandwidth estimate; 0 before the first sample.
    pub(super) fn bandwidth_bytes_s(&self) -> u64 {
        self.bandwidth.max(self.round).min(self.bytes_s_max)
    }

    /// Takes in a sample. `true` when it ends the round; single samples raise the estimate in `startup` only.
    pub(super) fn take(&mut self, rate: &RateSample, startup: bool) -> bool {
        self.rates.app_limited |= rate.app_limited;
        let counts = !rate.app_limited || rate.bytes_s > self.bandwidth_bytes_s();
        if counts && startup {
            self.raise(rate.bytes_s);
        }
        rate.delivered_before >= self.round_end_bytes
    }

    /// Ends the round.
    pub(super) fn start_round(&mut self, event: &AckEvent) -> Round {
        self.round += 1;
        self.round_end_bytes = event.delivered_bytes;
        let sent_at = event.rate.map_or(event.now, |rate| rate.sent_at);
        let (last_bytes_s, average_bytes_s) = self.rates.end(event.now, sent_at, event.delivered_bytes);
        let app_limited = std::mem::take(&mut self.rates.app_limited);
        Round { last_bytes_s, average_bytes_s, app_limited }
    }

    /// A delivery rate of this round.
    pub(super) fn raise(&mut self, bytes_s: u64) {
        self.bandwidth.update(self.round, bytes_s);
    }

    /// Lowers the estimate to at most `bytes_s`.
    pub(super) fn cap(&mut self, bytes_s: u64) {
        self.bandwidth.cap(bytes_s);
    }

    /// Keeps the estimate for another round, in which the path was not filled.
    pub(super) fn keep(&mut self) {
        self.bandwidth.keep(self.round);
    }
}

impl RoundRates {
    /// Delivery rates of the last round and of the last [`RATE_ROUNDS`], at most the sending rates: when the delay falls, more
    /// is delivered for a while than was sent.
    fn end(&mut self, now: Instant, sent_at: Instant, delivered_bytes: u64) -> (u64, u64) {
        let since = |(at, sent, before): (Instant, Instant, u64)| {
            let us = now.since(at).max(sent_at.since(sent)).as_micros() as u64;
            ((delivered_bytes - before) * 1_000_000).checked_div(us).unwrap_or(0)
        };
        let rates = (since(self.ends[0]), since(self.ends[RATE_ROUNDS - 1]));
        self.ends.rotate_right(1);
        self.ends[0] = (now, sent_at, delivered_bytes);
        rates
    }
}
