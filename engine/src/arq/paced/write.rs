//! Datagrams of a paced sender.

use super::PacedSender;
use crate::arq::conversation::Conversation;
use crate::arq::datagram::{Datagram, Transmission};
use crate::arq::receiver::Ack;
use crate::arq::segment::{Command, OVERHEAD};
use crate::congestion::Load;
use crate::observe::Cause;
use crate::time::Instant;

/// Largest payload of a segment whose datagram's fate is learned from clock values (CC-21).
const SMALL_BYTES: usize = 512;

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
        let small = datagram.len() - data_at <= OVERHEAD + SMALL_BYTES;
        let along = datagram.len() > 0;
        if small {
            self.write_copies(core, now, along, datagram);
        }
        if datagram.len() > data_at {
            if small {
                self.arrivals.sent(now);
            }
            if !due {
                self.write_acks(core, &mut last_ack, datagram);
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
        let place = self.sent.place(index);
        if index == self.sent.len() {
            self.copies.measure(now, OVERHEAD + len);
        }
        let load = self.controller.load();
        // What a probe for bandwidth loses is congestion, and no sample of the path's loss.
        let probes = load == Load::Above && self.copies.is_bulk(now);
        let by_arrival = len <= SMALL_BYTES && self.arrivals.are_known();
        let samples_loss = !probes && !by_arrival;
        let transmissions = self.sent.sent(index, now, OVERHEAD + len, load, samples_loss);
        if core.outgoing.segments.len() > core.send_window() as usize / 2 {
            let min_rtt_us = self.sent.rack.min_rtt_us;
            self.repeats.sent(core.outgoing.sn_at(index), transmissions, min_rtt_us, now);
        }
        // More data follows, or nothing arrives.
        if core.outgoing.queue.is_empty() && !self.timer.is_silent() {
            self.copies.sent(now, place, self.sent.len(), &self.path, self.shows_queue());
        }
        self.timer.sent(now);
        self.pacer.set(self.controller.pacing_bytes_s());
        self.pacer.sent(now, OVERHEAD + len);
        true
    }

    /// Whether round trips show a queue, of this sender or of others.
    const fn shows_queue(&self) -> bool {
        self.timer.shows_queue(self.sent.rack.min_rtt_us)
    }

    /// Copies that are due: along with other data if there is any, in a datagram of their own otherwise (CC-8).
    fn write_copies(
        &mut self,
        core: &mut Conversation,
        now: Instant,
        along: bool,
        datagram: &mut Datagram<'_>,
    ) {
        let queued = self.shows_queue();
        let mut along = along;
        for due in self.copies.take(now, along) {
            let Some(index) = self.sent.in_flight(due.place) else { continue };
            let len = core.outgoing.segments[index].data.len();
            if datagram.fits(len) && self.copies.spend(now, OVERHEAD + len, along, &self.path, queued) {
                core.write_data(index, transmission(core, Some(Cause::Redundant), now), datagram);
                self.sent.copied(index);
                along = true;
            }
            self.copies.next(now, due);
        }
    }
}

fn transmission(core: &Conversation, cause: Option<Cause>, now: Instant) -> Transmission {
    let rto_ms = core.rtt.rto_ms;
    let waited_ms = if cause == Some(Cause::Timeout) { rto_ms } else { 0 };
    Transmission { cause, now_ms: now.ms(), rto_ms, waited_ms }
}
