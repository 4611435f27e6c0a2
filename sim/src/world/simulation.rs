use crate::check::{BYTES_EVERY_EVENTS, EVENTS_PER_INSTANT_MAX, SpinGuard, is_conserved};
use crate::ids::{Node, PacketId, Stream};
use crate::link::Link;
use crate::net::{Event, Key};
use crate::outcome::{LivenessOutcome, Outcome, PerDirection, Rule, useful_bytes};
use crate::plan::{FaultPlan, Scenario};
use crate::rng::Seed;
use crate::trace::Kind;
use crate::transport::{Notice, SidePort, Transport};
use crate::work::{Application, START, application, is_all_done, is_finished};
use crate::{Direction, Side};
use engine::Instant;
use std::collections::BTreeMap;

/// One run over one transport.
pub(super) struct Simulation<'s, T> {
    scenario: &'s Scenario,
    seed: u64,
    now: Instant,
    events: u64,
    progress: SpinGuard,
    pub(super) transport: T,
    work: Vec<Box<dyn Application>>,
    /// A workload ran since [`is_finished`] was last evaluated.
    worked: bool,
    phase: Phase,
    stopped_at: Option<Instant>,
    liveness: LivenessOutcome,
    /// Tunnels that were never drained since all work was done, with the end of what was queued then; `None` before.
    undrained: Option<BTreeMap<Node, Option<u32>>>,
}

/// Progress of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Sources offer bytes.
    Offering,
    /// Sources have stopped; data in flight is arriving.
    Draining,
    /// The run is over.
    Over,
}

impl<'s, T: Transport> Simulation<'s, T> {
    /// A run before its first event.
    pub(super) fn new(scenario: &'s Scenario, seed: u64, mut transport: T) -> Self {
        let schedule = &mut transport.network_mut().net.schedule;
        let mut planted_us = scenario.planted.map_or(0, |planted| planted());
        for (work, plan) in scenario.work.iter().enumerate() {
            let start_us = plan.start_us + std::mem::take(&mut planted_us);
            schedule.push(Instant::from_micros(start_us), Event::Tick(work));
        }
        for (index, fault) in scenario.faults.iter().enumerate() {
            schedule.push(fault.begins_at(), Event::Fault(index));
            schedule.push(fault.heals_at(), Event::Healed(index));
        }
        schedule.push(Instant::from_micros(scenario.duration_us), Event::Stop);
        transport.arm(Instant::ZERO);
        Self {
            scenario,
            seed,
            now: Instant::ZERO,
            events: 0,
            progress: SpinGuard::new(EVENTS_PER_INSTANT_MAX),
            transport,
            work: scenario.work.iter().map(|plan| application(plan, Seed(seed))).collect(),
            worked: true,
            phase: Phase::Offering,
            stopped_at: None,
            liveness: LivenessOutcome::default(),
            undrained: None,
        }
    }

    /// Processes one event; false when that was the last.
    pub(super) fn step(&mut self) -> bool {
        let Some((key, alarm)) = self.next() else {
            self.violate(Rule::Liveness, "nothing is left to happen".into());
            return false;
        };
        self.now = key.at;
        self.events += 1;
        self.note_progress();
        let is_news = match alarm {
            Some(side) => {
                self.wake(side);
                true
            }
            None => self.happen_next(),
        };
        if is_news {
            self.dispatch();
            self.advance_phase();
        }
        self.transport.arm(self.now);
        self.check();
        self.phase != Phase::Over
    }

    /// What the run found so far, and what comes of the scenario's expectations.
    pub(super) fn finish(self) -> Outcome {
        let mut outcome = self.outcome();
        outcome.judge(&self.scenario.expect);
        outcome
    }

    /// The next event; an alarm has its side with it.
    fn next(&self) -> Option<(Key, Option<Side>)> {
        let mut next = self.transport.network().net.schedule.peek().map(|key| (key, None));
        for side in [Side::Client, Side::Server] {
            let key = self.transport.alarm(side).key();
            if let Some(key) = key.filter(|&key| next.is_none_or(|(first, _)| key < first)) {
                next = Some((key, Some(side)));
            }
        }
        next
    }

    fn wake(&mut self, side: Side) {
        self.transport.network_mut().trace.record(self.now, side, Kind::Timeout, 0);
        if !self.transport.alarm_mut(side).ring(self.now) {
            let detail = format!("{side:?}: the timer fires again and again");
            self.transport.network_mut().violate(self.now, Rule::Spin, detail);
        }
        self.transport.wake(self.now, side);
    }

    /// Processes the next scheduled event. Returns whether it concerns one of the sides; events inside a link do not.
    fn happen_next(&mut self) -> bool {
        let Some((_, event)) = self.transport.network_mut().net.schedule.pop() else { return false };
        match event {
            Event::Transmitted(direction) => {
                let network = self.transport.network_mut();
                network.links[direction as usize].transmitted(&mut network.net, self.now);
                return false;
            }
            Event::Deliver(direction, packet) => self.deliver(direction, packet),
            Event::Tick(work) => self.tick(work, Side::Client, START),
            Event::Wake { work, side, tag } => self.tick(work, side, tag),
            Event::Resume(side) => self.transport.resume(self.now, side),
            Event::Fault(index) => self.fault(index, false),
            Event::Healed(index) => self.fault(index, true),
            Event::Stop => self.stop(),
            Event::Limit => self.expire(),
        }
        true
    }

    /// A packet leaves a link.
    fn deliver(&mut self, direction: Direction, packet: PacketId) {
        let network = self.transport.network_mut();
        let bytes = network.net.packets.len_bytes(packet);
        network.links[direction as usize].delivered(bytes);
        self.transport.deliver(self.now, direction.receiver(), packet);
    }

    /// While the client process is down, timers of its applications are postponed until it restarts.
    fn tick(&mut self, work: usize, side: Side, tag: u64) {
        if side == Side::Client && !self.transport.client_runs() {
            let restarts = self.scenario.faults.iter().filter(|fault| fault.restarts_client(self.now));
            let at = restarts.map(FaultPlan::heals_at).max().unwrap_or(self.now);
            let event = Event::Wake { work, side, tag };
            return self.transport.network_mut().net.schedule.push(at, event);
        }
        self.with_port(side, work, |application, port| application.tick(port, tag));
    }

    /// Passes notices of the transport to applications until none is left.
    fn dispatch(&mut self) {
        while self.transport.network().violations.is_empty() {
            let Some(notice) = self.transport.poll(self.now) else { return };
            self.note_progress();
            self.handle(notice);
        }
    }

    fn handle(&mut self, notice: Notice) {
        match notice {
            Notice::Advance(side, stream) => self.advance(side, stream),
            Notice::Reset(side, streams) => streams.into_iter().for_each(|stream| self.reset(side, stream)),
        }
    }

    fn advance(&mut self, side: Side, stream: Stream) {
        if let Some(&work) = self.transport.network().owners.get(&stream) {
            self.with_port(side, work, |application, port| application.advance(port, stream));
        }
    }

    fn reset(&mut self, side: Side, stream: Stream) {
        let network = self.transport.network_mut();
        let Some(&work) = network.owners.get(&stream) else { return };
        if let Some(recorder) = &mut network.net.recorder {
            recorder.reset(self.now, side, stream);
        }
        self.with_port(side, work, |application, port| application.reset(port, stream));
        if side == Side::Client {
            self.transport.network_mut().owners.remove(&stream);
        }
    }

    fn with_port(
        &mut self,
        side: Side,
        work: usize,
        act: impl FnOnce(&mut dyn Application, &mut SidePort<'_, T>),
    ) {
        self.worked = true;
        let mut port = SidePort { now: self.now, side, work, transport: &mut self.transport };
        act(&mut *self.work[work], &mut port);
    }

    fn fault(&mut self, index: usize, heals: bool) {
        let FaultPlan { kind, .. } = self.scenario.faults[index];
        let network = self.transport.network_mut();
        if let Some(recorder) = &mut network.net.recorder {
            recorder.fault(self.now, kind.name(), heals);
        }
        network.links.iter_mut().for_each(|link| link.apply_faults(&self.scenario.faults, self.now));
        if let Some(notice) = self.transport.fault(self.now, kind, heals) {
            self.handle(notice);
        }
    }

    fn advance_phase(&mut self) {
        if !self.transport.network().violations.is_empty() {
            self.phase = Phase::Over;
        }
        let phase = self.phase;
        match phase {
            Phase::Offering if std::mem::take(&mut self.worked) && is_finished(&self.work) => self.stop(),
            Phase::Draining if is_all_done(&self.work) && self.is_drained() => {
                self.phase = Phase::Over;
                self.liveness.note_done(self.now);
            }
            _ => {}
        }
    }

    /// Whether what each tunnel had queued when all work was done is acknowledged. A tunnel need not be empty: over a long
    /// path, one keepalive follows another.
    fn is_drained(&mut self) -> bool {
        let busy = self.transport.busy();
        let undrained = self.undrained.get_or_insert_with(|| busy.keys().map(|&node| (node, None)).collect());
        undrained.retain(|node, end| {
            let Some(waiting) = busy.get(node) else { return false };
            let Some(waiting) = waiting else { return true };
            let end = *end.get_or_insert(waiting.end);
            waiting.start.wrapping_sub(end).cast_signed() < 0
        });
        undrained.is_empty()
    }

    /// Stops the sources; from here on all data must arrive in a bounded time.
    fn stop(&mut self) {
        if self.phase != Phase::Offering {
            return;
        }
        self.phase = Phase::Draining;
        self.stopped_at = Some(self.now);
        self.work.iter_mut().for_each(|work| work.stop(self.now));
        for (side, stream) in self.transport.ends() {
            self.advance(side, stream);
        }
        let owed = self.work.iter().map(|work| work.owed_bytes());
        let outstanding_bytes = owed.fold(self.transport.queued_bytes(), u64::saturating_add);
        self.liveness = LivenessOutcome::new(self.scenario, self.now, outstanding_bytes);
        self.transport.network_mut().net.schedule.push(self.liveness.ends_at(), Event::Limit);
        self.dispatch();
    }

    /// The bound on draining has passed.
    fn expire(&mut self) {
        if !T::IS_TESTED {
            self.phase = Phase::Over;
            return;
        }
        let names = self.work.iter().zip(&self.scenario.work).filter(|(work, _)| !work.is_done());
        let unfinished: Vec<&str> = names.map(|(_, plan)| plan.name.as_str()).collect();
        let detail = if unfinished.is_empty() {
            "something is still queued or unacknowledged".into()
        } else {
            format!("not done in time: {}", unfinished.join(", "))
        };
        let within = self.liveness.bound.map_or_else(String::new, |bound| format!(" (within {bound})"));
        self.violate(Rule::Liveness, detail + &within);
    }

    fn note_progress(&mut self) {
        if !self.progress.allows(self.now) {
            self.violate(Rule::Spin, "too many events at one instant".into());
        }
    }

    fn check(&mut self) {
        let network = self.transport.network();
        let (counters, live) = (network.links.each_ref().map(Link::counters), network.net.packets.live());
        if !is_conserved(counters, self.transport.held_packets(), live) {
            self.violate(Rule::Conservation, "packets appeared or disappeared".into());
        }
        let thorough = self.events.is_multiple_of(BYTES_EVERY_EVENTS) || self.phase == Phase::Over;
        self.transport.check(self.now, thorough);
        if !self.transport.network().violations.is_empty() {
            self.phase = Phase::Over;
        }
    }

    fn violate(&mut self, rule: Rule, detail: String) {
        self.phase = Phase::Over;
        self.transport.network_mut().violate(self.now, rule, detail);
    }

    fn outcome(&self) -> Outcome {
        let network = self.transport.network();
        let workloads: Vec<_> = self.work.iter().map(|work| work.outcome()).collect();
        let [up, down] = network.links.each_ref().map(|link| link.counters().at_end());
        let mut outcome = Outcome {
            ok: network.violations.is_empty(),
            violations: network.violations.clone(),
            stopped_us: self.stopped_at.unwrap_or(self.now).as_micros(),
            sim_us: self.now.as_micros(),
            events: self.events,
            trace_hash: network.trace.hash(),
            liveness: self.liveness,
            useful_bytes: useful_bytes(&workloads),
            workloads,
            links: PerDirection { up, down },
            adversary: network.adversary.as_ref().map_or_else(Default::default, |one| *one.counters()),
            ..Outcome::empty(self.scenario, self.seed)
        };
        self.transport.report(self.scenario, &mut outcome);
        outcome
    }
}
