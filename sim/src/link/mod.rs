//! One direction of the network: mtu, blackout, drop list, loss, policer, queue and rate, delay, wander, jitter,
//! reordering, delay list, corruption, duplication, in that order; loss may come after the queue, and duplication before it. An adversary may observe both directions, and adds
//! packets to them that pass no other element.

mod adversary;
mod codel;
mod corrupt;
mod delay;
mod delay_list;
mod drop_list;
mod duplicate;
mod fault;
mod jitter;
mod loss;
mod mtu;
mod policer;
mod queue;
mod reorder;
mod wander;

pub use adversary::Adversary;
pub use codel::{Codel, Leaving};
pub use corrupt::Corrupt;
pub use delay::Delay;
pub use delay_list::DelayList;
pub use drop_list::DropList;
pub use duplicate::Duplicate;
pub use jitter::Jitter;
pub use loss::Loss;
pub use mtu::Mtu;
pub use policer::Policer;
pub use queue::{Offered, Queue};
pub use reorder::Reorder;
pub use wander::Wander;

use crate::Direction;
use crate::ids::PacketId;
use crate::net::{Event, Net};
use crate::outcome::Counters;
use crate::plan::{FORGED_HEADERS_BYTES, HEADERS_BYTES, LinkPlan, Timeline};
use crate::record::{Element, Transit};
use crate::rng::Seed;
use engine::Instant;
use std::time::Duration;

/// One direction of the network.
#[derive(Debug)]
pub struct Link {
    direction: Direction,
    /// What the wire adds to each packet.
    headers_bytes: u32,
    mtu: Mtu,
    blackout: Timeline<bool>,
    blackout_fault: bool,
    drop_list: DropList,
    loss: Loss,
    loss_after_queue: bool,
    policer: Option<Policer>,
    policer_only_udp: bool,
    forged_tcp: bool,
    queue: Option<Queue>,
    delay: Delay,
    wander: Option<Wander>,
    jitter: Jitter,
    unordered: bool,
    /// The latest arrival so far.
    latest: Instant,
    reorder: Option<Reorder>,
    delay_list: DelayList,
    corrupt: Corrupt,
    corruption_fault: Corrupt,
    duplicate: Duplicate,
    duplicate_before_queue: bool,
    storm_fault: Duplicate,
    counters: Counters,
}

impl Link {
    /// A link as planned; every element throws its own dice.
    pub fn new(direction: Direction, plan: &LinkPlan, seed: Seed) -> Self {
        let dice = |element: &str| seed.stream(&format!("link.{}.{element}", direction.name()));
        let plan = plan.clone();
        Self {
            direction,
            headers_bytes: if plan.forged_tcp { FORGED_HEADERS_BYTES } else { HEADERS_BYTES },
            mtu: Mtu::new(plan.mtu_bytes),
            blackout: plan.blackout,
            blackout_fault: false,
            drop_list: DropList::new(plan.drop_packets),
            loss: Loss::new(&plan.loss, dice("loss")),
            loss_after_queue: plan.loss_after_queue,
            policer: plan.policer.map(Policer::new),
            policer_only_udp: plan.policer_only_udp,
            forged_tcp: plan.forged_tcp,
            queue: plan.queue.map(Queue::new),
            delay: Delay::new(plan.delay_us),
            wander: plan.wander.map(|plan| Wander::new(plan, dice("wander"))),
            jitter: Jitter::new(plan.jitter_us, dice("jitter")),
            unordered: plan.unordered,
            latest: Instant::ZERO,
            reorder: plan.reorder.map(|plan| Reorder::new(plan, dice("reorder"))),
            delay_list: DelayList::new(plan.delay_packets),
            corrupt: Corrupt::new(plan.corrupt_ppm, dice("corrupt")),
            corruption_fault: Corrupt::new(0.into(), dice("corruption")),
            duplicate: Duplicate::new(plan.duplicate_ppm, dice("duplicate")),
            duplicate_before_queue: plan.duplicate_before_queue,
            storm_fault: Duplicate::new(0.into(), dice("storm")),
            counters: Counters::default(),
        }
    }

    /// A fault: drops everything handed to the link until it is called with false. What is inside still arrives.
    pub const fn set_blackout(&mut self, dead: bool) {
        self.blackout_fault = dead;
    }

    /// A fault: doubles `ppm` of a million packets in addition to what is planned; zero ends it.
    pub fn set_duplicate_storm(&mut self, ppm: u32) {
        self.storm_fault.set_ppm(ppm);
    }

    /// A fault: flips bits of `ppm` of a million datagrams in addition to what is planned; zero ends it.
    pub fn set_corruption(&mut self, ppm: u32) {
        self.corruption_fault.set_ppm(ppm);
    }

    /// The same link for whole IP packets: what it is handed has its headers already, so none are added.
    #[must_use]
    pub fn for_ip_packets(mut self) -> Self {
        self.headers_bytes = 0;
        self
    }

    /// Takes a packet from the sender.
    pub fn send(&mut self, net: &mut Net, now: Instant, packet: PacketId) {
        let bytes = net.packets.len_bytes(packet) + self.headers_bytes;
        self.counters.sent_packets += 1;
        self.counters.sent_bytes += u64::from(bytes);
        let policed = !self.policer_only_udp || self.is_udp(&net.packets.packet(packet).bytes);
        if let Some((element, dropped)) = self.refusal(now, bytes, policed) {
            *dropped += 1;
            net.note(now, packet, Transit::Dropped(element));
            return net.packets.release(packet);
        }
        net.packets.delay(packet, self.delay_list.extra(self.counters.sent_packets));
        let doubled = self.duplicate_before_queue && self.duplicate.hits(now);
        let copy = doubled.then(|| net.packets.duplicate(packet));
        if let Some(copy) = copy {
            self.counters.duplicated_packets += 1;
            net.note(now, packet, Transit::Copied { copy, due: now });
        }
        std::iter::once(packet).chain(copy).for_each(|packet| self.enter(net, now, packet, bytes));
    }

    /// Takes a packet into the queue.
    fn enter(&mut self, net: &mut Net, now: Instant, packet: PacketId, bytes: u32) {
        let Some(queue) = &mut self.queue else { return self.propagate(net, now, packet) };
        match queue.offer(now, packet, bytes) {
            Offered::Full => {
                self.counters.dropped_queue += 1;
                net.note(now, packet, Transit::Dropped(Element::Queue));
                net.packets.release(packet);
            }
            Offered::Waits => {
                let peak = &mut self.counters.queue_peak_bytes;
                *peak = (*peak).max(queue.waiting_bytes());
                net.note(now, packet, Transit::Queued { queue_bytes: queue.waiting_bytes() });
            }
            Offered::Starts(done_at) => net.schedule.push(done_at, Event::Transmitted(self.direction)),
        }
    }

    /// Takes a packet from the adversary, which arrives at `due`.
    pub fn inject(&mut self, net: &mut Net, due: Instant, packet: PacketId) {
        self.counters.injected_packets += 1;
        net.schedule.push(due, Event::Deliver(self.direction, packet));
    }

    /// What an idle link adds to every packet at `now`, microseconds.
    pub fn idle_delay_us(&self, now: Instant) -> u64 {
        self.delay.us_at(now)
    }

    /// The transmitter finished a packet ([`Event::Transmitted`]).
    pub fn transmitted(&mut self, net: &mut Net, now: Instant) {
        let Some(queue) = &mut self.queue else { return };
        let dropped = &mut self.counters.dropped_codel;
        let (sent, next_done_at) = queue.finish(now, |packet| {
            *dropped += 1;
            net.note(now, packet, Transit::Dropped(Element::Codel));
            net.packets.release(packet);
        });
        if let Some(done_at) = next_done_at {
            net.schedule.push(done_at, Event::Transmitted(self.direction));
        }
        if let Some(packet) = sent {
            self.propagate(net, now, packet);
        }
    }

    /// The receiver got a packet of `datagram_bytes` ([`Event::Deliver`]).
    pub fn delivered(&mut self, datagram_bytes: u32) {
        self.counters.delivered_packets += 1;
        self.counters.delivered_bytes += u64::from(datagram_bytes + self.headers_bytes);
    }

    /// Bytes in front of the transmitter now.
    pub fn waiting_bytes(&self) -> u64 {
        self.queue.as_ref().map_or(0, Queue::waiting_bytes)
    }

    /// Totals so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether a packet is UDP: by its header, if it is a whole IPv4 packet.
    fn is_udp(&self, bytes: &[u8]) -> bool {
        const UDP: u8 = 17;
        match self.headers_bytes {
            0 => bytes.get(9) == Some(&UDP),
            _ => !self.forged_tcp,
        }
    }

    /// The first element before the queue that drops the next packet, and its counter.
    fn refusal(&mut self, now: Instant, bytes: u32, policed: bool) -> Option<(Element, &mut u64)> {
        let counters = &mut self.counters;
        if !self.mtu.fits(now, bytes) {
            return Some((Element::Mtu, &mut counters.dropped_mtu));
        }
        if self.blackout_fault || self.blackout.at(now) {
            return Some((Element::Blackout, &mut counters.dropped_blackout));
        }
        if self.drop_list.hits(counters.sent_packets) {
            return Some((Element::List, &mut counters.dropped_list));
        }
        if !self.loss_after_queue && self.loss.drops(now) {
            return Some((Element::Loss, &mut counters.dropped_loss));
        }
        let policer = self.policer.as_mut().filter(|_| policed)?;
        let passes = policer.passes(now, bytes);
        counters.penalties = policer.penalties();
        if passes { None } else { Some((Element::Policer, &mut counters.dropped_policer)) }
    }

    /// What happens to a packet that left the transmitter.
    fn propagate(&mut self, net: &mut Net, now: Instant, packet: PacketId) {
        if self.loss_after_queue && self.loss.drops(now) {
            self.counters.dropped_loss += 1;
            net.note(now, packet, Transit::Dropped(Element::Loss));
            return net.packets.release(packet);
        }
        let reordered_before = self.counters.reordered_packets;
        let at = self.arrival(now, net.packets.packet(packet).extra);
        self.damage(net, now, packet);
        if net.recorder.is_some() {
            let held_back = self.counters.reordered_packets > reordered_before;
            net.note(now, packet, self.departure(at, held_back, net.packets.packet(packet).damaged));
        }
        net.schedule.push(at, Event::Deliver(self.direction, packet));
        let doubled = !self.duplicate_before_queue && self.duplicate.hits(now);
        let copies = u32::from(doubled) + u32::from(self.storm_fault.hits(now));
        for _ in 0..copies {
            self.counters.duplicated_packets += 1;
            let copy = net.packets.duplicate(packet);
            net.note(now, packet, Transit::Copied { copy, due: at });
            net.schedule.push(at, Event::Deliver(self.direction, copy));
        }
    }

    fn departure(&self, due: Instant, held_back: bool, damaged: bool) -> Transit {
        let queue_bytes = self.queue.as_ref().map_or(0, Queue::waiting_bytes);
        Transit::Left { due, queue_bytes, held_back, damaged }
    }

    /// When a packet arrives that is on the list with `listed` more than the others have.
    fn arrival(&mut self, now: Instant, listed: Duration) -> Instant {
        if self.unordered {
            return self.own_arrival(now, listed);
        }
        let mut undisturbed = self.delay.arrival(now);
        if let Some(wander) = &mut self.wander {
            undisturbed = wander.arrival(now, undisturbed);
        }
        let held_back = self.reorder.as_mut().and_then(|reorder| reorder.hold_back(now, undisturbed));
        self.counters.reordered_packets += u64::from(held_back.is_some() || !listed.is_zero());
        held_back.unwrap_or_else(|| self.jitter.arrival(now, undisturbed)) + listed
    }

    /// The same where packets do not hold up each other.
    fn own_arrival(&mut self, now: Instant, listed: Duration) -> Instant {
        let wander = self.wander.as_mut().map_or(Duration::ZERO, |wander| wander.extra(now));
        let undisturbed = now + Duration::from_micros(self.delay.us_at(now)) + wander;
        let held_back = self.reorder.as_mut().and_then(|reorder| reorder.hold_back(now, undisturbed));
        let at = held_back.unwrap_or_else(|| undisturbed + self.jitter.extra(now)) + listed;
        self.counters.reordered_packets += u64::from(at < self.latest);
        self.latest = self.latest.max(at);
        at
    }

    fn damage(&mut self, net: &mut Net, now: Instant, packet: PacketId) {
        for element in [&mut self.corrupt, &mut self.corruption_fault] {
            if element.hits(now) {
                self.counters.corrupted_packets += 1;
                net.packets.damage(packet, |datagram| element.damage(datagram));
            }
        }
    }
}
