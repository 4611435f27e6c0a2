use crate::rng::Odds;
use engine::{Entropy, Instant};
use std::time::Duration;

/// Which packets are held back, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReorderPlan {
    /// Share of packets held back, parts per million.
    pub ppm: u32,
    /// Time they are held back for, microseconds.
    pub extra_us: u64,
}

/// Holds single packets back, so that those behind them overtake.
#[derive(Debug)]
pub struct Reorder {
    odds: Odds,
    extra: Duration,
    dice: Entropy,
}

impl Reorder {
    /// An element with its own dice.
    pub fn new(plan: ReorderPlan, dice: Entropy) -> Self {
        Self { odds: Odds::from_ppm(plan.ppm), extra: Duration::from_micros(plan.extra_us), dice }
    }

    /// When the packet arrives instead, if it is one of those held back.
    pub fn hold_back(&mut self, undisturbed: Instant) -> Option<Instant> {
        self.odds.hit(&mut self.dice).then(|| undisturbed + self.extra)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    #[test]
    fn holds_back_the_share_asked_for() {
        let mut reorder = Reorder::new(ReorderPlan { ppm: 50_000, extra_us: 700 }, Seed(5).stream("reorder"));
        let at = Instant::from_millis(1);
        let held: Vec<_> = (0..100_000).filter_map(|_| reorder.hold_back(at)).collect();
        assert!((4_800..=5_200).contains(&held.len()), "{}", held.len());
        assert!(held.iter().all(|&late| late == Instant::from_micros(1_700)));
    }
}
