//! The sender under a [`Controller`]: paced, with losses detected by time, and acknowledgements that leave soon.
//!
//! Unlike the reference there is no flush: a datagram is written when the controller lets one go. Segments are numbered when
//! they leave, so that everything from una on was sent. Lost segments go first, the oldest before the others, since that is
//! what the receiver waits for.

mod acks;
mod arrivals;
mod copies;
mod pacer;
mod probe_timer;
mod rack;
mod rate;
mod repeats;
mod sent;
mod write;

use super::conversation::{Conversation, Flush, Tuning};
use super::cwnd::CongestionWindow;
use super::progress::Progress;
use super::segment::OVERHEAD;
use crate::congestion::{AckEvent, ControlState, Controller, Path, Tally};
use crate::time::{Instant, diff};
use acks::AckSchedule;
use arrivals::Arrivals;
use copies::Copies;
use core::time::Duration;
use pacer::Pacer;
use probe_timer::ProbeTimer;
use repeats::Repeats;
use sent::Sent;

/// Queued segments for which more data is always wanted.
const QUEUED_SEGMENTS_MIN: usize = 32;

/// Who sets the timing of acknowledgements and of retransmissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// The sender: both follow the measured path.
    Timed,
    /// The tuning numbers, as far as they are promises to the user (CC-17).
    Tuned,
}

/// State of a paced sender.
#[derive(Debug)]
pub(super) struct PacedSender {
    controller: Box<dyn Controller>,
    /// What all sessions to the peer know of the path.
    pub(super) path: Path,
    pub(super) sent: Sent,
    arrivals: Arrivals,
    copies: Copies,
    pacer: Pacer,
    timer: ProbeTimer,
    acks: AckSchedule,
    repeats: Repeats,
    /// kcp-go's congestion window, as a further bound (CC-17).
    cwnd: Option<CongestionWindow>,
    /// Segments are lost only after an RTO.
    by_rto_only: bool,
    /// The timer wants an answer: one segment leaves, whatever window and pacer allow.
    probe: bool,
}

impl PacedSender {
    pub(super) fn new(controller: Box<dyn Controller>, recovery: Recovery, tuning: Tuning) -> Self {
        let tuned = recovery == Recovery::Tuned;
        let interval = Duration::from_millis(tuning.interval_ms.into());
        let mut pacer = Pacer::default();
        pacer.set(controller.pacing_bytes_s());
        Self {
            controller,
            path: Path::default(),
            sent: Sent::default(),
            arrivals: Arrivals::default(),
            copies: Copies::default(),
            pacer,
            timer: ProbeTimer::default(),
            acks: AckSchedule::new(if tuned { interval } else { acks::DELAY }),
            repeats: Repeats::default(),
            cwnd: (tuned && !tuning.nc).then(CongestionWindow::new),
            by_rto_only: tuned && tuning.resend == 0,
            probe: false,
        }
    }

    /// See [`super::Arq::repeat_acks`].
    pub(super) const fn repeat_acks(&mut self, on: bool) {
        self.acks.may_repeat = on;
    }

    /// Acknowledgements do not wait any longer; everything else leaves when it may.
    pub(super) fn flush(&mut self, core: &mut Conversation, now: Instant, kind: Flush) {
        if kind == Flush::AckOnly {
            self.acks.due_at = Some(now);
        }
        core.schedule_probe(now);
    }

    /// See [`super::Arq::control_state`].
    pub(super) fn control_state(&self) -> ControlState {
        ControlState {
            in_flight_bytes: self.sent.in_flight_bytes(),
            loss_ppm: self.path.tally().loss_ppm(),
            ..self.controller.state()
        }
    }

    /// Queued segments above which no more data is wanted: what the controller lets go in 5 ms.
    pub(super) fn queued_segments_max(&self, mss: usize) -> usize {
        let segments = self.controller.pacing_bytes_s() / 200 / mss as u64;
        QUEUED_SEGMENTS_MIN.max(segments as usize)
    }

    /// See [`super::Arq::poll_timeout`].
    pub(super) fn poll_timeout(&self, core: &Conversation, now: Instant) -> Option<Instant> {
        let ack = self.acks.due_at.filter(|_| !core.receiver.acks.is_empty());
        let probe = core.window.probe_due_ms(now).filter(|_| core.outgoing.waiting() > 0);
        let probe = probe.map(|wait_ms| now.ms_boundary_after(wait_ms.max(1)));
        let pace = (self.has_sendable(core) && self.window_has_room(core)).then(|| self.pacer.train_at());
        let copy = self.copies.next_at();
        let silence = self.timer.expires_at().filter(|_| self.awaits_delivery());
        let repeat = self.repeats.next_at().map(|at| at.max(self.pacer.train_at()));
        [ack, probe, pace, repeat, copy, self.sent.rack.overdue_at, silence].into_iter().flatten().min()
    }

    /// See [`super::Arq::handle_timeout`].
    pub(super) fn handle_timeout(&mut self, core: &mut Conversation, now: Instant) {
        core.schedule_probe(now);
        let awaits_delivery = self.awaits_delivery();
        if self.sent.rack.overdue_at.is_some_and(|at| at <= now) {
            self.detect_losses(core, now);
            self.report(now);
        }
        if awaits_delivery && self.timer.expires_at().is_some_and(|at| at <= now) {
            self.probe = true;
            if self.timer.expire(now) > 1 {
                self.sent.lose_all();
                // An outage is no sample of loss.
                self.sent.unreported.of_path = Tally::default();
                self.arrivals.forget();
                self.copies.forget();
                if let Some(cwnd) = &mut self.cwnd {
                    cwnd.collapse(core.send_window().min(cwnd.segments), core.params.mss() as u32);
                }
                self.controller.on_timeout();
                self.report(now);
            }
        }
    }

    /// The peer was heard again after a silence: one segment shows whether it hears this end.
    pub(super) fn peer_is_back(&mut self) {
        self.probe |= self.awaits_delivery() && self.timer.is_silent();
    }

    /// Whether a segment was sent that is not known to be delivered.
    fn awaits_delivery(&self) -> bool {
        self.sent.awaits_delivery()
    }

    /// Whether there is a segment to send: a lost one, or a new one with room in the peer's window.
    fn has_sendable(&self, core: &Conversation) -> bool {
        self.sent.first_lost().is_some() || self.may_number(core)
    }

    /// Whether the controller lets more be in flight.
    fn window_has_room(&self, core: &Conversation) -> bool {
        let in_flight = self.sent.in_flight_bytes();
        let mtu = core.params.mtu as u64;
        let fits = in_flight == 0 || in_flight + mtu <= self.controller.window_bytes();
        fits && !self.timer.is_silent()
    }

    /// See [`super::Arq::may_transmit`].
    pub(super) fn may_transmit(&self, core: &Conversation, now: Instant) -> bool {
        let acks = !core.receiver.acks.is_empty() && self.acks.is_due(now);
        let data = self.has_sendable(core) && self.window_has_room(core) && self.pacer.may_send(now);
        let copies = self.copies.next_at().is_some_and(|at| at <= now);
        let repeat = self.repeats.due(now).is_some() && self.pacer.may_send(now);
        acks || data || repeat || copies || self.probe || core.window.has_probes()
    }

    /// The peer acknowledged the segment `sn`, which una may have passed, with the clock value `ts`.
    pub(super) fn echoed(&mut self, sn: u32, ts: u32) {
        // Toward a peer that did not announce itself, datagrams that the path or an attacker doubles would pass for repetitions.
        if self.acks.may_repeat {
            self.arrivals.echoed(sn, ts);
        }
    }

    /// A data segment arrived.
    pub(super) fn received(&mut self, new: bool) {
        self.acks.received(new);
    }

    /// A datagram was taken in.
    pub(super) fn after_input(&mut self, core: &Conversation, now: Instant, progress: &Progress) {
        let datagram_max = core.params.mtu / OVERHEAD;
        let pending = core.receiver.acks.len();
        let loss_ppm = self.path.expected_loss_ppm();
        self.acks.wait(now, pending, datagram_max, progress.ack_nodelay, loss_ppm);
        let unreported = &self.sent.unreported;
        if let Some(rtt_us) = unreported.rtt_us.or(progress.rtt_ms.map(|ms| u64::from(ms) * 1_000)) {
            self.timer.sample(rtt_us);
        }
        if unreported.delivered_bytes > 0 {
            self.timer.delivered(now);
            self.probe = false;
            if !self.awaits_delivery() {
                self.timer.stop();
            }
        }
        if let Some(cwnd) = self.cwnd.as_mut().filter(|_| progress.una_moved) {
            cwnd.grow(core.window.segments, core.params.mss() as u32);
        }
        self.detect_losses(core, now);
        self.report(now);
    }

    /// Marks overdue segments as lost, which halves kcp-go's congestion window, if it applies.
    fn detect_losses(&mut self, core: &Conversation, now: Instant) {
        let rto = Duration::from_millis(core.rtt.rto_ms.into());
        let lost = self.sent.detect_losses(now, if self.by_rto_only { rto } else { Duration::ZERO });
        if let Some(cwnd) = self.cwnd.as_mut().filter(|_| lost) {
            let in_flight = core.outgoing.segments.len() as u32;
            cwnd.halve(in_flight, core.params.tuning.resend, core.params.mss() as u32);
        }
    }

    /// Gives the controller what became known since the last time.
    fn report(&mut self, now: Instant) {
        let rate = self.sent.take_rate();
        let unreported = std::mem::take(&mut self.sent.unreported);
        self.path.add(unreported.of_path);
        self.path.add(self.arrivals.take(now, self.sent.rack.timeout()));
        self.path.note_copied(unreported.copied, unreported.missed);
        if self.copies.is_bulk(now) {
            self.path.note_bulk(now, self.controller.pacing_bytes_s());
        }
        if unreported.is_empty() {
            return;
        }
        self.controller.on_ack(&AckEvent {
            now,
            tallies: unreported.tallies,
            delivered_bytes: self.sent.rate.delivered_bytes,
            newly_delivered_bytes: unreported.delivered_bytes,
            in_flight_bytes: self.sent.in_flight_bytes(),
            rtt_us: unreported.rtt_us,
            lost_after_us: self.sent.rack.timeout().as_micros() as u64,
            rate,
        });
        self.pacer.set(self.controller.pacing_bytes_s());
    }

    /// Asserts what must hold between two calls.
    pub(super) fn check_invariants(&self, core: &Conversation) {
        self.sent.check_invariants(core.outgoing.segments.len());
        self.acks.redundancy.check_invariants();
        self.repeats.check_invariants();
        self.copies.check_invariants();
    }

    /// Whether a queued segment may be numbered.
    fn may_number(&self, core: &Conversation) -> bool {
        let bound = self.cwnd.as_ref().map_or(u32::MAX, |cwnd| cwnd.segments.max(1));
        let end = core.outgoing.una.wrapping_add(core.send_window().min(bound));
        !core.outgoing.queue.is_empty() && diff(core.outgoing.nxt, end) < 0 && core.outgoing.may_number()
    }
}
