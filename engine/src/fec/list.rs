//! Packets in one ordered list, as the decoder of the 2021 generation keeps them (FEC-14).

use super::rebuild::{Rebuilder, Stored, shard_copy};
use super::{Counters, Kind, Shape, seqid};
use crate::time::diff;
use std::collections::VecDeque;

/// Packets kept at most, as a number of groups.
const GROUPS_MAX: usize = 3;
/// Shards in the largest group.
const SHARDS_MAX: usize = 256;
/// Age at which packets are dropped.
const AGE_MS_MAX: u64 = 60_000;

#[derive(Debug)]
struct Entry {
    seqid: u32,
    kind: Kind,
    arrived_ms: u64,
    bytes: Vec<u8>,
}

/// The packets of one decoder in order of seqid, and buffers to store new ones.
#[derive(Debug, Default)]
pub(crate) struct List {
    entries: VecDeque<Entry>,
    group: Vec<Stored>,
    spare: Vec<Vec<u8>>,
    /// Highest seqid of a data packet.
    newest_data: Option<u32>,
}

impl List {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Stores a packet, rebuilds its group once it has `data` packets, drops the oldest packets.
    pub(crate) fn insert(
        &mut self,
        now_ms: u64,
        (shape, conv): (Shape, Option<u32>),
        (kind, packet): (Kind, &[u8]),
        rebuilder: &mut Rebuilder,
        counters: &mut Counters,
    ) {
        let seqid = seqid(packet);
        let Some(place) = self.place(seqid) else { return };
        let bytes = shard_copy(&mut self.spare, packet);
        self.entries.insert(place, Entry { seqid, kind, arrived_ms: now_ms, bytes });
        counters.parity_shards += u64::from(kind == Kind::Parity);
        if kind == Kind::Data && self.newest_data.is_none_or(|newest| diff(seqid, newest) > 0) {
            self.newest_data = Some(seqid);
        }
        self.decode(now_ms, (shape, conv), place, rebuilder, counters);
        if self.entries.len() > GROUPS_MAX * shape.total() {
            if conv.is_some() && self.ends_far_ahead(shape) {
                self.spare.extend(self.entries.pop_back().map(|entry| entry.bytes));
            } else {
                self.drop_oldest();
            }
        }
        while self.entries.front().is_some_and(|entry| now_ms.saturating_sub(entry.arrived_ms) > AGE_MS_MAX) {
            self.drop_oldest();
        }
        debug_assert!(self.group.is_empty(), "a group was not given back");
        debug_assert!(self.entries.len() <= GROUPS_MAX * SHARDS_MAX, "too many packets held");
    }

    /// Behind the last entry that is not newer; `None` for a duplicate met on the way there.
    fn place(&self, seqid: u32) -> Option<usize> {
        for (at, entry) in self.entries.iter().enumerate().rev() {
            if entry.seqid == seqid {
                return None;
            }
            if diff(seqid, entry.seqid) > 0 {
                return Some(at + 1);
            }
        }
        Some(0)
    }

    /// Whether the last packet is so far ahead of all data that foreign parity would fill the list (FEC-23).
    fn ends_far_ahead(&self, shape: Shape) -> bool {
        let ahead = |seqid| self.newest_data.map(|newest| diff(seqid, newest));
        let distance = self.entries.back().and_then(|entry| ahead(entry.seqid));
        distance.is_some_and(|distance| distance > (GROUPS_MAX * shape.total()) as i32)
    }

    /// Rebuilds the group of the entry at `place` from its neighbours, if they are enough.
    fn decode(
        &mut self,
        now_ms: u64,
        (shape, conv): (Shape, Option<u32>),
        place: usize,
        rebuilder: &mut Rebuilder,
        counters: &mut Counters,
    ) {
        let (total, seqid) = (shape.total(), self.entries[place].seqid);
        let index = usize::from(shape.index(seqid));
        let start = seqid - index as u32;
        let of_group = |entry: &Entry| entry.seqid.wrapping_sub(start) < total as u32;
        let from = place.saturating_sub(index);
        let until = (from + total).min(self.entries.len());
        let Some(first) = (from..until).find(|&at| of_group(&self.entries[at])) else { return };
        let count = (first..until).take_while(|&at| of_group(&self.entries[at])).count();
        if count < shape.data() {
            return;
        }
        self.group.extend(self.entries.drain(first..first + count).map(|entry| Stored {
            index: shape.index(entry.seqid),
            kind: entry.kind,
            bytes: entry.bytes,
        }));
        // Seqids all over the number space have no order; the rebuilder needs one, and no duplicates.
        self.group.sort_unstable_by_key(|stored| stored.index);
        self.group.dedup_by_key(|stored| stored.index);
        let data = self.group.iter().filter(|stored| stored.kind == Kind::Data).count();
        if data == shape.data() {
            counters.full_shards += 1;
        } else if self.group.len() >= shape.data()
            && !rebuilder.rebuild_own(shape, conv, &self.group, counters)
        {
            // Where parity was foreign, the data waits for this session's own.
            let kept = self.group.extract_if(.., |stored| stored.kind == Kind::Data);
            for (at, Stored { index, kind, bytes }) in (first..).zip(kept) {
                let seqid = start + u32::from(index);
                self.entries.insert(at, Entry { seqid, kind, arrived_ms: now_ms, bytes });
            }
        }
        self.spare.extend(self.group.drain(..).map(|stored| stored.bytes));
    }

    fn drop_oldest(&mut self) {
        self.spare.extend(self.entries.pop_front().map(|entry| entry.bytes));
    }
}
