//! Direct TCP for comparison: the same links, seed, applications and report, with the TCP of [`crate::tcp`] instead of the
//! tunnel and a connection instead of each stream. Machines have no limits here; scenarios with faults are refused.

mod host;

use super::{Network, Notice, Transport};
use crate::Side;
use crate::host::Alarm;
use crate::ids::{Node, PacketId, Stream};
use crate::link::Link;
use crate::outcome::Outcome;
use crate::plan::{Baseline, Scenario};
use crate::rng::Seed;
use crate::trace::Kind;
use core::ops::Range;
use engine::Instant;
use engine::mux::{ReadError, WriteError};
use host::TcpHost;
use std::collections::{BTreeMap, VecDeque};

/// The TCP of both sides; a stream is a connection.
pub struct Tcp {
    network: Network,
    /// The client's and the server's.
    hosts: [TcpHost; 2],
    /// Streams whose application can go on.
    ready: VecDeque<(Side, Stream)>,
    /// The side whose streams are checked next.
    turn: Side,
    /// Streams opened so far.
    opened: u64,
}

impl Tcp {
    /// Two hosts without connections. Links take their packets as they are, with headers.
    pub fn new(baseline: Baseline, mut network: Network, seed: Seed) -> Self {
        network.links = network.links.map(Link::for_ip_packets);
        let seed = seed.stream("tcp").next_u64();
        let host = |side: Side| TcpHost::new(side, baseline, seed);
        Self {
            network,
            hosts: [host(Side::Client), host(Side::Server)],
            ready: VecDeque::new(),
            turn: Side::Client,
            opened: 0,
        }
    }

    const fn host(&mut self, side: Side) -> &mut TcpHost {
        &mut self.hosts[side as usize]
    }

    /// Polls the host of that side and sends what it wants to send.
    fn settle(&mut self, now: Instant, side: Side) {
        let Self { network, hosts, .. } = self;
        let host = &mut hosts[side as usize];
        host.poll(now);
        while let Some(bytes) = host.send() {
            let packet = network.net.packets.insert(&bytes);
            network.send(now, side, packet, |recorder, bytes| recorder.sent_ip(now, side, packet, bytes));
        }
    }
}

impl Transport for Tcp {
    const IS_TESTED: bool = false;

    fn network(&self) -> &Network {
        &self.network
    }

    fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }

    /// The server listens before it is dialled.
    fn open(&mut self, now: Instant) -> Result<Stream, String> {
        let stream = Stream(self.opened);
        self.opened += 1;
        self.host(Side::Server).open(now, stream);
        self.host(Side::Client).open(now, stream);
        self.settle(now, Side::Client);
        Ok(stream)
    }

    fn has(&mut self, side: Side, stream: Stream) -> bool {
        self.host(side).has(stream)
    }

    fn write(&mut self, now: Instant, side: Side, stream: Stream, data: &[u8]) -> Result<usize, WriteError> {
        let written = self.host(side).write(stream, data);
        self.settle(now, side);
        written
    }

    fn peek(&mut self, side: Side, stream: Stream) -> Result<&[u8], ReadError> {
        self.host(side).peek(stream)
    }

    fn consume(&mut self, now: Instant, side: Side, stream: Stream, n: usize) {
        self.host(side).consume(now, stream, n);
        self.settle(now, side);
    }

    fn finish(&mut self, now: Instant, side: Side, stream: Stream) -> Result<(), WriteError> {
        let finished = self.host(side).finish(stream);
        self.settle(now, side);
        finished
    }

    fn close(&mut self, now: Instant, side: Side, stream: Stream) {
        self.host(side).close(now, stream);
        self.settle(now, side);
    }

    fn deliver(&mut self, now: Instant, side: Side, id: PacketId) {
        let packet = self.network.net.packets.take(id);
        self.network.received(now, side, id, &packet);
        self.host(side).take(now, &packet.bytes);
        self.network.net.packets.restore(id, packet);
        self.settle(now, side);
    }

    fn alarm(&self, side: Side) -> &Alarm {
        &self.hosts[side as usize].alarm
    }

    fn alarm_mut(&mut self, side: Side) -> &mut Alarm {
        &mut self.host(side).alarm
    }

    fn wake(&mut self, now: Instant, side: Side) {
        self.settle(now, side);
    }

    fn arm(&mut self, _now: Instant) {
        for host in &mut self.hosts {
            let deadline = host.deadline();
            host.alarm.arm(&mut self.network.net.schedule, deadline);
        }
    }

    /// The sides take turns, the client first, until neither has a stream that can go on.
    fn poll(&mut self, now: Instant) -> Option<Notice> {
        while self.ready.is_empty() {
            let side = self.turn;
            let ready = self.host(side).ready();
            let other = side.receives().sender();
            if ready.is_empty() && !self.host(other).has_ready() {
                self.turn = Side::Client;
                return None;
            }
            self.turn = other;
            self.ready.extend(ready.into_iter().map(|stream| (side, stream)));
        }
        let (side, stream) = self.ready.pop_front()?;
        self.network.trace.record(now, side, Kind::Event, stream.0);
        Some(Notice::Advance(side, stream))
    }

    fn ends(&self) -> Vec<(Side, Stream)> {
        let streams = self.network.owners.keys();
        streams.flat_map(|&stream| [(Side::Client, stream), (Side::Server, stream)]).collect()
    }

    /// All connections count as one.
    fn busy(&self) -> BTreeMap<Node, Option<Range<u32>>> {
        let drained = self.hosts.iter().all(TcpHost::is_drained);
        (!drained).then_some((Node::Client(0), None)).into_iter().collect()
    }

    fn report(&self, _scenario: &Scenario, outcome: &mut Outcome) {
        let [client, server] = &self.hosts;
        (outcome.client, outcome.server) = (client.outcome(), server.outcome());
    }
}
