//! The receiving half of a tunnel between ARQ and multiplexer: lost shards, compression, and bytes not yet consumed.

use super::TunnelConfig;
use super::mismatch::{FirstBytes, Mismatch};
use crate::arq::Arq;
use crate::fec;
use crate::mux::{Mux, ProtocolError};
use crate::snappy::{self, SnappyError};
use crate::time::diff;

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
    pub(super) fn new(config: &TunnelConfig) -> Self {
        Self {
            shards: Shards::new(config),
            decompressor: config.compress.then(snappy::Decoder::new),
            segment: Vec::new(),
            consumed: 0,
            held: false,
            first: FirstBytes::default(),
            mismatch: None,
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

    /// Adds a segment that begins at `offset` of the peer's stream, once all bytes before it were consumed.
    ///
    /// # Errors
    /// The compressed stream is corrupt.
    pub(super) fn push(&mut self, offset: u64, segment: Vec<u8>, arq: &mut Arq) -> Result<(), SnappyError> {
        debug_assert_eq!(self.queued_bytes(), 0, "a segment would overtake bytes that wait");
        self.first.note_raw(offset, &segment);
        let Some(decompressor) = &mut self.decompressor else {
            arq.recycle(std::mem::replace(&mut self.segment, segment));
            self.consumed = 0;
            return Ok(());
        };
        let pushed = decompressor.push(&segment);
        arq.recycle(segment);
        pushed
    }

    /// Finds the option that differs from the peer's, after its bytes could not be parsed.
    pub(super) fn diagnose(&mut self, config: &TunnelConfig) {
        self.mismatch = self.first.mismatch(config.compress, config.mux.version);
    }
}

/// Rebuilds lost data packets.
pub(super) struct Shards {
    /// Created by the first shard when no shape was configured.
    pub(super) decoder: Option<fec::Decoder>,
    pub(super) proof: fec::ShapeProof,
    /// Number of the last data packet that came with FEC.
    last_seqid: Option<u32>,
}

impl Shards {
    fn new(config: &TunnelConfig) -> Self {
        let decoder = |shape: fec::Shape| {
            let newest = config.first_shard / shape.total() as u32;
            fec::Decoder::new(Some(shape), config.generation).with_newest_group(newest)
        };
        Self {
            decoder: config.fec.map(decoder),
            proof: fec::ShapeProof::new(config.fec.unwrap_or(fec::Shape::ONE_TO_ONE)),
            last_seqid: None,
        }
    }

    pub(super) fn note_data(&mut self, packet: &[u8]) {
        self.last_seqid = Some(fec::seqid(packet));
    }

    /// FEC-21: parity does not name its session. That of an earlier session at the peer's address would wait in the decoder
    /// until this session uses the same numbers, and corrupt what is rebuilt then. The conversation id does not reveal it:
    /// points 0 to 7 and 8 to 15 of the field are cosets, so bytes that are constant in both sessions are rebuilt correctly.
    pub(super) fn belongs(&self, parity: &[u8]) -> bool {
        let distance = |last| diff(fec::seqid(parity), last).unsigned_abs();
        self.last_seqid.is_some_and(|last| distance(last) <= PARITY_DISTANCE_MAX)
    }
}
