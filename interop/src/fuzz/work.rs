//! A hostile peer that fills every structure whose length it controls, and the steps that each of its datagrams costs.
//!
//! Operations have counts of up to some thousand, so that a short script reaches large structures.

use super::Script;
use super::steps::{Limit, Meter};
use engine::crypt::Cipher;
use engine::fec::Kind;
use engine::{
    Entropy, Event, Instant, Received, Server, ServerLimits, SessionId, Settings, StreamId, Tunnel,
    TunnelConfig,
};
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

const CONV: u32 = 7;
/// Frames and calls of one script at most.
const WORK_MAX: u32 = 100_000;
/// Payload bytes of a datagram.
const PAYLOAD_BYTES: usize = 1300;

/// A datagram of acknowledgements has 62 segments, each of which is counted against a window of 1,024. The costliest script found
/// takes 28 % of it.
const LIMIT: Limit = Limit { reserve: 1_000_000, per_call: 5_000, per_byte: 100 };

/// Stream id by which a peer announces its extensions (SMUX-26).
const ANNOUNCEMENT: u32 = 0x6b61_7273;

const PUSH: u8 = 81;
const ACK: u8 = 82;
const WASK: u8 = 83;

/// Deriving keys is slow, so this is done once.
static BASE: LazyLock<TunnelConfig> = LazyLock::new(|| {
    let settings = Settings { crypt: Cipher::Null, nocomp: true, ..Settings::server() };
    settings.tunnel_config().expect("settings of the target")
});

/// The first byte picks the configuration; then operations of a peer that has the key, and of the application.
pub fn work(data: &[u8]) {
    run(data, |_| {});
}

/// [`work`] on an engine with a loop of quadratic cost, which must exceed the limit.
#[cfg(feature = "planted")]
pub fn work_planted(data: &[u8]) {
    run(data, |config| config.mux.planted = Some(engine::planted::Planted::QuadraticTurns));
}

fn run(data: &[u8], plant: fn(&mut TunnelConfig)) {
    let mut script = Script::new(data);
    let Some(mut world) = World::new(script.byte(), plant) else { return };
    while !script.is_over() && !world.tunnel().is_closed() && world.work < WORK_MAX {
        world.step(&mut script);
    }
}

struct World {
    now: Instant,
    server: Server,
    session: SessionId,
    meter: Meter,
    work: u32,
    /// The window that the peer announces.
    window: u16,
    /// What it acknowledges: nothing more, or everything sent.
    acknowledges: bool,
    /// Version of the frames.
    version: u8,
    una: u32,
    out: Vec<u8>,
}

impl World {
    fn new(choice: u8, plant: fn(&mut TunnelConfig)) -> Option<Self> {
        let bit = |n: u8| choice >> n & 1 == 1;
        let mut config = BASE.clone();
        (config.governed, config.auto) = (bit(0), bit(0));
        config.fec = config.fec.filter(|_| bit(1));
        config.mux.version = if bit(2) { 1 } else { 2 };
        config.mux.announce = true;
        config.mux.half_close = true;
        config.mux.receive_bytes_max = if bit(3) { 4096 } else { config.mux.receive_bytes_max };
        plant(&mut config);
        let version = config.mux.version;
        let limits = ServerLimits { sessions_max: 4 };
        let mut server = Server::new(Arc::new(config), limits, Entropy::from_seed([2; 32]));
        let now = Instant::from_millis(1000);
        // A NOP: of a peer with extensions, or of any.
        let payload = frame(version, 3, 0, if bit(4) { 0 } else { ANNOUNCEMENT });
        let mut first = Vec::new();
        put_segment(&mut first, PUSH, 0, [now.ms(), 0, 0], &payload);
        let Received::Accepted { id, .. } = server.handle_datagram(now, peer(), &mut first) else {
            return None;
        };
        let world = Self {
            now,
            server,
            session: id,
            meter: Meter::new(LIMIT),
            work: 0,
            window: 1024,
            acknowledges: true,
            version,
            una: 0,
            out: vec![0; 65_507],
        };
        Some(world)
    }

    fn tunnel(&mut self) -> &mut Tunnel {
        self.server.tunnel_mut(self.session).expect("the one session, which is never removed")
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.byte() % 12 {
            0..=2 => self.frames(script),
            3 => {
                self.window = script.pick(&[0, 1, 1024, u16::MAX]);
                self.acknowledges = script.flag();
            }
            4 => self.acknowledgements(script),
            5 => {
                let ahead = u32::from(script.short() % 2048);
                let sn = self.tunnel().arq().state().rcv_nxt.wrapping_add(ahead);
                self.datagram(PUSH, &[(sn, script.piece())]);
            }
            6 => (0..script.byte() % 16).for_each(|_| self.next_deadline()),
            7 | 8 => self.drain(),
            9 => self.shards(script),
            10 => self.write(script),
            _ => self.read(script),
        }
    }

    /// Frames of one kind for consecutive streams.
    fn frames(&mut self, script: &mut Script<'_>) {
        let (command, first) = (script.byte() % 5, u32::from(script.short()));
        let len = script.pick(&[0, 1, 16, u16::MAX]);
        let len = if command == 2 { len.min(16) } else { len };
        let count = self.count(script);
        let version = self.version;
        let frames: Vec<u8> =
            (first..first + count).flat_map(|n| frame(version, command, len, 3 + 2 * n)).collect();
        for payload in frames.chunks(PAYLOAD_BYTES) {
            let sn = self.tunnel().arq().state().rcv_nxt;
            self.datagram(PUSH, &[(sn, payload)]);
        }
    }

    /// Acknowledgements of segments in flight, as many as fit a datagram, without the oldest ones.
    fn acknowledgements(&mut self, script: &mut Script<'_>) {
        let state = self.tunnel().arq().state();
        let (skip, step) = (u32::from(script.byte()), 1 + u32::from(script.byte() % 4));
        for turn in 0..self.count(script).min(256) {
            let first = state.snd_una.wrapping_add(skip + 56 * step * turn);
            let sns = (0..56).map(|n| first.wrapping_add(n * step));
            let acks: Vec<(u32, &[u8])> = sns.map(|sn| (sn, &[][..])).collect();
            self.datagram(ACK, &acks);
        }
    }

    /// Shards of any group, with content that no group agrees with.
    fn shards(&mut self, script: &mut Script<'_>) {
        let (first, step) = (script.word(), u32::from(script.byte()));
        let kind = script.pick(&[Kind::Data, Kind::Parity]);
        let payload = [script.byte(); 600];
        for n in 0..self.count(script).min(1024) {
            let mut datagram = first.wrapping_add(n * step).to_le_bytes().to_vec();
            datagram.extend_from_slice(&kind.code().to_le_bytes());
            datagram.extend_from_slice(&602_u16.to_le_bytes());
            put_segment(&mut datagram, WASK, self.window, [self.now.ms(), 0, self.una], &[]);
            datagram.extend_from_slice(&payload);
            self.arrive(datagram);
        }
    }

    fn write(&mut self, script: &mut Script<'_>) {
        let (first, len) = (u32::from(script.short()), script.pick(&[1, 100, 5000]));
        let (now, data) = (self.now, vec![7; len]);
        for n in 0..self.count(script) {
            let id = StreamId(3 + 2 * (first + n));
            let Self { meter, server, session, .. } = self;
            let tunnel = server.tunnel_mut(*session).expect("the one session");
            let _ = meter.call(len, || tunnel.write(now, id, &data));
        }
        self.events();
    }

    /// Reads, ends or closes streams.
    fn read(&mut self, script: &mut Script<'_>) {
        let (first, kind) = (u32::from(script.short()), script.byte() % 3);
        let now = self.now;
        for n in 0..self.count(script) {
            let id = StreamId(3 + 2 * (first + n));
            let Self { meter, server, session, .. } = self;
            let tunnel = server.tunnel_mut(*session).expect("the one session");
            let _ = meter.call(0, || match kind {
                0 => tunnel.read(now, id, &mut [0; 64]).is_ok(),
                1 => tunnel.finish(now, id).is_ok(),
                _ => {
                    tunnel.close_stream(now, id);
                    true
                }
            });
        }
        self.events();
    }

    fn count(&mut self, script: &mut Script<'_>) -> u32 {
        let count = 1 << (script.byte() % 14);
        self.work += count;
        count
    }

    /// Segments of one kind, in a data shard where there is FEC.
    fn datagram(&mut self, command: u8, segments: &[(u32, &[u8])]) {
        let state = self.tunnel().arq().state();
        if self.acknowledges {
            self.una = state.snd_nxt;
        }
        let mut datagram = Vec::new();
        for &(sn, payload) in segments {
            put_segment(&mut datagram, command, self.window, [self.now.ms(), sn, self.una], payload);
        }
        self.arrive(datagram);
    }

    fn arrive(&mut self, mut datagram: Vec<u8>) {
        self.work += 1;
        let Self { meter, server, now, .. } = self;
        let _ = meter.call(datagram.len(), || server.handle_datagram(*now, peer(), &mut datagram));
        self.events();
    }

    fn events(&mut self) {
        let Self { meter, server, session, .. } = self;
        let tunnel = server.tunnel_mut(*session).expect("the one session");
        meter
            .call(0, || while tunnel.poll_event().is_some_and(|event| !matches!(event, Event::Closed(_))) {});
        let _ = (tunnel.poll_timeout(), tunnel.queued_bytes());
    }

    fn drain(&mut self) {
        let Self { meter, server, session, now, out, .. } = self;
        let tunnel = server.tunnel_mut(*session).expect("the one session");
        while let Some(transmit) = meter.call(0, || tunnel.poll_transmit(*now, out)) {
            // What a call writes is known after it.
            meter.call(transmit.len, || ());
        }
    }

    fn next_deadline(&mut self) {
        let Some(next) = self.tunnel().poll_timeout() else { return };
        self.now = next.at;
        let Self { meter, server, session, now, .. } = self;
        let tunnel = server.tunnel_mut(*session).expect("the one session");
        meter.call(0, || tunnel.handle_timeout(*now));
        self.drain();
        self.events();
    }
}

fn peer() -> SocketAddr {
    super::tunnel::address(1)
}

fn put_segment(out: &mut Vec<u8>, command: u8, window: u16, [ts, sn, una]: [u32; 3], payload: &[u8]) {
    out.extend_from_slice(&CONV.to_le_bytes());
    out.extend_from_slice(&[command, 0]);
    out.extend_from_slice(&window.to_le_bytes());
    for word in [ts, sn, una, payload.len() as u32] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(payload);
}

/// A frame, with the payload that its command takes.
fn frame(version: u8, command: u8, len: u16, id: u32) -> Vec<u8> {
    let mut frame = vec![version, command];
    frame.extend_from_slice(&len.to_le_bytes());
    frame.extend_from_slice(&id.to_le_bytes());
    let payload = match command {
        2 => usize::from(len),
        4 => 8,
        _ => 0,
    };
    frame.resize(8 + payload, 0);
    frame
}
