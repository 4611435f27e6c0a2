//! An emulated path: the two links of the simulator, driven by the wall clock.
//!
//! The clock of the scenario starts with the first packet. The links are those of the simulator; real time only determines when
//! packets reach them, so two runs with one seed make the same random decisions about slightly different packets.

mod capture;
mod pump;
mod report;
mod translator;

pub use capture::Capture;
pub(crate) use pump::{Interfaces, Pump};
pub use report::{PathState, Report};
pub(crate) use translator::{AddressChange, Translator};

use engine::Instant;
use sim::link::Link;
use sim::net::{Event, Net};
use sim::outcome::Latency;
use sim::plan::{FaultKind, FaultPlan, LinkPlan, NatPlan};
use sim::rng::Seed;
use sim::{Direction, Scenario};
use std::collections::VecDeque;
use std::io;
use std::time::Duration;

/// Impairments of a path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// The links: towards the server, and back.
    pub links: [LinkPlan; 2],
    /// Faults of the links and of the client's address. A client restart determines whether the next socket keeps the address;
    /// other restarts and clock faults are ignored.
    pub faults: Vec<FaultPlan>,
    /// Lifetime of the client's NAT mappings.
    pub nat: NatPlan,
    /// Seed of all random decisions.
    pub seed: u64,
}

impl Conditions {
    /// The network of `scenario` with `seed`.
    pub fn of(scenario: &Scenario, seed: u64) -> Self {
        let links = [scenario.up.clone(), scenario.down.clone()];
        Self { links, faults: scenario.faults.clone(), nat: scenario.nat, seed }
    }

    /// Removes client restarts.
    #[must_use]
    pub fn without_restarts(mut self) -> Self {
        self.faults.retain(|fault| !matches!(fault.kind, FaultKind::ClientRestart { .. }));
        self
    }

    /// Whether addresses of clients can change.
    pub(crate) fn translates(&self) -> bool {
        self.nat != NatPlan::default() || !moves(&self.faults).is_empty()
    }
}

/// Unit that interfaces deliver; rates, queues and counters always refer to IP packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carries {
    /// UDP payloads; header bytes are accounted for, not sent.
    Datagrams,
    /// IP packets.
    IpPackets,
}

/// The links with their packets in flight, and the measurements so far.
#[derive(Debug)]
pub(crate) struct Emulator {
    start: Option<std::time::Instant>,
    net: Net,
    links: [Link; 2],
    faults: Vec<FaultPlan>,
    /// Scheduled changes of the client's address, by time.
    moves: VecDeque<(Instant, AddressChange)>,
    /// Planned time of packets on the path, from arrival to departure.
    transit: [Latency; 2],
    /// Actual minus planned departure times.
    added: Latency,
    capture: Option<Capture>,
    capture_error: Option<io::Error>,
}

impl Emulator {
    pub(crate) fn new(conditions: &Conditions, carries: Carries, capture: Option<Capture>) -> Self {
        let link = |direction| {
            let link = Link::new(direction, &conditions.links[index(direction)], Seed(conditions.seed));
            if carries == Carries::IpPackets { link.for_ip_packets() } else { link }
        };
        Self {
            start: None,
            net: Net::default(),
            links: [link(Direction::Up), link(Direction::Down)],
            faults: conditions.faults.clone(),
            moves: moves(&conditions.faults),
            transit: Default::default(),
            added: Latency::default(),
            capture,
            capture_error: None,
        }
    }

    /// Starts the scenario's clock unless it runs.
    pub(crate) fn begin(&mut self) {
        self.start.get_or_insert_with(std::time::Instant::now);
    }

    /// Enqueues an arrived packet of a flow.
    pub(crate) fn enqueue(
        &mut self,
        interfaces: &mut dyn Interfaces,
        direction: Direction,
        flow: u16,
        bytes: &[u8],
    ) {
        self.begin();
        self.deliver(interfaces);
        let now = self.now();
        self.links[index(direction)].apply_faults(&self.faults, now);
        self.record(interfaces, direction, flow, false, bytes);
        let packet = self.net.packets.insert_tagged(bytes, tag(now, flow));
        self.links[index(direction)].send(&mut self.net, now, packet);
    }

    /// Applies the address changes that are due.
    pub(crate) fn apply(&mut self, interfaces: &mut dyn Interfaces) {
        let now = self.now();
        while let Some((_, change)) = self.moves.pop_front_if(|(at, _)| *at <= now) {
            interfaces.apply(change);
        }
    }

    /// Delivers all packets that are due.
    pub(crate) fn deliver(&mut self, interfaces: &mut dyn Interfaces) {
        let mut now = self.now();
        while self.net.schedule.peek().is_some_and(|key| key.at <= now) {
            if let Some((at, event)) = self.net.schedule.pop() {
                self.dispatch(interfaces, at, event);
            }
            now = self.now();
        }
    }

    /// Time until the next packet is due; None when no packet is in flight.
    pub(crate) fn idle(&self) -> Option<Duration> {
        let at = self.net.schedule.peek()?.at;
        // The links count microseconds: packets due within one microsecond may leave.
        let now_ns = self.start.map_or(0, |start| start.elapsed().as_nanos() as u64);
        Some(Duration::from_nanos((at.as_micros() * 1000).saturating_sub(now_ns)))
    }

    /// Bytes sent and waiting.
    pub(crate) fn state(&self) -> PathState {
        PathState {
            sent_bytes: [0, 1].map(|at| self.links[at].counters().sent_bytes),
            waiting_bytes: [0, 1].map(|at| self.links[at].waiting_bytes()),
        }
    }

    pub(crate) fn report(&mut self) -> Report {
        if let Some(error) = self.capture.as_mut().and_then(|capture| capture.flush().err()) {
            self.end_capture(error);
        }
        Report {
            links: [0, 1].map(|at| *self.links[at].counters()),
            transit_us: [0, 1].map(|at| self.transit[at].percentiles()),
            added_us: self.added.percentiles(),
            overflow_packets: 0,
            nat_packets: 0,
            capture_error: self.capture_error.as_ref().map(ToString::to_string),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_micros(self.start.map_or(0, |start| start.elapsed().as_micros() as u64))
    }

    /// Passes the planned time of an event to the links, so lateness does not accumulate.
    fn dispatch(&mut self, interfaces: &mut dyn Interfaces, at: Instant, event: Event) {
        match event {
            Event::Transmitted(direction) => self.links[index(direction)].transmitted(&mut self.net, at),
            Event::Deliver(direction, id) => {
                let mut packet = self.net.packets.take(id);
                self.links[index(direction)].delivered(packet.bytes.len() as u32);
                let (arrived, flow) = untag(packet.tag);
                self.transit[index(direction)].record(at.since(arrived));
                self.added.record(self.now().since(at));
                interfaces.send(at, direction, flow, &mut packet.bytes);
                self.record(interfaces, direction, flow, true, &packet.bytes);
                self.net.packets.restore(id, packet);
            }
            _ => {}
        }
    }

    fn record(
        &mut self,
        interfaces: &dyn Interfaces,
        direction: Direction,
        flow: u16,
        left: bool,
        bytes: &[u8],
    ) {
        let Some(capture) = &mut self.capture else { return };
        let headers = interfaces.headers(direction, flow, bytes.len());
        if let Err(error) = capture.write(direction, left, &headers, bytes) {
            self.end_capture(error);
        }
    }

    fn end_capture(&mut self, error: io::Error) {
        (self.capture, self.capture_error) = (None, Some(error));
    }
}

fn moves(faults: &[FaultPlan]) -> VecDeque<(Instant, AddressChange)> {
    let change = |fault: &FaultPlan| {
        let change = match fault.kind {
            FaultKind::NatRebinding => AddressChange::Rebind,
            FaultKind::AddressChange => AddressChange::ChangeAddress,
            FaultKind::ClientRestart { keep_address: true } => AddressChange::HandOver,
            _ => return None,
        };
        Some((fault.begins_at(), change))
    };
    let mut moves: Vec<_> = faults.iter().filter_map(change).collect();
    moves.sort_by_key(|(at, _)| *at);
    moves.into()
}

/// Arrival time in the upper 48 bits, flow in the lower 16.
const fn tag(arrived: Instant, flow: u16) -> u64 {
    arrived.as_micros() << 16 | flow as u64
}

const fn untag(tag: u64) -> (Instant, u16) {
    (Instant::from_micros(tag >> 16), tag as u16)
}

pub(crate) const fn index(direction: Direction) -> usize {
    match direction {
        Direction::Up => 0,
        Direction::Down => 1,
    }
}
