//! The receiving half: reassembly, acknowledgements and the window.

use super::MSS;
use super::wire::{Block, SACK_BLOCKS_MAX};
use std::collections::{BTreeMap, VecDeque};

/// First window, bytes, and the largest one: half of what the kernel's `tcp_rmem` permits, since buffers cost memory, too.
const WINDOW_BYTES: u64 = 64_240;
const WINDOW_BYTES_MAX: u64 = 16 << 20;
/// Acknowledgements sent at once at the start of a connection and after a long pause.
const QUICK: u32 = 16;
/// Least and largest delay of an acknowledgement.
const DELAY_MIN_US: u64 = 40_000;
const DELAY_MAX_US: u64 = 200_000;

/// The receiving half of a connection.
#[derive(Debug)]
pub(super) struct Receiver {
    /// In order, not yet read.
    ready: VecDeque<u8>,
    /// Beyond a gap, without overlaps.
    beyond: BTreeMap<u64, Vec<u8>>,
    /// Ends of `beyond`, merged, most recent first, as they are reported.
    blocks: VecDeque<Block>,
    duplicate: Option<Block>,
    /// Next number expected.
    pub(super) next: u64,
    /// Number of the FIN, once it arrived.
    fin: Option<u64>,
    /// Everything read is dropped.
    pub(super) discards: bool,
    /// Most bytes that the buffer takes, and how many of them are announced: more with each segment.
    window_bytes: u64,
    open_bytes: u64,
    /// Right edge of the window that was announced, and the number acknowledged then.
    announced: u64,
    acknowledged: u64,
    quick: u32,
    /// The application answers what it gets, so its data carry acknowledgements.
    is_interactive: bool,
    delay_us: u64,
    last_data_us: Option<u64>,
    /// An acknowledgement is due then.
    pub(super) ack_at: Option<u64>,
    tuning: Tuning,
}

/// Growth of the window by what the application reads in a round trip.
#[derive(Debug, Default)]
struct Tuning {
    rtt_us: u64,
    since_us: u64,
    read_bytes: u64,
    most_bytes: u64,
}

impl Receiver {
    pub(super) fn new() -> Self {
        Self {
            ready: VecDeque::new(),
            beyond: BTreeMap::new(),
            blocks: VecDeque::new(),
            duplicate: None,
            next: 0,
            fin: None,
            discards: false,
            window_bytes: WINDOW_BYTES,
            open_bytes: WINDOW_BYTES,
            announced: 0,
            acknowledged: 0,
            quick: 0,
            is_interactive: false,
            delay_us: 0,
            last_data_us: None,
            ack_at: None,
            tuning: Tuning { most_bytes: 10 * MSS, ..Tuning::default() },
        }
    }

    /// The SYN arrived.
    pub(super) const fn synchronize(&mut self) {
        self.next = 1;
        self.acknowledged = 1;
    }

    pub(super) fn has_data(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether all of the peer's data have arrived.
    pub(super) fn is_ended(&self) -> bool {
        self.fin.is_some_and(|fin| self.next > fin)
    }

    pub(super) fn peek(&self) -> &[u8] {
        self.ready.as_slices().0
    }

    /// The application read; afterwards a window that grew much is announced.
    pub(super) fn consume(&mut self, now_us: u64, n: usize) {
        self.ready.drain(..n.min(self.ready.len()));
        self.tune(now_us, n as u64);
        let right = self.right_edge();
        let left_bytes = self.announced.saturating_sub(self.next);
        if right.saturating_sub(self.next) >= 2 * left_bytes && right > self.announced + MSS {
            self.ack_at = Some(now_us);
        }
        // Data behind a small segment, once read, are acknowledged at once where no answer carries it.
        if self.ack_at.is_some()
            && !self.is_interactive
            && self.ready.is_empty()
            && !n.is_multiple_of(MSS as usize)
        {
            self.ack_at = Some(now_us);
        }
    }

    /// TCP-12: the window follows twice what is read in a round trip.
    fn tune(&mut self, now_us: u64, n: u64) {
        let tuning = &mut self.tuning;
        tuning.read_bytes += n;
        if tuning.rtt_us == 0 || now_us < tuning.since_us + tuning.rtt_us {
            return;
        }
        let read = std::mem::take(&mut tuning.read_bytes);
        tuning.since_us = now_us;
        if read > tuning.most_bytes {
            let wanted = 2 * read + 16 * MSS;
            let growth = wanted * (read - tuning.most_bytes) / tuning.most_bytes;
            tuning.most_bytes = read;
            self.window_bytes = self.window_bytes.max((wanted + 2 * growth).min(WINDOW_BYTES_MAX));
        } else if 2 * read + 16 * MSS > self.window_bytes {
            self.window_bytes = (2 * read + 16 * MSS).min(WINDOW_BYTES_MAX);
        }
    }

    /// Round trip by the echoed timestamp.
    pub(super) fn sample_rtt(&mut self, now_us: u64, rtt_us: u64) {
        if self.tuning.rtt_us == 0 {
            self.tuning.since_us = now_us;
        }
        let old = self.tuning.rtt_us;
        let rtt_us = rtt_us.max(1_000);
        self.tuning.rtt_us = if old == 0 || rtt_us < old { rtt_us } else { (7 * old + rtt_us) / 8 };
    }

    /// A segment arrived. Its acknowledgement is due at [`Self::ack_at`].
    pub(super) fn take(&mut self, now_us: u64, seq: u64, payload: &[u8], fin: bool, rto_us: u64) {
        let end = seq + payload.len() as u64 + u64::from(fin);
        if end == seq {
            return;
        }
        if fin {
            self.fin = Some(end - 1);
        }
        let is_old = end <= self.next || self.blocks.iter().any(|&(from, to)| from <= seq && end <= to);
        if is_old {
            self.duplicate = Some((seq, end));
            self.quick = self.quick.max(QUICK);
            self.ack_at = Some(now_us);
            return;
        }
        self.time(now_us, rto_us);
        let in_order = seq <= self.next;
        let had_gap = !self.blocks.is_empty();
        self.store(seq, payload);
        if in_order {
            self.advance();
            self.open(payload.len() as u64);
        } else {
            self.note_block(seq, end);
        }
        let unacknowledged = self.next - self.acknowledged;
        let delay_max_us = self.tuning.rtt_us.clamp(DELAY_MIN_US, DELAY_MAX_US);
        let at_once =
            !in_order || had_gap || fin || unacknowledged > MSS || (self.quick > 0 && !self.is_interactive);
        let due = if at_once { now_us } else { now_us + self.delay_us.clamp(DELAY_MIN_US, delay_max_us) };
        self.ack_at = Some(self.ack_at.map_or(due, |at| at.min(due)));
    }

    /// TCP-11: how long an acknowledgement waits follows the gaps between segments.
    fn time(&mut self, now_us: u64, rto_us: u64) {
        let gap = self.last_data_us.map(|last| now_us - last);
        self.last_data_us = Some(now_us);
        match gap {
            None => (self.quick, self.delay_us) = (QUICK, DELAY_MIN_US),
            Some(gap) if gap <= DELAY_MIN_US / 2 => self.delay_us = self.delay_us / 2 + DELAY_MIN_US / 2,
            Some(gap) if gap < self.delay_us => self.delay_us = (self.delay_us / 2 + gap).min(rto_us),
            Some(gap) if gap > rto_us => self.quick = QUICK,
            Some(_) => {}
        }
    }

    /// Stores what is neither there nor read.
    fn store(&mut self, seq: u64, payload: &[u8]) {
        let (mut at, end) = (seq.max(self.next), seq + payload.len() as u64);
        while at < end {
            let before = self.beyond.range(..=at).next_back().map(|(from, bytes)| from + bytes.len() as u64);
            if let Some(covered) = before.filter(|&covered| covered > at) {
                at = covered;
                continue;
            }
            let until = self.beyond.range(at..).next().map_or(end, |(&from, _)| from.min(end));
            self.beyond.insert(at, payload[(at - seq) as usize..(until - seq) as usize].to_vec());
            at = until;
        }
    }

    /// Moves what is in order to the application.
    fn advance(&mut self) {
        while let Some(bytes) = self.beyond.remove(&self.next) {
            self.next += bytes.len() as u64;
            if !self.discards {
                self.ready.extend(bytes);
            }
        }
        if self.fin == Some(self.next) {
            self.next += 1;
        }
        let next = self.next;
        self.blocks.retain(|&(_, end)| end > next);
    }

    /// While the announced window grows, acknowledgements are not delayed.
    fn open(&mut self, len: u64) {
        if len >= 128 && self.open_bytes < self.window_bytes {
            self.open_bytes = (self.open_bytes + 2 * len).min(self.window_bytes);
            self.quick |= 1;
        }
    }

    fn note_block(&mut self, mut start: u64, mut end: u64) {
        self.blocks.retain(|&(from, to)| {
            let touches = from <= end && start <= to;
            if touches {
                (start, end) = (start.min(from), end.max(to));
            }
            !touches
        });
        self.blocks.push_front((start, end));
    }

    fn right_edge(&self) -> u64 {
        let room = self.open_bytes.saturating_sub(self.ready.len() as u64);
        // TCP-13: a small opening is not announced, and the right edge never moves back.
        let room = if room < MSS.min(self.window_bytes / 2) { 0 } else { room };
        self.announced.max(self.next + room)
    }

    /// The window of the next segment, bytes from [`Self::next`].
    pub(super) fn announce(&mut self) -> u64 {
        self.announced = self.right_edge();
        self.announced - self.next
    }

    /// The blocks of the next segment, a duplicate first.
    pub(super) fn sacks(&mut self) -> Vec<Block> {
        let duplicate = self.duplicate.take();
        duplicate.into_iter().chain(self.blocks.iter().copied()).take(SACK_BLOCKS_MAX).collect()
    }

    /// A segment with an acknowledgement leaves, with data if `carries`.
    pub(super) fn acknowledge(&mut self, now_us: u64, carries: bool) {
        self.quick = self.quick.saturating_sub(1);
        self.acknowledged = self.next;
        self.ack_at = None;
        if carries && self.last_data_us.is_some_and(|last| now_us - last < self.delay_us) {
            self.is_interactive = true;
        }
    }

    /// A delayed acknowledgement expired: the application is not interactive after all.
    pub(super) fn expire(&mut self) {
        if self.is_interactive {
            self.is_interactive = false;
            self.delay_us = DELAY_MIN_US;
        } else {
            self.delay_us = (self.delay_us * 2).min(DELAY_MAX_US);
        }
    }
}
