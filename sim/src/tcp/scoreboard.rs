//! What was sent and is not acknowledged, segment by segment (RFC 6675 section 4).

use super::MSS;
use super::wire::Block;
use std::collections::{BTreeMap, BTreeSet};

/// A segment that was sent, and neither acknowledged nor reported by a SACK block.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    /// Numbers it takes.
    pub(super) len: u64,
    /// Its last transmission.
    pub(super) at_us: u64,
    pub(super) is_retransmitted: bool,
    pub(super) is_fin: bool,
    /// Deliveries when it was sent: how many, when the last was, when the first of that flight was sent.
    pub(super) delivered: u64,
    pub(super) delivered_us: u64,
    pub(super) flight_us: u64,
    pub(super) app_limited: bool,
}

/// A segment that was newly reported as delivered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivered {
    pub(super) start: u64,
    pub(super) sent: Sent,
    /// By a SACK block.
    pub(super) by_sack: bool,
}

/// All segments between the first unacknowledged number and the next one to be sent.
#[derive(Debug, Default)]
pub(super) struct Scoreboard {
    segments: BTreeMap<u64, Sent>,
    /// In flight, in order of transmission.
    flight: BTreeSet<(u64, u64)>,
    /// Lost and not sent again.
    lost: BTreeSet<u64>,
    /// First numbers of segments reported by SACK blocks.
    sacked: BTreeSet<u64>,
    /// End of the highest one so far.
    pub(super) highest_sacked: u64,
}

impl Scoreboard {
    pub(super) fn in_flight(&self) -> u64 {
        self.flight.len() as u64
    }

    pub(super) fn sacked(&self) -> u64 {
        self.sacked.len() as u64
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.len() as u64
    }

    /// Retransmissions in flight.
    pub(super) fn retransmitted(&self) -> u64 {
        self.flight().filter(|(_, sent)| sent.is_retransmitted).count() as u64
    }

    /// Segments that are not acknowledged.
    pub(super) fn outstanding(&self) -> u64 {
        (self.segments.len() + self.sacked.len()) as u64
    }

    /// A segment leaves.
    pub(super) fn insert(&mut self, start: u64, sent: Sent) {
        self.segments.insert(start, sent);
        self.flight.insert((sent.at_us, start));
    }

    /// A segment leaves again.
    pub(super) fn replace(&mut self, start: u64, old: Sent, sent: Sent) {
        self.flight.remove(&(old.at_us, start));
        self.segments.insert(start, sent);
        self.lost.remove(&start);
        self.flight.insert((sent.at_us, start));
    }

    pub(super) fn first(&self) -> Option<(u64, Sent)> {
        self.segments.first_key_value().map(|(&start, &sent)| (start, sent))
    }

    pub(super) fn last(&self) -> Option<(u64, Sent)> {
        self.segments.last_key_value().map(|(&start, &sent)| (start, sent))
    }

    pub(super) fn first_lost(&self) -> Option<(u64, Sent)> {
        let start = *self.lost.first()?;
        self.segments.get(&start).map(|&sent| (start, sent))
    }

    /// In flight, the earliest transmission first.
    pub(super) fn flight(&self) -> impl Iterator<Item = (u64, Sent)> {
        self.flight.iter().filter_map(|&(_, start)| Some((start, *self.segments.get(&start)?)))
    }

    /// Removes what an acknowledgement covers.
    pub(super) fn acknowledge(&mut self, una: u64, found: &mut Vec<Delivered>) {
        while let Some((start, sent)) = self.first().filter(|(start, sent)| start + sent.len <= una) {
            self.remove(start, sent);
            found.push(Delivered { start, sent, by_sack: false });
        }
        self.sacked = self.sacked.split_off(&una);
    }

    /// Removes what a block covers as a whole.
    pub(super) fn sack(&mut self, (from, to): Block, found: &mut Vec<Delivered>) {
        while let Some((&start, &sent)) =
            self.segments.range(from..to).next().filter(|(start, sent)| *start + sent.len <= to)
        {
            self.remove(start, sent);
            self.sacked.insert(start);
            found.push(Delivered { start, sent, by_sack: true });
            self.highest_sacked = self.highest_sacked.max(start + sent.len);
        }
    }

    fn remove(&mut self, start: u64, sent: Sent) {
        self.segments.remove(&start);
        self.flight.remove(&(sent.at_us, start));
        self.lost.remove(&start);
    }

    /// Declares a segment in flight lost.
    pub(super) fn lose(&mut self, start: u64) {
        if let Some(sent) = self.segments.get(&start) {
            self.flight.remove(&(sent.at_us, start));
            self.lost.insert(start);
        }
    }

    /// Takes back all that was declared lost: it is in flight.
    pub(super) fn find_again(&mut self) {
        for start in std::mem::take(&mut self.lost) {
            if let Some(sent) = self.segments.get(&start) {
                self.flight.insert((sent.at_us, start));
            }
        }
    }

    /// Appends the segments behind `start` that fit into one packet with it; returns its length.
    pub(super) fn merge(&mut self, start: u64) -> Option<Sent> {
        let mut merged = *self.segments.get(&start)?;
        while let Some(next) = self.segments.get(&(start + merged.len)).copied() {
            if merged.len + next.len > MSS || merged.is_fin || next.is_fin {
                break;
            }
            self.remove(start + merged.len, next);
            merged.len += next.len;
        }
        self.segments.insert(start, merged);
        Some(merged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> Scoreboard {
        let mut board = Scoreboard::default();
        for start in 0..10 {
            board.insert(start * 100, Sent { len: 100, at_us: start, ..Sent::default() });
        }
        board
    }

    /// TCP-4.
    #[test]
    fn reported_segments_are_neither_in_flight_nor_lost() {
        let (mut board, mut found) = (board(), Vec::new());
        board.sack((300, 500), &mut found);
        board.sack((250, 500), &mut found);
        assert_eq!((found.len(), board.in_flight(), board.sacked(), board.outstanding()), (2, 8, 2, 10));
        board.lose(300);
        board.lose(200);
        assert_eq!((board.first_lost().unwrap().0, board.lost(), board.in_flight()), (200, 1, 7));
        board.acknowledge(500, &mut found);
        assert_eq!((found.len(), board.outstanding(), board.sacked(), board.lost()), (5, 5, 0, 0));
    }

    #[test]
    fn small_segments_are_sent_again_as_one() {
        let mut board = board();
        let merged = board.merge(200).unwrap();
        assert_eq!((merged.len, board.outstanding()), (800, 3));
    }
}
