//! The receiving half of a tunnel between ARQ and multiplexer: lost shards, compression, and bytes not yet consumed.

use super::TunnelConfig;
use super::mismatch::{FirstBytes, Mismatch};
use crate::arq::Arq;
use crate::fec;
use crate::mux::{Mux, ProtocolError, RECOGNISED_BYTES};
use crate::snappy::{self, SnappyError};
use crate::time::{Instant, diff};

/// Largest distance of parity from the last data packet, in packets: more than any run that gets lost, and less than an
/// earlier session usually was ahead.
const PARITY_DISTANCE_MAX: u32 = 1024;

pub(super) struct Inbound {
    pub(super) shards: Shards,
    decompressor: Option<snappy::Decoder>,
    /// A received segment that the multiplexer has not consumed completely (without compression), and how much it has.
    segment: Vec<u8>,
    consumed: usize,
    /// The driver has no memory for more: received data stays in the ARQ, whose window closes.
    pub(super) held: bool,
    first: FirstBytes,
    /// The option that differs, once the stream could not be parsed.
    pub(super) mismatch: Option<Mismatch>,
}

impl Inbound {
    pub(super) fn new(config: &TunnelConfig, conv: u32) -> Self {
        Self {
            shards: Shards::new(config, conv),
            decompressor: config.compress.then(snappy::Decoder::new),
            segment: Vec::new(),
            consumed: 0,
            held: false,
            first: FirstBytes::default(),
            mismatch: None,
        }
    }

    /// Whether the peer compresses.
    pub(super) fn set_compressed(&mut self, compressed: bool) {
        self.decompressor = compressed.then(snappy::Decoder::new);
    }

    /// The bytes that wait for the multiplexer.
    pub(super) fn waiting(&self) -> &[u8] {
        match &self.decompressor {
            Some(decompressor) => decompressor.decoded(),
            None => &self.segment[self.consumed..],
        }
    }

    /// Bytes that wait for the multiplexer.
    pub(super) fn queued_bytes(&self) -> usize {
        let decoded = self.decompressor.as_ref().map_or(0, |decompressor| decompressor.decoded().len());
        self.segment.len() - self.consumed + decoded
    }

    /// Passes decoded bytes to the multiplexer; `false` when there are none.
    ///
    /// # Errors
    /// The peer broke the multiplexer's protocol.
    pub(super) fn feed(&mut self, mux: &mut dyn Mux) -> Result<bool, ProtocolError> {
        let bytes = match &self.decompressor {
            Some(decompressor) => decompressor.decoded(),
            None => &self.segment[self.consumed..],
        };
        if bytes.is_empty() {
            return Ok(false);
        }
        self.first.note_plain(bytes);
        let taken = mux.input(bytes)?;
        debug_assert!(taken > 0 || !mux.input_ready(), "the multiplexer took nothing though it was ready");
        match &mut self.decompressor {
            Some(decompressor) => decompressor.consume(taken),
            None => self.consumed += taken,
        }
        Ok(true)
    }

    /// Adds a segment that begins at `offset` of the peer's stream, once all bytes before it were consumed, or are too few to
    /// be recognised.
    ///
    /// # Errors
    /// The compressed stream is corrupt.
    pub(super) fn push(&mut self, offset: u64, segment: Vec<u8>, arq: &mut Arq) -> Result<(), SnappyError> {
        debug_assert!(self.queued_bytes() < RECOGNISED_BYTES, "a segment would overtake bytes that wait");
        self.first.note_raw(offset, &segment);
        let Some(decompressor) = &mut self.decompressor else {
            let before = std::mem::replace(&mut self.segment, segment);
            self.segment.splice(0..0, before[self.consumed..].iter().copied());
            arq.recycle(before);
            self.consumed = 0;
            return Ok(());
        };
        let pushed = decompressor.push(&segment);
        arq.recycle(segment);
        pushed
    }

    /// Whether the peer's first bytes begin a frame of that smux version.
    pub(super) fn speaks_smux(&self, version: u8) -> bool {
        self.first.begin_frame_of(version)
    }

    /// Finds the option that differs from the peer's, after its bytes could not be parsed.
    pub(super) fn diagnose(&mut self, config: &TunnelConfig) {
        self.mismatch = self.first.mismatch(self.decompressor.is_some(), &config.mux);
    }
}

/// Rebuilds lost data packets.
pub(super) struct Shards {
    /// Created by the first shard when no shape was configured.
    pub(super) decoder: Option<fec::Decoder>,
    pub(super) proof: fec::ShapeProof,
    /// Highest number of a data packet that came with FEC.
    newest: Option<u32>,
}

impl Shards {
    fn new(config: &TunnelConfig, conv: u32) -> Self {
        let decoder = |shape: fec::Shape| {
            let newest = config.first_shard / shape.total() as u32;
            fec::Decoder::new(Some(shape), config.generation).with_newest_group(newest).with_conv(conv)
        };
        Self {
            decoder: config.fec.map(decoder),
            proof: fec::ShapeProof::new(config.fec.unwrap_or(fec::Shape::ONE_TO_ONE)),
            newest: None,
        }
    }

    pub(super) fn note_data(&mut self, packet: &[u8]) {
        let seqid = fec::seqid(packet);
        if self.newest.is_none_or(|newest| diff(seqid, newest) > 0) {
            self.newest = Some(seqid);
        }
    }

    /// Parity does not name its session. That of an earlier session at the peer's address would wait in the decoder until
    /// this session uses the same numbers. Its distance (FEC-21), its place (FEC-24) or what is rebuilt with it
    /// (FEC-23) reveals it.
    pub(super) fn belongs(&self, parity: &[u8]) -> bool {
        let seqid = fec::seqid(parity);
        let distance = |newest| diff(seqid, newest).unsigned_abs();
        self.newest.is_some_and(|newest| distance(newest) <= PARITY_DISTANCE_MAX)
            && !self.proof.refutes_parity(seqid)
    }
}

/// A client that has not shown yet what it speaks (MUX-2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Recognition {
    /// When the timers of the multiplexer began.
    pub(super) ticks_from: Instant,
    pub(super) now: Instant,
}

impl Recognition {
    pub(super) const fn new(now: Instant, ticks_from: Instant) -> Self {
        Self { ticks_from, now }
    }
}
