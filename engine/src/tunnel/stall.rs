//! Head-of-line blocking by a stalled reader (SMUX-28).
//!
//! All streams of a session share one receive buffer. Between two ends that pause single streams (SMUX-27) no reader can
//! fill it. Toward other peers, the only remedy for a blocked session is to close the stream that fills the buffer.

use super::Tunnel;
use crate::event::{Event, StreamId};
use crate::time::{Deadline, Instant, Timer};
use core::time::Duration;

/// How long the fullest stream may block the others without being read.
const CUT_AFTER: Duration = Duration::from_secs(10);

impl Tunnel {
    /// How long one direction of the session has been blocked by stalled readers here or at the peer; zero if neither is.
    /// New streams should use another session.
    pub fn blocked_for(&self, now: Instant) -> Duration {
        self.health.stall.blocked_since.map_or(Duration::ZERO, |since| now.since(since))
    }

    pub(super) fn stall_deadline(&self) -> Option<Deadline> {
        self.health.stall.holder.map(|(_, since)| Deadline { at: since + CUT_AFTER, why: Timer::Stall })
    }

    /// A stream was read.
    pub(super) fn note_read(&mut self, id: StreamId) {
        self.health.stall.holder = self.health.stall.holder.filter(|(holder, _)| *holder != id);
    }

    pub(super) fn watch_stall(&mut self, now: Instant) {
        let full = !self.mux.input_ready() && !self.is_closed();
        let blocked = full || self.arq.waits_for_window();
        self.health.stall.blocked_since = blocked.then(|| self.health.stall.blocked_since.unwrap_or(now));
        let crowded = full && self.mux.stream_count() > 1;
        self.health.stall.holder = match self.health.stall.holder {
            Some(holder) if crowded => Some(holder),
            None if crowded => self.mux.fullest().map(|id| (id, now)),
            _ => None,
        };
    }

    pub(super) fn cut_if_stalled(&mut self, now: Instant) {
        let Some((id, since)) = self.health.stall.holder else { return };
        if now < since + CUT_AFTER {
            return;
        }
        self.health.stall.holder = None;
        self.mux.close(id);
        self.pads.remove(id);
        self.reports.stats.streams_cut += 1;
        self.reports.events.push_back(Event::Cut(id));
    }
}
