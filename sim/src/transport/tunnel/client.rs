use super::{Driver, SERVER_ADDRESS};
use crate::Side;
use crate::host::Alarm;
use crate::ids::{Node, Stream};
use crate::plan::SidePlan;
use core::ops::Range;
use engine::client::SLOTS_AUTO;
use engine::mux::OpenError;
use engine::{
    Choice, ClientLimits, Deadline, DropReason, Entropy, Handled, Instant, SessionId, Stats, StreamId, Tunnel,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// As karst-client's default of `--scavengettl`.
const GRACE: Duration = Duration::from_secs(600);

/// The engine's client behind simulated sockets, one per dial.
#[derive(Debug)]
pub struct Client {
    sessions: engine::Client,
    entropy: Entropy,
    /// The dial that the latest stream uses.
    current: u32,
    dials: u32,
    /// The process runs.
    running: bool,
    /// The next dial has the public address of this one.
    inherits_address_of: Option<u32>,
    /// Counters of tunnels that ended.
    past: Vec<Stats>,
    /// Time of the next deadline.
    pub alarm: Alarm,
    /// Datagrams the engine dropped.
    pub refused_datagrams: u64,
}

impl Client {
    /// A client that has dialled the server.
    pub fn new(plan: &SidePlan, driver: &mut Driver, entropy: Entropy) -> Self {
        let slots = if plan.config.auto { SLOTS_AUTO } else { 1 };
        let limits = ClientLimits { slots, lifetime: None, grace: GRACE };
        let mut client = Self {
            sessions: engine::Client::new(Arc::clone(&plan.config), limits),
            entropy,
            current: 0,
            dials: 0,
            running: true,
            inherits_address_of: None,
            past: Vec::new(),
            alarm: Alarm::default(),
            refused_datagrams: 0,
        };
        let entropy = client.entropy.clone();
        client.choose(driver, Instant::ZERO, |_| entropy);
        client
    }

    /// A datagram arrived at the socket of that dial, from that address.
    pub fn receive(
        &mut self,
        driver: &mut Driver,
        now: Instant,
        (dial, from): (u32, SocketAddr),
        datagram: &mut [u8],
    ) {
        let (local, id) = (driver.local(Side::Client, now), SessionId(dial.into()));
        match self.sessions.handle_datagram(local, id, from, datagram) {
            Handled::Used => {}
            // The tunnel of that socket ended.
            Handled::Dropped(DropReason::NoSession) => return,
            Handled::Dropped(reason) => {
                self.refused_datagrams += 1;
                super::server::judge_drop(driver, now, Node::Client(dial), reason);
            }
        }
        self.settle(driver, now, id);
    }

    /// Fires what is due.
    pub fn wake(&mut self, driver: &mut Driver, now: Instant) {
        let local = driver.local(Side::Client, now);
        for (id, tunnel) in self.sessions.tunnels_mut() {
            if tunnel.poll_timeout().is_some_and(|deadline| deadline.at <= local) {
                tunnel.handle_timeout(local);
                driver.settle(now, node(id), tunnel);
            }
        }
        self.sessions.handle_timeout(local);
        self.settle_retired(driver, now);
    }

    /// Sends what the machine had no time for.
    pub fn resume(&mut self, driver: &mut Driver, now: Instant) {
        for (id, tunnel) in self.sessions.tunnels_mut() {
            driver.settle(now, node(id), tunnel);
        }
    }

    /// Reads the earliest deadline.
    pub fn arm(&mut self, driver: &mut Driver, now: Instant) {
        let deadlines = self.tunnels().map(Tunnel::poll_timeout);
        let deadline = deadlines.fold(self.sessions.poll_timeout(), Deadline::earliest);
        let at = driver.machine(Side::Client).alarm_at(now, deadline);
        self.alarm.arm(&mut driver.network.net.schedule, at);
    }

    /// Whether the process runs.
    pub const fn is_running(&self) -> bool {
        self.running
    }

    /// A fault: the process dies, its tunnels with it; their numbers.
    pub fn crash(&mut self, keep_address: bool) -> Vec<u32> {
        self.running = false;
        self.inherits_address_of = keep_address.then_some(self.current);
        let dials: Vec<u32> = self.sessions.tunnels().map(|(id, _)| dial(id)).collect();
        dials.iter().for_each(|&dial| self.forget(dial));
        dials
    }

    /// The process starts again.
    pub const fn start(&mut self) {
        self.running = true;
    }

    /// A tunnel ended.
    pub fn forget(&mut self, dial: u32) {
        self.past.extend(self.sessions.remove(SessionId(dial.into())).map(|tunnel| tunnel.stats()));
    }

    /// The tunnel of that dial, while it lives.
    pub fn tunnel(&self, dial: u32) -> Option<&Tunnel> {
        self.sessions.tunnel(SessionId(dial.into()))
    }

    /// All tunnels that live.
    pub fn tunnels(&self) -> impl Iterator<Item = &Tunnel> {
        self.sessions.tunnels().map(|(_, tunnel)| tunnel)
    }

    /// Whether a tunnel has that conversation.
    pub fn has_conv(&self, conv: u32) -> bool {
        self.tunnels().any(|tunnel| tunnel.conv() == conv)
    }

    /// The tunnels that have anything queued or unacknowledged.
    pub fn busy(&self) -> impl Iterator<Item = (Node, Option<Range<u32>>)> {
        let busy = self.sessions.tunnels().filter(|(_, tunnel)| !tunnel.drained());
        busy.map(|(id, tunnel)| (node(id), tunnel.unacknowledged()))
    }

    /// Counters of all tunnels there ever were.
    pub fn stats(&self) -> Vec<Stats> {
        self.past.iter().copied().chain(self.tunnels().map(Tunnel::stats)).collect()
    }

    /// Tunnels that were dialled.
    pub const fn dials(&self) -> u32 {
        self.dials
    }

    pub(super) fn open_stream(&mut self, driver: &mut Driver, now: Instant) -> Result<Stream, OpenError> {
        let id = self.choose(driver, now, Entropy::fork);
        self.current = dial(id);
        let Some(tunnel) = self.sessions.tunnel_mut(id) else { return Err(OpenError::Closed) };
        let stream = tunnel.open_stream(driver.local(Side::Client, now))?;
        self.settle(driver, now, id);
        Ok(Stream::new(self.current, stream))
    }

    pub(super) fn tunnel_of(&mut self, stream: Stream) -> Option<(Node, StreamId, &mut Tunnel)> {
        let id = SessionId(stream.dial().into());
        let tunnel = self.sessions.tunnel_mut(id).filter(|tunnel| !tunnel.is_closed())?;
        Some((node(id), stream.id(), tunnel))
    }

    /// The session that the next stream uses; dials if there is none.
    fn choose(
        &mut self,
        driver: &mut Driver,
        now: Instant,
        entropy: impl FnOnce(&mut Entropy) -> Entropy,
    ) -> SessionId {
        let local = driver.local(Side::Client, now);
        let slot = match self.sessions.choose(local) {
            Choice::Session(id) => return id,
            Choice::Dial(slot) => slot,
            Choice::Wait | Choice::Refuse => unreachable!("clients that do not detect the dialect"),
        };
        let id = self.sessions.dial(local, slot, SERVER_ADDRESS, entropy(&mut self.entropy));
        self.dials += 1;
        if let Some(tunnel) = self.sessions.tunnel(id) {
            driver.dials.insert(tunnel.conv(), dial(id));
        }
        if let Some(old) = self.inherits_address_of.take() {
            driver.nat.hand_over(old, dial(id));
        }
        self.settle_retired(driver, now);
        id
    }

    fn settle(&mut self, driver: &mut Driver, now: Instant, id: SessionId) {
        if let Some(tunnel) = self.sessions.tunnel_mut(id) {
            driver.settle(now, node(id), tunnel);
        }
    }

    fn settle_retired(&mut self, driver: &mut Driver, now: Instant) {
        while let Some((id, _)) = self.sessions.poll_retired() {
            self.settle(driver, now, id);
        }
    }
}

/// Sessions are numbered by dial.
const fn dial(id: SessionId) -> u32 {
    id.0 as u32
}

const fn node(id: SessionId) -> Node {
    Node::Client(dial(id))
}
