use crate::plan::Timeline;
use crate::rng::below;
use engine::{Entropy, Instant};
use std::time::Duration;

/// Extra delay, uniform between zero and a maximum. A packet never overtakes an earlier one, so a late packet holds up
/// those behind it, as a busy queue further down the path would.
#[derive(Debug)]
pub struct Jitter {
    max_us: Timeline<u64>,
    dice: Entropy,
    last: Instant,
}

impl Jitter {
    /// Extra delay of at most `max_us`; zero throws no dice.
    pub const fn new(max_us: Timeline<u64>, dice: Entropy) -> Self {
        Self { max_us, dice, last: Instant::ZERO }
    }

    /// When a packet arrives that would have arrived at `undisturbed`, having left the transmitter `now`.
    pub fn arrival(&mut self, now: Instant, undisturbed: Instant) -> Instant {
        self.last = self.last.max(undisturbed + self.extra(now));
        self.last
    }

    /// The extra delay of a packet that left the transmitter `now`.
    pub fn extra(&mut self, now: Instant) -> Duration {
        let max_us = self.max_us.at(now);
        Duration::from_micros(if max_us == 0 { 0 } else { below(&mut self.dice, max_us + 1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    #[test]
    fn is_uniform_when_packets_are_far_apart() {
        let mut jitter = Jitter::new(1_000.into(), Seed(1).stream("jitter"));
        let extras: Vec<u64> = (1..=20_000)
            .map(|n| Instant::from_millis(n * 10))
            .map(|at| jitter.arrival(at, at).as_micros() - at.as_micros())
            .collect();
        let mean_us = extras.iter().sum::<u64>() / extras.len() as u64;
        assert!((490..=510).contains(&mean_us), "{mean_us}");
        assert!(extras.iter().min().unwrap() < &5 && extras.iter().max().unwrap() > &995);
        assert!(extras.iter().all(|&us| us <= 1_000));
    }

    #[test]
    fn keeps_order_when_packets_are_close() {
        let mut jitter = Jitter::new(5_000.into(), Seed(2).stream("jitter"));
        let arrivals: Vec<_> =
            (0..10_000).map(|n| Instant::from_micros(n * 10)).map(|at| jitter.arrival(at, at)).collect();
        assert!(arrivals.is_sorted());
    }
}
