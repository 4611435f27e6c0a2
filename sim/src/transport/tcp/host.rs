use crate::Side;
use crate::host::Alarm;
use crate::ids::Stream;
use crate::outcome::SideOutcome;
use crate::plan::Baseline;
use crate::tcp::{Connection, Endpoints, Role, answer_closed, ports};
use engine::mux::{ReadError, WriteError};
use engine::{Instant, Stats};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

const FIRST_CLIENT_PORT: u16 = 1_024;
const FIRST_SERVER_PORT: u16 = 5_201;
const CLIENT_PORTS: u64 = (u16::MAX - FIRST_CLIENT_PORT) as u64;

/// One side's TCP.
pub(super) struct TcpHost {
    baseline: Baseline,
    side: Side,
    seed: u64,
    connections: BTreeMap<Stream, Connection>,
    /// Connections by deadline, and the deadline of each.
    timers: BTreeSet<(Instant, Stream)>,
    armed: BTreeMap<Stream, Instant>,
    /// Connections that something happened to.
    touched: BTreeSet<Stream>,
    /// Connections whose application may go on.
    news: BTreeSet<Stream>,
    leaving: VecDeque<Vec<u8>>,
    pub(super) alarm: Alarm,
    sent_packets: u64,
    received_packets: u64,
    damaged_packets: u64,
    retransmitted: u64,
}

impl TcpHost {
    pub(super) fn new(side: Side, baseline: Baseline, seed: u64) -> Self {
        Self {
            baseline,
            side,
            seed,
            connections: BTreeMap::new(),
            timers: BTreeSet::new(),
            armed: BTreeMap::new(),
            touched: BTreeSet::new(),
            news: BTreeSet::new(),
            leaving: VecDeque::new(),
            alarm: Alarm::default(),
            sent_packets: 0,
            received_packets: 0,
            damaged_packets: 0,
            retransmitted: 0,
        }
    }

    /// Lets this end of a connection dial or be dialled.
    pub(super) fn open(&mut self, now: Instant, stream: Stream) {
        let role = if self.side == Side::Client { Role::Client } else { Role::Server };
        let seed = self.seed.wrapping_add(stream.0.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let connection = Connection::new(role, self.baseline, self.endpoints(stream), seed, now);
        self.connections.insert(stream, connection);
        self.touched.insert(stream);
    }

    /// Every connection has ports of its own, so that both sides know its stream.
    fn endpoints(&self, stream: Stream) -> Endpoints {
        let client = FIRST_CLIENT_PORT + (stream.0 % CLIENT_PORTS) as u16;
        let server = FIRST_SERVER_PORT.wrapping_add((stream.0 / CLIENT_PORTS) as u16);
        match self.side {
            Side::Client => Endpoints { hosts: [1, 2], ports: [client, server] },
            Side::Server => Endpoints { hosts: [2, 1], ports: [server, client] },
        }
    }

    /// A packet arrived.
    pub(super) fn take(&mut self, now: Instant, packet: &[u8]) {
        self.received_packets += 1;
        let Some([source, destination]) = ports(packet) else {
            self.damaged_packets += 1;
            return;
        };
        let [client, server] =
            if self.side == Side::Client { [destination, source] } else { [source, destination] };
        let turn = u64::from(server.wrapping_sub(FIRST_SERVER_PORT));
        let stream = Stream(turn * CLIENT_PORTS + u64::from(client - FIRST_CLIENT_PORT));
        match self.connections.get_mut(&stream) {
            Some(connection) => {
                connection.take(now, packet);
                self.touched.insert(stream);
            }
            None => self.leaving.extend(answer_closed(packet, self.endpoints(stream), now)),
        }
    }

    /// A packet to be sent.
    pub(super) fn send(&mut self) -> Option<Vec<u8>> {
        let packet = self.leaving.pop_front()?;
        self.sent_packets += 1;
        Some(packet)
    }

    /// Serves the deadlines that have passed, and lets connections send what they can.
    pub(super) fn poll(&mut self, now: Instant) {
        while let Some(&(_, stream)) = self.timers.first().filter(|(at, _)| *at <= now) {
            self.disarm(stream);
            if let Some(connection) = self.connections.get_mut(&stream) {
                connection.expire(now);
                self.touched.insert(stream);
            }
        }
        for stream in std::mem::take(&mut self.touched) {
            let Some(connection) = self.connections.get_mut(&stream) else { continue };
            while let Some(packet) = connection.transmit(now) {
                self.leaving.push_back(packet);
            }
            self.disarm(stream);
            self.settle(now, stream);
        }
    }

    /// Sets a connection's timer, or removes one that is over.
    fn settle(&mut self, now: Instant, stream: Stream) {
        let Some(connection) = self.connections.get(&stream) else { return };
        if connection.is_over() {
            self.retransmitted += connection.retransmitted();
            self.connections.remove(&stream);
            return;
        }
        self.news.insert(stream);
        if let Some(at) = connection.deadline() {
            let at = at.max(now + Duration::from_micros(1));
            self.armed.insert(stream, at);
            self.timers.insert((at, stream));
        }
    }

    fn disarm(&mut self, stream: Stream) {
        if let Some(at) = self.armed.remove(&stream) {
            self.timers.remove(&(at, stream));
        }
    }

    /// Streams whose application can continue reading or writing; each is returned once.
    pub(super) fn ready(&mut self) -> Vec<Stream> {
        let connections = &mut self.connections;
        let is_ready = |stream: &Stream| connections.get_mut(stream).is_some_and(Connection::is_ready);
        std::mem::take(&mut self.news).into_iter().filter(is_ready).collect()
    }

    /// Whether [`Self::ready`] could return a stream.
    pub(super) fn has_ready(&self) -> bool {
        !self.news.is_empty()
    }

    pub(super) fn has(&self, stream: Stream) -> bool {
        self.connections.contains_key(&stream)
    }

    pub(super) fn write(&mut self, stream: Stream, data: &[u8]) -> Result<usize, WriteError> {
        let connection = self.connections.get_mut(&stream).ok_or(WriteError::Closed)?;
        self.touched.insert(stream);
        connection.write(data)
    }

    pub(super) fn peek(&mut self, stream: Stream) -> Result<&[u8], ReadError> {
        let connection = self.connections.get_mut(&stream).ok_or(ReadError::Closed)?;
        self.touched.insert(stream);
        connection.peek()
    }

    pub(super) fn consume(&mut self, now: Instant, stream: Stream, n: usize) {
        if let Some(connection) = self.connections.get_mut(&stream) {
            connection.consume(now, n);
            self.touched.insert(stream);
        }
    }

    pub(super) fn finish(&mut self, stream: Stream) -> Result<(), WriteError> {
        self.connections.get_mut(&stream).ok_or(WriteError::Closed)?.finish();
        self.touched.insert(stream);
        Ok(())
    }

    pub(super) fn close(&mut self, now: Instant, stream: Stream) {
        if let Some(connection) = self.connections.get_mut(&stream) {
            connection.close(now);
            self.touched.insert(stream);
        }
    }

    /// Whether nothing is left to send or to have acknowledged.
    pub(super) fn is_drained(&self) -> bool {
        self.connections.values().all(Connection::is_drained)
    }

    /// Packets, and segments retransmitted.
    pub(super) fn outcome(&self) -> SideOutcome {
        let open: u64 = self.connections.values().map(Connection::retransmitted).sum();
        let stats = Stats {
            out_pkts: self.sent_packets,
            in_pkts: self.received_packets,
            in_csum_errors: self.damaged_packets,
            retrans_segs: self.retransmitted + open,
            ..Stats::default()
        };
        SideOutcome { stats, ..SideOutcome::default() }
    }

    /// When it wants to be polled again, later than `now`.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.timers.first().map(|&(at, _)| at)
    }
}
