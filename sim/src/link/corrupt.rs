use crate::plan::Timeline;
use crate::rng::{Odds, below};
use engine::{Entropy, Instant};

/// Most bits flipped in one datagram.
const FLIPS_MAX: u64 = 4;

/// Flips bits of some datagrams, as a path does whose checksum is switched off or wrong.
#[derive(Debug)]
pub struct Corrupt {
    ppm: Timeline<u32>,
    dice: Entropy,
}

impl Corrupt {
    /// Damages `ppm` of a million datagrams; zero throws no dice.
    pub const fn new(ppm: Timeline<u32>, dice: Entropy) -> Self {
        Self { ppm, dice }
    }

    /// Damages another share from here on.
    pub fn set_ppm(&mut self, ppm: u32) {
        self.ppm = ppm.into();
    }

    /// Whether the next datagram is damaged.
    pub fn hits(&mut self, now: Instant) -> bool {
        let ppm = self.ppm.at(now);
        ppm > 0 && Odds::from_ppm(ppm).hit(&mut self.dice)
    }

    /// Flips between one and four different bits.
    pub fn damage(&mut self, datagram: &mut [u8]) {
        flip(&mut self.dice, datagram);
    }
}

/// Flips between one and four different bits.
pub(super) fn flip(dice: &mut Entropy, datagram: &mut [u8]) {
    let bits = datagram.len() as u64 * 8;
    let flips = (1 + below(dice, FLIPS_MAX)).min(bits);
    let first = below(dice, bits);
    // Neighbours of one place: a burst, and never the same bit twice.
    for bit in (0..flips).map(|n| (first + n) % bits) {
        datagram[(bit / 8) as usize] ^= 1 << (bit % 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    #[test]
    fn damages_the_share_asked_for() {
        let mut corrupt = Corrupt::new(30_000.into(), Seed(8).stream("corrupt"));
        let damaged = (0..100_000).filter(|_| corrupt.hits(Instant::ZERO)).count();
        assert!((2_800..=3_200).contains(&damaged), "{damaged}");
        corrupt.set_ppm(0);
        assert!((0..1_000).all(|_| !corrupt.hits(Instant::ZERO)));
    }

    #[test]
    fn a_damaged_datagram_always_differs_in_one_to_four_bits() {
        let mut corrupt = Corrupt::new(1_000_000.into(), Seed(9).stream("corrupt"));
        let mut seen = [0_u32; 5];
        for len in (1..200).cycle().take(10_000) {
            let mut datagram = vec![0; len];
            corrupt.damage(&mut datagram);
            seen[datagram.iter().map(|byte| byte.count_ones() as usize).sum::<usize>()] += 1;
        }
        assert!(seen[0] == 0 && seen[1..].iter().all(|&n| n > 2_200), "{seen:?}");
        corrupt.damage(&mut []);
    }
}
