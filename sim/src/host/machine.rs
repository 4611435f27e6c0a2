use crate::Side;
use crate::ids::PacketId;
use crate::outcome::HostCounters;
use crate::plan::{ClockPlan, HostPlan};
use crate::rng::{Seed, below};
use engine::{Deadline, Entropy, Instant};
use std::collections::VecDeque;
use std::time::Duration;

impl ClockPlan {
    const WRAP_US: u64 = (1 << 32) * 1_000;

    /// What it shows at the beginning of a run of `duration_us`.
    fn offset_us(self, side: Side, seed: Seed, duration_us: u64) -> u64 {
        // Runs end before their time when their work is done.
        let early = duration_us / 4;
        let before_wrap = |seed: Seed| {
            let mut dice = seed.stream(&format!("host.{}.clock", side.name()));
            Self::WRAP_US - below(&mut dice, early + 1)
        };
        match self {
            Self::Offset { us } => us,
            Self::Wrap => before_wrap(seed),
            Self::Seeded if below(&mut seed.stream("host.wrap"), 3) == 0 => before_wrap(seed),
            Self::Seeded => 0,
        }
    }
}

/// What becomes of a datagram that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The process takes it at once.
    Taken,
    /// It waits in the socket's buffer.
    Waits,
    /// There was no room.
    Dropped,
}

/// The computer between a link and the process of one side.
///
/// While the process is stalled, or its processor busy, nothing is received, no timer fires and nothing is sent; what
/// arrives waits in the socket. Applications keep running, as other processes do.
#[derive(Debug)]
pub struct Machine {
    plan: HostPlan,
    timer_dice: Entropy,
    /// The deadline the timer is set to, until it fires.
    due: Option<Instant>,
    slack: (Option<Instant>, Duration),
    busy_until: Instant,
    waiting: VecDeque<(PacketId, u32)>,
    waiting_bytes: u64,
    owes: bool,
    resumes_at: Option<Instant>,
    counters: HostCounters,
}

impl Machine {
    /// An idle machine of a run of `duration_us`.
    pub fn new(side: Side, plan: &HostPlan, seed: Seed, duration_us: u64) -> Self {
        let clock_offset_us = plan.clock.offset_us(side, seed, duration_us);
        Self {
            plan: plan.clone(),
            timer_dice: seed.stream(&format!("host.{}.timer", side.name())),
            due: None,
            slack: (None, Duration::ZERO),
            busy_until: Instant::ZERO,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            owes: false,
            resumes_at: None,
            counters: HostCounters { clock_offset_us, ..HostCounters::default() },
        }
    }

    /// Reading of the process's clock at `now`; the engine runs on this time.
    pub fn local(&self, now: Instant) -> Instant {
        now + Duration::from_micros(self.counters.clock_offset_us)
    }

    /// Simulated time at which the process's clock reads `local`.
    fn world(&self, local: Instant) -> Instant {
        Instant::from_micros(local.as_micros().saturating_sub(self.counters.clock_offset_us))
    }

    /// A fault: the clock jumps forward.
    pub const fn step_clock(&mut self, by_us: u64) {
        self.counters.clock_offset_us += by_us;
    }

    /// Whether the process runs and its processor has nothing to do.
    pub fn is_free(&self, now: Instant) -> bool {
        self.free_from(now) == now
    }

    /// The first moment from `at` on at which it is free, as far as is known.
    pub fn free_from(&self, at: Instant) -> Instant {
        let mut free = at.max(self.busy_until);
        while let Some(end) = self.plan.stalls.iter().find_map(|stall| stall.end(free)) {
            free = end;
        }
        free
    }

    /// The processor handles `datagrams` from `now` on.
    pub fn work(&mut self, now: Instant, datagrams: u64) {
        let us = self.plan.cpu_us_per_datagram.at(now) * datagrams;
        if us > 0 {
            self.busy_until = self.busy_until.max(now) + Duration::from_micros(us);
            self.counters.cpu_busy_us += us;
        }
    }

    /// A datagram of `bytes` arrives.
    pub fn arrive(&mut self, now: Instant, packet: PacketId, bytes: u32) -> Arrival {
        if self.waiting.is_empty() && self.is_free(now) {
            return Arrival::Taken;
        }
        let bytes_after = self.waiting_bytes + u64::from(bytes);
        if bytes_after > self.plan.receive_buffer_bytes.at(now) {
            self.counters.dropped_socket += 1;
            return Arrival::Dropped;
        }
        self.waiting.push_back((packet, bytes));
        self.waiting_bytes = bytes_after;
        self.counters.socket_peak_bytes = self.counters.socket_peak_bytes.max(bytes_after);
        Arrival::Waits
    }

    /// The datagram that has waited longest, if the process can take it.
    pub fn take(&mut self, now: Instant) -> Option<PacketId> {
        if !self.is_free(now) {
            return None;
        }
        let (packet, bytes) = self.waiting.pop_front()?;
        self.waiting_bytes -= u64::from(bytes);
        Some(packet)
    }

    /// Datagrams that wait in the socket.
    pub fn held(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// The process could not send everything it has.
    pub const fn owe(&mut self) {
        self.owes = true;
    }

    /// Whether the process could not send everything it has; asking settles the debt.
    pub const fn settle_debt(&mut self) -> bool {
        std::mem::replace(&mut self.owes, false)
    }

    /// When to come back because something waits, unless that is arranged already.
    pub fn resume_at(&mut self, now: Instant) -> Option<Instant> {
        if self.resumes_at.is_some() || (self.waiting.is_empty() && !self.owes) {
            return None;
        }
        self.resumes_at = Some(self.free_from(now));
        self.resumes_at
    }

    /// That moment has come.
    pub const fn resume(&mut self) {
        self.resumes_at = None;
    }

    /// When the timer for a deadline of the engine fires.
    pub fn alarm_at(&mut self, now: Instant, deadline: Option<Deadline>) -> Option<Instant> {
        self.due = deadline.map(|deadline| self.world(deadline.at));
        let due = self.due?;
        let late = due + self.slack(now, due);
        Some(self.free_from(late.max(now)))
    }

    /// The timer fires.
    pub const fn fire(&mut self) {
        self.due = None;
    }

    /// Whether a deadline has passed for which the timer has not fired yet, which is this machine's fault.
    pub fn is_late(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due < now)
    }

    /// By how much the timer for that deadline is late; drawn once for each.
    fn slack(&mut self, now: Instant, due: Instant) -> Duration {
        let slack_us = self.plan.timer_slack_us.at(now);
        if slack_us == 0 {
            return Duration::ZERO;
        }
        if self.slack.0 != Some(due) {
            self.slack = (Some(due), Duration::from_micros(below(&mut self.timer_dice, slack_us + 1)));
        }
        self.slack.1
    }

    /// Totals so far.
    pub const fn counters(&self) -> &HostCounters {
        &self.counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Packets;
    use crate::plan::Stall;
    use engine::Timer;

    const MINUTE_US: u64 = 60_000_000;

    fn machine(plan: HostPlan) -> Machine {
        Machine::new(Side::Server, &plan, Seed(1), MINUTE_US)
    }

    fn us(us: u64) -> Instant {
        Instant::from_micros(us)
    }

    #[test]
    fn stalls_end_where_they_should() {
        let stalls = vec![
            Stall::Once { at_us: 100, for_us: 50 },
            Stall::Once { at_us: 150, for_us: 25 },
            Stall::Every { period_us: 1_000, for_us: 10 },
        ];
        let machine = machine(HostPlan { stalls, ..HostPlan::default() });
        let free: Vec<u64> = [0, 99, 100, 149, 160, 175, 999, 1_000, 1_009, 1_010, 7_005]
            .map(|at| machine.free_from(us(at)).as_micros())
            .into();
        assert_eq!(free, [0, 99, 175, 175, 175, 175, 999, 1_010, 1_010, 1_010, 7_010]);
    }

    #[test]
    fn a_busy_machine_holds_what_fits_in_order_and_drops_the_rest() {
        let mut packets = Packets::default();
        let ids: Vec<PacketId> = (0..4).map(|_| packets.insert(b"")).collect();
        let plan = HostPlan {
            receive_buffer_bytes: 250.into(),
            cpu_us_per_datagram: 30.into(),
            ..HostPlan::default()
        };
        let mut machine = machine(plan);
        assert_eq!(machine.arrive(us(10), ids[0], 100), Arrival::Taken);
        machine.work(us(10), 1);
        let late: Vec<Arrival> = ids[1..].iter().map(|&id| machine.arrive(us(20), id, 100)).collect();
        assert_eq!(late, [Arrival::Waits, Arrival::Waits, Arrival::Dropped]);
        assert_eq!((machine.held(), machine.resume_at(us(20))), (2, Some(us(40))));
        assert_eq!((machine.take(us(39)), machine.resume_at(us(39))), (None, None));
        machine.resume();
        assert_eq!(machine.take(us(40)), Some(ids[1]));
        machine.work(us(40), 2);
        assert_eq!((machine.take(us(40)), machine.resume_at(us(40))), (None, Some(us(100))));
        assert_eq!(machine.take(us(100)), Some(ids[2]));
        let counters = machine.counters();
        assert_eq!((counters.dropped_socket, counters.socket_peak_bytes, counters.cpu_busy_us), (1, 200, 90));
    }

    #[test]
    fn one_seed_in_three_crosses_the_wrap_on_both_sides() {
        let crosses = |plan, side, seed| {
            let machine =
                Machine::new(side, &HostPlan { clock: plan, ..HostPlan::default() }, Seed(seed), MINUTE_US);
            machine.local(us(0)).ms() > machine.local(us(MINUTE_US / 4 + 1_000)).ms()
        };
        let seeded = |side| (0..3_000).map(|seed| crosses(ClockPlan::Seeded, side, seed)).collect::<Vec<_>>();
        let client = seeded(Side::Client);
        let share = client.iter().filter(|&&crosses| crosses).count();
        assert!((900..1_100).contains(&share), "{share}");
        assert_eq!(client, seeded(Side::Server));
        assert!((0..100).all(|seed| crosses(ClockPlan::Wrap, Side::Client, seed)));
        assert!((0..100).all(|seed| !crosses(ClockPlan::Offset { us: 5 }, Side::Client, seed)));
    }

    #[test]
    fn deadlines_are_on_the_process_s_own_clock() {
        let mut machine = machine(HostPlan { clock: ClockPlan::Offset { us: 5_000 }, ..HostPlan::default() });
        let deadline = |at| Some(Deadline { at: us(at), why: Timer::Flush });
        assert_eq!(machine.local(us(10)), us(5_010));
        assert_eq!(machine.alarm_at(us(0), deadline(5_700)), Some(us(700)));
        machine.step_clock(600);
        assert_eq!(machine.alarm_at(us(0), deadline(5_700)), Some(us(100)));
        assert_eq!(machine.alarm_at(us(200), deadline(5_700)), Some(us(200)));
        assert!(machine.is_late(us(200)) && !machine.is_late(us(100)));
        machine.fire();
        assert!(!machine.is_late(us(200)));
        assert_eq!(machine.alarm_at(us(0), None), None);
    }

    #[test]
    fn timers_are_late_by_up_to_the_slack_and_once_per_deadline() {
        let plan = HostPlan {
            timer_slack_us: 1_000.into(),
            clock: ClockPlan::Offset { us: 0 },
            ..HostPlan::default()
        };
        let mut machine = machine(plan);
        let mut late = |at| {
            let deadline = Some(Deadline { at: us(at), why: Timer::Flush });
            let (fires, again) = (machine.alarm_at(us(0), deadline), machine.alarm_at(us(0), deadline));
            assert_eq!(fires, again);
            fires.unwrap().as_micros() - at
        };
        let lates: Vec<u64> = (1..=20_000).map(|n| late(n * 7)).collect();
        let mean = lates.iter().sum::<u64>() / 20_000;
        assert!((485..=515).contains(&mean) && lates.iter().all(|&late| late <= 1_000), "{mean}");
    }
}
