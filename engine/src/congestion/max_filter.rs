//! Windowed maximum filter: the largest value of the last rounds (BBR's `BBR.MaxBwFilter`).

/// Rounds that count.
const ROUNDS: u64 = 10;

/// Maximum over the last [`ROUNDS`] rounds, one candidate for each.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MaxFilter {
    /// Round and largest value, at the round's number modulo the length.
    slots: [(u64, u64); ROUNDS as usize],
}

impl MaxFilter {
    /// Takes in a value of `round`.
    pub(super) fn update(&mut self, round: u64, value: u64) {
        let slot = &mut self.slots[(round % ROUNDS) as usize];
        *slot = if slot.0 == round { (round, slot.1.max(value)) } else { (round, value) };
    }

    /// The maximum as of `round`; 0 without a value.
    pub(super) fn max(&self, round: u64) -> u64 {
        let fresh = self.slots.iter().filter(|(at, _)| at + ROUNDS > round);
        fresh.map(|(_, value)| *value).max().unwrap_or(0)
    }

    /// Lowers all values to at most `value`.
    pub(super) fn cap(&mut self, value: u64) {
        self.slots.iter_mut().for_each(|slot| slot.1 = slot.1.min(value));
    }

    /// Carries the maximum before `round` over to it, when the round gives no better value.
    pub(super) fn keep(&mut self, round: u64) {
        let max = self.max(round.saturating_sub(1));
        self.update(round, max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_after_ten_rounds() {
        let mut filter = MaxFilter::default();
        filter.update(1, 7);
        filter.update(1, 5);
        filter.update(4, 6);
        assert_eq!((filter.max(10), filter.max(11), filter.max(14)), (7, 6, 0));
        filter.cap(3);
        assert_eq!(filter.max(5), 3);
        filter.keep(14);
        assert_eq!(filter.max(20), 3);
    }
}
