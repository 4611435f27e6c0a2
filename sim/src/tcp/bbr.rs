//! BBR version 1 as in Linux (draft-cardwell-iccrg-bbr-congestion-control-00; the state machine of draft-ietf-ccwg-bbr without
//! its reactions to loss, TCP-19): a model of the bottleneck's bandwidth and of the minimum round trip, probed in turn.

use super::MSS;
use super::control::{Ack, Control, Flow, Phase};
use std::collections::VecDeque;

/// Gains in 256ths: 2.885 in startup, its inverse in drain, 2 for the window.
const HIGH_GAIN: u64 = 739;
const DRAIN_GAIN: u64 = 88;
const WINDOW_GAIN: u64 = 512;
/// Pacing gains of the eight phases in which bandwidth is probed.
const CYCLE: [u64; 8] = [320, 192, 256, 256, 256, 256, 256, 256];
const UNIT: u64 = 256;
/// Round trips over which the bandwidth is the maximum.
const BANDWIDTH_ROUNDS: u64 = 10;
const MIN_RTT_WINDOW_US: u64 = 10_000_000;
const PROBE_RTT_US: u64 = 200_000;
const WINDOW_MIN: u64 = 4;
const WINDOW_INITIAL: u64 = 10;
/// Rounds without a growth of the bandwidth by a quarter that end startup.
const FULL_ROUNDS: u32 = 3;
/// Most time of acknowledgements that come at once for which the window has room.
const EXTRA_US: u64 = 100_000;

/// What the sender does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Startup,
    Drain,
    ProbeBandwidth { phase: usize },
    ProbeRtt { done_us: Option<u64>, round_over: bool },
}

/// State of BBR. Bandwidths are in segments per second, times 1024.
#[derive(Debug)]
pub(super) struct Bbr {
    state: State,
    dice: u64,
    /// Maxima of recent rounds, descending: round, bandwidth.
    bandwidths: VecDeque<(u64, u64)>,
    round: u64,
    round_end: u64,
    round_starts: bool,
    min_rtt_us: Option<u64>,
    min_rtt_at_us: u64,
    cycle_at_us: u64,
    full_bandwidth: u64,
    full_rounds: u32,
    pacing_rate: u64,
    has_sampled_rtt: bool,
    prior_cwnd: u64,
    prior_phase: Phase,
    conserves_until: Option<u64>,
    restarts_from_idle: bool,
    policed: Policed,
    extra: Extra,
}

/// Detection of a token bucket by two intervals with much loss and the same rate.
#[derive(Debug, Default)]
struct Policed {
    is_sampling: bool,
    rounds: u64,
    since_us: u64,
    delivered: u64,
    lost: u64,
    bandwidth: u64,
    is_used: bool,
}

/// Acknowledgements that exceed the bandwidth.
#[derive(Debug, Default)]
struct Extra {
    since_us: u64,
    acked: u64,
    /// Maxima of the last five rounds and of the five before.
    most: [u64; 2],
    rounds: u64,
}

impl Bbr {
    pub(super) fn new(dice: u64) -> Self {
        Self {
            state: State::Startup,
            dice,
            bandwidths: VecDeque::new(),
            round: 0,
            round_end: 0,
            round_starts: false,
            min_rtt_us: None,
            min_rtt_at_us: 0,
            cycle_at_us: 0,
            full_bandwidth: 0,
            full_rounds: 0,
            pacing_rate: 0,
            has_sampled_rtt: false,
            prior_cwnd: 0,
            prior_phase: Phase::Open,
            conserves_until: None,
            restarts_from_idle: false,
            policed: Policed::default(),
            extra: Extra::default(),
        }
    }

    fn bandwidth(&self) -> u64 {
        if self.policed.is_used { self.policed.bandwidth } else { self.max_bandwidth() }
    }

    fn max_bandwidth(&self) -> u64 {
        self.bandwidths.front().map_or(0, |&(_, bandwidth)| bandwidth)
    }

    const fn is_full(&self) -> bool {
        self.full_rounds >= FULL_ROUNDS
    }

    fn gains(&self) -> (u64, u64) {
        match self.state {
            State::Startup => (HIGH_GAIN, HIGH_GAIN),
            State::Drain => (DRAIN_GAIN, HIGH_GAIN),
            State::ProbeBandwidth { .. } if self.policed.is_used => (UNIT, WINDOW_GAIN),
            State::ProbeBandwidth { phase } => (CYCLE[phase], WINDOW_GAIN),
            State::ProbeRtt { .. } => (UNIT, UNIT),
        }
    }

    /// Segments in flight at `gain` times the bandwidth and the minimum round trip.
    fn product(&self, bandwidth: u64, gain: u64) -> u64 {
        let Some(rtt_us) = self.min_rtt_us else { return WINDOW_INITIAL };
        let segments = u128::from(bandwidth) * u128::from(rtt_us) * u128::from(gain);
        segments.div_ceil(1_000_000 * 1024 * u128::from(UNIT)) as u64
    }

    /// The same with room for segments that wait in trains.
    fn inflight(&self, bandwidth: u64, gain: u64) -> u64 {
        self.with_room(self.product(bandwidth, gain))
    }

    /// Room for trains beside `segments`, and for two more while bandwidth is probed.
    fn with_room(&self, segments: u64) -> u64 {
        let room = (segments + 3 * burst(self.pacing_rate)).next_multiple_of(2);
        let is_probing = self.state == State::ProbeBandwidth { phase: 0 };
        if is_probing { room + 2 } else { room }
    }

    fn update_bandwidth(&mut self, flow: &Flow, ack: &Ack) {
        self.round_starts = false;
        let Some(rate) = ack.rate else { return };
        if rate.prior_delivered >= self.round_end {
            self.round_end = flow.delivered;
            self.round += 1;
            self.round_starts = true;
            self.conserves_until = None;
        }
        self.sample_policed(flow, ack, rate.is_app_limited);
        let sample = rate.delivered * 1_000_000 * 1024 / rate.interval_us;
        if !rate.is_app_limited || sample >= self.max_bandwidth() {
            while self.bandwidths.back().is_some_and(|&(_, last)| last <= sample) {
                self.bandwidths.pop_back();
            }
            self.bandwidths.push_back((self.round, sample));
        }
        let round = self.round;
        while self.bandwidths.len() > 1
            && self.bandwidths.front().is_some_and(|&(at, _)| at + BANDWIDTH_ROUNDS < round)
        {
            self.bandwidths.pop_front();
        }
    }

    /// Sends at the rate of a policer for up to 48 rounds.
    fn sample_policed(&mut self, flow: &Flow, ack: &Ack, is_app_limited: bool) {
        let starts = self.round_starts;
        let policed = &mut self.policed;
        if policed.is_used {
            policed.rounds += u64::from(starts);
            if self.state != State::Startup && policed.rounds >= 48 {
                *policed = Policed::default();
                policed.restart(flow);
                self.begin_probing(flow);
            }
            return;
        }
        if !policed.is_sampling {
            if ack.lost == 0 {
                return;
            }
            policed.restart(flow);
            policed.is_sampling = true;
        }
        if is_app_limited {
            return *policed = Policed::default();
        }
        policed.rounds += u64::from(starts);
        if policed.rounds < 4 {
            return;
        }
        if policed.rounds > 16 {
            return *policed = Policed::default();
        }
        let (lost, delivered) = (flow.lost - policed.lost, flow.delivered - policed.delivered);
        let elapsed_us = flow.delivered_us.saturating_sub(policed.since_us);
        if ack.lost == 0 || delivered == 0 || lost * UNIT < 50 * delivered || elapsed_us < 1_000 {
            return;
        }
        let bandwidth = delivered * 1_000_000 * 1024 / elapsed_us;
        let difference = bandwidth.abs_diff(policed.bandwidth);
        let same =
            policed.bandwidth > 0 && (difference * 8 <= policed.bandwidth || difference * MSS / 1024 <= 500);
        if same {
            policed.bandwidth = bandwidth.midpoint(policed.bandwidth);
            (policed.is_used, policed.rounds) = (true, 0);
        } else {
            policed.bandwidth = bandwidth;
            policed.restart(flow);
        }
    }

    /// Room for acknowledgements that come in bursts.
    fn update_extra(&mut self, flow: &Flow, ack: &Ack) {
        if self.round_starts {
            self.extra.rounds += 1;
            if self.extra.rounds >= 5 {
                self.extra.rounds = 0;
                self.extra.most = [0, self.extra.most[0]];
            }
        }
        let bandwidth = self.bandwidth();
        let elapsed_us = flow.now_us.saturating_sub(self.extra.since_us);
        let expected = (u128::from(bandwidth) * u128::from(elapsed_us) / (1024 * 1_000_000)) as u64;
        if self.extra.acked <= expected || self.extra.acked + ack.delivered >= 1 << 20 {
            (self.extra.acked, self.extra.since_us) = (0, flow.now_us);
        }
        let expected = if self.extra.acked == 0 { 0 } else { expected };
        self.extra.acked += ack.delivered;
        let extra = self.extra.acked.saturating_sub(expected).min(flow.cwnd);
        self.extra.most[0] = self.extra.most[0].max(extra);
    }

    fn extra(&self) -> u64 {
        if !self.is_full() {
            return 0;
        }
        let most = self.bandwidth() * EXTRA_US / 1_000_000 / 1024;
        self.extra.most[0].max(self.extra.most[1]).min(most)
    }

    fn update_cycle(&mut self, flow: &Flow, ack: &Ack) {
        let State::ProbeBandwidth { phase } = self.state else { return };
        let gain = self.gains().0;
        let min_rtt_us = self.min_rtt_us.unwrap_or(0);
        let is_over = flow.delivered_us.saturating_sub(self.cycle_at_us) > min_rtt_us;
        // What is in flight when the next departure is due.
        let in_flight = ack.prior_in_flight;
        let next = match gain {
            UNIT => is_over,
            0..UNIT => is_over || in_flight <= self.inflight(self.max_bandwidth(), UNIT),
            _ => is_over && (ack.lost > 0 || in_flight >= self.inflight(self.max_bandwidth(), gain)),
        };
        if next {
            self.state = State::ProbeBandwidth { phase: (phase + 1) % CYCLE.len() };
            self.cycle_at_us = flow.delivered_us;
        }
    }

    fn begin_probing(&mut self, flow: &Flow) {
        // Any phase but the one that drains comes first.
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let phase = (8 - ((self.dice >> 33) % 7) as usize) % CYCLE.len();
        self.state = State::ProbeBandwidth { phase };
        self.cycle_at_us = flow.delivered_us;
    }

    fn update_full(&mut self, ack: &Ack) {
        if self.is_full() || !self.round_starts || ack.rate.is_none_or(|rate| rate.is_app_limited) {
            return;
        }
        if self.max_bandwidth() * 4 >= self.full_bandwidth * 5 {
            (self.full_bandwidth, self.full_rounds) = (self.max_bandwidth(), 0);
        } else {
            self.full_rounds += 1;
        }
    }

    fn update_drain(&mut self, flow: &Flow) {
        if self.state == State::Startup && self.is_full() {
            self.state = State::Drain;
        }
        if self.state == State::Drain && flow.in_flight <= self.inflight(self.max_bandwidth(), UNIT) {
            self.begin_probing(flow);
        }
    }

    fn update_min_rtt(&mut self, flow: &mut Flow, ack: &Ack) {
        let has_expired = flow.now_us > self.min_rtt_at_us + MIN_RTT_WINDOW_US;
        if let Some(rtt_us) = ack.rtt_us {
            let is_less = self.min_rtt_us.is_none_or(|min| rtt_us < min);
            if is_less || (has_expired && !ack.is_delayed) {
                (self.min_rtt_us, self.min_rtt_at_us) = (Some(rtt_us), flow.now_us);
            }
        }
        let is_probing = matches!(self.state, State::ProbeRtt { .. });
        if has_expired && !self.restarts_from_idle && !is_probing {
            self.state = State::ProbeRtt { done_us: None, round_over: false };
            self.save(flow);
        }
        if let State::ProbeRtt { done_us, round_over } = self.state {
            self.probe_rtt(flow, done_us, round_over);
        }
        if ack.delivered > 0 {
            self.restarts_from_idle = false;
        }
    }

    fn probe_rtt(&mut self, flow: &mut Flow, done_us: Option<u64>, round_over: bool) {
        let Some(done_us) = done_us else {
            if flow.in_flight <= WINDOW_MIN {
                self.state = State::ProbeRtt { done_us: Some(flow.now_us + PROBE_RTT_US), round_over: false };
                self.round_end = flow.delivered;
            }
            return;
        };
        let round_over = round_over || self.round_starts;
        self.state = State::ProbeRtt { done_us: Some(done_us), round_over };
        if round_over && flow.now_us > done_us {
            self.min_rtt_at_us = flow.now_us;
            flow.cwnd = flow.cwnd.max(self.prior_cwnd);
            if self.is_full() { self.begin_probing(flow) } else { self.state = State::Startup }
        }
    }

    fn save(&mut self, flow: &Flow) {
        let lowered = self.prior_phase != Phase::Open || matches!(self.state, State::ProbeRtt { .. });
        self.prior_cwnd = if lowered { self.prior_cwnd.max(flow.cwnd) } else { flow.cwnd };
    }

    fn update_rate(&mut self, flow: &Flow) {
        let (gain, _) = self.gains();
        let rate = rate_bytes(self.bandwidth(), gain);
        if !self.has_sampled_rtt && flow.smoothed_us.is_some() {
            self.has_sampled_rtt = true;
            self.pacing_rate = initial_rate(flow);
        }
        if self.is_full() || rate > self.pacing_rate {
            self.pacing_rate = rate;
        }
    }

    fn update_window(&mut self, flow: &mut Flow, ack: &Ack) {
        let (_, gain) = self.gains();
        if ack.delivered > 0 && !self.recovers(flow, ack) {
            let target = self.with_room(self.product(self.bandwidth(), gain) + self.extra());
            if self.is_full() {
                flow.cwnd = (flow.cwnd + ack.delivered).min(target);
            } else if flow.cwnd < target || flow.delivered < WINDOW_INITIAL {
                flow.cwnd += ack.delivered;
            }
            flow.cwnd = flow.cwnd.max(WINDOW_MIN);
        }
        if matches!(self.state, State::ProbeRtt { .. }) {
            flow.cwnd = flow.cwnd.min(WINDOW_MIN);
        }
    }

    /// In the first round of recovery as much leaves as was delivered; afterwards the window is restored.
    fn recovers(&mut self, flow: &mut Flow, ack: &Ack) -> bool {
        if ack.lost > 0 {
            flow.cwnd = flow.cwnd.saturating_sub(ack.lost).max(1);
        }
        let (prior, phase) = (self.prior_phase, flow.phase);
        self.prior_phase = phase;
        if phase == Phase::Recovery && prior != Phase::Recovery {
            self.conserves_until = Some(flow.delivered);
            self.round_end = flow.delivered;
            flow.cwnd = flow.in_flight + ack.delivered;
        } else if prior != Phase::Open && phase == Phase::Open {
            flow.cwnd = flow.cwnd.max(self.prior_cwnd);
            self.conserves_until = None;
        }
        if self.conserves_until.is_some() {
            flow.cwnd = flow.cwnd.max(flow.in_flight + ack.delivered);
        }
        self.conserves_until.is_some()
    }
}

impl Control for Bbr {
    /// The window is kept for the time after recovery.
    fn threshold(&mut self, flow: &Flow) -> u64 {
        self.save(flow);
        flow.ssthresh
    }

    fn acked(&mut self, flow: &mut Flow, ack: &Ack) {
        self.update_bandwidth(flow, ack);
        self.update_extra(flow, ack);
        self.update_cycle(flow, ack);
        self.update_full(ack);
        self.update_drain(flow);
        self.update_min_rtt(flow, ack);
        self.update_rate(flow);
        self.update_window(flow, ack);
    }

    fn timed_out(&mut self, flow: &mut Flow) {
        self.prior_phase = Phase::Loss;
        self.full_bandwidth = 0;
        self.round_starts = true;
        if !self.policed.is_sampling && !self.policed.is_used {
            self.policed.restart(flow);
            self.policed.is_sampling = true;
        }
    }

    fn undone(&mut self, flow: &mut Flow) {
        (self.full_bandwidth, self.full_rounds) = (0, if self.is_full() { FULL_ROUNDS } else { 0 });
        self.policed = Policed::default();
        flow.cwnd = flow.cwnd.max(self.prior_cwnd);
    }

    fn restarted(&mut self, flow: &mut Flow, _idle_us: u64) {
        if !flow.is_app_limited {
            return;
        }
        self.restarts_from_idle = true;
        (self.extra.since_us, self.extra.acked) = (flow.now_us, 0);
        if matches!(self.state, State::ProbeBandwidth { .. }) {
            self.pacing_rate = rate_bytes(self.bandwidth(), UNIT);
        }
    }

    fn owns_recovery(&self) -> bool {
        true
    }

    fn pacing_rate(&self, flow: &Flow) -> Option<u64> {
        Some(if self.pacing_rate > 0 { self.pacing_rate } else { initial_rate(flow) })
    }
}

impl Policed {
    /// A new interval; the bandwidth of the last one is kept.
    const fn restart(&mut self, flow: &Flow) {
        self.since_us = flow.delivered_us;
        (self.delivered, self.lost, self.rounds) = (flow.delivered, flow.lost, 0);
    }
}

/// Segments that leave at once: those of a millisecond, but at least two, or one at rates below 1.2 Mbit/s.
pub(super) fn burst(rate: u64) -> u64 {
    let least = if rate < 150_000 { 1 } else { 2 };
    (rate / 1024 / MSS).clamp(least, 44)
}

/// Bytes per second at `gain` times that bandwidth, with a margin of 1 %.
fn rate_bytes(bandwidth: u64, gain: u64) -> u64 {
    (u128::from(bandwidth) * u128::from(MSS) * u128::from(gain) * 99 / (1024 * u128::from(UNIT) * 100)) as u64
}

/// The window in a round trip, or in a millisecond before the first sample.
fn initial_rate(flow: &Flow) -> u64 {
    let bandwidth = flow.cwnd.max(1) * 1024 * 1_000_000 / flow.smoothed_us.unwrap_or(1_000).max(1);
    rate_bytes(bandwidth, HIGH_GAIN)
}
