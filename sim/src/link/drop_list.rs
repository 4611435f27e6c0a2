/// Drops the packets with the numbers it was given.
#[derive(Clone, Debug, Default)]
pub struct DropList {
    /// Numbers still to come, the next one last.
    left: Vec<u64>,
}

impl DropList {
    /// The first packet handed to the link has number 1.
    pub fn new(mut numbers: Vec<u64>) -> Self {
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        numbers.dedup();
        Self { left: numbers }
    }

    /// Whether the packet of that number is dropped; numbers ascend from call to call.
    pub fn hits(&mut self, number: u64) -> bool {
        while self.left.pop_if(|next| *next < number).is_some() {}
        self.left.pop_if(|next| *next == number).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_exactly_the_numbers_given() {
        let mut list = DropList::new(vec![9, 2, 3, 3]);
        let dropped: Vec<u64> = (1..20).filter(|&number| list.hits(number)).collect();
        assert_eq!(dropped, [2, 3, 9]);
    }

    #[test]
    fn a_number_that_was_dropped_elsewhere_is_passed_over() {
        let mut list = DropList::new(vec![2, 5]);
        assert!(!list.hits(1) && !list.hits(4) && list.hits(5) && !list.hits(6));
    }
}
