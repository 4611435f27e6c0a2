use crate::plan::Timeline;
use crate::rng::Odds;
use engine::{Entropy, Instant};

/// Decides which packets arrive twice.
#[derive(Debug)]
pub struct Duplicate {
    ppm: Timeline<u32>,
    dice: Entropy,
}

impl Duplicate {
    /// Doubles `ppm` of a million packets; zero throws no dice.
    pub const fn new(ppm: Timeline<u32>, dice: Entropy) -> Self {
        Self { ppm, dice }
    }

    /// Doubles another share from here on.
    pub fn set_ppm(&mut self, ppm: u32) {
        self.ppm = ppm.into();
    }

    /// Whether the next packet arrives twice.
    pub fn hits(&mut self, now: Instant) -> bool {
        let ppm = self.ppm.at(now);
        ppm > 0 && Odds::from_ppm(ppm).hit(&mut self.dice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    #[test]
    fn doubles_the_share_asked_for() {
        let mut duplicate = Duplicate::new(20_000.into(), Seed(6).stream("duplicate"));
        let doubled = (0..100_000).filter(|_| duplicate.hits(Instant::ZERO)).count();
        assert!((1_850..=2_150).contains(&doubled), "{doubled}");
        assert!(!Duplicate::new(0.into(), Seed(6).stream("duplicate")).hits(Instant::ZERO));
    }
}
