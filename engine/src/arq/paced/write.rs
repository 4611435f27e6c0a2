//! Datagrams of a paced sender.

use super::PacedSender;
use crate::arq::conversation::Conversation;
use crate::arq::datagram::{Datagram, Transmission};
use crate::arq::receiver::Ack;
use crate::arq::segment::{Command, OVERHEAD};
use crate::observe::Cause;
use crate::time::Instant;
use core::time::Duration;

/// Largest payload of which later datagrams carry a copy.
const COPY_BYTES_MAX: usize = 256;

/// Bytes of data up to which a datagram is small.
const SMALL_DATAGRAM_BYTES: usize = 512;

/// A segment that left more recently is not copied.
const COPY_AGE_MIN: Duration = Duration::from_millis(1);

impl PacedSender {
    /// Fills the next datagram: acknowledgements that are due, probes, then segments as far as controller and pacer allow.
    pub(in crate::arq) fn write(
        &mut self,
        core: &mut Conversation,
        now: Instant,
        datagram: &mut Datagram<'_>,
    ) {
        let mut last_ack = Ack::default();
        // A peer that lost its state takes a data segment for the beginning only if it comes first (KCP-22).
        self.write_probe(core, now, datagram);
        let due = self.acks.is_due(now);
        if due {
            self.write_acks(core, &mut last_ack, datagram);
        }
        let data_at = datagram.len();
        self.write_repeats(core, now, datagram);
        self.write_sendable(core, now, datagram);
        if datagram.len() > data_at {
            if !due {
                self.write_acks(core, &mut last_ack, datagram);
            }
            self.write_copies(core, now, data_at, datagram);
            if datagram.len() - data_at <= SMALL_DATAGRAM_BYTES {
                self.arrivals.sent(now);
            }
        }
        core.write_probes(last_ack, datagram);
    }

    /// Repetitions first and the newest acknowledgement last, since the last one is the peer's sample of the round trip.
    fn write_acks(&mut self, core: &mut Conversation, last: &mut Ack, datagram: &mut Datagram<'_>) {
        let pending = core.receiver.acks.len();
        if pending == 0 || core.receiver.una_held.is_some() {
            return;
        }
        let room = datagram.headers_left().saturating_sub(pending);
        for ack in self.acks.repeated(core.receiver.nxt, room) {
            *last = ack;
            core.write_control(Command::Ack, ack, datagram);
        }
        // No more than fit the datagram, however many wait.
        let mut written = Vec::with_capacity(pending.min(datagram.headers_left()));
        let all = core.write_acks(last, datagram, self.acks.may_repeat, |ack| written.push(ack));
        self.acks.redundancy.sent(written);
        if all {
            self.acks.due_at = None;
        }
    }

    /// Lost segments, then new ones, while window and pacer allow.
    fn write_sendable(&mut self, core: &mut Conversation, now: Instant, datagram: &mut Datagram<'_>) {
        if !self.pacer.may_send(now) {
            return;
        }
        while self.window_has_room(core) {
            let (index, cause) = match self.sent.first_lost() {
                Some(index) => (index, Some(Cause::Overdue)),
                None if self.may_number(core) => {
                    let next = core.outgoing.queue.front();
                    if !next.is_some_and(|next| datagram.fits(next.data.len())) {
                        return;
                    }
                    core.number_queued(core.outgoing.nxt.wrapping_sub(core.outgoing.una) + 1);
                    (core.outgoing.segments.len() - 1, None)
                }
                None => return self.sent.limit_by_app(),
            };
            if !self.write_segment(core, index, cause, now, datagram) {
                return;
            }
        }
    }

    /// A segment that the peer must acknowledge, in spite of window and pacer: a lost one, or the newest once more.
    fn write_probe(&mut self, core: &mut Conversation, now: Instant, datagram: &mut Datagram<'_>) {
        if !std::mem::take(&mut self.probe) {
            return;
        }
        if let Some(index) = self.sent.first_lost().or_else(|| self.sent.newest_undelivered()) {
            let cause = if self.timer.is_silent() { Cause::Timeout } else { Cause::TailProbe };
            self.write_segment(core, index, Some(cause), now, datagram);
        }
    }

    /// Copies of segments that were lost several times.
    fn write_repeats(&mut self, core: &mut Conversation, now: Instant, datagram: &mut Datagram<'_>) {
        while let Some(sn) = self.repeats.due(now).filter(|_| self.pacer.may_send(now)) {
            let index = core.outgoing.index_of(sn).filter(|index| self.sent.is_in_flight(*index));
            if let Some(index) = index {
                let len = core.outgoing.segments[index].data.len();
                if !datagram.fits(len) {
                    return;
                }
                core.write_data(index, transmission(core, Some(Cause::Redundant), now), datagram);
                self.pacer.sent(now, OVERHEAD + len);
            }
            self.repeats.done();
        }
    }

    /// Transmits a segment if it fits.
    fn write_segment(
        &mut self,
        core: &mut Conversation,
        index: usize,
        cause: Option<Cause>,
        now: Instant,
        datagram: &mut Datagram<'_>,
    ) -> bool {
        let len = core.outgoing.segments[index].data.len();
        if !datagram.fits(len) {
            return false;
        }
        core.write_data(index, transmission(core, cause, now), datagram);
        let counted = len <= COPY_BYTES_MAX && self.arrivals.are_known();
        let transmissions = self.sent.sent(index, now, OVERHEAD + len, self.controller.load(), !counted);
        if core.outgoing.segments.len() > core.send_window() as usize / 2 {
            let min_rtt_us = self.sent.rack.min_rtt_us;
            self.repeats.sent(core.outgoing.sn_at(index), transmissions, min_rtt_us, now);
        }
        self.timer.sent(now);
        self.pacer.set(self.controller.pacing_bytes_s());
        self.pacer.sent(now, OVERHEAD + len);
        true
    }

    /// Small datagrams carry copies of the small segments before, so that a lost message arrives with the next one instead of a
    /// round trip later. Copies cost little, since most of a small datagram is headers.
    fn write_copies(
        &self,
        core: &mut Conversation,
        now: Instant,
        data_at: usize,
        datagram: &mut Datagram<'_>,
    ) {
        if !self.copies || datagram.len() - data_at > SMALL_DATAGRAM_BYTES || !self.sent.has_several() {
            return;
        }
        let copies = match self.path.expected_loss_ppm() {
            0..20_000 => 1,
            20_000..120_000 => 2,
            _ => 3,
        };
        let payload_bytes =
            |index: usize| core.outgoing.segments.get(index).map(|segment| segment.data.len());
        let is_small = |index: usize| payload_bytes(index).is_some_and(|bytes| bytes <= COPY_BYTES_MAX);
        let suits = |index: &usize| self.sent.age(*index, now) >= COPY_AGE_MIN && is_small(*index);
        let indices: Vec<usize> = self.sent.newest_in_flight().filter(suits).take(copies).collect();
        for index in indices {
            if datagram.fits(core.outgoing.segments[index].data.len()) {
                core.write_data(index, transmission(core, Some(Cause::Redundant), now), datagram);
            }
        }
    }
}

fn transmission(core: &Conversation, cause: Option<Cause>, now: Instant) -> Transmission {
    let rto_ms = core.rtt.rto_ms;
    let waited_ms = if cause == Some(Cause::Timeout) { rto_ms } else { 0 };
    Transmission { cause, now_ms: now.ms(), rto_ms, waited_ms }
}
