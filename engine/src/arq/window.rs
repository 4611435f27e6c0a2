//! The peer's receive window: what it announced, and the probes that ask for it (KCP-9).

use crate::Generation;
use crate::observe::{Mark, Marks};
use crate::time::{Instant, diff};

/// Longest wait between two probes, ms.
const PROBE_LIMIT_MS: u32 = 120_000;

/// The window that the peer announced last.
#[derive(Debug)]
pub(super) struct PeerWindow {
    pub(super) segments: u32,
    /// The next flush sends a WASK.
    pub(super) ask: bool,
    /// The next flush sends a WINS, which announces this end's window.
    pub(super) tell: bool,
    /// Clock at which the next probe is due.
    pub(super) ts_probe: u32,
    /// Wait between two probes, ms; 0 while the window is open.
    pub(super) probe_wait_ms: u32,
}

impl PeerWindow {
    pub(super) const fn new() -> Self {
        Self { segments: 32, ask: false, tell: false, ts_probe: 0, probe_wait_ms: 0 }
    }

    /// Whether the next flush sends a WASK or a WINS.
    #[inline]
    pub(super) const fn has_probes(&self) -> bool {
        self.ask || self.tell
    }

    /// KCP-9: schedules a probe of a closed window at growing intervals.
    #[inline]
    pub(super) fn schedule_probe(&mut self, now_ms: u32, generation: Generation, marks: &mut Marks) {
        if self.segments != 0 {
            (self.ts_probe, self.probe_wait_ms) = (0, 0);
            return;
        }
        if self.probe_wait_ms == 0 {
            marks.hit(Mark::WindowClosed);
            self.probe_wait_ms = match generation {
                Generation::Go2021 => 7000,
                Generation::Go2026 => 500,
            };
            self.ts_probe = now_ms.wrapping_add(self.probe_wait_ms);
        } else if diff(now_ms, self.ts_probe) >= 0 {
            self.probe_wait_ms = (self.probe_wait_ms + self.probe_wait_ms / 2).min(PROBE_LIMIT_MS);
            self.ts_probe = now_ms.wrapping_add(self.probe_wait_ms);
            self.ask = true;
            marks.hit(Mark::WindowProbe);
        }
    }

    /// Milliseconds until the next probe is due; `None` while the window is open.
    pub(super) fn probe_due_ms(&self, now: Instant) -> Option<u32> {
        if self.segments != 0 {
            return None;
        }
        let due = if self.probe_wait_ms == 0 { 0 } else { diff(self.ts_probe, now.ms()).max(0) };
        Some(due as u32)
    }

    /// Probes wait for a bounded time.
    pub(super) fn check_invariants(&self) {
        assert!(self.probe_wait_ms <= PROBE_LIMIT_MS, "a probe waits too long");
    }
}
