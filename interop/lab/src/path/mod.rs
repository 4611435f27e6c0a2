//! Two links of the simulator against the wall clock: the network of a scenario in real time.
//!
//! Time is that of the scenario and starts with the first packet. The links are the simulator's own; real time only decides
//! when packets meet them, so two runs with one seed throw the same dice at slightly different packets.

mod capture;
mod pump;
mod report;
mod translator;

pub use capture::Capture;
pub(crate) use pump::{Ends, Pump};
pub use report::{PathState, Report};
pub(crate) use translator::{Move, Translator};

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

/// What a line does to packets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// The links: towards the server, and back.
    pub links: [LinkPlan; 2],
    /// What goes wrong, and when: what concerns the links, and the client's address. A restart of the client is about whether its
    /// next socket keeps the address; other restarts and clocks are not a line's.
    pub faults: Vec<FaultPlan>,
    /// How long addresses of clients last.
    pub nat: NatPlan,
    /// Seed of the dice.
    pub seed: u64,
}

impl Conditions {
    /// The network of `scenario` under the dice of `seed`.
    pub fn of(scenario: &Scenario, seed: u64) -> Self {
        let links = [scenario.up.clone(), scenario.down.clone()];
        Self { links, faults: scenario.faults.clone(), nat: scenario.nat, seed }
    }

    /// The same, for programs that nobody restarts.
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

/// What the packets of a line are; rates, queues and counters are about IP packets in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carries {
    /// UDP payloads; the headers are added in thought.
    Datagrams,
    /// Whole IP packets.
    IpPackets,
}

/// Packets on their way, and what has been measured so far.
#[derive(Debug)]
pub(crate) struct Line {
    start: Option<std::time::Instant>,
    net: Net,
    links: [Link; 2],
    faults: Vec<FaultPlan>,
    /// When the client's address changes, ascending; those to come.
    moves: VecDeque<(Instant, Move)>,
    /// Time each packet spent on the line as planned, from arrival to departure.
    transit: [Latency; 2],
    /// Departures, as they were minus as they were planned.
    added: Latency,
    capture: Option<Capture>,
    capture_error: Option<io::Error>,
}

impl Line {
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

    /// Time begins, unless it has.
    pub(crate) fn begin(&mut self) {
        self.start.get_or_insert_with(std::time::Instant::now);
    }

    /// A packet arrived that belongs to the flow of that number.
    pub(crate) fn take(&mut self, ends: &mut dyn Ends, direction: Direction, flow: u16, bytes: &[u8]) {
        self.begin();
        self.give(ends);
        let now = self.now();
        self.links[index(direction)].apply_faults(&self.faults, now);
        self.record(ends, direction, flow, false, bytes);
        let packet = self.net.packets.insert_tagged(bytes, tag(now, flow));
        self.links[index(direction)].send(&mut self.net, now, packet);
    }

    /// Addresses change whose time has come.
    pub(crate) fn strike(&mut self, ends: &mut dyn Ends) {
        let now = self.now();
        while let Some((_, change)) = self.moves.pop_front_if(|(at, _)| *at <= now) {
            ends.strike(change);
        }
    }

    /// Everything that is due leaves.
    pub(crate) fn give(&mut self, ends: &mut dyn Ends) {
        let mut now = self.now();
        while self.net.schedule.peek().is_some_and(|key| key.at <= now) {
            if let Some((at, event)) = self.net.schedule.pop() {
                self.happen(ends, at, event);
            }
            now = self.now();
        }
    }

    /// Time until something is due; None when nothing is on its way.
    pub(crate) fn idle(&self) -> Option<Duration> {
        let at = self.net.schedule.peek()?.at;
        // The clock of the links is in microseconds: what is due within one of them may leave.
        let now_ns = self.start.map_or(0, |start| start.elapsed().as_nanos() as u64);
        Some(Duration::from_nanos((at.as_micros() * 1000).saturating_sub(now_ns)))
    }

    /// How it stands.
    pub(crate) fn state(&self) -> PathState {
        PathState {
            sent_bytes: [0, 1].map(|at| self.links[at].counters().sent_bytes),
            waiting_bytes: [0, 1].map(|at| self.links[at].waiting_bytes()),
        }
    }

    pub(crate) fn report(&mut self) -> Report {
        if let Some(error) = self.capture.as_mut().and_then(|capture| capture.flush().err()) {
            self.give_up_capture(error);
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

    /// Links see the time for which an event was planned: being late does not add up.
    fn happen(&mut self, ends: &mut dyn Ends, at: Instant, event: Event) {
        match event {
            Event::Transmitted(direction) => self.links[index(direction)].transmitted(&mut self.net, at),
            Event::Deliver(direction, id) => {
                let mut packet = self.net.packets.take(id);
                self.links[index(direction)].delivered(packet.bytes.len() as u32);
                let (arrived, flow) = untag(packet.tag);
                self.transit[index(direction)].record(at.since(arrived));
                self.added.record(self.now().since(at));
                ends.send(at, direction, flow, &mut packet.bytes);
                self.record(ends, direction, flow, true, &packet.bytes);
                self.net.packets.restore(id, packet);
            }
            _ => {}
        }
    }

    fn record(&mut self, ends: &dyn Ends, direction: Direction, flow: u16, left: bool, bytes: &[u8]) {
        let Some(capture) = &mut self.capture else { return };
        let headers = ends.headers(direction, flow, bytes.len());
        if let Err(error) = capture.write(direction, left, &headers, bytes) {
            self.give_up_capture(error);
        }
    }

    fn give_up_capture(&mut self, error: io::Error) {
        (self.capture, self.capture_error) = (None, Some(error));
    }
}

fn moves(faults: &[FaultPlan]) -> VecDeque<(Instant, Move)> {
    let change = |fault: &FaultPlan| {
        let change = match fault.kind {
            FaultKind::NatRebinding => Move::Rebind,
            FaultKind::AddressChange => Move::ChangeAddress,
            FaultKind::ClientRestart { keep_address: true } => Move::HandOver,
            _ => return None,
        };
        Some((fault.begins_at(), change))
    };
    let mut moves: Vec<_> = faults.iter().filter_map(change).collect();
    moves.sort_by_key(|(at, _)| *at);
    moves.into()
}

/// When it arrived in the upper 48 bits, and its flow.
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
