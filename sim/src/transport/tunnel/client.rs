use super::port::Host;
use super::{SERVER_ADDRESS, TunnelPort, Wire};
use crate::Side;
use crate::check::Rule;
use crate::host::Alarm;
use crate::ids::{Node, Stream};
use crate::plan::SidePlan;
use engine::mux::OpenError;
use engine::tunnel::{Burden, SESSIONS};
use engine::{CloseReason, Deadline, Entropy, Handled, Instant, Stats, StreamId, Tunnel, TunnelConfig};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Silence after which new streams no longer wait for a tunnel that answered before, as karst-client has it (CLI-51).
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// The same for a tunnel that was never answered.
const FIRST_ANSWER_MAX: Duration = Duration::from_secs(10);

/// Old tunnels that may still carry streams; one more closes the oldest.
const OLD_MAX: usize = 16;

/// The client: the tunnel that takes new streams, and old ones that still carry some. It dials as karst-client does: when
/// there is no tunnel, or the one there is does not answer.
#[derive(Debug)]
pub struct Client {
    config: Arc<TunnelConfig>,
    entropy: Entropy,
    /// By number of dial.
    tunnels: BTreeMap<u32, Tunnel>,
    current: u32,
    dials: u32,
    /// The process runs.
    running: bool,
    /// The next dial has the public address of this one.
    heir_of: Option<u32>,
    /// Counters of tunnels that are over.
    past: Vec<Stats>,
    /// When it wants to be woken.
    pub alarm: Alarm,
    /// Datagrams the engine dropped.
    pub refused_datagrams: u64,
}

impl Client {
    /// A client that has dialled the server.
    pub fn new(plan: &SidePlan, wire: &mut Wire, entropy: Entropy) -> Self {
        let mut client = Self {
            config: Arc::clone(&plan.config),
            entropy,
            tunnels: BTreeMap::new(),
            current: 0,
            dials: 0,
            running: true,
            heir_of: None,
            past: Vec::new(),
            alarm: Alarm::default(),
            refused_datagrams: 0,
        };
        let entropy = client.entropy.clone();
        client.dial(wire, Instant::ZERO, entropy);
        client
    }

    /// A datagram from the server arrived at the socket of that dial.
    pub fn receive(&mut self, wire: &mut Wire, now: Instant, dial: u32, datagram: &mut [u8]) {
        let local = wire.local(Side::Client, now);
        let Some(tunnel) = self.tunnels.get_mut(&dial) else { return };
        match tunnel.handle_datagram(local, datagram) {
            Handled::Used => {}
            Handled::Dropped(reason) => {
                self.refused_datagrams += 1;
                super::server::judge_drop(wire, now, Node::Client(dial), reason);
            }
            Handled::Reopen(_) => {
                wire.violate(now, Rule::Closed, "Client: the server opened a session".into())
            }
        }
        wire.settle(now, Node::Client(dial), tunnel);
    }

    /// Fires what is due.
    pub fn wake(&mut self, wire: &mut Wire, now: Instant) {
        let local = wire.local(Side::Client, now);
        for (&dial, tunnel) in &mut self.tunnels {
            if tunnel.poll_timeout().is_some_and(|deadline| deadline.at <= local) {
                tunnel.handle_timeout(local);
                wire.settle(now, Node::Client(dial), tunnel);
            }
            let spare = dial != self.current && !(self.config.auto && is_fit(tunnel, local));
            if spare && tunnel.stream_count() == 0 && tunnel.drained() {
                tunnel.close(local, CloseReason::Local);
                wire.settle(now, Node::Client(dial), tunnel);
            }
        }
    }

    /// Sends what the machine had no time for.
    pub fn resume(&mut self, wire: &mut Wire, now: Instant) {
        for (&dial, tunnel) in &mut self.tunnels {
            wire.settle(now, Node::Client(dial), tunnel);
        }
    }

    /// Reads the earliest deadline.
    pub fn arm(&mut self, wire: &mut Wire, now: Instant) {
        let deadline = self.tunnels.values().map(Tunnel::poll_timeout).fold(None, Deadline::earliest);
        let at = wire.machine(Side::Client).alarm_at(now, deadline);
        self.alarm.arm(&mut wire.net.schedule, at);
    }

    /// Its tunnels for the workload of that index.
    pub fn port<'w>(&'w mut self, wire: &'w mut Wire, now: Instant, work: usize) -> TunnelPort<'w> {
        TunnelPort::new(now, work, Host::Client(self), wire)
    }

    /// Whether the process runs.
    pub const fn is_running(&self) -> bool {
        self.running
    }

    /// A fault: the process dies, its tunnels with it; their numbers.
    pub fn crash(&mut self, keep_address: bool) -> Vec<u32> {
        self.running = false;
        self.heir_of = keep_address.then_some(self.current);
        let dials: Vec<u32> = self.tunnels.keys().copied().collect();
        dials.iter().for_each(|&dial| self.forget(dial));
        dials
    }

    /// The process starts again.
    pub const fn start(&mut self) {
        self.running = true;
    }

    /// A tunnel is over.
    pub fn forget(&mut self, dial: u32) {
        self.past.extend(self.tunnels.remove(&dial).map(|tunnel| tunnel.stats()));
    }

    /// The tunnel of that dial, while it lives.
    pub fn tunnel(&self, dial: u32) -> Option<&Tunnel> {
        self.tunnels.get(&dial)
    }

    /// All tunnels that live.
    pub fn tunnels(&self) -> impl Iterator<Item = &Tunnel> {
        self.tunnels.values()
    }

    /// Whether a tunnel has that conversation.
    pub fn has_conv(&self, conv: u32) -> bool {
        self.tunnels.values().any(|tunnel| tunnel.conv() == conv)
    }

    /// Whether no tunnel has anything queued or unacknowledged.
    pub fn is_drained(&self) -> bool {
        self.tunnels.values().all(Tunnel::drained)
    }

    /// Counters of all tunnels there ever were.
    pub fn stats(&self) -> Vec<Stats> {
        self.past.iter().copied().chain(self.tunnels.values().map(Tunnel::stats)).collect()
    }

    /// Tunnels that were dialled.
    pub const fn dials(&self) -> u32 {
        self.dials
    }

    pub(super) fn open_stream(&mut self, wire: &mut Wire, now: Instant) -> Result<Stream, OpenError> {
        let local = wire.local(Side::Client, now);
        if self.config.auto {
            self.take_least_burdened(local);
        }
        if !self.tunnels.get(&self.current).is_some_and(|tunnel| is_fit(tunnel, local)) {
            let entropy = self.entropy.fork();
            self.dial(wire, now, entropy);
        }
        let Some(tunnel) = self.tunnels.get_mut(&self.current) else { return Err(OpenError::Closed) };
        let id = tunnel.open_stream(local)?;
        wire.settle(now, Node::Client(self.current), tunnel);
        Ok(Stream::new(self.current, id))
    }

    /// As karst-client under a controller: an idle tunnel, a new one while there are few, or the best of those there are.
    fn take_least_burdened(&mut self, local: Instant) {
        let fit = || self.tunnels.iter().filter(|(_, tunnel)| is_fit(tunnel, local));
        let least = fit().min_by_key(|(_, tunnel)| tunnel.burden(local));
        let idle = least.is_some_and(|(_, tunnel)| tunnel.burden(local) == Burden::default());
        self.current = match least {
            Some((&dial, _)) if idle || fit().count() >= SESSIONS => dial,
            _ => self.dials,
        };
    }

    pub(super) fn tunnel_of(&mut self, stream: Stream) -> Option<(Node, StreamId, &mut Tunnel)> {
        let dial = stream.dial();
        let tunnel = self.tunnels.get_mut(&dial).filter(|tunnel| !tunnel.is_closed())?;
        Some((Node::Client(dial), stream.id(), tunnel))
    }

    fn dial(&mut self, wire: &mut Wire, now: Instant, entropy: Entropy) {
        let dial = self.dials;
        let local = wire.local(Side::Client, now);
        let tunnel = Tunnel::connect(&self.config, local, SERVER_ADDRESS, entropy);
        wire.dials.insert(tunnel.conv(), dial);
        if let Some(old) = self.heir_of.take() {
            wire.nat.hand_over(old, dial);
        }
        self.tunnels.insert(dial, tunnel);
        self.current = dial;
        self.dials += 1;
        if self.tunnels.len() > OLD_MAX + 1
            && let Some((&oldest, tunnel)) = self.tunnels.iter_mut().next()
        {
            tunnel.close(local, CloseReason::Local);
            wire.settle(now, Node::Client(oldest), tunnel);
        }
    }
}

/// Whether new streams may use a tunnel.
fn is_fit(tunnel: &Tunnel, local: Instant) -> bool {
    let limit = if tunnel.stats().in_pkts > 0 { SILENCE_MAX } else { FIRST_ANSWER_MAX };
    !tunnel.is_closed() && tunnel.silent_for(local) < limit
}
