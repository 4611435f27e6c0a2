//! The reference sender: kcp-go's flushes, windows and timeouts, byte for byte (KCP-11 to KCP-13, KCP-17, KCP-20).
//!
//! A flush freezes a plan, which is written out datagram by datagram. A caller that stops polling loses nothing; the plan
//! waits, and the next flush extends it.

mod flush;
mod outage;
mod overtaken;
mod plan;
mod resume;
mod update;

pub(super) use update::UpdateClock;

use super::conversation::{Conversation, Flush, Tuning};
use super::cwnd::CongestionWindow;
use super::progress::Progress;
use super::segment::OVERHEAD;
use crate::Generation;
use crate::observe::{Mark, Note};
use crate::time::{Instant, diff};
use outage::Outage;
use overtaken::Overtaken;
use plan::{Plan, Scan};

/// State of the reference sender.
#[derive(Debug)]
pub(super) struct KcpSender {
    pub(super) cwnd: CongestionWindow,
    /// Acknowledgements of later segments, counted for each segment in flight.
    pub(super) overtaken: Overtaken,
    scan: Scan,
    pub(super) outage: Outage,
    /// The flush that is being written.
    plan: Option<Plan>,
    /// Wait until the next periodic flush, ms (KCP-12).
    pub(super) flush_next_ms: u32,
}

impl KcpSender {
    pub(super) fn new() -> Self {
        Self {
            cwnd: CongestionWindow::new(),
            overtaken: Overtaken::default(),
            scan: Scan::default(),
            outage: Outage::default(),
            plan: None,
            flush_next_ms: 100,
        }
    }

    /// The sn of the first segment, before it is sent.
    pub(super) const fn set_first(&mut self, sn: u32) {
        self.scan.unsent_sn = sn;
    }

    /// The first sn that was never sent.
    #[inline]
    pub(super) const fn unsent_sn(&self) -> u32 {
        self.scan.unsent_sn
    }

    /// Whether a flush waits to be written.
    #[inline]
    pub(super) const fn is_flushing(&self) -> bool {
        self.plan.is_some()
    }

    /// KCP-17: counts the acknowledgement of the segment at `index` against older ones. `true` when a fast retransmission may
    /// be due.
    #[inline]
    pub(super) fn acknowledged(&mut self, core: &mut Conversation, index: usize, ts: u32) -> bool {
        if core.observed.notes.are_kept() {
            self.note_passed(core, index, ts);
        }
        let overtaking = self.overtaken.overtake(index, ts, core.params.tuning.resend);
        self.scan.suspects |= overtaking.any;
        overtaking.limit
    }

    fn note_passed(&self, core: &mut Conversation, index: usize, ts: u32) {
        let (una, by) = (core.outgoing.una, core.outgoing.sn_at(index));
        for (place, segment) in core.outgoing.segments.iter().enumerate().take(index) {
            if !segment.acked && self.overtaken.is_passed(place, ts) {
                core.observed.notes.add(Note::Passed { sn: una.wrapping_add(place as u32), by });
            }
        }
    }

    /// KCP-20: progress flushes everything at once; many acknowledgements flush themselves.
    #[inline]
    pub(super) fn after_input(&mut self, core: &mut Conversation, now: Instant, progress: &Progress) {
        self.note_confirmed(core, now.ms(), progress.confirmed);
        let (tuning, newest) = (core.params.tuning, core.params.generation == Generation::Go2026);
        if !tuning.nc && progress.una_moved {
            self.cwnd.grow(core.window.segments, core.params.mss() as u32);
        }
        let acks = core.receiver.acks.len();
        let many_acks = newest && acks >= core.params.mtu / OVERHEAD;
        core.observed.marks.hit_if(Mark::ManyAcks, many_acks);
        if progress.una_moved || (progress.fast_retransmit && newest) {
            self.flush(core, now, Flush::Full);
        } else if many_acks || (progress.ack_nodelay && acks > 0) {
            self.flush(core, now, Flush::AckOnly);
        }
    }

    /// Segments that may be numbered from una on.
    #[inline]
    fn send_window(&self, core: &Conversation) -> u32 {
        let window = core.send_window();
        if core.params.tuning.nc { window } else { window.min(self.cwnd.segments) }
    }

    /// Every segment in flight has a count, and what was sent is numbered.
    pub(super) fn check_invariants(&self, core: &Conversation) {
        assert_eq!(
            self.overtaken.len(),
            core.outgoing.segments.len(),
            "a segment without a count, or the reverse"
        );
        assert!(diff(self.scan.unsent_sn, core.outgoing.nxt) <= 0, "a segment was sent without a number");
        self.cwnd.check_invariants();
    }
}

/// Acknowledgements that trigger a fast retransmission; never when `resend` is 0.
const fn resend_limit(tuning: Tuning) -> u32 {
    if tuning.resend > 0 { tuning.resend } else { u32::MAX }
}
