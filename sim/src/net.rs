//! The event queue and the packet buffers, shared by all parts of a run.

use crate::ids::{PacketId, Stranger};
use crate::record::{Injected, Recorder, Transit};
use crate::{Direction, Side, trace};
use engine::Instant;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Event queue and packets of one run.
#[derive(Debug, Default)]
pub struct Net {
    /// Pending events.
    pub schedule: Schedule,
    /// The bytes of packets on their way.
    pub packets: Packets,
    /// Records events; `None` in runs that are not recorded.
    pub recorder: Option<Box<Recorder>>,
}

impl Net {
    /// Records what happens to a packet, if the run is recorded.
    pub fn note(&mut self, now: Instant, packet: PacketId, transit: Transit) {
        if let Some(recorder) = &mut self.recorder {
            recorder.transit(now, packet, transit);
        }
    }

    /// Passes a datagram of the adversary to the recorder, if there is one.
    pub fn note_injected(&mut self, now: Instant, injected: Injected) {
        if let Some(recorder) = &mut self.recorder {
            recorder.injected(now, injected);
        }
    }
}

/// A pending event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// The link's transmitter has sent the last bit of a packet.
    Transmitted(Direction),
    /// A packet reaches the receiving side.
    Deliver(Direction, PacketId),
    /// The workload of that index starts.
    Tick(usize),
    /// A timer of a workload expires.
    Wake {
        /// Its index.
        work: usize,
        /// Where.
        side: Side,
        /// The tag given to [`Port::wake_at`](crate::transport::Port::wake_at).
        tag: u64,
    },
    /// That side's process goes on with what it could not do.
    Resume(Side),
    /// The fault of that index begins.
    Fault(usize),
    /// It is healed.
    Healed(usize),
    /// The sources stop offering new bytes.
    Stop,
    /// Everything must have arrived by now.
    Limit,
}

/// The key that orders events: time, then the order in which they were scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// When.
    pub at: Instant,
    /// How many events were scheduled before it.
    pub seq: u64,
}

impl Key {
    /// Both as one number, which compares without a branch.
    const fn rank(self) -> u128 {
        (self.at.as_micros() as u128) << 64 | self.seq as u128
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

/// An event in the heap, the earliest on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Scheduled(Key, Event);

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.cmp(&self.0)
    }
}

/// A binary heap of events ordered by [`Key`].
#[derive(Debug, Default)]
pub struct Schedule {
    heap: BinaryHeap<Scheduled>,
    next_seq: u64,
}

impl Schedule {
    /// Lets `event` happen at `at`, after everything already scheduled for that instant.
    pub fn push(&mut self, at: Instant, event: Event) {
        let key = self.key(at);
        self.heap.push(Scheduled(key, event));
    }

    /// A key of the same order for something kept outside of the heap, such as a timer that is moved often.
    pub fn key(&mut self, at: Instant) -> Key {
        let seq = self.next_seq;
        self.next_seq += 1;
        Key { at, seq }
    }

    /// Key of the next event.
    pub fn peek(&self) -> Option<Key> {
        self.heap.peek().map(|Scheduled(key, _)| *key)
    }

    /// Takes the next event.
    pub fn pop(&mut self) -> Option<(Instant, Event)> {
        self.heap.pop().map(|Scheduled(key, event)| (key.at, event))
    }
}

/// A datagram on its way, and the hash of its bytes.
#[derive(Debug, Default)]
pub struct Packet {
    /// The datagram, the UDP payload.
    pub bytes: Vec<u8>,
    /// [`trace::digest`] of `bytes`.
    pub digest: u64,
    /// The bytes are not the ones that were sent.
    pub damaged: bool,
    /// Opaque to the network; returned to the transport on delivery. 0 by default.
    pub tag: u64,
    /// Delay in addition to that of the link.
    pub extra: Duration,
    /// The session that it belongs to, by the client's dial; 0 unless marked.
    pub session: u32,
    /// The adversary's address at the end of the path where the other packets have a host's: the source of what it injects,
    /// and the destination of what the server sends to it.
    pub stranger: Option<Stranger>,
}

/// A slab of packets that reuses its buffers.
#[derive(Debug, Default)]
pub struct Packets {
    slots: Vec<Packet>,
    free: Vec<PacketId>,
}

impl Packets {
    /// Copies `datagram` into a buffer.
    pub fn insert(&mut self, datagram: &[u8]) -> PacketId {
        self.insert_tagged(datagram, 0)
    }

    /// As [`Packets::insert`], with a tag that copies of the packet have, too.
    pub fn insert_tagged(&mut self, datagram: &[u8], tag: u64) -> PacketId {
        self.fill(datagram, trace::digest(datagram), tag)
    }

    /// A second packet with the same bytes.
    pub fn duplicate(&mut self, id: PacketId) -> PacketId {
        let original = std::mem::take(&mut self.slots[id.0 as usize]);
        let copy = self.fill(&original.bytes, original.digest, original.tag);
        self.slots[copy.0 as usize].damaged = original.damaged;
        self.mark(copy, original.session, original.stranger);
        self.slots[id.0 as usize] = original;
        copy
    }

    /// Changes the bytes of a datagram on its way.
    pub fn damage(&mut self, id: PacketId, change: impl FnOnce(&mut [u8])) {
        let packet = &mut self.slots[id.0 as usize];
        change(&mut packet.bytes);
        packet.digest = trace::digest(&packet.bytes);
        packet.damaged = true;
    }

    /// Lets its link add `extra` to the delay that others have, and to what was added before.
    pub fn delay(&mut self, id: PacketId, extra: Duration) {
        self.slots[id.0 as usize].extra += extra;
    }

    /// Replaces the tag.
    pub fn retag(&mut self, id: PacketId, tag: u64) {
        self.slots[id.0 as usize].tag = tag;
    }

    /// Notes the session that a packet belongs to, and the adversary's address if it has one.
    pub fn mark(&mut self, id: PacketId, session: u32, stranger: Option<Stranger>) {
        let packet = &mut self.slots[id.0 as usize];
        (packet.session, packet.stranger) = (session, stranger);
    }

    /// The packet itself.
    pub fn packet(&self, id: PacketId) -> &Packet {
        &self.slots[id.0 as usize]
    }

    /// Bytes of the datagram.
    pub fn len_bytes(&self, id: PacketId) -> u32 {
        self.packet(id).bytes.len() as u32
    }

    /// Lends the packet out, to be given back by [`Packets::restore`].
    pub fn take(&mut self, id: PacketId) -> Packet {
        std::mem::take(&mut self.slots[id.0 as usize])
    }

    /// Gives the buffer of a packet that was taken back for reuse.
    pub fn restore(&mut self, id: PacketId, packet: Packet) {
        self.slots[id.0 as usize] = packet;
        self.release(id);
    }

    /// Forgets the packet; its buffer is reused.
    pub fn release(&mut self, id: PacketId) {
        self.free.push(id);
    }

    /// Packets held now.
    pub fn live(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn fill(&mut self, datagram: &[u8], digest: u64, tag: u64) -> PacketId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Packet::default());
            PacketId(self.slots.len() as u32 - 1)
        });
        let packet = &mut self.slots[id.0 as usize];
        packet.bytes.clear();
        packet.bytes.extend_from_slice(datagram);
        packet.digest = digest;
        packet.damaged = false;
        packet.tag = tag;
        packet.extra = Duration::ZERO;
        (packet.session, packet.stranger) = (0, None);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_then_by_order_of_scheduling() {
        let mut schedule = Schedule::default();
        schedule.push(Instant::from_micros(5), Event::Transmitted(Direction::Down));
        schedule.push(Instant::from_micros(3), Event::Stop);
        schedule.push(Instant::from_micros(5), Event::Transmitted(Direction::Up));
        let order: Vec<_> =
            std::iter::from_fn(|| schedule.pop()).map(|(at, e)| (at.as_micros(), e)).collect();
        assert_eq!(
            order,
            [
                (3, Event::Stop),
                (5, Event::Transmitted(Direction::Down)),
                (5, Event::Transmitted(Direction::Up)),
            ]
        );
    }

    #[test]
    fn packets_are_copied_counted_and_reused() {
        let mut packets = Packets::default();
        let first = packets.insert_tagged(b"abc", 7);
        let copy = packets.duplicate(first);
        assert_eq!((packets.packet(first).bytes.as_slice(), packets.live()), (&b"abc"[..], 2));
        assert_eq!(packets.packet(copy).digest, packets.packet(first).digest);
        assert_eq!(packets.packet(copy).tag, 7);
        packets.release(first);
        assert_eq!((packets.live(), packets.packet(copy).bytes.as_slice()), (1, &b"abc"[..]));
        assert_eq!(packets.insert(b"d"), first);
        assert_eq!(packets.packet(first).tag, 0);
    }
}
