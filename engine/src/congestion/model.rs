//! The controller of `--mode auto`.
//!
//! # Model
//!
//! As BBR (Cardwell et al., "BBR: Congestion-Based Congestion Control", ACM Queue 14-5, 2016;
//! draft-ietf-ccwg-bbr) it estimates the two things that bound a path: the rate of the bottleneck, as the largest rate at
//! which the peer received over the last ten rounds (draft-cheng-iccrg-delivery-rate-estimation), and the round trip without
//! queues, as the smallest of the last ten seconds. It sends at the first and keeps about their product in flight.
//!
//! 1. *Startup* sends 2.77 times as fast as the peer receives, with twice the product in flight, until that grows by less than a
//!    quarter for three rounds, or for one that also built a queue or lost half, or until a sender that waits for its application loses
//!    much; *drain* empties the queue this made.
//! 2. Then *push*, *yield* and *cruise* take turns: an eighth more, to see whether the path carries it; a quarter less,
//!    until the queue is gone; as much as the path carries. A push that finds more goes on with half more, so that a path that
//!    became four times faster is filled after a few of them.
//! 3. When the smallest round trip is ten seconds old the amount in flight is halved for a moment (*rest*): a queue of this sender
//!    or of others would be taken for distance.
//!
//! Where it is its own:
//!
//! - Rounds without a queue do not lower the estimated rate: what arrives then is what was sent.
//! - A queue is what makes the shortest round trips of two rounds longer than the smallest one by more than they differ from
//!   round to round anyway: delay that wanders is no queue.
//! - Loss is no congestion as long as it does not depend on the rate. What is lost of gentle sending (drain, yield) is the path's
//!   own loss, and the pacing rate makes up for it. When a cruise begins to lose more with a queue the rate falls to what
//!   arrives; without one (a policer looks like this, and so does a radio link that became worse) a yield to two fifths of the
//!   rate asks at once which of both it is: what loses the same then is the path's own.
//! - A push that lost makes the next one smaller. After much loss without a queue it waits for the end of a penalty, as some
//!   policers halve the rate of who exceeds it. Then it sends a little less than the last rate that was good for a whole cruise,
//!   since a policer's bucket makes any rate look good for a while. After the second time it asks for no more near the
//!   rate that failed, for [`FAILED_AGE`].
//! - The window has room for what acknowledgements hold back (receivers of kcptun collect them for tens of milliseconds),
//!   as in BBR version 2.

use super::loss::LossMeter;
use super::max_filter::MaxFilter;
use super::{ControlState, Controller, Load, Report, Tally};
use crate::time::Instant;
use core::time::Duration;

const STARTUP_GAIN: u64 = 2_773;
const DRAIN_GAIN: u64 = 361;
const PUSH_GAIN: u64 = 1_125;
/// Of a push that found more.
const GROWTH_GAIN: u64 = 1_500;
/// Of a push after congestion without a queue: as far as the startup came was too far, and towards the rate that failed.
const AGAIN_GAIN: u64 = 1_250;
const CAREFUL_GAIN: u64 = 1_060;
const YIELD_GAIN: u64 = 750;
/// Of a yield that asks whether a loss is congestion: some policers let half of their rate pass for a while.
const ASK_GAIN: u64 = 400;
const CRUISE_GAIN: u64 = 1_000;
/// With a queue.
const CRUISE_QUEUE_GAIN: u64 = 980;

/// Round trips that a cruise lasts.
const CRUISE_ROUNDS: u64 = 6;

/// But not less than that.
const CRUISE_US_MIN: u64 = 1_000_000;

/// A smallest round trip older than that is measured anew.
const MIN_RTT_AGE: Duration = Duration::from_secs(10);

/// How long a rate that failed is kept in mind.
const FAILED_AGE: Duration = Duration::from_secs(30);

/// How long a policer may punish what exceeded its rate.
const PENALTY: Duration = Duration::from_millis(1_200);

/// Loss in a round of the startup that ends it, millionths.
const STARTUP_LOST_PPM: u32 = 500_000;

/// The same for a sender that does not always have something to send.
const LIMITED_STARTUP_LOST_PPM: u32 = 150_000;

/// How long a rest lasts at least.
const REST: Duration = Duration::from_millis(200);

/// Loss beyond the path's own that counts as congestion, millionths.
const EXCESS_PPM: u32 = 40_000;

/// The same for a push, which may end in losses for a part of its time only.
const PUSH_EXCESS_PPM: u32 = 10_000;

/// Share of what gentle sending loses that more may be lost without being congestion, and what may be added, millionths.
const ASKED_EXCESS_PPM: u32 = 50_000;

/// How long a yield asks at most, beyond four round trips.
const ASK_US_MAX: u64 = 500_000;

/// Lost segments that are no accident.
const LOST_MIN: u32 = 10;

/// Segments from which on their loss means something.
const ROUND_SEGMENTS_MIN: u32 = 120;

/// What the shortest round trips of rounds differ by on a path that does not wander, microseconds.
const VARIATION_US: u64 = 1_500;

/// Rate before anything was measured, bytes per second.
const FIRST_BYTES_S: u64 = 400_000;

/// Window before anything was measured, segments.
const FIRST_SEGMENTS: u64 = 64;

/// What it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Looks for the rate of the path.
    Startup,
    /// Empties the queue of the startup.
    Drain,
    /// Sends more than the path is known to carry.
    Push,
    /// Sends less.
    Yield,
    /// Sends as much.
    Cruise,
    /// Sends so little that queues vanish.
    Rest,
}

impl Phase {
    const fn name(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Drain => "drain",
            Self::Push => "push",
            Self::Yield => "yield",
            Self::Cruise => "cruise",
            Self::Rest => "rest",
        }
    }
}

/// The controller.
#[derive(Debug)]
pub struct Auto {
    segment_bytes: u64,
    /// The user's limit; `u64::MAX` without one.
    bytes_s_max: u64,
    phase: Phase,
    phase_since: Instant,
    phase_round: u64,
    bandwidth: MaxFilter,
    round: u64,
    /// A segment sent from here on begins the next round.
    round_end_bytes: u64,
    min_rtt_us: u64,
    min_rtt_at: Instant,
    /// Smallest of the round that runs, and of the one before.
    round_rtt_us: [u64; 2],
    /// Smoothed over the last eight or so.
    fast_rtt_us: u64,
    loss: LossMeter,
    /// Under even load, since that was judged last.
    even: Tally,
    /// Of the last push.
    push: Tally,
    startup: Startup,
    /// What a push adds to what is in flight, bytes.
    push_bytes: u64,
    /// The push found more already.
    grows: bool,
    /// Rate when the push began.
    push_from_bytes_s: u64,
    /// The last rate of a whole cruise, 0 if none, and one at which much was lost without a queue, `u64::MAX` if none.
    good_bytes_s: u64,
    failed_bytes_s: u64,
    /// Rates that failed since there was none.
    failures: u32,
    failed_at: Instant,
    /// What cruising lost when the yield began that is to tell whether that is congestion.
    asks: Option<Asked>,
    /// All that was in flight counts as lost with the next report.
    was_silent: bool,
    /// How much the shortest round trips of rounds differ while cruising.
    variation_us: u64,
    aggregation: Aggregation,
    round_rate: RoundRate,
    in_flight_bytes: u64,
}

/// What a yield is to explain.
#[derive(Clone, Copy, Debug)]
struct Asked {
    loss_ppm: u32,
    /// What arrived.
    bytes_s: u64,
}

/// Growth of the rate in startup.
#[derive(Clone, Copy, Debug, Default)]
struct Startup {
    full_bytes_s: u64,
    rounds: u32,
}

/// Rounds whose rate is the path's: a lost datagram of acknowledgements moves what it told from one round to the next.
const RATE_ROUNDS: usize = 3;

/// Rate of whole rounds: single samples err upwards when an acknowledgement was lost and a later one tells more at once.
#[derive(Clone, Copy, Debug, Default)]
struct RoundRate {
    /// The last ends of rounds, the newest first: when, when what arrived last had been sent, and bytes delivered.
    ends: [(Instant, Instant, u64); RATE_ROUNDS],
    /// The sender had nothing to send for a part of it.
    app_limited: bool,
}

impl RoundRate {
    /// Rates of the last round and of the last [`RATE_ROUNDS`]. Not more than was sent: when the delay falls, more arrives for a
    /// while.
    fn end(&mut self, now: Instant, sent_at: Instant, delivered_bytes: u64) -> (u64, u64) {
        let since = |(at, sent, before): (Instant, Instant, u64)| {
            let us = now.since(at).max(sent_at.since(sent)).as_micros() as u64;
            ((delivered_bytes - before) * 1_000_000).checked_div(us).unwrap_or(0)
        };
        let rates = (since(self.ends[0]), since(self.ends[RATE_ROUNDS - 1]));
        self.ends.rotate_right(1);
        self.ends[0] = (now, sent_at, delivered_bytes);
        rates
    }
}

/// What is acknowledged in bursts.
#[derive(Clone, Copy, Debug, Default)]
struct Aggregation {
    since: Instant,
    bytes: u64,
    extra: MaxFilter,
}

impl Auto {
    /// A controller that knows nothing. `segment_bytes` is the size of a full segment; `bytes_s_max` 0 for no limit.
    pub fn new(segment_bytes: usize, bytes_s_max: u64) -> Self {
        Self {
            segment_bytes: segment_bytes as u64,
            bytes_s_max: if bytes_s_max == 0 { u64::MAX } else { bytes_s_max },
            phase: Phase::Startup,
            phase_since: Instant::ZERO,
            phase_round: 0,
            bandwidth: MaxFilter::default(),
            round: 1,
            round_end_bytes: 0,
            min_rtt_us: 0,
            min_rtt_at: Instant::ZERO,
            round_rtt_us: [u64::MAX; 2],
            fast_rtt_us: 0,
            loss: LossMeter::default(),
            even: Tally::default(),
            push: Tally::default(),
            startup: Startup::default(),
            push_bytes: u64::MAX,
            grows: false,
            push_from_bytes_s: 0,
            good_bytes_s: 0,
            failed_bytes_s: u64::MAX,
            failures: 0,
            failed_at: Instant::ZERO,
            asks: None,
            was_silent: false,
            variation_us: 0,
            aggregation: Aggregation::default(),
            round_rate: RoundRate::default(),
            in_flight_bytes: 0,
        }
    }

    /// The phase it is in.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    fn bandwidth_bytes_s(&self) -> u64 {
        self.bandwidth.max(self.round).min(self.bytes_s_max)
    }

    /// Bytes that fill the path without a queue, those included that will be lost.
    fn path_bytes(&self) -> u64 {
        self.fed(self.bandwidth_bytes_s()) * self.min_rtt_us / 1_000_000
    }

    /// Bytes in flight when there is no queue: acknowledgements under way count, and those that receivers hold back.
    fn even_bytes(&self) -> u64 {
        let path = self.path_bytes();
        path + self.aggregation.extra.max(self.round).min(path) / 2 + self.segment_bytes
    }

    /// What must be sent for `bytes_s` to arrive.
    fn fed(&self, bytes_s: u64) -> u64 {
        bytes_s * 1_000_000 / u64::from(1_000_000 - self.loss.own_ppm())
    }

    fn enter(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.phase_since = now;
        self.phase_round = self.round;
    }

    fn phase_us(&self, now: Instant) -> u64 {
        now.since(self.phase_since).as_micros() as u64
    }

    fn start_round(&mut self, report: &Report) {
        self.round += 1;
        self.round_end_bytes = report.delivered_bytes;
        let sent_at = report.rate.map_or(report.now, |rate| rate.sent_at);
        let (last_bytes_s, rate_bytes_s) = self.round_rate.end(report.now, sent_at, report.delivered_bytes);
        self.judge_even(report.now, last_bytes_s);
        self.note_variation();
        self.round_rtt_us = [u64::MAX, self.round_rtt_us[0]];
        let limited = std::mem::take(&mut self.round_rate.app_limited);
        let starts = self.phase == Phase::Startup;
        if !starts && (!limited || rate_bytes_s > self.bandwidth_bytes_s()) {
            self.bandwidth.update(self.round, rate_bytes_s);
        }
        if limited || !starts && !self.has_some_queue() {
            // What arrives is what was sent, and not what the path carries.
            self.bandwidth.keep(self.round);
            if starts {
                self.judge_limited_startup(report.now);
            }
        } else if starts {
            self.judge_startup(report.now, last_bytes_s);
        }
        if self.phase == Phase::Push {
            self.judge_growth(report.now, last_bytes_s);
        }
    }

    /// While cruising a queue hardly changes: what differs is the path.
    fn note_variation(&mut self) {
        let [last, before] = self.round_rtt_us;
        if self.phase != Phase::Cruise || self.round < self.phase_round + 3 || last.max(before) == u64::MAX {
            return;
        }
        self.variation_us = self.variation_us - self.variation_us.div_ceil(8) + last.abs_diff(before) / 8;
    }

    /// Whether there is a queue, be it as short as those of switches: the shortest round trip of two rounds shows it, but for the
    /// time that segments take and for what differs anyway.
    fn has_some_queue(&self) -> bool {
        let segment_us = (self.segment_bytes * 1_000_000).checked_div(self.bandwidth_bytes_s()).unwrap_or(0);
        let slack_us = 1_500 + segment_us.min(6_000) + 6 * self.variation_us.saturating_sub(VARIATION_US);
        self.shortest_us().is_some_and(|us| us > self.min_rtt_us + self.min_rtt_us / 32 + slack_us)
    }

    /// The shortest round trip of this round and the one before.
    fn shortest_us(&self) -> Option<u64> {
        Some(self.round_rtt_us[1].min(self.round_rtt_us[0])).filter(|us| *us != u64::MAX)
    }

    /// Whether the last few round trips show a queue.
    fn queues_now(&self) -> bool {
        self.fast_rtt_us > self.min_rtt_us + self.min_rtt_us / 4 + 5_000
    }

    fn judge_startup(&mut self, now: Instant, last_bytes_s: u64) {
        let bytes_s = self.bandwidth_bytes_s();
        let tally = std::mem::take(&mut self.push);
        let startup = &mut self.startup;
        if bytes_s >= startup.full_bytes_s + startup.full_bytes_s / 4 {
            (startup.full_bytes_s, startup.rounds) = (bytes_s, 0);
            return;
        }
        startup.rounds += 1;
        let lossy = tally.total() >= ROUND_SEGMENTS_MIN && tally.loss_ppm() >= STARTUP_LOST_PPM;
        if lossy && !self.has_some_queue() {
            self.note_failure(now);
            self.bandwidth.cap(last_bytes_s);
        }
        if self.startup.rounds >= 3 || lossy || self.queues_now() {
            self.enter(Phase::Drain, now);
        }
    }

    /// CC-16: rates of a sender that waits for its application, or for its peer's windows, need not grow. What it loses
    /// shows that its bursts are too fast.
    fn judge_limited_startup(&mut self, now: Instant) {
        if self.push.total() < ROUND_SEGMENTS_MIN {
            return;
        }
        if std::mem::take(&mut self.push).loss_ppm() >= LIMITED_STARTUP_LOST_PPM {
            self.enter(Phase::Drain, now);
        }
    }

    /// Loss of cruising beyond the path's own.
    fn judge_even(&mut self, now: Instant, last_bytes_s: u64) {
        if self.even.total() < ROUND_SEGMENTS_MIN {
            return;
        }
        let even = std::mem::take(&mut self.even);
        let limit_ppm = self.loss.own_ppm() + self.loss.own_ppm() / 2 + EXCESS_PPM;
        if self.phase != Phase::Cruise || even.lost < LOST_MIN || even.loss_ppm() < limit_ppm {
            return;
        }
        if self.has_some_queue() || self.is_punished(now) {
            self.bandwidth.cap(last_bytes_s);
        } else {
            self.asks = Some(Asked { loss_ppm: even.loss_ppm(), bytes_s: last_bytes_s });
            self.loss.forget_gentle();
            self.enter(Phase::Yield, now);
        }
    }

    /// A yield has asked: what is lost of gentle sending is the path's own.
    fn judge_answer(&mut self, asked: Asked, now: Instant) {
        self.asks = None;
        self.enter(Phase::Cruise, now);
        if asked.loss_ppm <= 2 * self.loss.gentle_ppm() + ASKED_EXCESS_PPM {
            return;
        }
        if asked.bytes_s < self.bandwidth_bytes_s() / 4 * 3 {
            self.fall_back(now);
        } else {
            self.bandwidth.cap(asked.bytes_s);
        }
    }

    /// Congestion without a queue: a policer, whose bucket makes a rate that is too high look good for a while. Sends what arrived
    /// until a penalty is over; then a rate that was good for a whole cruise will do.
    fn fall_back(&mut self, now: Instant) {
        self.note_failure(now);
        self.good_bytes_s = self.good_bytes_s.min(self.bandwidth_bytes_s()) * 19 / 20;
        self.bandwidth.cap(self.bandwidth_bytes_s() * ASK_GAIN / 1_000);
    }

    fn note_failure(&mut self, now: Instant) {
        self.failed_bytes_s = self.failed_bytes_s.min(self.bandwidth_bytes_s());
        self.failed_at = now;
        self.failures += 1;
    }

    fn is_punished(&self, now: Instant) -> bool {
        self.failures > 0 && now.since(self.failed_at) < PENALTY
    }

    /// Whether the rate is not far from one that failed lately.
    fn is_near_failure(&self) -> bool {
        self.bandwidth_bytes_s() > self.failed_bytes_s / 10 * 7
    }

    /// A push that lost makes the next one smaller.
    fn judge_push(&mut self) {
        let (lost_ppm, own_ppm) = (self.push.loss_ppm(), self.loss.own_ppm());
        let congested = self.push.lost >= 8 && lost_ppm > own_ppm * 5 / 4 + PUSH_EXCESS_PPM;
        let path = self.path_bytes();
        let before = self.push_bytes.min(path / 8);
        if congested {
            self.push_bytes = (before / 2).max(path / 32);
        } else if self.push.total() > 0 {
            self.push_bytes = (before + path / 32).max(4 * self.segment_bytes);
        }
        self.push = Tally::default();
    }

    fn advance(&mut self, report: &Report) {
        let now = report.now;
        let min_rtt_us = self.min_rtt_us.max(1_000);
        match self.phase {
            Phase::Startup => {
                let grown = self.bandwidth_bytes_s() >= self.startup.full_bytes_s * 5 / 4;
                if self.queues_now() && !grown && self.startup.full_bytes_s > 0 {
                    self.enter(Phase::Drain, now);
                }
            }
            Phase::Drain => {
                if report.in_flight_bytes <= self.even_bytes() || self.phase_us(now) > 4 * min_rtt_us {
                    self.enter(Phase::Cruise, now);
                }
            }
            Phase::Push => {}
            Phase::Yield => {
                let us = self.phase_us(now);
                match self.asks {
                    Some(asked)
                        if us > 2 * min_rtt_us && self.loss.knows_gentle()
                            || us > 4 * min_rtt_us + ASK_US_MAX =>
                    {
                        self.judge_answer(asked, now);
                    }
                    None if us > min_rtt_us * 3 / 2 || report.in_flight_bytes <= self.even_bytes() => {
                        self.enter(Phase::Cruise, now);
                    }
                    _ => {}
                }
            }
            Phase::Cruise => {
                let long = self.phase_us(now) > (CRUISE_ROUNDS * min_rtt_us).max(CRUISE_US_MIN);
                if long && !self.is_punished(now) {
                    self.end_cruise(now);
                }
            }
            Phase::Rest => {
                if self.phase_us(now) > (REST.as_micros() as u64).max(min_rtt_us) {
                    self.min_rtt_at = now;
                    self.enter(Phase::Cruise, now);
                }
            }
        }
    }

    fn end_cruise(&mut self, now: Instant) {
        self.judge_push();
        if now.since(self.failed_at) > FAILED_AGE {
            (self.failed_bytes_s, self.failures) = (u64::MAX, 0);
        }
        let bytes_s = self.bandwidth_bytes_s();
        let good_bytes_s = std::mem::replace(&mut self.good_bytes_s, bytes_s);
        if self.failures > 0 && bytes_s < good_bytes_s {
            self.bandwidth.update(self.round, good_bytes_s);
            return self.enter(Phase::Cruise, now);
        }
        if self.failures > 1 && self.is_near_failure() {
            return self.enter(Phase::Yield, now);
        }
        self.push_from_bytes_s = bytes_s;
        self.grows = false;
        self.enter(Phase::Push, now);
    }

    /// What a push adds to what is in flight, bytes.
    fn push_share_bytes(&self) -> u64 {
        self.push_bytes.min(self.path_bytes() / if self.grows { 2 } else { 8 })
    }

    /// The first rounds of a push fill the path a little more, the next one shows whether more arrives.
    fn judge_growth(&mut self, now: Instant, rate_bytes_s: u64) {
        if self.round < self.phase_round + 3 {
            return;
        }
        let path = self.path_bytes().max(1);
        let share = (self.push_share_bytes() * 1_000 / path / 2).clamp(20, 100);
        if rate_bytes_s >= self.push_from_bytes_s * (1_000 + share) / 1_000 && !self.has_some_queue() {
            self.push_from_bytes_s = rate_bytes_s;
            self.push_bytes = u64::MAX;
            self.grows = true;
            if self.failed_bytes_s < u64::MAX {
                self.enter(Phase::Yield, now);
            }
        } else {
            self.enter(Phase::Yield, now);
        }
    }

    fn measure_rtt(&mut self, report: &Report) {
        let expired = report.now.since(self.min_rtt_at) > MIN_RTT_AGE;
        if let Some(rtt_us) = report.rtt_us {
            self.round_rtt_us[0] = self.round_rtt_us[0].min(rtt_us);
            let before_us = if self.fast_rtt_us == 0 { rtt_us } else { self.fast_rtt_us };
            self.fast_rtt_us = before_us - before_us / 8 + rtt_us / 8;
            let near = self.min_rtt_us + (self.min_rtt_us / 32).max(1_000);
            if self.min_rtt_us == 0 || rtt_us <= self.min_rtt_us || expired && self.phase == Phase::Rest {
                self.min_rtt_us = rtt_us;
            }
            if rtt_us <= near || self.min_rtt_us == rtt_us {
                self.min_rtt_at = report.now;
            }
        }
        if expired && !matches!(self.phase, Phase::Rest | Phase::Startup) {
            self.min_rtt_us = self.round_rtt_us[0].min(self.round_rtt_us[1]).min(2 * self.min_rtt_us);
            self.enter(Phase::Rest, report.now);
        }
    }

    /// What arrives beyond the estimated rate since it fell below it the last time (BBR version 2, "extra acked").
    fn measure_aggregation(&mut self, report: &Report) {
        let bytes_s = self.bandwidth_bytes_s();
        let aggregation = &mut self.aggregation;
        let elapsed_us = report.now.since(aggregation.since).as_micros() as u64;
        let expected = bytes_s.saturating_mul(elapsed_us) / 1_000_000;
        if aggregation.bytes <= expected {
            (aggregation.since, aggregation.bytes) = (report.now, 0);
        }
        aggregation.bytes += report.newly_delivered_bytes;
        let elapsed_us = report.now.since(aggregation.since).as_micros() as u64;
        let extra = aggregation.bytes.saturating_sub(bytes_s.saturating_mul(elapsed_us) / 1_000_000);
        aggregation.extra.update(self.round, extra);
    }
}

impl Controller for Auto {
    fn report(&mut self, report: &Report) {
        self.in_flight_bytes = report.in_flight_bytes;
        // An outage says nothing about rates.
        let tallies =
            if std::mem::take(&mut self.was_silent) { <[Tally; 3]>::default() } else { report.tallies };
        self.loss.add(&tallies);
        let add = |sum: &mut Tally, more: Tally| {
            sum.delivered += more.delivered;
            sum.lost += more.lost;
        };
        add(&mut self.even, tallies[Load::Even as usize]);
        add(&mut self.push, tallies[Load::Push as usize]);
        self.measure_rtt(report);
        if let Some(rate) = report.rate {
            self.round_rate.app_limited |= rate.app_limited;
            let news = !rate.app_limited || rate.bytes_s > self.bandwidth_bytes_s();
            if news && self.phase == Phase::Startup {
                self.bandwidth.update(self.round, rate.bytes_s);
            }
            if rate.delivered_before >= self.round_end_bytes {
                self.start_round(report);
            }
        }
        self.measure_aggregation(report);
        self.advance(report);
    }

    fn timed_out(&mut self) {
        self.was_silent = true;
    }

    fn load(&self) -> Load {
        match self.phase {
            Phase::Startup | Phase::Push => Load::Push,
            Phase::Drain | Phase::Yield | Phase::Rest => Load::Gentle,
            Phase::Cruise => Load::Even,
        }
    }

    fn pacing_bytes_s(&self) -> u64 {
        let bandwidth = self.bandwidth_bytes_s();
        if bandwidth == 0 {
            return FIRST_BYTES_S.min(self.bytes_s_max);
        }
        let gain = match self.phase {
            Phase::Startup => STARTUP_GAIN,
            Phase::Drain => DRAIN_GAIN,
            Phase::Push if self.is_near_failure() => CAREFUL_GAIN,
            Phase::Push if self.failures > 0 => AGAIN_GAIN,
            Phase::Push if self.grows => GROWTH_GAIN,
            Phase::Push => PUSH_GAIN,
            Phase::Yield if self.asks.is_some() => ASK_GAIN,
            Phase::Yield => YIELD_GAIN,
            Phase::Cruise | Phase::Rest if self.has_some_queue() => CRUISE_QUEUE_GAIN,
            Phase::Cruise | Phase::Rest => CRUISE_GAIN,
        };
        let first = if self.phase == Phase::Startup { FIRST_SEGMENTS * STARTUP_GAIN / 1_000 } else { 4 };
        let floor = first * self.segment_bytes * 1_000_000 / self.min_rtt_us.max(10_000);
        (self.fed(bandwidth).saturating_mul(gain) / 1_000).max(floor).min(self.bytes_s_max)
    }

    fn window_bytes(&self) -> u64 {
        let path = self.path_bytes();
        if path == 0 || self.phase == Phase::Startup && path < FIRST_SEGMENTS * self.segment_bytes {
            return (FIRST_SEGMENTS * self.segment_bytes).max(3 * path);
        }
        let least = 4 * self.segment_bytes;
        let extra = self.aggregation.extra.max(self.round).min(path) + least;
        let window = match self.phase {
            Phase::Startup | Phase::Drain => 2 * path + extra,
            Phase::Push => path + self.push_share_bytes() + extra,
            Phase::Yield | Phase::Cruise => 2 * path + extra,
            Phase::Rest => path / 2,
        };
        window.max(least)
    }

    fn state(&self) -> ControlState {
        ControlState {
            phase: self.phase.name(),
            bandwidth_bytes_s: self.bandwidth_bytes_s(),
            min_rtt_us: self.min_rtt_us,
            pacing_bytes_s: self.pacing_bytes_s(),
            window_bytes: self.window_bytes(),
            in_flight_bytes: self.in_flight_bytes,
            loss_ppm: self.loss.total_ppm(),
        }
    }
}
