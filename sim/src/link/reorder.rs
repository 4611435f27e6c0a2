use crate::plan::{ReorderPlan, Timeline};
use crate::rng::Odds;
use engine::{Entropy, Instant};
use std::time::Duration;

/// Holds single packets back, so that those behind them overtake.
#[derive(Debug)]
pub struct Reorder {
    plan: Timeline<ReorderPlan>,
    dice: Entropy,
}

impl Reorder {
    /// An element with its own dice.
    pub const fn new(plan: Timeline<ReorderPlan>, dice: Entropy) -> Self {
        Self { plan, dice }
    }

    /// When the packet that left the transmitter `now` arrives instead, if it is one of those held back.
    pub fn hold_back(&mut self, now: Instant, undisturbed: Instant) -> Option<Instant> {
        let ReorderPlan { ppm, extra_us } = self.plan.at(now);
        Odds::from_ppm(ppm).hit(&mut self.dice).then(|| undisturbed + Duration::from_micros(extra_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    #[test]
    fn holds_back_the_share_asked_for() {
        let mut reorder =
            Reorder::new(ReorderPlan { ppm: 50_000, extra_us: 700 }.into(), Seed(5).stream("reorder"));
        let at = Instant::from_millis(1);
        let held: Vec<_> = (0..100_000).filter_map(|_| reorder.hold_back(at, at)).collect();
        assert!((4_800..=5_200).contains(&held.len()), "{}", held.len());
        assert!(held.iter().all(|&late| late == Instant::from_micros(1_700)));
    }
}
