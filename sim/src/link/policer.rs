use crate::plan::{PolicerPlan, Timeline};
use engine::Instant;

/// Tokens of one byte: a bit per second fills a token per microsecond.
const TOKENS_PER_BYTE: u64 = 8 * 1_000_000;

/// The policer with its bucket.
#[derive(Debug)]
pub struct Policer {
    plan: Timeline<PolicerPlan>,
    tokens: u64,
    filled_at: Instant,
    penalty_until: Option<Instant>,
    /// Penalties so far.
    penalties: u64,
}

impl Policer {
    /// A full bucket.
    pub fn new(plan: Timeline<PolicerPlan>) -> Self {
        let tokens = plan.at(Instant::ZERO).burst_bytes.saturating_mul(TOKENS_PER_BYTE);
        Self { plan, tokens, filled_at: Instant::ZERO, penalty_until: None, penalties: 0 }
    }

    /// Whether a packet of `bytes` passes.
    pub fn passes(&mut self, now: Instant, bytes: u32) -> bool {
        let plan = self.plan.at(now);
        self.fill(now, &plan);
        let needed = u64::from(bytes) * TOKENS_PER_BYTE;
        if let Some(left) = self.tokens.checked_sub(needed) {
            self.tokens = left;
            return true;
        }
        if let (Some(penalty), None) = (plan.penalty, self.penalty_until) {
            self.penalty_until = Some(now + std::time::Duration::from_micros(penalty.for_us));
            self.penalties += 1;
        }
        false
    }

    /// Penalties so far.
    pub const fn penalties(&self) -> u64 {
        self.penalties
    }

    fn fill(&mut self, now: Instant, plan: &PolicerPlan) {
        if let (Some(until), Some(penalty)) = (self.penalty_until, plan.penalty) {
            self.add(now.min(until), penalty.bits_per_s, plan.burst_bytes);
            if now < until {
                return;
            }
        }
        self.penalty_until = None;
        self.add(now, plan.bits_per_s, plan.burst_bytes);
    }

    fn add(&mut self, until: Instant, bits_per_s: u64, burst_bytes: u64) {
        let us = until.since(self.filled_at).as_micros() as u64;
        let full = burst_bytes.saturating_mul(TOKENS_PER_BYTE);
        self.tokens = self.tokens.saturating_add(us.saturating_mul(bits_per_s)).min(full);
        self.filled_at = self.filled_at.max(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Penalty;

    const PENALTY: Penalty = Penalty { bits_per_s: 1_000_000, for_us: 2_000_000 };

    fn policer(penalty: Option<Penalty>) -> Policer {
        Policer::new(PolicerPlan { bits_per_s: 8_000_000, burst_bytes: 20_000, penalty }.into())
    }

    /// Packets of 1000 bytes that pass between two times, one every `gap_us`.
    fn passed(policer: &mut Policer, from_us: u64, to_us: u64, gap_us: u64) -> u64 {
        (from_us..to_us)
            .step_by(gap_us as usize)
            .map(|us| u64::from(policer.passes(Instant::from_micros(us), 1_000)))
            .sum()
    }

    #[test]
    fn lets_a_burst_pass_and_then_the_rate() {
        let mut policer = policer(None);
        assert_eq!((0..30).filter(|_| policer.passes(Instant::ZERO, 1_000)).count(), 20);
        // 8 Mbit/s are a packet per millisecond; twice as many are offered.
        assert_eq!(passed(&mut policer, 500, 10_000_500, 500), 10_000);
        assert_eq!(policer.penalties(), 0);
    }

    #[test]
    fn an_overrun_is_followed_by_the_penalty_and_by_the_full_rate() {
        let mut policer = policer(Some(PENALTY));
        // The rate itself is no overrun.
        assert_eq!(passed(&mut policer, 0, 1_000_000, 1_000), 1_000);
        assert_eq!(policer.penalties(), 0);
        // Twice the rate empties the bucket within 20 ms, after 39 packets; 1 Mbit/s for 1.98 s are 248 packets.
        assert_eq!(passed(&mut policer, 1_000_000, 3_000_000, 500), 39 + 248);
        assert_eq!(policer.penalties(), 1);
        assert_eq!(passed(&mut policer, 3_100_000, 4_100_000, 1_000), 1_000);
        assert_eq!(policer.penalties(), 1);
    }
}
