use super::port::Host;
use super::{TunnelPort, Wire};
use crate::Side;
use crate::check::Rule;
use crate::host::Alarm;
use crate::ids::{Node, ServerId, Stream};
use crate::plan::SidePlan;
use engine::{
    CloseReason, Deadline, DropReason, Endpoint, EndpointLimits, Entropy, Handled, Incoming, Instant, Marks,
    Route, SessionId, Stats, StreamId, Tunnel, TunnelConfig,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

const SESSIONS_MAX: usize = 64;

/// The server: an endpoint and the tunnels it accepted.
#[derive(Debug)]
pub struct Server {
    config: Arc<TunnelConfig>,
    entropy: Entropy,
    endpoint: Endpoint,
    sessions: BTreeMap<ServerId, Tunnel>,
    /// The first session of each conversation.
    firsts: BTreeMap<u32, ServerId>,
    /// The session that each stream arrived in.
    streams: BTreeMap<Stream, ServerId>,
    /// How often it was started before.
    life: u32,
    /// The process runs.
    running: bool,
    /// Counters of sessions that are over.
    past: Vec<Stats>,
    /// Rare paths that its endpoints of earlier lives took.
    past_marks: Marks,
    /// When it wants to be woken.
    pub alarm: Alarm,
    /// Datagrams the engine dropped.
    pub refused_datagrams: u64,
}

impl Server {
    /// A server without sessions.
    pub fn new(plan: &SidePlan, entropy: Entropy) -> Self {
        let config = Arc::clone(&plan.config);
        Self {
            endpoint: endpoint(&config, entropy.clone()),
            config,
            entropy,
            sessions: BTreeMap::new(),
            firsts: BTreeMap::new(),
            streams: BTreeMap::new(),
            life: 0,
            running: true,
            past: Vec::new(),
            past_marks: Marks::NONE,
            alarm: Alarm::default(),
            refused_datagrams: 0,
        }
    }

    /// A datagram from the client arrived.
    pub fn receive(&mut self, wire: &mut Wire, now: Instant, from: SocketAddr, datagram: &mut [u8]) {
        match self.endpoint.route(wire.local(Side::Server, now), from, datagram) {
            Route::Session(id, datagram) => self.feed(wire, now, id, datagram),
            Route::Incoming(incoming) => self.accept(wire, now, incoming),
            Route::Moved(id, incoming) => self.migrate(wire, now, id, incoming),
            Route::Dropped(reason) => {
                self.refused_datagrams += 1;
                judge_drop(wire, now, Node::Server(self.id(SessionId(0))), reason);
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

    /// Whether the process runs.
    pub const fn is_running(&self) -> bool {
        self.running
    }

    /// A fault: the process dies, its sessions with it; their streams.
    pub fn crash(&mut self) -> Vec<Stream> {
        self.running = false;
        self.past.extend(self.sessions.values().map(Tunnel::stats));
        self.sessions.clear();
        std::mem::take(&mut self.streams).into_keys().collect()
    }

    /// The process starts again, without sessions.
    pub fn start(&mut self) {
        self.running = true;
        self.life += 1;
        self.past_marks = self.marks();
        self.endpoint = endpoint(&self.config, self.entropy.fork());
    }

    /// A session is over; its streams.
    pub fn forget(&mut self, session: ServerId) -> Vec<Stream> {
        self.past.extend(self.sessions.remove(&session).map(|tunnel| tunnel.stats()));
        if session.life == self.life {
            self.endpoint.retire(session.id);
        }
        let streams: Vec<Stream> =
            self.streams.iter().filter(|&(_, &of)| of == session).map(|(&stream, _)| stream).collect();
        for stream in &streams {
            self.streams.remove(stream);
        }
        streams
    }

    /// The tunnel of a session, while it lives.
    pub fn tunnel(&self, session: ServerId) -> Option<&Tunnel> {
        self.sessions.get(&session)
    }

    /// All sessions.
    pub fn tunnels(&self) -> impl Iterator<Item = &Tunnel> {
        self.sessions.values()
    }

    /// Whether the session that a conversation began with is over.
    pub fn lost_first_of(&self, conv: u32) -> bool {
        self.firsts.get(&conv).is_some_and(|first| !self.sessions.contains_key(first))
    }

    /// Whether its conversation began with that session.
    pub fn is_first(&self, session: ServerId, conv: u32) -> bool {
        self.firsts.get(&conv) == Some(&session)
    }

    /// A stream arrived in that session. A replayed beginning of a conversation that lives makes a session, too, in which
    /// its streams arrive again: false for those.
    pub fn bind(&mut self, stream: Stream, session: ServerId) -> bool {
        *self.streams.entry(stream).or_insert(session) == session
    }

    /// The stream is over.
    pub fn unbind(&mut self, stream: Stream) {
        self.streams.remove(&stream);
    }

    /// Streams that arrived and are not over.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Takes a stream from the session that has it, if another one than `session` has, and that one's peer is out of reach:
    /// the client is elsewhere, and its stream arrives again from there. Whether it did.
    pub fn take_lost(
        &mut self,
        stream: Stream,
        session: ServerId,
        reaches: impl Fn(SocketAddr) -> bool,
    ) -> bool {
        let Some(&old) = self.streams.get(&stream).filter(|&&old| old != session) else { return false };
        let lost = self.sessions.get(&old).is_none_or(|tunnel| !reaches(tunnel.peer()));
        if lost {
            self.streams.remove(&stream);
        }
        lost
    }

    /// Whether that session has the stream.
    pub fn is_bound(&self, stream: Stream, session: ServerId) -> bool {
        self.streams.get(&stream) == Some(&session)
    }

    /// Whether the stream arrived.
    pub fn knows(&self, stream: Stream) -> bool {
        self.streams.contains_key(&stream)
    }

    pub(super) fn tunnel_of(&mut self, stream: Stream) -> Option<(Node, StreamId, &mut Tunnel)> {
        let id = *self.streams.get(&stream)?;
        Some((
            Node::Server(id),
            stream.id(),
            self.sessions.get_mut(&id).filter(|tunnel| !tunnel.is_closed())?,
        ))
    }

    /// Whether no session that `matters` has anything queued or unacknowledged.
    pub fn is_drained(&self, matters: impl Fn(&Tunnel) -> bool) -> bool {
        self.sessions.values().all(|tunnel| tunnel.drained() || !matters(tunnel))
    }

    /// Counters of all sessions there ever were.
    pub fn stats(&self) -> Vec<Stats> {
        self.past.iter().copied().chain(self.sessions.values().map(Tunnel::stats)).collect()
    }

    /// Rare paths that its endpoints took.
    pub fn marks(&self) -> Marks {
        self.past_marks.or(self.endpoint.marks())
    }

    /// Sessions that were accepted.
    pub fn accepted(&self) -> u64 {
        (self.past.len() + self.sessions.len()) as u64
    }

    const fn id(&self, id: SessionId) -> ServerId {
        ServerId { life: self.life, id }
    }

    fn migrate(&mut self, wire: &mut Wire, now: Instant, id: SessionId, incoming: Incoming<'_>) {
        let session = self.id(id);
        let Some(tunnel) = self.sessions.get_mut(&session) else {
            return wire.violate(
                now,
                Rule::Closed,
                "Server: a session that was retired is said to have moved".into(),
            );
        };
        match tunnel.migrate(wire.local(Side::Server, now), incoming) {
            Ok(()) => {
                self.endpoint.moved(id, tunnel.peer());
                wire.settle(now, Node::Server(session), tunnel);
            }
            Err(incoming) if incoming.starts_session() && !self.endpoint.is_full() => {
                self.accept(wire, now, incoming)
            }
            Err(_) => self.refused_datagrams += 1,
        }
    }

    fn feed(&mut self, wire: &mut Wire, now: Instant, id: SessionId, datagram: &mut [u8]) {
        let session = self.id(id);
        let Some(tunnel) = self.sessions.get_mut(&session) else {
            return wire.violate(now, Rule::Closed, "Server: routed to a session that was retired".into());
        };
        let handled = tunnel.handle_datagram(wire.local(Side::Server, now), datagram);
        wire.settle(now, Node::Server(session), tunnel);
        match handled {
            Handled::Used => {}
            Handled::Dropped(reason) => {
                self.refused_datagrams += 1;
                judge_drop(wire, now, Node::Server(session), reason);
            }
            Handled::Reopen(incoming) => {
                self.replace(wire, now, session);
                self.accept(wire, now, incoming);
            }
        }
    }

    fn accept(&mut self, wire: &mut Wire, now: Instant, incoming: Incoming<'_>) {
        if wire.net.recorder.is_some() {
            self.endpoint.keep_notes();
        }
        let (id, mut tunnel) = self.endpoint.accept(wire.local(Side::Server, now), incoming);
        let session = self.id(id);
        self.firsts.entry(tunnel.conv()).or_insert(session);
        wire.settle(now, Node::Server(session), &mut tunnel);
        self.sessions.insert(session, tunnel);
    }

    /// The world forgets the session when it hears that it is closed.
    fn replace(&mut self, wire: &mut Wire, now: Instant, session: ServerId) {
        if let Some(old) = self.sessions.get_mut(&session) {
            old.close(wire.local(Side::Server, now), CloseReason::Replaced);
            wire.settle(now, Node::Server(session), old);
        }
        self.endpoint.retire(session.id);
    }
}

fn endpoint(config: &Arc<TunnelConfig>, entropy: Entropy) -> Endpoint {
    Endpoint::new(Arc::clone(config), EndpointLimits { sessions_max: SESSIONS_MAX }, entropy)
}

/// The engine must not find a datagram damaged that no link damaged. Other reasons to drop one are legitimate: before
/// the first datagram of a session arrived, a later one starts nothing.
pub(super) fn judge_drop(wire: &mut Wire, now: Instant, node: Node, reason: DropReason) {
    if let Some(recorder) = &mut wire.net.recorder {
        recorder.refused(now, node.side(), format!("{reason:?}"));
    }
    use DropReason::{Checksum, Malformed, Short};
    if !wire.damaged && matches!(reason, Short | Checksum | Malformed) {
        wire.violate(now, Rule::Refused, format!("{:?}: {reason:?}", node.side()));
    }
}
