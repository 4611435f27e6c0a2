use super::weights::Weighted;
use crate::rng::{Seed, below};
use engine::Entropy;

/// The dice of one part of a scenario; other parts have their own.
pub(super) struct Dice(Entropy);

impl Dice {
    pub(super) fn new(seed: u64, part: &str) -> Self {
        Self(Seed(seed).stream(&format!("swarm.{part}")))
    }

    /// Whether it happens in `percent` of a hundred cases.
    pub(super) fn percent(&mut self, percent: u32) -> bool {
        below(&mut self.0, 100) < u64::from(percent)
    }

    /// One of these, all as likely.
    pub(super) fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[below(&mut self.0, all.len() as u64) as usize]
    }

    /// One of these by weight; the first when all weigh nothing.
    pub(super) fn weighted(&mut self, all: &[Weighted]) -> &'static str {
        let mut left = below(&mut self.0, all.iter().map(|(_, weight)| u64::from(*weight)).sum());
        let chosen = all.iter().find(|(_, weight)| match left.checked_sub(u64::from(*weight)) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        });
        chosen.unwrap_or(&all[0]).0
    }

    /// Between both, included, all as likely.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + below(&mut self.0, high.max(low) - low + 1)
    }

    /// Between both, included, every octave as likely.
    pub(super) fn spread(&mut self, low: u64, high: u64) -> u64 {
        let (low, high) = (low.max(1), high.max(low).max(1));
        let octave = below(&mut self.0, u64::from((high / low).ilog2()) + 1);
        let from = low << octave;
        self.between(from, high.min(2 * from - 1))
    }
}
