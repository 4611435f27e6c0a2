//! An honest client and an honest server over a path that loses, repeats, reorders and changes the client's address.

use super::Script;
use super::tunnel::{address, config};
use engine::{
    CloseReason, Entropy, Event, Instant, Received, Server, ServerLimits, SessionId, StreamId, Tunnel,
    TunnelConfig,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Datagrams on the path at most; more are lost.
const PATH_MAX: usize = 64;
/// Bytes each side writes at most.
const WRITE_BYTES_MAX: usize = 60_000;
/// Time after the last fault in which everything must arrive.
const SETTLE_MS: u64 = 300_000;

/// The first byte picks the configuration; then operations on path and applications.
///
/// No datagram is forged, so every byte that arrives was written, in order; once the path has healed, all bytes arrive at
/// applications that act on events alone; and neither end takes the other for broken or restarted.
pub fn session(data: &[u8]) {
    let mut script = Script::new(data);
    // Deadlines that wait for a blocked socket lie in the past, as the driver expects, with a governed sender.
    let config = TunnelConfig { governed: false, ..TunnelConfig::clone(&config(script.byte())) };
    let mut world = World::new(&Arc::new(config));
    while !script.is_over() {
        world.step(&mut script);
        world.drain();
    }
    world.settle();
}

/// What an application knows of a stream.
#[derive(Debug, Default)]
struct Known {
    written: usize,
    read: usize,
    readable: bool,
    blocked: bool,
    finished: bool,
    closed: bool,
    ended: bool,
    /// Its peer reset it.
    reset: bool,
}

/// One application, except its tunnel.
struct App {
    side: usize,
    streams: BTreeMap<StreamId, Known>,
    socket_blocked: bool,
    closed: Option<CloseReason>,
    budget_bytes: usize,
}

/// An application with the tunnel it uses.
struct End<'w> {
    app: &'w mut App,
    tunnel: &'w mut Tunnel,
}

struct Flight {
    to_server: bool,
    /// The client's address when it was sent.
    client: u8,
    bytes: Vec<u8>,
}

struct World {
    now: Instant,
    server: Server,
    client: Tunnel,
    client_app: App,
    client_address: u8,
    moves: bool,
    /// The applications of the server's sessions. The first is the client's; replays may start others.
    sessions: BTreeMap<SessionId, App>,
    path: VecDeque<Flight>,
}

impl World {
    fn new(config: &Arc<TunnelConfig>) -> Self {
        let now = Instant::from_millis(1000);
        let limits = ServerLimits { sessions_max: 4 };
        Self {
            now,
            server: Server::new(Arc::clone(config), limits, Entropy::from_seed([2; 32])),
            client: Tunnel::connect(config, now, address(255), Entropy::from_seed([1; 32])),
            client_app: App::new(0),
            client_address: 0,
            moves: config.migrate,
            sessions: BTreeMap::new(),
            path: VecDeque::new(),
        }
    }

    fn end(&mut self, server: bool) -> End<'_> {
        let first = self.sessions.iter_mut().next().filter(|_| server);
        match first.and_then(|(id, app)| Some(End { app, tunnel: self.server.tunnel_mut(*id)? })) {
            Some(end) => end,
            None => End { app: &mut self.client_app, tunnel: &mut self.client },
        }
    }

    fn each(&mut self, mut visit: impl FnMut(End<'_>)) {
        visit(End { app: &mut self.client_app, tunnel: &mut self.client });
        for (id, tunnel) in self.server.tunnels_mut() {
            let app = self.sessions.get_mut(&id).expect("the server has a session the driver lost");
            visit(End { app, tunnel });
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let now = self.now;
        let op = script.byte();
        let mut end = self.end(op & 128 != 0);
        match op & 15 {
            0 => end.open(now),
            1 | 2 => {
                let id = end.app.stream(script);
                end.write(now, id, usize::from(script.byte()) * script.pick(&[1, 10, 100]));
            }
            3 => {
                let id = end.app.stream(script);
                end.read(now, id, usize::from(script.byte()) * 50);
            }
            4 => {
                let id = end.app.stream(script);
                end.finish(now, id);
            }
            5 => {
                let id = end.app.stream(script);
                if op & 16 == 0 { end.close(now, id) } else { end.reset(now, id) }
            }
            6 => self.arrive(usize::from(script.byte()), true),
            7 => self.arrive(usize::from(script.byte()), false),
            8 => {
                let at = usize::from(script.byte());
                self.path.remove(at % self.path.len().max(1));
            }
            9 => self.arrive_all(),
            10 => self.next_deadline(),
            11 => self.pass(u64::from(script.byte()) * 4),
            12 => end.app.socket_blocked = !end.app.socket_blocked,
            // Before the first acknowledgement a client that moved is a new client to the server.
            13 if self.moves && self.client.arq().state().snd_una > 0 => {
                self.client_address = (self.client_address + 1) % 250;
            }
            14 => self.path.clear(),
            _ => {
                for _ in 0..script.byte() % 16 {
                    self.arrive(0, true);
                }
            }
        }
    }

    fn arrive(&mut self, at: usize, remove: bool) {
        if self.path.is_empty() {
            return;
        }
        let at = at % self.path.len();
        let flight = if remove { self.path.remove(at) } else { self.path.get(at).map(Flight::copy) };
        let Some(mut flight) = flight else { return };
        if flight.to_server {
            self.arrive_at_server(flight);
        } else if flight.client == self.client_address {
            let _ = self.client.handle_datagram(self.now, &mut flight.bytes);
        }
        self.drain();
    }

    fn arrive_all(&mut self) {
        for _ in 0..self.path.len() {
            self.arrive(0, true);
        }
    }

    fn arrive_at_server(&mut self, mut flight: Flight) {
        let received = self.server.handle_datagram(self.now, address(flight.client), &mut flight.bytes);
        assert_eq!(self.server.poll_closed(), None, "the client has one conversation");
        if let Received::Accepted { id } = received {
            self.sessions.insert(id, App::new(1));
        }
    }

    fn deadlines(&self) -> impl Iterator<Item = Instant> {
        let tunnels = std::iter::once(&self.client).chain(self.server.tunnels().map(|(_, tunnel)| tunnel));
        tunnels.filter_map(|tunnel| tunnel.poll_timeout()).map(|deadline| deadline.at)
    }

    fn next_deadline(&mut self) {
        let Some(next) = self.deadlines().min() else { return };
        assert!(next > self.now, "a deadline lies in the past");
        self.now = next;
        self.timeouts();
    }

    fn pass(&mut self, ms: u64) {
        self.now = Instant::from_millis(self.now.as_millis() + ms);
        self.timeouts();
    }

    fn timeouts(&mut self) {
        let now = self.now;
        self.each(|End { app, tunnel }| {
            if tunnel.poll_timeout().is_some_and(|deadline| deadline.at <= now) {
                tunnel.handle_timeout(now);
            }
            // A flush that stays due because the socket is blocked is the driver's to wait for.
            app.socket_blocked &= tunnel.is_closed();
        });
        self.drain();
    }

    fn drain(&mut self) {
        let (now, client) = (self.now, self.client_address);
        let mut sent = Vec::new();
        self.each(|mut end| {
            let to_server = end.app.side == 0;
            let peer = end.tunnel.peer();
            let client = match to_server {
                true => client,
                false => (0..250).find(|n| address(*n) == peer).unwrap_or(255),
            };
            end.drain(now, |bytes| sent.push(Flight { to_server, client, bytes: bytes.to_vec() }));
        });
        self.path.extend(sent);
        while self.path.len() > PATH_MAX {
            self.path.pop_front();
        }
        // Sessions started by replays are of no use to an application.
        let real = self.sessions.keys().next().copied();
        let over: Vec<SessionId> =
            self.sessions.iter().filter(|(_, app)| app.closed.is_some()).map(|(id, _)| *id).collect();
        for id in over {
            self.server.remove(self.now, id);
            if real != Some(id) {
                self.sessions.remove(&id);
            }
        }
    }

    fn settle(&mut self) {
        self.each(|end| end.app.socket_blocked = false);
        let until = Instant::from_millis(self.now.as_millis() + SETTLE_MS);
        while self.now < until {
            self.drain();
            self.arrive_all();
            let now = self.now;
            self.each(|mut end| end.read_all(now));
            self.drain();
            if self.client_app.closed.is_some() || self.sessions.values().any(|app| app.closed.is_some()) {
                return;
            }
            if self.path.is_empty() {
                if self.complete() {
                    return;
                }
                self.next_deadline();
            }
        }
        let server = self.sessions.iter().next().and_then(|(id, app)| Some((app, self.server.tunnel(*id)?)));
        panic!(
            "stuck: client {:?} {:?}, server {:?}",
            self.client_app.streams,
            self.client.arq().state(),
            server.map(|(app, tunnel)| (&app.streams, tunnel.arq().state()))
        );
    }

    fn complete(&self) -> bool {
        let Some((id, app)) = self.sessions.iter().next() else { return self.client.drained() };
        let drained = self.client.drained() && self.server.tunnel(*id).is_some_and(Tunnel::drained);
        drained && self.client_app.got_all(app) && app.got_all(&self.client_app)
    }
}

impl Flight {
    fn copy(&self) -> Self {
        Self { bytes: self.bytes.clone(), ..*self }
    }
}

impl App {
    fn new(side: usize) -> Self {
        Self {
            side,
            streams: BTreeMap::new(),
            socket_blocked: false,
            closed: None,
            budget_bytes: WRITE_BYTES_MAX,
        }
    }

    fn known(&mut self, id: StreamId) -> &mut Known {
        self.streams.get_mut(&id).expect("events are about streams that were opened")
    }

    fn stream(&self, script: &mut Script<'_>) -> StreamId {
        let at = usize::from(script.byte()) % self.streams.len().max(1);
        self.streams.keys().nth(at).copied().unwrap_or(StreamId(3))
    }

    /// Whether everything `peer` wrote was read here, and its writers know that they may go on.
    fn got_all(&self, peer: &Self) -> bool {
        peer.streams.iter().all(|(id, theirs)| {
            // A stream beyond the limit is refused: its end is all there is.
            let Some(known) = self.streams.get(id) else {
                return theirs.written == 0 || theirs.closed || theirs.ended || theirs.reset;
            };
            let woken = !theirs.blocked || theirs.finished || theirs.closed;
            let ended = (known.ended || known.reset) == (theirs.finished || theirs.closed);
            known.closed || (known.read == theirs.written && woken && ended)
        })
    }
}

impl End<'_> {
    fn drain(&mut self, now: Instant, mut send: impl FnMut(&[u8])) {
        let mut out = [0; 6000];
        while !self.app.socket_blocked {
            let Some(transmit) = self.tunnel.poll_transmit(now, &mut out) else { break };
            let segment = transmit.segment.map_or(transmit.len, |segment| usize::from(segment.get()));
            out[..transmit.len].chunks(segment).for_each(&mut send);
        }
        while let Some(event) = self.tunnel.poll_event() {
            match event {
                Event::Opened(id) => {
                    assert!(self.app.streams.insert(id, Known::default()).is_none(), "opened twice");
                }
                Event::Readable(id) => self.app.known(id).readable = true,
                Event::Writable(id) => self.app.known(id).blocked = false,
                Event::Finished(_) | Event::Stopped(_) => {}
                Event::Reset(id) => self.app.known(id).reset = true,
                // SMUX-28: the tunnel closed it, because it was not read while others waited.
                Event::Cut(id) => self.app.known(id).closed = true,
                Event::Closed(reason) => {
                    assert_eq!(reason, CloseReason::PeerTimeout, "honest peers do nothing else");
                    self.app.closed = Some(reason);
                }
                other => panic!("unknown event {other:?}"),
            }
        }
    }

    fn open(&mut self, now: Instant) {
        if let Ok(id) = self.tunnel.open_stream(now) {
            self.app.streams.insert(id, Known::default());
        }
    }

    fn write(&mut self, now: Instant, id: StreamId, len: usize) {
        let len = len.min(self.app.budget_bytes);
        let Some(known) = self.app.streams.get_mut(&id).filter(|_| len > 0) else { return };
        let range = known.written..known.written + len;
        let data: Vec<u8> = range.map(|offset| pattern(self.app.side, id, offset)).collect();
        match self.tunnel.write(now, id, &data) {
            Ok(n) => {
                known.written += n;
                self.app.budget_bytes -= n;
                known.blocked = false;
            }
            Err(error) => known.blocked = error == engine::mux::WriteError::Blocked,
        }
    }

    fn read(&mut self, now: Instant, id: StreamId, n: usize) {
        let mut buf = vec![0; n.max(1)];
        let Some(known) = self.app.streams.get_mut(&id) else { return };
        match self.tunnel.read(now, id, &mut buf) {
            Ok(0) => (known.ended, known.readable) = (true, false),
            Ok(n) => {
                let wanted = (known.read..).map(|offset| pattern(1 - self.app.side, id, offset));
                assert!(wanted.take(n).eq(buf[..n].iter().copied()), "other bytes were written");
                known.read += n;
            }
            Err(_) => known.readable = false,
        }
    }

    /// Reads only what events announced.
    fn read_all(&mut self, now: Instant) {
        let ids: Vec<StreamId> = self.app.streams.keys().copied().collect();
        for id in ids {
            while self.app.streams.get(&id).is_some_and(|known| known.readable && !known.closed) {
                self.read(now, id, 4096);
            }
        }
    }

    fn finish(&mut self, now: Instant, id: StreamId) {
        if self.tunnel.finish(now, id).is_ok() {
            self.app.known(id).finished = true;
        }
    }

    fn reset(&mut self, now: Instant, id: StreamId) {
        self.tunnel.reset_stream(now, id);
        if let Some(known) = self.app.streams.get_mut(&id) {
            known.closed = true;
        }
    }

    fn close(&mut self, now: Instant, id: StreamId) {
        self.tunnel.close_stream(now, id);
        if let Some(known) = self.app.streams.get_mut(&id) {
            known.closed = true;
        }
    }
}

fn pattern(side: usize, id: StreamId, offset: usize) -> u8 {
    (7 * offset + 13 * (offset >> 8) + 101 * side + 31 * id.0 as usize) as u8
}
