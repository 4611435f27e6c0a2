use crate::check::{
    BYTES_EVERY_EVENTS, EVENTS_PER_INSTANT_MAX, Excuses, Limits, Loss, SpinGuard, is_conserved,
};
use crate::host::{Arrival, Machine};
use crate::ids::{Node, PacketId, ServerId, Stream};
use crate::link::Link;
use crate::net::{Event, Key};
use crate::outcome::{
    FaultOutcome, HostsOutcome, LivenessOutcome, Outcome, PerDirection, Rule, SessionsOutcome, SideOutcome,
    WorkOutcome,
};
use crate::plan::{FaultKind, FaultPlan, Scenario};
use crate::record::{Element, Fate, Recorder};
use crate::rng::Seed;
use crate::trace::{Entry, Kind, Trace};
use crate::transport::Port;
use crate::transport::tunnel::{Client, Postmark, Server, TunnelPort, Wire};
use crate::work::{Application, START, application, is_all_done, is_finished};
use crate::{Direction, Side};
use engine::{CloseReason, Instant, Mark, Marks, Stats, StreamId};

/// One run of a scenario.
pub struct World<'s> {
    scenario: &'s Scenario,
    seed: u64,
    now: Instant,
    events: u64,
    progress: SpinGuard,
    limits: Limits,
    ends: Ends,
    work: Vec<Box<dyn Application>>,
    /// A workload may have got done since that was looked at.
    worked: bool,
    phase: Phase,
    stopped_at: Option<Instant>,
    liveness: LivenessOutcome,
    excuses: Excuses,
    /// Sessions that ended.
    ended: u64,
    /// Streams of a client that does not run; they are reset when it starts again.
    orphans: Vec<Stream>,
}

/// The two ends and what lies between; apart from the applications, so that both can be borrowed.
struct Ends {
    client: Client,
    server: Server,
    wire: Wire,
}

/// How far a run is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Sources offer bytes.
    Offering,
    /// They have stopped; the rest is arriving.
    Draining,
    /// The run is over.
    Over,
}

/// What happens next.
#[derive(Clone, Copy)]
enum Next {
    Scheduled,
    Alarm(Side),
}

impl World<'_> {
    /// Plays `scenario` to its end: until all workloads are done and nothing is left to acknowledge, until the time
    /// for that is up, or until a rule is broken. The outcome depends on nothing but the arguments.
    pub fn run(scenario: &Scenario, seed: u64) -> Outcome {
        let mut world = World::new(scenario, seed);
        while world.step() {}
        world.finish()
    }
}

impl<'s> World<'s> {
    /// A run before its first event; [`World::run`] in steps.
    pub fn new(scenario: &'s Scenario, seed: u64) -> Self {
        let dice = Seed(seed);
        let links_dice = scenario.links_seed.map_or(dice, Seed);
        let up = Link::new(Direction::Up, &scenario.up, links_dice);
        let down = Link::new(Direction::Down, &scenario.down, links_dice);
        let machine = |side, plan| Machine::new(side, plan, dice, scenario.duration_us);
        let hosts = &scenario.hosts;
        let machines = [machine(Side::Client, &hosts.client), machine(Side::Server, &hosts.server)];
        let mut wire = Wire::new([up, down], machines, scenario.nat, &scenario.faults);
        let mut ends = Ends {
            client: Client::new(&scenario.client, &mut wire, dice.stream("client")),
            server: Server::new(&scenario.server, dice.stream("server")),
            wire,
        };
        let schedule = &mut ends.wire.net.schedule;
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
        ends.client.arm(&mut ends.wire, Instant::ZERO);
        Self {
            scenario,
            seed,
            now: Instant::ZERO,
            events: 0,
            progress: SpinGuard::new(EVENTS_PER_INSTANT_MAX),
            limits: Limits::new(scenario),
            ends,
            work: scenario.work.iter().map(|plan| application(plan, dice)).collect(),
            worked: true,
            phase: Phase::Offering,
            stopped_at: None,
            liveness: LivenessOutcome::default(),
            excuses: Excuses::new(scenario),
            ended: 0,
            orphans: Vec::new(),
        }
    }

    /// As [`World::new`], keeping a record of what enters the trace.
    pub fn recording(scenario: &'s Scenario, seed: u64) -> Self {
        let mut world = Self::new(scenario, seed);
        world.ends.wire.trace = Trace::recording();
        world
    }

    /// Changes the limits of memory and windows: tests tighten one to prove that runs are held to it.
    pub fn tighten(&mut self, change: impl FnOnce(&mut Limits)) {
        change(&mut self.limits);
    }

    /// From here on keeps a recording, with the datagrams themselves if it `captures`.
    pub fn record(&mut self, captures: bool) {
        self.ends.wire.net.recorder = Some(Box::new(Recorder::new(self.scenario, captures)));
    }

    /// What records the run, if anything does.
    pub fn recorder(&mut self) -> Option<&mut Recorder> {
        self.ends.wire.net.recorder.as_deref_mut()
    }

    /// What entered the trace since the last call.
    pub fn take_record(&mut self) -> Vec<Entry> {
        self.ends.wire.trace.take_record()
    }

    /// Streams that the simulator itself remembers: those that are not over.
    pub fn streams_remembered(&self) -> usize {
        self.ends.wire.owners.len().max(self.ends.server.streams())
    }

    /// What the run found so far, and what comes of the scenario's expectations.
    pub fn finish(self) -> Outcome {
        let mut outcome = self.outcome();
        outcome.judge(&self.scenario.expect);
        outcome
    }

    /// Processes one event; false when that was the last.
    pub fn step(&mut self) -> bool {
        let Some((key, next)) = self.next() else {
            self.violate(Rule::Liveness, "nothing is left to happen".into());
            return false;
        };
        self.now = key.at;
        self.events += 1;
        self.note_progress();
        let is_news = match next {
            Next::Alarm(side) => {
                self.wake(side);
                true
            }
            Next::Scheduled => self.happen_next(),
        };
        if is_news {
            self.react();
        }
        self.check();
        self.ends.wire.rest();
        self.phase != Phase::Over
    }

    fn next(&self) -> Option<(Key, Next)> {
        let Ends { client, server, wire } = &self.ends;
        let mut next = wire.net.schedule.peek().map(|key| (key, Next::Scheduled));
        for (key, side) in [(client.alarm.key(), Side::Client), (server.alarm.key(), Side::Server)] {
            if let Some(key) = key.filter(|&key| next.is_none_or(|(first, _)| key < first)) {
                next = Some((key, Next::Alarm(side)));
            }
        }
        next
    }

    fn wake(&mut self, side: Side) {
        let Ends { client, server, wire } = &mut self.ends;
        wire.trace.record(self.now, side, Kind::Timeout, 0);
        wire.machine(side).fire();
        wire.touch(side);
        let alarm = match side {
            Side::Client => &mut client.alarm,
            Side::Server => &mut server.alarm,
        };
        if !alarm.ring(self.now) {
            wire.violate(self.now, Rule::Spin, format!("{side:?}: the timer fires again and again"));
        }
        match side {
            Side::Client => client.wake(wire, self.now),
            Side::Server => server.wake(wire, self.now),
        }
    }

    /// Lets the next scheduled event happen; whether it concerns one of the sides, as the inside of a link does not.
    fn happen_next(&mut self) -> bool {
        let Some((_, event)) = self.ends.wire.net.schedule.pop() else { return false };
        self.happen(event);
        !matches!(event, Event::Transmitted(_))
    }

    /// What follows from an event on one of the sides.
    fn react(&mut self) {
        self.dispatch();
        let Ends { server, wire, .. } = &mut self.ends;
        wire.over.drain(..).for_each(|stream| server.unbind(stream));
        self.ends.wire.recovery.handle(None);
        self.advance_phase();
        let Ends { client, server, wire } = &mut self.ends;
        if wire.is_touched(Side::Client) {
            client.arm(wire, self.now);
        }
        if wire.is_touched(Side::Server) {
            server.arm(wire, self.now);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Transmitted(direction) => {
                let Wire { net, up, down, .. } = &mut self.ends.wire;
                let link = if direction == Direction::Up { up } else { down };
                link.transmitted(net, self.now);
            }
            Event::Deliver(direction, packet) => self.deliver(direction, packet),
            Event::Tick(work) => self.tick(work, Side::Client, START),
            Event::Wake { work, side, tag } => self.tick(work, side, tag),
            Event::Resume(side) => self.resume(side),
            Event::Fault(index) => self.begin_fault(index),
            Event::Healed(index) => self.heal_fault(index),
            Event::Stop => self.stop(),
            Event::Limit => self.expire(),
        }
    }

    /// A packet comes out of a link.
    fn deliver(&mut self, direction: Direction, id: PacketId) {
        let wire = &mut self.ends.wire;
        let bytes = wire.net.packets.len_bytes(id);
        wire.link(direction).delivered(bytes);
        let side = direction.receiver();
        if !self.ends.admits(self.now, side, id) {
            return self.ends.wire.net.packets.release(id);
        }
        let wire = &mut self.ends.wire;
        match wire.machine(side).arrive(self.now, id, bytes) {
            Arrival::Taken => self.ends.receive(self.now, side, id),
            Arrival::Waits => {
                wire.net.note(self.now, id, Fate::Waits);
                wire.arrange_resume(side, self.now);
            }
            Arrival::Dropped => {
                wire.net.note(self.now, id, Fate::Dropped(Element::Socket));
                wire.net.packets.release(id);
            }
        }
    }

    /// A process goes on with what it had no time for: sending first, then receiving.
    fn resume(&mut self, side: Side) {
        let Ends { client, server, wire } = &mut self.ends;
        wire.machine(side).resume();
        wire.touch(side);
        if wire.machine(side).is_free(self.now) && wire.machine(side).settle_debt() {
            match side {
                Side::Client => client.resume(wire, self.now),
                Side::Server => server.resume(wire, self.now),
            }
        }
        while let Some(id) = self.ends.wire.machine(side).take(self.now) {
            self.ends.receive(self.now, side, id);
        }
        self.ends.wire.arrange_resume(side, self.now);
    }

    /// What a client's application wants to do while the client does not run waits until it does.
    fn tick(&mut self, work: usize, side: Side, tag: u64) {
        if side == Side::Client && !self.ends.client.is_running() {
            let restarts = self.scenario.faults.iter().filter(|fault| fault.restarts_client(self.now));
            let at = restarts.map(FaultPlan::heals_at).max().unwrap_or(self.now);
            return self.ends.wire.net.schedule.push(at, Event::Wake { work, side, tag });
        }
        self.worked = true;
        self.work[work].tick(&mut self.ends.port(self.now, side, work), tag);
    }

    /// Shows the applications what the engine reported, until it has nothing more to say.
    fn dispatch(&mut self) {
        let now = self.now;
        while let Some((node, event)) = self.ends.wire.events.pop_front() {
            self.note_progress();
            if !self.ends.wire.violations.is_empty() {
                return;
            }
            let (tag, id) = match event {
                engine::Event::Opened(id) => (1_u64, id),
                engine::Event::Readable(id) => (2, id),
                engine::Event::Writable(id) => (3, id),
                engine::Event::Finished(id) => (4, id),
                engine::Event::Stopped(id) => (5, id),
                engine::Event::Closed(reason) => {
                    self.lose(node, reason);
                    continue;
                }
                engine::Event::Cut(id) => {
                    self.cut(node, id);
                    continue;
                }
                other => {
                    self.violate(Rule::Closed, format!("{:?}: {other:?}", node.side()));
                    return;
                }
            };
            self.ends.wire.trace.record(self.now, node.side(), Kind::Event, tag << 32 | u64::from(id.0));
            let opened = matches!(event, engine::Event::Opened(_));
            if let (true, Node::Server(session)) = (opened, node) {
                self.rebind(session, id);
            }
            if let Some(stream) = self.ends.stream_of(node, id, opened) {
                if let Some(recorder) = self.recorder().filter(|_| opened) {
                    recorder.opened_stream(now, node.side(), stream, None);
                }
                self.show(node.side(), stream);
            }
        }
    }

    /// A session ended: for a reason that the faults explain, or else a rule is broken. Its streams are reset.
    fn lose(&mut self, node: Node, reason: CloseReason) {
        let Some(loss) = self.ends.loss(node, reason) else { return };
        if !self.excuses.explain(self.now, loss) {
            return self.violate(Rule::Closed, format!("{:?}: {reason}", node.side()));
        }
        self.ended += 1;
        self.ends.wire.touch(node.side());
        let streams = match node {
            Node::Client(dial) => {
                self.ends.client.forget(dial);
                self.streams_of(dial)
            }
            Node::Server(session) => self.ends.server.forget(session),
        };
        self.reset(node.side(), &streams);
    }

    /// A stream that arrives in a session of its conversation while another one has it that the client cannot reach any
    /// more: the server's end starts from nothing there.
    fn rebind(&mut self, session: ServerId, id: StreamId) {
        let Ends { server, wire, .. } = &mut self.ends;
        let conv = server.tunnel(session).map(|tunnel| tunnel.conv());
        let Some(&dial) = conv.and_then(|conv| wire.dials.get(&conv)) else { return };
        let stream = Stream::new(dial, id);
        let reaches =
            |address| wire.nat.place(address).is_some_and(|place| wire.nat.socket_at(place).is_some());
        if server.take_lost(stream, session, reaches) {
            self.reset(Side::Server, &[stream]);
        }
    }

    /// A stream was given up because its reader stopped: both processes close it, and the client's application hears of it.
    fn cut(&mut self, node: Node, id: StreamId) {
        self.ends.wire.trace.record(self.now, node.side(), Kind::Event, 6 << 32 | u64::from(id.0));
        let Some(stream) = self.ends.stream_of(node, id, false) else { return };
        let Some(&work) = self.ends.wire.owners.get(&stream) else { return };
        for side in [Side::Client, Side::Server] {
            self.ends.port(self.now, side, work).close(stream);
        }
        self.reset(Side::Client, &[stream]);
    }

    fn streams_of(&self, dial: u32) -> Vec<Stream> {
        self.ends.wire.owners.range(Stream::all_of(dial)).map(|(&stream, _)| stream).collect()
    }

    fn reset(&mut self, side: Side, streams: &[Stream]) {
        self.worked = true;
        let now = self.now;
        for stream in streams {
            if let Some(&work) = self.ends.wire.owners.get(stream) {
                if let Some(recorder) = self.recorder() {
                    recorder.reset(now, side, *stream);
                }
                self.work[work].reset(&mut self.ends.port(self.now, side, work), *stream);
                if side == Side::Client {
                    self.ends.wire.owners.remove(stream);
                }
            }
        }
    }

    fn begin_fault(&mut self, index: usize) {
        self.record_fault(index, false);
        self.apply_faults();
        let Ends { client, server, wire } = &mut self.ends;
        match self.scenario.faults[index].kind {
            FaultKind::ServerRestart => {
                let streams = server.crash();
                self.reset(Side::Server, &streams);
            }
            FaultKind::ClientRestart { keep_address } => {
                let dials = client.crash(keep_address);
                self.orphans = dials.into_iter().flat_map(|dial| self.streams_of(dial)).collect();
            }
            FaultKind::NatRebinding => wire.nat.rebind(),
            FaultKind::AddressChange => wire.nat.change_address(),
            FaultKind::ClockStep { side, by_us } => wire.machine(side).step_clock(by_us),
            FaultKind::Blackout(_) | FaultKind::DuplicateStorm { .. } | FaultKind::Corruption { .. } => {}
        }
    }

    fn heal_fault(&mut self, index: usize) {
        self.record_fault(index, true);
        self.apply_faults();
        match self.scenario.faults[index].kind {
            FaultKind::ServerRestart => self.ends.server.start(),
            FaultKind::ClientRestart { .. } => {
                self.ends.client.start();
                let orphans = std::mem::take(&mut self.orphans);
                self.reset(Side::Client, &orphans);
            }
            _ => {}
        }
    }

    fn record_fault(&mut self, index: usize, healed: bool) {
        let (now, kind) = (self.now, self.scenario.faults[index].kind);
        if let Some(recorder) = self.recorder() {
            recorder.fault(now, kind.name(), healed);
        }
    }

    fn apply_faults(&mut self) {
        [Side::Client, Side::Server].into_iter().for_each(|side| self.ends.wire.touch(side));
        for direction in [Direction::Up, Direction::Down] {
            self.ends.wire.link(direction).apply_faults(&self.scenario.faults, self.now);
        }
    }

    fn show(&mut self, side: Side, stream: Stream) {
        let Some(&work) = self.ends.wire.owners.get(&stream) else {
            if self.ends.wire.newest.get(&stream.dial()) >= Some(&stream) {
                return; // It is over.
            }
            return self.violate(Rule::Stream, format!("{side:?}: stream {stream} belongs to nobody"));
        };
        self.worked = true;
        self.work[work].advance(&mut self.ends.port(self.now, side, work), stream);
    }

    fn advance_phase(&mut self) {
        if !self.ends.wire.violations.is_empty() {
            self.phase = Phase::Over;
        }
        match self.phase {
            Phase::Offering if std::mem::take(&mut self.worked) && is_finished(&self.work) => self.stop(),
            Phase::Draining if is_all_done(&self.work) && self.is_drained() => {
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
        let mut streams: Vec<(usize, Stream)> = self.ends.wire.owners.iter().map(|(&s, &w)| (w, s)).collect();
        streams.sort_unstable();
        for (_, stream) in streams {
            self.show(Side::Client, stream);
            if self.ends.server.knows(stream) {
                self.show(Side::Server, stream);
            }
        }
        self.liveness = LivenessOutcome::new(self.scenario, self.now, self.outstanding_bytes());
        self.ends.wire.net.schedule.push(self.liveness.ends_at(), Event::Limit);
        self.dispatch();
    }

    /// What applications are owed, and what waits in tunnels for nobody any more.
    fn outstanding_bytes(&self) -> u64 {
        let Ends { client, server, .. } = &self.ends;
        let queued = client.tunnels().chain(server.tunnels()).map(|tunnel| tunnel.queued_bytes() as u64);
        queued.chain(self.work.iter().map(|work| work.owed_bytes())).fold(0, u64::saturating_add)
    }

    /// The time to drain is up.
    fn expire(&mut self) {
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

    fn is_drained(&self) -> bool {
        let Ends { client, server, wire } = &self.ends;
        // Sessions whose client is gone keep what they have until they time out.
        client.is_drained()
            && server.is_drained(|tunnel| {
                let reaches = wire.nat.place(tunnel.peer()).and_then(|place| wire.nat.socket_at(place));
                client.has_conv(tunnel.conv()) && reaches.is_some()
            })
    }

    fn note_progress(&mut self) {
        if !self.progress.allows(self.now) {
            self.violate(Rule::Spin, "events cause each other for ever".into());
        }
    }

    fn check(&mut self) {
        let wire = &self.ends.wire;
        let held = wire.machines().iter().map(Machine::held).sum();
        if !is_conserved([wire.up.counters(), wire.down.counters()], held, wire.net.packets.live()) {
            self.violate(Rule::Conservation, "packets appeared or disappeared".into());
        }
        let live = self.ends.wire.net.packets.live() as u64;
        if let Some(max) = self.limits.packets_max.filter(|&max| live > max) {
            self.violate(Rule::Memory, format!("{live} packets on their way, more than {max}"));
        }
        if let Some((rule, side, detail)) = self.tunnel_fault() {
            self.violate(rule, format!("{side:?}: {detail}"));
        }
    }

    /// What a tunnel holds beyond its limits.
    fn tunnel_fault(&self) -> Option<(Rule, Side, String)> {
        let count_bytes = self.events.is_multiple_of(BYTES_EVERY_EVENTS) || self.phase == Phase::Over;
        let client = self.ends.client.tunnels().map(|tunnel| (Side::Client, tunnel));
        let server = self.ends.server.tunnels().map(|tunnel| (Side::Server, tunnel));
        let matters = |&(side, _): &(Side, _)| count_bytes || self.ends.wire.is_touched(side);
        client.chain(server).filter(matters).find_map(|(side, tunnel)| {
            let (limits, state) = (self.limits.of(side), tunnel.arq().state());
            let window = limits.window_broken_by(&state).map(|detail| (Rule::Window, side, detail));
            let lengths = || limits.broken_by(&state).map(|detail| (Rule::Memory, side, detail));
            let bytes = || count_bytes.then(|| limits.broken_by_bytes(tunnel)).flatten();
            window.or_else(lengths).or_else(|| bytes().map(|detail| (Rule::Memory, side, detail)))
        })
    }

    fn violate(&mut self, rule: Rule, detail: String) {
        self.phase = Phase::Over;
        self.ends.wire.violate(self.now, rule, detail);
    }

    fn faults(&self) -> Vec<FaultOutcome> {
        let recovery = &self.ends.wire.recovery;
        let faults = self.scenario.faults.iter().enumerate();
        let outcome = |(index, fault): (usize, &FaultPlan)| FaultOutcome {
            kind: fault.kind.name(),
            at_us: fault.at_us,
            healed_us: fault.heals_at().as_micros(),
            recovery_us: PerDirection {
                up: recovery.recovery_us(index, Direction::Up),
                down: recovery.recovery_us(index, Direction::Down),
            },
        };
        faults.map(outcome).collect()
    }

    fn outcome(&self) -> Outcome {
        let Ends { client, server, wire } = &self.ends;
        let workloads: Vec<_> = self.work.iter().map(|work| work.outcome()).collect();
        let (client_stats, server_stats) = (client.stats(), server.stats());
        Outcome {
            scenario: self.scenario.name.clone(),
            description: self.scenario.description.clone(),
            transport: self.scenario.transport(),
            seed: self.seed,
            ok: wire.violations.is_empty(),
            violations: wire.violations.clone(),
            expectations: Vec::new(),
            stopped_us: self.stopped_at.unwrap_or(self.now).as_micros(),
            sim_us: self.now.as_micros(),
            wall_us: 0,
            events: self.events,
            trace_hash: wire.trace.hash(),
            liveness: self.liveness,
            useful_bytes: useful_bytes(&workloads),
            workloads,
            links: PerDirection { up: wire.up.counters().at_end(), down: wire.down.counters().at_end() },
            hosts: HostsOutcome::new(wire.machines().each_ref().map(|machine| *machine.counters())),
            faults: self.faults(),
            sessions: SessionsOutcome {
                dials: u64::from(client.dials()),
                accepted: server.accepted(),
                ended: self.ended,
                moved: server_stats.iter().map(|stats| stats.migrations).sum(),
                addresses: wire.nat.given_out(),
                dropped_nat: wire.nat.dropped(),
                dropped_down: wire.dropped_down,
            },
            marks: marks(&client_stats, &server_stats, server.marks()),
            client: SideOutcome::new(client_stats, client.refused_datagrams),
            server: SideOutcome::new(server_stats, server.refused_datagrams),
        }
    }
}

impl Ends {
    /// Whether somebody has the address a packet goes to, and runs.
    fn admits(&mut self, now: Instant, side: Side, id: PacketId) -> bool {
        let Self { client, server, wire } = self;
        let place = Postmark::from_tag(wire.net.packets.packet(id).tag).place;
        let (routed, running) = match side {
            Side::Client => (wire.nat.inbound(now, place).is_some(), client.is_running()),
            Side::Server => (true, server.is_running()),
        };
        wire.dropped_down += u64::from(routed && !running);
        if !(routed && running) {
            wire.net.note(now, id, Fate::Dropped(if routed { Element::Down } else { Element::Nat }));
        }
        routed && running
    }

    /// The stream that an event of that tunnel is about; `None` when it belongs to another session of its conversation.
    fn stream_of(&mut self, node: Node, id: StreamId, opened: bool) -> Option<Stream> {
        match node {
            Node::Client(dial) => Some(Stream::new(dial, id)),
            Node::Server(session) => {
                let conv = self.server.tunnel(session)?.conv();
                let stream = Stream::new(*self.wire.dials.get(&conv)?, id);
                let bound = if opened {
                    self.server.bind(stream, session)
                } else {
                    self.server.is_bound(stream, session)
                };
                bound.then_some(stream)
            }
        }
    }

    /// What there is to know about a session that ended; `None` when it is forgotten already.
    fn loss(&self, node: Node, reason: CloseReason) -> Option<Loss> {
        let Self { client, server, wire } = self;
        let (conv, peer_gone) = match node {
            Node::Client(dial) => {
                let conv = client.tunnel(dial)?.conv();
                (conv, server.lost_first_of(conv))
            }
            Node::Server(session) => {
                let conv = server.tunnel(session)?.conv();
                (conv, !client.has_conv(conv) || !server.is_first(session, conv))
            }
        };
        let moved = wire.dials.get(&conv).is_some_and(|&dial| wire.nat.has_moved(dial));
        Some(Loss { side: node.side(), reason, peer_gone, moved })
    }

    /// A process takes a datagram from its socket.
    fn receive(&mut self, now: Instant, side: Side, id: PacketId) {
        let Self { client, server, wire } = self;
        let mut packet = wire.net.packets.take(id);
        let Postmark { place, sent_at } = Postmark::from_tag(packet.tag);
        wire.recovery.handle(Some(sent_at));
        wire.trace.record(now, side, Kind::Delivered, packet.digest);
        if let Some(recorder) = &mut wire.net.recorder {
            recorder.received(now, id, &packet.bytes);
        }
        wire.damaged = packet.damaged;
        wire.touch(side);
        wire.machine(side).work(now, 1);
        match side {
            Side::Server if server.is_running() => {
                if let Some(from) = wire.nat.address(place) {
                    server.receive(wire, now, from, &mut packet.bytes);
                }
            }
            Side::Client if client.is_running() => {
                if let Some(dial) = wire.nat.socket_at(place) {
                    client.receive(wire, now, dial, &mut packet.bytes);
                }
            }
            _ => wire.dropped_down += 1,
        }
        wire.net.packets.restore(id, packet);
    }

    fn port(&mut self, now: Instant, side: Side, work: usize) -> TunnelPort<'_> {
        match side {
            Side::Client => self.client.port(&mut self.wire, now, work),
            Side::Server => self.server.port(&mut self.wire, now, work),
        }
    }
}

/// The coverage marks of both sides.
fn marks(client: &[Stats], server: &[Stats], endpoint: Marks) -> Vec<Mark> {
    let all = client.iter().chain(server).fold(endpoint, |marks, stats| marks.or(stats.marks));
    all.iter().collect()
}

/// Payload that receivers got in each direction. What an echo got back went both ways.
pub fn useful_bytes(workloads: &[WorkOutcome]) -> PerDirection<u64> {
    let mut useful = PerDirection::default();
    for workload in workloads {
        match workload {
            WorkOutcome::Bulk(bulk) if bulk.direction == Direction::Up => useful.up += bulk.bytes_read,
            WorkOutcome::Bulk(bulk) => useful.down += bulk.bytes_read,
            WorkOutcome::Echo(echo) => {
                useful.up += echo.bytes_read;
                useful.down += echo.bytes_read;
            }
            other => {
                let bytes = other.activity().map_or((0, 0), |(_, of)| (of.bytes_up, of.bytes_down));
                useful.up += bytes.0;
                useful.down += bytes.1;
            }
        }
    }
    useful
}
