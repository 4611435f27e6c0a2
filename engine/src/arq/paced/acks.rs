//! Acknowledgements of the paced sender: delayed by little, and repeated while they get lost.
//!
//! KCP acknowledges out-of-order data only once: una covers what arrived in order, and beyond a gap each segment has one
//! acknowledgement. When that is lost, the sender takes the segment for lost. Duplicates that arrive show how often this
//! happens, and redundant acknowledgements prevent it. Each datagram of small segments is acknowledged, in order or not, and
//! that is repeated, so that the sender learns which of its copies arrived ([`super::arrivals`]).

use crate::arq::receiver::Ack;
use crate::time::{Instant, diff};
use core::time::Duration;
use std::collections::VecDeque;

/// Longest delay of an acknowledgement, unless the tuning numbers set it.
pub(super) const DELAY: Duration = Duration::from_millis(4);

/// Shortest delay of acknowledgements of duplicates alone, which the sender does not wait for, and the loss rate, parts per
/// million, from which on they replace acknowledgements that were lost.
const DUPLICATES_DELAY: Duration = Duration::from_millis(25);
const REPLACED_PPM: u32 = 100_000;

/// Pending acknowledgements are flushed at this count, or when they fill a datagram.
const PENDING_MAX: usize = 32;

/// Segments between two adjustments of the redundancy.
const ADJUSTED_SEGMENTS: u32 = 256;

/// Adjustments without a duplicate after which the redundancy decreases.
const CALM_ADJUSTMENTS: u32 = 64;

/// Datagrams between an acknowledgement and each of its repetitions: losses come in bursts.
const DISTANCES: [usize; 2] = [1, 4];

/// The same for those of small segments that una covers.
const SMALL_DISTANCE: usize = 4;

/// When pending acknowledgements leave, and which leave again.
#[derive(Debug)]
pub(super) struct AckSchedule {
    /// Longest delay of an acknowledgement.
    delay: Duration,
    /// When pending acknowledgements must leave.
    pub(super) due_at: Option<Instant>,
    pub(super) redundancy: Redundancy,
    /// New data arrived since acknowledgements were scheduled last.
    fresh: bool,
    /// The peer does not count repeated acknowledgements against older segments.
    pub(super) may_repeat: bool,
}

impl AckSchedule {
    pub(super) fn new(delay: Duration) -> Self {
        Self { delay, due_at: None, redundancy: Redundancy::default(), fresh: false, may_repeat: false }
    }

    /// A data segment arrived.
    pub(super) fn received(&mut self, new: bool) {
        self.fresh |= new;
        self.redundancy.received(new);
    }

    /// `pending` acknowledgements wait, of which a datagram holds `datagram_max`; `loss_ppm` of them will be lost.
    pub(super) fn wait(
        &mut self,
        now: Instant,
        pending: usize,
        datagram_max: usize,
        nodelay: bool,
        loss_ppm: u32,
    ) {
        if pending == 0 {
            return;
        }
        let at_once = nodelay || pending >= PENDING_MAX.min(datagram_max);
        let prompt = std::mem::take(&mut self.fresh) || loss_ppm >= REPLACED_PPM;
        let delay = if prompt { self.delay } else { self.delay.max(DUPLICATES_DELAY) };
        let due_at = if at_once { now } else { now + delay };
        self.due_at = Some(self.due_at.map_or(due_at, |at| at.min(due_at)));
    }

    /// Whether pending acknowledgements leave without data.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due_at.is_none_or(|at| at <= now)
    }

    /// Acknowledgements to repeat, the oldest first; at most `room`.
    pub(super) fn repeated(&self, rcv_nxt: u32, room: usize) -> Vec<Ack> {
        if self.may_repeat { self.redundancy.repeated(rcv_nxt, room) } else { Vec::new() }
    }
}

/// Recent acknowledgements, and how often they are repeated.
#[derive(Debug)]
pub(super) struct Redundancy {
    /// By datagram, the newest first.
    recent: VecDeque<Vec<Ack>>,
    /// Repetitions of each acknowledgement.
    level: usize,
    /// Segments since the last adjustment, and duplicates among them.
    received: u32,
    duplicates: u32,
    /// Adjustments in a row without a duplicate.
    calm: u32,
}

impl Default for Redundancy {
    fn default() -> Self {
        Self { recent: VecDeque::new(), level: 1, received: 0, duplicates: 0, calm: 0 }
    }
}

impl Redundancy {
    /// A segment arrived.
    pub(super) fn received(&mut self, new: bool) {
        self.received += 1;
        self.duplicates += u32::from(!new);
        if self.received < ADJUSTED_SEGMENTS {
            return;
        }
        if self.duplicates * 100 > self.received {
            self.level = (self.level + 1).min(DISTANCES.len());
        }
        self.calm = if self.duplicates > 0 { 0 } else { self.calm + 1 };
        if self.calm >= CALM_ADJUSTMENTS {
            (self.calm, self.level) = (0, self.level.saturating_sub(1));
        }
        (self.received, self.duplicates) = (0, 0);
    }

    fn repeated(&self, rcv_nxt: u32, room: usize) -> Vec<Ack> {
        let at = |distance: usize| self.recent.get(distance - 1).into_iter().flatten();
        let beyond = |ack: &&Ack| diff(ack.sn, rcv_nxt) > 0;
        let small = at(SMALL_DISTANCE).filter(|ack| ack.small && !beyond(ack));
        let gaps = DISTANCES[..self.level].iter().rev().flat_map(|distance| at(*distance)).filter(beyond);
        small.chain(gaps).take(room).copied().collect()
    }

    /// A datagram carries these for the first time.
    pub(super) fn sent(&mut self, acks: Vec<Ack>) {
        self.recent.push_front(acks);
        self.recent.truncate(DISTANCES[DISTANCES.len() - 1]);
    }

    pub(super) fn check_invariants(&self) {
        assert!(
            self.level <= DISTANCES.len() && self.received < ADJUSTED_SEGMENTS,
            "redundancy out of range"
        );
        assert!(self.recent.len() <= DISTANCES[DISTANCES.len() - 1], "too many acknowledgements kept");
    }
}
