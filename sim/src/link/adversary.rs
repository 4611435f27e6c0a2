//! The adversary: observes the datagrams of both links as they are sent, records them, and sends its own.
//!
//! It has no key: it knows the addresses, session and position of a datagram, and can only copy, change or replace the
//! bytes. What it injects passes none of a link's elements but the delay.

use super::Link;
use super::corrupt::flip;
use crate::Direction;
use crate::ids::{PacketId, Stranger};
use crate::net::Net;
use crate::outcome::AdversaryCounters;
use crate::plan::{Act, AdversaryPlan, AttackPlan, HEADERS_BYTES, Source};
use crate::record::Injected;
use crate::rng::{Noise, Odds, Seed, below};
use engine::{Entropy, Instant};
use std::collections::BTreeMap;
use std::time::Duration;

/// Datagrams recorded of each session and direction.
const RECORDED_PACKETS_MAX: usize = 4_096;

/// Addresses used by [`Source::Many`]; then they repeat.
const ADDRESSES: u16 = u16::MAX;

/// Random datagrams have up to that many bytes: 2^13, more than any MTU of a run.
const GARBAGE_OCTAVES: u64 = 13;

/// The adversary of a run.
#[derive(Debug)]
pub struct Adversary {
    plans: Vec<AttackPlan>,
    /// Datagrams are recorded for later sessions.
    records: bool,
    /// By direction, then by session.
    flows: [BTreeMap<u32, Flow>; 2],
    /// Numbers of its addresses: the last one used.
    address: u16,
    dice: Entropy,
    noise: Noise,
    counters: AdversaryCounters,
}

/// The datagrams of one session and direction.
#[derive(Debug, Default)]
struct Flow {
    /// Datagrams so far.
    sent: u64,
    /// The first ones of them.
    recorded: Vec<Vec<u8>>,
    /// The tag of the last one: where the client is.
    tag: u64,
}

/// The observed datagram.
#[derive(Clone, Copy)]
struct Observed {
    at: Instant,
    direction: Direction,
    id: PacketId,
    session: u32,
    /// Its number in its session and direction, from 0.
    number: u64,
    tag: u64,
}

/// What an attack makes of an observed datagram.
struct Injection {
    packet: PacketId,
    direction: Direction,
    tag: u64,
}

impl Adversary {
    /// As planned; `None` when it has nothing to do, and then no random number is drawn.
    pub fn new(plan: &AdversaryPlan, seed: Seed) -> Option<Self> {
        if plan.attacks.is_empty() {
            return None;
        }
        let mut dice = seed.stream("adversary");
        Some(Self {
            records: plan.attacks.iter().any(|attack| attack.act == Act::ReplayEarlier),
            plans: plan.attacks.clone(),
            flows: [BTreeMap::new(), BTreeMap::new()],
            address: 0,
            noise: Noise::new(&mut dice),
            dice,
            counters: AdversaryCounters::default(),
        })
    }

    /// Totals so far.
    pub const fn counters(&self) -> &AdversaryCounters {
        &self.counters
    }

    /// A packet is about to enter the link of that direction.
    pub fn observe(
        &mut self,
        net: &mut Net,
        links: &mut [Link; 2],
        now: Instant,
        (direction, id): (Direction, PacketId),
    ) {
        let packet = net.packets.packet(id);
        let (session, tag) = (packet.session, packet.tag);
        let diverted = packet.stranger.is_some();
        let mut observed = Observed { at: now, direction, id, session, number: 0, tag };
        if diverted {
            self.counters.diverted_packets += 1;
            self.counters.diverted_bytes += u64::from(net.packets.len_bytes(id) + HEADERS_BYTES);
            // The client's address is known from the datagrams that it sent itself.
            let Some(flow) = self.flows[Direction::Up as usize].get(&session) else { return };
            observed.tag = flow.tag;
        } else {
            observed.number = self.note(net, &observed);
        }
        for index in 0..self.plans.len() {
            let plan = self.plans[index].clone();
            if diverted == (plan.act == Act::Relay) && self.takes(&plan, &observed) {
                self.attack(net, links, &plan, observed);
            }
        }
    }

    /// Records a datagram; its number.
    fn note(&mut self, net: &Net, observed: &Observed) -> u64 {
        self.counters.observed_packets += 1;
        let flow = self.flows[observed.direction as usize].entry(observed.session).or_default();
        if self.records && flow.recorded.len() < RECORDED_PACKETS_MAX {
            flow.recorded.push(net.packets.packet(observed.id).bytes.clone());
        }
        flow.tag = observed.tag;
        flow.sent += 1;
        flow.sent - 1
    }

    fn takes(&mut self, plan: &AttackPlan, observed: &Observed) -> bool {
        let number = observed.number + plan.ahead_packets;
        plan.is_active(observed.at)
            && plan.ways.has(observed.direction)
            && plan.first_packets.is_none_or(|first| observed.number < first)
            && plan.cycle.is_none_or(|(period, from)| number % period >= from)
            && Odds::from_ppm(plan.ppm).hit(&mut self.dice)
    }

    fn attack(&mut self, net: &mut Net, links: &mut [Link; 2], plan: &AttackPlan, observed: Observed) {
        if plan.hold_us > 0 {
            self.counters.delayed_packets += 1;
            net.packets.delay(observed.id, Duration::from_micros(plan.hold_us));
        }
        for copy in 0..plan.copies {
            let Some(injection) = self.injection(net, plan, observed) else { return };
            let Injection { packet, direction, tag } = injection;
            let stranger = self.source(plan.source);
            net.packets.mark(packet, observed.session, stranger);
            net.packets.retag(packet, tag);
            if direction == Direction::Up && stranger.is_some() {
                self.counters.foreign_bytes += u64::from(net.packets.len_bytes(packet) + HEADERS_BYTES);
            }
            let link = &mut links[direction as usize];
            // Reflected datagrams come from next to the sender.
            let from_here = plan.act != Act::Reflect && plan.act != Act::Relay;
            let delay_us = if from_here { link.idle_delay_us(observed.at) } else { 0 };
            let due = observed.at + Duration::from_micros(delay_us + plan.after_us + copy * plan.every_us);
            let (act, of, source) = (plan.act, observed.id, stranger);
            net.note_injected(observed.at, Injected { act, of, packet, direction, source, due });
            link.inject(net, due, packet);
        }
    }

    /// The next datagram that an attack injects; `None` when it has none.
    fn injection(&mut self, net: &mut Net, plan: &AttackPlan, observed: Observed) -> Option<Injection> {
        let Observed { direction, id, tag, .. } = observed;
        let (packet, direction, counter) = match plan.act {
            Act::Delay => return None,
            Act::Replay => (net.packets.duplicate(id), direction, &mut self.counters.replayed_packets),
            Act::Reflect => {
                (net.packets.duplicate(id), direction.opposite(), &mut self.counters.reflected_packets)
            }
            Act::Relay => (net.packets.duplicate(id), direction, &mut self.counters.relayed_packets),
            Act::ReplayEarlier => {
                let number = usize::try_from(observed.number + plan.ahead_packets).ok()?;
                let packet = net.packets.insert(self.earlier(observed, number)?);
                (packet, direction, &mut self.counters.replayed_earlier_packets)
            }
            Act::Tamper => {
                let packet = net.packets.duplicate(id);
                net.packets.damage(packet, |datagram| flip(&mut self.dice, datagram));
                (packet, direction, &mut self.counters.tampered_packets)
            }
            Act::Garbage => {
                let octave = 1 << below(&mut self.dice, GARBAGE_OCTAVES);
                let mut bytes = vec![0; (octave + below(&mut self.dice, octave)) as usize];
                self.noise.fill(&mut bytes);
                let packet = net.packets.insert(&bytes);
                net.packets.damage(packet, |_| {});
                (packet, direction, &mut self.counters.garbage_packets)
            }
        };
        *counter += 1;
        Some(Injection { packet, direction, tag })
    }

    /// The datagram of that number of the latest earlier session that had so many.
    fn earlier(&self, observed: Observed, number: usize) -> Option<&[u8]> {
        let earlier = self.flows[observed.direction as usize].range(..observed.session);
        let mut found = earlier.rev().filter_map(|(_, flow)| flow.recorded.get(number));
        found.next().map(Vec::as_slice)
    }

    const fn source(&mut self, source: Source) -> Option<Stranger> {
        match source {
            Source::Peer => None,
            Source::Own => Some(Stranger(0)),
            Source::Many => {
                self.address = self.address % ADDRESSES + 1;
                Some(Stranger(self.address))
            }
        }
    }
}
