//! Round-trip estimate and retransmission timeout in whole milliseconds (KCP-14).

use crate::time::diff;

/// Largest retransmission timeout, ms.
pub(super) const RTO_MAX_MS: u32 = 60_000;

/// kcp-go's estimator: integer arithmetic, asymmetric variance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rtt {
    pub(super) srtt_ms: i32,
    pub(super) rttvar_ms: i32,
    pub(super) rto_ms: u32,
    pub(super) rto_ms_min: u32,
    /// Clock before which transmissions give no samples (KCP-25, KCP-46).
    pub(super) trust_from_ms: Option<u32>,
}

impl Rtt {
    /// RTO 200 ms, at least 100 ms (KCP-4).
    pub(super) const fn new() -> Self {
        Self { srtt_ms: 0, rttvar_ms: 0, rto_ms: 200, rto_ms_min: 100, trust_from_ms: None }
    }

    /// Whether a transmission at `ts_ms` gives a sample. Acknowledgements of earlier transmissions may arrive late, behind
    /// those of later ones.
    #[inline]
    pub(super) fn trusts(&mut self, ts_ms: u32) -> bool {
        let Some(from_ms) = self.trust_from_ms else { return true };
        let later_ms = diff(ts_ms, from_ms);
        if later_ms > RTO_MAX_MS as i32 {
            self.trust_from_ms = None;
        }
        later_ms >= 0
    }

    /// Takes one sample. A sample of 0 leaves the estimator unset, so the next one counts as the first again.
    #[inline]
    pub(super) fn sample(&mut self, rtt_ms: i32, interval_ms: u32) {
        if self.srtt_ms == 0 {
            self.srtt_ms = rtt_ms;
            self.rttvar_ms = rtt_ms >> 1;
        } else {
            let delta = rtt_ms.wrapping_sub(self.srtt_ms);
            self.srtt_ms = self.srtt_ms.wrapping_add(delta >> 3);
            let gap = delta.wrapping_abs().wrapping_sub(self.rttvar_ms);
            let far_below = rtt_ms < self.srtt_ms.wrapping_sub(self.rttvar_ms);
            self.rttvar_ms = self.rttvar_ms.wrapping_add(gap >> if far_below { 5 } else { 2 });
        }
        let spread = interval_ms.max((self.rttvar_ms as u32).wrapping_shl(2));
        let rto = (self.srtt_ms as u32).wrapping_add(spread);
        self.rto_ms = rto.max(self.rto_ms_min).min(RTO_MAX_MS);
    }
    /// The RTO is bounded (KCP-14).
    pub(super) fn check_invariants(&self) {
        assert!(self.rto_ms <= RTO_MAX_MS, "retransmission timeout");
    }
}
