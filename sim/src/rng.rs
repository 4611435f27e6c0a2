//! Dice: one independent stream per consumer, and decisions made of integers only.

use engine::Entropy;
use siphasher::sip::SipHasher24;
use std::hash::Hasher;

/// The seed of a run, from which every consumer's own stream is derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream of the consumer called `name`; it depends on nothing but the seed and the name.
    pub fn stream(self, name: &str) -> Entropy {
        let mut key = [0; 32];
        for (word, bytes) in key.chunks_exact_mut(8).enumerate() {
            let mut hasher = SipHasher24::new_with_keys(self.0, word as u64);
            hasher.write(name.as_bytes());
            bytes.copy_from_slice(&hasher.finish().to_le_bytes());
        }
        Entropy::from_seed(key)
    }
}

/// A probability as a threshold in units of 2^-32, so that "never" and "always" are exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Odds(u64);

impl Odds {
    const ONE: u64 = 1 << 32;

    /// A probability in parts per million; more than a million means always.
    pub const fn from_ppm(ppm: u32) -> Self {
        Self::from_ratio(ppm as u64, 1_000_000)
    }

    /// The probability `numerator / denominator`, at most 1. The numerator stays below 2^32.
    pub const fn from_ratio(numerator: u64, denominator: u64) -> Self {
        if numerator >= denominator { Self(Self::ONE) } else { Self(numerator * Self::ONE / denominator) }
    }

    /// Throws the dice once.
    pub fn hit(self, dice: &mut Entropy) -> bool {
        u64::from(dice.next_u32()) < self.0
    }
}

/// A uniform integer in `0..bound`; 0 when `bound` is 0.
pub fn below(dice: &mut Entropy, bound: u64) -> u64 {
    let product = u128::from(dice.next_u64()) * u128::from(bound);
    (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_name_and_by_seed() {
        let first = |seed: u64, name: &str| Seed(seed).stream(name).next_u64();
        assert_eq!(first(1, "link.up.loss"), first(1, "link.up.loss"));
        assert_ne!(first(1, "link.up.loss"), first(1, "link.down.loss"));
        assert_ne!(first(1, "link.up.loss"), first(2, "link.up.loss"));
    }

    /// Pinned: recorded trace hashes depend on it.
    #[test]
    fn stream_derivation_is_pinned() {
        assert_eq!(Seed(1).stream("link.up.loss").next_u64(), PINNED);
    }
    const PINNED: u64 = 4_922_392_205_259_817_252;

    #[test]
    fn odds_are_exact_at_the_ends_and_close_between() {
        let mut dice = Seed(3).stream("odds");
        let mut hits = |ppm: u32| (0..100_000).filter(|_| Odds::from_ppm(ppm).hit(&mut dice)).count();
        assert_eq!(hits(0), 0);
        assert_eq!(hits(1_000_000), 100_000);
        let quarter = hits(250_000);
        assert!((24_500..25_500).contains(&quarter), "{quarter}");
    }

    #[test]
    fn below_stays_below_and_reaches_every_value() {
        let mut dice = Seed(4).stream("below");
        let mut seen = [0u32; 7];
        (0..7_000).for_each(|_| seen[below(&mut dice, 7) as usize] += 1);
        assert!(seen.iter().all(|&n| (850..1150).contains(&n)), "{seen:?}");
        assert_eq!(below(&mut dice, 0), 0);
    }
}
