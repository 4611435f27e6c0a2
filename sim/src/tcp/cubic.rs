//! CUBIC (RFC 9438) with the slow start that ends before the first loss (HyStart, as in Linux): the delay of a round trip has
//! grown, or a train of acknowledgements has lasted for half of one.

use super::control::{Ack, Control, Flow};

/// Multiplicative decrease, 0.7, of 1024.
const BETA: u64 = 717;
/// Time that a decrease is remembered by HyStart, which ignores delays right after one.
const SETTLE_US: u64 = 1_000_000;
/// Most growth per acknowledged segment: one for two.
const PER_GROWTH_MIN: u64 = 2;
const HYSTART_CWND_MIN: u64 = 16;
const TRAIN_GAP_US: u64 = 2_000;
const SAMPLES: u32 = 8;

/// State of CUBIC.
#[derive(Debug, Default)]
pub(super) struct Cubic {
    /// Window before the last decrease.
    last_max: u64,
    /// When the current epoch began, and its inflection point: time and window.
    epoch_us: Option<u64>,
    inflection_us: u64,
    origin: u64,
    /// Window that Reno would have, and segments that count towards its next growth.
    reno: u64,
    reno_counted: u64,
    counted: u64,
    min_delay_us: Option<u64>,
    start: HyStart,
}

/// State of HyStart.
#[derive(Debug, Default)]
struct HyStart {
    round_us: u64,
    /// The round is over when this is acknowledged.
    round_end: u64,
    last_ack_us: u64,
    samples: u32,
    least_us: Option<u64>,
    has_ended: bool,
}

impl Control for Cubic {
    fn threshold(&mut self, flow: &Flow) -> u64 {
        self.epoch_us = None;
        // TCP-16: a flow that lost before it reached its last maximum leaves room to others.
        let fast = flow.cwnd < self.last_max;
        self.last_max = if fast { flow.cwnd * (1024 + BETA) / 2048 } else { flow.cwnd };
        (flow.cwnd * BETA / 1024).max(2)
    }

    fn acked(&mut self, flow: &mut Flow, ack: &Ack) {
        if !flow.is_limited {
            return;
        }
        let rest = if flow.is_in_slow_start() { flow.slow_start(ack.delivered) } else { ack.delivered };
        if rest > 0 {
            let per_growth = self.per_growth(flow, rest);
            if self.counted >= per_growth {
                self.counted = 0;
                flow.cwnd += 1;
            }
            self.counted += rest;
            flow.cwnd += self.counted / per_growth;
            self.counted %= per_growth;
        }
    }

    fn sampled(&mut self, flow: &mut Flow, ack: &Ack) {
        let Some(rtt_us) = ack.rtt_us else { return };
        if self.epoch_us.is_some_and(|epoch| flow.now_us < epoch + SETTLE_US) {
            return;
        }
        self.min_delay_us = Some(self.min_delay_us.map_or(rtt_us, |min| min.min(rtt_us)).max(1));
        let is_starting = flow.is_in_slow_start() && flow.cwnd >= HYSTART_CWND_MIN;
        if is_starting
            && !self.start.has_ended
            && self.start.ends(flow, rtt_us, self.min_delay_us.unwrap_or(1))
        {
            flow.ssthresh = flow.cwnd;
        }
    }

    fn timed_out(&mut self, flow: &mut Flow) {
        *self = Self::default();
        self.start.begin(flow);
    }

    fn restarted(&mut self, flow: &mut Flow, idle_us: u64) {
        self.epoch_us = self.epoch_us.map(|epoch| (epoch + idle_us).min(flow.now_us));
    }
}

impl Cubic {
    /// TCP-15: acknowledged segments for which the window grows by one.
    fn per_growth(&mut self, flow: &Flow, acked: u64) -> u64 {
        self.reno_counted += acked;
        let epoch = *self.epoch_us.get_or_insert_with(|| {
            self.reno_counted = acked;
            self.reno = flow.cwnd;
            self.origin = self.last_max.max(flow.cwnd);
            // W_max - cwnd = 0.4 K^3, K in seconds.
            let drop = u128::from(self.origin - flow.cwnd);
            self.inflection_us = cube_root(drop * 5 / 2 * 1_000_000_000_000_000_000);
            flow.now_us
        });
        let at_us = flow.now_us - epoch + self.min_delay_us.unwrap_or(0);
        let offset_ms = u128::from(at_us.abs_diff(self.inflection_us) / 1_000);
        let change = (offset_ms * offset_ms * offset_ms * 2 / 5_000_000_000).min(1 << 32) as u64;
        let target = if at_us < self.inflection_us {
            self.origin.saturating_sub(change)
        } else {
            self.origin + change
        };
        let cwnd = flow.cwnd;
        let mut per_growth = if target > cwnd { cwnd / (target - cwnd) } else { 100 * cwnd };
        if self.last_max == 0 {
            per_growth = per_growth.min(20);
        }
        per_growth.min(self.per_growth_of_reno(cwnd)).max(PER_GROWTH_MIN)
    }

    /// What Reno with the same decrease would have by now is the least.
    fn per_growth_of_reno(&mut self, cwnd: u64) -> u64 {
        // 3 (1 - beta) / (1 + beta) segments per window.
        let per_growth = (cwnd * 15 / 8).max(1);
        self.reno += self.reno_counted / per_growth;
        self.reno_counted %= per_growth;
        if self.reno > cwnd { cwnd / (self.reno - cwnd) } else { u64::MAX }
    }
}

impl HyStart {
    fn begin(&mut self, flow: &Flow) {
        (self.round_us, self.last_ack_us) = (flow.now_us, flow.now_us);
        (self.round_end, self.samples, self.least_us) = (flow.nxt, 0, None);
    }

    /// TCP-17: whether slow start ends.
    fn ends(&mut self, flow: &Flow, rtt_us: u64, min_us: u64) -> bool {
        if flow.una > self.round_end {
            self.begin(flow);
        }
        if flow.now_us - self.last_ack_us <= TRAIN_GAP_US {
            self.last_ack_us = flow.now_us;
            self.has_ended |= flow.now_us - self.round_us > min_us / 2;
        }
        let least_us = self.least_us.map_or(rtt_us, |least| least.min(rtt_us));
        self.least_us = Some(least_us);
        if self.samples < SAMPLES {
            self.samples += 1;
        } else {
            self.has_ended |= least_us > min_us + (min_us / 8).clamp(4_000, 16_000);
        }
        self.has_ended
    }
}

/// The greatest whole number whose cube is at most `value`, below 2^42.
fn cube_root(value: u128) -> u64 {
    (0..42).rev().fold(0_u64, |root, bit| {
        let next = u128::from(root | 1 << bit);
        if next * next * next <= value { next as u64 } else { root }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(now_us: u64, cwnd: u64) -> Flow {
        Flow {
            now_us,
            ssthresh: 2,
            smoothed_us: Some(100_000),
            min_rtt_us: Some(100_000),
            in_flight: cwnd,
            is_limited: true,
            ..Flow::new(cwnd)
        }
    }

    #[test]
    fn cube_roots_are_exact() {
        for root in [0, 1, 2, 9, 1_000_000, (1 << 42) - 1] {
            let cube = u128::from(root) * u128::from(root) * u128::from(root);
            assert_eq!(cube_root(cube), root);
            assert_eq!(cube_root(cube + 1), if root == 0 { 1 } else { root });
        }
    }

    /// TCP-15: after a loss at 1000 segments the window is 700, and back at about 1000 after K = (300 / 0.4)^(1/3) = 9.1 s.
    #[test]
    fn the_window_regains_its_maximum_at_the_inflection_point() {
        let mut cubic = Cubic::default();
        let mut now = flow(0, 1_000);
        now.cwnd = cubic.threshold(&now);
        assert_eq!(now.cwnd, 700);
        let mut window_at = |until_ms: u64| {
            while now.now_us < until_ms * 1_000 {
                now.now_us += 100_000;
                let ack = Ack { delivered: now.cwnd, ..Ack::default() };
                cubic.acked(&mut now, &ack);
            }
            now.cwnd
        };
        let (half, whole, later) = (window_at(4_500), window_at(9_100), window_at(13_600));
        assert!((940..985).contains(&half), "{half}");
        assert!((975..1_010).contains(&whole), "{whole}");
        assert!(later > whole + 20, "{later}");
    }

    /// TCP-16.
    #[test]
    fn a_second_loss_below_the_maximum_lowers_it() {
        let mut cubic = Cubic::default();
        cubic.threshold(&flow(0, 1_000));
        cubic.threshold(&flow(0, 900));
        assert_eq!(cubic.last_max, 900 * 1741 / 2048);
    }

    /// TCP-17.
    #[test]
    fn slow_start_ends_when_the_round_trip_grows() {
        let mut cubic = Cubic::default();
        let mut sample = |n: u64, rtt_us: u64| {
            let mut flow = Flow { ssthresh: u64::MAX, una: n, nxt: n + 100, ..flow(n * 3_000, 40) };
            cubic.sampled(&mut flow, &Ack { rtt_us: Some(rtt_us), ..Ack::default() });
            flow.ssthresh == 40
        };
        assert!((1..150).all(|n| !sample(n, 100_000)));
        assert!((150..400).any(|n| sample(n, 115_000)));
    }
}
