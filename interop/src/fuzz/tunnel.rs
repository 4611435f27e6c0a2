//! A server with whatever arrives, one honest client among others, and the driver's contract around both.

use super::Script;
use engine::crypt::Cipher;
use engine::fec::Kind;
use engine::{
    CloseReason, Entropy, Event, Generation, Instant, Received, Server, ServerLimits, SessionId, Settings,
    StreamId, Tunnel, TunnelConfig, snappy,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};

const SESSIONS_MAX: usize = 4;
const STREAMS_MAX: usize = 16;
const WINDOW: i64 = 32;
/// Datagrams on the path at most.
const PATH_MAX: usize = 64;
/// Datagrams one drain may send: windows, acknowledgements, parity.
const DRAIN_MAX: usize = 70_000;

/// Deriving keys is slow, so this is done once; [`config`] changes the rest.
static BASE: LazyLock<TunnelConfig> = LazyLock::new(|| {
    let settings = Settings {
        crypt: Cipher::Null,
        sndwnd: WINDOW,
        rcvwnd: WINDOW,
        datashard: 3,
        parityshard: 2,
        smuxbuf: 10_000,
        streambuf: 5000,
        qpp: true,
        qpp_count: 3,
        ..Settings::server()
    };
    let mut config = settings.tunnel_config().expect("settings of the target");
    config.mux.streams_max = STREAMS_MAX;
    config
});

/// The first byte picks the configuration; then operations on a server, its applications and one client.
///
/// Everything is drained after every operation; sessions, streams and queues keep to their limits, and no timer spins. An
/// address at which the peer is not gets at most three times the bytes that came from there (KCP-24).
pub fn tunnel(data: &[u8]) {
    let mut script = Script::new(data);
    let mut world = World::new(&config(script.byte()));
    while !script.is_over() {
        world.step(&mut script);
        world.drain();
    }
}

pub(super) fn config(choice: u8) -> Arc<TunnelConfig> {
    let bit = |n: u8| choice >> n & 1 == 1;
    let mut config = BASE.clone();
    config.fec = config.fec.filter(|_| bit(0));
    config.compress = !bit(1);
    config.mux.version = if bit(2) { 1 } else { 2 };
    config.qpp = config.qpp.filter(|_| bit(3));
    config.ack_nodelay = bit(4);
    // A session that behaves like kcp-go of 2021 has its sender.
    config.governed = !bit(5);
    config.generation = if bit(5) { Generation::Go2021 } else { Generation::Go2026 };
    config.rate_bytes_s = if bit(6) { 20_000 } else { 0 };
    config.migrate = !bit(7);
    Arc::new(config)
}

/// What an application knows of its tunnel.
#[derive(Default)]
struct App {
    streams: BTreeSet<StreamId>,
    /// A blocked socket: nothing is sent meanwhile.
    blocked: bool,
    closed: bool,
}

/// An application with the tunnel it uses.
struct End<'w> {
    app: &'w mut App,
    tunnel: &'w mut Tunnel,
}

struct World {
    config: Arc<TunnelConfig>,
    now: Instant,
    server: Server,
    client: Tunnel,
    client_app: App,
    sessions: BTreeMap<SessionId, App>,
    path: VecDeque<(bool, Vec<u8>)>,
    /// Bytes received from each address, and bytes sent there while the peer was elsewhere.
    addresses: BTreeMap<SocketAddr, (u64, u64)>,
}

impl World {
    fn new(config: &Arc<TunnelConfig>) -> Self {
        let now = Instant::from_millis(1000);
        let limits = ServerLimits { sessions_max: SESSIONS_MAX };
        Self {
            config: Arc::clone(config),
            now,
            server: Server::new(Arc::clone(config), limits, Entropy::from_seed([2; 32])),
            client: Tunnel::connect(config, now, address(255), Entropy::from_seed([1; 32])),
            client_app: App::default(),
            sessions: BTreeMap::new(),
            path: VecDeque::new(),
            addresses: BTreeMap::new(),
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let now = self.now;
        let op = script.byte();
        match op & 15 {
            0 => {
                let from = op >> 4;
                self.arrive(from, script.piece().to_vec());
            }
            1 => self.deliver(script, false),
            2 => self.deliver(script, true),
            3 | 4 => {
                let from = op >> 4;
                let datagram = self.forged(from, script);
                self.arrive(from, datagram);
            }
            5 => self.end(op).open(now),
            6 => self.end(op).write(now, script),
            7 | 8 => self.end(op).read(now, script),
            9 => {
                let End { app, tunnel } = self.end(op);
                let id = app.stream(script);
                let _ = tunnel.finish(now, id);
            }
            10 => {
                let End { app, tunnel } = self.end(op);
                let id = app.stream(script);
                tunnel.close_stream(now, id);
            }
            11 => self.next_deadline(),
            12 => self.pass(u64::from(script.byte()) * 10),
            13 => {
                let app = self.end(op).app;
                app.blocked = !app.blocked;
            }
            14 if script.byte() == 0 => self.end(op).tunnel.close(now, CloseReason::Local),
            _ => {
                while let Some((to_server, datagram)) = self.path.pop_front() {
                    self.hand_over(to_server, datagram);
                    self.drain_once();
                }
            }
        }
    }

    /// The client, or one of the server's sessions.
    fn end(&mut self, choice: u8) -> End<'_> {
        let at = usize::from(choice >> 5) % (SESSIONS_MAX + 1);
        let session = self.sessions.iter_mut().nth(at).filter(|_| choice & 16 != 0);
        match session.and_then(|(id, app)| Some(End { app, tunnel: self.server.tunnel_mut(*id)? })) {
            Some(end) => end,
            None => End { app: &mut self.client_app, tunnel: &mut self.client },
        }
    }

    fn each(&mut self, mut visit: impl FnMut(bool, End<'_>)) {
        visit(true, End { app: &mut self.client_app, tunnel: &mut self.client });
        for (id, tunnel) in self.server.tunnels_mut() {
            let app = self.sessions.get_mut(&id).expect("the server has a session the driver lost");
            visit(false, End { app, tunnel });
        }
    }

    fn deliver(&mut self, script: &mut Script<'_>, damage: bool) {
        let choice = usize::from(script.byte());
        if self.path.is_empty() {
            return;
        }
        let at = choice % self.path.len();
        let (to_server, mut datagram) = self.path[at].clone();
        if choice & 64 == 0 {
            self.path.remove(at);
        }
        if damage {
            let at = usize::from(script.byte()) % datagram.len();
            datagram[at] ^= script.byte();
        }
        self.hand_over(to_server, datagram);
    }

    fn hand_over(&mut self, to_server: bool, mut datagram: Vec<u8>) {
        if to_server {
            self.arrive(0, datagram);
        } else {
            let _ = self.client.handle_datagram(self.now, &mut datagram);
        }
    }

    /// What a driver does with a datagram.
    fn arrive(&mut self, from: u8, mut datagram: Vec<u8>) {
        self.addresses.entry(address(from)).or_default().0 += datagram.len() as u64;
        let received = self.server.handle_datagram(self.now, address(from), &mut datagram);
        if let Received::Accepted { id } = received {
            self.sessions.insert(id, App::default());
        }
        while let Some(replaced) = self.server.poll_closed() {
            let app = self.sessions.get_mut(&replaced).expect("the server has a session the driver lost");
            let tunnel = self.server.tunnel_mut(replaced).expect("a replaced session is drained");
            End { app, tunnel }.drain(self.now, |_, _| {});
            self.remove_closed();
        }
    }

    /// A push with numbers around the true ones whose payload the upper layers may understand.
    fn forged(&self, from: u8, script: &mut Script<'_>) -> Vec<u8> {
        let known = self.server.tunnels().find(|(_, tunnel)| tunnel.peer() == address(from));
        let (conv, state) = match known {
            Some((_, tunnel)) => (tunnel.conv(), Some(tunnel.arq().state())),
            None => (u32::from(from), None),
        };
        let kinds = script.byte();
        let mut payload = script.piece().to_vec();
        if self.config.compress && kinds & 1 == 1 {
            let mut chunks = Vec::new();
            snappy::Encoder::new().encode(&payload, &mut chunks);
            payload = chunks;
        }
        let mut datagram = Vec::new();
        if kinds & 2 != 0 {
            let kind = script.pick(&[Kind::Data, Kind::Parity, Kind::OutOfBand]);
            datagram.extend_from_slice(&u32::from(script.byte()).to_le_bytes());
            datagram.extend_from_slice(&kind.code().to_le_bytes());
            datagram.extend_from_slice(&(payload.len() as u16 + 26).to_le_bytes());
        }
        let (rcv_nxt, snd_una) = state.map_or((0, 0), |state| (state.rcv_nxt, state.snd_una));
        let (sn, una) =
            if kinds & 4 == 0 { (rcv_nxt, snd_una) } else { (script.near(rcv_nxt), script.near(snd_una)) };
        let cmd = if kinds & 8 == 0 { 81 } else { 81 + script.byte() % 4 };
        datagram.extend_from_slice(&conv.to_le_bytes());
        datagram.extend_from_slice(&[cmd, 0, kinds, 0]);
        for word in [self.now.ms(), sn, una, payload.len() as u32] {
            datagram.extend_from_slice(&word.to_le_bytes());
        }
        datagram.extend_from_slice(&payload);
        datagram
    }

    fn next_deadline(&mut self) {
        // What is due at a blocked socket waits for the socket, as in the driver.
        let is_free = |app: Option<&App>| app.is_none_or(|app| !app.blocked);
        let client = Some(&self.client).filter(|_| is_free(Some(&self.client_app)));
        let sessions = self.server.tunnels().filter(|(id, _)| is_free(self.sessions.get(id)));
        let tunnels = client.into_iter().chain(sessions.map(|(_, tunnel)| tunnel));
        let next = tunnels.filter_map(Tunnel::poll_timeout).min_by_key(|deadline| deadline.at);
        let Some(next) = next else { return };
        assert!(next.at > self.now, "{next:?} lies in the past of {:?}", self.now);
        self.now = next.at;
        self.timeouts();
    }

    fn pass(&mut self, ms: u64) {
        self.now = Instant::from_millis(self.now.as_millis() + ms);
        self.timeouts();
    }

    fn timeouts(&mut self) {
        let now = self.now;
        self.each(|_, mut end| {
            if end.tunnel.poll_timeout().is_none_or(|deadline| deadline.at > now) {
                return;
            }
            end.tunnel.handle_timeout(now);
            let blocked = std::mem::take(&mut end.app.blocked);
            end.drain(now, |_, _| {});
            end.app.blocked = blocked;
            let next = end.tunnel.poll_timeout();
            assert!(next.is_none_or(|deadline| deadline.at > now), "a timer spins: {next:?} at {now:?}");
        });
    }

    fn drain(&mut self) {
        self.drain_once();
        self.remove_closed();
        assert_eq!(self.server.session_count(), self.sessions.len());
        assert!(self.sessions.len() <= SESSIONS_MAX);
    }

    fn remove_closed(&mut self) {
        let (now, server, sessions) = (self.now, &mut self.server, &mut self.sessions);
        sessions.retain(|id, app| !app.closed || server.remove(now, *id).is_none());
    }

    fn drain_once(&mut self) {
        let now = self.now;
        let (mut sent, mut probes) = (Vec::new(), Vec::new());
        self.each(|to_server, mut end| {
            let peer = end.tunnel.peer();
            end.drain(now, |to, datagram| {
                if to != peer {
                    probes.push((to_server, to, datagram.len() as u64));
                } else if to_server || to == address(0) {
                    sent.push((to_server, datagram.to_vec()));
                }
            });
        });
        for (to_server, to, bytes) in probes {
            let (received, probed) = self.addresses.entry(to).or_default();
            *probed += bytes;
            assert!(!to_server && *probed <= 3 * *received, "{probed} bytes to {to}, {received} from there");
        }
        self.path.extend(sent);
        while self.path.len() > PATH_MAX {
            self.path.pop_front();
        }
    }
}

impl App {
    fn stream(&self, script: &mut Script<'_>) -> StreamId {
        let choice = usize::from(script.byte());
        let known = self.streams.iter().nth(choice % (self.streams.len() + 1));
        known.copied().unwrap_or(StreamId(choice as u32))
    }
}

impl End<'_> {
    fn drain(&mut self, now: Instant, mut send: impl FnMut(SocketAddr, &[u8])) {
        let mut out = [0; 6000];
        for count in 0.. {
            assert!(count < DRAIN_MAX, "poll_transmit does not end");
            if self.app.blocked {
                break;
            }
            let Some(transmit) = self.tunnel.poll_transmit(now, &mut out) else { break };
            let segment = transmit.segment.map_or(transmit.len, |segment| usize::from(segment.get()));
            out[..transmit.len].chunks(segment).for_each(|datagram| send(transmit.to, datagram));
        }
        while let Some(event) = self.tunnel.poll_event() {
            match event {
                Event::Opened(id) => assert!(self.app.streams.insert(id), "opened twice"),
                Event::Closed(_) => assert!(!std::mem::replace(&mut self.app.closed, true), "closed twice"),
                _ => {}
            }
        }
        self.check();
    }

    fn check(&self) {
        let arq = self.tunnel.arq();
        arq.assert_invariants();
        let (state, window) = (arq.state(), WINDOW as usize);
        // A frame is sent whole once the window has room for its first byte.
        let frame_segments = 8192 / arq.mss() + 3;
        assert!(state.snd_queue + state.snd_buf <= window + frame_segments, "{state:?}");
        assert!(state.snd_buf <= window && state.rcv_queue <= window && state.rcv_buf <= window, "{state:?}");
        assert!(self.tunnel.stream_count() <= STREAMS_MAX);
        assert_eq!(self.app.closed, self.tunnel.is_closed(), "no event told the end");
        let _ = (self.tunnel.stats(), self.tunnel.drained());
    }

    fn open(&mut self, now: Instant) {
        if let Ok(id) = self.tunnel.open_stream(now) {
            self.app.streams.insert(id);
        }
    }

    fn write(&mut self, now: Instant, script: &mut Script<'_>) {
        let id = self.app.stream(script);
        let data = script.piece().repeat(script.pick(&[1, 1, 100]));
        if let Ok(n) = self.tunnel.write(now, id, &data) {
            assert!(n <= data.len() && (n > 0 || data.is_empty()));
        }
    }

    fn read(&mut self, now: Instant, script: &mut Script<'_>) {
        let id = self.app.stream(script);
        let mut buf = vec![0; usize::from(script.byte()) * 32];
        if let Ok(n) = self.tunnel.read(now, id, &mut buf) {
            assert!(n <= buf.len());
        }
    }
}

pub(super) fn address(n: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(192, 0, 2, n), 4000))
}
