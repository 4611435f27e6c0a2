//! Startup: when the bandwidth counts as found (BBR's full-pipe check).

use super::Tally;

/// Segments from which on the loss rate of a round is meaningful.
pub(super) const ROUND_SEGMENTS_MIN: u32 = 120;

/// Loss rate of a round that ends the startup, parts per million.
const LOSS_PPM: u32 = 500_000;

/// The same for a sender that is limited by its application (CC-16).
const APP_LIMITED_LOSS_PPM: u32 = 150_000;

/// Rounds without growth after which the path is full.
const ROUNDS_MAX: u32 = 3;

/// Growth of the bandwidth estimate in startup.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Startup {
    /// The estimate when it grew last, bytes per second.
    full_bytes_s: u64,
    /// Rounds since then.
    rounds: u32,
    /// Segments of the round in which it grew last, but the first: that one's rate was a guess.
    tally: Tally,
}

/// Result of a round of the startup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The estimate grows.
    Grows,
    /// It has not grown for a round.
    Stalls,
    /// It has not grown for [`ROUNDS_MAX`] rounds.
    Full,
    /// It has not grown, and half of what was sent was lost.
    Lossy,
}

impl Startup {
    /// A round has ended with the estimate `bytes_s`, after the segments of `tally`, on a path that loses `random` whatever the
    /// rate. Returns segments of an earlier round, too, if the growth shows that their losses were random.
    pub(super) fn end_round(&mut self, bytes_s: u64, tally: Tally, random: Tally) -> (Verdict, Tally) {
        if bytes_s >= self.full_bytes_s + self.full_bytes_s / 4 {
            let first = std::mem::replace(&mut self.full_bytes_s, bytes_s) == 0;
            self.rounds = 0;
            let next = if first { Tally::default() } else { tally };
            return (Verdict::Grows, std::mem::replace(&mut self.tally, next));
        }
        self.rounds += 1;
        let verdict = if is_lossy(tally, LOSS_PPM, random) {
            Verdict::Lossy
        } else if self.rounds >= ROUNDS_MAX {
            Verdict::Full
        } else {
            Verdict::Stalls
        };
        (verdict, Tally::default())
    }

    /// Whether the estimate `bytes_s` has grown by less than a quarter since it grew last.
    pub(super) const fn stalls(&self, bytes_s: u64) -> bool {
        self.full_bytes_s > 0 && bytes_s < self.full_bytes_s * 5 / 4
    }

    /// CC-16: whether losses end the startup of a sender that waits for its application, or for its peer's windows. Its
    /// delivery rate need not grow, but its losses show that its bursts are too fast.
    pub(super) fn is_too_fast(tally: Tally, random: Tally) -> bool {
        is_lossy(tally, APP_LIMITED_LOSS_PPM, random)
    }
}

/// Whether the segments of `tally` lost at least `loss_ppm`, and more than a path that loses `random` whatever the rate.
fn is_lossy(tally: Tally, loss_ppm: u32, random: Tally) -> bool {
    tally.total() >= ROUND_SEGMENTS_MIN && tally.loss_ppm() >= loss_ppm && tally.exceeds(random)
}
