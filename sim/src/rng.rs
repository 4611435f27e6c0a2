//! Random numbers: one independent stream per consumer; decisions use integers only.

use engine::Entropy;
use siphasher::sip::SipHasher24;
use std::hash::Hasher;

/// The seed of a run, from which every consumer's own stream is derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream of the consumer `name`; it depends on the seed and the name only.
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

/// A probability as a threshold in units of 2^-32, so that 0 and 1 are exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Odds(u64);

impl Odds {
    const ONE: u64 = 1 << 32;

    /// A probability in parts per million; more than a million is certain.
    pub const fn from_ppm(ppm: u32) -> Self {
        Self::from_ratio(ppm as u64, 1_000_000)
    }

    /// The probability `numerator / denominator`, at most 1. The numerator stays below 2^32.
    pub const fn from_ratio(numerator: u64, denominator: u64) -> Self {
        if numerator >= denominator { Self(Self::ONE) } else { Self(numerator * Self::ONE / denominator) }
    }

    /// Draws once.
    pub fn hit(self, entropy: &mut Entropy) -> bool {
        u64::from(entropy.next_u32()) < self.0
    }
}

/// A uniform integer in `0..bound`; 0 when `bound` is 0.
pub fn below(entropy: &mut Entropy, bound: u64) -> u64 {
    let product = u128::from(entropy.next_u64()) * u128::from(bound);
    (product >> 64) as u64
}

/// Pseudo-random payload bytes, many times as fast as [`Entropy`] and reproducible: a folded product of counter and key, as in
/// wyrand. They affect no decision.
#[derive(Clone, Debug)]
pub struct Noise {
    counter: u64,
    key: u64,
}

impl Noise {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

    /// Derives the key from `entropy`.
    pub fn new(entropy: &mut Entropy) -> Self {
        Self { counter: entropy.next_u64(), key: entropy.next_u64() | 1 }
    }

    /// Fills `out` with the next bytes; a last piece of less than eight consumes eight.
    pub fn fill(&mut self, out: &mut [u8]) {
        let (words, rest) = out.as_chunks_mut::<8>();
        for word in words {
            *word = self.word();
        }
        if !rest.is_empty() {
            rest.copy_from_slice(&self.word()[..rest.len()]);
        }
    }

    /// Derives the next block of random bytes from this one by XOR with a repeated word. Misplaced bytes remain detectable, and the
    /// block incompressible, as with fresh bytes.
    pub fn stir(&mut self, block: &mut [u8]) {
        let word = self.word();
        let (words, rest) = block.as_chunks_mut::<8>();
        for old in words {
            *old = (u64::from_le_bytes(*old) ^ u64::from_le_bytes(word)).to_le_bytes();
        }
        rest.iter_mut().zip(word).for_each(|(old, byte)| *old ^= byte);
    }

    fn word(&mut self) -> [u8; 8] {
        self.counter = self.counter.wrapping_add(Self::STEP);
        fold(self.counter, self.counter ^ self.key).to_le_bytes()
    }
}

/// Both halves of the 128-bit product, added without carry.
pub(crate) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
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
    fn probabilities_are_exact_at_0_and_1_and_close_between() {
        let mut entropy = Seed(3).stream("odds");
        let mut hits = |ppm: u32| (0..100_000).filter(|_| Odds::from_ppm(ppm).hit(&mut entropy)).count();
        assert_eq!(hits(0), 0);
        assert_eq!(hits(1_000_000), 100_000);
        let quarter = hits(250_000);
        assert!((24_500..25_500).contains(&quarter), "{quarter}");
    }

    #[test]
    fn noise_is_reproducible_and_uniform() {
        let bytes = |name: &str| {
            let mut out = vec![0; 80_004];
            Noise::new(&mut Seed(5).stream(name)).fill(&mut out);
            out
        };
        let noise = bytes("noise");
        assert_eq!(noise, bytes("noise"));
        assert_ne!(noise, bytes("other"));
        let mut counts = [0_u32; 256];
        noise.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
        // 312 of each, with a standard deviation of 18.
        assert!(counts.iter().all(|count| (230..400).contains(count)), "{counts:?}");
        let ones: u32 = noise.iter().zip(&noise[8..]).map(|(a, b)| (a ^ b).count_ones()).sum();
        assert!((318_000..322_000).contains(&ones), "{ones}");
    }

    #[test]
    fn stirred_noise_shares_no_words_with_its_source() {
        let mut noise = Noise::new(&mut Seed(5).stream("noise"));
        let mut block = vec![0; 4_099];
        noise.fill(&mut block);
        let mut seen = vec![block.clone()];
        for _ in 0..8 {
            noise.stir(&mut block);
            let same = |old: &[u8]| old.windows(4).zip(block.windows(4)).filter(|(a, b)| a == b).count();
            assert!(seen.iter().all(|old| same(old) == 0));
            seen.push(block.clone());
        }
        let whole = seen.concat();
        let mut counts = [0_u32; 256];
        whole.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
        // 144 of each, with a standard deviation of 36, because every byte comes nine times, in eight positions.
        assert!(counts.iter().all(|count| (30..300).contains(count)), "{counts:?}");
    }

    #[test]
    fn below_reaches_every_value_of_its_range() {
        let mut entropy = Seed(4).stream("below");
        let mut seen = [0u32; 7];
        (0..7_000).for_each(|_| seen[below(&mut entropy, 7) as usize] += 1);
        assert!(seen.iter().all(|&n| (850..1150).contains(&n)), "{seen:?}");
        assert_eq!(below(&mut entropy, 0), 0);
    }
}
