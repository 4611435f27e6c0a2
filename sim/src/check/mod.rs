//! Checks of the rules that every run must satisfy.

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
use engine::{Deadline, Event, Instant};

/// Maximum number of timeouts of one side at one instant.
pub const TIMEOUTS_PER_INSTANT_MAX: u32 = 16;

/// Maximum number of events at one instant: a perfect link with a large window has many, a livelock unlimited ones.
pub const EVENTS_PER_INSTANT_MAX: u32 = 10_000_000;

/// Limits the number of events at one instant.
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

    /// Counts an event; returns false when its instant has too many.
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

/// The rule [`Conservation`](crate::outcome::Rule::Conservation): the `live` packet buffers are those in links and the
/// `held` ones in sockets.
pub fn is_conserved(links: [&Counters; 2], held: u64, live: usize) -> bool {
    let in_flight = links.map(Counters::in_flight);
    in_flight[0].zip(in_flight[1]).is_some_and(|(up, down)| up + down + held == live as u64)
}

/// Part of the rule [`Bytes`](crate::outcome::Rule::Bytes): whether a stream that its writer cut ends as a complete one does.
pub const fn is_truncation(end: Event, cut: bool) -> bool {
    cut && matches!(end, Event::Finished(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{StreamId, Timer};

    #[test]
    fn a_cut_stream_that_looks_complete_is_noticed() {
        let id = StreamId(3);
        assert!(is_truncation(Event::Finished(id), true));
        assert!(!is_truncation(Event::Finished(id), false) && !is_truncation(Event::Reset(id), true));
    }

    #[test]
    fn lost_and_invented_packets_break_conservation() {
        let quiet = Counters::default();
        let busy = Counters { sent_packets: 10, delivered_packets: 6, dropped_loss: 1, ..quiet };
        assert!(is_conserved([&busy, &quiet], 0, 3) && is_conserved([&busy, &quiet], 2, 5));
        assert!(!is_conserved([&busy, &quiet], 0, 2) && !is_conserved([&busy, &quiet], 1, 3));
        assert!(!is_conserved([&busy, &quiet], 0, 4));
        let invented = Counters { delivered_packets: 11, ..busy };
        assert!(!is_conserved([&invented, &quiet], 0, 0));
    }

    #[test]
    fn a_spinning_timer_is_detected() {
        let mut guard = SpinGuard::new(TIMEOUTS_PER_INSTANT_MAX);
        assert!((0..TIMEOUTS_PER_INSTANT_MAX).all(|_| guard.allows(Instant::from_micros(5))));
        assert!(!guard.allows(Instant::from_micros(5)));
        assert!(guard.allows(Instant::from_micros(6)));
    }

    #[test]
    fn a_deadline_in_the_past_is_detected() {
        let deadline = |us| Some(Deadline { at: Instant::from_micros(us), why: Timer::Flush });
        assert!(deadline_is_sane(Instant::from_micros(5), None));
        assert!(deadline_is_sane(Instant::from_micros(5), deadline(5)));
        assert!(!deadline_is_sane(Instant::from_micros(5), deadline(4)));
    }
}
