use super::tunnel_port::Host;
use super::{Alarm, Node, SERVER_ADDRESS, Stream, TunnelPort, Wire};
use crate::Side;
use crate::checks::Rule;
use crate::scenario::SidePlan;
use engine::mux::OpenError;
use engine::{Entropy, Handled, Instant, StreamId, Tunnel};

/// The client: one tunnel.
#[derive(Debug)]
pub struct Client {
    /// Its tunnel.
    pub tunnel: Tunnel,
    /// When it wants to be woken.
    pub alarm: Alarm,
    /// Datagrams the engine dropped.
    pub refused_datagrams: u64,
}

impl Client {
    /// A tunnel to the server, on a machine whose clock shows `local`.
    pub fn new(plan: &SidePlan, local: Instant, entropy: Entropy) -> Self {
        let tunnel = Tunnel::connect(&plan.config, local, SERVER_ADDRESS, entropy);
        Self { tunnel, alarm: Alarm::default(), refused_datagrams: 0 }
    }

    /// A datagram from the server arrived.
    pub fn receive(&mut self, wire: &mut Wire, now: Instant, datagram: &mut [u8]) {
        match self.tunnel.handle_datagram(wire.local(Side::Client, now), datagram) {
            Handled::Used => {}
            Handled::Dropped(reason) => {
                self.refused_datagrams += 1;
                super::server::judge_drop(wire, now, Node::Client, reason);
            }
            Handled::Reopen(_) => {
                wire.violate(now, Rule::Closed, "Client: the server opened a session".into())
            }
        }
        wire.settle(now, Node::Client, &mut self.tunnel);
    }

    /// Fires what is due.
    pub fn wake(&mut self, wire: &mut Wire, now: Instant) {
        self.tunnel.handle_timeout(wire.local(Side::Client, now));
        wire.settle(now, Node::Client, &mut self.tunnel);
    }

    /// Sends what the machine had no time for.
    pub fn resume(&mut self, wire: &mut Wire, now: Instant) {
        wire.settle(now, Node::Client, &mut self.tunnel);
    }

    /// Reads the deadline.
    pub fn arm(&mut self, wire: &mut Wire, now: Instant) {
        let at = wire.machine(Side::Client).alarm_at(now, self.tunnel.poll_timeout());
        self.alarm.arm(&mut wire.net.schedule, at);
    }

    /// Its tunnel for the workload of that index.
    pub fn port<'w>(&'w mut self, wire: &'w mut Wire, now: Instant, work: usize) -> TunnelPort<'w> {
        TunnelPort::new(now, work, Host::Client(self), wire)
    }

    pub(super) fn open_stream(&mut self, wire: &mut Wire, now: Instant) -> Result<Stream, OpenError> {
        let id = self.tunnel.open_stream(wire.local(Side::Client, now))?;
        wire.settle(now, Node::Client, &mut self.tunnel);
        Ok(Stream(u64::from(id.0)))
    }

    pub(super) fn tunnel_of(&mut self, stream: Stream) -> Option<(Node, StreamId, &mut Tunnel)> {
        Some((Node::Client, StreamId(stream.0 as u32), &mut self.tunnel))
    }
}
