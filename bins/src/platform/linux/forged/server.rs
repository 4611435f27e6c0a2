//! All flows of a server's port.

use super::holder::Holder;
use super::{
    Arrived, BATCH, Ends, Headers, Hop, Link, PACKET_BYTES_MAX, Settings, SystemLink, loses_packet,
    payload_range, route, slots,
};
use crate::datagrams::{Carrier, Datagrams, RecvBatch};
use engine::forged::{Arrival, Flow, HEADERS_MAX, Listener, Segment};
use engine::{Entropy, Instant};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::task::{Context, Poll};
use std::time::Duration;

/// Pause between two looks at the addresses of this machine.
const ADDRESSES_PAUSE: Duration = Duration::from_secs(1);

/// The forged TCP of one port.
pub struct Server {
    _holder: Holder,
    local: SocketAddr,
    dscp: u8,
    flow_label: u32,
    /// One for each family.
    links: Vec<Box<dyn Link>>,
    state: RefCell<State>,
    start: std::time::Instant,
    send_errors: Cell<u64>,
}

/// How a peer is reached.
#[derive(Clone, Copy, Debug)]
struct Path {
    local: SocketAddr,
    hop: Hop,
    link: usize,
}

struct State {
    listener: Listener<Path>,
    own: Own,
    arrived: Vec<Arrived>,
    /// Of each datagram of the last batch.
    metas: Vec<(SocketAddr, Arrival, Path)>,
    headers: Headers,
    /// The link that is read next, so that none starves the other.
    turn: usize,
}

/// Addresses of this machine: captured packets to others are only forwarded.
struct Own {
    bound: Option<IpAddr>,
    addresses: Vec<IpAddr>,
    read_at: Option<std::time::Instant>,
}

impl Own {
    fn has(&mut self, address: IpAddr) -> bool {
        if let Some(bound) = self.bound {
            return bound == address;
        }
        let due = self.read_at.is_none_or(|at| at.elapsed() >= ADDRESSES_PAUSE);
        if !self.addresses.contains(&address) && due {
            self.addresses = route::local_addresses();
            self.read_at = Some(std::time::Instant::now());
        }
        self.addresses.contains(&address)
    }
}

impl Server {
    /// Serves the TCP port of `address`; an IPv6 wildcard serves both families.
    ///
    /// # Errors
    /// The port is in use, or CAP_NET_RAW is missing.
    pub fn bind(address: SocketAddr, settings: &Settings, mut entropy: Entropy) -> io::Result<Self> {
        let holder = Holder::bind(address)?;
        let both = address.is_ipv6() && address.ip().is_unspecified();
        let families = [(!address.is_ipv6() || both, false), (address.is_ipv6(), true)];
        let mut links: Vec<Box<dyn Link>> = Vec::new();
        for (_, ipv6) in families.into_iter().filter(|(used, _)| *used) {
            let link = SystemLink::open(ipv6, holder.port(), settings.interface, settings.buffer_bytes)?;
            links.push(Box::new(link));
        }
        let own = Own {
            bound: Some(address.ip()).filter(|ip| !ip.is_unspecified()),
            addresses: Vec::new(),
            read_at: None,
        };
        let state = State {
            listener: Listener::new(&mut entropy),
            own,
            arrived: Vec::new(),
            metas: Vec::new(),
            headers: Headers::default(),
            turn: 0,
        };
        Ok(Self {
            local: SocketAddr::new(address.ip(), holder.port()),
            _holder: holder,
            dscp: settings.dscp,
            flow_label: entropy.next_u32(),
            links,
            state: RefCell::new(state),
            start: std::time::Instant::now(),
            send_errors: Cell::new(0),
        })
    }

    fn now(&self) -> Instant {
        // Zero is the time of a listener's start.
        Instant::from_micros(1) + self.start.elapsed()
    }

    fn count_error(&self) {
        self.send_errors.set(self.send_errors.get() + 1);
    }

    fn ends(&self, local: SocketAddr, peer: SocketAddr) -> Ends {
        Ends { local, peer, dscp: self.dscp, flow_label: self.flow_label }
    }

    /// Takes a packet: a datagram's source and place in the batch, or the answer to a control segment.
    fn take(
        &self,
        state: &mut State,
        link: usize,
        slot: usize,
        packet: &[u8],
    ) -> Option<(SocketAddr, usize, usize)> {
        let mut segment = Segment::parse(packet).ok()?;
        if !state.own.has(segment.to.ip()) || segment.from.ip().is_multicast() {
            return None;
        }
        let hop = state.arrived[slot].hop;
        // A link-local address only means something with its interface.
        if let SocketAddr::V6(from) = &mut segment.from
            && from.ip().is_unicast_link_local()
        {
            from.set_scope_id(hop.interface.cast_unsigned());
        }
        let path = Path { local: segment.to, hop, link };
        if let Some(datagram) = segment.datagram() {
            state.metas.push((segment.from, Arrival::of(&segment), path));
            let (start, len) = payload_range(slot, packet, datagram);
            return Some((segment.from, start, len));
        }
        let answer = state.listener.handle_control(&segment)?;
        let mut out = [0; HEADERS_MAX];
        let len = self.ends(segment.to, segment.from).control(&answer, &mut out).ok()?;
        if self.links[link].send(&hop, &[(&out[..len], &[])]).is_err() {
            self.count_error();
        }
        None
    }

    /// Receives from the next link that has something.
    fn receive(&self, state: &mut State, batch: &mut RecvBatch) -> io::Result<usize> {
        let mut result = Err(io::ErrorKind::WouldBlock.into());
        for _ in 0..self.links.len() {
            let link = state.turn;
            state.turn = (link + 1) % self.links.len();
            result = self.links[link].receive(slots(batch), &mut state.arrived).map(|()| link);
            if result.is_ok() {
                break;
            }
        }
        result
    }
}

impl Datagrams for Server {
    fn local_addr(&self) -> SocketAddr {
        self.local
    }

    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Every link has to register the task.
        let ready: Vec<_> = self.links.iter().map(|link| link.poll_recv_ready(cx)).collect();
        ready.into_iter().find(Poll::is_ready).unwrap_or(Poll::Pending)
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ready: Vec<_> = self.links.iter().map(|link| link.poll_send_ready(cx)).collect();
        ready.into_iter().find(Poll::is_ready).unwrap_or(Poll::Pending)
    }

    fn try_recv(&self, batch: &mut RecvBatch) -> io::Result<()> {
        let state = &mut *self.state.borrow_mut();
        state.metas.clear();
        batch.clear();
        let link = self.receive(state, batch)?;
        for slot in 0..state.arrived.len() {
            let len = state.arrived[slot].len;
            let taken = {
                let packet = &slots(batch)[slot * PACKET_BYTES_MAX..][..len];
                self.take(state, link, slot, packet)
            };
            if let Some((from, start, len)) = taken {
                batch.push(from, start, len);
            }
        }
        // With several links, the others may have something, too.
        batch.set_full(state.arrived.len() == BATCH || self.links.len() > 1);
        Ok(())
    }

    fn try_send(&self, to: SocketAddr, bytes: &[u8], segment: Option<NonZeroU16>) -> io::Result<usize> {
        let size = segment.map_or(bytes.len(), |segment| usize::from(segment.get())).max(1);
        let now = self.now();
        let State { listener, headers, .. } = &mut *self.state.borrow_mut();
        let Some((flow, path)) = listener.flow_mut(to) else {
            self.count_error();
            return Ok(bytes.len());
        };
        let before: Flow = *flow;
        let ends = self.ends(path.local, to);
        let sent =
            headers.send(&*self.links[path.link], &path.hop, ends, (bytes, size), |len| flow.next(now, len));
        // What was not taken was not sent.
        let taken = sent.as_ref().map_or(0, |taken| *taken);
        if taken < bytes.len() {
            *flow = before;
            for datagram in bytes[..taken].chunks(size) {
                flow.next(now, datagram.len());
            }
        }
        match sent {
            Err(error) if loses_packet(&error) => {
                self.count_error();
                Ok(size.min(bytes.len()))
            }
            sent => sent,
        }
    }

    fn counts_opened(&self) -> bool {
        true
    }

    fn opened(&self, index: usize, advanced: bool) {
        let state = &mut *self.state.borrow_mut();
        if let Some((from, arrival, path)) = state.metas.get(index) {
            state.listener.handle_opened(self.now(), path.local, *from, arrival, (*path, advanced));
        }
    }

    fn carrier(&self, peer: SocketAddr) -> Carrier {
        let flow = self.state.borrow_mut().listener.flow_mut(peer).map(|(flow, _)| flow.variant());
        flow.unwrap_or_default().into()
    }

    fn send_errors(&self) -> u64 {
        self.send_errors.get()
    }
}
