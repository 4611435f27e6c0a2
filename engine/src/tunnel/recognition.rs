//! A server that adopts what each client speaks (MUX-1, MUX-2): it sends no stream data before the client's first bytes
//! have shown multiplexer and compression, or its first keepalive is due.

use super::Tunnel;
use crate::mux::{self, RECOGNISED_BYTES};

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

    /// Whether stream data may be sent. A client that is not recognised by the time of this side's first keepalive gets it in the
    /// configured dialect, and is not adopted any more.
    pub(super) fn may_speak(&mut self) -> bool {
        if self.mux.has_frames() {
            self.recognition = None;
        }
        self.recognition.is_none()
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
