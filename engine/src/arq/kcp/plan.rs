//! The state of a flush: what it still has to write, and where it looks for segments that are due.

use crate::arq::conversation::Flush;
use crate::arq::receiver::Ack;
use crate::time::diff;

/// A flush in progress.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) kind: Flush,
    /// The acknowledgement written last.
    pub(super) last_ack: Ack,
    /// The window that it began with, segments.
    pub(super) window: u32,
    /// Segments numbered by this flush.
    pub(super) moved: usize,
    /// The sn of the next segment of the send buffer to be examined, once the first was.
    pub(super) cursor_sn: Option<u32>,
    /// Wait until the next flush, ms.
    pub(super) next_ms: u32,
    /// Retransmissions after timeouts, and early ones.
    pub(super) lost: u32,
    pub(super) early: u32,
}

/// Where a flush looks for segments to send. With a large window that saves most of the work.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The first sn that was not sent yet.
    pub(super) unsent_sn: u32,
    /// No segment that was sent times out before; `None` when none is known to wait.
    resend_ms_min: Option<u32>,
    /// A segment may have become due since all were examined.
    pub(super) suspects: bool,
}

impl Scan {
    /// The first sn to examine. Nothing before the first unsent segment could be due when none was overtaken and no timeout
    /// ends before the next flush.
    #[inline]
    pub(super) fn first_sn(&mut self, una: u32, now_ms: u32, interval_ms: u32) -> u32 {
        let soon = |at| diff(at, now_ms) < interval_ms as i32;
        if !self.suspects && !self.resend_ms_min.is_some_and(soon) {
            return self.unsent_sn;
        }
        self.suspects = false;
        self.resend_ms_min = None;
        una
    }

    #[inline]
    pub(super) fn note_timeout(&mut self, resendts: u32) {
        if self.resend_ms_min.is_none_or(|min| diff(resendts, min) < 0) {
            self.resend_ms_min = Some(resendts);
        }
    }
}
