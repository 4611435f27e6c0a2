use super::host::TcpHost;
use super::port::TcpPort;
use crate::check::{EVENTS_PER_INSTANT_MAX, SpinGuard, is_conserved};
use crate::ids::{PacketId, Stream};
use crate::link::Link;
use crate::net::{Event, Key, Net};
use crate::outcome::{LivenessOutcome, Outcome, PerDirection, Rule, Violation};
use crate::plan::{Baseline, Scenario};
use crate::record::Recorder;
use crate::rng::Seed;
use crate::trace::{Entry, Kind, Trace};
use crate::work::{Application, START, application, is_all_done, is_finished};
use crate::world::Phase;
use crate::{Direction, Side};
use engine::Instant;
use std::collections::BTreeMap;

/// One run of a scenario's work over direct TCP.
pub struct TcpWorld<'s> {
    scenario: &'s Scenario,
    baseline: Baseline,
    seed: u64,
    now: Instant,
    events: u64,
    progress: SpinGuard,
    ends: Ends,
    work: Vec<Box<dyn Application>>,
    phase: Phase,
    stopped_at: Option<Instant>,
    liveness: LivenessOutcome,
}

/// The hosts and what lies between; apart from the applications, so that both can be borrowed.
struct Ends {
    client: TcpHost,
    server: TcpHost,
    line: Line,
}

/// What lies between the hosts.
pub(super) struct Line {
    pub(super) net: Net,
    links: [Link; 2],
    trace: Trace,
    owners: BTreeMap<Stream, usize>,
    violations: Vec<Violation>,
}

impl<'s> TcpWorld<'s> {
    /// A run before its first event.
    pub fn new(scenario: &'s Scenario, baseline: Baseline, seed: u64, trace: Trace) -> Self {
        let dice = Seed(seed);
        let links_dice = scenario.links_seed.map_or(dice, Seed);
        let link = |direction, plan| Link::new(direction, plan, links_dice).for_ip_packets();
        let links = [link(Direction::Up, &scenario.up), link(Direction::Down, &scenario.down)];
        let mut net = Net::default();
        for (work, plan) in scenario.work.iter().enumerate() {
            net.schedule.push(Instant::from_micros(plan.start_us), Event::Tick(work));
        }
        net.schedule.push(Instant::from_micros(scenario.duration_us), Event::Stop);
        let host = |side: Side| {
            let random_seed = dice.stream(&format!("tcp.{}", side.name())).next_u64();
            TcpHost::new(side, baseline, mtu(scenario), random_seed)
        };
        Self {
            scenario,
            baseline,
            seed,
            now: Instant::ZERO,
            events: 0,
            progress: SpinGuard::new(EVENTS_PER_INSTANT_MAX),
            ends: Ends {
                client: host(Side::Client),
                server: host(Side::Server),
                line: Line { net, links, trace, owners: BTreeMap::new(), violations: Vec::new() },
            },
            work: scenario.work.iter().map(|plan| application(plan, dice)).collect(),
            phase: Phase::Offering,
            stopped_at: None,
            liveness: LivenessOutcome::default(),
        }
    }

    /// From here on keeps a recording, with the packets themselves if it `captures`.
    pub fn record(&mut self, captures: bool) {
        self.ends.line.net.recorder = Some(Box::new(Recorder::new(self.scenario, captures)));
    }

    /// What records the run, if anything does.
    pub fn recorder(&mut self) -> Option<&mut Recorder> {
        self.ends.line.net.recorder.as_deref_mut()
    }

    /// What entered the trace since the last call.
    pub fn take_record(&mut self) -> Vec<Entry> {
        self.ends.line.trace.take_record()
    }

    /// Processes one event; false when that was the last.
    pub fn step(&mut self) -> bool {
        let Some((key, alarm)) = self.next() else {
            self.violate(Rule::Liveness, "nothing is left to happen".into());
            return false;
        };
        self.now = key.at;
        self.events += 1;
        self.note_progress();
        match alarm {
            Some(side) => self.wake(side),
            None => {
                if let Some((_, event)) = self.ends.line.net.schedule.pop() {
                    self.happen(event);
                }
            }
        }
        self.dispatch();
        self.advance_phase();
        self.ends.arm(self.now);
        self.check();
        self.phase != Phase::Over
    }

    /// What the run found, and what comes of the scenario's expectations.
    pub fn finish(&self) -> Outcome {
        let Ends { client, server, line } = &self.ends;
        let workloads: Vec<_> = self.work.iter().map(|work| work.outcome()).collect();
        let mut outcome = Outcome {
            transport: self.baseline.transport(),
            ok: line.violations.is_empty(),
            violations: line.violations.clone(),
            stopped_us: self.stopped_at.unwrap_or(self.now).as_micros(),
            sim_us: self.now.as_micros(),
            events: self.events,
            trace_hash: line.trace.hash(),
            liveness: self.liveness,
            useful_bytes: crate::world::useful_bytes(&workloads),
            workloads,
            links: PerDirection {
                up: line.links[0].counters().at_end(),
                down: line.links[1].counters().at_end(),
            },
            client: client.outcome(),
            server: server.outcome(),
            ..Outcome::nothing(self.scenario, self.seed)
        };
        outcome.judge(&self.scenario.expect);
        outcome
    }

    /// The next event; an alarm has its side with it.
    fn next(&self) -> Option<(Key, Option<Side>)> {
        let Ends { client, server, line } = &self.ends;
        let alarm = |host: &TcpHost| Some((host.alarm.key()?, Some(host.side)));
        let scheduled = line.net.schedule.peek().map(|key| (key, None));
        [alarm(client), alarm(server), scheduled].into_iter().flatten().min_by_key(|(key, _)| *key)
    }

    fn wake(&mut self, side: Side) {
        let (host, _, line) = self.ends.sides(side);
        line.trace.record(self.now, side, Kind::Timeout, 0);
        if !host.alarm.ring(self.now) {
            line.violate(self.now, Rule::Spin, format!("{side:?}: the timer fires again and again"));
        }
        line.settle(self.now, host);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Transmitted(direction) => {
                let Line { net, links, .. } = &mut self.ends.line;
                links[direction as usize].transmitted(net, self.now);
            }
            Event::Deliver(direction, packet) => self.ends.deliver(self.now, direction, packet),
            Event::Tick(work) => self.tick(work, Side::Client, START),
            Event::Wake { work, side, tag } => self.tick(work, side, tag),
            Event::Stop => self.stop(),
            // TCP is not what is tested: what did not arrive is shown as incomplete.
            Event::Limit => self.phase = Phase::Over,
            other => self.violate(Rule::Stream, format!("{other:?} has no meaning over direct TCP")),
        }
    }

    fn tick(&mut self, work: usize, side: Side, tag: u64) {
        self.work[work].tick(&mut self.ends.port(self.now, side, work), tag);
    }

    /// Lets applications go on that waited, until none can.
    fn dispatch(&mut self) {
        for side in [Side::Client, Side::Server].into_iter().cycle() {
            let ready = self.ends.sides(side).0.ready();
            let others = self.ends.sides(side).1.is_anyone_ready();
            if (ready.is_empty() && !others) || !self.ends.line.violations.is_empty() {
                return;
            }
            self.note_progress();
            for stream in ready {
                self.ends.line.trace.record(self.now, side, Kind::Event, stream.0);
                self.show(side, stream);
            }
        }
    }

    fn show(&mut self, side: Side, stream: Stream) {
        if let Some(&work) = self.ends.line.owners.get(&stream) {
            self.work[work].advance(&mut self.ends.port(self.now, side, work), stream);
        }
    }

    fn advance_phase(&mut self) {
        if !self.ends.line.violations.is_empty() {
            self.phase = Phase::Over;
        }
        match self.phase {
            Phase::Offering if is_finished(&self.work) => self.stop(),
            Phase::Draining if is_all_done(&self.work) && self.ends.is_drained() => {
                self.phase = Phase::Over;
                self.liveness.note_done(self.now);
            }
            _ => {}
        }
    }

    /// The sources stop; from here on everything must arrive in a bounded time.
    fn stop(&mut self) {
        if self.phase != Phase::Offering {
            return;
        }
        self.phase = Phase::Draining;
        self.stopped_at = Some(self.now);
        self.work.iter_mut().for_each(|work| work.stop());
        let streams: Vec<Stream> = self.ends.line.owners.keys().copied().collect();
        for stream in streams {
            self.show(Side::Client, stream);
            self.show(Side::Server, stream);
        }
        let owed_bytes = self.work.iter().map(|work| work.owed_bytes()).fold(0, u64::saturating_add);
        self.liveness = LivenessOutcome::new(self.scenario, self.now, owed_bytes);
        self.ends.line.net.schedule.push(self.liveness.ends_at(), Event::Limit);
    }

    fn note_progress(&mut self) {
        if !self.progress.allows(self.now) {
            self.violate(Rule::Spin, "events cause each other for ever".into());
        }
    }

    fn check(&mut self) {
        let Line { net, links, .. } = &self.ends.line;
        if !is_conserved(links.each_ref().map(Link::counters), 0, net.packets.live()) {
            self.violate(Rule::Conservation, "packets appeared or disappeared".into());
        }
    }

    fn violate(&mut self, rule: Rule, detail: String) {
        self.phase = Phase::Over;
        self.ends.line.violate(self.now, rule, detail);
    }
}

impl Ends {
    /// That side's host, the other one, and the line.
    const fn sides(&mut self, side: Side) -> (&mut TcpHost, &mut TcpHost, &mut Line) {
        let Self { client, server, line } = self;
        match side {
            Side::Client => (client, server, line),
            Side::Server => (server, client, line),
        }
    }

    fn port(&mut self, now: Instant, side: Side, work: usize) -> TcpPort<'_> {
        let (host, peer, line) = self.sides(side);
        TcpPort { now, work, host, peer, line }
    }

    fn deliver(&mut self, now: Instant, direction: Direction, id: PacketId) {
        let (host, _, line) = self.sides(direction.receiver());
        let mut packet = line.net.packets.take(id);
        line.links[direction as usize].delivered(packet.bytes.len() as u32);
        line.trace.record(now, host.side, Kind::Delivered, packet.digest);
        if let Some(recorder) = &mut line.net.recorder {
            recorder.received(now, id, &packet.bytes);
        }
        host.take(std::mem::take(&mut packet.bytes));
        line.net.packets.restore(id, packet);
        line.settle(now, host);
    }

    fn arm(&mut self, now: Instant) {
        let Self { client, server, line } = self;
        for host in [client, server] {
            let deadline = host.deadline(now);
            host.alarm.arm(&mut line.net.schedule, deadline);
        }
    }

    fn is_drained(&self) -> bool {
        self.client.is_drained() && self.server.is_drained()
    }
}

impl Line {
    /// A name for a new connection of that workload.
    pub(super) fn next_stream(&mut self, work: usize) -> Stream {
        let stream = Stream(self.owners.len() as u64);
        self.owners.insert(stream, work);
        stream
    }

    /// Polls `host` and sends what it wants to send.
    pub(super) fn settle(&mut self, now: Instant, host: &mut TcpHost) {
        host.poll(now);
        while let Some(bytes) = host.send() {
            let packet = self.net.packets.insert(&bytes);
            self.trace.record(now, host.side, Kind::Sent, self.net.packets.packet(packet).digest);
            if let Some(recorder) = &mut self.net.recorder {
                recorder.sent_ip(now, host.side, packet, &bytes);
            }
            self.links[host.side.sends() as usize].send(&mut self.net, now, packet);
        }
    }

    /// Notes a broken rule; the run ends at the end of the current event.
    pub(super) fn violate(&mut self, now: Instant, rule: Rule, detail: String) {
        self.violations.push(Violation { at_us: now.as_micros(), rule, detail });
    }
}

/// What path discovery would find: the smaller mtu of both links at the beginning, at most Ethernet's.
fn mtu(scenario: &Scenario) -> usize {
    let links = [&scenario.up, &scenario.down];
    let mtus = links.into_iter().filter_map(|link| Some(link.mtu_bytes.as_ref()?.at(Instant::ZERO)));
    mtus.min().map_or(1_500, |mtu| mtu.min(1_500) as usize)
}
