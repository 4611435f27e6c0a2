//! Two endpoints of one association on a hand-stepped clock, joined by a path that delays and drops on request.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "shared by tests, each of which uses its own part"
)]

use engine::options::Governor;
use engine::{
    Deadline, Entropy, Event, Instant, Received, Server, ServerLimits, SessionId, Settings, StreamId, Tunnel,
    TunnelConfig,
};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// One datagram on its way.
struct Flight {
    at: Instant,
    to_server: bool,
    /// Source, unless it is the client's address on arrival.
    from: Option<SocketAddr>,
    bytes: Vec<u8>,
}

/// An attacker that sends a copy of every datagram for the server from its own address, `ahead` of the original.
#[derive(Clone, Copy)]
pub struct Racer {
    pub address: SocketAddr,
    pub ahead: Duration,
}

/// A client's tunnel, a server, and the path between them.
pub struct Pair {
    pub now: Instant,
    pub client: Tunnel,
    pub server: Server,
    /// The session accepted last.
    pub session: Option<SessionId>,
    pub client_address: SocketAddr,
    pub client_events: VecDeque<Event>,
    pub server_events: VecDeque<Event>,
    pub delay: Duration,
    /// Asked for every datagram: (to server, running number) -> drop it.
    pub drop: Box<dyn FnMut(bool, u64) -> bool>,
    pub sent: u64,
    pub racer: Option<Racer>,
    /// The address from which everything is passed on to the client.
    pub relayed: Option<SocketAddr>,
    /// Bytes that the server sent to addresses that the client does not have.
    pub astray: BTreeMap<SocketAddr, u64>,
    /// Bytes that arrived from the racer.
    pub raced: u64,
    pub timeouts: u64,
    flights: VecDeque<Flight>,
}

/// A server without sessions that holds four at most.
pub fn listen(config: Arc<TunnelConfig>, seed: [u8; 32]) -> Server {
    Server::new(config, ServerLimits { sessions_max: 4 }, Entropy::from_seed(seed))
}

/// The default settings of both sides, with kcp-go's own sender.
pub fn reference() -> (Settings, Settings) {
    let off = Governor::Off;
    (Settings { governor: off, ..Settings::client() }, Settings { governor: off, ..Settings::server() })
}

/// Settings of both sides, with one change applied to each.
pub fn both(change: impl Fn(&mut Settings)) -> (Settings, Settings) {
    let (mut client, mut server) = reference();
    change(&mut client);
    change(&mut server);
    (client, server)
}

impl Pair {
    pub fn new((client, server): (Settings, Settings)) -> Self {
        Self::with_configs(client.tunnel_config().unwrap(), server.tunnel_config().unwrap())
    }

    pub fn with_configs(client: TunnelConfig, server: TunnelConfig) -> Self {
        let now = Instant::from_millis(1_000);
        let server_address = "192.0.2.1:29900".parse().unwrap();
        let client_config = Arc::new(client);
        let server_config = Arc::new(server);
        Self {
            now,
            client: Tunnel::connect(&client_config, now, server_address, Entropy::from_seed([1; 32])),
            server: listen(server_config, [2; 32]),
            session: None,
            client_address: "198.51.100.7:4321".parse().unwrap(),
            client_events: VecDeque::new(),
            server_events: VecDeque::new(),
            delay: Duration::from_millis(10),
            drop: Box::new(|_, _| false),
            sent: 0,
            racer: None,
            relayed: None,
            astray: BTreeMap::new(),
            raced: 0,
            timeouts: 0,
            flights: VecDeque::new(),
        }
    }

    /// The server's tunnel; panics before the first datagram arrived.
    pub fn accepted(&mut self) -> &mut Tunnel {
        self.session.and_then(|id| self.server.tunnel_mut(id)).expect("no session yet")
    }

    /// Whether the server's tunnel is closed.
    pub fn server_is_closed(&self) -> bool {
        self.session.and_then(|id| self.server.tunnel(id)).is_some_and(Tunnel::is_closed)
    }

    /// Puts a server with that configuration and no sessions in place.
    pub fn restart_server(&mut self, config: Arc<TunnelConfig>) {
        self.server = listen(config, [9; 32]);
        self.session = None;
    }

    /// Removes the server's tunnel, as a driver does once it is closed.
    pub fn forget_session(&mut self) {
        self.session.take().map(|id| self.server.remove(self.now, id));
    }

    /// Drains both ends onto the path and collects their events.
    pub fn drain(&mut self) {
        let mut out = vec![0; 20_000];
        let arrives = self.now + self.delay;
        let mut sent = Vec::new();
        let mut ends = vec![(true, &mut self.client, &mut self.client_events)];
        if let Some(tunnel) = self.session.and_then(|id| self.server.tunnel_mut(id)) {
            ends.push((false, tunnel, &mut self.server_events));
        }
        for (to_server, tunnel, events) in ends {
            while let Some(transmit) = tunnel.poll_transmit(self.now, &mut out) {
                let size = transmit.segment.map_or(transmit.len, |size| usize::from(size.get()));
                for datagram in out[..transmit.len].chunks(size) {
                    self.sent += 1;
                    let reaches = transmit.to == self.client_address || Some(transmit.to) == self.relayed;
                    if !to_server && !reaches {
                        *self.astray.entry(transmit.to).or_default() += datagram.len() as u64;
                        continue;
                    }
                    let bytes = datagram.to_vec();
                    let original = Flight { at: arrives, to_server, from: None, bytes: bytes.clone() };
                    if let Some(Racer { address, ahead }) = self.racer.filter(|_| to_server) {
                        self.raced += bytes.len() as u64;
                        sent.push(Flight { from: Some(address), bytes, ..original });
                        sent.push(Flight { at: arrives + ahead, ..original });
                        continue;
                    }
                    if !(self.drop)(to_server, self.sent) {
                        sent.push(original);
                    }
                }
            }
            events.extend(std::iter::from_fn(|| tunnel.poll_event()));
        }
        for flight in sent {
            let place = self.flights.partition_point(|other| other.at <= flight.at);
            self.flights.insert(place, flight);
        }
    }

    /// Runs to the next arrival or deadline, but not past `until`; returns false if there is none before it.
    pub fn step(&mut self, until: Instant) -> bool {
        self.drain();
        let arrival = self.flights.front().map(|flight| flight.at);
        let server = self.session.and_then(|id| self.server.tunnel(id));
        let deadlines = [self.client.poll_timeout(), server.and_then(Tunnel::poll_timeout)];
        let deadline = deadlines.iter().flatten().map(|Deadline { at, .. }| *at).min();
        let Some(next) = arrival.into_iter().chain(deadline).min().filter(|next| *next <= until) else {
            self.now = until;
            return false;
        };
        assert!(next >= self.now, "a deadline lies in the past");
        self.now = next;
        if arrival == Some(next) {
            self.deliver();
        } else {
            self.timeouts += 1;
            self.client.handle_timeout(next);
            if let Some(tunnel) = self.session.and_then(|id| self.server.tunnel_mut(id)) {
                tunnel.handle_timeout(next);
            }
        }
        self.drain();
        true
    }

    fn deliver(&mut self) {
        let Some(mut flight) = self.flights.pop_front() else { return };
        if flight.to_server {
            let from = flight.from.unwrap_or(self.client_address);
            self.deliver_from(from, &mut flight.bytes);
        } else {
            let _ = self.client.handle_datagram(self.now, &mut flight.bytes);
        }
    }

    /// Hands a sealed datagram to the server as the driver does.
    pub fn deliver_to_server(&mut self, bytes: &mut [u8]) {
        self.deliver_from(self.client_address, bytes);
    }

    /// As [`Self::deliver_to_server`], from that address.
    pub fn deliver_from(&mut self, from: SocketAddr, bytes: &mut [u8]) {
        if let Received::Accepted { id } = self.server.handle_datagram(self.now, from, bytes) {
            self.session = Some(id);
        }
        while let Some(closed) = self.server.poll_closed() {
            self.server.remove(self.now, closed);
        }
    }

    /// Steps until `done` or for `limit`; panics when the limit is reached first.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) {
        let until = self.now + limit;
        while !done(self) {
            assert!(self.step(until), "not done after {limit:?}");
        }
    }

    /// Lets `time` pass.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.step(until) {}
    }

    /// Suspends both ends and the path for `time`.
    pub fn pause(&mut self, time: Duration) {
        self.now = self.now + time;
        self.flights.iter_mut().for_each(|flight| flight.at = flight.at + time);
        self.client.handle_timeout(self.now);
        if self.session.is_some() {
            let now = self.now;
            self.accepted().handle_timeout(now);
        }
    }

    /// Sends `data` from the client on a new stream and returns what the server read until the end of the stream.
    pub fn upload(&mut self, data: &[u8], limit: Duration) -> Vec<u8> {
        let id = self.client.open_stream(self.now).unwrap();
        let mut written = 0;
        let mut got = Vec::new();
        self.run_until(limit, |pair| {
            if written < data.len() {
                written += pair.client.write(pair.now, id, &data[written..]).unwrap_or(0);
                if written == data.len() {
                    pair.client.finish(pair.now, id).unwrap();
                }
            }
            let now = pair.now;
            pair.session.is_some() && read_all(pair.accepted(), now, id, &mut got) == ReadState::Ended
        });
        got
    }
}

#[derive(PartialEq, Eq, Debug)]
pub enum ReadState {
    Open,
    Ended,
}

/// Reads what is there.
pub fn read_all(tunnel: &mut Tunnel, now: Instant, id: StreamId, got: &mut Vec<u8>) -> ReadState {
    let mut buf = [0; 4096];
    loop {
        match tunnel.read(now, id, &mut buf) {
            Ok(0) => return ReadState::Ended,
            Ok(n) => got.extend_from_slice(&buf[..n]),
            Err(_) => return ReadState::Open,
        }
    }
}

/// Bytes that differ at every offset scale.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (7 * i + 13 * (i >> 8) + 29 * (i >> 16)) as u8).collect()
}
