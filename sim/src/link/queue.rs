use super::codel::{Codel, Leaving};
use crate::ids::PacketId;
use crate::plan::{QueuePlan, Timeline};
use engine::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// What became of a packet offered to a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// Its last bit will be sent at that time; [`Queue::finish`] must be called then.
    Starts(Instant),
    /// It waits behind others.
    Waits,
    /// There was no room.
    Full,
}

/// The queue element with its state.
#[derive(Debug)]
pub struct Queue {
    plan: Timeline<QueuePlan>,
    codel: Codel,
    on_wire: Option<PacketId>,
    waiting: VecDeque<Waiting>,
    waiting_bytes: u64,
    /// Part of a microsecond by which the transmitter is late, in units of 1 / `bits_per_s` microseconds, so that the
    /// rate is exact over a busy period.
    late: u64,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    packet: PacketId,
    bytes: u32,
    since: Instant,
}

impl Queue {
    /// An idle transmitter.
    pub fn new(plan: Timeline<QueuePlan>) -> Self {
        let (codel, waiting) = (Codel::default(), VecDeque::new());
        Self { plan, codel, on_wire: None, waiting, waiting_bytes: 0, late: 0 }
    }

    /// Takes a packet of `bytes`.
    pub fn offer(&mut self, now: Instant, packet: PacketId, bytes: u32) -> Offered {
        let plan = self.plan.at(now);
        if self.on_wire.is_none() {
            self.late = 0;
            return Offered::Starts(self.start(now, packet, bytes));
        }
        let fits = self.waiting_bytes + u64::from(bytes) <= plan.bytes_max
            && (self.waiting.len() as u64) < plan.packets_max;
        if !fits {
            return Offered::Full;
        }
        self.waiting.push_back(Waiting { packet, bytes, since: now });
        self.waiting_bytes += u64::from(bytes);
        Offered::Waits
    }

    /// The packet whose last bit was just sent, and when the next one will be done. What CoDel drops on the way goes to
    /// `drop`.
    pub fn finish(
        &mut self,
        now: Instant,
        mut drop: impl FnMut(PacketId),
    ) -> (Option<PacketId>, Option<Instant>) {
        let sent = self.on_wire.take();
        let plan = self.plan.at(now);
        let (waiting, waiting_bytes) = (&mut self.waiting, &mut self.waiting_bytes);
        let mut pop = || {
            let head = waiting.pop_front()?;
            *waiting_bytes -= u64::from(head.bytes);
            Some(Leaving { packet: head, queued_at: head.since, behind_bytes: *waiting_bytes })
        };
        let next = match plan.codel {
            Some(codel) => self.codel.dequeue(codel, now, pop, |head| drop(head.packet)),
            None => pop().map(|leaving| leaving.packet),
        };
        (sent, next.map(|head| self.start(now, head.packet, head.bytes)))
    }

    /// Bytes waiting now.
    pub const fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes
    }

    fn start(&mut self, now: Instant, packet: PacketId, bytes: u32) -> Instant {
        self.on_wire = Some(packet);
        let has_rate = |plan: QueuePlan| plan.bits_per_s > 0;
        // Scenario files end no schedule with rate 0.
        let Some((at, QueuePlan { bits_per_s, .. })) = self.plan.first(now, has_rate) else {
            return Instant::from_micros(u64::MAX);
        };
        if at > now {
            self.late = 0;
        }
        let work = u64::from(bytes) * 8 * 1_000_000 + self.late;
        self.late = work % bits_per_s;
        at + Duration::from_micros(work / bits_per_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Packets;

    fn plan(bits_per_s: u64) -> Timeline<QueuePlan> {
        QueuePlan { bits_per_s, bytes_max: 10_000, packets_max: 4, codel: None }.into()
    }

    #[test]
    fn drops_at_the_tail_by_packets_and_by_bytes() {
        let mut packets = Packets::default();
        let mut offer = |queue: &mut Queue, bytes| queue.offer(Instant::ZERO, packets.insert(b""), bytes);
        let mut by_packets = Queue::new(plan(1_000_000));
        assert_eq!(offer(&mut by_packets, 1_000), Offered::Starts(Instant::from_millis(8)));
        (0..4).for_each(|_| assert_eq!(offer(&mut by_packets, 100), Offered::Waits));
        assert_eq!(offer(&mut by_packets, 1), Offered::Full);
        let mut by_bytes = Queue::new(plan(1_000_000));
        assert_eq!(offer(&mut by_bytes, 1_000), Offered::Starts(Instant::from_millis(8)));
        assert_eq!(offer(&mut by_bytes, 9_000), Offered::Waits);
        assert_eq!(offer(&mut by_bytes, 1_001), Offered::Full);
        assert_eq!(offer(&mut by_bytes, 1_000), Offered::Waits);
        assert_eq!(by_bytes.waiting_bytes(), 10_000);
    }

    /// 1 Gbit/s: 1000 bytes take 8 us, 1001 take 8.008 us; the fractions must not be lost over a busy period.
    #[test]
    fn the_rate_is_exact_over_a_busy_period() {
        let mut packets = Packets::default();
        let mut queue = Queue::new(plan(1_000_000_000));
        let Offered::Starts(mut at) = queue.offer(Instant::ZERO, packets.insert(b""), 1_001) else {
            panic!()
        };
        for _ in 1..100_000 {
            queue.offer(at, packets.insert(b""), 1_001);
            at = queue.finish(at, |_| unreachable!()).1.unwrap();
        }
        assert_eq!(at, Instant::from_micros(800_800));
        assert!(queue.finish(at, |_| unreachable!()).0.is_some());
        assert_eq!(queue.finish(at, |_| unreachable!()), (None, None));
    }
}
