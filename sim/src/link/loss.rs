use crate::plan::{LossPlan, Timeline};
use crate::rng::Odds;
use engine::{Entropy, Instant};

/// The loss element with its state and dice.
#[derive(Debug)]
pub struct Loss {
    model: Timeline<Model>,
    losing: bool,
    dice: Entropy,
}

#[derive(Clone, Copy, Debug)]
enum Model {
    None,
    Bernoulli(Odds),
    Burst { enter: Odds, leave: Odds },
}

impl Loss {
    /// An element with its own dice.
    pub fn new(plan: &Timeline<LossPlan>, dice: Entropy) -> Self {
        Self { model: plan.map(Model::from), losing: false, dice }
    }

    /// Decides the fate of the next packet.
    pub fn drops(&mut self, now: Instant) -> bool {
        self.losing = match self.model.at(now) {
            Model::None => false,
            Model::Bernoulli(odds) => odds.hit(&mut self.dice),
            Model::Burst { leave, .. } if self.losing => !leave.hit(&mut self.dice),
            Model::Burst { enter, .. } => enter.hit(&mut self.dice),
        };
        self.losing
    }
}

impl From<LossPlan> for Model {
    fn from(plan: LossPlan) -> Self {
        match plan {
            // Without loss there is no run of losses either, not even one that has begun.
            LossPlan::None | LossPlan::Burst { ppm: 0, .. } => Self::None,
            LossPlan::Bernoulli { ppm } => Self::Bernoulli(Odds::from_ppm(ppm)),
            LossPlan::Burst { ppm, burst_thousandths } => {
                // A run ends with probability leave = 1 / burst; the share of time spent losing is
                // enter / (enter + leave), which must be the loss.
                let (loss, kept) = (u64::from(ppm), u64::from(1_000_000 - ppm));
                Self::Burst {
                    leave: Odds::from_ratio(1_000, burst_thousandths),
                    enter: Odds::from_ratio(loss * 1_000, kept * burst_thousandths),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    const PACKETS: usize = 1_000_000;

    fn fates(plan: LossPlan, seed: u64) -> Vec<bool> {
        let mut loss = Loss::new(&plan.into(), Seed(seed).stream("loss"));
        (0..PACKETS).map(|_| loss.drops(Instant::ZERO)).collect()
    }

    fn lost(fates: &[bool]) -> usize {
        fates.iter().filter(|&&lost| lost).count()
    }

    /// Mean length of the runs of lost packets, in hundredths of a packet.
    fn mean_run_hundredths(fates: &[bool]) -> usize {
        let runs = fates.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        lost(fates) * 100 / runs
    }

    #[test]
    fn none_loses_nothing_and_everything_means_everything() {
        assert_eq!(lost(&fates(LossPlan::None, 1)), 0);
        assert_eq!(lost(&fates(LossPlan::Bernoulli { ppm: 1_000_000 }, 1)), PACKETS);
    }

    #[test]
    fn bernoulli_loses_the_share_asked_for_independently() {
        for seed in 1..=5 {
            let fates = fates(LossPlan::Bernoulli { ppm: 50_000 }, seed);
            assert!((49_000..=51_000).contains(&lost(&fates)), "seed {seed}: {}", lost(&fates));
            // Independent losses of 5 % come in runs of 1 / 0.95 = 1.05.
            let run = mean_run_hundredths(&fates);
            assert!((103..=107).contains(&run), "seed {seed}: {run}");
        }
    }

    #[test]
    fn burst_loses_the_share_asked_for_in_runs_of_the_mean_asked_for() {
        for seed in 1..=5 {
            let fates = fates(LossPlan::Burst { ppm: 20_000, burst_thousandths: 3_000 }, seed);
            assert!((19_000..=21_000).contains(&lost(&fates)), "seed {seed}: {}", lost(&fates));
            let run = mean_run_hundredths(&fates);
            assert!((285..=315).contains(&run), "seed {seed}: {run}");
        }
    }

    #[test]
    fn a_burst_of_one_never_loses_two_in_a_row() {
        let fates = fates(LossPlan::Burst { ppm: 100_000, burst_thousandths: 1_000 }, 9);
        assert!((98_000..=102_000).contains(&lost(&fates)), "{}", lost(&fates));
        assert!(!fates.windows(2).any(|pair| pair[0] && pair[1]));
    }
}
