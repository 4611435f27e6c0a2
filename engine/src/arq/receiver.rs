//! Segments on their way in: a reorder buffer, a queue for the reader, and the acknowledgements they call for (KCP-15, KCP-16).

use super::observed::Observed;
use super::pool::BufferPool;
use super::segment::{Header, Queued};
use crate::observe::{Mark, Note};
use crate::time::diff;
use std::collections::VecDeque;

/// Acknowledgements kept while the socket takes none; the peer repeats what was not acknowledged.
pub const ACKS_MAX: usize = 1 << 16;

/// Largest payload of a small segment.
const SMALL_BYTES: usize = 512;

/// Why `recv` returned nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// No complete message.
    #[error("no complete message")]
    Blocked,
    /// The buffer is shorter than the message.
    #[error("buffer is shorter than the message")]
    BufferTooSmall,
}

/// An acknowledgement to be sent: the number of a segment, and the clock value it carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ack {
    pub(super) sn: u32,
    pub(super) ts: u32,
    /// Of a small segment, of which there may be copies.
    pub(super) small: bool,
}

/// The receiving half of a conversation.
#[derive(Debug)]
pub(super) struct Receiver {
    /// Receive window, segments.
    pub(super) wnd: u32,
    pub(super) nxt: u32,
    /// Highest sn received, plus one.
    top: u32,
    /// Latest clock value of the peer among the data received.
    pub(super) ts_top: Option<u32>,
    /// Segments in order, for the reader.
    pub(super) queue: VecDeque<Queued>,
    /// Slot i holds sn `nxt + i`, if it arrived out of order or while the queue was full.
    reordered: VecDeque<Option<Queued>>,
    reordered_len: usize,
    pub(super) acks: VecDeque<Ack>,
    /// The una that is announced while nothing is acknowledged; `None` to acknowledge what arrived.
    pub(super) una_held: Option<u32>,
}

impl Receiver {
    pub(super) const fn new() -> Self {
        Self {
            wnd: 32,
            nxt: 0,
            top: 0,
            ts_top: None,
            queue: VecDeque::new(),
            reordered: VecDeque::new(),
            reordered_len: 0,
            acks: VecDeque::new(),
            una_held: None,
        }
    }

    /// The sn to begin with, before anything was received.
    pub(super) const fn set_first(&mut self, sn: u32) {
        (self.nxt, self.top) = (sn, sn);
    }

    /// Segments beyond a gap.
    pub(super) const fn reordered_len(&self) -> usize {
        self.reordered_len
    }

    /// Free receive window as announced to the peer; the reorder buffer does not count (KCP-6).
    #[inline]
    pub(super) fn free_window(&self) -> u16 {
        self.wnd.saturating_sub(self.queue.len() as u32) as u16
    }

    /// Whether the next segment is missing and a later one is there.
    #[inline]
    pub(super) fn waits_for_gap(&self) -> bool {
        self.reordered.front().is_some_and(Option::is_none)
    }

    /// Payload bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.queue.iter().chain(self.reordered.iter().flatten()).map(|segment| segment.data.len()).sum()
    }

    /// Whether `header` is data that no replay of earlier datagrams can carry (KCP-24): beyond the highest sn, or sent later
    /// than any data before. Without the second a peer that moves while its window is full of segments that arrived, but were
    /// not acknowledged to its new address, could never prove itself.
    pub(super) fn is_advanced_by(&self, header: &Header) -> bool {
        let ahead = diff(header.sn, self.top);
        let later = self.ts_top.is_some_and(|top| diff(header.ts, top) > 0);
        (0..self.wnd as i32).contains(&ahead) || (later && ahead < 0)
    }

    /// KCP-16: acknowledges and stores a segment that lies in the window. `false` for one that is not new.
    #[inline]
    pub(super) fn push(
        &mut self,
        header: &Header,
        payload: &[u8],
        pool: &mut BufferPool,
        observed: &mut Observed,
    ) -> bool {
        if self.ts_top.is_none_or(|top| diff(header.ts, top) > 0) {
            self.ts_top = Some(header.ts);
        }
        let offset = diff(header.sn, self.nxt);
        if diff(header.sn, self.nxt.wrapping_add(self.wnd)) >= 0 {
            observed.marks.hit(Mark::BeyondWindow);
            return false;
        }
        if self.una_held.is_some() {
            // What arrived in order, una acknowledges later; the rest is sent again.
            self.acks.clear();
        }
        if self.acks.len() < ACKS_MAX {
            let small = payload.len() <= SMALL_BYTES;
            self.acks.push_back(Ack { sn: header.sn, ts: header.ts, small });
        }
        let Ok(index) = usize::try_from(offset) else { return false };
        if index >= self.reordered.len() {
            self.reordered.resize_with(index + 1, || None);
        }
        if diff(header.sn, self.top) >= 0 {
            self.top = header.sn.wrapping_add(1);
        }
        debug_assert!(index < self.wnd as usize, "a segment beyond the window");
        let new = self.reordered[index].is_none();
        if new {
            let data = pool.buffer_with(payload);
            self.reordered[index] = Some(Queued { frg: header.frg, data });
            self.reordered_len += 1;
        }
        self.move_in_order(observed);
        new
    }

    /// Bytes of the next complete message.
    pub(super) fn peek_size(&self) -> Option<usize> {
        let first = self.queue.front()?;
        if first.frg == 0 {
            return Some(first.data.len());
        }
        if self.queue.len() < usize::from(first.frg) + 1 {
            return None;
        }
        let mut size = 0;
        for segment in &self.queue {
            size += segment.data.len();
            if segment.frg == 0 {
                break;
            }
        }
        Some(size)
    }

    /// Moves the next complete message into `buf` and returns its length (KCP-15).
    pub(super) fn read(&mut self, buf: &mut [u8], pool: &mut BufferPool) -> Result<usize, RecvError> {
        let size = self.peek_size().ok_or(RecvError::Blocked)?;
        if size > buf.len() {
            return Err(RecvError::BufferTooSmall);
        }
        let mut at = 0;
        while let Some(segment) = self.queue.pop_front() {
            buf[at..at + segment.data.len()].copy_from_slice(&segment.data);
            at += segment.data.len();
            pool.recycle(segment.data);
            if segment.frg == 0 {
                break;
            }
        }
        Ok(at)
    }

    /// Whether the queue takes no more.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= self.wnd as usize
    }

    /// Moves segments that are in order into the queue, as far as it has room.
    #[inline]
    pub(super) fn move_in_order(&mut self, observed: &mut Observed) {
        while !self.is_full() {
            let Some(slot) = self.reordered.front_mut() else { return };
            let Some(segment) = slot.take() else { return };
            self.reordered.pop_front();
            self.reordered_len -= 1;
            self.queue.push_back(segment);
            observed.notes.add(Note::InOrder { sn: self.nxt });
            self.nxt = self.nxt.wrapping_add(1);
        }
        observed.marks.hit(Mark::QueueFull);
    }

    /// Frees room beyond need.
    pub(super) fn trim(&mut self) {
        self.queue.shrink_to(2 * self.queue.len());
        self.reordered.shrink_to(2 * self.reordered.len());
        self.acks.shrink_to(2 * self.acks.len());
    }

    /// What is held beyond the queue lies between `nxt` and the highest sn received.
    pub(super) fn check_invariants(&self) {
        assert!(self.reordered_len <= self.reordered.len(), "more segments than slots");
        assert!(diff(self.top, self.nxt) >= 0, "a segment in order beyond the highest sn");
        assert!(self.reordered.len() <= diff(self.top, self.nxt) as usize, "a slot beyond the highest sn");
        assert!(self.acks.len() <= ACKS_MAX, "too many acknowledgements wait");
    }

    /// The number of filled slots is the number kept.
    pub(super) fn check_slots(&self) {
        assert_eq!(self.reordered.iter().flatten().count(), self.reordered_len, "filled slots");
    }
}
