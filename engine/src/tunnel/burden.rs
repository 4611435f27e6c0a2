//! Whether a session carries bulk data, which new streams avoid (CC-12).
//!
//! A session delivers in order, so the loss of another stream's segment delays every stream. With congestion control the
//! client has several sessions over the same path, and a new stream uses one that carries no bulk data.

use super::Tunnel;
use crate::time::Instant;
use core::time::Duration;

/// Time over which the rate is measured.
const SPAN: Duration = Duration::from_millis(500);

/// Rate above which a session carries bulk data, bytes per second.
const BULK_BYTES_S: u64 = 32_768;

/// Load of a session; new streams use the session with the least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Burden {
    /// Its rate is above the bulk threshold.
    pub bulk: bool,
    /// Streams held.
    pub streams: usize,
}

/// Stream bytes of both directions at the last two samples, at least [`SPAN`] apart.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    before: (Instant, u64),
    latest: (Instant, u64),
}

impl Traffic {
    pub(super) fn note(&mut self, now: Instant, bytes: u64) {
        if now.since(self.latest.0) >= SPAN {
            (self.before, self.latest) = (self.latest, (now, bytes));
        }
    }

    fn is_bulk(&self, now: Instant, bytes: u64) -> bool {
        let (since, before) = self.before;
        let us = now.since(since).max(SPAN).as_micros() as u64;
        (bytes - before) * 1_000_000 / us > BULK_BYTES_S
    }
}

impl Tunnel {
    /// The session's load, for the choice of a session ([`crate::Client`]).
    pub fn burden(&self, now: Instant) -> Burden {
        let bulk = self.health.traffic.is_bulk(now, self.stream_bytes());
        Burden { bulk, streams: self.stream_count() }
    }

    /// Bytes of the multiplexed stream, framing included, sent and received since creation.
    pub fn stream_bytes(&self) -> u64 {
        self.reports.stats.bytes_sent + self.reports.stats.bytes_received
    }
}
