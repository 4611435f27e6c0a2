//! One link under a steady stream of numbered packets.

use engine::Instant;
use sim::Direction;
use sim::link::Link;
use sim::net::{Event, Net};
use sim::outcome::Counters;
use sim::plan::{HEADERS_BYTES, LinkPlan};
use sim::rng::Seed;

/// UDP payload of every packet; with its headers a packet has 1000 bytes.
pub(crate) const DATAGRAM_BYTES: usize = 1_000 - HEADERS_BYTES as usize;

/// A packet delivered by the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Time of delivery, microseconds.
    pub(crate) at_us: u64,
    /// When it was sent, microseconds.
    pub(crate) sent_us: u64,
    /// Which one it is; the first one has number 0.
    pub(crate) number: u64,
    /// Number of bits that differ from the packet sent.
    pub(crate) flipped: u32,
}

impl Arrival {
    /// Time it spent in the link, microseconds.
    pub(crate) fn delay_us(&self) -> u64 {
        self.at_us - self.sent_us
    }
}

/// Sends `packets` packets, one every `gap_us`; returns the deliveries and counters. Asserts conservation throughout.
pub(crate) fn play(plan: &LinkPlan, seed: u64, packets: u64, gap_us: u64) -> (Vec<Arrival>, Counters) {
    let mut net = Net::default();
    let mut link = Link::new(Direction::Down, plan, Seed(seed));
    if packets > 0 {
        net.schedule.push(Instant::ZERO, Event::Tick(0));
    }
    let mut arrivals = Vec::new();
    while let Some((now, event)) = net.schedule.pop() {
        match event {
            Event::Tick(n) => {
                let packet = net.packets.insert_tagged(&[0; DATAGRAM_BYTES], n as u64);
                link.send(&mut net, now, packet);
                if (n as u64) + 1 < packets {
                    net.schedule.push(Instant::from_micros((n as u64 + 1) * gap_us), Event::Tick(n + 1));
                }
            }
            Event::Transmitted(_) => link.transmitted(&mut net, now),
            Event::Deliver(_, id) => {
                let packet = net.packets.packet(id);
                let flipped = packet.bytes.iter().map(|byte| byte.count_ones()).sum();
                let (number, sent_us) = (packet.tag, packet.tag * gap_us);
                arrivals.push(Arrival { at_us: now.as_micros(), sent_us, number, flipped });
                link.delivered(DATAGRAM_BYTES as u32);
                net.packets.release(id);
            }
            other => unreachable!("{other:?}"),
        }
        assert_eq!(link.counters().in_flight(), Some(net.packets.live() as u64));
    }
    assert_eq!(net.packets.live(), 0);
    (arrivals, *link.counters())
}

/// The numbers of the packets in order of delivery.
pub(crate) fn numbers(arrivals: &[Arrival]) -> Vec<u64> {
    arrivals.iter().map(|arrival| arrival.number).collect()
}

/// Number of delivered packets among those numbers.
pub(crate) fn arrived(arrivals: &[Arrival], range: std::ops::Range<u64>) -> u64 {
    arrivals.iter().filter(|arrival| range.contains(&arrival.number)).count() as u64
}

/// Whether the measured value is within `percent` of the expected one.
pub(crate) fn is_near(measured: u64, asked: u64, percent: u64) -> bool {
    measured.abs_diff(asked) * 100 <= asked * percent
}
