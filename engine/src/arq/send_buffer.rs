//! Segments on their way out: queued without a number, then numbered and in flight until una passes them.

use super::segment::{OVERHEAD, Queued};
use crate::time::diff;
use std::collections::VecDeque;

/// Transmissions of one segment after which kcp-go marks the link dead (and goes on).
pub(super) const DEAD_LINK: u32 = 20;

/// Why `send` refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Nothing to send: an empty segment would stall the peer's reader (KCP-3).
    #[error("empty message")]
    Empty,
    /// More than 255 fragments.
    #[error("message needs more than 255 fragments")]
    TooLong,
}

/// A numbered segment that una has not passed.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) frg: u8,
    pub(super) acked: bool,
    /// Clock at the first acknowledgement.
    pub(super) acked_ms: u32,
    pub(super) data: Vec<u8>,
    /// Clock at which the retransmission timeout ends (KCP sender only).
    pub(super) resendts: u32,
    pub(super) rto_ms: u32,
    pub(super) xmit: u32,
}

impl InFlight {
    #[inline]
    fn new(Queued { frg, data }: Queued) -> Self {
        Self { frg, acked: false, acked_ms: 0, data, resendts: 0, rto_ms: 0, xmit: 0 }
    }
}

/// The send queue and the send buffer.
#[derive(Debug)]
pub(super) struct SendBuffer {
    pub(super) una: u32,
    pub(super) nxt: u32,
    /// Send window, segments.
    pub(super) wnd: u32,
    /// Segments without a number.
    pub(super) queue: VecDeque<Queued>,
    /// Consecutive sns from `una` on.
    pub(super) segments: VecDeque<InFlight>,
    /// A segment was sent [`DEAD_LINK`] times.
    pub(super) dead: bool,
    /// Bytes of segments that may be numbered until the peer's address is validated; `None` for no limit.
    pub(super) allowance_bytes: Option<usize>,
    /// The last queued segment is not filled up.
    pub(super) sealed: bool,
}

impl SendBuffer {
    #[inline]
    pub(super) const fn new() -> Self {
        Self {
            una: 0,
            nxt: 0,
            wnd: 32,
            queue: VecDeque::new(),
            segments: VecDeque::new(),
            dead: false,
            allowance_bytes: None,
            sealed: false,
        }
    }

    /// Segments queued or in flight.
    #[inline]
    pub(super) fn waiting(&self) -> usize {
        self.queue.len() + self.segments.len()
    }

    /// Payload bytes held.
    pub(super) fn bytes(&self) -> usize {
        let queued = self.queue.iter().map(|segment| segment.data.len());
        queued.chain(self.segments.iter().map(|segment| segment.data.len())).sum()
    }

    /// Fills up the last queued segment to `mss` bytes; returns the rest of `data`.
    #[inline]
    pub(super) fn extend_last<'a>(&mut self, data: &'a [u8], mss: usize) -> &'a [u8] {
        if std::mem::take(&mut self.sealed) {
            return data;
        }
        let Some(last) = self.queue.back_mut() else { return data };
        let room = mss.saturating_sub(last.data.len()).min(data.len());
        last.data.extend_from_slice(&data[..room]);
        &data[room..]
    }

    /// The sn of the segment at `index`.
    #[inline]
    pub(super) const fn sn_at(&self, index: usize) -> u32 {
        self.una.wrapping_add(index as u32)
    }

    /// Whether the allowance covers the oldest queued segment.
    #[inline]
    pub(super) fn may_number(&self) -> bool {
        let Some(allowance_bytes) = self.allowance_bytes else { return true };
        self.queue.front().is_none_or(|next| OVERHEAD + next.data.len() <= allowance_bytes)
    }

    /// Gives the oldest queued segment the next sn; `false` when none is queued.
    #[inline]
    pub(super) fn number_one(&mut self) -> bool {
        let Some(queued) = self.queue.pop_front() else { return false };
        if let Some(allowance_bytes) = &mut self.allowance_bytes {
            *allowance_bytes = allowance_bytes.saturating_sub(OVERHEAD + queued.data.len());
        }
        self.segments.push_back(InFlight::new(queued));
        self.nxt = self.nxt.wrapping_add(1);
        true
    }

    /// Removes the oldest segment in flight, which una has passed.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<InFlight> {
        let segment = self.segments.pop_front()?;
        self.una = self.una.wrapping_add(1);
        Some(segment)
    }

    /// The place of `sn` in the buffer; `None` for a number that is not in flight.
    #[inline]
    pub(super) const fn index_of(&self, sn: u32) -> Option<usize> {
        if diff(sn, self.una) < 0 || diff(sn, self.nxt) >= 0 {
            return None;
        }
        Some(sn.wrapping_sub(self.una) as usize)
    }

    /// Frees room beyond need.
    pub(super) fn trim(&mut self) {
        self.queue.shrink_to(2 * self.queue.len());
        self.segments.shrink_to(2 * self.segments.len());
    }

    /// The numbers in flight are exactly una to nxt.
    pub(super) fn check_invariants(&self) {
        assert_eq!(self.nxt.wrapping_sub(self.una), self.segments.len() as u32, "the send buffer has holes");
        assert!(diff(self.nxt, self.una) >= 0, "una passed nxt");
    }

    /// Acknowledged segments have given their payload back.
    pub(super) fn check_segments(&self) {
        let kept = |segment: &&InFlight| segment.acked && !segment.data.is_empty();
        assert_eq!(self.segments.iter().filter(kept).count(), 0, "an acknowledged segment keeps its payload");
    }
}
