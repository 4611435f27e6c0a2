use crate::Side;
use crate::check::{Recovery, deadline_is_sane};
use crate::host::{Machine, Nat, Place};
use crate::ids::{Node, Stranger, Stream};
use crate::outcome::Rule;
use crate::plan::Scenario;
use crate::rng::Seed;
use crate::transport::Network;
use engine::{Event, Instant, Transmit, Tunnel};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where the server listens.
pub const SERVER_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 29_900);

/// Room given to `poll_transmit`: several datagrams of any mtu.
const TRANSMIT_BYTES: usize = 64 * 1024;

/// Metadata of a packet in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Postmark {
    /// The public address of the client, as sender or receiver.
    pub place: Place,
    /// When it was sent.
    pub sent_at: Instant,
}

impl Postmark {
    /// 44 bits of microseconds, half a year, and 20 of places.
    const fn tag(self) -> u64 {
        self.sent_at.as_micros() << 20 | (self.place.0 & 0xf_ffff) as u64
    }

    /// Decodes a packet's tag.
    pub const fn from_tag(tag: u64) -> Self {
        Self { place: Place((tag & 0xf_ffff) as u32), sent_at: Instant::from_micros(tag >> 20) }
    }
}

/// The driver of both sides: the network, the hosts at its ends, the NAT, and events of the engine not yet handled.
#[derive(Debug)]
pub struct Driver {
    /// Links, packets and trace.
    pub network: Network,
    /// What gives the client's sockets their public addresses.
    pub nat: Nat,
    /// The dial of each conversation.
    pub dials: BTreeMap<u32, u32>,
    /// Time from the end of each fault until data arrives again.
    pub recovery: Recovery,
    /// Datagrams dropped because the process they were for was not running.
    pub dropped_down: u64,
    /// The client's and the server's computer.
    machines: [Machine; 2],
    /// Events of the engine that no application has seen yet.
    pub events: VecDeque<(Node, Event)>,
    /// The last stream that was opened in each dial: numbers of streams ascend there.
    pub newest: BTreeMap<u32, Stream>,
    /// Streams that are over, which the server has not forgotten yet.
    pub over: Vec<Stream>,
    /// The sides on which something changed since [`Driver::rest`].
    touched: [bool; 2],
    /// The datagram being received was damaged on its way, so that the engine may refuse it.
    pub damaged: bool,
    out: Vec<u8>,
}

impl Driver {
    /// `network` between the client's and the server's idle machine.
    pub fn new(scenario: &Scenario, network: Network, seed: Seed) -> Self {
        let machine = |side, plan| Machine::new(side, plan, seed, scenario.duration_us);
        let hosts = &scenario.hosts;
        Self {
            network,
            nat: Nat::new(scenario.nat),
            dials: BTreeMap::new(),
            recovery: Recovery::new(&scenario.faults),
            dropped_down: 0,
            machines: [machine(Side::Client, &hosts.client), machine(Side::Server, &hosts.server)],
            events: VecDeque::new(),
            newest: BTreeMap::new(),
            over: Vec::new(),
            touched: [true; 2],
            damaged: false,
            out: vec![0; TRANSMIT_BYTES],
        }
    }

    /// The driver's duty after every call that changed `tunnel`: transmit, collect events, check the deadline. A
    /// machine that has no time leaves the rest of the first to [`Event::Resume`](crate::net::Event::Resume).
    pub fn settle(&mut self, now: Instant, node: Node, tunnel: &mut Tunnel) {
        let local = self.local(node.side(), now);
        self.touch(node.side());
        self.observe(now, node, tunnel);
        let drained = self.drain(now, node, tunnel);
        self.observe(now, node, tunnel);
        // A closed tunnel is removed once its last datagrams have left.
        while let Some(event) = (drained || tunnel.closed().is_none()).then(|| tunnel.poll_event()).flatten()
        {
            self.events.push_back((node, event));
        }
        let deadline = tunnel.poll_timeout();
        let excused = !drained || self.machine(node.side()).is_late(now);
        if !excused && !deadline_is_sane(local, deadline) {
            self.network.violate(now, Rule::Deadline, format!("{:?}: {deadline:?}", node.side()));
        }
    }

    /// Marks that side as changed: its deadline, or the queues of its tunnels.
    pub const fn touch(&mut self, side: Side) {
        self.touched[side as usize] = true;
    }

    /// Whether something changed on that side.
    pub const fn is_touched(&self, side: Side) -> bool {
        self.touched[side as usize]
    }

    /// Clears the marks of both sides.
    pub const fn rest(&mut self) {
        self.touched = [false; 2];
    }

    /// Passes a tunnel that changed to the recorder, if there is one.
    fn observe(&mut self, now: Instant, node: Node, tunnel: &mut Tunnel) {
        let Some(recorder) = &mut self.network.net.recorder else { return };
        let session = self.dials.get(&tunnel.conv()).copied().unwrap_or(u32::MAX);
        recorder.tunnel(now, node, session, tunnel);
    }

    /// The machine of that side.
    pub const fn machine(&mut self, side: Side) -> &mut Machine {
        match side {
            Side::Client => &mut self.machines[0],
            Side::Server => &mut self.machines[1],
        }
    }

    /// Both machines, the client's first.
    pub const fn machines(&self) -> &[Machine; 2] {
        &self.machines
    }

    /// Reading of that side's clock; its tunnels run on this time.
    pub fn local(&mut self, side: Side, now: Instant) -> Instant {
        self.machine(side).local(now)
    }

    /// Schedules the process of that side for when its host is free, if work is left.
    pub fn arrange_resume(&mut self, side: Side, now: Instant) {
        if let Some(at) = self.machine(side).resume_at(now) {
            self.network.net.schedule.push(at, crate::net::Event::Resume(side));
        }
    }

    /// Sends while the machine has time; whether everything was sent.
    fn drain(&mut self, now: Instant, node: Node, tunnel: &mut Tunnel) -> bool {
        let side = node.side();
        let local = self.local(side, now);
        while self.machine(side).is_free(now) {
            let Some(transmit) = tunnel.poll_transmit(local, &mut self.out) else { return true };
            self.observe(now, node, tunnel);
            self.transmit(now, node, tunnel.conv(), transmit);
        }
        self.machine(side).owe();
        self.arrange_resume(side, now);
        false
    }

    fn transmit(&mut self, now: Instant, node: Node, conv: u32, transmit: Transmit) {
        let side = node.side();
        let place = match node {
            Node::Client(dial) if transmit.to == SERVER_ADDRESS => Some(self.nat.outbound(now, dial)),
            Node::Client(_) => None,
            Node::Server(_) => self.nat.place(transmit.to),
        };
        let Some(place) = place.filter(|_| transmit.len > 0 && transmit.len <= self.out.len()) else {
            return self.network.violate(now, Rule::Transmit, format!("{side:?}: {transmit:?}"));
        };
        let tag = Postmark { place, sent_at: now }.tag();
        let client = self.nat.address(place).unwrap_or(SERVER_ADDRESS);
        let addresses =
            if side == Side::Client { (client, SERVER_ADDRESS) } else { (SERVER_ADDRESS, client) };
        let segment = transmit.segment.map_or(transmit.len, |bytes| usize::from(bytes.get()));
        let stranger = Stranger::at(client);
        let session = self.dials.get(&conv).copied().unwrap_or(0);
        for datagram in self.out[..transmit.len].chunks(segment) {
            let packet = self.network.net.packets.insert_tagged(datagram, tag);
            self.network.net.packets.mark(packet, session, stranger);
            self.network.send(now, side, packet, |recorder, bytes| {
                recorder.sent(now, node, packet, addresses, bytes);
            });
        }
        self.machine(side).work(now, transmit.len.div_ceil(segment) as u64);
    }
}
