//! Which small datagrams arrived (CC-21).
//!
//! Copies hide losses: una passes a segment whichever of its transmissions arrived. Their clock value tells datagrams apart, if
//! the peer acknowledges each of them and repeats that, as karst does toward small segments ([`super::acks`]). The
//! acknowledgements of kcp-go leave most of them out; with such a peer nothing is counted here.

use crate::congestion::Tally;
use crate::time::{Instant, diff};
use core::time::Duration;
use std::collections::VecDeque;

/// Datagrams that are remembered.
const DATAGRAMS_MAX: usize = 512;

/// Delay of a repeated acknowledgement, beyond the time after which a segment counts as lost.
const REPEATED_AFTER: Duration = Duration::from_millis(100);

/// Datagrams from which on it is known whether the peer repeats acknowledgements.
const JUDGED_MIN: u32 = 16;

#[derive(Clone, Copy, Debug)]
struct Departure {
    ts: u32,
    sent_at: Instant,
    /// The segment whose acknowledgement echoed `ts` first.
    echoed: Option<u32>,
    /// That acknowledgement was repeated.
    repeated: bool,
}

/// Small datagrams whose fate is not known, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    departures: VecDeque<Departure>,
    /// The most recently sent datagram that arrived was sent then.
    newest_at: Instant,
    /// Datagrams that arrived, and those of which that was repeated; older ones count less.
    echoed: u32,
    repeated: u32,
}

impl Arrivals {
    /// A small datagram leaves. Those of one millisecond count as one.
    pub(super) fn sent(&mut self, now: Instant) {
        let ts = now.ms();
        if self.departures.back().is_some_and(|last| last.ts == ts) {
            return;
        }
        if self.departures.len() == DATAGRAMS_MAX {
            self.departures.pop_front();
        }
        self.departures.push_back(Departure { ts, sent_at: now, echoed: None, repeated: false });
    }

    /// The peer acknowledged the segment `sn` with the clock value `ts`.
    pub(super) fn echoed(&mut self, sn: u32, ts: u32) {
        let index = self.departures.partition_point(|departure| diff(departure.ts, ts) < 0);
        let Some(departure) = self.departures.get_mut(index).filter(|departure| departure.ts == ts) else {
            return;
        };
        match departure.echoed {
            None => departure.echoed = Some(sn),
            Some(first) => departure.repeated |= first == sn,
        }
        self.newest_at = self.newest_at.max(departure.sent_at);
    }

    /// Whether the peer repeats acknowledgements of most datagrams, so that those without one were lost.
    pub(super) const fn are_known(&self) -> bool {
        self.echoed >= JUDGED_MIN && self.repeated * 2 > self.echoed
    }

    /// Takes the datagrams that were sent before one that arrived, and `timeout` ago; none while fates are not known.
    pub(super) fn take(&mut self, now: Instant, timeout: Duration) -> Tally {
        let mut tally = Tally::default();
        while let Some(departure) = self.departures.front() {
            let overdue_at = departure.sent_at + timeout + REPEATED_AFTER;
            if departure.sent_at >= self.newest_at || now < overdue_at {
                break;
            }
            tally.delivered += u32::from(departure.echoed.is_some());
            tally.lost += u32::from(departure.echoed.is_none());
            self.echoed += u32::from(departure.echoed.is_some());
            self.repeated += u32::from(departure.repeated);
            if self.echoed > 8 * JUDGED_MIN {
                (self.echoed, self.repeated) = (self.echoed / 2, self.repeated / 2);
            }
            self.departures.pop_front();
        }
        if self.are_known() { tally } else { Tally::default() }
    }

    /// The peer was silent: an outage is no sample of loss.
    pub(super) fn forget(&mut self) {
        self.departures.clear();
    }
}
