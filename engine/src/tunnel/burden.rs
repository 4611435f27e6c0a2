//! Whether a session carries bulk, and which one a new stream should take (CC-12).
//!
//! A session delivers in order, so a stream behind somebody else's lost segments waits with them. Under a controller the client
//! has several sessions over the same path and gives a new stream one that carries no bulk.

use super::Tunnel;
use crate::time::Instant;
use core::time::Duration;

/// Time over which bytes are counted.
const SPAN: Duration = Duration::from_millis(500);

/// Bytes per second from which on a session carries bulk.
const BULK_BYTES_S: u64 = 32_768;

/// What a session carries: less is better for new streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Burden {
    /// It moves many bytes.
    pub bulk: bool,
    /// Streams alive.
    pub streams: usize,
}

/// Bytes of the stream in both directions, now and a span ago.
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
    /// What the session carries.
    pub fn burden(&self, now: Instant) -> Burden {
        let bulk = self.health.traffic.is_bulk(now, self.stream_bytes());
        Burden { bulk, streams: self.stream_count() }
    }

    /// Bytes of the multiplexed stream, framing included, sent and received since creation.
    pub fn stream_bytes(&self) -> u64 {
        self.reports.stats.bytes_sent + self.reports.stats.bytes_received
    }
}
