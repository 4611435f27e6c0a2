//! Where segmented sends do not work (CLI-26).
//!
//! A refusal says something about one destination: its route has a smaller MTU, or its device no checksum offload. Others keep
//! their runs, and the destination gets another try later, since routes change.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long a destination gets single datagrams. Each further try costs one failing call.
const RETRY: Duration = Duration::from_secs(60);

/// Destinations remembered; beyond them the oldest is forgotten, which costs it one failing call per run.
const DESTINATIONS_MAX: usize = 256;

/// The destinations that refused, with the end of their wait.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<SocketAddr, Instant>);

impl Refusals {
    /// Whether runs to this address have to be sent datagram by datagram.
    pub(super) fn apply_to(&mut self, to: SocketAddr, now: impl FnOnce() -> Instant) -> bool {
        // Of the usual case: no call of the clock, no search.
        if self.0.is_empty() {
            return false;
        }
        let Some(until) = self.0.get(&to) else { return false };
        let applies = now() < *until;
        if !applies {
            self.0.remove(&to);
        }
        applies
    }

    /// The system refused a run to this address.
    pub(super) fn add(&mut self, to: SocketAddr, now: Instant) {
        if self.0.len() >= DESTINATIONS_MAX
            && let Some(oldest) = self.0.iter().min_by_key(|(_, until)| **until).map(|(to, _)| *to)
        {
            self.0.remove(&oldest);
        }
        self.0.insert(to, now + RETRY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u16) -> SocketAddr {
        ([192, 0, 2, 1], number).into()
    }

    // CLI-26
    #[test]
    fn a_refusal_applies_to_one_destination_for_a_while() {
        let start = Instant::now();
        let after = |seconds| move || start + Duration::from_secs(seconds);
        let mut refusals = Refusals::default();
        refusals.add(address(1), start);
        assert!(refusals.apply_to(address(1), after(59)));
        assert!(!refusals.apply_to(address(2), after(0)));
        assert!(!refusals.apply_to(address(1), after(60)));
        assert!(refusals.0.is_empty());
    }

    // CLI-26
    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest() {
        let start = Instant::now();
        let mut refusals = Refusals::default();
        let times = DESTINATIONS_MAX as u16 + 10;
        (0..times)
            .for_each(|number| refusals.add(address(number), start + Duration::from_millis(number.into())));
        assert_eq!(refusals.0.len(), DESTINATIONS_MAX);
        assert!(!refusals.apply_to(address(9), || start) && refusals.apply_to(address(10), || start));
    }
}
