//! After an outage of the path (KCP-29): every segment in flight timed out several times, so its next timeout may be seconds
//! away when the path works again. What arrives then makes segments due at once: a peer that is heard again makes the oldest
//! one due, and every confirmation twice as many as it confirms, so that sending resumes steeply but not with a whole window.

use super::KcpSender;
use crate::arq::conversation::Conversation;
use crate::arq::send_buffer::InFlight;
use crate::observe::Mark;
use crate::time::{Instant, diff};

/// Time without a confirmation that is an outage, unless twice the RTO is longer.
const OUTAGE_MS_MIN: u32 = 1_000;

/// Time without a confirmation that is no round trip: on a path as slow as that, its samples would never count.
const PAUSE_MS_MIN: i32 = 10_000;

/// Segments that are due after the first confirmation, if more wait.
const FIRST_SEGMENTS: u32 = 16;

impl KcpSender {
    /// The peer was heard again after a silence: one segment shows whether it hears this end.
    pub(in crate::arq) fn peer_is_back(&mut self, core: &mut Conversation, now: Instant) {
        if self.outage.watched {
            self.make_due(core, now.ms(), 1);
        }
    }

    /// Whether a confirmation that arrives now ends a time without any that no path is as slow as (KCP-46).
    #[inline]
    pub(in crate::arq) fn ends_pause(&self, now_ms: u32) -> bool {
        self.outage.watched && diff(now_ms, self.outage.progress_ms) >= PAUSE_MS_MIN
    }

    /// `count` segments in flight were confirmed.
    #[inline]
    pub(super) fn note_confirmed(&mut self, core: &mut Conversation, now_ms: u32, count: u32) {
        if count == 0 || !self.outage.watched {
            return;
        }
        let quiet_ms = diff(now_ms, std::mem::replace(&mut self.outage.progress_ms, now_ms));
        let outage_ms = (2 * core.rtt.rto_ms).max(OUTAGE_MS_MIN);
        let first = i64::from(quiet_ms) >= i64::from(outage_ms);
        if first || self.outage.over {
            let due = if first { FIRST_SEGMENTS.max(2 * count) } else { 2 * count };
            self.outage.over = self.make_due(core, now_ms, due);
        }
    }

    /// Makes up to `count` segments due that wait longer than one RTO, the oldest first; whether more do.
    fn make_due(&mut self, core: &mut Conversation, now_ms: u32, count: u32) -> bool {
        let rto_ms = core.rtt.rto_ms;
        let segments = core.outgoing.segments.iter_mut();
        let mut waiting = segments.filter(|segment| waits_too_long(segment, now_ms, rto_ms));
        let mut made = 0;
        for segment in waiting.by_ref().take(count as usize) {
            (segment.resendts, segment.rto_ms) = (now_ms, rto_ms);
            made += 1;
        }
        let more = waiting.next().is_some();
        self.scan.suspects |= made > 0;
        core.observed.marks.hit_if(Mark::OutageOver, made > 0);
        more
    }
}

/// Whether the segment's timeout has backed off, and one RTO is over since it was sent.
fn waits_too_long(segment: &InFlight, now_ms: u32, rto_ms: u32) -> bool {
    let sent_ms = segment.resendts.wrapping_sub(segment.rto_ms);
    let waits = !segment.acked && segment.xmit > 0 && segment.rto_ms > rto_ms;
    waits && diff(segment.resendts, now_ms) > 0 && diff(now_ms, sent_ms.wrapping_add(rto_ms)) >= 0
}
