//! The rate limit: a token bucket over whole datagrams, parity included (overview section 5).

use crate::time::Instant;

/// Largest burst after a pause, bytes; kcp-go's 64 datagrams of 1500.
const BURST_BYTES: u64 = 96_000;

#[derive(Debug)]
pub(super) struct RateLimiter {
    bytes_per_s: u64,
    /// Filled up to here; a datagram may leave while the bucket holds one mtu.
    bytes: u64,
    filled_at: Instant,
    /// Set while datagrams wait for the bucket.
    resume_at: Option<Instant>,
}

impl RateLimiter {
    /// A full bucket; `None` for a rate of 0, which means no limit.
    pub(super) fn new(bytes_per_s: u64, now: Instant) -> Option<Self> {
        (bytes_per_s > 0).then_some(Self { bytes_per_s, bytes: BURST_BYTES, filled_at: now, resume_at: None })
    }

    /// Bytes that may leave now: 0, or at least `mtu`.
    pub(super) fn allowance(&mut self, now: Instant, mtu: usize) -> usize {
        let elapsed_us = now.since(self.filled_at).as_micros() as u64;
        let earned = u128::from(elapsed_us) * u128::from(self.bytes_per_s) / 1_000_000;
        let earned = u64::try_from(earned).unwrap_or(u64::MAX);
        if earned > 0 {
            // What is left of the elapsed time after whole bytes is kept for the next call.
            let spent_us = u128::from(earned) * 1_000_000 / u128::from(self.bytes_per_s);
            self.filled_at = Instant::from_micros(self.filled_at.as_micros() + spent_us as u64);
            self.bytes = self.bytes.saturating_add(earned).min(BURST_BYTES);
        }
        if self.bytes >= mtu as u64 {
            self.resume_at = None;
            return self.bytes as usize;
        }
        let missing = mtu as u64 - self.bytes;
        let wait_us = u128::from(missing) * 1_000_000 / u128::from(self.bytes_per_s) + 1;
        self.resume_at =
            Some(Instant::from_micros(self.filled_at.as_micros().saturating_add(wait_us as u64)));
        0
    }

    pub(super) fn spend(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes as u64);
    }

    pub(super) fn resume_at(&self) -> Option<Instant> {
        self.resume_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_run_rate_is_exact_and_bursts_are_bounded() {
        let mut now = Instant::from_millis(5);
        let mut limiter = RateLimiter::new(1_000_000, now).unwrap();
        let mut sent = 0;
        let end = now.as_micros() + 10_000_000;
        while now.as_micros() < end {
            let room = limiter.allowance(now, 1350);
            if room == 0 {
                let resume = limiter.resume_at().unwrap();
                assert!(resume > now, "the limiter spins");
                now = resume;
                continue;
            }
            let bytes = room.min(20 * 1350);
            limiter.spend(bytes);
            sent += bytes;
        }
        assert!((9_990_000..=10_100_000).contains(&sent), "{sent} bytes in 10 s at 1 MB/s");
    }

    #[test]
    fn tiny_rates_neither_stop_nor_overflow() {
        let now = Instant::from_millis(1);
        let mut limiter = RateLimiter::new(1, now).unwrap();
        limiter.spend(96_000);
        assert_eq!(limiter.allowance(now, 1500), 0);
        let resume = limiter.resume_at().unwrap();
        assert!(limiter.allowance(resume, 1500) >= 1500);
    }
}
