//! The rules that every run is held to.

mod excuse;
mod liveness;
mod memory;
mod recovery;
mod window;

pub use excuse::{Excuses, Loss};
pub use memory::{BYTES_EVERY_EVENTS, Limits, TunnelLimits};
pub use recovery::Recovery;
pub use window::WindowLimits;

use crate::outcome::Counters;
use engine::{Deadline, Instant};

/// Most timeouts of one side at one instant.
pub const TIMEOUTS_PER_INSTANT_MAX: u32 = 16;

/// Most events of a run at one instant; a perfect link with a large window has many, a livelock has no end.
pub const EVENTS_PER_INSTANT_MAX: u32 = 10_000_000;

/// Counts how often something happens at one instant.
#[derive(Clone, Copy, Debug)]
pub struct SpinGuard {
    at: Instant,
    count: u32,
    count_max: u32,
}

impl SpinGuard {
    /// Allows `count_max` times per instant.
    pub const fn new(count_max: u32) -> Self {
        Self { at: Instant::ZERO, count: 0, count_max }
    }

    /// Notes one; false when there were too many at this instant.
    pub fn allows(&mut self, now: Instant) -> bool {
        if now != self.at {
            (self.at, self.count) = (now, 0);
        }
        self.count += 1;
        self.count <= self.count_max
    }
}

/// The rule [`Deadline`](crate::outcome::Rule::Deadline).
pub fn deadline_is_sane(now: Instant, deadline: Option<Deadline>) -> bool {
    deadline.is_none_or(|deadline| deadline.at >= now)
}

/// The rule [`Conservation`](crate::outcome::Rule::Conservation): `live` packet buffers are in use, and no packet is anywhere but in a link or among
/// the `held` that wait in a socket.
pub fn is_conserved(links: [&Counters; 2], held: u64, live: usize) -> bool {
    let in_flight = links.map(Counters::in_flight);
    in_flight[0].zip(in_flight[1]).is_some_and(|(up, down)| up + down + held == live as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Timer;

    #[test]
    fn a_lost_or_invented_packet_is_noticed() {
        let quiet = Counters::default();
        let busy = Counters { sent_packets: 10, delivered_packets: 6, dropped_loss: 1, ..quiet };
        assert!(is_conserved([&busy, &quiet], 0, 3) && is_conserved([&busy, &quiet], 2, 5));
        assert!(!is_conserved([&busy, &quiet], 0, 2) && !is_conserved([&busy, &quiet], 1, 3));
        assert!(!is_conserved([&busy, &quiet], 0, 4));
        let invented = Counters { delivered_packets: 11, ..busy };
        assert!(!is_conserved([&invented, &quiet], 0, 0));
    }

    #[test]
    fn a_timer_that_stands_still_is_noticed() {
        let mut guard = SpinGuard::new(TIMEOUTS_PER_INSTANT_MAX);
        assert!((0..TIMEOUTS_PER_INSTANT_MAX).all(|_| guard.allows(Instant::from_micros(5))));
        assert!(!guard.allows(Instant::from_micros(5)));
        assert!(guard.allows(Instant::from_micros(6)));
    }

    #[test]
    fn a_deadline_in_the_past_is_noticed() {
        let deadline = |us| Some(Deadline { at: Instant::from_micros(us), why: Timer::Flush });
        assert!(deadline_is_sane(Instant::from_micros(5), None));
        assert!(deadline_is_sane(Instant::from_micros(5), deadline(5)));
        assert!(!deadline_is_sane(Instant::from_micros(5), deadline(4)));
    }
}
