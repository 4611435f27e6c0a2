//! The congestion window of senders without `nc`, in kcp-go's arithmetic (KCP-13).

use crate::arq::conversation::State;

/// Smallest slow-start threshold, segments.
const SSTHRESH_MIN: u32 = 2;

/// A window in segments and, for its growth, in bytes.
#[derive(Debug)]
pub(in crate::arq) struct CongestionWindow {
    pub(in crate::arq) segments: u32,
    ssthresh: u32,
    /// The window in bytes.
    incr: u32,
}

impl CongestionWindow {
    pub(in crate::arq) const fn new() -> Self {
        Self { segments: 0, ssthresh: SSTHRESH_MIN, incr: 0 }
    }

    /// Slow start and congestion avoidance, once per datagram that moves una.
    pub(in crate::arq) fn grow(&mut self, rmt_wnd: u32, mss: u32) {
        if self.segments >= rmt_wnd {
            return;
        }
        if self.segments < self.ssthresh {
            self.segments += 1;
            self.incr = self.incr.wrapping_add(mss);
        } else {
            self.incr = self.incr.max(mss);
            self.incr = self.incr.wrapping_add(mss.wrapping_mul(mss) / self.incr + mss / 16);
            if (self.segments + 1).wrapping_mul(mss) <= self.incr {
                self.segments = self.incr.wrapping_add(mss - 1) / mss;
            }
        }
        if self.segments > rmt_wnd {
            self.segments = rmt_wnd;
            self.incr = rmt_wnd.wrapping_mul(mss);
        }
    }

    /// A flush retransmitted early: half of what is in flight, and `resend` more.
    pub(in crate::arq) fn halve(&mut self, in_flight: u32, resend: u32, mss: u32) {
        self.ssthresh = (in_flight / 2).max(SSTHRESH_MIN);
        self.segments = self.ssthresh.wrapping_add(resend);
        self.incr = self.segments.wrapping_mul(mss);
    }

    /// A flush retransmitted after a timeout: one segment. `window` is the window that the flush began with.
    pub(in crate::arq) fn collapse(&mut self, window: u32, mss: u32) {
        self.ssthresh = (window / 2).max(SSTHRESH_MIN);
        (self.segments, self.incr) = (1, mss);
    }

    /// The end of a flush: at least one segment.
    pub(in crate::arq) fn raise(&mut self, mss: u32) {
        if self.segments < 1 {
            (self.segments, self.incr) = (1, mss);
        }
    }

    pub(in crate::arq) fn add_to(&self, state: State) -> State {
        State { cwnd: self.segments, ssthresh: self.ssthresh, incr: self.incr, ..state }
    }

    pub(in crate::arq) fn check_invariants(&self) {
        assert!(self.ssthresh >= SSTHRESH_MIN, "slow-start threshold");
    }
}
