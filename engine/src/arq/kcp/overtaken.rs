//! How often each segment in flight was overtaken by acknowledgements of later ones (KCP-17).

use crate::time::diff;
use std::collections::VecDeque;

/// Marks a segment that was retransmitted early: it waits for its timeout (2026).
pub(super) const DONE: u32 = u32::MAX;

/// For each segment of the send buffer, oldest first, when it was sent and how often it was overtaken.
///
/// Apart from the segments, because with a lost segment at the head every acknowledgement counts against everything in
/// flight: eight bytes each are gone through in vectors.
#[derive(Debug, Default)]
pub(in crate::arq) struct Overtaken {
    segments: VecDeque<Segment>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Segment {
    ts: u32,
    fastack: u32,
}

impl Segment {
    const fn counts(&self, ts: u32) -> bool {
        (diff(self.ts, ts) <= 0) & (self.fastack != DONE)
    }
}

/// What an acknowledgement did to older segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Overtaking {
    /// It counted against at least one.
    pub(super) any: bool,
    /// One of them reached the limit.
    pub(super) limit: bool,
}

impl Overtaken {
    /// A segment was numbered.
    #[inline]
    pub(super) fn push(&mut self) {
        self.segments.push_back(Segment::default());
    }

    /// The oldest segment is gone.
    #[inline]
    pub(in crate::arq) fn pop(&mut self) {
        self.segments.pop_front();
    }

    /// The segment at `index` was sent; `fastack` is where its count goes on, if not where it is.
    #[inline]
    pub(super) fn sent(&mut self, index: usize, ts: u32, fastack: Option<u32>) {
        if let Some(segment) = self.segments.get_mut(index) {
            *segment = Segment { ts, fastack: fastack.unwrap_or(segment.fastack) };
        }
    }

    /// How often the segment at `index` was overtaken; `None` once it waits for its timeout whatever comes.
    #[inline]
    pub(super) fn count(&self, index: usize) -> Option<u32> {
        self.segments.get(index).map(|segment| segment.fastack).filter(|&fastack| fastack != DONE)
    }

    /// Whether the acknowledgement of a later segment, sent at `ts`, counts against the one at `index`.
    pub(super) fn is_passed(&self, index: usize, ts: u32) -> bool {
        self.segments.get(index).is_some_and(|segment| segment.counts(ts))
    }

    /// A segment behind the first `older` ones, sent at `ts`, was acknowledged: counts against those of them that were
    /// not sent later. Segments that are acknowledged already count on, as kcp-go has it.
    pub(super) fn overtake(&mut self, older: usize, ts: u32, limit: u32) -> Overtaking {
        let (front, back) = self.segments.as_mut_slices();
        let split = older.min(front.len());
        let rest = (older - split).min(back.len());
        let (a, b) = (overtake(&mut front[..split], ts, limit), overtake(&mut back[..rest], ts, limit));
        Overtaking { any: a.any | b.any, limit: a.limit | b.limit }
    }

    pub(super) fn len(&self) -> usize {
        self.segments.len()
    }

    /// Frees room beyond need.
    pub(in crate::arq) fn trim(&mut self) {
        self.segments.shrink_to(2 * self.segments.len());
    }
}

/// Without branches, for the compiler to make vectors of.
fn overtake(segments: &mut [Segment], ts: u32, limit: u32) -> Overtaking {
    let (mut any, mut reached) = (0, 0);
    for segment in segments {
        let counts = u32::from(segment.counts(ts));
        segment.fastack = segment.fastack.wrapping_add(counts);
        any |= counts;
        reached |= counts & u32::from(segment.fastack >= limit);
    }
    Overtaking { any: any != 0, limit: reached != 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_against_what_was_not_sent_later() {
        let mut overtaken = Overtaken::default();
        let sent = [5, 9, 7, u32::MAX, 5, 5];
        sent.iter().for_each(|_| overtaken.push());
        sent.iter().enumerate().for_each(|(index, &ts)| overtaken.sent(index, ts, None));
        overtaken.sent(4, 5, Some(DONE));
        assert_eq!(overtaken.overtake(5, 7, 2), Overtaking { any: true, limit: false });
        assert_eq!(overtaken.overtake(3, 5, 2), Overtaking { any: true, limit: true });
        let counts: Vec<_> = (0..6).map(|index| overtaken.count(index)).collect();
        assert_eq!(counts, [Some(2), Some(0), Some(1), Some(1), None, Some(0)]);
        assert_eq!(overtaken.overtake(0, 9, 0), Overtaking::default());
    }

    /// A ring whose two halves are counted apart.
    #[test]
    fn a_ring_that_has_wrapped_counts_every_segment_once() {
        let mut overtaken = Overtaken::default();
        (0..8).for_each(|_| overtaken.push());
        for _ in 0..100 {
            overtaken.pop();
            overtaken.push();
            (0..8).for_each(|index| overtaken.sent(index, 1, Some(0)));
            overtaken.overtake(7, 1, 9);
            let counts: Vec<_> = (0..8).filter_map(|index| overtaken.count(index)).collect();
            assert_eq!(counts, [1, 1, 1, 1, 1, 1, 1, 0]);
        }
    }
}
