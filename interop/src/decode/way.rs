//! One direction of a conversation: segments, acknowledgements, order.

use super::bytes::Bytes;
use super::facts::{InOrder, SeenFrame, SeenSegment, Totals};
use engine::Cause;
use engine::arq::{Command, Header};
use engine::time::diff;
use sim::record::{self, Again, Segment};
use std::collections::{BTreeMap, VecDeque};

/// Segments below the newest one whose transmissions are remembered.
const REMEMBERED: u64 = 65_536;

/// Acknowledgements by which causes of retransmissions are inferred.
const ACKS_MAX: usize = 256;

/// Bytes of all conversations that may wait for missing segments.
pub(super) const WAITING_BYTES_MAX: usize = 256 << 20;

/// Time after which a segment that the peer acknowledged is missing in the capture rather than late, microseconds.
const LATE_US: u64 = 1_000_000;

/// State of one direction.
#[derive(Debug)]
pub(super) struct Way {
    pushed: BTreeMap<u64, Pushed>,
    /// Times and numbers of the last acknowledgements.
    acks: VecDeque<(u64, u64)>,
    highest: u64,
    next: u64,
    waiting: BTreeMap<u64, Vec<u8>>,
    gap_since: Option<u64>,
    /// First number that the receiver has not acknowledged.
    una: u64,
    pub(super) bytes: Bytes,
}

#[derive(Debug, Clone, Copy)]
struct Pushed {
    first_in: u64,
    last_us: u64,
    xmit: u32,
    acked: bool,
}

impl Way {
    pub(super) const fn new() -> Self {
        Self {
            pushed: BTreeMap::new(),
            acks: VecDeque::new(),
            highest: 0,
            next: 0,
            waiting: BTreeMap::new(),
            gap_since: None,
            una: 0,
            bytes: Bytes::new(),
        }
    }

    /// A number beyond 32 bits.
    fn extend(&self, sn: u32) -> u64 {
        self.highest.saturating_add_signed(i64::from(diff(sn, self.highest as u32)))
    }

    /// A segment that was sent in this direction, in packet `n` at `t`.
    pub(super) fn sent(&mut self, n: u64, t: u64, header: &Header, totals: &mut Totals) -> SeenSegment {
        let mut seen =
            SeenSegment { segment: segment(header), first_in: None, unnecessary: false, after_us: None };
        match header.command() {
            Some(Command::Push) => self.push(n, t, header, totals, &mut seen),
            Some(Command::Ack) => totals.acks += 1,
            _ => {}
        }
        seen
    }

    fn push(&mut self, n: u64, t: u64, header: &Header, totals: &mut Totals, seen: &mut SeenSegment) {
        totals.pushes += 1;
        let sn = self.extend(header.sn);
        self.highest = self.highest.max(sn);
        while self.pushed.first_key_value().is_some_and(|(first, _)| first + REMEMBERED < self.highest) {
            self.pushed.pop_first();
        }
        let Some(before) = self.pushed.get_mut(&sn) else {
            self.pushed.insert(sn, Pushed { first_in: n, last_us: t, xmit: 1, acked: false });
            return;
        };
        let later = self.acks.iter().filter(|(at, acked)| *at >= before.last_us && *acked > sn);
        let passed_by: Vec<u32> = later.map(|(_, acked)| *acked as u32).collect();
        before.xmit += 1;
        let cause = if passed_by.is_empty() { Cause::Timeout } else { Cause::Fast };
        let waited_ms =
            if cause == Cause::Timeout { (t.saturating_sub(before.last_us) / 1_000) as u32 } else { 0 };
        seen.segment.again = Some(Again { cause, xmit: before.xmit, passed_by, waited_ms });
        seen.first_in = Some(before.first_in);
        seen.unnecessary = before.acked;
        before.last_us = t;
        totals.retransmitted += 1;
        totals.unnecessary += u64::from(before.acked);
        *(if cause == Cause::Fast { &mut totals.fast } else { &mut totals.timeout }) += 1;
    }

    /// A segment of the receiver: its acknowledgements. Returns numbers that it acknowledges for the first time, and the time
    /// since the acknowledged segment was last seen.
    pub(super) fn acknowledged(&mut self, t: u64, header: &Header) -> (Vec<u32>, Option<u64>) {
        let mut new = Vec::new();
        let una = self.extend(header.una);
        if una > self.una && una <= self.highest + 1 {
            for (sn, pushed) in self.pushed.range_mut(self.una..una) {
                if !std::mem::replace(&mut pushed.acked, true) {
                    new.push(*sn as u32);
                }
            }
            self.una = una;
        }
        if header.command() != Some(Command::Ack) {
            return (new, None);
        }
        let sn = self.extend(header.sn);
        self.acks.push_back((t, sn));
        if self.acks.len() > ACKS_MAX {
            self.acks.pop_front();
        }
        let Some(pushed) = self.pushed.get_mut(&sn) else { return (new, None) };
        if !std::mem::replace(&mut pushed.acked, true) {
            new.push(header.sn);
        }
        (new, Some(t.saturating_sub(pushed.last_us)))
    }

    /// Whether the capture had this data before.
    pub(super) fn has(&self, sn: u32) -> bool {
        let sn = self.extend(sn);
        sn < self.next || self.waiting.contains_key(&sn)
    }

    /// Data that reached the point of the capture, sent or rebuilt.
    pub(super) fn data(&mut self, sn: u32, payload: &[u8], budget: &mut usize) {
        let sn = self.extend(sn);
        if self.bytes.lost().is_some() || sn < self.next || self.waiting.contains_key(&sn) {
            return;
        }
        if payload.len() > *budget {
            self.give_up(
                budget,
                format!("segment {} is missing, and too many wait for it", self.next as u32),
            );
            return;
        }
        *budget -= payload.len();
        self.waiting.insert(sn, payload.to_vec());
    }

    /// Parses what has become readable at `t`.
    pub(super) fn advance(
        &mut self,
        t: u64,
        budget: &mut usize,
        frames: &mut Vec<SeenFrame>,
    ) -> Option<InOrder> {
        let first = self.next;
        while let Some(payload) = self.waiting.remove(&self.next) {
            *budget += payload.len();
            self.bytes.push(&payload, frames);
            self.next += 1;
        }
        let waited_us = self.gap_since.map_or(0, |since| t.saturating_sub(since));
        if self.waiting.is_empty() {
            self.gap_since = None;
        } else if self.next > first || self.gap_since.is_none() {
            self.gap_since = Some(t);
        } else if self.una > self.next && waited_us > LATE_US {
            let why = match self.next {
                0 => "the conversation began before the capture".to_owned(),
                next => format!("segment {} is missing in the capture; its receiver has it", next as u32),
            };
            self.give_up(budget, why);
        }
        (self.next > first).then(|| InOrder { first: first as u32, last: (self.next - 1) as u32, waited_us })
    }

    fn give_up(&mut self, budget: &mut usize, why: String) {
        *budget += self.waiting.values().map(Vec::len).sum::<usize>();
        self.waiting.clear();
        self.bytes.lose(why);
    }

    /// State for a recording: first unacknowledged and next number.
    pub(super) const fn numbers(&self) -> (u32, u32) {
        (self.una as u32, if self.pushed_any() { self.highest as u32 + 1 } else { 0 })
    }

    const fn pushed_any(&self) -> bool {
        self.highest > 0 || self.next > 0
    }
}

fn segment(header: &Header) -> Segment {
    Segment {
        cmd: match header.command() {
            Some(Command::Push) => record::Command::Push,
            Some(Command::Ack) => record::Command::Ack,
            Some(Command::Wask) => record::Command::Wask,
            Some(Command::Wins) => record::Command::Wins,
            None => record::Command::Unknown,
        },
        sn: header.sn,
        ts: header.ts,
        una: header.una,
        wnd: header.wnd,
        frg: header.frg.into(),
        len: header.len,
        rto_ms: 0,
        again: None,
    }
}
