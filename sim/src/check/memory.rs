//! Memory bounds of tunnels and of the network, computed from the settings.

use super::window::{WindowLimits, broken_window};
use crate::plan::{FaultKind, FaultPlan, HEADERS_BYTES, LinkPlan, Scenario};
use crate::{Direction, Side};
use engine::arq::{ACKS_MAX, OVERHEAD, State};
use engine::{Generation, Tunnel, TunnelConfig};

/// Interval of the byte counts, events; lengths and windows are checked after every event.
pub const BYTES_EVERY_EVENTS: u64 = 256;

/// Maximum bytes of a frame header or of a UPD frame.
const MUX_HEADERS_BYTES: usize = 16;

/// Excess over the receive buffer: one frame may overdraw it, and another may be incomplete (SMUX-14, SMUX-25).
const OVERDRAFT_BYTES: usize = 2 * 65_535;

/// Decompressed bytes of one chunk (SNAP-2).
const SNAPPY_BLOCK_BYTES: usize = 65_536;

/// Maximum expansion of a snappy byte, rounded up: three bytes encode a copy of 64.
const SNAPPY_EXPANSION: usize = 22;

/// Bytes that snappy adds to an incompressible frame: the stream's identifier and two chunk headers with checksums.
const SNAPPY_OVERHEAD_BYTES: usize = 26;

/// Memory limits of a scenario's tunnels and links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Limits of each tunnel of the client.
    pub client: TunnelLimits,
    /// Limits of each tunnel of the server.
    pub server: TunnelLimits,
    /// Packets in links and sockets; `None` if a link has no rate, so only windows limit it, or if an adversary adds packets.
    pub packets_max: Option<u64>,
}

/// Limits of one tunnel. Lengths are in segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelLimits {
    /// The windows.
    pub windows: WindowLimits,
    /// Segments queued or in flight: frames are made below the send window, so the last frame may exceed it.
    pub waiting_max: usize,
    /// Segments received in order and not yet read: the receive window.
    pub rcv_queue_max: usize,
    /// Segments received out of order: the receive window.
    pub rcv_buf_max: usize,
    /// Pending acknowledgements: less than a datagram on a 2026 side that is not delayed, otherwise the engine's own limit.
    pub acks_max: usize,
    /// Bytes in all queues except the send buffers of streams.
    pub bytes_max: usize,
    /// Bytes in the send buffer of each stream.
    pub stream_bytes_max: usize,
}

impl Limits {
    /// The limits of `scenario`.
    pub fn new(scenario: &Scenario) -> Self {
        let limits = |side| {
            let (own, peer, host) = match side {
                Side::Client => (&scenario.client, &scenario.server, &scenario.hosts.client),
                Side::Server => (&scenario.server, &scenario.client, &scenario.hosts.server),
            };
            TunnelLimits::new(&own.config, &peer.config, host.never_waits())
        };
        let (client, server) = (limits(Side::Client), limits(Side::Server));
        Self { client, server, packets_max: packets_max(scenario) }
    }

    /// The limits of a tunnel on that side.
    pub const fn of(&self, side: Side) -> &TunnelLimits {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }
}

impl TunnelLimits {
    /// The limits of a tunnel with the settings `own` to a peer with the settings `peer`; `prompt` if its host sends without
    /// delay.
    pub fn new(own: &TunnelConfig, peer: &TunnelConfig, prompt: bool) -> Self {
        let (snd_wnd, rcv_wnd) = (own.snd_wnd as usize, own.rcv_wnd as usize);
        let waiting_max = snd_wnd + frame_bytes_max(own).div_ceil(own.mss()) - 1;
        let prompt = prompt && own.rate_bytes_s == 0 && own.generation == Generation::Go2026;
        let decoded =
            if own.compress { SNAPPY_BLOCK_BYTES + SNAPPY_EXPANSION * peer.mss() } else { peer.mss() };
        Self {
            windows: WindowLimits::new(own, peer),
            waiting_max,
            rcv_queue_max: rcv_wnd,
            rcv_buf_max: rcv_wnd,
            acks_max: if prompt { own.segment_bytes_max() / OVERHEAD } else { ACKS_MAX },
            bytes_max: waiting_max * own.mss()
                + 2 * rcv_wnd * peer.mss()
                + decoded
                + own.mux.receive_bytes_max
                + OVERDRAFT_BYTES,
            stream_bytes_max: own.mux.send_bytes_max,
        }
    }

    /// Describes the first broken limit on lengths and windows. Before the peer is `validated`, acknowledgements may have to
    /// wait (KCP-34).
    pub fn broken_by(&self, state: &State, validated: bool) -> Option<String> {
        let acks_max = if validated { self.acks_max } else { ACKS_MAX };
        let lengths = [
            (
                "segments waiting to be sent or acknowledged",
                state.snd_queue + state.snd_buf,
                self.waiting_max,
            ),
            ("segments in the receive queue", state.rcv_queue, self.rcv_queue_max),
            ("segments out of order", state.rcv_buf, self.rcv_buf_max),
            ("acknowledgements", state.acks, acks_max),
        ];
        let broken = lengths.into_iter().find(|&(_, held, max)| held > max);
        broken.map(|(name, held, max)| format!("{held} {name}, more than {max}"))
    }

    /// Describes the broken limit on bytes, if `tunnel` holds too many.
    pub fn broken_by_bytes(&self, tunnel: &Tunnel) -> Option<String> {
        let (held, max) =
            (tunnel.queued_bytes(), self.bytes_max + tunnel.stream_count() * self.stream_bytes_max);
        (held > max).then(|| format!("{held} bytes queued, more than {max}"))
    }

    /// Describes the first broken limit on windows.
    pub fn window_broken_by(&self, state: &State) -> Option<String> {
        broken_window(&self.windows, state)
    }
}

/// Maximum bytes of the ARQ's stream per frame.
fn frame_bytes_max(config: &TunnelConfig) -> usize {
    let snappy = if config.compress { SNAPPY_OVERHEAD_BYTES } else { 0 };
    config.mux.frame_bytes_max + MUX_HEADERS_BYTES + snappy
}

/// Limit of packets in both links and both sockets.
fn packets_max(scenario: &Scenario) -> Option<u64> {
    if scenario.adversary.ends_us() > 0 {
        return None;
    }
    let link = |direction, plan| link_packets_max(plan, copies_max(plan, &scenario.faults, direction));
    let hosts = [&scenario.hosts.client, &scenario.hosts.server];
    let sockets = hosts.map(|host| host.receive_buffer_bytes.values().max().unwrap_or(0) / OVERHEAD as u64);
    let links = link(Direction::Up, &scenario.up)? + link(Direction::Down, &scenario.down)?;
    Some(links + sockets.iter().sum::<u64>())
}

/// The queue, the packet in transmission, and `copies` of the packets sent at the highest rate during the longest delay. The
/// minimum packet is one segment without payload.
fn link_packets_max(plan: &LinkPlan, copies: u64) -> Option<u64> {
    let packet_bytes_min = OVERHEAD as u64 + u64::from(HEADERS_BYTES);
    let queue = plan.queue.as_ref()?;
    let waiting =
        queue.values().map(|queue| queue.packets_max.min(queue.bytes_max / packet_bytes_min)).max()?;
    let bits_per_s = queue.values().map(|queue| queue.bits_per_s).max()?;
    let bits = u128::from(plan.delay_us_max()) * u128::from(bits_per_s) / 1_000_000;
    let leaving = u64::try_from(bits / u128::from(8 * packet_bytes_min)).ok()? + 2;
    Some(waiting + 1 + leaving * copies)
}

/// Maximum number of copies of one packet, itself included.
fn copies_max(plan: &LinkPlan, faults: &[FaultPlan], direction: Direction) -> u64 {
    let storms = |fault: &FaultPlan| match fault.kind {
        FaultKind::DuplicateStorm { ways, .. } => ways.has(direction),
        _ => false,
    };
    let planned = plan.duplicate_ppm.values().any(|ppm| ppm > 0);
    1 + u64::from(planned) + u64::from(faults.iter().any(storms))
}
