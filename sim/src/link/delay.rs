use engine::Instant;
use std::time::Duration;

/// Constant propagation delay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delay {
    us: u64,
}

impl Delay {
    pub(super) const fn new(us: u64) -> Self {
        Self { us }
    }

    /// When a packet that left the transmitter `now` arrives.
    pub(super) fn arrival(self, now: Instant) -> Instant {
        now + Duration::from_micros(self.us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_the_same_to_every_packet() {
        assert_eq!(Delay::new(20_000).arrival(Instant::from_micros(7)), Instant::from_micros(20_007));
    }
}
