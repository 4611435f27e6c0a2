//! The sending side: numbers data packets and computes parity while they are sent.

use super::kernel::Kernel;
use super::matrix::interpolate;
use super::{HEADER_LEN, Kind, SHARD_OFFSET, Shape, write_header};
use crate::Generation;
use crate::observe::{Mark, Marks};

/// A longer pause before the last data packet of a group makes its parity useless (FEC-5).
const PARITY_GAP_MS: u64 = 500;

/// Produces data packets and their parity. One per session; parity is accumulated as data packets pass, and no packet is
/// kept.
#[derive(Debug)]
pub struct Encoder {
    shape: Shape,
    generation: Generation,
    kernel: Kernel,
    /// Column per data shard, `parity` weights each.
    weights: Vec<u8>,
    next_seqid: u32,
    /// Data packets in the open group, and its longest shard.
    shards: usize,
    shard_bytes_max: usize,
    latest_ms: Option<u64>,
    /// One accumulator per parity packet. Complete ones wait for `poll_parity` until the next data packet.
    parity: Vec<Vec<u8>>,
    pending: Option<Pending>,
    marks: Marks,
}

/// Parity packets of a complete group that are still to be polled.
#[derive(Clone, Copy, Debug)]
struct Pending {
    row: usize,
    seqid: u32,
    shard_bytes: usize,
}

/// The numbers kcp-go's encoder keeps, for traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderState {
    /// Seqid of the next packet.
    pub next_seqid: u32,
    /// Data packets in the open group.
    pub shards: usize,
    /// Longest packet of the open group in bytes, from the seqid on; 0 when the group is empty.
    pub packet_bytes_max: usize,
}

impl Encoder {
    /// An encoder of the 2026 generation that starts at seqid 0.
    pub fn new(shape: Shape) -> Self {
        Self::with_next_seqid(shape, 0)
    }

    /// An encoder that starts at `first`, which should begin a group (a multiple of the group's size).
    pub fn with_next_seqid(shape: Shape, first: u32) -> Self {
        let known: Vec<u8> = (0..shape.data).collect();
        let wanted: Vec<u8> = (0..shape.parity).map(|row| shape.data + row).collect();
        let mut weights = Vec::new();
        interpolate(&known, &wanted, &mut weights);
        Self {
            shape,
            generation: Generation::default(),
            kernel: Kernel::detect(),
            weights,
            next_seqid: first % shape.paws(),
            shards: 0,
            shard_bytes_max: 0,
            latest_ms: None,
            parity: vec![Vec::new(); shape.parity()],
            pending: None,
            marks: Marks::NONE,
        }
    }

    /// Sets the timing rule to that of `generation` (FEC-5).
    #[must_use]
    pub fn with_generation(self, generation: Generation) -> Self {
        Self { generation, ..self }
    }

    /// The shape of its groups.
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// Turns `packet`, [`HEADER_LEN`] reserved bytes and then KCP bytes, into a data packet: writes the
    /// header and folds the shard into the parity (FEC-2, FEC-3). `now_ms` is [`crate::Instant::as_millis`].
    ///
    /// Parity that was not polled before is discarded: it belongs on the wire right behind the packet that
    /// completed it (FEC-19).
    pub fn encode(&mut self, now_ms: u64, packet: &mut [u8]) {
        debug_assert!(packet.len() >= HEADER_LEN, "no room for the FEC header");
        write_header(packet, self.next_seqid, Kind::Data);
        self.next_seqid = self.seqid_after(1);
        self.fold(packet.get(SHARD_OFFSET..).unwrap_or_default());
        if self.shards == self.shape.data() {
            self.complete_group(now_ms);
        }
        self.latest_ms = Some(now_ms);
        self.check_invariants();
    }

    /// Writes the next parity packet to `out` and returns its length. `None`: none is pending, or `out` is
    /// shorter than [`Encoder::parity_pending`].
    pub fn poll_parity(&mut self, out: &mut [u8]) -> Option<usize> {
        let pending = self.pending?;
        let packet = out.get_mut(..SHARD_OFFSET + pending.shard_bytes)?;
        packet[SHARD_OFFSET..].copy_from_slice(&self.parity[pending.row]);
        packet[..4].copy_from_slice(&pending.seqid.to_le_bytes());
        packet[4..SHARD_OFFSET].copy_from_slice(&Kind::Parity.code().to_le_bytes());
        let row = pending.row + 1;
        let seqid = (pending.seqid + 1) % self.shape.paws();
        self.pending = (row < self.parity.len()).then_some(Pending { row, seqid, ..pending });
        Some(packet.len())
    }

    /// Length in bytes of the next pending parity packet.
    pub fn parity_pending(&self) -> Option<usize> {
        self.pending.map(|pending| SHARD_OFFSET + pending.shard_bytes)
    }

    /// The numbers kcp-go's encoder keeps, for traces.
    pub fn state(&self) -> EncoderState {
        let packet_bytes_max = if self.shards == 0 { 0 } else { SHARD_OFFSET + self.shard_bytes_max };
        EncoderState { next_seqid: self.next_seqid, shards: self.shards, packet_bytes_max }
    }

    /// Coverage marks that were hit.
    pub const fn marks(&self) -> Marks {
        self.marks
    }

    /// An open group is not full, its parity is as long as its longest shard, and pending parity exists.
    fn check_invariants(&self) {
        debug_assert!(self.shards < self.shape.data(), "a full group is open");
        debug_assert!(self.next_seqid < self.shape.paws(), "a seqid beyond the wrap");
        let rows = || self.parity.iter().all(|row| row.len() == self.shard_bytes_max);
        debug_assert!(rows(), "parity of another length than the longest shard");
        debug_assert!(
            self.pending.is_none_or(|pending| pending.row < self.parity.len()),
            "parity that does not exist"
        );
    }

    /// Adds a shard to the parity of the open group.
    fn fold(&mut self, shard: &[u8]) {
        if self.shards == 0 {
            self.pending = None;
            self.shard_bytes_max = 0;
            self.parity.iter_mut().for_each(Vec::clear);
        }
        if shard.len() > self.shard_bytes_max {
            self.shard_bytes_max = shard.len();
            self.parity.iter_mut().for_each(|row| row.resize(shard.len(), 0));
        }
        let parity = self.parity.len();
        let weights = &self.weights[self.shards * parity..][..parity];
        self.kernel.mul_add(weights, shard, &mut self.parity);
        self.shards += 1;
    }

    /// The group's seqids are used up in any case; whether parity is sent depends on the last gap only
    /// (FEC-5).
    fn complete_group(&mut self, now_ms: u64) {
        let continuous = match self.generation {
            Generation::Go2021 => true,
            Generation::Go2026 => {
                self.latest_ms.is_some_and(|latest_ms| now_ms < latest_ms.saturating_add(PARITY_GAP_MS))
            }
        };
        self.pending = continuous.then_some(Pending {
            row: 0,
            seqid: self.next_seqid,
            shard_bytes: self.shard_bytes_max,
        });
        self.next_seqid = self.seqid_after(self.shape.parity());
        self.marks.hit_if(Mark::ParityWithheld, !continuous);
        self.marks.hit_if(Mark::ShardWrapOut, self.next_seqid == 0);
        self.shards = 0;
    }

    /// Seqids wrap at paws, so that they stay aligned with the groups (FEC-6).
    fn seqid_after(&self, packets: usize) -> u32 {
        ((u64::from(self.next_seqid) + packets as u64) % u64::from(self.shape.paws())) as u32
    }
}
