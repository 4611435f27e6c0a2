//! The one place that writes segments into datagrams (KCP-1, KCP-7, KCP-10).

use super::conversation::Conversation;
use super::receiver::Ack;
use super::segment::{Command, Header, OVERHEAD};
use super::send_buffer::DEAD_LINK;
use super::validation::Validation;
use crate::observe::{Cause, Mark, Note};
use crate::time::diff;

/// A datagram under construction in the caller's buffer.
#[derive(Debug)]
pub(super) struct Datagram<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

impl<'a> Datagram<'a> {
    /// An empty datagram that may grow to the length of `bytes`.
    #[inline]
    pub(super) const fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, len: 0 }
    }

    /// Bytes written so far.
    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Whether a segment with `payload_bytes` of payload fits.
    #[inline]
    pub(super) const fn fits(&self, payload_bytes: usize) -> bool {
        self.len + OVERHEAD + payload_bytes <= self.bytes.len()
    }

    /// Segments without payload that still fit.
    #[inline]
    pub(super) const fn headers_left(&self) -> usize {
        (self.bytes.len() - self.len) / OVERHEAD
    }

    #[inline]
    fn push(&mut self, header: &Header, payload: &[u8]) {
        let (head, body) = (self.len, self.len + OVERHEAD);
        header.write(&mut self.bytes[head..body]);
        self.len = body + payload.len();
        self.bytes[body..self.len].copy_from_slice(payload);
    }
}

/// How and why a data segment is transmitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transmission {
    /// `None` for the first time.
    pub(super) cause: Option<Cause>,
    pub(super) now_ms: u32,
    /// The retransmission timeout that starts now.
    pub(super) rto_ms: u32,
    /// The timeout that expired, if that is the cause.
    pub(super) waited_ms: u32,
}

impl Conversation {
    /// KCP-10: acknowledgements below `rcv_nxt` are redundant with una, except the last one, which carries the RTT sample.
    /// Those of small segments are kept if `each_small` is set, one for each clock value (CC-21).
    /// `false` when the datagram is full; `last` is the acknowledgement written last; `written` is called with each one.
    #[inline]
    pub(super) fn write_acks(
        &mut self,
        last: &mut Ack,
        datagram: &mut Datagram<'_>,
        each_small: bool,
        mut written: impl FnMut(Ack),
    ) -> bool {
        if self.receiver.una_held.is_some() {
            return true;
        }
        while let Some(&ack) = self.receiver.acks.front() {
            let next = self.receiver.acks.get(1);
            let kept = each_small && ack.small && next.is_some_and(|next| next.ts != ack.ts);
            if diff(ack.sn, self.receiver.nxt) >= 0 || next.is_none() || kept {
                if !datagram.fits(0) {
                    return false;
                }
                *last = ack;
                written(ack);
                self.write_control(Command::Ack, ack, datagram);
            }
            self.receiver.acks.pop_front();
        }
        true
    }

    /// Window probes, which repeat ts and sn of the acknowledgement written last (KCP-7). `false` when the datagram is full.
    #[inline]
    pub(super) fn write_probes(&mut self, last: Ack, datagram: &mut Datagram<'_>) -> bool {
        if !self.window.has_probes() {
            return true;
        }
        for command in [Command::Wask, Command::Wins] {
            let wanted = match command {
                Command::Wask => self.window.ask,
                _ => self.window.tell,
            };
            if !wanted {
                continue;
            }
            if !datagram.fits(0) {
                return false;
            }
            self.write_control(command, last, datagram);
            match command {
                Command::Wask => self.window.ask = false,
                _ => self.window.tell = false,
            }
        }
        true
    }

    /// One segment without payload.
    #[inline]
    pub(super) fn write_control(
        &mut self,
        command: Command,
        Ack { sn, ts, .. }: Ack,
        datagram: &mut Datagram<'_>,
    ) {
        datagram.push(&Header { ts, sn, ..self.header(command) }, &[]);
        self.observed.counters.out_segs += 1;
    }

    /// The segment at `index` of the send buffer, which must fit. All transmissions go through here; a copy that is bundled
    /// with other segments ([`Cause::Redundant`]) does not count as one.
    #[inline(always)]
    pub(super) fn write_data(
        &mut self,
        index: usize,
        transmission: Transmission,
        datagram: &mut Datagram<'_>,
    ) {
        let Transmission { cause, now_ms, rto_ms, waited_ms } = transmission;
        let (header, sn) = (self.header(Command::Push), self.outgoing.sn_at(index));
        let segment = &mut self.outgoing.segments[index];
        segment.xmit += u32::from(cause != Some(Cause::Redundant));
        let (xmit, len) = (segment.xmit, segment.data.len() as u32);
        let ts = now_ms.wrapping_add(self.validation.offset_ms);
        datagram.push(&Header { frg: segment.frg, ts, sn, len, ..header }, &segment.data);
        self.validation.note_sent(sn, now_ms, &segment.data);
        self.outgoing.dead |= xmit >= DEAD_LINK;
        let counters = &mut self.observed.counters;
        counters.out_segs += 1;
        match cause {
            None | Some(Cause::Redundant) => {}
            Some(Cause::Fast | Cause::Overdue) => counters.fast_retrans_segs += 1,
            Some(Cause::Early | Cause::TailProbe) => counters.early_retrans_segs += 1,
            Some(Cause::Timeout) => counters.lost_segs += 1,
        }
        self.observed.notes.add(Note::Sent { sn, cause, xmit, rto_ms, waited_ms });
    }

    /// A header with the window and una of this moment rather than of the flush's start, since input and reads come between
    /// two polls. An acknowledgement with an older una could be the last one for a segment, and the peer would never
    /// release that segment.
    #[inline]
    fn header(&self, command: Command) -> Header {
        let skips = planted!(self.params, AckOfGap) && self.receiver.waits_for_gap();
        let una = self.receiver.una_held.unwrap_or(self.receiver.nxt).wrapping_add(skips.into());
        Header { wnd: self.receiver.free_window(), una, ..Header::new(self.params.conv, command) }
    }

    /// Writes a path probe; its clock value, or `None` when there is nothing to probe with.
    pub(super) fn write_path_probe(
        &mut self,
        now_ms: u32,
        random: u32,
        datagram: &mut Datagram<'_>,
    ) -> Option<u32> {
        let (sn, first) = self.validation.first(&self.outgoing)?;
        if !datagram.fits(first.len()) {
            return None;
        }
        let first = first.to_vec();
        let ts_ms = Validation::token(now_ms, random);
        let ts = ts_ms.wrapping_add(self.validation.offset_ms);
        let header = Header { ts, sn, len: first.len() as u32, ..self.header(Command::Push) };
        datagram.push(&header, &first);
        self.validation.note_probe(first);
        Some(ts_ms)
    }

    /// Moves queued segments into the send buffer while they lie within `window` segments from una on; returns how many.
    #[inline]
    pub(super) fn number_queued(&mut self, window: u32) -> usize {
        let window = window + u32::from(planted!(self.params, WindowOffByOne));
        let before = self.outgoing.segments.len();
        while diff(self.outgoing.nxt, self.outgoing.una.wrapping_add(window)) < 0 {
            if !self.outgoing.may_number() || !self.outgoing.number_one() {
                break;
            }
            self.observed.marks.hit_if(Mark::SnWrap, self.outgoing.nxt == 0);
        }
        self.outgoing.segments.len() - before
    }
}
