//! The sending half of a tunnel between multiplexer and ARQ, and between ARQ and datagram.

use super::TunnelConfig;
use super::rate_limiter::RateLimiter;
use crate::arq::Arq;
use crate::fec;
use crate::snappy;
use crate::time::Instant;

pub(super) struct Outbound {
    pub(super) encoder: Option<fec::Encoder>,
    compressor: Option<snappy::Encoder>,
    pub(super) limiter: Option<RateLimiter>,
    /// A datagram without room in the run before it, unsealed.
    pub(super) held: Vec<u8>,
    pub(super) frame: Vec<u8>,
    chunk: Vec<u8>,
}

impl Outbound {
    pub(super) fn new(config: &TunnelConfig, now: Instant) -> Self {
        let encoder = |shape| {
            fec::Encoder::with_next_seqid(shape, config.first_shard).with_generation(config.generation)
        };
        Self {
            encoder: config.fec.filter(|_| config.sends_shards()).map(encoder),
            compressor: config.compress.then(snappy::Encoder::new),
            limiter: RateLimiter::new(config.rate_bytes_s, now),
            held: Vec::new(),
            frame: Vec::new(),
            chunk: Vec::new(),
        }
    }

    /// Whether frames are compressed.
    pub(super) fn set_compressed(&mut self, compressed: bool) {
        self.compressor = compressed.then(snappy::Encoder::new);
    }

    /// Queues [`Self::frame`] in the ARQ, compressed if configured; the bytes it became.
    pub(super) fn queue_frame(&mut self, arq: &mut Arq) -> usize {
        let bytes = match &mut self.compressor {
            Some(compressor) => {
                self.chunk.clear();
                compressor.encode(&self.frame, &mut self.chunk);
                &self.chunk
            }
            None => &self.frame,
        };
        queue(bytes, arq)
    }

    /// Queues the identifier with which a compressed stream begins, alone; the bytes queued, 0 without compression or when it
    /// was sent before.
    pub(super) fn queue_identifier(&mut self, arq: &mut Arq) -> usize {
        self.compressor
            .as_mut()
            .and_then(snappy::Encoder::begin)
            .map_or(0, |identifier| queue(identifier, arq))
    }

    /// One datagram of at most `bytes_max` with an empty crypt header: what the previous run had no room for, then parity, then the ARQ's.
    pub(super) fn next_datagram(
        &mut self,
        config: &TunnelConfig,
        now: Instant,
        arq: &mut Arq,
        bytes_max: usize,
        slot: &mut [u8],
    ) -> Option<usize> {
        if !self.held.is_empty() {
            let len = self.held.len();
            if len > bytes_max {
                return None;
            }
            slot[..len].copy_from_slice(&self.held);
            self.held.clear();
            return Some(len);
        }
        let (head, tail) = (config.suite.head_len(), config.suite.tail_len());
        let Some(encoder) = &mut self.encoder else {
            let segments_max = bytes_max.saturating_sub(head + tail);
            let len = arq.poll_transmit_within(now, segments_max, &mut slot[head..]);
            return len.map(|len| head + len + tail);
        };
        while let Some(len) = encoder.poll_parity(&mut slot[head..]) {
            let len = head + len + tail;
            // Parity that may not be sent counts as lost.
            if len <= bytes_max {
                return Some(len);
            }
        }
        let segments_max = bytes_max.saturating_sub(head + fec::HEADER_LEN + tail);
        let len = arq.poll_transmit_within(now, segments_max, &mut slot[head + fec::HEADER_LEN..])?;
        let packet_len = fec::HEADER_LEN + len;
        encoder.encode(now.as_millis(), &mut slot[head..head + packet_len]);
        Some(head + packet_len + tail)
    }

    /// Bytes of datagrams that may leave now, of `room`: 0 while the rate limit defers them.
    pub(super) fn allowance(&mut self, config: &TunnelConfig, now: Instant, arq: &Arq, room: usize) -> usize {
        let Some(limiter) = &mut self.limiter else { return room };
        let waits = arq.flushing()
            || arq.may_transmit(now)
            || !self.held.is_empty()
            || self.encoder.as_ref().is_some_and(|encoder| encoder.parity_pending().is_some());
        if waits { room.min(limiter.allowance(now, config.mtu)) } else { room }
    }
}

fn queue(bytes: &[u8], arq: &mut Arq) -> usize {
    for piece in bytes.chunks(arq.mss()) {
        let queued = arq.send(piece);
        debug_assert!(queued.is_ok(), "a non-empty piece of at most one mss is always taken");
    }
    bytes.len()
}
