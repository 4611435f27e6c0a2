//! Copies of segments that a lost one would delay (CC-8): it then arrives some milliseconds later, not a round trip later.
//!
//! How many follow from a target, the share of messages that wait for a retransmission, and the loss rate of the path. When
//! they leave follows from the bursts in which links lose: each copy later than the one before, in the next datagram if one
//! leaves then, or in one of its own. A budget bounds them all. Sessions that carry bulk send none.

use crate::congestion::Path;
use crate::time::Instant;
use core::time::Duration;
use std::collections::VecDeque;

/// Messages that may wait for a retransmission, parts per million.
const WAITING_PPM: u64 = 1_000;

/// Transmissions of a segment at most, the first one included.
const TRANSMISSIONS_MAX: u32 = 10;

/// Time from each transmission to the next, milliseconds; the last one counts for all that follow.
const GAPS_MS: [u64; 3] = [4, 8, 16];

/// A copy joins a datagram that leaves up to this much earlier.
const AHEAD: Duration = Duration::from_millis(3);

/// Segments of which copies are due at the same time.
const SEGMENTS_MAX: usize = 64;

/// Bytes of first transmissions per second from which on a session carries bulk (CC-12), and at once.
const BULK_BYTES_S: u64 = 32_768;
const BULK_BYTES: u64 = 16_384;

/// Budget while no session to the peer carries bulk, and at least; bytes per second.
const IDLE_BYTES_S: u64 = 65_536;
const LEAST_BYTES_S: u64 = 4_096;

/// Budget from which on copies leave in datagrams of their own, bytes per second.
const OWN_BYTES_S: u64 = 16_384;

/// Share of a path with bulk, as a divisor.
const BULK_SHARE: u64 = 64;

/// Parts of a second for which an unused budget is kept.
const BUDGET_PARTS: u64 = 4;

/// Bytes of a datagram beside its segments: IP, UDP, nonce, CRC.
const DATAGRAM_BYTES: u64 = 48;

/// A segment of which more copies leave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    /// Place of the segment ([`super::sent::Sent`]).
    pub(super) place: u64,
    /// Copies to be sent.
    left: u32,
    /// Copies sent.
    sent: usize,
    at: Instant,
    /// Several copies are wanted and the budget is large: they do not wait for other data.
    timed: bool,
}

/// The segments of which copies are due, and the budget.
#[derive(Debug, Default)]
pub(super) struct Copies {
    due: VecDeque<Due>,
    /// Bytes of first transmissions beyond [`BULK_BYTES_S`], at `measured_at`.
    bulk_bytes: u64,
    measured_at: Instant,
    /// Bytes that copies may take at `filled_at`, in millionths.
    budget: u64,
    filled_at: Instant,
}

impl Copies {
    /// A first transmission of `bytes` leaves.
    pub(super) fn measure(&mut self, now: Instant, bytes: usize) {
        self.bulk_bytes = self.excess_bytes(now) + bytes as u64;
        self.bulk_bytes = self.bulk_bytes.min(2 * BULK_BYTES);
        self.measured_at = now;
    }

    fn excess_bytes(&self, now: Instant) -> u64 {
        let elapsed_us = now.since(self.measured_at).as_micros() as u64;
        self.bulk_bytes.saturating_sub(elapsed_us.saturating_mul(BULK_BYTES_S) / 1_000_000)
    }

    /// Whether the session carries bulk.
    pub(super) fn is_bulk(&self, now: Instant) -> bool {
        self.excess_bytes(now) > BULK_BYTES
    }

    /// The segment at `place` leaves, one of `segments` that are not acknowledged.
    pub(super) fn sent(&mut self, now: Instant, place: u64, segments: usize, path: &Path, queued: bool) {
        if !self.due.is_empty() {
            self.due.retain(|due| due.place != place);
        }
        if self.is_bulk(now) {
            return;
        }
        let left = copies_wanted(path, segments);
        if self.due.len() == SEGMENTS_MAX {
            self.due.pop_front();
        }
        let timed = left > 1 && allowance_bytes_s(now, path, queued) >= OWN_BYTES_S;
        self.due.push_back(Due { place, left, sent: 0, at: now + gap(0), timed });
    }

    /// When a copy is due that does not wait for other data.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.due.iter().filter(|due| due.timed).map(|due| due.at).min()
    }

    /// Removes what is due now, or with a datagram that leaves anyway (`along`), the oldest first. It comes back by
    /// [`Self::next`].
    pub(super) fn take(&mut self, now: Instant, along: bool) -> Vec<Due> {
        if self.due.is_empty() {
            return Vec::new();
        }
        let is_due = |due: &Due| (along && due.at <= now + AHEAD) || (due.timed && due.at <= now);
        let (taken, kept): (Vec<Due>, Vec<Due>) = self.due.iter().partition(|due| is_due(due));
        self.due = kept.into();
        taken
    }

    /// A copy was sent, or left out for lack of room; the next one follows later.
    pub(super) fn next(&mut self, now: Instant, due: Due) {
        let (sent, left) = (due.sent + 1, due.left - 1);
        if left > 0 {
            self.due.push_back(Due { left, sent, at: now + gap(sent), ..due });
        }
    }

    /// Nothing is sent for now.
    pub(super) fn forget(&mut self) {
        self.due.clear();
    }

    /// Whether the budget has room for a copy of `bytes`, in a datagram of its own unless it goes `along`; it is spent then.
    /// The path may have a queue (`queued`).
    pub(super) fn spend(
        &mut self,
        now: Instant,
        bytes: usize,
        along: bool,
        path: &Path,
        queued: bool,
    ) -> bool {
        let bytes_s = allowance_bytes_s(now, path, queued);
        let elapsed_us = (now.since(self.filled_at).as_micros() as u64).min(1_000_000);
        let filled = self.budget + elapsed_us * bytes_s;
        self.budget = filled.min(bytes_s * 1_000_000 / BUDGET_PARTS);
        self.filled_at = now;
        let cost = (bytes as u64 + if along { 0 } else { DATAGRAM_BYTES }) * 1_000_000;
        let fits = cost <= self.budget;
        self.budget -= if fits { cost } else { 0 };
        fits
    }

    pub(super) fn check_invariants(&self) {
        assert!(self.due.len() <= SEGMENTS_MAX, "copies of too many segments");
        assert!(self.due.iter().all(|due| due.left > 0), "no copy of a segment is left");
    }
}

/// The budget of copies, bytes per second.
fn allowance_bytes_s(now: Instant, path: &Path, queued: bool) -> u64 {
    match path.bulk_bytes_s(now) {
        Some(bytes_s) => (bytes_s / BULK_SHARE).max(LEAST_BYTES_S),
        None if queued => LEAST_BYTES_S,
        None => IDLE_BYTES_S,
    }
}

fn gap(sent: usize) -> Duration {
    Duration::from_millis(GAPS_MS[sent.min(GAPS_MS.len() - 1)])
}

/// Copies of a segment so that no more than [`WAITING_PPM`] of messages wait for a retransmission: behind one whose
/// transmissions were all lost wait all that follow within a round trip, as many as there are `segments`.
fn copies_wanted(path: &Path, segments: usize) -> u32 {
    let loss_ppm = u64::from(path.expected_loss_ppm());
    let mut waiting_ppm = 1_000_000 * segments.max(1) as u64;
    let mut transmissions = 0;
    while waiting_ppm > WAITING_PPM && transmissions < TRANSMISSIONS_MAX {
        waiting_ppm = waiting_ppm * loss_ppm / 1_000_000;
        transmissions += 1;
    }
    (transmissions + path.extra_copies()).clamp(2, TRANSMISSIONS_MAX) - 1
}
