//! The flows of a server's port.

use super::control::{Control, syn_options};
use super::flow::{Arrival, Flow, Numbers};
use super::packet::{Checksum, Flags, Options, Segment};
use crate::entropy::Entropy;
use crate::time::Instant;
use core::hash::Hasher;
use core::time::Duration;
use siphasher::sip::SipHasher13;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// Flows of one port; beyond them the one that was silent longest is forgotten.
pub const FLOWS_MAX: usize = 8192;

/// Silence after which a flow may be forgotten, as in tcpraw (tcpraw.md section 4).
pub const IDLE_MAX: Duration = Duration::from_secs(60);

/// Low bits of the sequence number of a SYN|ACK: the client's window scale, or [`UNSCALED`].
const SCALE_MASK: u32 = 15;
const UNSCALED: u32 = 15;

/// What a server knows of its peers. `P` is how the driver reaches one: the addresses of both sides and the link.
#[derive(Debug)]
pub struct Listener<P> {
    keys: (u64, u64),
    flows: BTreeMap<SocketAddr, (Flow, P)>,
    swept_at: Instant,
}

impl<P: Copy> Listener<P> {
    /// A port without flows.
    pub fn new(entropy: &mut Entropy) -> Self {
        let keys = (entropy.next_u64(), entropy.next_u64());
        Self { keys, flows: BTreeMap::new(), swept_at: Instant::ZERO }
    }

    /// The answer to a segment that carries no datagram: every SYN gets the same SYN|ACK, of which nothing is kept (FTCP-3);
    /// in a known flow, one that goes on where this side is (FTCP-9). All else, RST and FIN included, has none and changes
    /// nothing (FTCP-8).
    pub fn handle_control(&mut self, segment: &Segment<'_>) -> Option<Control> {
        let control = Flags::SYN.and(Flags::ACK).and(Flags::RST).and(Flags::FIN);
        let is_syn = segment.flags.0 & control.0 == Flags::SYN.0 && segment.from.port() != 0;
        if !is_syn || segment.checksum == Checksum::Wrong {
            return None;
        }
        let scale = Options::parse(segment.options).window_scale;
        let ack = segment.seq.wrapping_add(1);
        let numbers = match self.flows.get_mut(&segment.from) {
            Some((flow, _)) => flow.offer(ack, scale),
            None => {
                let seq = self.hash(segment.to, segment.from) | scale.map_or(UNSCALED, u32::from);
                Numbers { seq, ack, id: 0 }
            }
        };
        let answer = Control::bare(numbers, Flags::SYN.and(Flags::ACK));
        // kcptun(tcp) neither sends nor expects options.
        let silent = segment.options.is_empty();
        Some(if silent { answer } else { answer.with(syn_options(segment.to.is_ipv6(), scale.is_some())) })
    }

    /// Keyed hash of a pair of addresses, its scale bits zero (RFC 6528, without the clock).
    fn hash(&self, local: SocketAddr, peer: SocketAddr) -> u32 {
        let mut hasher = SipHasher13::new_with_keys(self.keys.0, self.keys.1);
        for address in [local, peer] {
            match address.ip() {
                IpAddr::V4(ip) => hasher.write(&ip.octets()),
                IpAddr::V6(ip) => hasher.write(&ip.octets()),
            }
            hasher.write_u16(address.port());
        }
        hasher.finish() as u32 & !SCALE_MASK
    }

    /// Takes the numbers of a segment whose datagram was opened, and how its sender is reached. A peer without a flow gets one,
    /// also in the middle of a connection: this side may have restarted, or a NAT given the peer another port. `advanced` as in
    /// [`Flow::handle`].
    pub fn handle_opened(
        &mut self,
        now: Instant,
        local: SocketAddr,
        peer: SocketAddr,
        arrival: &Arrival,
        (path, advanced): (P, bool),
    ) {
        if let Some((flow, known)) = self.flows.get_mut(&peer) {
            if flow.handle(now, arrival, advanced) {
                *known = path;
            }
            return;
        }
        self.make_room(now);
        let scale = self.scale_of(local, peer, arrival.ack);
        self.flows.insert(peer, (Flow::from_arrival(now, arrival, scale, advanced), path));
    }

    /// The client's window scale if `ack` acknowledges a SYN|ACK of this listener; unknown ones count as none, which
    /// only keeps this side in a smaller window.
    fn scale_of(&self, local: SocketAddr, peer: SocketAddr, ack: u32) -> Option<u8> {
        let isn = ack.wrapping_sub(1);
        let genuine = isn & !SCALE_MASK == self.hash(local, peer);
        Some(isn & SCALE_MASK).filter(|scale| genuine && *scale != UNSCALED).map(|scale| scale as u8)
    }

    /// Forgets idle flows, at most once in [`IDLE_MAX`], and the most silent one when all are in use.
    fn make_room(&mut self, now: Instant) {
        let idle = |flow: &Flow| now.since(flow.heard_at()) > IDLE_MAX;
        if now.since(self.swept_at) > IDLE_MAX {
            self.swept_at = now;
            self.flows.retain(|_, (flow, _)| !idle(flow));
        }
        if self.flows.len() >= FLOWS_MAX
            && let Some(peer) =
                self.flows.iter().min_by_key(|(_, (flow, _))| flow.heard_at()).map(|(peer, _)| *peer)
        {
            self.flows.remove(&peer);
        }
    }

    /// The flow to a peer and how it is reached; `None` when nothing of it was opened yet.
    pub fn flow_mut(&mut self, peer: SocketAddr) -> Option<(&mut Flow, P)> {
        self.flows.get_mut(&peer).map(|(flow, path)| (flow, *path))
    }

    /// Flows that are known.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether there is no flow.
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }
}
