//! Bound on the time until all data has arrived, once sources have stopped and all outages have healed.
//! A run that needs longer breaks [`Rule::Liveness`](crate::outcome::Rule::Liveness).
//!
//! The bound is computed from the scenario and from the data outstanding at the stop. It is the worst case of a correct engine
//! under these settings: an engine that misses a retransmission, or delays it too long, exceeds it. It is the sum of:
//!
//! | term | is | because |
//! |---|---|---|
//! | transfer | `outstanding * headers * parity / (1 - loss) * 2 / slowest rate` | every byte crosses the bottleneck, and fixed windows send each byte about twice where they overfill a queue |
//! | windows | `ceil(outstanding / window) * (delay + retries * rto)` | at most one window is transferred per round trip, and a lost segment blocks it; without `nc` a window is two segments, the minimum of congestion control; where streams have windows, it is half of one of those, if that is less |
//! | losses | the waits before the `k`-th transmission, where one segment in 10^6 is lost `k` times in a row (bursts make that likely) | no later segment reveals the loss of the last segments |
//! | closing | `4 * round trip` | a last request, its reply, and the two ends of the stream |
//! | pauses | a stall of a reader, a late reply, the tick that closes streams | the workload itself waits |
//! | silence | longest cut + `rto`; keepalive; detection of a dead session | after a cut or an attack the next transmission may be delayed by its length (timeouts grow by a constant factor), an idle side sends only at its keepalive, and a probe (KCP-23) or the keepalive timeout detects a lost peer; its data is sent again |
//!
//! where `round trip` is both delays, a full queue and a full socket on either side, the flush intervals, timer slack and
//! regular stalls, `rto = min(3 * round trip + interval, 60 s)` since samples between 0 and `r` have a mean deviation of at
//! most `r / 2` and four of those are added, and all terms are scaled by the share of time that regular stalls take.

use crate::outcome::{Bound, LivenessOutcome};
use crate::plan::{
    FaultKind, FaultPlan, HEADERS_BYTES, HostPlan, LinkPlan, LossPlan, Scenario, SidePlan, Stall, Timeline,
    WorkKind, WorkPlan, all_healed_at,
};
use engine::Instant;

/// The engine's largest retransmission timeout (KCP-14).
const RTO_MAX_US: u64 = 60_000_000;

/// The engine's initial retransmission timeout (KCP-14).
const RTO_US_MIN: u64 = 200_000;

/// The engine's minimum probe interval (KCP-23).
const PROBE_US_MIN: u64 = 1_000_000;

/// The engine's maximum probe interval (KCP-23).
const PROBE_US_MAX: u64 = 5_000_000;

/// Initial window probe interval of the slower generation (KCP-9).
const WINDOW_PROBE_US: u64 = 7_000_000;

/// Sequences of losses less likely than one in this number are excluded.
const EXCLUDED_ONE_IN: u64 = 1_000_000;

/// Maximum loss rate; higher rates are treated as this one.
const LOSS_PPM_MAX: u64 = 900_000;

/// Transmissions per byte of fixed windows that overfill a queue.
const OVERFILL: u64 = 2;

/// Drops of the same segment by a full queue, policer or socket, in addition to random loss.
const OVERFLOWS: u64 = 3;

/// Maximum number of listed, non-consecutive drops that may hit transmissions of one segment.
const LISTED_APART_MAX: u64 = 30;

/// Minimum congestion window, segments (KCP-13).
const CONGESTION_WINDOW_MIN: u64 = 2;

/// Round trips of a last request, its reply, and both ends of the stream.
const CLOSING_ROUND_TRIPS: u64 = 4;

impl LivenessOutcome {
    /// The bound of a run of `scenario` whose sources stop at `now`.
    pub fn new(scenario: &Scenario, now: Instant, outstanding_bytes: u64) -> Self {
        let bound = scenario.drain_us.is_none().then(|| Bound::new(scenario, now, outstanding_bytes));
        let limit_us = scenario.drain_us.or_else(|| bound.map(|bound| bound.total_us())).unwrap_or(0);
        let from_us = now.max(healed_from(scenario)).as_micros();
        Self { from_us, needed_us: None, limit_us, bound }
    }
}

impl Bound {
    /// The bound of a run of `scenario` whose sources stop at `now` with `outstanding_bytes` written or promised but not read.
    pub fn new(scenario: &Scenario, now: Instant, outstanding_bytes: u64) -> Self {
        let path = Path::new(scenario, now);
        let is_cut = longest_cut_us(scenario).is_some();
        let bytes = if is_cut { outstanding_bytes.saturating_mul(2) } else { outstanding_bytes };
        let whole = Self {
            transfer_us: path.transfer_us(bytes),
            windows_us: path.windows_us(bytes),
            losses_us: path.losses_us(path.certain, EXCLUDED_ONE_IN),
            closing_us: CLOSING_ROUND_TRIPS * path.round_trip_us,
            pauses_us: scenario.work.iter().map(|plan| pause_us(plan, now, is_cut)).max().unwrap_or(0),
            silence_us: longest_cut_us(scenario).map_or(0, |cut_us| path.silence_us(scenario, cut_us)),
        };
        hosts(scenario).into_iter().flat_map(|host| &host.stalls).fold(whole, Self::stretched)
    }

    /// Scales all terms by the share of time that a regular stall takes.
    fn stretched(self, stall: &Stall) -> Self {
        let Stall::Every { period_us, for_us } = *stall else { return self };
        let stretch = |us: u64| ratio(us, period_us, period_us - for_us);
        Self {
            transfer_us: stretch(self.transfer_us),
            windows_us: stretch(self.windows_us),
            losses_us: stretch(self.losses_us),
            closing_us: stretch(self.closing_us),
            ..self
        }
    }
}

/// Time from which no fault, blackout, process outage or attack is active. A schedule that ends in a blackout is ignored.
fn healed_from(scenario: &Scenario) -> Instant {
    let links = [&scenario.up, &scenario.down].into_iter().flat_map(|link| blackouts(&link.dead()));
    let stalls = hosts(scenario).into_iter().flat_map(|host| &host.stalls).filter_map(once);
    let adversary = (0, scenario.adversary.ends_us());
    let ends = links
        .chain(stalls)
        .chain([adversary])
        .map(|(begin_us, for_us)| Instant::from_micros(begin_us + for_us));
    ends.fold(all_healed_at(&scenario.faults), Instant::max)
}

/// The worst case of both directions from the stop on.
struct Path {
    round_trip_us: u64,
    /// Without the queues, which the transfer accounts for.
    delay_us: u64,
    rto_us: u64,
    /// Timeouts grow by `rto / growth`.
    growth: u64,
    /// Rate of the bottleneck; `None` if unlimited.
    bits_per_s: Option<u64>,
    window_bytes: u64,
    /// Bytes on the wire, and the payload bytes in them, without loss.
    wire: (u64, u64),
    /// Loss rates of both directions.
    losses: [Losses; 2],
    /// Transmissions that are certain to fail: drops by full queues and by lists; one more may always arrive late.
    certain: u64,
    keepalive_us: u64,
    /// Probe interval for a silent peer.
    probe_us: Option<u64>,
}

impl Path {
    fn new(scenario: &Scenario, now: Instant) -> Self {
        let (links, sides) = ([&scenario.up, &scenario.down], [&scenario.client, &scenario.server]);
        let interval_us = sides.iter().map(|side| us(side.config.tuning.interval_ms)).max().unwrap_or(0);
        let datagrams = sides.iter().map(|side| u64::from(side.config.snd_wnd)).sum::<u64>();
        let host_us: u64 = hosts(scenario).into_iter().map(|host| host_us(host, datagrams)).sum();
        let queues_us: u64 = links.iter().map(|link| queue_us(link)).sum();
        let held_us = 2 * scenario.adversary.hold_us_max().unwrap_or(0);
        let delay_us = links.iter().map(|link| link.delay_us_max()).sum::<u64>() + held_us;
        let delay_us = delay_us + 2 * interval_us + host_us;
        let round_trip_us = delay_us.saturating_add(queues_us);
        let is_nodelay = sides.iter().all(|side| side.config.tuning.nodelay);
        let is_limited = |link: &&LinkPlan| link.queue.is_some() || link.policer.is_some();
        let rto_us =
            round_trip_us.saturating_mul(3).saturating_add(interval_us).clamp(RTO_US_MIN, RTO_MAX_US);
        let overflows = if links.iter().any(is_limited) { OVERFLOWS } else { 0 };
        let listed: u64 = links.iter().map(|link| tries_listed(&link.drop_packets)).sum();
        let keepalive_us =
            sides.iter().map(|side| us(side.config.mux.keepalive_ms)).max().unwrap_or(0).max(1);
        let probe_us = (2 * rto_us).clamp(PROBE_US_MIN, PROBE_US_MAX);
        Self {
            round_trip_us,
            delay_us,
            rto_us,
            growth: if is_nodelay { 2 } else { 1 },
            bits_per_s: slowest(scenario, now),
            window_bytes: window_bytes(sides[0], sides[1]).min(window_bytes(sides[1], sides[0])).max(1),
            wire: sides.map(wire).into_iter().max_by_key(|(wire, of)| wire * 1_000 / of).unwrap_or((1, 1)),
            losses: links.map(|link| Losses::new(link, now)),
            certain: (overflows + listed).max(1),
            keepalive_us,
            probe_us: sides.iter().all(|side| side.config.probe).then_some(probe_us),
        }
    }

    fn transfer_us(&self, bytes: u64) -> u64 {
        let Some(bits_per_s) = self.bits_per_s else { return 0 };
        let loss_ppm = either(self.losses[0].ppm, self.losses[1].ppm);
        let sent = ratio(ratio(bytes, self.wire.0, self.wire.1), 1_000_000, 1_000_000 - loss_ppm);
        ratio(sent.saturating_mul(OVERFILL), 8_000_000, bits_per_s)
    }

    fn windows_us(&self, bytes: u64) -> u64 {
        let segments = (self.window_bytes / 1_000).max(1);
        let stall_us = self.losses_us(0, segments);
        bytes.div_ceil(self.window_bytes).saturating_mul(self.delay_us + stall_us)
    }

    /// Delay of a segment that loses its first `certain` transmissions, then as many as one segment in `one_in` loses.
    fn losses_us(&self, certain: u64, one_in: u64) -> u64 {
        let mut chances = Chances::new(self.losses);
        let (mut waited_us, mut wait_us) = (0_u64, self.rto_us);
        let mut tries = 0;
        while tries < certain || !chances.retransmit(one_in) {
            waited_us = waited_us.saturating_add(wait_us);
            // Each keepalive frame during this time is a further segment to retransmit.
            (0..waited_us / self.keepalive_us).for_each(|_| chances.send_other());
            wait_us += self.rto_us / self.growth;
            tries += 1;
        }
        waited_us
    }

    fn silence_us(&self, scenario: &Scenario, cut_us: u64) -> u64 {
        let sides = [&scenario.client, &scenario.server].map(|side| &side.config);
        // The keepalive timeout is checked once per interval.
        let timeout_us = 2 * sides.iter().map(|config| us(config.mux.peer_timeout_ms)).max().unwrap_or(0);
        let detection_us = self.probe_us.map_or(timeout_us, |probe_us| probe_us + self.round_trip_us);
        cut_us + self.rto_us + self.keepalive_us + detection_us
    }
}

/// Random loss and corruption of one direction, parts per million.
#[derive(Clone, Copy)]
struct Losses {
    /// Mean over all packets.
    ppm: u64,
    /// Loss after an arrived packet, and after a lost packet.
    after: [u64; 2],
}

const PPM: u64 = 1_000_000;

impl Losses {
    /// The highest loss from `now` on.
    fn new(link: &LinkPlan, now: Instant) -> Self {
        let damaged = link.corrupt_ppm.values_from(now).max().map_or(0, u64::from);
        let none = Self { ppm: 0, after: [0; 2] };
        let worst = link.loss.values_from(now).map(Self::from).fold(none, |worst, one| Self {
            ppm: worst.ppm.max(one.ppm),
            after: [worst.after[0].max(one.after[0]), worst.after[1].max(one.after[1])],
        });
        Self { ppm: either(worst.ppm, damaged), after: worst.after.map(|ppm| either(ppm, damaged)) }
    }
}

impl From<LossPlan> for Losses {
    fn from(plan: LossPlan) -> Self {
        match plan {
            LossPlan::None => Self { ppm: 0, after: [0; 2] },
            LossPlan::Bernoulli { ppm } => Self { ppm: ppm.into(), after: [ppm.into(); 2] },
            LossPlan::Burst { ppm, burst_thousandths } => {
                let leave = ratio(PPM, 1_000, burst_thousandths.max(1_000));
                let ppm = u64::from(ppm).min(LOSS_PPM_MAX);
                Self { ppm, after: [ratio(leave, ppm, PPM - ppm), PPM - leave] }
            }
        }
    }
}

/// Share of segments lost in all transmissions so far, parts per 10^12, by whether the last packet was lost, up and down.
struct Chances {
    losses: [Losses; 2],
    left: [[u64; 2]; 2],
}

impl Chances {
    fn new(losses: [Losses; 2]) -> Self {
        let share = |was_lost: usize, ppm: u64| if was_lost == 1 { ppm } else { PPM - ppm };
        let left = [0, 1].map(|a| [0, 1].map(|b| share(a, losses[0].ppm) * share(b, losses[1].ppm)));
        Self { losses, left }
    }

    /// Retransmits them; returns whether less than one in `one_in` remains.
    fn retransmit(&mut self, one_in: u64) -> bool {
        self.step(0);
        self.left.as_flattened().iter().sum::<u64>() < PPM * PPM / one_in.max(1)
    }

    /// Sends another packet and its answer, which may end a burst.
    fn send_other(&mut self) {
        self.step(PPM);
    }

    /// Sends a packet up and its answer down; `kept` parts per million of the cases in which both arrive remain.
    fn step(&mut self, kept: u64) {
        let [up, down] = self.losses;
        let of = |part: u64, ppm: u64| ratio(part, ppm, PPM);
        let mut next = [[0; 2]; 2];
        for (a, b) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let left = self.left[a][b];
            let arrives = of(left, PPM - up.after[a]);
            let answered = of(arrives, PPM - down.after[b]);
            next[1][b] += left - arrives;
            next[0][1] += arrives - answered;
            next[0][0] += of(answered, kept);
        }
        self.left = next;
    }
}

/// Delay that a host adds to a round trip.
fn host_us(host: &HostPlan, datagrams: u64) -> u64 {
    let stalls = host.stalls.iter().map(|stall| match *stall {
        Stall::Every { for_us, .. } => for_us,
        Stall::Once { .. } => 0,
    });
    let cpu_us = host.cpu_us_per_datagram.values().max().unwrap_or(0);
    host.timer_slack_us.values().max().unwrap_or(0) + stalls.sum::<u64>() + cpu_us.saturating_mul(datagrams)
}

/// Queueing delay of a full queue plus transmission time.
fn queue_us(link: &LinkPlan) -> u64 {
    const PACKET_BYTES: u64 = 1_500;
    let queues =
        link.queue.iter().flat_map(Timeline::values).filter(|queue| queue.bits_per_s > 0).map(|queue| {
            let bytes = queue.bytes_max.min(queue.packets_max.saturating_mul(PACKET_BYTES));
            ratio(bytes.saturating_add(PACKET_BYTES), 8_000_000, queue.bits_per_s)
        });
    queues.max().unwrap_or(0)
}

/// Rate of the bottleneck: links, policers, rate limits or processors of both sides.
fn slowest(scenario: &Scenario, now: Instant) -> Option<u64> {
    let links = [&scenario.up, &scenario.down];
    let queues = links.into_iter().filter_map(|link| link.queue.as_ref());
    let queues = queues
        .flat_map(|queue| queue.values_from(now))
        .map(|queue| queue.bits_per_s)
        .filter(|bits_per_s| *bits_per_s > 0);
    let policers = links.into_iter().filter_map(|link| link.policer.as_ref());
    let policers = policers.flat_map(|policer| policer.values_from(now)).map(|policer| {
        policer.penalty.map_or(policer.bits_per_s, |penalty| penalty.bits_per_s.min(policer.bits_per_s))
    });
    let sides = [&scenario.client, &scenario.server];
    let limits = sides.into_iter().map(|side| side.config.rate_bytes_s * 8).filter(|&bits| bits > 0);
    let datagram_bits = sides.into_iter().map(|side| side.config.mtu as u64 * 8).min().unwrap_or(1);
    // About one more datagram is handled per data datagram: an acknowledgement, or data of the other direction.
    let cpu_us = hosts(scenario).into_iter().flat_map(|host| host.cpu_us_per_datagram.values_from(now));
    let cpus = cpu_us.filter(|&us| us > 0).map(|us| datagram_bits * 1_000_000 / (2 * us));
    queues.chain(policers).chain(limits).chain(cpus).min().map(|bits_per_s| bits_per_s.max(1))
}

fn window_bytes(from: &SidePlan, to: &SidePlan) -> u64 {
    let config = &from.config;
    let window = u64::from(config.snd_wnd.min(to.config.rcv_wnd));
    let window = if config.tuning.nc { window } else { window.min(CONGESTION_WINDOW_MIN) };
    let segments_bytes = window * config.mss() as u64;
    let (sends, reads) = (&config.mux, &to.config.mux);
    let per_stream = sends.version == 2 || (sends.announce && reads.announce);
    // A reader reports what it read once that is half of its window.
    let stream_bytes = if per_stream { reads.stream_bytes_max as u64 / 2 } else { u64::MAX };
    segments_bytes.min(stream_bytes)
}

/// Bytes on the wire, and the payload in them.
fn wire(side: &SidePlan) -> (u64, u64) {
    let config = &side.config;
    let (shards, data) =
        config.fec.map_or((1, 1), |shape| ((shape.data() + shape.parity()) as u64, shape.data() as u64));
    ((config.mtu as u64 + u64::from(HEADERS_BYTES)) * shards, config.mss() as u64 * data)
}

/// Probability that at least one of two independent events occurs, parts per million.
fn either(a_ppm: u64, b_ppm: u64) -> u64 {
    let (a, b) = (a_ppm.min(PPM), b_ppm.min(PPM));
    (a + b - a * b / PPM).min(LOSS_PPM_MAX)
}

/// Transmissions of one segment that a list of drops may hit: the longest consecutive run, or separate drops.
fn tries_listed(numbers: &[u64]) -> u64 {
    longest_run(numbers).max((numbers.len() as u64).min(LISTED_APART_MAX))
}

fn longest_run(numbers: &[u64]) -> u64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted.chunk_by(|a, b| a + 1 == *b).map(|run| run.len() as u64).max().unwrap_or(0)
}

/// Remaining pauses of a workload.
fn pause_us(plan: &WorkPlan, now: Instant, is_cut: bool) -> u64 {
    match &plan.kind {
        WorkKind::StalledReader(reader) => {
            let for_us = reader.stall_for_us.unwrap_or(0);
            let resumes_us = plan.start_us + reader.stall_after_us + for_us;
            // The next probe of a closed window may be delayed by the time for which it was closed.
            resumes_us.saturating_sub(now.as_micros()) + for_us.max(WINDOW_PROBE_US)
        }
        WorkKind::HalfClose(half) => half.response_after_us * if is_cut { 2 } else { 1 },
        WorkKind::Storm(storm) => storm.interval_us,
        _ => 0,
    }
}

/// The longest outage of a link or process; `None` without outages.
fn longest_cut_us(scenario: &Scenario) -> Option<u64> {
    let cuts = scenario.faults.iter().filter(|fault| {
        !matches!(fault.kind, FaultKind::DuplicateStorm { .. } | FaultKind::Corruption { .. })
    });
    let faults = cuts.map(|fault: &FaultPlan| fault.for_us);
    let links = [&scenario.up, &scenario.down].into_iter().flat_map(|link| blackouts(&link.dead()));
    let stalls = hosts(scenario).into_iter().flat_map(|host| &host.stalls).filter_map(once);
    let forgotten = scenario.nat.timeout_us.map(|_| 0);
    // A session diverted by the adversary receives no packets until the server follows the client back.
    let diverted = scenario.adversary.hold_us_max();
    faults.chain(links.chain(stalls).map(|(_, for_us)| for_us)).chain(forgotten).chain(diverted).max()
}

/// Finite blackouts of a link: start and length, microseconds.
fn blackouts(blackout: &Timeline<bool>) -> Vec<(u64, u64)> {
    let times: Vec<u64> = blackout.times().collect();
    let is_dark = |us: u64| blackout.at(Instant::from_micros(us));
    times.windows(2).filter(|pair| is_dark(pair[0])).map(|pair| (pair[0], pair[1] - pair[0])).collect()
}

const fn once(stall: &Stall) -> Option<(u64, u64)> {
    match *stall {
        Stall::Once { at_us, for_us } => Some((at_us, for_us)),
        Stall::Every { .. } => None,
    }
}

const fn hosts(scenario: &Scenario) -> [&HostPlan; 2] {
    [&scenario.hosts.client, &scenario.hosts.server]
}

fn us(ms: u32) -> u64 {
    u64::from(ms) * 1_000
}

/// `value * by / over`, rounded up; the largest number where that does not fit.
fn ratio(value: u64, by: u64, over: u64) -> u64 {
    let wide = (u128::from(value) * u128::from(by)).div_ceil(u128::from(over.max(1)));
    u64::try_from(wide).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Consecutive losses of one segment in a million.
    fn losses_in_a_row(up: LossPlan, others: u64) -> u64 {
        let mut chances = Chances::new([Losses::from(up), Losses::from(LossPlan::None)]);
        let mut losses = 0;
        while !chances.retransmit(EXCLUDED_ONE_IN) {
            (0..others).for_each(|_| chances.send_other());
            losses += 1;
        }
        losses
    }

    #[test]
    fn the_number_of_losses_follows_the_loss_rate() {
        assert_eq!(losses_in_a_row(LossPlan::None, 0), 0);
        // 0.05^4 is the last power above 10^-6; other packets make no difference.
        assert_eq!(losses_in_a_row(LossPlan::Bernoulli { ppm: 50_000 }, 0), 4);
        assert_eq!(losses_in_a_row(LossPlan::Bernoulli { ppm: 50_000 }, 5), 4);
        // Bursts of four on average: 0.01 * 0.75^n; three other packets during a wait end most of them.
        let burst = LossPlan::Burst { ppm: 10_000, burst_thousandths: 4_000 };
        let alone = losses_in_a_row(burst, 0);
        assert!((31..=34).contains(&alone), "{alone}");
        assert!(losses_in_a_row(burst, 3) < alone / 2);
    }

    #[test]
    fn consecutive_and_some_separate_drops_may_hit_one_segment() {
        assert_eq!([&[][..], &[5], &[1, 9, 7, 8]].map(longest_run), [0, 1, 3]);
        assert_eq!([&[][..], &[5], &[1, 9, 7, 8]].map(tries_listed), [0, 1, 4]);
        let (apart, run): (Vec<u64>, Vec<u64>) = ((1..100).map(|n| 2 * n).collect(), (1..100).collect());
        assert_eq!((tries_listed(&apart), tries_listed(&run)), (LISTED_APART_MAX, 99));
    }
}
