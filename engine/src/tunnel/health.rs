//! What a session observes about itself: whether the peer answers, whether it stands still, what it carries.

use super::black_hole::BlackHole;
use super::liveness::Liveness;
use crate::event::StreamId;
use crate::time::Instant;
use core::time::Duration;

/// Interval at which buffers that were not needed meanwhile are freed.
const TRIM_INTERVAL: Duration = Duration::from_secs(10);

/// Time over which the rate is measured.
const SPAN: Duration = Duration::from_millis(500);

/// Rate above which a session carries bulk data, bytes per second.
const BULK_BYTES_S: u64 = 32_768;

#[derive(Debug)]
pub(super) struct Health {
    pub(super) liveness: Liveness,
    pub(super) stall: Stall,
    pub(super) traffic: Traffic,
    pub(super) queue_delay: QueueDelay,
    pub(super) black_hole: BlackHole,
    pub(super) trial: Trial,
    trim_at: Instant,
}

impl Health {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            liveness: Liveness::default(),
            stall: Stall::default(),
            traffic: Traffic::default(),
            queue_delay: QueueDelay::default(),
            black_hole: BlackHole::default(),
            trial: Trial::default(),
            trim_at: now + TRIM_INTERVAL,
        }
    }

    /// True once per interval.
    pub(super) fn trim_due(&mut self, now: Instant) -> bool {
        let due = self.trim_at <= now;
        if due {
            self.trim_at = now + TRIM_INTERVAL;
        }
        due
    }
}

/// Stream bytes of both directions at the last two samples, at least [`SPAN`] apart.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    before: (Instant, u64),
    latest: (Instant, u64),
}

impl Traffic {
    pub(super) fn note(&mut self, now: Instant, bytes: u64) {
        if now.since(self.latest.0) >= SPAN {
            (self.before, self.latest) = (self.latest, (now, bytes));
        }
    }

    pub(super) fn is_bulk(&self, now: Instant, bytes: u64) -> bool {
        let (since, before) = self.before;
        let us = now.since(since).max(SPAN).as_micros() as u64;
        (bytes - before) * 1_000_000 / us > BULK_BYTES_S
    }
}

/// Follows one byte at a time, from the write that queued it to the frame that carries it.
#[derive(Debug, Default)]
pub(super) struct QueueDelay {
    pub(super) followed: Option<(StreamId, u32, Instant)>,
}

/// When all streams were searched for the fullest.
#[derive(Debug, Default)]
pub(super) struct Search {
    pub(super) last_at: Option<Instant>,
    /// Calls since then in which a holder was wanted.
    pub(super) calls: usize,
    /// A holder is wanted.
    pub(super) wanted: bool,
}

/// Head-of-line blocking by a stalled reader.
#[derive(Debug, Default)]
pub(super) struct Stall {
    /// Since when one direction is blocked: the buffer here is full, or the peer's window is closed.
    pub(super) blocked_since: Option<Instant>,
    /// The stream that blocks others, and since when it has not been read.
    pub(super) holder: Option<(StreamId, Instant)>,
    /// A search for the holder that has to wait (SMUX-32).
    pub(super) search: Search,
}

/// State of a session's trial (SMUX-40).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Trial {
    /// There is none, or it was passed.
    #[default]
    Over,
    /// The first keepalive is not acknowledged.
    First,
    /// The second one follows at this time.
    Pause(Instant),
    /// The second one is not acknowledged.
    Second,
}
