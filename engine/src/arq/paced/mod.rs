//! The sender under a [`Controller`]: paced, with loss found by time, and acknowledgements that leave soon.
//!
//! Unlike the reference there is no flush: a datagram is made when the controller lets one go. Segments are numbered when
//! they leave, so that everything from una on was sent. What is lost goes first, the oldest before the others, since
//! that is what the receiver waits for.

mod pace;
mod repeats;
mod sent;
mod timing;
mod write;

use crate::congestion::{ControlState, Controller, Report};
use super::{Arq, Flush, OVERHEAD};
use crate::time::{Instant, diff};
use core::time::Duration;
use pace::Pace;
use repeats::Repeats;
use sent::Sent;
use timing::Timing;

/// How long acknowledgements wait for company.
const ACK_DELAY: Duration = Duration::from_millis(4);

/// As many do not wait, or those that fill a datagram.
const ACKS_WAIT_MAX: usize = 32;

/// Segments that wait unnumbered at least, if there are as many to send.
const QUEUED_SEGMENTS_MIN: usize = 32;

/// State of a paced sender.
#[derive(Debug)]
pub(super) struct Paced {
    pub(super) control: Box<dyn Controller>,
    pub(super) sent: Sent,
    pace: Pace,
    timing: Timing,
    /// When acknowledgements that wait must leave.
    ack_at: Option<Instant>,
    pub(super) repeats: Repeats,
    /// The peer does not mind to be told twice.
    pub(super) repeats_acks: bool,
    /// Segments that leave whatever window and pace say: a timer wants to hear something.
    probes: u32,
}

impl Paced {
    pub(super) fn new(control: Box<dyn Controller>) -> Self {
        let mut pace = Pace::default();
        pace.set(control.pacing_bytes_s());
        Self {
            control,
            sent: Sent::default(),
            pace,
            timing: Timing::default(),
            ack_at: None,
            repeats: Repeats::default(),
            repeats_acks: false,
            probes: 0,
        }
    }
}

impl Paced {
    /// A flush of acknowledgements does not wait for company.
    pub(super) fn acknowledge(&mut self, now: Instant, kind: Flush) {
        if kind == Flush::AckOnly {
            self.ack_at = Some(now);
        }
    }
}

impl Arq {
    /// Puts a controller in charge of sending. Only before the first segment.
    pub fn set_controller(&mut self, control: Box<dyn Controller>) {
        self.paced = Some(Box::new(Paced::new(control)));
    }

    /// The controller's view of the path, if one is in charge.
    pub fn control_state(&self) -> Option<ControlState> {
        let paced = self.paced.as_ref()?;
        Some(ControlState { in_flight_bytes: paced.sent.in_flight_bytes(), ..paced.control.state() })
    }

    /// Lets acknowledgements be repeated, so that the loss of one is not taken for the loss of data. The reference counts each
    /// one against older segments, so the peer should be one that does not.
    pub fn repeat_acks(&mut self, on: bool) {
        if let Some(paced) = &mut self.paced {
            paced.repeats_acks = on;
        }
    }

    /// Whether `send` should be given more: a paced sender keeps its queue short, so that what is urgent need not wait.
    pub fn wants_data(&self) -> bool {
        let soon = self.paced.as_ref().map_or(usize::MAX, |paced| {
            let segments = paced.control.pacing_bytes_s() / 200 / self.mss() as u64;
            QUEUED_SEGMENTS_MIN.max(segments as usize)
        });
        self.waitsnd() < self.snd_wnd as usize && self.snd_queue.len() < soon
    }

    /// When a paced sender wants [`Arq::handle_timeout`] to be called.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let paced = self.paced.as_ref()?;
        let ack = paced.ack_at.filter(|_| !self.acks.is_empty());
        let probe = self.probe_due_ms(now).filter(|_| self.waitsnd() > 0);
        let probe = probe.map(|wait_ms| now.ms_boundary_after(wait_ms.max(1)));
        let pace = (self.has_sendable() && self.window_has_room()).then(|| paced.pace.train_at());
        let silent = paced.timing.expires_at().filter(|_| self.in_question());
        [ack, probe, pace, paced.sent.overdue_at, silent].into_iter().flatten().min()
    }

    /// Does what is due at `now`, if a controller is in charge.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.paced.is_none() {
            return;
        }
        self.probe_remote_window(now.ms());
        let questions = self.in_question();
        let Some(paced) = &mut self.paced else { return };
        if paced.sent.overdue_at.is_some_and(|at| at <= now) {
            paced.sent.judge(now);
            self.report(now);
        }
        let Some(paced) = &mut self.paced else { return };
        if questions && paced.timing.expires_at().is_some_and(|at| at <= now) {
            paced.probes = 1;
            if paced.timing.expire(now) > 1 {
                paced.sent.lose_all();
                paced.control.timed_out();
                self.report(now);
            }
        }
    }

    /// The peer is there: whether it was heard itself, one segment shows.
    pub(super) fn ask_at_once(&mut self) {
        let questions = self.in_question();
        if let Some(paced) = self.paced.as_mut().filter(|paced| questions && paced.timing.is_silent()) {
            paced.probes = 1;
        }
    }

    /// Something was sent that has not arrived.
    fn in_question(&self) -> bool {
        self.paced.as_ref().is_some_and(|paced| paced.sent.newest_flying().is_some())
    }

    /// Whether there is a segment that could be sent: lost, or new with room in the peer's window.
    fn has_sendable(&self) -> bool {
        let lost = self.paced.as_ref().is_some_and(|paced| paced.sent.first_lost().is_some());
        lost || self.may_number()
    }

    fn may_number(&self) -> bool {
        let window = self.snd_wnd.min(self.rmt_wnd);
        !self.snd_queue.is_empty() && diff(self.snd_nxt, self.snd_una.wrapping_add(window)) < 0
    }

    /// Whether the controller lets more be in flight.
    fn window_has_room(&self) -> bool {
        let Some(paced) = &self.paced else { return false };
        let in_flight = paced.sent.in_flight_bytes();
        let fits = in_flight == 0 || in_flight + self.mtu as u64 <= paced.control.window_bytes();
        fits && !paced.timing.is_silent()
    }

    /// Whether a paced sender has a datagram to write now.
    pub fn may_transmit(&self, now: Instant) -> bool {
        let Some(paced) = &self.paced else { return false };
        let acks = !self.acks.is_empty() && paced.ack_at.is_none_or(|at| at <= now);
        let data = self.has_sendable() && self.window_has_room() && paced.pace.may_send(now);
        acks || data || paced.probes > 0 || self.ask_window || self.tell_window
    }

    /// A datagram was taken in.
    pub(super) fn paced_after_input(&mut self, now: Instant, rtt_ms: Option<u32>, ack_nodelay: bool) {
        let (acks, acks_max) = (self.acks.len(), ACKS_WAIT_MAX.min(self.mtu / OVERHEAD));
        let Some(paced) = &mut self.paced else { return };
        if acks > 0 {
            let soon = if ack_nodelay || acks >= acks_max { now } else { now + ACK_DELAY };
            paced.ack_at = Some(paced.ack_at.map_or(soon, |at| at.min(soon)));
        }
        let news = paced.sent.news;
        if let Some(rtt_us) = news.rtt_us.or(rtt_ms.map(|ms| u64::from(ms) * 1_000)) {
            paced.timing.sample(rtt_us);
        }
        if news.delivered_bytes > 0 {
            paced.timing.heard(now);
            paced.probes = 0;
            if paced.sent.newest_flying().is_none() {
                paced.timing.rests();
            }
        }
        paced.sent.judge(now);
        self.report(now);
    }

    fn report(&mut self, now: Instant) {
        let Some(paced) = &mut self.paced else { return };
        let rate = paced.sent.take_rate();
        let news = std::mem::take(&mut paced.sent.news);
        if news.is_empty() {
            return;
        }
        paced.control.report(&Report {
            now,
            tallies: news.tallies,
            delivered_bytes: paced.sent.delivered_bytes(),
            newly_delivered_bytes: news.delivered_bytes,
            in_flight_bytes: paced.sent.in_flight_bytes(),
            rtt_us: news.rtt_us,
            rate,
        });
        paced.pace.set(paced.control.pacing_bytes_s());
    }
}
