//! Datagrams of a paced sender.

use crate::arq::flush::Plan;
use crate::arq::segment::{Command, Header, OVERHEAD};
use crate::arq::{Arq, DEAD_LINK};
use crate::observe::{Cause, Note};
use crate::time::{Instant, diff};
use core::time::Duration;

/// Largest payload that later datagrams carry along.
const COPY_BYTES_MAX: usize = 256;

/// Bytes of a datagram that still is a small one.
const SMALL_DATAGRAM_BYTES: usize = 512;

impl Arq {
    /// Writes the next datagram into `out` and returns its length: acknowledgements that are due, probes, then segments as far
    /// as controller and pace allow.
    pub(in crate::arq) fn poll_paced(&mut self, now: Instant, out: &mut [u8]) -> Option<usize> {
        let out = &mut out[..self.mtu];
        let mut at = 0;
        let mut plan = Plan::paced();
        // A peer that lost its state takes a segment of data for the beginning only if it comes first (KCP-22).
        self.write_probe(now, out, &mut at);
        let due = self.paced.as_ref()?.ack_at.is_none_or(|at| at <= now);
        if due {
            self.write_repeating_acks(&mut plan, out, &mut at);
        }
        let data_at = at;
        self.write_sendable(now, out, &mut at);
        if at > data_at {
            if !due {
                self.write_repeating_acks(&mut plan, out, &mut at);
            }
            self.write_copies(now, data_at, out, &mut at);
        }
        self.write_probes(&plan, out, &mut at);
        (at > 0).then_some(at)
    }

    /// The newest come last, since the last one is the peer's sample of the round trip.
    fn write_repeating_acks(&mut self, plan: &mut Plan, out: &mut [u8], at: &mut usize) {
        if self.acks.is_empty() {
            return;
        }
        let room = ((out.len() - *at) / OVERHEAD).saturating_sub(self.acks.len());
        let again = self.paced.as_ref().filter(|paced| paced.repeats_acks);
        let again = again.map(|paced| paced.repeats.due(self.rcv_nxt, room)).unwrap_or_default();
        for (sn, ts) in again {
            plan.set_last_ack(ts, sn);
            self.write_header(Command::Ack, plan, out, at);
        }
        let waiting: Vec<(u32, u32)> = self.acks.iter().copied().collect();
        let all = self.write_acks(plan, out, at);
        let written = waiting.len() - self.acks.len();
        let Some(paced) = &mut self.paced else { return };
        paced.repeats.told(waiting[..written].to_vec());
        if all {
            paced.ack_at = None;
        }
    }

    fn write_sendable(&mut self, now: Instant, out: &mut [u8], at: &mut usize) {
        if !self.paced.as_ref().is_some_and(|paced| paced.pace.may_send(now)) {
            return;
        }
        while self.window_has_room() {
            let lost = self.paced.as_ref().and_then(|paced| paced.sent.first_lost());
            let index = match lost {
                Some(index) => index,
                None if self.may_number() => {
                    let fits = |data: &[u8]| *at + OVERHEAD + data.len() <= out.len();
                    if !self.snd_queue.front().is_some_and(|head| fits(&head.data)) {
                        return;
                    }
                    self.number_queued(self.snd_nxt.wrapping_sub(self.snd_una) + 1);
                    self.snd_buf.len() - 1
                }
                None => {
                    if let Some(paced) = &mut self.paced {
                        paced.sent.ran_dry();
                    }
                    return;
                }
            };
            let cause = lost.is_some().then_some(Cause::Overdue);
            if !self.write_segment(index, cause, now, out, at) {
                return;
            }
        }
    }

    /// Something that the peer must answer, in spite of window and pace: what is lost, what is new, or the newest once more.
    fn write_probe(&mut self, now: Instant, out: &mut [u8], at: &mut usize) {
        let Some(paced) = self.paced.as_mut().filter(|paced| paced.probes > 0) else { return };
        paced.probes = 0;
        let timed_out = paced.timing.is_silent();
        if let Some(index) = paced.sent.first_lost().or_else(|| paced.sent.newest_flying()) {
            let cause = if timed_out { Cause::Timeout } else { Cause::TailProbe };
            self.write_segment(index, Some(cause), now, out, at);
        }
    }

    /// Writes a segment if it fits.
    fn write_segment(
        &mut self,
        index: usize,
        cause: Option<Cause>,
        now: Instant,
        out: &mut [u8],
        at: &mut usize,
    ) -> bool {
        let len = self.snd_buf[index].data.len();
        if *at + OVERHEAD + len > out.len() {
            return false;
        }
        self.put_segment(index, now.ms(), out, at);
        let rto_ms = self.rtt.rto_ms;
        let segment = &mut self.snd_buf[index];
        segment.xmit += 1;
        let xmit = segment.xmit;
        self.dead |= xmit >= DEAD_LINK;
        match cause {
            Some(Cause::Timeout) => self.counters.lost_segs += 1,
            Some(Cause::TailProbe) => self.counters.early_retrans_segs += 1,
            Some(Cause::Overdue) => self.counters.fast_retrans_segs += 1,
            _ => {}
        }
        let sn = self.snd_una.wrapping_add(index as u32);
        self.unsent_sn = if diff(sn, self.unsent_sn) >= 0 { sn.wrapping_add(1) } else { self.unsent_sn };
        let waited_ms = if cause == Some(Cause::Timeout) { rto_ms } else { 0 };
        self.notes.add(Note::Sent { sn, cause, xmit, rto_ms, waited_ms });
        if let Some(paced) = &mut self.paced {
            let load = paced.control.load();
            paced.sent.sent(index, now, OVERHEAD + len, load);
            paced.timing.sent(now);
            paced.pace.set(paced.control.pacing_bytes_s());
            paced.pace.sent(now, OVERHEAD + len);
        }
        true
    }

    fn put_segment(&mut self, index: usize, ts: u32, out: &mut [u8], at: &mut usize) {
        let sn = self.snd_una.wrapping_add(index as u32);
        let segment = &self.snd_buf[index];
        let header =
            Header { frg: segment.frg, ts, sn, len: segment.data.len() as u32, ..self.header(Command::Push) };
        header.write(&mut out[*at..*at + OVERHEAD]);
        *at += OVERHEAD;
        out[*at..*at + segment.data.len()].copy_from_slice(&segment.data);
        *at += segment.data.len();
        self.counters.out_segs += 1;
    }

    /// Small datagrams carry the ones before along, so that a lost message arrives with the next one instead of a
    /// round trip later. They cost little, since most of a small datagram is headers.
    fn write_copies(&mut self, now: Instant, data_at: usize, out: &mut [u8], at: &mut usize) {
        let Some(paced) = &self.paced else { return };
        if *at - data_at > SMALL_DATAGRAM_BYTES || paced.sent.len() < 2 {
            return;
        }
        let copies = match paced.control.state().loss_ppm {
            0..20_000 => 1,
            20_000..120_000 => 2,
            _ => 3,
        };
        let old = Duration::from_millis(1);
        let small = |index: &usize| {
            let bytes = self.snd_buf.get(*index).map_or(usize::MAX, |segment| segment.data.len());
            paced.sent.age(*index, now) >= old && bytes <= COPY_BYTES_MAX
        };
        let indices: Vec<usize> = paced.sent.flying_newest().filter(small).take(copies).collect();
        for index in indices {
            if *at + OVERHEAD + self.snd_buf[index].data.len() <= out.len() {
                self.put_segment(index, now.ms(), out, at);
                let sn = self.snd_una.wrapping_add(index as u32);
                let xmit = self.snd_buf[index].xmit;
                let (cause, rto_ms) = (Some(Cause::Redundant), self.rtt.rto_ms);
                self.notes.add(Note::Sent { sn, cause, xmit, rto_ms, waited_ms: 0 });
            }
        }
    }
}
