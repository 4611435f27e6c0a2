//! Distributions of durations, with bounds that are equal for all sessions and programs, so that they add up.

/// How often a duration fell into each range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Samples up to each of [`Self::BOUNDS_US`] and above the one before; the last place counts those above all bounds.
    counts: [u64; Self::BOUNDS_US.len() + 1],
    sum_us: u64,
}

impl Histogram {
    /// Upper bounds of the ranges, microseconds, ascending: from a local network to a path that is hardly of use.
    pub const BOUNDS_US: [u64; 13] = [
        1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
        5_000_000, 10_000_000,
    ];

    /// Counts a sample, in time that the number of bounds limits.
    #[inline]
    pub fn add(&mut self, us: u64) {
        let place = Self::BOUNDS_US.partition_point(|bound| *bound < us);
        self.counts[place] += 1;
        self.sum_us = self.sum_us.saturating_add(us);
    }

    /// Each bound in microseconds, with the samples up to it.
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        Self::BOUNDS_US.iter().zip(&self.counts).scan(0, |sum, (bound, count)| {
            *sum += count;
            Some((*bound, *sum))
        })
    }

    /// All samples.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Sum of all samples, microseconds.
    pub const fn sum_us(&self) -> u64 {
        self.sum_us
    }
}

impl core::ops::AddAssign for Histogram {
    fn add_assign(&mut self, other: Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, more)| *count += more);
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CLI-93
    #[test]
    fn a_bound_belongs_to_the_range_below_it() {
        let mut histogram = Histogram::default();
        [0, 1_000, 1_001, 2_500, 10_000_000, 10_000_001].iter().for_each(|us| histogram.add(*us));
        let cumulative: Vec<(u64, u64)> = histogram.cumulative().collect();
        assert_eq!(cumulative[..3], [(1_000, 2), (2_500, 4), (5_000, 4)]);
        assert_eq!((cumulative[12], histogram.count()), ((10_000_000, 5), 6));
        assert_eq!(histogram.sum_us(), 20_004_502);
        let mut sum = histogram;
        sum += histogram;
        assert_eq!((sum.count(), sum.sum_us()), (12, 40_009_004));
        assert!(Histogram::BOUNDS_US.is_sorted());
    }
}
