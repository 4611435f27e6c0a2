use super::Driver;
use crate::Side;
use crate::host::Alarm;
use crate::ids::{Node, ServerId, Stranger, Stream};
use crate::outcome::Rule;
use crate::plan::SidePlan;
use core::ops::Range;
use engine::{
    Deadline, DropReason, Entropy, Handled, Instant, Marks, Received, ServerLimits, SessionId, Stats,
    StreamId, Tunnel, TunnelConfig,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

const SESSIONS_MAX: usize = 64;

/// The engine's server behind a simulated socket.
#[derive(Debug)]
pub struct Server {
    config: Arc<TunnelConfig>,
    entropy: Entropy,
    sessions: engine::Server,
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
    /// Coverage marks of its earlier lives.
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
            sessions: server(&config, entropy.clone()),
            config,
            entropy,
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
    pub fn receive(&mut self, driver: &mut Driver, now: Instant, from: SocketAddr, datagram: &mut [u8]) {
        if driver.network.net.recorder.is_some() {
            self.sessions.keep_notes();
        }
        match self.sessions.handle_datagram(driver.local(Side::Server, now), from, datagram) {
            Received::Session(id, handled) => {
                self.settle(driver, now, id);
                if let Handled::Dropped(reason) = handled {
                    self.refuse(driver, now, id, reason);
                }
            }
            Received::Accepted { id } => {
                let session = self.id(id);
                if let Some(tunnel) = self.sessions.tunnel(id) {
                    self.firsts.entry(tunnel.conv()).or_insert(session);
                }
                self.settle(driver, now, id);
            }
            Received::Dropped(reason) => self.refuse(driver, now, SessionId(0), reason),
        }
        while let Some(closed) = self.sessions.poll_closed() {
            self.settle(driver, now, closed);
        }
    }

    /// Fires what is due.
    pub fn wake(&mut self, driver: &mut Driver, now: Instant) {
        let (local, life) = (driver.local(Side::Server, now), self.life);
        for (id, tunnel) in self.sessions.tunnels_mut() {
            if tunnel.poll_timeout().is_some_and(|deadline| deadline.at <= local) {
                tunnel.handle_timeout(local);
                driver.settle(now, Node::Server(ServerId { life, id }), tunnel);
            }
        }
    }

    /// Sends what the machine had no time for.
    pub fn resume(&mut self, driver: &mut Driver, now: Instant) {
        let life = self.life;
        for (id, tunnel) in self.sessions.tunnels_mut() {
            driver.settle(now, Node::Server(ServerId { life, id }), tunnel);
        }
    }

    /// Reads the earliest deadline.
    pub fn arm(&mut self, driver: &mut Driver, now: Instant) {
        let deadline = self.tunnels().map(Tunnel::poll_timeout).fold(None, Deadline::earliest);
        let at = driver.machine(Side::Server).alarm_at(now, deadline);
        self.alarm.arm(&mut driver.network.net.schedule, at);
    }

    /// Whether the process runs.
    pub const fn is_running(&self) -> bool {
        self.running
    }

    /// A fault: the process dies, its sessions with it; their streams.
    pub fn crash(&mut self) -> Vec<Stream> {
        self.running = false;
        self.life += 1;
        self.past = self.stats();
        self.past_marks = self.marks();
        self.sessions = server(&self.config, self.entropy.fork());
        std::mem::take(&mut self.streams).into_keys().collect()
    }

    /// The process starts again, without sessions.
    pub const fn start(&mut self) {
        self.running = true;
    }

    /// A session ended; its streams.
    pub fn forget(&mut self, now: Instant, session: ServerId) -> Vec<Stream> {
        if session.life == self.life {
            self.past.extend(self.sessions.remove(now, session.id).map(|tunnel| tunnel.stats()));
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
        self.sessions.tunnel(session.id).filter(|_| session.life == self.life)
    }

    /// All sessions.
    pub fn tunnels(&self) -> impl Iterator<Item = &Tunnel> {
        self.sessions.tunnels().map(|(_, tunnel)| tunnel)
    }

    /// Whether the session that a conversation began with is over.
    pub fn lost_first_of(&self, conv: u32) -> bool {
        self.firsts.get(&conv).is_some_and(|&first| self.tunnel(first).is_none())
    }

    /// Whether its conversation began with that session.
    pub fn is_first(&self, session: ServerId, conv: u32) -> bool {
        self.firsts.get(&conv) == Some(&session)
    }

    /// Whether that session has an address of the adversary.
    pub fn is_strange(&self, session: ServerId) -> bool {
        self.tunnel(session).is_some_and(|tunnel| Stranger::at(tunnel.peer()).is_some())
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
        let lost = self.tunnel(old).is_none_or(|tunnel| !reaches(tunnel.peer()));
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
            self.sessions.tunnel_mut(id.id).filter(|tunnel| !tunnel.is_closed())?,
        ))
    }

    /// The sessions that have anything queued or unacknowledged, of those that `matters` selects.
    pub fn busy(
        &self,
        matters: impl Fn(&Tunnel) -> bool,
    ) -> impl Iterator<Item = (Node, Option<Range<u32>>)> {
        let busy = self.sessions.tunnels().filter(move |(_, tunnel)| !tunnel.drained() && matters(tunnel));
        busy.map(|(id, tunnel)| (Node::Server(self.id(id)), tunnel.unacknowledged()))
    }

    /// Counters of all sessions there ever were.
    pub fn stats(&self) -> Vec<Stats> {
        self.past.iter().copied().chain(self.tunnels().map(Tunnel::stats)).collect()
    }

    /// Coverage marks of the engine's server, over all lives.
    pub fn marks(&self) -> Marks {
        self.past_marks.or(self.sessions.marks())
    }

    /// Sessions that were accepted.
    pub fn accepted(&self) -> u64 {
        (self.past.len() + self.tunnels().count()) as u64
    }

    const fn id(&self, id: SessionId) -> ServerId {
        ServerId { life: self.life, id }
    }

    fn settle(&mut self, driver: &mut Driver, now: Instant, id: SessionId) {
        let node = Node::Server(self.id(id));
        if let Some(tunnel) = self.sessions.tunnel_mut(id) {
            driver.settle(now, node, tunnel);
        }
    }

    fn refuse(&mut self, driver: &mut Driver, now: Instant, id: SessionId, reason: DropReason) {
        self.refused_datagrams += 1;
        judge_drop(driver, now, Node::Server(self.id(id)), reason);
    }
}

fn server(config: &Arc<TunnelConfig>, entropy: Entropy) -> engine::Server {
    engine::Server::new(Arc::clone(config), ServerLimits { sessions_max: SESSIONS_MAX }, entropy)
}

/// The engine must not find a datagram damaged that no link damaged. Other reasons to drop one are legitimate: before
/// the first datagram of a session arrived, a later one starts nothing.
pub(super) fn judge_drop(driver: &mut Driver, now: Instant, node: Node, reason: DropReason) {
    if let Some(recorder) = &mut driver.network.net.recorder {
        recorder.refused(now, node.side(), format!("{reason:?}"));
    }
    use DropReason::{Checksum, Malformed, Short};
    if !driver.damaged && matches!(reason, Short | Checksum | Malformed) {
        driver.network.violate(now, Rule::Refused, format!("{:?}: {reason:?}", node.side()));
    }
}
