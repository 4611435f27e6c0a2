//! Loss detection by time (RACK, RFC 8985 section 6) and the state of recovery with its proportional rate (PRR, RFC 6937).

use super::control::{Ack, Flow, Phase};
use super::scoreboard::{Delivered, Scoreboard};

/// Segments that must be reported beyond a gap before recovery starts without waiting for reordering.
const REORDERING: u64 = 3;
/// Recoveries for which a larger reordering window is kept.
const WINDOW_KEPT: u32 = 16;

/// The most recent transmission that was delivered.
#[derive(Debug, Default)]
pub(super) struct Rack {
    newest: (u64, u64),
    rtt_us: u64,
    pub(super) has_reordering: bool,
    /// Quarters of the minimum round trip that reordering is given.
    quarters: u64,
    kept: u32,
    /// Duplicates raise the window once in a round trip: again when this is acknowledged.
    raised_until: u64,
}

/// What RACK found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Losses {
    pub(super) lost: u64,
    /// A retransmission was lost.
    pub(super) again: bool,
    /// Time after which the next segment is lost.
    pub(super) recheck_us: Option<u64>,
}

impl Rack {
    /// Takes a delivery.
    pub(super) fn advance(&mut self, now_us: u64, found: &Delivered, min_rtt_us: Option<u64>) {
        let rtt_us = now_us - found.sent.at_us;
        // TCP-5: the acknowledgement of an earlier transmission does not tell about a retransmission.
        if found.sent.is_retransmitted && min_rtt_us.is_some_and(|min| rtt_us < min) {
            return;
        }
        self.rtt_us = rtt_us;
        self.newest = self.newest.max((found.sent.at_us, found.start + found.sent.len));
    }

    /// A segment arrived twice, so that a retransmission was not needed.
    pub(super) fn duplicate(&mut self, una: u64, nxt: u64) {
        if una >= self.raised_until {
            self.quarters = (self.quarters.max(1) + 1).min(255);
            (self.kept, self.raised_until) = (WINDOW_KEPT, nxt);
        }
    }

    /// A recovery ended.
    pub(super) const fn recovered(&mut self) {
        self.kept = self.kept.saturating_sub(1);
        if self.kept == 0 {
            self.quarters = 1;
        }
    }

    fn window_us(&self, board: &Scoreboard, flow: &Flow) -> u64 {
        if !self.has_reordering && (flow.phase != Phase::Open || board.sacked() >= REORDERING) {
            return 0;
        }
        let quarter = flow.min_rtt_us.unwrap_or(0) / 4;
        (quarter * self.quarters.max(1)).min(flow.smoothed_us.unwrap_or(0))
    }

    /// TCP-5: a segment is lost when one sent later was delivered, and the round trip of that one has elapsed since.
    pub(super) fn detect(&self, board: &mut Scoreboard, flow: &Flow) -> Losses {
        let window_us = self.window_us(board, flow);
        let mut losses = Losses::default();
        let mut lost = Vec::new();
        for (start, sent) in board.flight() {
            if (sent.at_us, start + sent.len) >= self.newest {
                break;
            }
            let due_us = sent.at_us + self.rtt_us + window_us;
            if due_us <= flow.now_us {
                lost.push(start);
                losses.again |= sent.is_retransmitted;
            } else {
                losses.recheck_us = Some(losses.recheck_us.map_or(due_us, |at| at.max(due_us)));
            }
        }
        losses.lost = lost.len() as u64;
        lost.into_iter().for_each(|start| board.lose(start));
        losses
    }

    /// Segments that are lost when the timeout expires: all that were not sent recently.
    pub(super) fn expire(&self, board: &mut Scoreboard, now_us: u64) {
        let first = board.first().map(|(start, _)| start);
        let old = board
            .flight()
            .filter(|(start, sent)| Some(*start) == first || sent.at_us + self.rtt_us <= now_us);
        let lost: Vec<u64> = old.map(|(start, _)| start).collect();
        lost.into_iter().for_each(|start| board.lose(start));
    }
}

/// State of recovery.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    /// Recovery is over when this is acknowledged.
    pub(super) high: u64,
    /// Window and threshold before, to be restored if nothing was lost.
    prior: Option<(u64, u64)>,
    /// First retransmission, milliseconds of the timestamps.
    retransmitted_ms: Option<u32>,
    /// Retransmissions that were not reported as duplicates.
    unneeded: Option<u64>,
    prior_cwnd: u64,
    delivered: u64,
    pub(super) sent: u64,
}

impl Recovery {
    /// Starts with that threshold; as many retransmissions are in flight, of a recovery before.
    pub(super) fn begin(&mut self, flow: &mut Flow, phase: Phase, threshold: u64, again: u64) {
        // TCP-10: a timeout in recovery keeps what was there before it.
        if flow.phase == Phase::Open {
            self.prior = Some((flow.cwnd, flow.ssthresh));
            self.retransmitted_ms = self.retransmitted_ms.filter(|_| again > 0);
            self.unneeded = (again > 0).then_some(again);
        }
        (self.prior_cwnd, self.delivered, self.sent) = (flow.cwnd.max(1), 0, 0);
        self.high = flow.nxt;
        flow.ssthresh = threshold;
        flow.phase = phase;
    }

    /// A retransmission leaves.
    pub(super) fn retransmitted(&mut self, now_ms: u32) {
        self.retransmitted_ms.get_or_insert(now_ms);
        self.unneeded = Some(self.unneeded.unwrap_or(0) + 1);
    }

    /// A retransmission was reported as a duplicate.
    pub(super) fn duplicate(&mut self) {
        self.unneeded = self.unneeded.map(|left| left.saturating_sub(1));
    }

    /// TCP-10: whether all retransmissions were for nothing: the peer acknowledged what it had before (RFC 3522), or had each one twice.
    pub(super) fn is_spurious(&self, echoed_ms: u32, advanced: bool) -> bool {
        let is_old = self.retransmitted_ms.is_some_and(|ms| (echoed_ms.wrapping_sub(ms) as i32) < 0);
        self.prior.is_some() && ((advanced && is_old) || self.unneeded == Some(0))
    }

    /// Restores the window.
    pub(super) fn undo(&mut self, flow: &mut Flow) {
        if let Some((cwnd, ssthresh)) = self.prior.take() {
            flow.cwnd = flow.cwnd.max(cwnd);
            flow.ssthresh = flow.ssthresh.max(ssthresh);
        }
    }

    /// TCP-8: the window in recovery: as many leave as are delivered, in the proportion by which the window falls.
    pub(super) fn pace(&mut self, flow: &mut Flow, ack: &Ack) {
        if ack.delivered == 0 {
            return;
        }
        self.delivered += ack.delivered;
        let room = flow.ssthresh.saturating_sub(flow.in_flight);
        let wanted = if flow.in_flight > flow.ssthresh {
            (flow.ssthresh * self.delivered).div_ceil(self.prior_cwnd).saturating_sub(self.sent)
        } else {
            let progress = u64::from(ack.advanced && ack.lost == 0);
            let kept = self.delivered.saturating_sub(self.sent).max(ack.delivered);
            room.min(kept + progress)
        };
        // The first retransmission always leaves.
        flow.cwnd = flow.in_flight + wanted.max(u64::from(self.sent == 0));
    }
}

#[cfg(test)]
mod tests {
    use super::super::scoreboard::Sent;
    use super::*;

    fn flow(now_us: u64) -> Flow {
        Flow {
            now_us,
            smoothed_us: Some(40_000),
            min_rtt_us: Some(40_000),
            in_flight: 100,
            nxt: 1_000,
            is_limited: true,
            ..Flow::new(100)
        }
    }

    fn board() -> Scoreboard {
        let mut board = Scoreboard::default();
        for start in 0..10 {
            board.insert(start * 100, Sent { len: 100, at_us: start * 1_000, ..Sent::default() });
        }
        board
    }

    /// TCP-5: one report waits for a quarter of the round trip, three do not.
    #[test]
    fn what_was_sent_before_a_delivery_is_lost_after_a_round_trip() {
        let (mut board, mut rack, mut found) = (board(), Rack::default(), Vec::new());
        board.sack((300, 400), &mut found);
        rack.advance(43_000, &found[0], Some(40_000));
        let early = rack.detect(&mut board, &flow(43_000));
        assert_eq!((early.lost, early.recheck_us), (0, Some(2_000 + 40_000 + 10_000)));
        assert_eq!(rack.detect(&mut board, &flow(50_000)).lost, 1);
        board.sack((400, 600), &mut found);
        rack.advance(50_000, &found[2], Some(40_000));
        assert_eq!(rack.detect(&mut board, &flow(50_000)).lost, 2);
        assert_eq!(board.first_lost().unwrap().0, 0);
    }

    /// TCP-5.
    #[test]
    fn an_early_acknowledgement_is_not_that_of_the_retransmission() {
        let mut rack = Rack::default();
        let sent = Sent { len: 100, at_us: 90_000, is_retransmitted: true, ..Sent::default() };
        rack.advance(100_000, &Delivered { start: 500, sent, by_sack: false }, Some(40_000));
        assert_eq!(rack.detect(&mut board(), &flow(100_000)).lost, 0);
    }

    /// TCP-7, TCP-8: of 100 segments in flight, 70 leave while 100 are delivered.
    #[test]
    fn the_window_falls_in_proportion_to_what_is_delivered() {
        let (mut flow, mut recovery) = (flow(0), Recovery::default());
        recovery.begin(&mut flow, Phase::Recovery, 70, 0);
        flow.in_flight = 99;
        let mut left = 0;
        for _ in 0..99 {
            flow.in_flight -= 1;
            recovery.pace(&mut flow, &Ack { delivered: 1, ..Ack::default() });
            while flow.in_flight < flow.cwnd {
                flow.in_flight += 1;
                recovery.sent += 1;
                left += 1;
            }
        }
        assert!(
            (69..=70).contains(&left) && (69..=70).contains(&flow.in_flight),
            "{left} {}",
            flow.in_flight
        );
    }
}
