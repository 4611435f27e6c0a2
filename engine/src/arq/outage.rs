//! After an outage (KCP-29): every segment in flight timed out several times, so its next timeout may be seconds away when
//! the path works again. What arrives then makes segments due at once: a peer that is heard again the oldest one, and every
//! confirmation twice as many as it confirms, so that sending sets in steeply but not with a whole window.

use super::{Arq, InFlight};
use crate::observe::Mark;
use crate::time::{Instant, diff};

/// Time without a confirmation that is an outage, unless twice the RTO is longer.
const OUTAGE_MS_MIN: u32 = 1_000;

/// Segments that are due after the first confirmation, if more wait.
const FIRST_SEGMENTS: u32 = 16;

/// What is known of the path.
#[derive(Debug, Default)]
pub(super) struct Outage {
    /// Whether anything is done about it; kcp-go does nothing.
    watched: bool,
    /// The path came back, and segments may still wait for their timeouts.
    over: bool,
    /// Clock at which something was confirmed last, or at which the oldest segment was sent for the first time.
    progress_ms: u32,
}

impl Outage {
    /// The oldest segment was sent for the first time.
    pub(super) const fn began(&mut self, now_ms: u32) {
        self.progress_ms = now_ms;
    }
}

impl Arq {
    /// From here on segments do not wait for their timeouts after an outage (KCP-29).
    pub fn watch_outages(&mut self) {
        self.outage.watched = true;
    }

    /// The peer was heard again after it had not answered for a while: whether it was heard itself, one segment shows.
    pub fn peer_is_back(&mut self, now: Instant) {
        self.ask_at_once();
        if self.outage.watched {
            self.make_due(now.ms(), 1);
        }
    }

    /// `count` segments in flight were confirmed.
    pub(super) fn note_confirmed(&mut self, now_ms: u32, count: u32) {
        if count == 0 || !self.outage.watched {
            return;
        }
        let quiet_ms = diff(now_ms, std::mem::replace(&mut self.outage.progress_ms, now_ms));
        let outage_ms = (2 * self.rtt.rto_ms).max(OUTAGE_MS_MIN);
        let first = i64::from(quiet_ms) >= i64::from(outage_ms);
        if first || self.outage.over {
            let due = if first { FIRST_SEGMENTS.max(2 * count) } else { 2 * count };
            self.outage.over = self.make_due(now_ms, due);
        }
    }

    /// Makes up to `count` segments due that wait longer than one RTO, the oldest first; whether more do.
    fn make_due(&mut self, now_ms: u32, count: u32) -> bool {
        let rto_ms = self.rtt.rto_ms;
        let mut waiting = self.snd_buf.iter_mut().filter(|segment| segment.waits_too_long(now_ms, rto_ms));
        let mut made = 0;
        for segment in waiting.by_ref().take(count as usize) {
            (segment.resendts, segment.rto_ms) = (now_ms, rto_ms);
            made += 1;
        }
        let more = waiting.next().is_some();
        self.suspects |= made > 0;
        self.marks.hit_if(Mark::OutageOver, made > 0);
        more
    }
}

impl InFlight {
    /// Whether its timeout has backed off, and one RTO is over since it was sent.
    fn waits_too_long(&self, now_ms: u32, rto_ms: u32) -> bool {
        let sent_ms = self.resendts.wrapping_sub(self.rto_ms);
        let waits = !self.acked && self.xmit > 0 && self.rto_ms > rto_ms;
        waits && diff(self.resendts, now_ms) > 0 && diff(now_ms, sent_ms.wrapping_add(rto_ms)) >= 0
    }
}
