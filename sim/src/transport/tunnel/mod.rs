//! The tunnel as a transport: the engine's client and server with the driver's duties (drain after every call, then read
//! the deadline), on hosts with limits behind a NAT.

mod client;
mod driver;
mod resets;
mod server;

pub use client::Client;
pub use driver::{Driver, Postmark, SERVER_ADDRESS};
pub use server::Server;

use super::{Network, Notice, Transport};
use crate::check::{Excuses, Limits, Loss};
use crate::host::{Alarm, Arrival, Machine};
use crate::ids::{Node, PacketId, ServerId, Stranger, Stream};
use crate::outcome::{FaultOutcome, HostsOutcome, Outcome, PerDirection, Rule, SessionsOutcome, SideOutcome};
use crate::plan::{FaultKind, FaultPlan, Scenario, SidePlan};
use crate::record::{Element, Transit};
use crate::rng::Seed;
use crate::trace::Kind;
use crate::{Direction, Side};
use core::ops::Range;
use engine::mux::{ReadError, WriteError};
use engine::{CloseReason, Event, Instant, Mark, Marks, Stats, StreamId, Tunnel};
use resets::Resets;
use std::collections::BTreeMap;

/// The tunnels of both sides.
#[derive(Debug)]
pub struct Tunnels {
    client: Client,
    server: Server,
    driver: Driver,
    limits: Limits,
    excuses: Excuses,
    /// A stream whose arrival in another session reset the end that the server had.
    arrived: Option<(Node, StreamId)>,
    /// Sessions that ended.
    ended: u64,
    /// Streams of a client that does not run; they are reset when it starts again.
    orphans: Vec<Stream>,
    resets: Resets,
    /// Both ends half-close.
    half_closes: bool,
}

impl Tunnels {
    /// A client that has dialled a server.
    pub fn new(scenario: &Scenario, network: Network, seed: Seed) -> Self {
        let mut driver = Driver::new(scenario, network, seed);
        Self {
            client: Client::new(&scenario.client, &mut driver, seed.stream("client")),
            server: Server::new(&scenario.server, seed.stream("server")),
            driver,
            limits: Limits::new(scenario),
            excuses: Excuses::new(scenario),
            arrived: None,
            ended: 0,
            orphans: Vec::new(),
            resets: Resets::default(),
            half_closes: [&scenario.client, &scenario.server].into_iter().all(half_closes),
        }
    }

    /// The limits that tunnels and links are held to, to change them.
    pub const fn limits_mut(&mut self) -> &mut Limits {
        &mut self.limits
    }

    /// Calls `change` on the tunnel of that stream, if it lives, and settles it.
    fn change<R>(
        &mut self,
        now: Instant,
        side: Side,
        stream: Stream,
        change: impl FnOnce(&mut Tunnel, Instant, StreamId) -> R,
    ) -> Option<R> {
        let Self { client, server, driver, .. } = self;
        let (node, id, tunnel) = tunnel_of(client, server, side, stream)?;
        let result = change(tunnel, driver.local(side, now), id);
        driver.settle(now, node, tunnel);
        Some(result)
    }

    /// Whether the destination address maps to a socket whose process runs; counts and records the drop otherwise.
    fn admits(&mut self, now: Instant, side: Side, id: PacketId) -> bool {
        let Self { client, server, driver, .. } = self;
        let place = Postmark::from_tag(driver.network.net.packets.packet(id).tag).place;
        let (routed, running) = match side {
            Side::Client => (driver.nat.inbound(now, place).is_some(), client.is_running()),
            Side::Server => (true, server.is_running()),
        };
        driver.dropped_down += u64::from(routed && !running);
        if !(routed && running) {
            let element = if routed { Element::Down } else { Element::Nat };
            driver.network.net.note(now, id, Transit::Dropped(element));
        }
        routed && running
    }

    /// A process takes a datagram from its socket.
    fn receive(&mut self, now: Instant, side: Side, id: PacketId) {
        let Self { client, server, driver, .. } = self;
        let mut packet = driver.network.net.packets.take(id);
        let Postmark { place, sent_at } = Postmark::from_tag(packet.tag);
        driver.recovery.handle(Some(sent_at));
        driver.network.received(now, side, id, &packet);
        driver.damaged = packet.damaged;
        driver.touch(side);
        driver.machine(side).work(now, 1);
        match side {
            Side::Server if server.is_running() => {
                let stranger = packet.stranger.map(Stranger::address);
                if let Some(from) = stranger.or_else(|| driver.nat.address(place)) {
                    server.receive(driver, now, from, &mut packet.bytes);
                }
            }
            Side::Client if client.is_running() => {
                if let Some(dial) = driver.nat.socket_at(place) {
                    let from = packet.stranger.map_or(SERVER_ADDRESS, Stranger::address);
                    client.receive(driver, now, (dial, from), &mut packet.bytes);
                }
            }
            _ => driver.dropped_down += 1,
        }
        driver.network.net.packets.restore(id, packet);
    }

    /// Translates an event of the engine into a notice for the applications.
    fn handle(&mut self, now: Instant, node: Node, event: Event) -> Option<Notice> {
        let (tag, id) = match event {
            Event::Opened(id) => (1_u64, id),
            Event::Readable(id) => (2, id),
            Event::Writable(id) => (3, id),
            Event::Finished(id) => (4, id),
            Event::Stopped(id) => (5, id),
            Event::Cut(id) => (6, id),
            Event::Reset(id) => (7, id),
            Event::Closed(reason) => return self.lose(now, node, reason),
            other => {
                self.driver.network.violate(now, Rule::Closed, format!("{:?}: {other:?}", node.side()));
                return None;
            }
        };
        self.driver.network.trace.record(now, node.side(), Kind::Event, tag << 32 | u64::from(id.0));
        self.note_cut(now, node, event);
        match (event, node) {
            (Event::Cut(_), _) => return self.cut(now, node, id),
            (Event::Opened(_), Node::Server(session)) => {
                if let Some(stream) = self.rebind(session, id) {
                    self.arrived = Some((node, id));
                    return Some(Notice::Reset(Side::Server, vec![stream]));
                }
            }
            _ => {}
        }
        self.advance(now, node, id, tag == 1)
    }

    /// Notifies the application of a stream, unless the event concerns another session of its conversation.
    fn advance(&mut self, now: Instant, node: Node, id: StreamId, opened: bool) -> Option<Notice> {
        let (side, stream) = (node.side(), self.stream_of(node, id, opened)?);
        let network = &mut self.driver.network;
        if let Some(recorder) = network.net.recorder.as_mut().filter(|_| opened) {
            recorder.opened_stream(now, side, stream, None);
        }
        if network.owners.contains_key(&stream) {
            return Some(Notice::Advance(side, stream));
        }
        let is_over = self.driver.newest.get(&stream.dial()) >= Some(&stream);
        if !is_over {
            network.violate(now, Rule::Stream, format!("{side:?}: stream {stream} belongs to no workload"));
        }
        None
    }

    /// A session ended. Its streams are reset, or a rule is broken if no fault explains the reason.
    fn lose(&mut self, now: Instant, node: Node, reason: CloseReason) -> Option<Notice> {
        let loss = self.loss(node, reason)?;
        if !self.excuses.explain(now, loss) {
            self.driver.network.violate(now, Rule::Closed, format!("{:?}: {reason}", node.side()));
            return None;
        }
        self.ended += 1;
        self.driver.touch(node.side());
        let streams = match node {
            Node::Client(dial) => {
                self.client.forget(dial);
                self.streams_of(dial)
            }
            Node::Server(session) => {
                let local = self.driver.local(Side::Server, now);
                self.server.forget(local, session)
            }
        };
        Some(Notice::Reset(node.side(), streams))
    }

    /// The end of a session with what the simulator knows about it; `None` when it is removed already.
    fn loss(&self, node: Node, reason: CloseReason) -> Option<Loss> {
        let Self { client, server, driver, .. } = self;
        let (conv, peer_gone) = match node {
            Node::Client(dial) => {
                let conv = client.tunnel(dial)?.conv();
                (conv, server.lost_first_of(conv))
            }
            Node::Server(session) => {
                let conv = server.tunnel(session)?.conv();
                (
                    conv,
                    !client.has_conv(conv) || !server.is_first(session, conv) || server.is_strange(session),
                )
            }
        };
        let dial = driver.dials.get(&conv).copied();
        let moved = dial.is_some_and(|dial| driver.nat.has_moved(dial));
        // A replay from the address of another of the client's sockets began it.
        let peer = match node {
            Node::Client(_) => None,
            Node::Server(session) => server.tunnel(session).map(engine::Tunnel::peer),
        };
        let owner =
            peer.and_then(|peer| driver.nat.place(peer)).and_then(|place| driver.nat.socket_at(place));
        let peer_gone = peer_gone || owner.is_some_and(|owner| Some(owner) != dial);
        Some(Loss { side: node.side(), reason, peer_gone, moved })
    }

    /// A stream that arrives in a session of its conversation while another one has it that the client cannot reach any
    /// more: the server's end starts from nothing there.
    fn rebind(&mut self, session: ServerId, id: StreamId) -> Option<Stream> {
        let Self { server, driver, .. } = self;
        let conv = server.tunnel(session)?.conv();
        let dial = *driver.dials.get(&conv)?;
        let stream = Stream::new(dial, id);
        let reaches = |address| {
            driver.nat.place(address).is_some_and(|place| driver.nat.socket_at(place) == Some(dial))
        };
        server.take_lost(stream, session, reaches).then_some(stream)
    }

    /// A stream was reset because its reader stalled: both processes close it, and the client's application is notified.
    fn cut(&mut self, now: Instant, node: Node, id: StreamId) -> Option<Notice> {
        let stream = self.stream_of(node, id, false)?;
        if !self.driver.network.owners.contains_key(&stream) {
            return None;
        }
        for side in [Side::Client, Side::Server] {
            if let Some(recorder) = &mut self.driver.network.net.recorder {
                recorder.closed(now, side, stream);
            }
            self.close(now, side, stream);
        }
        Some(Notice::Reset(Side::Client, vec![stream]))
    }

    /// The stream that an event of that tunnel is about; `None` when it belongs to another session of its conversation.
    fn stream_of(&mut self, node: Node, id: StreamId, opened: bool) -> Option<Stream> {
        match node {
            Node::Client(dial) => Some(Stream::new(dial, id)),
            Node::Server(session) => {
                let conv = self.server.tunnel(session)?.conv();
                let stream = Stream::new(*self.driver.dials.get(&conv)?, id);
                let bound = if opened {
                    self.server.bind(stream, session)
                } else {
                    self.server.is_bound(stream, session)
                };
                if opened && bound {
                    self.resets.arrive_again(stream);
                }
                bound.then_some(stream)
            }
        }
    }

    fn streams_of(&self, dial: u32) -> Vec<Stream> {
        self.driver.network.owners.range(Stream::all_of(dial)).map(|(&stream, _)| stream).collect()
    }

    /// The first limit that a tunnel exceeds.
    fn excess(&self, thorough: bool) -> Option<(Rule, Side, String)> {
        let client = self.client.tunnels().map(|tunnel| (Side::Client, tunnel));
        let server = self.server.tunnels().map(|tunnel| (Side::Server, tunnel));
        let matters = |&(side, _): &(Side, _)| thorough || self.driver.is_touched(side);
        client.chain(server).filter(matters).find_map(|(side, tunnel)| {
            let (limits, state) = (self.limits.of(side), tunnel.arq().state());
            let window = limits.window_broken_by(&state).map(|detail| (Rule::Window, side, detail));
            let lengths =
                || limits.broken_by(&state, tunnel.is_validated()).map(|detail| (Rule::Memory, side, detail));
            let bytes = || thorough.then(|| limits.broken_by_bytes(tunnel)).flatten();
            window.or_else(lengths).or_else(|| bytes().map(|detail| (Rule::Memory, side, detail)))
        })
    }

    fn faults(&self, faults: &[FaultPlan]) -> Vec<FaultOutcome> {
        let outcome = |(index, fault): (usize, &FaultPlan)| FaultOutcome {
            kind: fault.kind.name(),
            at_us: fault.at_us,
            healed_us: fault.heals_at().as_micros(),
            recovery_us: PerDirection {
                up: self.driver.recovery.recovery_us(index, Direction::Up),
                down: self.driver.recovery.recovery_us(index, Direction::Down),
            },
        };
        faults.iter().enumerate().map(outcome).collect()
    }
}

impl Transport for Tunnels {
    const IS_TESTED: bool = true;

    fn network(&self) -> &Network {
        &self.driver.network
    }

    fn network_mut(&mut self) -> &mut Network {
        &mut self.driver.network
    }

    fn open(&mut self, now: Instant) -> Result<Stream, String> {
        let stream = self.client.open_stream(&mut self.driver, now).map_err(|error| error.to_string())?;
        self.driver.newest.insert(stream.dial(), stream);
        Ok(stream)
    }

    fn has(&mut self, side: Side, stream: Stream) -> bool {
        tunnel_of(&mut self.client, &mut self.server, side, stream).is_some()
    }

    /// A lost stream blocks; [`Notice::Reset`] notifies its application.
    fn write(&mut self, now: Instant, side: Side, stream: Stream, data: &[u8]) -> Result<usize, WriteError> {
        let written = self.change(now, side, stream, |tunnel, now, id| tunnel.write(now, id, data));
        match written {
            Some(Err(WriteError::PeerFinished)) if self.resets.is_cut(side, stream) => {
                Err(WriteError::Blocked)
            }
            written => written.unwrap_or(Err(WriteError::Blocked)),
        }
    }

    fn peek(&mut self, side: Side, stream: Stream) -> Result<&[u8], ReadError> {
        let found = tunnel_of(&mut self.client, &mut self.server, side, stream);
        let (_, id, tunnel) = found.ok_or(ReadError::Blocked)?;
        tunnel.peek(id)
    }

    fn consume(&mut self, now: Instant, side: Side, stream: Stream, n: usize) {
        self.change(now, side, stream, |tunnel, now, id| tunnel.consume(now, id, n));
        self.driver.recovery.note_read(now, side.receives());
    }

    fn finish(&mut self, now: Instant, side: Side, stream: Stream) -> Result<(), WriteError> {
        self.change(now, side, stream, |tunnel, now, id| tunnel.finish(now, id)).unwrap_or(Ok(()))
    }

    fn close(&mut self, now: Instant, side: Side, stream: Stream) {
        self.change(now, side, stream, |tunnel, now, id| tunnel.close_stream(now, id));
        if side == Side::Client {
            self.resets.note_closed(stream);
        }
    }

    fn forget(&mut self, stream: Stream) {
        self.resets.forget(stream);
        self.driver.network.owners.remove(&stream);
        self.driver.over.push(stream);
    }

    fn deliver(&mut self, now: Instant, side: Side, id: PacketId) {
        if !self.admits(now, side, id) {
            return self.driver.network.net.packets.release(id);
        }
        let driver = &mut self.driver;
        let bytes = driver.network.net.packets.len_bytes(id);
        match driver.machine(side).arrive(now, id, bytes) {
            Arrival::Taken => self.receive(now, side, id),
            Arrival::Waits => {
                driver.network.net.note(now, id, Transit::Waits);
                driver.arrange_resume(side, now);
            }
            Arrival::Dropped => {
                driver.network.net.note(now, id, Transit::Dropped(Element::Socket));
                driver.network.net.packets.release(id);
            }
        }
    }

    fn alarm(&self, side: Side) -> &Alarm {
        match side {
            Side::Client => &self.client.alarm,
            Side::Server => &self.server.alarm,
        }
    }

    fn alarm_mut(&mut self, side: Side) -> &mut Alarm {
        match side {
            Side::Client => &mut self.client.alarm,
            Side::Server => &mut self.server.alarm,
        }
    }

    fn wake(&mut self, now: Instant, side: Side) {
        let Self { client, server, driver, .. } = self;
        driver.machine(side).fire();
        driver.touch(side);
        match side {
            Side::Client => client.wake(driver, now),
            Side::Server => server.wake(driver, now),
        }
    }

    fn arm(&mut self, now: Instant) {
        let Self { client, server, driver, .. } = self;
        if driver.is_touched(Side::Client) {
            client.arm(driver, now);
        }
        if driver.is_touched(Side::Server) {
            server.arm(driver, now);
        }
    }

    /// Sending first, then receiving.
    fn resume(&mut self, now: Instant, side: Side) {
        let Self { client, server, driver, .. } = self;
        driver.machine(side).resume();
        driver.touch(side);
        if driver.machine(side).is_free(now) && driver.machine(side).settle_debt() {
            match side {
                Side::Client => client.resume(driver, now),
                Side::Server => server.resume(driver, now),
            }
        }
        while let Some(id) = self.driver.machine(side).take(now) {
            self.receive(now, side, id);
        }
        self.driver.arrange_resume(side, now);
    }

    fn fault(&mut self, now: Instant, kind: FaultKind, heals: bool) -> Option<Notice> {
        if let (FaultKind::StreamReset { side }, false) = (kind, heals) {
            return self.reset_streams(now, side);
        }
        let Self { client, server, driver, .. } = self;
        [Side::Client, Side::Server].into_iter().for_each(|side| driver.touch(side));
        match (kind, heals) {
            (FaultKind::ServerRestart, false) => return Some(Notice::Reset(Side::Server, server.crash())),
            (FaultKind::ServerRestart, true) => server.start(),
            (FaultKind::ClientRestart { keep_address }, false) => {
                let dials = client.crash(keep_address);
                self.orphans = dials.into_iter().flat_map(|dial| self.streams_of(dial)).collect();
            }
            (FaultKind::ClientRestart { .. }, true) => {
                client.start();
                return Some(Notice::Reset(Side::Client, std::mem::take(&mut self.orphans)));
            }
            (FaultKind::NatRebinding, false) => driver.nat.rebind(),
            (FaultKind::AddressChange, false) => driver.nat.change_address(),
            (FaultKind::ClockStep { side, by_us }, false) => driver.machine(side).step_clock(by_us),
            _ => {}
        }
        None
    }

    fn poll(&mut self, now: Instant) -> Option<Notice> {
        if let Some((node, id)) = self.arrived.take()
            && let Some(notice) = self.advance(now, node, id, true)
        {
            return Some(notice);
        }
        loop {
            if let Some(notice) = self.next_reset(now) {
                return Some(notice);
            }
            let Some((node, event)) = self.driver.events.pop_front() else { break };
            if let Some(notice) = self.handle(now, node, event) {
                return Some(notice);
            }
            if !self.driver.network.violations.is_empty() {
                return None;
            }
        }
        let Self { server, driver, .. } = self;
        driver.over.drain(..).for_each(|stream| server.unbind(stream));
        driver.recovery.handle(None);
        None
    }

    fn client_runs(&self) -> bool {
        self.client.is_running()
    }

    fn ends(&self) -> Vec<(Side, Stream)> {
        let mut streams: Vec<(usize, Stream)> =
            self.driver.network.owners.iter().map(|(&stream, &work)| (work, stream)).collect();
        streams.sort_unstable();
        let ends = streams.into_iter().flat_map(|(_, stream)| {
            let at_server = self.server.knows(stream).then_some((Side::Server, stream));
            std::iter::once((Side::Client, stream)).chain(at_server)
        });
        ends.collect()
    }

    fn streams_remembered(&self) -> usize {
        self.driver.network.owners.len().max(self.server.streams())
    }

    fn busy(&self) -> BTreeMap<Node, Option<Range<u32>>> {
        let Self { client, server, driver, .. } = self;
        // Sessions whose client is gone keep what they have until they time out.
        let matters = |tunnel: &Tunnel| {
            let socket = driver.nat.place(tunnel.peer()).and_then(|place| driver.nat.socket_at(place));
            client.has_conv(tunnel.conv()) && socket == driver.dials.get(&tunnel.conv()).copied()
        };
        client.busy().chain(server.busy(matters)).collect()
    }

    /// Includes data that no application waits for any longer.
    fn queued_bytes(&self) -> u64 {
        let queued = self.client.tunnels().chain(self.server.tunnels()).map(Tunnel::queued_bytes);
        queued.map(|bytes| bytes as u64).fold(0, u64::saturating_add)
    }

    fn held_packets(&self) -> u64 {
        self.driver.machines().iter().map(Machine::held).sum()
    }

    fn check(&mut self, now: Instant, thorough: bool) {
        let live = self.driver.network.net.packets.live() as u64;
        if let Some(max) = self.limits.packets_max.filter(|&max| live > max) {
            let detail = format!("{live} packets on their way, more than {max}");
            self.driver.network.violate(now, Rule::Memory, detail);
        }
        if let Some((rule, side, detail)) = self.excess(thorough) {
            self.driver.network.violate(now, rule, format!("{side:?}: {detail}"));
        }
        self.driver.rest();
    }

    fn report(&self, scenario: &Scenario, outcome: &mut Outcome) {
        let Self { client, server, driver, .. } = self;
        let (client_stats, server_stats) = (client.stats(), server.stats());
        outcome.hosts = HostsOutcome::new(driver.machines().each_ref().map(|machine| *machine.counters()));
        outcome.faults = self.faults(&scenario.faults);
        outcome.sessions = SessionsOutcome {
            dials: u64::from(client.dials()),
            accepted: server.accepted(),
            ended: self.ended,
            moved: server_stats.iter().map(|stats| stats.migrations).sum(),
            addresses: driver.nat.given_out(),
            dropped_nat: driver.nat.dropped(),
            dropped_down: driver.dropped_down,
        };
        outcome.marks = marks(&client_stats, &server_stats, server.marks());
        outcome.client = SideOutcome::new(client_stats, client.refused_datagrams);
        outcome.server = SideOutcome::new(server_stats, server.refused_datagrams);
    }
}

/// Whether that side announces and uses half-close.
fn half_closes(side: &SidePlan) -> bool {
    side.config.mux.announce && side.config.mux.half_close
}

/// The tunnel of a stream on that side, while it lives.
fn tunnel_of<'t>(
    client: &'t mut Client,
    server: &'t mut Server,
    side: Side,
    stream: Stream,
) -> Option<(Node, StreamId, &'t mut Tunnel)> {
    match side {
        Side::Client => client.tunnel_of(stream),
        Side::Server => server.tunnel_of(stream),
    }
}

/// The coverage marks of both sides.
fn marks(client: &[Stats], server: &[Stats], endpoint: Marks) -> Vec<Mark> {
    let all = client.iter().chain(server).fold(endpoint, |marks, stats| marks.or(stats.marks));
    all.iter().collect()
}
