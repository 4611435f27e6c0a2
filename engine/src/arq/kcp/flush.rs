//! The flush: a frozen plan, written out datagram by datagram (KCP-6 to KCP-11).

use super::overtaken::DONE;
use super::plan::Plan;
use super::{KcpSender, resend_limit};
use crate::Generation;
use crate::arq::conversation::{Conversation, Flush};
use crate::arq::datagram::{Datagram, Transmission};
use crate::arq::receiver::Ack;
use crate::arq::send_buffer::InFlight;
use crate::observe::{Cause, Mark};
use crate::time::{Instant, diff};

impl KcpSender {
    /// Starts a flush, which extends one that was not written to its end.
    #[inline]
    pub(in crate::arq) fn flush(&mut self, core: &mut Conversation, now: Instant, kind: Flush) {
        let unfinished = self.plan.take();
        self.scan.suspects |= unfinished.as_ref().is_some_and(|plan| plan.cursor_sn.is_some());
        core.observed.marks.hit_if(Mark::FlushInterrupted, unfinished.is_some());
        let kind = unfinished.as_ref().map_or(kind, |plan| plan.kind.max(kind));
        let (mut window, mut moved) = (0, 0);
        if kind == Flush::Full || core.params.generation == Generation::Go2026 {
            core.schedule_probe(now);
            window = self.send_window(core);
            moved = core.number_queued(window);
            (0..moved).for_each(|_| self.overtaken.push());
        }
        self.plan = Some(Plan {
            kind,
            last_ack: Ack::default(),
            window,
            moved,
            cursor_sn: None,
            next_ms: core.params.tuning.interval_ms,
            lost: unfinished.as_ref().map_or(0, |plan| plan.lost),
            early: unfinished.as_ref().map_or(0, |plan| plan.early),
        });
    }

    /// Fills the next datagram of the flush.
    #[inline]
    pub(in crate::arq) fn write(
        &mut self,
        core: &mut Conversation,
        now: Instant,
        datagram: &mut Datagram<'_>,
    ) {
        let Some(mut plan) = self.plan.take() else { return };
        let acks_only = plan.kind == Flush::AckOnly;
        let no_probes = acks_only && core.params.generation == Generation::Go2021;
        let done = core.write_acks(&mut plan.last_ack, datagram, false, |_| {})
            && (no_probes || core.write_probes(plan.last_ack, datagram))
            && (acks_only || self.write_segments(core, &mut plan, now.ms(), datagram));
        if done {
            self.finish(core, &plan);
        } else {
            self.plan = Some(plan);
        }
    }

    /// KCP-11: first transmissions and retransmissions, oldest first. `false` when the datagram is full.
    #[inline]
    fn write_segments(
        &mut self,
        core: &mut Conversation,
        plan: &mut Plan,
        now_ms: u32,
        datagram: &mut Datagram<'_>,
    ) -> bool {
        let una = core.outgoing.una;
        let first_sn =
            plan.cursor_sn.unwrap_or_else(|| self.scan.first_sn(una, now_ms, core.params.tuning.interval_ms));
        // Input between two polls may have moved una past the cursor.
        let mut sn = if diff(first_sn, una) < 0 { una } else { first_sn };
        loop {
            plan.cursor_sn = Some(sn);
            let index = sn.wrapping_sub(una) as usize;
            let Some(segment) = core.outgoing.segments.get(index) else { return true };
            if !segment.acked {
                let mut resendts = segment.resendts;
                if let Some(cause) = self.due(core, index, segment, plan, now_ms) {
                    if !datagram.fits(segment.data.len()) {
                        return false;
                    }
                    resendts = self.transmit(core, index, cause, plan, now_ms, datagram);
                }
                self.scan.suspects |= self.overtaken.count(index).is_some_and(|count| count > 0);
                self.scan.note_timeout(resendts);
                let due = diff(resendts, now_ms);
                if due > 0 && (due as u32) < plan.next_ms {
                    plan.next_ms = due as u32;
                }
            }
            sn = sn.wrapping_add(1);
        }
    }

    /// Whether the segment is sent now: `Some(None)` for the first time, or again for a cause.
    #[inline]
    fn due(
        &self,
        core: &Conversation,
        index: usize,
        segment: &InFlight,
        plan: &Plan,
        now_ms: u32,
    ) -> Option<Option<Cause>> {
        if segment.xmit == 0 {
            return Some(None);
        }
        match self.overtaken.count(index) {
            Some(count) if count >= resend_limit(core.params.tuning) => Some(Some(Cause::Fast)),
            Some(count) if count > 0 && plan.moved == 0 => Some(Some(Cause::Early)),
            _ if planted!(core.params, WrapCompare) && now_ms < segment.resendts => None,
            _ if diff(now_ms, segment.resendts) >= 0 => Some(Some(Cause::Timeout)),
            _ => None,
        }
    }

    /// Writes the segment; returns the clock at which its timeout ends.
    #[inline]
    fn transmit(
        &mut self,
        core: &mut Conversation,
        index: usize,
        cause: Option<Cause>,
        plan: &mut Plan,
        now_ms: u32,
        datagram: &mut Datagram<'_>,
    ) -> u32 {
        let rto_ms = core.rtt.rto_ms;
        let sn = core.outgoing.sn_at(index);
        let segment = &mut core.outgoing.segments[index];
        let (mut fastack, mut waited_ms) = (None, 0);
        match cause {
            None => {
                segment.rto_ms = rto_ms;
                self.scan.unsent_sn = sn.wrapping_add(1);
                if index == 0 {
                    self.outage.began(now_ms);
                }
            }
            Some(Cause::Timeout) => {
                waited_ms = segment.rto_ms;
                let backoff_ms = if core.params.tuning.nodelay { rto_ms / 2 } else { rto_ms };
                segment.rto_ms = segment.rto_ms.wrapping_add(backoff_ms);
                fastack = Some(0);
                plan.lost += 1;
                core.observed.marks.hit_if(Mark::RtoBackoff, segment.xmit > 1);
            }
            Some(_) => {
                segment.rto_ms = rto_ms;
                fastack = Some(match core.params.generation {
                    Generation::Go2021 => 0,
                    Generation::Go2026 => DONE,
                });
                plan.early += 1;
            }
        }
        segment.resendts = now_ms.wrapping_add(segment.rto_ms);
        let resendts = segment.resendts;
        let transmission = Transmission { cause, now_ms, rto_ms: segment.rto_ms, waited_ms };
        self.overtaken.sent(index, now_ms, fastack);
        core.write_data(index, transmission, datagram);
        resendts
    }

    /// KCP-13: the congestion window after losses, only without nc.
    #[inline]
    fn finish(&mut self, core: &mut Conversation, plan: &Plan) {
        self.flush_next_ms = plan.next_ms;
        let (tuning, mss) = (core.params.tuning, core.params.mss() as u32);
        if tuning.nc || (plan.kind == Flush::AckOnly && core.params.generation == Generation::Go2021) {
            return;
        }
        core.observed.marks.hit_if(Mark::CwndHalved, plan.early > 0);
        core.observed.marks.hit_if(Mark::CwndCollapse, plan.lost > 0);
        if plan.early > 0 {
            let in_flight = core.outgoing.nxt.wrapping_sub(core.outgoing.una);
            self.cwnd.halve(in_flight, resend_limit(tuning), mss);
        }
        if plan.lost > 0 {
            self.cwnd.collapse(plan.window, mss);
        }
        self.cwnd.raise(mss);
    }
}
