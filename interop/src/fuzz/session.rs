//! An honest client and an honest server over a path that loses, repeats, reorders and changes the client's address.

use super::Script;
use super::tunnel::{address, config};
use engine::{
    CloseReason, Endpoint, EndpointLimits, Entropy, Event, Handled, Instant, Route, SessionId, StreamId,
    Tunnel, TunnelConfig,
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
/// Nobody forges anything, so every byte that arrives was written, in order; once the path is good again everything
/// arrives at applications that act on events alone; and nobody takes the other for broken or restarted.
pub fn session(data: &[u8]) {
    let mut script = Script::new(data);
    let mut world = World::new(&config(script.byte()));
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
}

struct App {
    side: usize,
    tunnel: Tunnel,
    streams: BTreeMap<StreamId, Known>,
    socket_blocked: bool,
    closed: Option<CloseReason>,
    budget_bytes: usize,
}

struct Flight {
    to_server: bool,
    /// The client's address when it was sent.
    client: u8,
    bytes: Vec<u8>,
}

struct World {
    now: Instant,
    endpoint: Endpoint,
    client: App,
    client_address: u8,
    moves: bool,
    /// The first is the client's; replays may start others.
    sessions: BTreeMap<SessionId, App>,
    path: VecDeque<Flight>,
}

impl World {
    fn new(config: &Arc<TunnelConfig>) -> Self {
        let now = Instant::from_millis(1000);
        let limits = EndpointLimits { sessions_max: 4 };
        let client = Tunnel::connect(config, now, address(255), Entropy::from_seed([1; 32]));
        Self {
            now,
            endpoint: Endpoint::new(Arc::clone(config), limits, Entropy::from_seed([2; 32])),
            client: App::new(0, client),
            client_address: 0,
            moves: config.migrate,
            sessions: BTreeMap::new(),
            path: VecDeque::new(),
        }
    }

    fn app(&mut self, server: bool) -> &mut App {
        match self.sessions.values_mut().next() {
            Some(app) if server => app,
            _ => &mut self.client,
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let now = self.now;
        let op = script.byte();
        let app = self.app(op & 128 != 0);
        match op & 15 {
            0 => app.open(now),
            1 | 2 => {
                let id = app.stream(script);
                app.write(now, id, usize::from(script.byte()) * script.pick(&[1, 10, 100]));
            }
            3 => {
                let id = app.stream(script);
                app.read(now, id, usize::from(script.byte()) * 50);
            }
            4 => {
                let id = app.stream(script);
                app.finish(now, id);
            }
            5 => {
                let id = app.stream(script);
                app.close(now, id);
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
            12 => app.socket_blocked = !app.socket_blocked,
            // Before the first acknowledgement a client that moved is a new client to the server.
            13 if self.moves && self.client.tunnel.arq().state().snd_una > 0 => {
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
            let _ = self.client.tunnel.handle_datagram(self.now, &mut flight.bytes);
        }
        self.drain();
    }

    fn arrive_all(&mut self) {
        for _ in 0..self.path.len() {
            self.arrive(0, true);
        }
    }

    fn arrive_at_server(&mut self, mut flight: Flight) {
        let from = address(flight.client);
        let incoming = match self.endpoint.route(self.now, from, &mut flight.bytes) {
            Route::Session(id, datagram) => {
                let app = self.sessions.get_mut(&id).expect("the endpoint knows a session the driver lost");
                let handled = app.tunnel.handle_datagram(self.now, datagram);
                assert!(!matches!(handled, Handled::Reopen(_)), "the client has one conversation");
                return;
            }
            Route::Moved(id, incoming) => {
                let app = self.sessions.get_mut(&id).expect("the endpoint knows a session the driver lost");
                match app.tunnel.migrate(self.now, incoming) {
                    Ok(()) => return self.endpoint.moved(id, from),
                    Err(incoming) if incoming.starts_session() && !self.endpoint.is_full() => incoming,
                    Err(_) => return,
                }
            }
            Route::Incoming(incoming) => incoming,
            Route::Dropped(_) => return,
        };
        let (id, tunnel) = self.endpoint.accept(self.now, incoming);
        self.sessions.insert(id, App::new(1, tunnel));
    }

    fn apps(&mut self) -> impl Iterator<Item = &mut App> {
        std::iter::once(&mut self.client).chain(self.sessions.values_mut())
    }

    fn next_deadline(&mut self) {
        let next = self.apps().filter_map(|app| app.tunnel.poll_timeout()).map(|deadline| deadline.at).min();
        let Some(next) = next else { return };
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
        for app in self.apps() {
            if app.tunnel.poll_timeout().is_some_and(|deadline| deadline.at <= now) {
                app.tunnel.handle_timeout(now);
            }
        }
        // A flush that stays due because the socket is blocked is the driver's to wait for.
        self.apps().for_each(|app| app.socket_blocked &= app.tunnel.is_closed());
        self.drain();
    }

    fn drain(&mut self) {
        let now = self.now;
        let client_address = self.client_address;
        let path = &mut self.path;
        let sent = |bytes: &[u8]| Flight { to_server: true, client: client_address, bytes: bytes.to_vec() };
        self.client.drain(now, |bytes| path.push_back(sent(bytes)));
        for app in self.sessions.values_mut() {
            let peer = app.tunnel.peer();
            let client = (0..250).find(|n| address(*n) == peer).unwrap_or(255);
            app.drain(now, |bytes| {
                path.push_back(Flight { to_server: false, client, bytes: bytes.to_vec() })
            });
        }
        while self.path.len() > PATH_MAX {
            self.path.pop_front();
        }
        // Sessions made by replays wait for nobody.
        let real = self.sessions.keys().next().copied();
        let over: Vec<SessionId> =
            self.sessions.iter().filter(|(_, app)| app.closed.is_some()).map(|(id, _)| *id).collect();
        for id in over {
            self.endpoint.retire(id);
            if real != Some(id) {
                self.sessions.remove(&id);
            }
        }
    }

    fn settle(&mut self) {
        self.apps().for_each(|app| app.socket_blocked = false);
        let until = Instant::from_millis(self.now.as_millis() + SETTLE_MS);
        while self.now < until {
            self.drain();
            self.arrive_all();
            let now = self.now;
            self.apps().for_each(|app| app.read_all(now));
            self.drain();
            if self.client.closed.is_some() || self.sessions.values().any(|app| app.closed.is_some()) {
                return;
            }
            if self.path.is_empty() {
                if self.complete() {
                    return;
                }
                self.next_deadline();
            }
        }
        let server = self.sessions.values().next();
        panic!(
            "stuck: client {:?} {:?}, server {:?}",
            self.client.streams,
            self.client.tunnel.arq().state(),
            server.map(|app| (&app.streams, app.tunnel.arq().state()))
        );
    }

    fn complete(&self) -> bool {
        let Some(server) = self.sessions.values().next() else { return self.client.tunnel.drained() };
        let apps = [&self.client, server];
        apps.iter().all(|app| app.tunnel.drained()) && apps[0].got_all(apps[1]) && apps[1].got_all(apps[0])
    }
}

impl Flight {
    fn copy(&self) -> Self {
        Self { bytes: self.bytes.clone(), ..*self }
    }
}

impl App {
    fn new(side: usize, tunnel: Tunnel) -> Self {
        Self {
            side,
            tunnel,
            streams: BTreeMap::new(),
            socket_blocked: false,
            closed: None,
            budget_bytes: WRITE_BYTES_MAX,
        }
    }

    fn drain(&mut self, now: Instant, mut send: impl FnMut(&[u8])) {
        let mut out = [0; 6000];
        while !self.socket_blocked {
            let Some(transmit) = self.tunnel.poll_transmit(now, &mut out) else { break };
            let segment = transmit.segment.map_or(transmit.len, |segment| usize::from(segment.get()));
            out[..transmit.len].chunks(segment).for_each(&mut send);
        }
        while let Some(event) = self.tunnel.poll_event() {
            match event {
                Event::Opened(id) => {
                    assert!(self.streams.insert(id, Known::default()).is_none(), "opened twice");
                }
                Event::Readable(id) => self.known(id).readable = true,
                Event::Writable(id) => self.known(id).blocked = false,
                Event::Finished(_) | Event::Stopped(_) => {}
                // SMUX-28: the tunnel closed it, because it was not read while others waited.
                Event::Cut(id) => self.known(id).closed = true,
                Event::Closed(reason) => {
                    assert_eq!(reason, CloseReason::PeerTimeout, "honest peers do nothing else");
                    self.closed = Some(reason);
                }
                other => panic!("unknown event {other:?}"),
            }
        }
    }

    fn known(&mut self, id: StreamId) -> &mut Known {
        self.streams.get_mut(&id).expect("events are about streams that were opened")
    }

    fn stream(&self, script: &mut Script<'_>) -> StreamId {
        let at = usize::from(script.byte()) % self.streams.len().max(1);
        self.streams.keys().nth(at).copied().unwrap_or(StreamId(3))
    }

    fn open(&mut self, now: Instant) {
        if let Ok(id) = self.tunnel.open_stream(now) {
            self.streams.insert(id, Known::default());
        }
    }

    fn write(&mut self, now: Instant, id: StreamId, len: usize) {
        let len = len.min(self.budget_bytes);
        let Some(known) = self.streams.get_mut(&id).filter(|_| len > 0) else { return };
        let range = known.written..known.written + len;
        let data: Vec<u8> = range.map(|offset| pattern(self.side, id, offset)).collect();
        match self.tunnel.write(now, id, &data) {
            Ok(n) => {
                known.written += n;
                self.budget_bytes -= n;
                known.blocked = false;
            }
            Err(error) => known.blocked = error == engine::mux::WriteError::Blocked,
        }
    }

    fn read(&mut self, now: Instant, id: StreamId, n: usize) {
        let mut buf = vec![0; n.max(1)];
        let Some(known) = self.streams.get_mut(&id) else { return };
        match self.tunnel.read(now, id, &mut buf) {
            Ok(0) => (known.ended, known.readable) = (true, false),
            Ok(n) => {
                let wanted = (known.read..).map(|offset| pattern(1 - self.side, id, offset));
                assert!(wanted.take(n).eq(buf[..n].iter().copied()), "other bytes were written");
                known.read += n;
            }
            Err(_) => known.readable = false,
        }
    }

    /// Reads only what events announced.
    fn read_all(&mut self, now: Instant) {
        let ids: Vec<StreamId> = self.streams.keys().copied().collect();
        for id in ids {
            while self.streams.get(&id).is_some_and(|known| known.readable && !known.closed) {
                self.read(now, id, 4096);
            }
        }
    }

    fn finish(&mut self, now: Instant, id: StreamId) {
        if self.tunnel.finish(now, id).is_ok() {
            self.known(id).finished = true;
        }
    }

    fn close(&mut self, now: Instant, id: StreamId) {
        self.tunnel.close_stream(now, id);
        if let Some(known) = self.streams.get_mut(&id) {
            known.closed = true;
        }
    }

    /// Whether everything `peer` wrote was read here, and its writers know that they may go on.
    fn got_all(&self, peer: &Self) -> bool {
        peer.streams.iter().all(|(id, theirs)| {
            // A stream beyond the limit is refused: its end is all there is.
            let Some(known) = self.streams.get(id) else {
                return theirs.written == 0 || theirs.closed || theirs.ended;
            };
            let woken = !theirs.blocked || theirs.finished || theirs.closed;
            let ended = known.ended == (theirs.finished || theirs.closed);
            known.closed || (known.read == theirs.written && woken && ended)
        })
    }
}

fn pattern(side: usize, id: StreamId, offset: usize) -> u8 {
    (7 * offset + 13 * (offset >> 8) + 101 * side + 31 * id.0 as usize) as u8
}
