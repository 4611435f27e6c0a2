use crate::plan::Timeline;
use engine::Instant;
use std::time::Duration;

/// Propagation delay. Where it shrinks over time, packets do not overtake those sent before.
#[derive(Clone, Debug)]
pub struct Delay {
    us: Timeline<u64>,
    last: Instant,
}

impl Delay {
    /// Delay in microseconds.
    pub const fn new(us: Timeline<u64>) -> Self {
        Self { us, last: Instant::ZERO }
    }

    /// The delay of `now`, microseconds.
    pub fn us_at(&self, now: Instant) -> u64 {
        self.us.at(now)
    }

    /// When a packet that left the transmitter `now` arrives.
    pub fn arrival(&mut self, now: Instant) -> Instant {
        self.last = self.last.max(now + Duration::from_micros(self.us.at(now)));
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_the_same_to_every_packet() {
        let mut delay = Delay::new(20_000.into());
        assert_eq!(delay.arrival(Instant::from_micros(7)), Instant::from_micros(20_007));
        assert_eq!(delay.arrival(Instant::from_micros(9)), Instant::from_micros(20_009));
    }

    #[test]
    fn a_delay_that_shrinks_keeps_the_order() {
        let mut delay = Delay::new(Timeline::from(20_000).then(1_000, 5_000));
        assert_eq!(delay.arrival(Instant::from_micros(900)), Instant::from_micros(20_900));
        assert_eq!(delay.arrival(Instant::from_micros(1_100)), Instant::from_micros(20_900));
        assert_eq!(delay.arrival(Instant::from_micros(16_000)), Instant::from_micros(21_000));
    }
}
