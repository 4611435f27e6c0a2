use std::time::Duration;

/// Delays the packets with the numbers it was given.
#[derive(Clone, Debug, Default)]
pub struct DelayList {
    /// Numbers and microseconds still to come, the next one last.
    left: Vec<(u64, u64)>,
}

impl DelayList {
    /// Pairs of a number and microseconds; the first packet handed to the link has number 1, and no number comes twice.
    pub fn new(mut packets: Vec<(u64, u64)>) -> Self {
        packets.sort_unstable_by(|a, b| b.cmp(a));
        Self { left: packets }
    }

    /// How much later than others the packet of that number arrives; numbers ascend from call to call.
    pub fn extra(&mut self, number: u64) -> Duration {
        while self.left.pop_if(|(next, _)| *next < number).is_some() {}
        let listed = self.left.pop_if(|(next, _)| *next == number);
        Duration::from_micros(listed.map_or(0, |(_, us)| us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_exactly_the_numbers_given() {
        let mut list = DelayList::new(vec![(9, 70), (2, 50)]);
        let extras: Vec<u128> = (1..10).map(|number| list.extra(number).as_micros()).collect();
        assert_eq!(extras, [0, 50, 0, 0, 0, 0, 0, 0, 70]);
    }

    #[test]
    fn a_listed_number_that_is_skipped_delays_nothing() {
        let mut list = DelayList::new(vec![(2, 50), (5, 60)]);
        assert_eq!([1, 4, 5, 6].map(|number| list.extra(number).as_micros()), [0, 0, 60, 0]);
    }
}
