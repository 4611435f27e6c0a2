//! The controller of `--mode auto`.
//!
//! Sources:
//! - Cardwell et al., "BBR: Congestion-Based Congestion Control", ACM Queue 14-5, 2016
//! - draft-ietf-ccwg-bbr (phases, gains, full-pipe check, extra acked of BBR version 2)
//! - draft-cheng-iccrg-delivery-rate-estimation (bandwidth samples)
//!
//! # Model
//!
//! As BBR it estimates the two quantities that bound a path: the bandwidth of the bottleneck, as the highest delivery rate of the
//! last ten rounds, and the round trip without queues, as the minimum of the last ten seconds. It paces at the first and keeps
//! about their product, the bandwidth-delay product, in flight.
//!
//! 1. *Startup* sends 2.77 times as fast as the peer receives, with twice the product in flight. It ends when the bandwidth has
//!    grown by less than a quarter for three rounds, or for one that also built a queue or lost half, or when a sender that is
//!    limited by its application loses much. *Drain* empties the queue this made.
//! 2. Then *ProbeBw* takes turns: *Up*, an eighth more, to probe for bandwidth; *Down*, a quarter less, until the queue is gone;
//!    *Cruise*, at the estimated bandwidth. A probe that finds more goes on with half more, so that a path that became four
//!    times faster is filled after a few of them.
//! 3. When the minimum round trip is ten seconds old, *ProbeRtt* halves the amount in flight for a moment: a queue of this
//!    sender or of others would be taken for propagation delay.
//!
//! Deviations from BBR:
//!
//! - Rounds without a queue do not lower the bandwidth estimate: their delivery rate is the sending rate.
//! - There is a queue when the shortest round trips of two rounds exceed the minimum by more than rounds differ anyway: delay that
//!   varies slowly is no queue.
//! - Loss is not congestion as long as it does not depend on the rate. Loss while sending below the estimated bandwidth (Drain,
//!   Down, ProbeRtt) is random, and the pacing rate compensates for it. When a Cruise begins to lose more with a queue, the
//!   estimate falls to the delivery rate. Without a queue (a policer looks like this, and so does a radio link that became
//!   worse) a *loss test* finds out which of both it is: a Down at two fifths of the rate. Loss that stays the same is random.
//! - More loss than at random means more runs of losses: a burst is one event, however long. Random loss is known from the
//!   startup on: a round's loss is random if the path then carried a quarter more and no queue stood.
//! - A probe that lost makes the next one smaller. After much loss without a queue the next one waits for the end of a penalty,
//!   since some policers halve the rate of a sender that exceeds it. Then the rate is a little less than the last one that was
//!   good for a whole Cruise, since a policer's bucket makes any rate look good for a while. After the second failure no probe
//!   is made near the rate that failed, for thirty seconds.
//! - The window has room for acknowledgements that receivers hold back (kcptun's collect them for tens of milliseconds), as in
//!   BBR version 2.

use super::aggregation::Aggregation;
use super::delivery::{Delivery, Round};
use super::loss::LossRate;
use super::policer::FailedRates;
use super::probe_up::ProbeUp;
use super::rtt::RoundTrip;
use super::startup::{ROUND_SEGMENTS_MIN, Startup, Verdict};
use super::{AckEvent, ControlState, Controller, Load, Tally};
use crate::time::Instant;

/// Pacing gains by phase, thousandths.
const STARTUP_GAIN: u64 = 2_773;
const DRAIN_GAIN: u64 = 361;
const UP_GAIN: u64 = 1_125;
/// Of a probe that has found more bandwidth.
const GROWTH_GAIN: u64 = 1_500;
/// Of a probe after congestion without a queue: as far as the startup came was too far, and towards the rate that failed.
const AGAIN_GAIN: u64 = 1_250;
const CAREFUL_GAIN: u64 = 1_060;
const DOWN_GAIN: u64 = 750;
/// Of a loss test: some policers let half of their rate pass for a while.
const LOSS_TEST_GAIN: u64 = 400;
const CRUISE_GAIN: u64 = 1_000;
/// With a queue.
const CRUISE_QUEUE_GAIN: u64 = 980;

/// Duration of a Cruise: round trips, and microseconds at least.
const CRUISE_ROUNDS: u64 = 6;
const CRUISE_US_MIN: u64 = 1_000_000;

/// Rounds after which a probe is judged.
const UP_ROUNDS: u64 = 3;

/// Shortest duration of ProbeRtt, microseconds.
const PROBE_RTT_US_MIN: u64 = 200_000;

/// Loss beyond the random loss that counts as congestion in a Cruise, parts per million, and lost segments at least.
const EXCESS_PPM: u32 = 40_000;
const LOST_MIN: u32 = 10;

/// Loss beyond twice the loss of the test that counts as congestion, parts per million.
const LOSS_TEST_EXCESS_PPM: u32 = 50_000;

/// Longest duration of a loss test beyond four round trips, microseconds.
const LOSS_TEST_US_MAX: u64 = 500_000;

/// Pacing rate before the first sample, bytes per second.
const FIRST_BYTES_S: u64 = 400_000;

/// Window before the first sample, segments.
const FIRST_SEGMENTS: u64 = 64;

/// A second's share of the rate that the window leaves for acknowledgements held back, where the bandwidth-delay product is
/// smaller: hosts with timers of 10 ms acknowledge no sooner.
const HOLDS_PER_S: u64 = 100;

/// Smallest window, segments.
const SEGMENTS_MIN: u64 = 4;

/// Phase of the controller, as in draft-ietf-ccwg-bbr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Searches for the bandwidth, growing exponentially.
    Startup,
    /// Drains the queue of the startup.
    Drain,
    /// Sends above the estimated bandwidth, to probe for more.
    ProbeBwUp,
    /// Sends below the estimated bandwidth, to drain the queue.
    ProbeBwDown,
    /// Sends at the estimated bandwidth.
    ProbeBwCruise,
    /// Drains the queue to measure the minimum round trip again.
    ProbeRtt,
}

impl Phase {
    /// The name in status pages and recordings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Drain => "drain",
            Self::ProbeBwUp => "probe_bw_up",
            Self::ProbeBwDown => "probe_bw_down",
            Self::ProbeBwCruise => "probe_bw_cruise",
            Self::ProbeRtt => "probe_rtt",
        }
    }
}

/// The controller of `--mode auto`.
#[derive(Debug)]
pub struct Auto {
    /// Bytes of a full segment.
    segment_bytes: u64,
    /// The user's limit; `u64::MAX` without one.
    bytes_s_max: u64,
    cycle: Cycle,
    delivery: Delivery,
    rtt: RoundTrip,
    loss: LossRate,
    startup: Startup,
    up: ProbeUp,
    cruise: Cruise,
    failed: FailedRates,
    aggregation: Aggregation,
    /// Time for which a lost segment counts as in flight, microseconds.
    lost_after_us: u64,
    /// Everything in flight counts as lost with the next event.
    timed_out: bool,
}

/// The current phase.
#[derive(Debug)]
struct Cycle {
    phase: Phase,
    since: Instant,
    /// Round in which it began.
    round: u64,
}

/// Losses in a Cruise.
#[derive(Debug, Default)]
struct Cruise {
    /// Segments sent at the estimated bandwidth, since they were judged last.
    tally: Tally,
    /// The current Down is to find out whether these losses were congestion.
    loss_test: Option<LossTest>,
}

/// What a Cruise lost before a loss test.
#[derive(Clone, Copy, Debug)]
struct LossTest {
    loss_ppm: u32,
    /// Delivery rate, bytes per second.
    bytes_s: u64,
}

impl Auto {
    /// A controller before its first sample. `segment_bytes` is the size of a full segment; `bytes_s_max` 0 for no limit.
    pub fn new(segment_bytes: usize, bytes_s_max: u64) -> Self {
        let bytes_s_max = if bytes_s_max == 0 { u64::MAX } else { bytes_s_max };
        Self {
            segment_bytes: segment_bytes as u64,
            bytes_s_max,
            cycle: Cycle { phase: Phase::Startup, since: Instant::ZERO, round: 0 },
            delivery: Delivery::new(bytes_s_max),
            rtt: RoundTrip::new(),
            loss: LossRate::default(),
            startup: Startup::default(),
            up: ProbeUp::new(),
            cruise: Cruise::default(),
            failed: FailedRates::new(),
            aggregation: Aggregation::default(),
            lost_after_us: 0,
            timed_out: false,
        }
    }

    /// The current phase.
    pub const fn phase(&self) -> Phase {
        self.cycle.phase
    }

    fn bandwidth_bytes_s(&self) -> u64 {
        self.delivery.bandwidth_bytes_s()
    }

    /// The bandwidth-delay product, including segments lost at random, which stay in flight until they are taken for lost.
    fn bdp_bytes(&self) -> u64 {
        let (sent_bytes_s, random_ppm) =
            (self.loss.compensated(self.bandwidth_bytes_s()), self.loss.random_ppm());
        let longer_us =
            self.lost_after_us.saturating_sub(self.rtt.min_us) * u64::from(random_ppm) / 1_000_000;
        sent_bytes_s * (self.rtt.min_us + longer_us) / 1_000_000
    }

    /// Bytes in flight when the queue is empty: acknowledgements on their way count, and those that receivers hold back.
    fn drained_bytes(&self) -> u64 {
        let bdp = self.bdp_bytes();
        bdp + self.aggregation.extra_bytes(self.delivery.round).min(bdp) / 2 + self.segment_bytes
    }

    fn enter(&mut self, phase: Phase, now: Instant) {
        if self.phase() == Phase::Startup {
            // A short queue may have overflowed in every round.
            self.loss.restart_below();
        }
        self.cycle = Cycle { phase, since: now, round: self.delivery.round };
    }

    /// Whether there is a queue; see [`RoundTrip::shows_queue`].
    fn has_queue(&self) -> bool {
        let segment_us = (self.segment_bytes * 1_000_000).checked_div(self.bandwidth_bytes_s()).unwrap_or(0);
        self.rtt.shows_queue(segment_us)
    }

    fn start_round(&mut self, event: &AckEvent) {
        let round = self.delivery.start_round(event);
        self.judge_cruise(event.now, round.last_bytes_s);
        let in_cruise = self.phase() == Phase::ProbeBwCruise;
        self.rtt.start_round(in_cruise && self.delivery.round >= self.cycle.round + 3);
        if self.phase() == Phase::Startup {
            self.end_startup_round(event.now, round);
        } else {
            if !round.app_limited || round.average_bytes_s > self.bandwidth_bytes_s() {
                self.delivery.raise(round.average_bytes_s);
            }
            if round.app_limited || !self.has_queue() {
                // The delivery rate is the sending rate, not what the path carries.
                self.delivery.keep();
            }
        }
        if self.phase() == Phase::ProbeBwUp {
            self.judge_up(event.now, round.last_bytes_s);
        }
    }

    fn end_startup_round(&mut self, now: Instant, round: Round) {
        if round.app_limited {
            self.delivery.keep();
            if self.up.tally.total() >= ROUND_SEGMENTS_MIN {
                let tally = std::mem::take(&mut self.up.tally);
                if Startup::is_too_fast(tally, self.loss.random()) {
                    self.enter(Phase::Drain, now);
                }
            }
            return;
        }
        let tally = std::mem::take(&mut self.up.tally);
        let (verdict, before) = self.startup.end_round(self.bandwidth_bytes_s(), tally, self.loss.random());
        if !self.has_queue() {
            self.loss.add_below(before);
        }
        if verdict == Verdict::Lossy && !self.has_queue() {
            self.failed.note(self.bandwidth_bytes_s(), now);
            self.delivery.cap(round.last_bytes_s);
        }
        let ends = match verdict {
            Verdict::Grows => false,
            Verdict::Stalls => self.rtt.shows_large_queue(),
            Verdict::Full | Verdict::Lossy => true,
        };
        if ends {
            self.enter(Phase::Drain, now);
        }
    }

    /// Judges loss at the estimated bandwidth beyond the random loss: with a queue it is congestion, without one it is tested.
    fn judge_cruise(&mut self, now: Instant, last_bytes_s: u64) {
        if self.cruise.tally.total() < ROUND_SEGMENTS_MIN {
            return;
        }
        let tally = std::mem::take(&mut self.cruise.tally);
        let random_ppm = self.loss.random_ppm();
        let limit_ppm = random_ppm + random_ppm / 2 + EXCESS_PPM;
        let loses = tally.lost >= LOST_MIN && tally.loss_ppm() >= limit_ppm;
        let loses = loses && tally.exceeds(self.loss.random());
        if self.phase() != Phase::ProbeBwCruise || !loses {
            return;
        }
        if self.has_queue() || self.failed.is_penalized(now) {
            self.delivery.cap(last_bytes_s);
        } else {
            self.cruise.loss_test = Some(LossTest { loss_ppm: tally.loss_ppm(), bytes_s: last_bytes_s });
            self.loss.restart_below();
            self.enter(Phase::ProbeBwDown, now);
        }
    }

    /// A loss test has ended: loss that did not fall with the rate is random.
    fn end_loss_test(&mut self, test: LossTest, now: Instant) {
        self.cruise.loss_test = None;
        self.enter(Phase::ProbeBwCruise, now);
        if test.loss_ppm <= 2 * self.loss.below_ppm() + LOSS_TEST_EXCESS_PPM {
            return;
        }
        let bandwidth = self.bandwidth_bytes_s();
        if test.bytes_s < bandwidth / 4 * 3 {
            // A policer, whose bucket makes a rate that is too high look good for a while. Sends at the tested rate until a
            // penalty is over; then at a rate that was good for a whole Cruise.
            self.failed.note(bandwidth, now);
            self.failed.lower_good(bandwidth);
            self.delivery.cap(bandwidth * LOSS_TEST_GAIN / 1_000);
        } else {
            self.delivery.cap(test.bytes_s);
        }
    }

    /// The first rounds of a probe fill the path a little more, the next one shows whether more is delivered.
    fn judge_up(&mut self, now: Instant, rate_bytes_s: u64) {
        if self.delivery.round < self.cycle.round + UP_ROUNDS {
            return;
        }
        let found = self.up.exceeds(rate_bytes_s, self.bdp_bytes()) && !self.has_queue();
        if found {
            self.up.grow(rate_bytes_s);
        }
        if !found || self.failed.any() {
            self.enter(Phase::ProbeBwDown, now);
        }
    }

    /// Enters the next phase when the current one is over.
    fn advance(&mut self, event: &AckEvent) {
        let now = event.now;
        let phase_us = now.since(self.cycle.since).as_micros() as u64;
        let min_rtt_us = self.rtt.min_us.max(1_000);
        let is_drained = |auto: &Self| event.in_flight_bytes <= auto.drained_bytes();
        match self.phase() {
            Phase::Startup => {
                if self.rtt.shows_large_queue() && self.startup.stalls(self.bandwidth_bytes_s()) {
                    self.enter(Phase::Drain, now);
                }
            }
            Phase::Drain => {
                if phase_us > 4 * min_rtt_us || is_drained(self) {
                    self.enter(Phase::ProbeBwCruise, now);
                }
            }
            Phase::ProbeBwUp => {}
            Phase::ProbeBwDown => match self.cruise.loss_test {
                Some(test) => {
                    let measured = phase_us > 2 * min_rtt_us && self.loss.knows_below();
                    if measured || phase_us > 4 * min_rtt_us + LOSS_TEST_US_MAX {
                        self.end_loss_test(test, now);
                    }
                }
                None if phase_us > min_rtt_us * 3 / 2 || is_drained(self) => {
                    self.enter(Phase::ProbeBwCruise, now);
                }
                None => {}
            },
            Phase::ProbeBwCruise => {
                let is_over = phase_us > (CRUISE_ROUNDS * min_rtt_us).max(CRUISE_US_MIN);
                if is_over && !self.failed.is_penalized(now) {
                    self.end_cruise(now);
                }
            }
            Phase::ProbeRtt => {
                if phase_us > PROBE_RTT_US_MIN.max(min_rtt_us) {
                    self.rtt.refresh_min(now);
                    self.enter(Phase::ProbeBwCruise, now);
                }
            }
        }
    }

    fn end_cruise(&mut self, now: Instant) {
        let random = self.loss.random();
        self.up.adapt(self.bdp_bytes(), self.segment_bytes, self.loss.random_ppm(), random);
        self.failed.age(now);
        let bytes_s = self.bandwidth_bytes_s();
        let good_bytes_s = self.failed.cruised(bytes_s);
        if self.failed.count > 0 && bytes_s < good_bytes_s {
            self.delivery.raise(good_bytes_s);
            return self.enter(Phase::ProbeBwCruise, now);
        }
        if self.failed.count > 1 && self.failed.is_near(bytes_s) {
            return self.enter(Phase::ProbeBwDown, now);
        }
        self.up.start(bytes_s);
        self.enter(Phase::ProbeBwUp, now);
    }

    fn measure_rtt(&mut self, event: &AckEvent) {
        let expired = self.rtt.take(event, self.phase() == Phase::ProbeRtt);
        if expired && !matches!(self.phase(), Phase::ProbeRtt | Phase::Startup) {
            self.rtt.expire_min();
            self.enter(Phase::ProbeRtt, event.now);
        }
    }

    fn pacing_gain(&self, bandwidth: u64) -> u64 {
        match self.phase() {
            Phase::Startup => STARTUP_GAIN,
            Phase::Drain => DRAIN_GAIN,
            Phase::ProbeBwUp if self.failed.is_near(bandwidth) => CAREFUL_GAIN,
            Phase::ProbeBwUp if self.failed.count > 0 => AGAIN_GAIN,
            Phase::ProbeBwUp if self.up.grows => GROWTH_GAIN,
            Phase::ProbeBwUp => UP_GAIN,
            Phase::ProbeBwDown if self.cruise.loss_test.is_some() => LOSS_TEST_GAIN,
            Phase::ProbeBwDown => DOWN_GAIN,
            Phase::ProbeBwCruise | Phase::ProbeRtt if self.has_queue() => CRUISE_QUEUE_GAIN,
            Phase::ProbeBwCruise | Phase::ProbeRtt => CRUISE_GAIN,
        }
    }

    fn check_invariants(&self) {
        if cfg!(debug_assertions) {
            assert!(self.bandwidth_bytes_s() <= self.bytes_s_max, "bandwidth above the user's limit");
            assert!(self.cycle.round <= self.delivery.round, "a phase began in a later round");
            self.failed.check_invariants();
        }
    }
}

impl Controller for Auto {
    fn on_ack(&mut self, event: &AckEvent) {
        // An outage is no sample of loss.
        let timed_out = std::mem::take(&mut self.timed_out);
        self.lost_after_us = event.lost_after_us;
        let tallies = if timed_out { <[Tally; 3]>::default() } else { event.tallies };
        self.loss.add(&tallies);
        self.cruise.tally.add(tallies[Load::At as usize]);
        self.up.tally.add(tallies[Load::Above as usize]);
        self.measure_rtt(event);
        if event.rate.is_some_and(|rate| self.delivery.take(&rate, self.phase() == Phase::Startup)) {
            self.start_round(event);
        }
        let (bandwidth, round) = (self.bandwidth_bytes_s(), self.delivery.round);
        self.aggregation.take(event.now, event.newly_delivered_bytes, bandwidth, round);
        self.advance(event);
        self.check_invariants();
    }

    fn on_timeout(&mut self) {
        self.timed_out = true;
    }

    fn load(&self) -> Load {
        match self.phase() {
            Phase::Startup | Phase::ProbeBwUp => Load::Above,
            Phase::Drain | Phase::ProbeBwDown | Phase::ProbeRtt => Load::Below,
            Phase::ProbeBwCruise => Load::At,
        }
    }

    fn pacing_bytes_s(&self) -> u64 {
        let bandwidth = self.bandwidth_bytes_s();
        if bandwidth == 0 {
            return FIRST_BYTES_S.min(self.bytes_s_max);
        }
        let startup = self.phase() == Phase::Startup;
        let first = if startup { FIRST_SEGMENTS * STARTUP_GAIN / 1_000 } else { SEGMENTS_MIN };
        let floor = first * self.segment_bytes * 1_000_000 / self.rtt.min_us.max(10_000);
        let compensated = self.loss.compensated(bandwidth);
        (compensated.saturating_mul(self.pacing_gain(bandwidth)) / 1_000).max(floor).min(self.bytes_s_max)
    }

    fn window_bytes(&self) -> u64 {
        let bdp = self.bdp_bytes();
        let first = FIRST_SEGMENTS * self.segment_bytes;
        if bdp == 0 || self.phase() == Phase::Startup && bdp < first {
            return first.max(3 * bdp);
        }
        let least = SEGMENTS_MIN * self.segment_bytes;
        let held_back = bdp.max(self.bandwidth_bytes_s() / HOLDS_PER_S);
        let extra = self.aggregation.extra_bytes(self.delivery.round).min(held_back) + least;
        let window = match self.phase() {
            Phase::ProbeBwUp => bdp + self.up.share_bytes(bdp) + extra,
            Phase::ProbeRtt => bdp / 2,
            _ => 2 * bdp + extra,
        };
        window.max(least)
    }

    fn state(&self) -> ControlState {
        ControlState {
            phase: self.phase().name(),
            bandwidth_bytes_s: self.bandwidth_bytes_s(),
            min_rtt_us: self.rtt.min_us,
            pacing_bytes_s: self.pacing_bytes_s(),
            window_bytes: self.window_bytes(),
            in_flight_bytes: 0,
            loss_ppm: self.loss.total_ppm(),
        }
    }
}
