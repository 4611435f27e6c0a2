//! Head-of-line blocking by a stalled reader (SMUX-28).
//!
//! All streams of a session share one receive buffer. Between two ends that pause single streams (SMUX-27) no reader can
//! fill it. Toward other peers, the only remedy for a blocked session is to close the stream that fills the buffer.

use super::Tunnel;
use super::health::Search;
use crate::event::{Event, StreamId};
use crate::time::{Deadline, Instant, Timer};
use core::time::Duration;

/// How long the fullest stream may block the others without being read.
const CUT_AFTER: Duration = Duration::from_secs(10);

/// The streams are searched for the fullest when the last search is that long ago, or when there were so many calls since
/// then that a call searches this number on average (SMUX-32).
const SEARCH_INTERVAL: Duration = Duration::from_millis(100);
const SEARCHED_STREAMS: usize = 64;

impl Tunnel {
    /// How long one direction of the session has been blocked by stalled readers here or at the peer; zero if neither is.
    /// New streams should use another session.
    pub fn blocked_for(&self, now: Instant) -> Duration {
        self.health.stall.blocked_since.map_or(Duration::ZERO, |since| now.since(since))
    }

    pub(super) fn stall_deadline(&self) -> Option<Deadline> {
        let stall = &self.health.stall;
        let search_at = stall.search.last_at.filter(|_| stall.search.wanted).map(|at| at + SEARCH_INTERVAL);
        let at = stall.holder.map(|(_, since)| since + CUT_AFTER).or(search_at)?;
        Some(Deadline { at, why: Timer::Stall })
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
        let holder = self.health.stall.holder;
        self.health.stall.holder = match holder {
            Some(holder) if crowded => Some(holder),
            None if crowded && self.search_due(now) => self.mux.fullest().map(|id| (id, now)),
            _ => None,
        };
        self.health.stall.search.wanted &= crowded;
    }

    /// Whether to search all streams for the fullest now, rather than with a later call.
    fn search_due(&mut self, now: Instant) -> bool {
        let search = &mut self.health.stall.search;
        search.calls += 1;
        let rested = search.last_at.is_none_or(|at| now.since(at) >= SEARCH_INTERVAL);
        search.wanted = !rested && search.calls <= self.mux.stream_count() / SEARCHED_STREAMS;
        if !search.wanted {
            *search = Search { last_at: Some(now), ..Search::default() };
        }
        !search.wanted
    }

    pub(super) fn cut_if_stalled(&mut self, now: Instant) {
        let Some((id, since)) = self.health.stall.holder else { return };
        if now < since + CUT_AFTER {
            return;
        }
        self.health.stall.holder = None;
        self.mux.reset(id);
        self.pads.remove(id);
        self.reports.stats.streams_cut += 1;
        self.reports.events.push_back(Event::Cut(id));
    }
}
