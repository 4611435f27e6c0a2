//! `ikcp_update` and `ikcp_check` of the C API (KCP-12); sessions have timers of their own.

use crate::arq::send_buffer::InFlight;
use crate::time::{Instant, diff};

/// A clock that is further off than that has jumped, ms.
const JUMP_MS: i32 = 10_000;

/// When the next periodic flush is due.
#[derive(Debug)]
pub(in crate::arq) struct UpdateClock {
    started: bool,
    pub(in crate::arq) ts_flush: u32,
}

impl UpdateClock {
    pub(in crate::arq) const fn new() -> Self {
        Self { started: false, ts_flush: 100 }
    }

    /// Whether a flush is due; arms the next one.
    pub(in crate::arq) fn is_due(&mut self, now: Instant, interval_ms: u32) -> bool {
        let now_ms = now.ms();
        if !self.started {
            (self.started, self.ts_flush) = (true, now_ms);
        }
        let mut late_ms = diff(now_ms, self.ts_flush);
        if !(-JUMP_MS..JUMP_MS).contains(&late_ms) {
            (self.ts_flush, late_ms) = (now_ms, 0);
        }
        if late_ms < 0 {
            return false;
        }
        self.ts_flush = self.ts_flush.wrapping_add(interval_ms);
        if diff(now_ms, self.ts_flush) >= 0 {
            self.ts_flush = now_ms.wrapping_add(interval_ms);
        }
        true
    }

    /// The clock value at which the next flush or retransmission is due.
    pub(in crate::arq) fn next<'a>(
        &self,
        now: Instant,
        interval_ms: u32,
        segments: impl Iterator<Item = &'a InFlight>,
    ) -> u32 {
        let now_ms = now.ms();
        let late_ms = diff(now_ms, self.ts_flush);
        if !self.started || !(-JUMP_MS..0).contains(&late_ms) {
            return now_ms;
        }
        let mut wait = interval_ms.min(late_ms.unsigned_abs());
        for segment in segments {
            let due = diff(segment.resendts, now_ms);
            if due <= 0 {
                return now_ms;
            }
            wait = wait.min(due as u32);
        }
        now_ms.wrapping_add(wait)
    }
}
