//! How long bytes wait in a stream before they are framed: the part of the delay that a full send window causes.

use super::Tunnel;
use crate::event::StreamId;
use crate::time::{Instant, diff};

impl Tunnel {
    /// Starts a sample, if none is under way, for bytes just written to `id`.
    pub(super) fn follow_write(&mut self, now: Instant, id: StreamId) {
        if self.health.queue_delay.followed.is_none() {
            self.health.queue_delay.followed = self.mux.sent_bytes(id).map(|(written, _)| (id, written, now));
        }
    }

    /// Ends the sample if a frame just made carries its byte.
    pub(super) fn note_framed(&mut self, now: Instant) {
        let Some((id, byte, since)) = self.health.queue_delay.followed else { return };
        match self.mux.sent_bytes(id) {
            Some((_, framed)) if diff(framed, byte) < 0 => return,
            Some(_) => {
                let (before_us, sample_us) =
                    (self.reports.stats.queue_delay_us, now.since(since).as_micros() as u64);
                self.reports.stats.queue_delay_us = before_us - before_us / 8 + sample_us / 8;
                self.reports.stats.queue_delays.add(sample_us);
            }
            None => {}
        }
        self.health.queue_delay.followed = None;
    }
}
