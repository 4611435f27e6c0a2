use crate::plan::{Timeline, WANDER_STEPS, WanderPlan};
use crate::rng::below;
use engine::{Entropy, Instant};
use std::time::Duration;

/// The amplitude, in the units of the process.
const AMPLITUDE: i64 = 1 << 32;

/// Each step keeps 15/16 of the value, (15/16)^16 = 0.356, and adds uniform noise up to this, so that the standard
/// deviation of the sum is noise / sqrt(3 (1 - (15/16)^2)) = amplitude / 6.
const NOISE: i64 = 431_431_000;

/// Steps after which nothing is left of where the process started.
const WARM_UP_STEPS: u32 = 128;

/// Extra delay that drifts up and down slowly, as under changing load or radio conditions: a first-order autoregressive
/// process on a grid of time, with straight lines between its points. It depends on time and seed, not on the traffic.
#[derive(Debug)]
pub struct Wander {
    plan: Timeline<WanderPlan>,
    dice: Entropy,
    /// The grid points around the present: times, and values between plus and minus half of the amplitude.
    from: (Instant, i64),
    to: (Instant, i64),
    last: Instant,
}

impl Wander {
    /// A process in its steady state.
    pub fn new(plan: Timeline<WanderPlan>, dice: Entropy) -> Self {
        let start = (Instant::ZERO, 0);
        let mut wander = Self { plan, dice, from: start, to: start, last: Instant::ZERO };
        for _ in 0..WARM_UP_STEPS {
            wander.to.1 = wander.next_value();
        }
        wander
    }

    /// When a packet arrives that would have arrived at `undisturbed`, having left the transmitter `now`. Packets stay
    /// in order.
    pub fn arrival(&mut self, now: Instant, undisturbed: Instant) -> Instant {
        self.last = self.last.max(undisturbed + self.extra(now));
        self.last
    }

    /// The extra delay at `now`; time does not go back.
    pub fn extra(&mut self, now: Instant) -> Duration {
        while self.to.0 <= now {
            let step_us = self.plan.at(self.to.0).correlation_us / WANDER_STEPS;
            self.from = self.to;
            self.to = (self.from.0 + Duration::from_micros(step_us), self.next_value());
        }
        let (whole_us, passed_us) = (self.to.0.since(self.from.0), now.since(self.from.0));
        let rise = i128::from(self.to.1 - self.from.1) * passed_us.as_micros() as i128;
        let value = i128::from(self.from.1) + rise / (whole_us.as_micros() as i128).max(1);
        let above_bottom = (value + i128::from(AMPLITUDE / 2)).clamp(0, i128::from(AMPLITUDE));
        let extra = above_bottom * i128::from(self.plan.at(now).amplitude_us) / i128::from(AMPLITUDE);
        Duration::from_micros(extra as u64)
    }

    fn next_value(&mut self) -> i64 {
        let noise = below(&mut self.dice, 2 * NOISE as u64 + 1) as i64 - NOISE;
        self.to.1 - self.to.1 / 16 + noise
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    const PLAN: WanderPlan = WanderPlan { amplitude_us: 60_000, correlation_us: 160_000 };

    /// The extra delay every millisecond.
    fn extras(seed: u64, every_ms: u64) -> Vec<f64> {
        let mut wander = Wander::new(PLAN.into(), Seed(seed).stream("wander"));
        (0..2_000_000 / every_ms)
            .map(|n| wander.extra(Instant::from_millis(n * every_ms)).as_micros() as f64)
            .collect()
    }

    fn mean(samples: &[f64]) -> f64 {
        samples.iter().sum::<f64>() / samples.len() as f64
    }

    fn covariance(samples: &[f64], lag: usize) -> f64 {
        let mean = mean(samples);
        let products: Vec<f64> =
            samples.iter().zip(&samples[lag..]).map(|(a, b)| (a - mean) * (b - mean)).collect();
        self::mean(&products)
    }

    #[test]
    fn has_the_mean_the_spread_and_the_correlation_asked_for() {
        for seed in 1..=3 {
            let extras = extras(seed, 10);
            assert!((29_500.0..30_500.0).contains(&mean(&extras)), "{}", mean(&extras));
            let deviation = covariance(&extras, 0).sqrt();
            assert!((9_300.0..10_300.0).contains(&deviation), "{deviation}");
            // One correlation time is 16 samples.
            let correlation = covariance(&extras, 16) / covariance(&extras, 0);
            assert!((0.32..0.42).contains(&correlation), "{correlation}");
            assert!(extras.iter().all(|us| (0.0..=60_000.0).contains(us)));
        }
    }

    #[test]
    fn does_not_depend_on_how_often_it_is_asked() {
        let (often, rarely) = (extras(4, 1), extras(4, 1_000));
        let picked: Vec<f64> = often.iter().step_by(1_000).copied().collect();
        assert_eq!(picked, rarely);
    }

    #[test]
    fn keeps_order() {
        let mut wander = Wander::new(PLAN.into(), Seed(5).stream("wander"));
        let arrivals: Vec<_> = (0..100_000)
            .map(|n| Instant::from_micros(n * 20))
            .map(|at| wander.arrival(at, at + Duration::from_millis(5)))
            .collect();
        assert!(arrivals.is_sorted());
    }
}
