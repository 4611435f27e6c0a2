//! Acknowledgements that are told more than once, since nobody else would tell what a lost one said.
//!
//! una covers what arrived in order. Beyond a gap each segment is acknowledged once, and when that is lost the
//! sender takes the segment for lost. What comes twice shows how often that happens.

use crate::time::diff;
use std::collections::VecDeque;

/// Segments after which the number of repetitions is judged.
const JUDGED_SEGMENTS: u32 = 256;

/// Judgements without anything twice after which less is repeated.
const CALM_JUDGEMENTS: u32 = 64;

/// How many acknowledgement datagrams lie between the first telling and each repetition: losses come in bursts.
const DISTANCES: [usize; 2] = [1, 4];

/// What was acknowledged lately, and how often that is repeated.
#[derive(Debug)]
pub(in crate::arq) struct Repeats {
    /// By datagram, the newest first.
    told: VecDeque<Vec<(u32, u32)>>,
    level: usize,
    received: u32,
    twice: u32,
    /// Judgements in a row without anything twice.
    calm: u32,
}

impl Default for Repeats {
    fn default() -> Self {
        Self { told: VecDeque::new(), level: 1, received: 0, twice: 0, calm: 0 }
    }
}

impl Repeats {
    /// A segment arrived.
    pub(in crate::arq) fn note(&mut self, new: bool) {
        self.received += 1;
        self.twice += u32::from(!new);
        if self.received < JUDGED_SEGMENTS {
            return;
        }
        if self.twice * 100 > self.received {
            self.level = (self.level + 1).min(DISTANCES.len());
        }
        self.calm = if self.twice > 0 { 0 } else { self.calm + 1 };
        if self.calm >= CALM_JUDGEMENTS {
            (self.calm, self.level) = (0, self.level.saturating_sub(1));
        }
        (self.received, self.twice) = (0, 0);
    }

    /// What to tell again, the oldest first; at most `room`.
    pub(super) fn due(&self, rcv_nxt: u32, room: usize) -> Vec<(u32, u32)> {
        let batches = DISTANCES[..self.level].iter().rev().filter_map(|distance| self.told.get(distance - 1));
        let open = batches.flatten().filter(|(sn, _)| diff(*sn, rcv_nxt) > 0);
        open.take(room).copied().collect()
    }

    /// That was told for the first time.
    pub(super) fn told(&mut self, acks: Vec<(u32, u32)>) {
        self.told.push_front(acks);
        self.told.truncate(DISTANCES[DISTANCES.len() - 1]);
    }
}
