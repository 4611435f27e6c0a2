//! Whether a session carries bulk data, which new streams avoid (CC-12).
//!
//! A session delivers in order, so the loss of another stream's segment delays every stream. With congestion control the
//! client has several sessions over the same path, and a new stream uses one that carries no bulk data.

use super::Tunnel;
use crate::time::Instant;

/// Load of a session; new streams use the session with the least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Burden {
    /// Its rate is above the bulk threshold.
    pub bulk: bool,
    /// Streams held.
    pub streams: usize,
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
