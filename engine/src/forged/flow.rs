//! Sequence, acknowledgement and window numbers of one flow.
//!
//! Connection trackers accept a segment up to the largest acknowledgement plus window that the other side announced, and not
//! too far behind. No lost bytes are sent again, so the numbers only have to stay inside these bounds (kcptun-tcp.md
//! section 9).

use super::packet::{Flags, Segment};
use super::variant::Variant;
use crate::time::{Instant, diff};
use core::time::Duration;

/// The window of every segment.
pub const WINDOW: u16 = 65_535;

/// Window scale offered in a SYN: 64 MiB with [`WINDOW`], more than a bandwidth-delay product needs.
pub const WINDOW_SCALE: u8 = 10;

/// Numbers farther away than this belong to another connection of the same addresses.
const RANGE: u32 = 1 << 27;

/// An acknowledgement that stands still for this long while data is outstanding is that of a receiver that waits for the bytes
/// after a loss (the minimum retransmission timeout of RFC 6298).
const STALL: Duration = Duration::from_secs(1);

/// A conversation that did not advance for this long may have the wrong numbers, so that replays count, too (FTCP-19).
const STANDSTILL: Duration = Duration::from_secs(1);

/// The header fields of a segment that carried a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Sequence number of its first byte.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Window as sent.
    pub window: u16,
    /// Bytes of the datagram.
    pub len: u32,
    /// The sender, as far as a single segment shows it.
    pub variant: Variant,
}

impl Arrival {
    /// That of a segment with a datagram.
    pub fn of(segment: &Segment<'_>) -> Self {
        let len = segment.payload.len() as u32;
        let Segment { seq, ack, window, .. } = *segment;
        Self { seq, ack, window, len, variant: Variant::of_data(segment) }
    }
}

/// The numbers of a segment to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// IPv4 identification.
    pub id: u16,
}

/// One flow, from this side's view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Of the next segment.
    seq: u32,
    /// Highest end that was sent.
    sent_end: u32,
    /// Highest end that was received; what every segment acknowledges (FTCP-4).
    ack: u32,
    /// The peer's last acknowledgement.
    peer_ack: u32,
    /// When it last moved, or when nothing was outstanding.
    moved_at: Instant,
    /// Largest acknowledgement plus window of the peer: how far connection trackers let this side send.
    edge: u32,
    /// Scale of the peer's windows, if both SYNs had one.
    peer_scale: u8,
    id: u16,
    variant: Variant,
    heard_at: Instant,
    /// When a datagram last advanced the conversation.
    advanced_at: Instant,
    /// The numbers come from such a datagram.
    proven: bool,
    /// First number and window scale of a SYN that came in this flow. Anyone can send one, so it only counts once a datagram
    /// that was opened begins there.
    offered: Option<(u32, u8)>,
}

impl Flow {
    /// After a handshake: `seq` and `ack` are the first numbers to use; `window` is that of the peer's SYN, which is never scaled.
    pub fn new(
        now: Instant,
        seq: u32,
        ack: u32,
        window: u16,
        peer_scale: Option<u8>,
        variant: Variant,
    ) -> Self {
        Self {
            seq,
            sent_end: seq,
            ack,
            peer_ack: seq,
            moved_at: now,
            edge: seq.wrapping_add(u32::from(window)),
            peer_scale: peer_scale.unwrap_or(0),
            // Any start will do, and this one needs no further randomness.
            id: seq as u16,
            variant,
            heard_at: now,
            advanced_at: now,
            proven: true,
            offered: None,
        }
    }

    /// From a segment whose datagram was opened, whatever was before: continues with the numbers that the peer expects.
    /// `advanced` as in [`Flow::handle`].
    pub fn from_arrival(now: Instant, arrival: &Arrival, peer_scale: Option<u8>, advanced: bool) -> Self {
        let end = arrival.seq.wrapping_add(arrival.len);
        let flow = Self::new(now, arrival.ack, end, 0, peer_scale, arrival.variant);
        let mut flow = Self { proven: advanced, ..flow };
        flow.widen(arrival);
        flow
    }

    /// Takes the numbers of a segment whose datagram was opened, and returns whether it did. One that did not advance the
    /// conversation may be a replay under other numbers: it only counts at a standstill, and until the next one that does
    /// (FTCP-4, FTCP-5, FTCP-8, FTCP-19).
    pub fn handle(&mut self, now: Instant, arrival: &Arrival, advanced: bool) -> bool {
        if !advanced && now.since(self.advanced_at) < STANDSTILL {
            return false;
        }
        if advanced && !self.proven {
            let offered = self.offered;
            *self = Self { offered, ..Self::from_arrival(now, arrival, Some(self.peer_scale), true) };
        }
        self.proven = advanced;
        if advanced {
            self.advanced_at = now;
        }
        self.take(now, arrival);
        true
    }

    fn take(&mut self, now: Instant, arrival: &Arrival) {
        self.heard_at = now;
        self.variant = arrival.variant;
        self.take_offer(arrival);
        let end = arrival.seq.wrapping_add(arrival.len);
        if is_behind(self.ack, end) || distance(self.ack, end) > RANGE {
            self.ack = end;
        }
        if distance(arrival.ack, self.sent_end) > RANGE {
            (self.seq, self.sent_end, self.peer_ack) = (arrival.ack, arrival.ack, arrival.ack);
            (self.edge, self.moved_at) = (arrival.ack, now);
        } else if is_behind(self.sent_end, arrival.ack) {
            // Acknowledges what was never sent.
            return;
        }
        if arrival.ack != self.peer_ack || arrival.ack == self.sent_end {
            self.moved_at = now;
        }
        self.peer_ack = arrival.ack;
        self.widen(arrival);
    }

    /// Notes a SYN of the peer; returns the numbers of the answer, with which this side goes on where it is (FTCP-9).
    pub(super) fn offer(&mut self, start: u32, scale: Option<u8>) -> Numbers {
        self.offered = Some((start, scale.unwrap_or(0)));
        self.seq = self.sent_end;
        let numbers = self.numbers();
        Numbers { seq: numbers.seq.wrapping_sub(1), ack: start, ..numbers }
    }

    fn take_offer(&mut self, arrival: &Arrival) {
        let Some((start, scale)) = self.offered else { return };
        if arrival.seq.wrapping_sub(start) <= u32::from(WINDOW) {
            (self.offered, self.peer_scale) = (None, scale);
            (self.ack, self.edge) = (start, arrival.ack);
        }
    }

    fn widen(&mut self, arrival: &Arrival) {
        let edge = arrival.ack.wrapping_add(u32::from(arrival.window) << self.peer_scale);
        if is_behind(self.edge, edge) {
            self.edge = edge;
        }
    }

    /// The numbers of the next datagram. Returns to the peer's acknowledgement where it would leave the window (FTCP-5), and
    /// when that has stood still (FTCP-6): a tcpraw receiver only moves on with the segment that begins there.
    pub fn next(&mut self, now: Instant, len: usize) -> Numbers {
        let len = len as u32;
        if self.sent_end == self.peer_ack {
            self.moved_at = now;
        }
        let stalled = now.since(self.moved_at) >= STALL;
        if stalled || is_behind(self.edge, self.seq.wrapping_add(len)) {
            (self.seq, self.moved_at) = (self.peer_ack, now);
        }
        let numbers = self.numbers();
        self.seq = self.seq.wrapping_add(len);
        if is_behind(self.sent_end, self.seq) {
            self.sent_end = self.seq;
        }
        numbers
    }

    /// The numbers of a segment without data.
    pub fn numbers(&mut self) -> Numbers {
        self.id = self.id.wrapping_add(1);
        Numbers { seq: self.seq, ack: self.ack, id: self.id }
    }

    /// Those of a SYN that renews the flow: its data goes on where it was (FTCP-9).
    pub(super) fn renewal(&mut self) -> Numbers {
        self.seq = self.sent_end;
        let numbers = self.numbers();
        Numbers { seq: numbers.seq.wrapping_sub(1), ack: 0, ..numbers }
    }

    /// Highest end that was received: where the peer's next segment begins.
    pub const fn ack(&self) -> u32 {
        self.ack
    }

    /// When the peer was last heard.
    pub const fn heard_at(&self) -> Instant {
        self.heard_at
    }

    /// Which program the peer is.
    pub const fn variant(&self) -> Variant {
        self.variant
    }

    /// How far the peer lets this side send: sequence number of the first byte after the window.
    pub const fn edge(&self) -> u32 {
        self.edge
    }
}

/// Whether `a` comes before `b` in the number circle.
const fn is_behind(a: u32, b: u32) -> bool {
    diff(a, b) < 0
}

/// The shorter way between two numbers.
const fn distance(a: u32, b: u32) -> u32 {
    diff(a, b).unsigned_abs()
}

/// Flags of every segment with a datagram (FTCP-1).
pub const DATA: Flags = Flags::PSH.and(Flags::ACK);
