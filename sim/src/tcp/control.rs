//! What congestion control sees and decides.

use super::bbr::Bbr;
use super::cubic::Cubic;
use super::rate::RateSample;
use crate::plan::Baseline;
use std::fmt::Debug;

/// The window and what it depends on, in segments and microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) now_us: u64,
    pub(super) cwnd: u64,
    pub(super) ssthresh: u64,
    pub(super) phase: Phase,
    pub(super) smoothed_us: Option<u64>,
    pub(super) min_rtt_us: Option<u64>,
    pub(super) in_flight: u64,
    /// Segments delivered and lost so far.
    pub(super) delivered: u64,
    pub(super) delivered_us: u64,
    pub(super) lost: u64,
    /// Acknowledged so far, and the next number to be sent.
    pub(super) una: u64,
    pub(super) nxt: u64,
    /// The window limits the sender.
    pub(super) is_limited: bool,
    /// What is in flight is limited by the application.
    pub(super) is_app_limited: bool,
}

/// State of loss recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing is lost.
    Open,
    /// Losses are repaired.
    Recovery,
    /// The timeout expired.
    Loss,
}

/// What an acknowledgement reported.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ack {
    /// Segments newly delivered, and newly lost.
    pub(super) delivered: u64,
    pub(super) lost: u64,
    /// Round trip of the last one; `None` if all were retransmitted.
    pub(super) rtt_us: Option<u64>,
    /// In flight before.
    pub(super) prior_in_flight: u64,
    /// The peer may have delayed it.
    pub(super) is_delayed: bool,
    pub(super) rate: Option<RateSample>,
    /// Numbers below were acknowledged.
    pub(super) advanced: bool,
}

impl Flow {
    /// At the start of a connection, with the threshold beyond any window.
    pub(super) const fn new(cwnd: u64) -> Self {
        Self {
            now_us: 0,
            cwnd,
            ssthresh: u32::MAX as u64,
            phase: Phase::Open,
            smoothed_us: None,
            min_rtt_us: None,
            in_flight: 0,
            delivered: 0,
            delivered_us: 0,
            lost: 0,
            una: 1,
            nxt: 1,
            is_limited: false,
            is_app_limited: false,
        }
    }

    pub(super) const fn is_in_slow_start(&self) -> bool {
        self.cwnd < self.ssthresh
    }

    /// Slow start (RFC 9293 section 3.8.2, RFC 5681): returns what is left for congestion avoidance.
    pub(super) fn slow_start(&mut self, acked: u64) -> u64 {
        let cwnd = (self.cwnd + acked).min(self.ssthresh);
        let rest = acked - (cwnd - self.cwnd);
        self.cwnd = cwnd;
        rest
    }
}

/// A congestion control.
pub(super) trait Control: Debug {
    /// Losses begin to be repaired, or the timeout expired: the threshold to which the window falls.
    fn threshold(&mut self, flow: &Flow) -> u64;

    /// An acknowledgement arrived; only while the window may grow, if the control leaves recovery to PRR.
    fn acked(&mut self, flow: &mut Flow, ack: &Ack);

    /// Takes the round trip of an acknowledgement, also in recovery.
    fn sampled(&mut self, _flow: &mut Flow, _ack: &Ack) {}

    /// The timeout expired.
    fn timed_out(&mut self, _flow: &mut Flow) {}

    /// The reduction was undone, because the losses were none.
    fn undone(&mut self, _flow: &mut Flow) {}

    /// Sending starts again after that idle time.
    fn restarted(&mut self, _flow: &mut Flow, _idle_us: u64) {}

    /// The window of recovery is its own, rather than that of PRR.
    fn owns_recovery(&self) -> bool {
        false
    }

    /// Bytes per second at which segments leave; `None` is as fast as the window permits.
    fn pacing_rate(&self, _flow: &Flow) -> Option<u64> {
        None
    }
}

/// The control of a baseline, as it is at the start of a connection.
pub(super) fn control(baseline: Baseline, dice: u64) -> Box<dyn Control> {
    match baseline {
        Baseline::Cubic => Box::new(Cubic::default()),
        Baseline::Reno => Box::new(Reno::default()),
        Baseline::Bbr => Box::new(Bbr::new(dice)),
    }
}

/// Reno (RFC 5681): one segment per window.
#[derive(Debug, Default)]
pub(super) struct Reno {
    counted: u64,
}

impl Control for Reno {
    fn threshold(&mut self, flow: &Flow) -> u64 {
        (flow.cwnd / 2).max(2)
    }

    fn acked(&mut self, flow: &mut Flow, ack: &Ack) {
        let rest = if flow.is_in_slow_start() { flow.slow_start(ack.delivered) } else { ack.delivered };
        self.counted += rest;
        if self.counted >= flow.cwnd {
            self.counted -= flow.cwnd;
            flow.cwnd += 1;
        }
    }
}
