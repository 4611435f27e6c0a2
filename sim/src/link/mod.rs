//! One direction of the network: mtu, blackout, loss, queue and rate, delay, jitter, reordering, corruption, duplication,
//! in that order.

mod corrupt;
mod delay;
mod duplicate;
mod jitter;
mod loss;
mod mtu;
mod queue;
mod reorder;

pub use corrupt::Corrupt;
pub use duplicate::Duplicate;
pub use jitter::Jitter;
pub use loss::{Loss, LossPlan};
pub use mtu::Mtu;
pub use queue::{Offered, Queue, QueuePlan};
pub use reorder::{Reorder, ReorderPlan};

use crate::Direction;
use crate::net::{Event, Net, PacketId};
use crate::rng::Seed;
use delay::Delay;
use engine::Instant;

/// Bytes an IPv4 and a UDP header add to a datagram on the wire; rate, queue, mtu and byte counts include them.
pub const HEADERS_BYTES: u32 = 28;

/// What a link does to packets. The default is a perfect link: nothing lost, no delay, any rate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkPlan {
    /// Larger IP packets are dropped, bytes.
    pub mtu_bytes: Option<u32>,
    /// Random loss before the queue.
    pub loss: LossPlan,
    /// Transmitter and the queue before it; `None` is infinitely fast.
    pub queue: Option<QueuePlan>,
    /// Propagation delay, microseconds.
    pub delay_us: u64,
    /// Largest extra delay, uniform from zero, microseconds; packets stay in order.
    pub jitter_us: u64,
    /// Packets held back so that later ones overtake them.
    pub reorder: Option<ReorderPlan>,
    /// Packets that arrive twice, parts per million.
    pub duplicate_ppm: u32,
    /// Datagrams with flipped bits, parts per million.
    pub corrupt_ppm: u32,
}

/// Totals of one link. Bytes include [`HEADERS_BYTES`] per packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets handed to the link.
    pub sent_packets: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Packets handed to the receiver.
    pub delivered_packets: u64,
    /// Their bytes.
    pub delivered_bytes: u64,
    /// Extra copies made.
    pub duplicated_packets: u64,
    /// Packets held back by the reorder element.
    pub reordered_packets: u64,
    /// Packets delivered with flipped bits; copies of one count once.
    pub corrupted_packets: u64,
    /// Dropped because they were larger than the mtu.
    pub dropped_mtu: u64,
    /// Dropped because the link was dead.
    pub dropped_blackout: u64,
    /// Dropped by the loss element.
    pub dropped_loss: u64,
    /// Dropped because the queue was full.
    pub dropped_queue: u64,
    /// Most bytes that ever waited in the queue.
    pub queue_peak_bytes: u64,
}

impl Counters {
    /// Packets dropped by any element.
    pub const fn dropped(&self) -> u64 {
        self.dropped_mtu + self.dropped_blackout + self.dropped_loss + self.dropped_queue
    }

    /// Packets that must still be inside the link: in = delivered + dropped + in flight. `None` when more came out
    /// than went in.
    pub const fn in_flight(&self) -> Option<u64> {
        (self.sent_packets + self.duplicated_packets).checked_sub(self.delivered_packets + self.dropped())
    }
}

/// One direction of the network.
#[derive(Debug)]
pub struct Link {
    direction: Direction,
    /// What the wire adds to each packet.
    headers_bytes: u32,
    mtu: Mtu,
    loss: Loss,
    queue: Option<Queue>,
    delay: Delay,
    jitter: Jitter,
    reorder: Option<Reorder>,
    corrupt: Corrupt,
    corruption: Corrupt,
    duplicate: Duplicate,
    storm: Duplicate,
    blackout: bool,
    counters: Counters,
}

impl Link {
    /// A link as planned; every element throws its own dice.
    pub fn new(direction: Direction, plan: &LinkPlan, seed: Seed) -> Self {
        let dice = |element: &str| seed.stream(&format!("link.{}.{element}", direction.name()));
        Self {
            direction,
            headers_bytes: HEADERS_BYTES,
            mtu: Mtu::new(plan.mtu_bytes),
            loss: Loss::new(plan.loss, dice("loss")),
            queue: plan.queue.map(Queue::new),
            delay: Delay::new(plan.delay_us),
            jitter: Jitter::new(plan.jitter_us, dice("jitter")),
            reorder: plan.reorder.map(|plan| Reorder::new(plan, dice("reorder"))),
            corrupt: Corrupt::new(plan.corrupt_ppm, dice("corrupt")),
            corruption: Corrupt::new(0, dice("corruption")),
            duplicate: Duplicate::new(plan.duplicate_ppm, dice("duplicate")),
            storm: Duplicate::new(0, dice("storm")),
            blackout: false,
            counters: Counters::default(),
        }
    }

    /// A fault: drops everything handed to the link until it is called with false. What is inside still arrives.
    pub const fn set_blackout(&mut self, dead: bool) {
        self.blackout = dead;
    }

    /// A fault: doubles `ppm` of a million packets in addition to what is planned; zero ends it.
    pub fn set_duplicate_storm(&mut self, ppm: u32) {
        self.storm.set_ppm(ppm);
    }

    /// A fault: flips bits of `ppm` of a million datagrams in addition to what is planned; zero ends it.
    pub fn set_corruption(&mut self, ppm: u32) {
        self.corruption.set_ppm(ppm);
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
        if !self.mtu.fits(bytes) {
            self.counters.dropped_mtu += 1;
            return net.packets.release(packet);
        }
        if self.blackout {
            self.counters.dropped_blackout += 1;
            return net.packets.release(packet);
        }
        if self.loss.drops() {
            self.counters.dropped_loss += 1;
            return net.packets.release(packet);
        }
        let Some(queue) = &mut self.queue else { return self.propagate(net, now, packet) };
        match queue.offer(now, packet, bytes) {
            Offered::Full => {
                self.counters.dropped_queue += 1;
                net.packets.release(packet);
            }
            Offered::Waits => {
                let peak = &mut self.counters.queue_peak_bytes;
                *peak = (*peak).max(queue.waiting_bytes());
            }
            Offered::Starts(done_at) => net.schedule.push(done_at, Event::Transmitted(self.direction)),
        }
    }

    /// The transmitter finished a packet ([`Event::Transmitted`]).
    pub fn transmitted(&mut self, net: &mut Net, now: Instant) {
        let Some(queue) = &mut self.queue else { return };
        let (sent, next_done_at) = queue.finish(now);
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

    /// Totals so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Delay, jitter, reordering, corruption and duplication of a packet that left the transmitter.
    fn propagate(&mut self, net: &mut Net, now: Instant, packet: PacketId) {
        let undisturbed = self.delay.arrival(now);
        let held_back = self.reorder.as_mut().and_then(|reorder| reorder.hold_back(undisturbed));
        self.counters.reordered_packets += u64::from(held_back.is_some());
        let at = held_back.unwrap_or_else(|| self.jitter.arrival(undisturbed));
        self.damage(net, packet);
        net.schedule.push(at, Event::Deliver(self.direction, packet));
        let copies = u32::from(self.duplicate.hits()) + u32::from(self.storm.hits());
        for _ in 0..copies {
            self.counters.duplicated_packets += 1;
            let copy = net.packets.duplicate(packet);
            net.schedule.push(at, Event::Deliver(self.direction, copy));
        }
    }
    fn damage(&mut self, net: &mut Net, packet: PacketId) {
        for element in [&mut self.corrupt, &mut self.corruption] {
            if element.hits() {
                self.counters.corrupted_packets += 1;
                net.packets.damage(packet, |datagram| element.damage(datagram));
            }
        }
    }
}
