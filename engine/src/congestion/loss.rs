//! How much is lost that is no congestion of this sender's.

use super::{Load, Tally};

/// Segments after which older ones count half.
const MEMORY_SEGMENTS: u32 = 512;

/// Segments from which on a share means something.
const ENOUGH_SEGMENTS: u32 = 48;

/// More than that is never taken for the path's own.
const LOSS_PPM_MAX: u32 = 350_000;

/// Loss by load, with fading memory.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LossMeter {
    gentle: Tally,
    even: Tally,
    all: Tally,
}

impl LossMeter {
    pub(super) fn add(&mut self, tallies: &[Tally; 3]) {
        add(&mut self.gentle, tallies[Load::Gentle as usize]);
        add(&mut self.even, tallies[Load::Even as usize]);
        tallies.iter().for_each(|tally| add(&mut self.all, *tally));
    }

    /// What gentle sending loses was something else before: only what comes counts.
    pub(super) fn forget_gentle(&mut self) {
        self.gentle = Tally::default();
    }

    /// Loss that comes whatever is sent: the smaller one of what gentle and even sending lose.
    pub(super) fn own_ppm(&self) -> u32 {
        if self.gentle.total() < ENOUGH_SEGMENTS {
            return 0;
        }
        let even = if self.even.total() < ENOUGH_SEGMENTS { self.gentle } else { self.even };
        self.gentle.loss_ppm().min(even.loss_ppm()).min(LOSS_PPM_MAX)
    }

    /// Loss of gentle sending.
    pub(super) fn gentle_ppm(&self) -> u32 {
        self.gentle.loss_ppm()
    }

    /// Loss of all that was sent, whatever its reason.
    pub(super) fn total_ppm(&self) -> u32 {
        self.all.loss_ppm()
    }

    /// Whether gentle sending was measured since [`Self::forget_gentle`].
    pub(super) fn knows_gentle(&self) -> bool {
        self.gentle.total() >= ENOUGH_SEGMENTS
    }
}

fn add(sum: &mut Tally, more: Tally) {
    sum.delivered += more.delivered;
    sum.lost += more.lost;
    if sum.total() > MEMORY_SEGMENTS {
        sum.delivered /= 2;
        sum.lost /= 2;
    }
}
