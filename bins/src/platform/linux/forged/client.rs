//! A client's flow, with a port of its own.

use super::holder::Holder;
use super::route::{self, RawSocket};
use super::{
    Arrived, Ends, Headers, Hop, Link, PACKET_BYTES_MAX, Settings, SystemLink, loses_packet, payload_range,
    slots,
};
use crate::datagrams::{Carrier, Datagrams, RecvBatch};
use engine::forged::{Arrival, Connection, Control, HEADERS_MAX, Segment, Variant};
use engine::{Entropy, Instant};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::Sleep;

/// Bytes that wait for the handshake; what is written beyond them is lost, as if on the way.
const PENDING_BYTES_MAX: usize = 65_536;

/// One flow of forged TCP to a server.
pub struct Client {
    _holder: Holder,
    /// Both ends; the local address is that of the route to the server.
    ends: Cell<Ends>,
    settings: Settings,
    link: Box<dyn Link>,
    raw: RawSocket,
    state: RefCell<State>,
    start: std::time::Instant,
    sleep: RefCell<Pin<Box<Sleep>>>,
    send_errors: Cell<u64>,
}

struct State {
    connection: Connection,
    /// How the server is reached, from the segments it sent.
    hop: Hop,
    pending: VecDeque<Vec<u8>>,
    pending_bytes: usize,
    arrived: Vec<Arrived>,
    /// Of each datagram of the last batch.
    metas: Vec<(Arrival, Hop)>,
    headers: Headers,
}

impl Client {
    /// Opens a flow to `server`; the handshake runs in the background, and what is written meanwhile waits for it.
    ///
    /// # Errors
    /// No route, or CAP_NET_RAW is missing.
    pub fn connect(
        server: SocketAddr,
        variant: Variant,
        settings: &Settings,
        mut entropy: Entropy,
    ) -> io::Result<Self> {
        let any = match server {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let holder = Holder::bind(SocketAddr::new(any, 0))?;
        let source = route::source(server, settings.interface).map_err(no_route)?;
        let raw = RawSocket::open(server, settings.interface)?;
        let link =
            SystemLink::open(server.is_ipv6(), holder.port(), settings.interface, settings.buffer_bytes)?;
        let flow_label = entropy.next_u32();
        let local = SocketAddr::new(source, holder.port());
        let state = State {
            connection: Connection::new(Instant::ZERO, server, variant, &mut entropy),
            hop: Hop::default(),
            pending: VecDeque::new(),
            pending_bytes: 0,
            arrived: Vec::new(),
            metas: Vec::new(),
            headers: Headers::default(),
        };
        Ok(Self {
            _holder: holder,
            ends: Cell::new(Ends { local, peer: server, dscp: settings.dscp, flow_label }),
            settings: settings.clone(),
            link: Box::new(link),
            raw,
            state: RefCell::new(state),
            start: std::time::Instant::now(),
            sleep: RefCell::new(Box::pin(tokio::time::sleep(std::time::Duration::ZERO))),
            send_errors: Cell::new(0),
        })
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }

    fn count_error(&self) {
        self.send_errors.set(self.send_errors.get() + 1);
    }

    /// Sends a SYN where the system routes it, from the address that the route has now.
    fn send_syn(&self, syn: &Control) {
        let mut ends = self.ends.get();
        if let Ok(source) = route::source(ends.peer, self.settings.interface) {
            ends.local.set_ip(source);
            self.ends.set(ends);
        }
        let mut out = [0; HEADERS_MAX];
        let sent =
            ends.control(syn, &mut out).map_err(io::Error::other).and_then(|len| self.raw.send(&out[..len]));
        if sent.is_err() {
            self.count_error();
        }
    }

    fn send_control(&self, hop: &Hop, control: &Control) {
        let mut out = [0; HEADERS_MAX];
        let Ok(len) = self.ends.get().control(control, &mut out) else { return };
        if self.link.send(hop, &[(&out[..len], &[])]).is_err() {
            self.count_error();
        }
    }

    /// Sends the SYN that is due, and waits for the time of the next one.
    fn poll_handshake(&self, cx: &mut Context<'_>) {
        let mut sleep = self.sleep.borrow_mut();
        loop {
            let (syn, next) = {
                let connection = &mut self.state.borrow_mut().connection;
                (connection.poll(self.now()), connection.poll_timeout())
            };
            syn.inspect(|syn| self.send_syn(syn));
            let Some(next) = next else { return };
            let at = self.start + std::time::Duration::from_micros(next.as_micros());
            sleep.as_mut().reset(at.into());
            if sleep.as_mut().poll(cx).is_pending() {
                return;
            }
        }
    }

    /// Takes a packet: a datagram's place in the batch, or the answer to a control segment.
    fn take(&self, state: &mut State, slot: usize, packet: &[u8]) -> Option<(usize, usize)> {
        let segment = Segment::parse(packet).ok()?;
        let ends = self.ends.get();
        // The scope of a link-local address is not in the packet.
        if segment.from.ip() != ends.peer.ip()
            || segment.from.port() != ends.peer.port()
            || segment.to.ip() != ends.local.ip()
        {
            return None;
        }
        let segment = Segment { from: ends.peer, ..segment };
        let hop = state.arrived[slot].hop;
        if let Some(datagram) = segment.datagram() {
            state.metas.push((Arrival::of(&segment), hop));
            return Some(payload_range(slot, packet, datagram));
        }
        let answer = state.connection.handle_control(self.now(), &segment)?;
        state.hop = hop;
        self.send_control(&hop, &answer);
        None
    }

    fn send_pending(&self, state: &mut State) {
        if !state.connection.is_open() {
            return;
        }
        while let Some(datagram) = state.pending.pop_front() {
            // A link without room loses them, as any path may.
            if self.send_run(state, &datagram, datagram.len()).is_err() {
                self.count_error();
            }
        }
        state.pending_bytes = 0;
    }

    fn send_run(&self, state: &mut State, bytes: &[u8], size: usize) -> io::Result<usize> {
        let now = self.now();
        let State { connection, hop, headers, .. } = state;
        let before = connection.clone();
        let next = |connection: &mut Connection, len| {
            connection.next(now, len).unwrap_or(engine::forged::Numbers { seq: 0, ack: 0, id: 0 })
        };
        let sent =
            headers.send(&*self.link, hop, self.ends.get(), (bytes, size), |len| next(connection, len));
        // What was not taken was not sent.
        let taken = sent.as_ref().map_or(0, |taken| *taken);
        if taken < bytes.len() {
            *connection = before;
            for datagram in bytes[..taken].chunks(size.max(1)) {
                next(connection, datagram.len());
            }
        }
        sent
    }
}

impl Datagrams for Client {
    fn local_addr(&self) -> SocketAddr {
        self.ends.get().local
    }

    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_handshake(cx);
        self.link.poll_recv_ready(cx)
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.poll_send_ready(cx)
    }

    fn try_recv(&self, batch: &mut RecvBatch) -> io::Result<()> {
        let state = &mut *self.state.borrow_mut();
        state.metas.clear();
        batch.clear();
        self.link.receive(slots(batch), &mut state.arrived)?;
        for slot in 0..state.arrived.len() {
            let len = state.arrived[slot].len;
            let range = {
                let packet = &slots(batch)[slot * PACKET_BYTES_MAX..][..len];
                self.take(state, slot, packet)
            };
            if let Some((start, len)) = range {
                batch.push(self.ends.get().peer, start, len);
            }
        }
        self.send_pending(state);
        batch.set_full(state.arrived.len() == super::BATCH);
        Ok(())
    }

    fn try_send(&self, _to: SocketAddr, bytes: &[u8], segment: Option<NonZeroU16>) -> io::Result<usize> {
        let size = segment.map_or(bytes.len(), |segment| usize::from(segment.get()));
        let state = &mut *self.state.borrow_mut();
        if !state.connection.is_open() {
            for datagram in bytes.chunks(size.max(1)) {
                if state.pending_bytes + datagram.len() > PENDING_BYTES_MAX {
                    self.count_error();
                    continue;
                }
                state.pending_bytes += datagram.len();
                state.pending.push_back(datagram.to_vec());
            }
            return Ok(bytes.len());
        }
        match self.send_run(state, bytes, size) {
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
        if let Some((arrival, hop)) = state.metas.get(index)
            && state.connection.handle_opened(self.now(), arrival, advanced)
        {
            state.hop = *hop;
        }
    }

    fn take_refused(&self) -> bool {
        self.state.borrow_mut().connection.take_refused()
    }

    fn carrier(&self, _peer: SocketAddr) -> Carrier {
        self.state.borrow().connection.variant().into()
    }

    fn advice(&self) -> &'static str {
        let state = self.state.borrow();
        match (state.connection.is_open(), state.connection.was_refused()) {
            (true, _) => "that the server uses --tcp, as its port answers by TCP",
            (_, true) => "that the server uses --tcp, as its system refuses the connection",
            _ => "that TCP to that port gets through and the server uses --tcp",
        }
    }

    fn send_errors(&self) -> u64 {
        self.send_errors.get()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let (fin, hop) = {
            let mut state = self.state.borrow_mut();
            (state.connection.close(), state.hop)
        };
        fin.inspect(|fin| self.send_control(&hop, fin));
    }
}

fn no_route(error: io::Error) -> io::Error {
    let text = format!(
        "no route ({error}); choose an interface with --interface: {}",
        route::listed(&route::candidates())
    );
    io::Error::new(error.kind(), text)
}
