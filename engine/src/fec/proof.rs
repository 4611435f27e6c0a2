use super::{Kind, Shape};
use crate::time::diff;

/// Packets until a shape can be proven, at least.
const PACKETS_MIN: usize = 40;

/// Packets of a wrong shape that would not fit, in as many as are asked for: to lose just those six of all is the chance of a
/// wrong proof. The other shape that looks most alike has groups of twice the size and as much parity.
const MISFITS_MIN: usize = 6;

/// Whether the peer's groups are known to have a shape (FEC-22).
///
/// A decoder starts with a guess, this end's own shape, and a wrong guess shows only when a packet does not fit. Until then
/// wrong bytes may be rebuilt, and nothing below the applications would notice: the code is linear, so what is equal in
/// all packets of the false group (conversation, command, length) comes out right. A shape is proven once every place of
/// a group was seen with the kind that belongs there, and the last parity packet of a group next to the first data packet
/// of the following one; a packet that does not fit makes all that worthless. Packets that do not fit may have been
/// lost, so that a number of those that do is asked for, too.
#[derive(Debug)]
pub struct ShapeProof {
    shape: Shape,
    /// Places seen.
    seen: [u64; 4],
    count: usize,
    /// Packets that fit, each further on than all before: copies prove nothing.
    packets: usize,
    /// The furthest of them.
    newest: Option<u32>,
    /// Seqids of the latest parity packet that ends a group, and of the latest data packet that begins one.
    end: Option<u32>,
    begin: Option<u32>,
    /// They were neighbours once.
    turned: bool,
}

impl ShapeProof {
    /// Nothing is known.
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

    /// Whether the peer's groups have the shape of the decoder.
    pub fn holds(&self) -> bool {
        let total = self.shape.total();
        let enough = || (MISFITS_MIN * 2 * total / self.shape.parity()).max(PACKETS_MIN);
        self.turned && self.count == total && self.packets >= enough()
    }

    /// Takes note of a packet that arrived, and of the shape that the decoder has after it.
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
        if let (false, Some(end), Some(begin)) = (self.turned, self.end, self.begin) {
            self.turned = diff(begin, end) == 1 || (begin == 0 && end + 1 == shape.paws());
        }
    }
}
