//! Statistics over runs: quantiles, intervals of medians, and a paired test. They are computed from results and never affect
//! a run; the same values give the same figures everywhere.

use crate::rng::{Seed, below};
use engine::Entropy;

/// Resamples of a bootstrap interval, and sign patterns of a test that does not try all.
const RESAMPLES: usize = 10_000;

/// Pairs up to which all sign patterns are tried.
const EXACT_PAIRS_MAX: usize = 13;

/// Share of intervals that miss, and of tests that see a difference where there is none.
const ERROR: f64 = 0.05;

/// The range that contains the true figure in 95 of 100 samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The quantile of `count` ascending values at `share` (0 to 1), where `at` returns the value with that rank, from 0. Between
/// ranks it is interpolated linearly: definition 7 of Hyndman and Fan (1996), the default of R and NumPy. `None` without
/// values.
pub fn interpolated(count: u64, share: f64, at: impl Fn(u64) -> f64) -> Option<f64> {
    let last = count.checked_sub(1)?;
    let rank = share.clamp(0.0, 1.0) * last as f64;
    let below = (rank.floor() as u64).min(last);
    let (low, part) = (at(below), rank - below as f64);
    Some(if part > 0.0 { low + part * (at(below + 1) - low) } else { low })
}

/// [`interpolated`] of ascending values.
pub fn quantile(ascending: &[f64], share: f64) -> Option<f64> {
    interpolated(ascending.len() as u64, share, |rank| ascending[rank as usize])
}

/// [`interpolated`] of ascending integers, rounded.
pub fn quantile_rounded(ascending: &[u64], share: f64) -> Option<u64> {
    let found = interpolated(ascending.len() as u64, share, |rank| ascending[rank as usize] as f64);
    found.map(|value| value.round() as u64)
}

/// The median of ascending integers, rounded.
pub fn median_rounded(ascending: &[u64]) -> Option<u64> {
    quantile_rounded(ascending, 0.5)
}

/// The 95 % interval of the median by the percentile bootstrap, with fixed random numbers. `None` for fewer than three values,
/// which say nothing about their spread.
pub fn median_interval(values: &[f64]) -> Option<Interval> {
    bootstrap(values, |sample| {
        sample.sort_by(f64::total_cmp);
        quantile(sample, 0.5).unwrap_or(0.0)
    })
}

/// Differences of pairs of runs with the same seed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired {
    /// Number of pairs.
    pub pairs: usize,
    /// Mean difference, second minus first.
    pub difference: f64,
    /// 95 % interval of the mean difference; `None` for fewer than three pairs.
    pub interval: Option<Interval>,
    /// Probability of a mean difference at least this far from zero if the two did not differ: Fisher's sign-flip test, over
    /// all patterns of signs, or over random ones for more than 13 pairs.
    pub p: f64,
}

impl Paired {
    /// The test of `(first, second)` pairs; `None` without pairs.
    pub fn new(pairs: &[(f64, f64)]) -> Option<Self> {
        let differences: Vec<f64> = pairs.iter().map(|(first, second)| second - first).collect();
        (!differences.is_empty()).then(|| Self {
            pairs: differences.len(),
            difference: mean(&differences),
            interval: bootstrap(&differences, |sample| mean(sample)),
            p: sign_flips(&differences),
        })
    }

    /// Whether the pairs show a difference, at an error rate of 5 %. Fewer than six pairs never do.
    pub fn is_seen(&self) -> bool {
        self.p < ERROR
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn dice() -> Entropy {
    Seed(0).stream("statistics")
}

fn bootstrap(values: &[f64], of: impl Fn(&mut [f64]) -> f64) -> Option<Interval> {
    if values.len() < 3 {
        return None;
    }
    let mut dice = dice();
    let mut sample = vec![0.0; values.len()];
    let mut found: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            sample.fill_with(|| values[below(&mut dice, values.len() as u64) as usize]);
            of(&mut sample)
        })
        .collect();
    found.sort_by(f64::total_cmp);
    Some(Interval { low: quantile(&found, ERROR / 2.0)?, high: quantile(&found, 1.0 - ERROR / 2.0)? })
}

fn sign_flips(differences: &[f64]) -> f64 {
    let sum: f64 = differences.iter().sum();
    // Sums of the same numbers in another order differ in their last bits.
    let least = sum.abs() * (1.0 - 1e-9);
    let reaches = |flips: u64| {
        let signed = differences.iter().enumerate();
        let sum: f64 =
            signed.map(|(bit, &value)| if flips >> (bit % 64) & 1 == 1 { -value } else { value }).sum();
        sum.abs() >= least
    };
    if differences.len() <= EXACT_PAIRS_MAX {
        let all = 1_u64 << differences.len();
        return (0..all).filter(|&flips| reaches(flips)).count() as f64 / all as f64;
    }
    let mut dice = dice();
    let hits = (0..RESAMPLES)
        .filter(|_| {
            let mut word = 0;
            let signed = differences.iter().enumerate().map(|(nth, &value)| {
                if nth % 64 == 0 {
                    word = dice.next_u64();
                }
                if word >> (nth % 64) & 1 == 1 { -value } else { value }
            });
            signed.sum::<f64>().abs() >= least
        })
        .count();
    // The observed signs are one of the patterns.
    (hits + 1) as f64 / (RESAMPLES + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ascending(last: u32) -> Vec<f64> {
        (1..=last).map(f64::from).collect()
    }

    #[test]
    fn quantiles_are_interpolated_and_reach_the_ends() {
        let four = ascending(4);
        assert_eq!([0.0, 0.5, 1.0].map(|share| quantile(&four, share)), [Some(1.0), Some(2.5), Some(4.0)]);
        let twenty = ascending(20);
        let high = quantile(&twenty, 0.95).unwrap();
        assert!((high - 19.05).abs() < 1e-9, "{high}");
        assert_eq!((quantile(&[], 0.5), quantile(&[7.0], 0.9)), (None, Some(7.0)));
        assert_eq!((median_rounded(&[1, 2]), median_rounded(&[1, 2, 9])), (Some(2), Some(2)));
    }

    #[test]
    fn the_interval_of_a_median_covers_it_as_often_as_it_claims() {
        let mut dice = Seed(3).stream("samples");
        let covered = (0..200)
            .filter(|_| {
                let sample: Vec<f64> = (0..15).map(|_| below(&mut dice, 1_001) as f64).collect();
                let interval = median_interval(&sample).unwrap();
                (interval.low..=interval.high).contains(&500.0)
            })
            .count();
        assert!((180..=199).contains(&covered), "{covered} of 200");
        assert_eq!(median_interval(&ascending(20)), median_interval(&ascending(20)));
        assert_eq!(median_interval(&[1.0, 2.0]), None);
    }

    #[test]
    fn pairs_that_differ_alike_are_seen_and_noise_is_not() {
        let shifted: Vec<(f64, f64)> =
            ascending(8).iter().map(|&value| (value * 100.0, value * 100.0 + 3.0)).collect();
        let paired = Paired::new(&shifted).unwrap();
        assert_eq!(
            (paired.pairs, paired.difference, paired.p, paired.is_seen()),
            (8, 3.0, 2.0 / 256.0, true)
        );
        let five = Paired::new(&shifted[..5]).unwrap();
        assert!(!five.is_seen(), "five pairs cannot show a difference: {five:?}");
        let same = Paired::new(&[(5.0, 5.0); 10]).unwrap();
        assert_eq!((same.difference, same.p), (0.0, 1.0));
        assert_eq!(Paired::new(&[]), None);
    }

    #[test]
    fn noise_is_taken_for_a_difference_as_rarely_as_claimed() {
        for pairs in [10, 20] {
            let mut dice = Seed(5).stream("noise");
            let mut noise = || below(&mut dice, 10_000) as f64;
            let seen = (0..200)
                .filter(|_| {
                    let list: Vec<(f64, f64)> = (0..pairs).map(|_| (noise(), noise())).collect();
                    Paired::new(&list).unwrap().is_seen()
                })
                .count();
            assert!(seen <= 20, "{pairs} pairs: {seen} of 200");
        }
    }
}
