//! When the periodic flush of the ARQ is due (KCP-12).

use crate::arq::Arq;
use crate::time::Instant;
use core::time::Duration;

/// Lateness that load on the machine does not explain.
pub(super) const PAUSE_MIN: Duration = Duration::from_secs(1);

/// Interval of attempts while the peer has to prove its address.
const STARVED_INTERVAL: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct FlushTimer {
    /// The next point of the interval's grid.
    next_at: Instant,
    /// `next_at` or later, at which a flush may have something to do; `None` if there is no such time.
    deadline: Option<Instant>,
    /// A periodic flush is being polled; its end determines the next point.
    polling: bool,
}

impl FlushTimer {
    pub(super) fn new(now: Instant, interval_ms: u32) -> Self {
        Self { next_at: now.ms_multiple_after(interval_ms), deadline: None, polling: false }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What waits for the peer cannot leave now (KCP-34).
    pub(super) fn defer(&mut self, now: Instant) {
        self.defer_to(now + STARVED_INTERVAL);
    }

    /// Nothing can leave before `earliest`.
    pub(super) fn defer_to(&mut self, earliest: Instant) {
        self.deadline = self.deadline.map(|at| at.max(earliest));
    }

    pub(super) fn disarm(&mut self) {
        self.deadline = None;
    }

    /// Whether the deadline passed so long ago that this process, not the path, must have stood still (KCP-25): while
    /// acknowledgements are awaited, a flush is due every interval.
    pub(super) fn was_paused(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|at| now.since(at) >= PAUSE_MIN)
    }

    /// Whether the periodic flush is due; if so, the next one follows after an interval, or as [`Self::finish`] says.
    pub(super) fn start(&mut self, now: Instant, interval_ms: u32) -> bool {
        let due = self.deadline.is_some() && self.next_at <= now;
        if due {
            self.polling = true;
            self.next_at = now.ms_boundary_after(interval_ms);
        }
        due
    }

    /// A flush was polled to its end: the periodic one repeats after the time that the ARQ determined meanwhile.
    pub(super) fn finish(&mut self, now: Instant, arq: &Arq) {
        if std::mem::take(&mut self.polling) {
            self.next_at = now.ms_boundary_after(arq.flush_next_ms());
        }
    }

    /// Sets the deadline. KCP-12, with one liberty: while a flush could not do anything the timer sleeps. It resumes in
    /// phase with the driver's clock, so that all sessions with little to do wake the machine together. A `paced` ARQ has
    /// deadlines of its own.
    pub(super) fn arm(&mut self, now: Instant, arq: &Arq, paced: bool) {
        // A flush that is due stays due.
        if self.deadline != Some(self.next_at) && self.next_at <= now {
            self.next_at = now.ms_multiple_after(arq.interval_ms());
        }
        self.deadline = if paced {
            arq.poll_timeout(now)
        } else if arq.wants_flush() {
            Some(self.next_at)
        } else {
            arq.probe_due_ms(now).map(|wait_ms| self.next_at.max(now.ms_boundary_after(wait_ms)))
        };
    }
}
