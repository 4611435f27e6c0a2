//! Packets by group, as the decoder of the 2026 generation keeps them.

use super::rebuild::{Rebuilder, Stored, shard_copy};
use super::{Counters, Kind, Shape, seqid};
use crate::time::diff;

/// Groups kept behind the newest one (FEC-10).
const GROUPS_BEHIND_MAX: u32 = 3;
/// Groups held at most. Real peers need those above; seqids half the number space apart could keep more
/// (FEC-17).
const GROUPS_MAX: usize = 8;

#[derive(Debug, Default)]
struct Group {
    number: u32,
    /// Sorted by place.
    packets: Vec<Stored>,
}

/// The groups of one decoder, and buffers to fill new ones.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    held: Vec<Group>,
    newest: u32,
    /// Group numbers have wrapped.
    wrapped: bool,
    spare_groups: Vec<Group>,
    spare_shards: Vec<Vec<u8>>,
}

impl Groups {
    pub(crate) const fn newest(&self) -> u32 {
        self.newest
    }

    pub(crate) const fn set_newest(&mut self, newest: u32) {
        self.newest = newest;
    }

    pub(crate) const fn wrapped(&self) -> bool {
        self.wrapped
    }

    pub(crate) const fn len(&self) -> usize {
        self.held.len()
    }

    pub(crate) fn packets(&self) -> usize {
        self.held.iter().map(|group| group.packets.len()).sum()
    }

    /// Drops all groups; their numbers mean nothing under another shape. The newest number stays, as in
    /// kcp-go.
    pub(crate) fn clear(&mut self) {
        self.drop_where(|_| true);
    }

    /// Stores a packet, rebuilds its group once it has `data` packets, drops old groups (FEC-9, FEC-10). With a
    /// conversation, only its shards are rebuilt (FEC-23).
    pub(crate) fn insert(
        &mut self,
        (shape, conv): (Shape, Option<u32>),
        (kind, packet): (Kind, &[u8]),
        rebuilder: &mut Rebuilder,
        counters: &mut Counters,
    ) {
        let number = shape.group(seqid(packet));
        let at = self.find_or_open(number);
        let group = &mut self.held[at];
        let index = shape.index(seqid(packet));
        let Err(place) = group.packets.binary_search_by_key(&index, |stored| stored.index) else {
            return;
        };
        let bytes = shard_copy(&mut self.spare_shards, packet);
        group.packets.insert(place, Stored { index, kind, bytes });
        counters.parity_shards += u64::from(kind == Kind::Parity);
        if group.packets.len() >= shape.data() {
            let is_own = decode((shape, conv), group, rebuilder, counters);
            // Empty but known: with parity >= data the rest of the packets decode it again (FEC-12). Where parity was
            // foreign, the data waits for this session's own.
            if is_own {
                self.spare_shards.extend(group.packets.drain(..).map(|stored| stored.bytes));
            } else {
                let parity = group.packets.extract_if(.., |stored| stored.kind == Kind::Parity);
                self.spare_shards.extend(parity.map(|stored| stored.bytes));
            }
        }
        // FEC-23: foreign parity may be far ahead, and must not make the groups of the session old.
        self.advance(shape, number, conv.is_none() || kind == Kind::Data);
        self.check_invariants(shape);
    }

    /// At most [`GROUPS_MAX`] groups, each of which waits for more packets.
    fn check_invariants(&self, shape: Shape) {
        debug_assert!(self.held.len() <= GROUPS_MAX, "too many groups held");
        let waits = |group: &Group| group.packets.len() < shape.data();
        debug_assert!(self.held.iter().all(waits), "a group with enough packets was not decoded");
    }

    fn find_or_open(&mut self, number: u32) -> usize {
        if let Some(at) = self.held.iter().position(|group| group.number == number) {
            return at;
        }
        let mut group = self.spare_groups.pop().unwrap_or_default();
        group.number = number;
        self.held.push(group);
        self.held.len() - 1
    }

    fn advance(&mut self, shape: Shape, number: u32, may_be_newest: bool) {
        let total = shape.total() as u32;
        let age = |newest: u32, number: u32| diff(newest.wrapping_mul(total), number.wrapping_mul(total));
        if may_be_newest && age(number, self.newest) > 0 {
            self.wrapped |= number < self.newest;
            self.newest = number;
        }
        let newest = self.newest;
        self.drop_where(|number| age(newest, number) > (GROUPS_BEHIND_MAX * total).cast_signed());
        if self.held.len() > GROUPS_MAX {
            let has_data = |group: &Group| group.packets.iter().any(|stored| stored.kind == Kind::Data);
            let victim = self.held.iter().position(|group| !has_data(group));
            self.drop_at(victim.unwrap_or(0));
        }
    }

    fn drop_where(&mut self, is_stale: impl Fn(u32) -> bool) {
        let mut at = 0;
        while let Some(group) = self.held.get(at) {
            if is_stale(group.number) {
                self.drop_at(at);
            } else {
                at += 1;
            }
        }
    }

    fn drop_at(&mut self, at: usize) {
        let mut group = self.held.remove(at);
        self.spare_shards.extend(group.packets.drain(..).map(|stored| stored.bytes));
        self.spare_groups.push(group);
    }
}

/// Rebuilds a group; false if some of its parity belongs to another conversation.
fn decode(
    (shape, conv): (Shape, Option<u32>),
    group: &Group,
    rebuilder: &mut Rebuilder,
    counters: &mut Counters,
) -> bool {
    let data = group.packets.iter().filter(|stored| stored.kind == Kind::Data).count();
    if data == shape.data() {
        counters.full_shards += 1;
        return true;
    }
    rebuilder.rebuild_own(shape, conv, &group.packets, counters)
}
