//! A server that adopts what each client speaks (MUX-1, MUX-2): it sends no stream data before the client's first bytes
//! have shown multiplexer and compression.

use super::Tunnel;
use crate::arq::Flush;
use crate::mux::{self, RECOGNISED_BYTES};
use crate::time::Instant;

impl Tunnel {
    /// Adopts the client's compression, given its first byte: that of snappy's stream identifier, or of a frame (MUX-2).
    pub(super) fn recognise_compression(&mut self, segment: &[u8]) {
        let compresses = match segment.first() {
            Some(0xff) => true,
            Some(0..=2) => false,
            _ => return,
        };
        if self.recognition.is_some() {
            self.inbound.set_compressed(compresses);
            self.outbound.set_compressed(compresses);
        }
    }

    /// Whether frames may be sent.
    pub(super) const fn may_speak(&self) -> bool {
        self.recognition.is_none()
    }

    /// Queues something that the client acknowledges, whatever it speaks: a frame, or before its multiplexer is known the
    /// identifier of a compressed stream. `false` if nothing is known yet.
    pub(super) fn queue_greeting(&mut self, now: Instant) -> bool {
        if self.may_speak() {
            self.mux.probe();
        } else {
            let bytes = self.outbound.queue_identifier(&mut self.arq);
            if bytes == 0 {
                return false;
            }
            self.reports.stats.bytes_sent += bytes as u64;
            self.arq.flush(now, Flush::Full);
        }
        self.settle(now);
        true
    }

    /// Whether the multiplexer is known; adopts the client's once its first bytes are there.
    pub(super) fn recognise(&mut self) -> bool {
        let Some(recognition) = self.recognition else { return true };
        let Some(first) = self.inbound.waiting().first_chunk::<RECOGNISED_BYTES>() else { return false };
        let mut settings = self.config.mux.clone();
        settings.recognise(*first);
        self.spoken = (settings.dialect, settings.version);
        self.mux = mux::start_session(settings, self.role, recognition.ticks_from);
        self.recognition = None;
        // Keepalives that were due meanwhile.
        if self.mux.poll_timeout().is_some_and(|deadline| deadline.at <= recognition.now) {
            self.mux.handle_timeout(recognition.now);
        }
        self.mux.advance(recognition.now);
        true
    }
}
