//! The flush: a frozen plan, written out datagram by datagram (KCP-6 to KCP-11).

use super::overtaken::DONE;
use super::segment::{Command, Header, OVERHEAD};
use super::{Arq, DEAD_LINK, Flush, InFlight, Queued};
use crate::Generation;
use crate::observe::{Cause, Mark, Note};
use crate::time::{Instant, diff};

const PROBE_LIMIT_MS: u32 = 120_000;

/// A flush in progress.
#[derive(Debug)]
pub(super) struct Plan {
    kind: Flush,
    /// ts and sn of the acknowledgement written last, which WASK and WINS repeat (KCP-7).
    last_ack: (u32, u32),
    cwnd: u32,
    /// Segments numbered by this flush.
    moved: u32,
    /// The first segment of the send buffer that was not looked at, as an sn, once that has begun.
    cursor_sn: Option<u32>,
    next_ms: u32,
    lost: u32,
    change: u32,
}

impl Plan {
    /// Of a paced sender, for one datagram.
    pub(super) const fn paced() -> Self {
        let (last_ack, cursor_sn) = ((0, 0), None);
        Self { kind: Flush::Full, last_ack, cwnd: 0, moved: 0, cursor_sn, next_ms: 0, lost: 0, change: 0 }
    }

    pub(super) const fn set_last_ack(&mut self, ts: u32, sn: u32) {
        self.last_ack = (ts, sn);
    }
}

impl Arq {
    /// Starts a flush at `now`; [`Arq::poll_transmit`] carries it out. A paced sender has none: it sends what it may.
    pub fn flush(&mut self, now: Instant, kind: Flush) {
        if let Some(paced) = &mut self.paced {
            paced.acknowledge(now, kind);
            return self.probe_remote_window(now.ms());
        }
        let unfinished = self.plan.take();
        self.suspects |= unfinished.as_ref().is_some_and(|plan| plan.cursor_sn.is_some());
        self.marks.hit_if(Mark::FlushInterrupted, unfinished.is_some());
        let kind = unfinished.as_ref().map_or(kind, |plan| plan.kind.max(kind));
        let mut cwnd = 0;
        let mut moved = 0;
        if kind == Flush::Full || self.generation == Generation::Go2026 {
            self.probe_remote_window(now.ms());
            cwnd = self.window();
            moved = self.number_queued(cwnd);
        }
        self.plan = Some(Plan {
            kind,
            last_ack: (0, 0),
            cwnd,
            moved,
            cursor_sn: None,
            next_ms: self.interval_ms,
            lost: unfinished.as_ref().map_or(0, |plan| plan.lost),
            change: unfinished.as_ref().map_or(0, |plan| plan.change),
        });
    }

    /// Writes the next datagram of the current flush into `out`, which must hold one mtu, and returns its length.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut [u8]) -> Option<usize> {
        if self.paced.is_some() {
            return self.poll_paced(now, out);
        }
        let mut plan = self.plan.take()?;
        let out = &mut out[..self.mtu];
        let mut at = 0;
        let done = self.write_acks(&mut plan, out, &mut at)
            && self.write_probes(&plan, out, &mut at)
            && self.write_segments(&mut plan, now.ms(), out, &mut at);
        if done {
            self.finish(&plan);
        } else {
            self.plan = Some(plan);
        }
        (at > 0).then_some(at)
    }

    /// Whether a flush waits to be polled.
    pub fn flushing(&self) -> bool {
        self.plan.is_some()
    }

    /// Milliseconds after which the flush that finished last wants to be repeated: the interval, or less when a
    /// retransmission is due before (KCP-12).
    pub fn flush_next_ms(&self) -> u32 {
        self.flush_next_ms
    }

    /// Whether a periodic flush could have anything to do, now or later.
    pub fn wants_flush(&self) -> bool {
        !(self.acks.is_empty() && self.snd_buf.is_empty() && self.snd_queue.is_empty())
            || self.ask_window
            || self.tell_window
            || self.plan.is_some()
    }

    /// Milliseconds until the window probe wants a flush; `None` while the peer's window is open.
    pub fn probe_due_ms(&self, now: Instant) -> Option<u32> {
        if self.rmt_wnd != 0 {
            return None;
        }
        let due = if self.probe_wait_ms == 0 { 0 } else { diff(self.ts_probe, now.ms()).max(0) };
        Some(due as u32)
    }

    /// The C API's `ikcp_update`: flushes when the interval is over (KCP-12).
    pub fn update(&mut self, now: Instant) {
        let current = now.ms();
        if !self.updated {
            self.updated = true;
            self.ts_flush = current;
        }
        let mut slap = diff(current, self.ts_flush);
        if !(-10_000..10_000).contains(&slap) {
            self.ts_flush = current;
            slap = 0;
        }
        if slap >= 0 {
            self.ts_flush = self.ts_flush.wrapping_add(self.interval_ms);
            if diff(current, self.ts_flush) >= 0 {
                self.ts_flush = current.wrapping_add(self.interval_ms);
            }
            self.flush(now, Flush::Full);
        }
    }

    /// The C API's `ikcp_check`: the clock value at which `update` wants to be called (KCP-12).
    pub fn check(&self, now: Instant) -> u32 {
        let current = now.ms();
        if !self.updated {
            return current;
        }
        let behind = diff(current, self.ts_flush);
        if !(-10_000..0).contains(&behind) {
            return current;
        }
        let mut wait = self.interval_ms.min(behind.unsigned_abs());
        for segment in &self.snd_buf {
            let due = diff(segment.resendts, current);
            if due <= 0 {
                return current;
            }
            wait = wait.min(due as u32);
        }
        current.wrapping_add(wait)
    }

    /// KCP-9: a closed remote window is asked about at growing intervals.
    pub(super) fn probe_remote_window(&mut self, current: u32) {
        if self.rmt_wnd != 0 {
            self.ts_probe = 0;
            self.probe_wait_ms = 0;
            return;
        }
        if self.probe_wait_ms == 0 {
            self.marks.hit(Mark::WindowClosed);
            self.probe_wait_ms = match self.generation {
                Generation::Go2021 => 7000,
                Generation::Go2026 => 500,
            };
            self.ts_probe = current.wrapping_add(self.probe_wait_ms);
        } else if diff(current, self.ts_probe) >= 0 {
            self.probe_wait_ms = (self.probe_wait_ms + self.probe_wait_ms / 2).min(PROBE_LIMIT_MS);
            self.ts_probe = current.wrapping_add(self.probe_wait_ms);
            self.ask_window = true;
            self.marks.hit(Mark::WindowProbe);
        }
    }

    fn window(&self) -> u32 {
        let window = self.snd_wnd.min(self.rmt_wnd);
        if self.nc { window } else { window.min(self.cwnd) }
    }

    pub(super) fn number_queued(&mut self, window: u32) -> u32 {
        let window = window + u32::from(planted!(self, WindowOffByOne));
        let mut moved = 0;
        while diff(self.snd_nxt, self.snd_una.wrapping_add(window)) < 0 {
            let Some(Queued { frg, data }) = self.snd_queue.pop_front() else { break };
            self.snd_buf.push_back(InFlight {
                frg,
                acked: false,
                acked_ms: 0,
                data,
                resendts: 0,
                rto_ms: 0,
                xmit: 0,
            });
            self.overtaken.push();
            self.snd_nxt = self.snd_nxt.wrapping_add(1);
            self.marks.hit_if(Mark::SnWrap, self.snd_nxt == 0);
            moved += 1;
        }
        moved
    }

    /// KCP-10: acknowledgements below rcv_nxt are redundant with una, except the last one, which carries the RTT sample.
    pub(super) fn write_acks(&mut self, plan: &mut Plan, out: &mut [u8], at: &mut usize) -> bool {
        while let Some(&(sn, ts)) = self.acks.front() {
            if diff(sn, self.rcv_nxt) >= 0 || self.acks.len() == 1 {
                if *at + OVERHEAD > out.len() {
                    return false;
                }
                plan.last_ack = (ts, sn);
                self.write_header(Command::Ack, plan, out, at);
            }
            self.acks.pop_front();
        }
        true
    }

    pub(super) fn write_probes(&mut self, plan: &Plan, out: &mut [u8], at: &mut usize) -> bool {
        if plan.kind == Flush::AckOnly && self.generation == Generation::Go2021 {
            return true;
        }
        if self.ask_window {
            if *at + OVERHEAD > out.len() {
                return false;
            }
            self.write_header(Command::Wask, plan, out, at);
            self.ask_window = false;
        }
        if self.tell_window {
            if *at + OVERHEAD > out.len() {
                return false;
            }
            self.write_header(Command::Wins, plan, out, at);
            self.tell_window = false;
        }
        true
    }

    pub(super) fn write_header(&mut self, command: Command, plan: &Plan, out: &mut [u8], at: &mut usize) {
        let (ts, sn) = plan.last_ack;
        let header = Header { ts, sn, ..self.header(command) };
        header.write(&mut out[*at..*at + OVERHEAD]);
        *at += OVERHEAD;
        self.counters.out_segs += 1;
    }

    /// What is true now, not when the flush started: input and reads come between two polls. An acknowledgement with an
    /// older una could be the last word about a segment, and the sender would hold that for ever.
    pub(super) fn header(&self, command: Command) -> Header {
        let skips = planted!(self, AckOfGap) && self.rcv_buf.front().is_some_and(Option::is_none);
        let una = self.rcv_nxt.wrapping_add(skips.into());
        Header { wnd: self.wnd_unused(), una, ..Header::new(self.conv, command) }
    }

    /// KCP-11: first transmissions and retransmissions, oldest first.
    fn write_segments(&mut self, plan: &mut Plan, current: u32, out: &mut [u8], at: &mut usize) -> bool {
        if plan.kind == Flush::AckOnly {
            return true;
        }
        let first_sn = plan.cursor_sn.unwrap_or_else(|| self.first_suspect(current));
        // Input between two polls may have moved una past the cursor.
        let mut sn = if diff(first_sn, self.snd_una) < 0 { self.snd_una } else { first_sn };
        loop {
            plan.cursor_sn = Some(sn);
            let index = sn.wrapping_sub(self.snd_una) as usize;
            let Some(segment) = self.snd_buf.get(index) else { return true };
            if !segment.acked {
                if let Some(cause) = self.due(index, segment, plan, current) {
                    if *at + OVERHEAD + segment.data.len() > out.len() {
                        return false;
                    }
                    self.transmit(index, cause, plan, current, out, at);
                }
                self.suspects |= self.overtaken.count(index).is_some_and(|count| count > 0);
                self.note_timeout(plan, index, current);
            }
            sn = sn.wrapping_add(1);
        }
    }

    /// Where to begin to look for segments to send. Nothing before the first that was not sent yet could be due when none
    /// was overtaken and no timeout ends before the next flush; with a large window that saves most of the work.
    fn first_suspect(&mut self, current: u32) -> u32 {
        let soon = |at| diff(at, current) < self.interval_ms as i32;
        if !self.suspects && !self.resend_ms_min.is_some_and(soon) {
            return self.unsent_sn;
        }
        self.suspects = false;
        self.resend_ms_min = None;
        self.snd_una
    }

    fn note_timeout(&mut self, plan: &mut Plan, index: usize, current: u32) {
        let resendts = self.snd_buf[index].resendts;
        if self.resend_ms_min.is_none_or(|min| diff(resendts, min) < 0) {
            self.resend_ms_min = Some(resendts);
        }
        let due = diff(resendts, current);
        if due > 0 && (due as u32) < plan.next_ms {
            plan.next_ms = due as u32;
        }
    }

    /// Whether the segment is sent now: `Some(None)` for the first time, or again for a reason.
    fn due(&self, index: usize, segment: &InFlight, plan: &Plan, current: u32) -> Option<Option<Cause>> {
        let resend = if self.resend > 0 { self.resend } else { u32::MAX };
        if segment.xmit == 0 {
            return Some(None);
        }
        match self.overtaken.count(index) {
            Some(count) if count >= resend => Some(Some(Cause::Fast)),
            Some(count) if count > 0 && plan.moved == 0 => Some(Some(Cause::Early)),
            _ if planted!(self, WrapCompare) && current < segment.resendts => None,
            _ if diff(current, segment.resendts) >= 0 => Some(Some(Cause::Timeout)),
            _ => None,
        }
    }

    fn transmit(
        &mut self,
        index: usize,
        cause: Option<Cause>,
        plan: &mut Plan,
        current: u32,
        out: &mut [u8],
        at: &mut usize,
    ) {
        let rto_ms = self.rtt.rto_ms;
        let header = self.header(Command::Push);
        let after_fast = match self.generation {
            Generation::Go2021 => 0,
            Generation::Go2026 => DONE,
        };
        let sn = self.snd_una.wrapping_add(index as u32);
        let segment = &mut self.snd_buf[index];
        let (mut fastack, mut waited_ms) = (None, 0);
        match cause {
            Some(Cause::Overdue | Cause::TailProbe | Cause::Redundant) => {}
            None => {
                segment.rto_ms = rto_ms;
                self.unsent_sn = sn.wrapping_add(1);
                if index == 0 {
                    self.outage.began(current);
                }
            }
            Some(Cause::Fast | Cause::Early) => {
                segment.rto_ms = rto_ms;
                fastack = Some(after_fast);
                plan.change += 1;
            }
            Some(Cause::Timeout) => {
                waited_ms = segment.rto_ms;
                let backoff_ms = if self.nodelay { rto_ms / 2 } else { rto_ms };
                segment.rto_ms = segment.rto_ms.wrapping_add(backoff_ms);
                fastack = Some(0);
                plan.lost += 1;
                self.marks.hit_if(Mark::RtoBackoff, segment.xmit > 1);
            }
        }
        match cause {
            None | Some(Cause::Overdue | Cause::TailProbe | Cause::Redundant) => {}
            Some(Cause::Fast) => self.counters.fast_retrans_segs += 1,
            Some(Cause::Early) => self.counters.early_retrans_segs += 1,
            Some(Cause::Timeout) => self.counters.lost_segs += 1,
        }
        segment.resendts = current.wrapping_add(segment.rto_ms);
        segment.xmit += 1;
        self.overtaken.sent(index, current, fastack);
        self.dead |= segment.xmit >= DEAD_LINK;
        let (xmit, rto_ms) = (segment.xmit, segment.rto_ms);
        self.notes.add(Note::Sent { sn, cause, xmit, rto_ms, waited_ms });
        let header = Header { frg: segment.frg, ts: current, sn, len: segment.data.len() as u32, ..header };
        header.write(&mut out[*at..*at + OVERHEAD]);
        *at += OVERHEAD;
        out[*at..*at + segment.data.len()].copy_from_slice(&segment.data);
        *at += segment.data.len();
        self.counters.out_segs += 1;
    }

    /// KCP-13: the congestion window after losses, only without nc.
    fn finish(&mut self, plan: &Plan) {
        self.flush_next_ms = plan.next_ms;
        if self.nc || (plan.kind == Flush::AckOnly && self.generation == Generation::Go2021) {
            return;
        }
        let mss = self.mss() as u32;
        self.marks.hit_if(Mark::CwndHalved, plan.change > 0);
        self.marks.hit_if(Mark::CwndCollapse, plan.lost > 0);
        if plan.change > 0 {
            let resend = if self.resend > 0 { self.resend } else { u32::MAX };
            self.ssthresh = (self.snd_nxt.wrapping_sub(self.snd_una) / 2).max(2);
            self.cwnd = self.ssthresh.wrapping_add(resend);
            self.incr = self.cwnd.wrapping_mul(mss);
        }
        if plan.lost > 0 {
            self.ssthresh = (plan.cwnd / 2).max(2);
            self.cwnd = 1;
            self.incr = mss;
        }
        if self.cwnd < 1 {
            self.cwnd = 1;
            self.incr = mss;
        }
    }
}
