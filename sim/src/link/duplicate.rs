use crate::rng::Odds;
use engine::Entropy;

/// Decides which packets arrive twice.
#[derive(Debug)]
pub struct Duplicate {
    odds: Option<Odds>,
    dice: Entropy,
}

impl Duplicate {
    /// Doubles `ppm` of a million packets; zero throws no dice.
    pub fn new(ppm: u32, dice: Entropy) -> Self {
        let mut duplicate = Self { odds: None, dice };
        duplicate.set_ppm(ppm);
        duplicate
    }

    /// Doubles another share from here on.
    pub fn set_ppm(&mut self, ppm: u32) {
        self.odds = (ppm > 0).then(|| Odds::from_ppm(ppm));
    }

    /// Whether the next packet arrives twice.
    pub fn hits(&mut self) -> bool {
        self.odds.is_some_and(|odds| odds.hit(&mut self.dice))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    #[test]
    fn doubles_the_share_asked_for() {
        let mut duplicate = Duplicate::new(20_000, Seed(6).stream("duplicate"));
        let doubled = (0..100_000).filter(|_| duplicate.hits()).count();
        assert!((1_850..=2_150).contains(&doubled), "{doubled}");
        assert!(!Duplicate::new(0, Seed(6).stream("duplicate")).hits());
    }
}
