//! Figures of the sequence, acknowledgement and identification numbers of data.

use super::{Captured, count};
use engine::time::diff;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What one side received before, by the order of the capture.
#[derive(Default)]
struct Received {
    /// Acknowledgements of the peer.
    acks: BTreeSet<u32>,
    ends: BTreeSet<u32>,
    starts: BTreeSet<u32>,
    highest_end: Option<u32>,
    last_end: Option<u32>,
    last_start: Option<u32>,
}

impl Received {
    fn add(&mut self, captured: &Captured<'_>) {
        let (s, end) = (&captured.segment, captured.end());
        if s.flags.0 & 0x10 != 0 {
            self.acks.insert(s.ack);
        }
        if s.flags.0 & 0x04 != 0 {
            return;
        }
        self.ends.insert(end);
        if end != s.seq {
            self.last_end = Some(end);
        }
        if self.highest_end.is_none_or(|highest| diff(end, highest) > 0) {
            self.highest_end = Some(end);
        }
        if !s.payload.is_empty() {
            self.starts.insert(s.seq);
            self.last_start = Some(s.seq);
        }
    }
}

/// Counts of one direction's data.
#[derive(Default)]
struct Counts {
    continues: u64,
    back: u64,
    forward: u64,
    on_an_ack: u64,
    back_max: u32,
    ack_first: Option<u32>,
    highest_end: u64,
    last_end: u64,
    last_start: u64,
    some_end: u64,
    some_start: u64,
    other: u64,
    beyond: u64,
    moves_back: u64,
    zero: u64,
    lag_max: i32,
    ack_before: Option<u32>,
    next: Option<u32>,
}

impl Counts {
    fn seq(&mut self, received: &Received, captured: &Captured<'_>) {
        let seq = captured.segment.seq;
        match self.next.map(|next| diff(seq, next)) {
            None => {}
            Some(0) => self.continues += 1,
            Some(jump) => {
                self.on_an_ack += u64::from(received.acks.contains(&seq));
                if jump < 0 {
                    self.back += 1;
                    self.back_max = self.back_max.max(jump.unsigned_abs());
                } else {
                    self.forward += 1;
                }
            }
        }
        self.next = Some(captured.end());
    }

    fn ack(&mut self, received: &Received, ack: u32) {
        let (end, start) = (received.ends.contains(&ack), received.starts.contains(&ack));
        self.ack_first.get_or_insert(ack);
        self.highest_end += u64::from(received.highest_end == Some(ack));
        self.last_end += u64::from(received.last_end == Some(ack));
        self.last_start += u64::from(received.last_start == Some(ack));
        self.some_end += u64::from(end);
        self.some_start += u64::from(start);
        self.other += u64::from(!end && !start);
        self.zero += u64::from(ack == 0);
        if let Some(highest) = received.highest_end {
            self.beyond += u64::from(diff(ack, highest) > 0);
            self.lag_max = self.lag_max.max(diff(highest, ack));
        }
        self.moves_back += u64::from(self.ack_before.is_some_and(|before| diff(ack, before) < 0));
        self.ack_before = Some(ack);
    }
}

/// `seq` and `ack` of the data of one direction, and how many segments break the rules of each implementation: of tcpraw,
/// then of kcptun(tcp), first the rule of the sequence and then that of the acknowledgement number.
pub(super) fn numbers(
    segments: &[Captured<'_>],
    up: bool,
    isn: u32,
    peer_isn: u32,
) -> (Value, Value, [[u64; 2]; 2]) {
    let mut received = Received::default();
    let mut c = Counts::default();
    let mut first_seq = None;
    let mut lags = 0;
    for captured in segments {
        if captured.up != up {
            received.add(captured);
        } else if captured.is_data() {
            first_seq.get_or_insert(captured.segment.seq);
            c.seq(&received, captured);
            c.ack(&received, captured.segment.ack);
            let ack = captured.segment.ack;
            lags += u64::from(!received.starts.contains(&ack) && ack != peer_isn.wrapping_add(1));
        }
    }
    let seq = json!({
        "first_minus_isn": first_seq.unwrap_or(isn).wrapping_sub(isn),
        "continues": c.continues, "jumps_back": c.back, "jumps_forward": c.forward,
        "jumps_landing_on_an_ack_of_the_peer": c.on_an_ack, "largest_jump_back": c.back_max,
    });
    let ack = json!({
        "first_minus_peer_isn": c.ack_first.unwrap_or(peer_isn).wrapping_sub(peer_isn),
        "equals_highest_end": c.highest_end, "equals_end_of_the_last_segment": c.last_end,
        "equals_start_of_the_last_data_segment": c.last_start, "equals_end_of_some_segment": c.some_end,
        "equals_start_of_some_data_segment": c.some_start, "other": c.other, "beyond_highest_end": c.beyond,
        "moves_back": c.moves_back, "zero": c.zero, "largest_lag_behind_highest_end": c.lag_max,
    });
    let data = c.some_end + c.some_start + c.other;
    let tcpraw = [c.back + c.forward - c.on_an_ack, data - c.some_end - c.some_start.min(data - c.some_end)];
    (seq, ack, [tcpraw, [c.back + c.forward, lags]])
}

/// IPv4 identification: of the data, and of all segments of the direction.
pub(super) fn ids(data: &[&Captured<'_>], all: &[&Captured<'_>]) -> Value {
    let steps = |of: &[&Captured<'_>]| {
        of.windows(2).filter(|pair| pair[1].segment.id.wrapping_sub(pair[0].segment.id) == 1).count()
    };
    let other = |of: &[&Captured<'_>]| of.len().saturating_sub(1) - steps(of);
    let ids: Vec<u16> = data.iter().map(|captured| captured.segment.id).collect();
    let distinct: BTreeSet<u16> = ids.iter().copied().collect();
    json!({
        "first": ids.first(), "last": ids.last(), "distinct": distinct.len(),
        "zero": count(ids.iter().filter(|id| **id == 0).count()),
        "step_1": steps(data), "step_other": other(data),
        "step_1_over_all_segments": steps(all), "step_other_over_all_segments": other(all),
    })
}
