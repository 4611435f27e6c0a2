//! Rebuilds the missing data shards of a group from any `data` shards of it (FEC-9).

use super::kernel::Kernel;
use super::matrix::interpolate;
use super::{Counters, Kind, SHARD_OFFSET, Shape};

/// Place of the conversation in a data shard, behind its size: it begins the first segment.
const CONV: core::ops::Range<usize> = 2..6;

/// A packet that waits in a group.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Place in the group.
    pub(crate) index: u8,
    pub(crate) kind: Kind,
    /// Shard bytes, unpadded.
    pub(crate) bytes: Vec<u8>,
}

/// Rebuilds shards and keeps them until they are polled; its buffers are reused.
#[derive(Debug)]
pub(crate) struct Rebuilder {
    kernel: Kernel,
    known: Vec<u8>,
    missing: Vec<u8>,
    weights: Vec<u8>,
    /// The first `missing.len()` are the rebuilt shards in ascending place, of which `polled` were handed
    /// out.
    shards: Vec<Vec<u8>>,
    polled: usize,
}

impl Rebuilder {
    pub(crate) fn new() -> Self {
        let (known, missing, weights, shards) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { kernel: Kernel::detect(), known, missing, weights, shards, polled: 0 }
    }

    /// Discards shards that were not polled.
    pub(crate) fn clear(&mut self) {
        self.missing.clear();
        self.polled = 0;
    }

    /// Rebuilds the missing shards of `group`, which holds at least `data` packets of different places, sorted by
    /// place; returns their number. Of more than `data` packets the first ones are used, as in klauspost's library.
    pub(crate) fn rebuild(&mut self, shape: Shape, group: &[Stored]) -> usize {
        debug_assert!(group.len() >= shape.data(), "too few packets");
        debug_assert!(group.is_sorted_by(|a, b| a.index < b.index), "packets out of order");
        self.clear();
        let absent = |place: &u8| group.binary_search_by_key(place, |stored| stored.index).is_err();
        self.missing.extend((0..shape.data).filter(absent));
        let used = group.get(..shape.data()).unwrap_or_default();
        self.known.clear();
        self.known.extend(used.iter().map(|stored| stored.index));
        interpolate(&self.known, &self.missing, &mut self.weights);

        let bytes_max = group.iter().map(|stored| stored.bytes.len()).max().unwrap_or(0);
        let count = self.missing.len();
        if self.shards.len() < count {
            self.shards.resize_with(count, Vec::new);
        }
        for shard in &mut self.shards[..count] {
            shard.clear();
            shard.resize(bytes_max, 0);
        }
        for (stored, weights) in used.iter().zip(self.weights.chunks(count.max(1))) {
            self.kernel.mul_add(weights, &stored.bytes, &mut self.shards[..count]);
        }
        debug_assert_eq!(self.known.len(), shape.data(), "shards to rebuild from");
        debug_assert!(count <= shape.parity(), "more shards missing than the parity rebuilds");
        count
    }

    /// As [`Self::rebuild`], and counts the shards. If one of them does not carry `conv`, none is kept: false (FEC-23).
    pub(crate) fn rebuild_own(
        &mut self,
        shape: Shape,
        conv: Option<u32>,
        group: &[Stored],
        counters: &mut Counters,
    ) -> bool {
        let count = self.rebuild(shape, group) as u64;
        let is_own = conv.is_none_or(|conv| self.carry(conv));
        if is_own {
            counters.recovered += count;
        } else {
            self.clear();
            counters.errs += count;
            counters.foreign += 1;
        }
        is_own
    }

    /// Whether all shards rebuilt last carry the conversation `conv` (FEC-23).
    fn carry(&self, conv: u32) -> bool {
        let shards = &self.shards[..self.missing.len()];
        shards.iter().all(|shard| shard.get(CONV) == Some(&conv.to_le_bytes()[..]))
    }

    /// The places of the shards rebuilt last, and of those they were rebuilt from.
    pub(crate) fn places(&self) -> (&[u8], &[u8]) {
        if self.missing.is_empty() { (&[], &[]) } else { (&self.missing, &self.known) }
    }

    /// The shard that `poll` will return.
    pub(crate) fn peek(&self) -> Option<&[u8]> {
        self.shards[..self.missing.len()].get(self.polled).map(Vec::as_slice)
    }

    /// The next rebuilt shard, padded to the longest of its group.
    pub(crate) fn poll(&mut self) -> Option<&[u8]> {
        let shard = self.shards[..self.missing.len()].get(self.polled)?;
        self.polled += 1;
        Some(shard)
    }
}

/// A shard buffer out of `spare`, filled from a packet.
pub(crate) fn shard_copy(spare: &mut Vec<Vec<u8>>, packet: &[u8]) -> Vec<u8> {
    let mut bytes = spare.pop().unwrap_or_default();
    bytes.clear();
    bytes.extend_from_slice(packet.get(SHARD_OFFSET..).unwrap_or_default());
    bytes
}
