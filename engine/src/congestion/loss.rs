//! Loss rates by load: distinguishes random loss of the path from congestion.

use super::{Load, Tally};

/// Segments after which older ones count half.
const MEMORY_SEGMENTS: u32 = 512;

/// Segments from which on a loss rate is meaningful.
const SEGMENTS_MIN: u32 = 48;

/// Highest loss rate that is taken for random, parts per million.
const RANDOM_PPM_MAX: u32 = 350_000;

/// Loss by load, with fading memory.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LossRate {
    below: Tally,
    at: Tally,
    all: Tally,
}

impl LossRate {
    /// Takes in transmissions by load.
    pub(super) fn add(&mut self, tallies: &[Tally; 3]) {
        fade(&mut self.below, tallies[Load::Below as usize]);
        fade(&mut self.at, tallies[Load::At as usize]);
        tallies.iter().for_each(|tally| fade(&mut self.all, *tally));
    }

    /// Takes in a round of the startup after which the path has carried more: its losses were random.
    pub(super) fn add_below(&mut self, tally: Tally) {
        fade(&mut self.below, tally);
    }

    /// What is lost at random, as a sample.
    pub(super) const fn random(&self) -> Tally {
        self.below
    }

    /// Begins a new measurement of the loss below the estimated bandwidth.
    pub(super) fn restart_below(&mut self) {
        self.below = Tally::default();
    }

    /// Random loss, which does not depend on the rate: the smaller loss rate of those below and at the estimated bandwidth.
    pub(super) fn random_ppm(&self) -> u32 {
        if !self.knows_below() {
            return 0;
        }
        let at = if self.at.total() < SEGMENTS_MIN { self.below } else { self.at };
        self.below.loss_ppm().min(at.loss_ppm()).min(RANDOM_PPM_MAX)
    }

    /// Loss rate below the estimated bandwidth, parts per million.
    pub(super) fn below_ppm(&self) -> u32 {
        self.below.loss_ppm()
    }

    /// Loss rate of all transmissions, parts per million.
    pub(super) fn total_ppm(&self) -> u32 {
        self.all.loss_ppm()
    }

    /// Whether enough was sent below the estimated bandwidth since [`Self::restart_below`].
    pub(super) fn knows_below(&self) -> bool {
        self.below.total() >= SEGMENTS_MIN
    }

    /// Bytes per second to be sent for `bytes_s` to be delivered in spite of random loss.
    pub(super) fn compensated(&self, bytes_s: u64) -> u64 {
        bytes_s * 1_000_000 / u64::from(1_000_000 - self.random_ppm())
    }
}

/// Adds to a tally in which older transmissions count less.
pub(super) const fn fade(sum: &mut Tally, more: Tally) {
    sum.add(more);
    while sum.total() > MEMORY_SEGMENTS {
        sum.delivered /= 2;
        sum.lost /= 2;
        sum.runs /= 2;
    }
}
