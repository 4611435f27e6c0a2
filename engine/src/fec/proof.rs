//! Proof of the peer's shape, before which nothing rebuilt is used (FEC-22).

use super::{Kind, Shape};
use crate::time::diff;

/// Packets until a shape can be proven, at least.
const PACKETS_MIN: usize = 40;

/// Packets of a wrong shape that would not fit, among those required: a wrong proof takes the loss of exactly these six. The
/// wrong shape that is hardest to tell has groups of twice the size and as much parity.
const MISFITS_MIN: usize = 6;

/// Evidence for the shape of the peer's groups (FEC-22).
///
/// A decoder starts with a guess, this end's own shape, and a wrong guess shows only when a packet does not fit. Until then
/// it may rebuild wrong bytes, which no layer below the applications would detect: the code is linear, so the fields that are
/// equal in all packets of the false group (conversation, command, length) are rebuilt correctly. A shape is proven once a
/// packet of the right type was seen in every place of a group, and the last parity packet of a group next to the first data
/// packet of the following one. A packet that does not fit voids the proof. Since packets that do not fit may have been
/// lost, a minimum number of those that fit is required, too.
#[derive(Debug)]
pub struct ShapeProof {
    shape: Shape,
    /// Places seen, as a bit set, and their number.
    seen: [u64; 4],
    count: usize,
    /// Packets that fit, each beyond all before: duplicates prove nothing.
    packets: usize,
    /// The highest seqid of them.
    newest: Option<u32>,
    /// Seqids of the latest parity packet that ends a group, and of the latest data packet that begins one.
    end: Option<u32>,
    begin: Option<u32>,
    /// Those two were adjacent once.
    turned: bool,
}

impl ShapeProof {
    /// No evidence yet.
    pub const fn new(shape: Shape) -> Self {
        Self {
            shape,
            seen: [0; 4],
            count: 0,
            packets: 0,
            newest: None,
            end: None,
            begin: None,
            turned: false,
        }
    }

    /// Whether the shape is proven.
    pub fn holds(&self) -> bool {
        let total = self.shape.total();
        let enough = || (MISFITS_MIN * 2 * total / self.shape.parity()).max(PACKETS_MIN);
        self.turned && self.count == total && self.packets >= enough()
    }

    /// Whether parity of that seqid contradicts a shape that is proven, and so belongs to another session (FEC-24).
    pub fn refutes_parity(&self, seqid: u32) -> bool {
        !self.shape.fits(seqid, Kind::Parity) && self.holds()
    }

    /// Takes in a packet that arrived; `shape` is the decoder's after it.
    pub fn note(&mut self, shape: Shape, seqid: u32, kind: Kind) {
        if shape != self.shape || !shape.fits(seqid, kind) {
            *self = Self::new(shape);
            return;
        }
        if self.newest.is_none_or(|newest| diff(seqid, newest) > 0) {
            self.newest = Some(seqid);
            self.packets = self.packets.saturating_add(1);
        }
        let place = usize::from(shape.index(seqid));
        let bit = 1 << (place % 64);
        self.count += usize::from(self.seen[place / 64] & bit == 0);
        self.seen[place / 64] |= bit;
        if place == 0 {
            self.begin = Some(seqid);
        } else if place + 1 == shape.total() {
            self.end = Some(seqid);
        }
        debug_assert_eq!(self.seen.iter().map(|word| word.count_ones() as usize).sum::<usize>(), self.count);
        debug_assert!(self.count <= shape.total(), "more places than the group has");
        if let (false, Some(end), Some(begin)) = (self.turned, self.end, self.begin) {
            self.turned = diff(begin, end) == 1 || (begin == 0 && end + 1 == shape.paws());
        }
    }
}
