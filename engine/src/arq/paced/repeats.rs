//! Copies of segments that were lost several times while half the window waits behind them, before it stops the sender.

use crate::time::Instant;
use core::time::Duration;
use std::collections::VecDeque;

/// Transmissions of a segment from which on each one is repeated.
const TRANSMISSIONS: u8 = 3;

/// Copies of such a transmission.
const COPIES: u32 = 2;

/// Copies that wait at most.
const WAITING_MAX: usize = 256;

/// Shortest time between two copies: losses come in bursts.
const SPACING_MIN: Duration = Duration::from_millis(1);

/// Copies that are to leave: the sn of the segment, and the earliest time.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    waiting: VecDeque<(u32, Instant)>,
}

impl Repeats {
    /// The segment `sn` leaves for the `transmissions`-th time, over a path with a shortest round trip of `min_rtt_us`. Copies
    /// follow so soon that the segment is not taken for lost before their acknowledgements arrive.
    pub(super) fn sent(&mut self, sn: u32, transmissions: u8, min_rtt_us: u64, now: Instant) {
        if transmissions < TRANSMISSIONS || self.waiting.len() + COPIES as usize > WAITING_MAX {
            return;
        }
        let spacing = Duration::from_micros(min_rtt_us / 32).max(SPACING_MIN);
        self.waiting.extend((1..=COPIES).map(|copy| (sn, now + spacing * copy)));
    }

    /// When the first copy may leave.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.waiting.front().map(|(_, at)| *at)
    }

    /// The segment of which a copy is due.
    pub(super) fn due(&self, now: Instant) -> Option<u32> {
        self.waiting.front().filter(|(_, at)| *at <= now).map(|(sn, _)| *sn)
    }

    /// The first copy left, or is not needed.
    pub(super) fn done(&mut self) {
        self.waiting.pop_front();
    }

    pub(super) fn check_invariants(&self) {
        assert!(self.waiting.len() <= WAITING_MAX, "too many copies wait");
    }
}
