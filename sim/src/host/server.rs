use super::tunnel_port::Host;
use super::{Alarm, CLIENT_ADDRESS, Node, Stream, TunnelPort, Wire};
use crate::Side;
use crate::checks::Rule;
use crate::scenario::SidePlan;
use engine::{
    CloseReason, Deadline, DropReason, Endpoint, EndpointLimits, Entropy, Handled, Incoming, Instant, Route,
    SessionId, Stats, StreamId, Tunnel,
};
use std::collections::BTreeMap;
use std::sync::Arc;

const SESSIONS_MAX: usize = 64;

/// The server: an endpoint and the tunnels it accepted.
#[derive(Debug)]
pub struct Server {
    endpoint: Endpoint,
    sessions: BTreeMap<SessionId, Tunnel>,
    /// The session that each stream arrived in.
    streams: BTreeMap<Stream, SessionId>,
    /// When it wants to be woken.
    pub alarm: Alarm,
    /// Datagrams the engine dropped.
    pub refused_datagrams: u64,
}

impl Server {
    /// A server without sessions.
    pub fn new(plan: &SidePlan, entropy: Entropy) -> Self {
        let endpoint =
            Endpoint::new(Arc::clone(&plan.config), EndpointLimits { sessions_max: SESSIONS_MAX }, entropy);
        Self {
            endpoint,
            sessions: BTreeMap::new(),
            streams: BTreeMap::new(),
            alarm: Alarm::default(),
            refused_datagrams: 0,
        }
    }

    /// A datagram from the client arrived.
    pub fn receive(&mut self, wire: &mut Wire, now: Instant, datagram: &mut [u8]) {
        match self.endpoint.route(wire.local(Side::Server, now), CLIENT_ADDRESS, datagram) {
            Route::Session(id, datagram) => self.feed(wire, now, id, datagram),
            Route::Incoming(incoming) => self.accept(wire, now, incoming),
            Route::Moved(id, incoming) => self.migrate(wire, now, id, incoming),
            Route::Dropped(reason) => {
                self.refused_datagrams += 1;
                judge_drop(wire, now, Node::Server(SessionId(0)), reason);
            }
        }
    }

    /// Fires what is due.
    pub fn wake(&mut self, wire: &mut Wire, now: Instant) {
        let local = wire.local(Side::Server, now);
        for (&id, tunnel) in &mut self.sessions {
            if tunnel.poll_timeout().is_some_and(|deadline| deadline.at <= local) {
                tunnel.handle_timeout(local);
                wire.settle(now, Node::Server(id), tunnel);
            }
        }
    }

    /// Sends what the machine had no time for.
    pub fn resume(&mut self, wire: &mut Wire, now: Instant) {
        for (&id, tunnel) in &mut self.sessions {
            wire.settle(now, Node::Server(id), tunnel);
        }
    }

    /// Reads the earliest deadline.
    pub fn arm(&mut self, wire: &mut Wire, now: Instant) {
        let deadline = self.sessions.values().map(Tunnel::poll_timeout).fold(None, Deadline::earliest);
        let at = wire.machine(Side::Server).alarm_at(now, deadline);
        self.alarm.arm(&mut wire.net.schedule, at);
    }

    /// Its tunnels for the workload of that index.
    pub fn port<'w>(&'w mut self, wire: &'w mut Wire, now: Instant, work: usize) -> TunnelPort<'w> {
        TunnelPort::new(now, work, Host::Server(self), wire)
    }

    /// A stream arrived in that session.
    pub fn bind(&mut self, stream: Stream, session: SessionId) {
        self.streams.entry(stream).or_insert(session);
    }

    /// Whether the stream arrived.
    pub fn knows(&self, stream: Stream) -> bool {
        self.streams.contains_key(&stream)
    }

    pub(super) fn tunnel_of(&mut self, stream: Stream) -> Option<(Node, StreamId, &mut Tunnel)> {
        let id = *self.streams.get(&stream)?;
        Some((Node::Server(id), StreamId(stream.0 as u32), self.sessions.get_mut(&id)?))
    }

    /// Whether no session has anything queued or unacknowledged.
    pub fn is_drained(&self) -> bool {
        self.sessions.values().all(Tunnel::drained)
    }

    /// Counters of the latest session.
    pub fn stats(&self) -> Stats {
        self.sessions.last_key_value().map(|(_, tunnel)| tunnel.stats()).unwrap_or_default()
    }

    fn migrate(&mut self, wire: &mut Wire, now: Instant, id: SessionId, incoming: Incoming<'_>) {
        let Some(tunnel) = self.sessions.get_mut(&id) else {
            return wire.violate(
                now,
                Rule::Closed,
                "Server: a session that was retired is said to have moved".into(),
            );
        };
        match tunnel.migrate(wire.local(Side::Server, now), incoming) {
            Ok(()) => {
                self.endpoint.moved(id, tunnel.peer());
                wire.settle(now, Node::Server(id), tunnel);
            }
            Err(incoming) if incoming.starts_session() => self.accept(wire, now, incoming),
            Err(_) => self.refused_datagrams += 1,
        }
    }

    fn feed(&mut self, wire: &mut Wire, now: Instant, id: SessionId, datagram: &mut [u8]) {
        let Some(tunnel) = self.sessions.get_mut(&id) else {
            return wire.violate(now, Rule::Closed, "Server: routed to a session that was retired".into());
        };
        let handled = tunnel.handle_datagram(wire.local(Side::Server, now), datagram);
        wire.settle(now, Node::Server(id), tunnel);
        match handled {
            Handled::Used => {}
            Handled::Dropped(reason) => {
                self.refused_datagrams += 1;
                judge_drop(wire, now, Node::Server(id), reason);
            }
            Handled::Reopen(incoming) => {
                self.replace(wire, now, id);
                self.accept(wire, now, incoming);
            }
        }
    }

    fn accept(&mut self, wire: &mut Wire, now: Instant, incoming: Incoming<'_>) {
        let (id, mut tunnel) = self.endpoint.accept(wire.local(Side::Server, now), incoming);
        wire.settle(now, Node::Server(id), &mut tunnel);
        self.sessions.insert(id, tunnel);
    }

    fn replace(&mut self, wire: &mut Wire, now: Instant, id: SessionId) {
        if let Some(mut old) = self.sessions.remove(&id) {
            old.close(wire.local(Side::Server, now), CloseReason::Replaced);
            wire.settle(now, Node::Server(id), &mut old);
        }
        self.endpoint.retire(id);
    }
}

/// The engine must not find a datagram damaged that no link damaged. Other reasons to drop one are legitimate: before
/// the first datagram of a session arrived, a later one starts nothing.
pub(super) fn judge_drop(wire: &mut Wire, now: Instant, node: Node, reason: DropReason) {
    use DropReason::{Checksum, Malformed, Short};
    if !wire.damaged && matches!(reason, Short | Checksum | Malformed) {
        wire.violate(now, Rule::Refused, format!("{:?}: {reason:?}", node.side()));
    }
}
