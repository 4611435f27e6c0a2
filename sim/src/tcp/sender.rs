//! The sending half: the send buffer, what leaves when, and what an acknowledgement means.

use super::MSS;
use super::bbr::burst;
use super::control::{Ack, Control, Flow, Phase};
use super::rate::Rate;
use super::recovery::{Losses, Rack, Recovery};
use super::rtt::{Rtt, ticks};
use super::scoreboard::{Delivered, Scoreboard, Sent};
use super::wire::Header;
use std::collections::VecDeque;

/// TCP-2: segments that leave before the first acknowledgement.
const INITIAL_WINDOW: u64 = 10;
/// Largest send buffer, bytes.
const BUFFER_BYTES_MAX: u64 = 4 << 20;
/// Added to a probe's time against delayed acknowledgements: with one segment in flight, and with more.
const PROBE_EXTRA_US: [u64; 2] = [200_000, 2_000];

/// The sending half of a connection.
#[derive(Debug)]
pub(super) struct Sender {
    /// What is written and not acknowledged; its first byte has the number `una`, at least 1.
    data: VecDeque<u8>,
    /// Number behind the last byte written.
    end: u64,
    /// The application has finished: the FIN has the number `end`.
    pub(super) is_finished: bool,
    pub(super) una: u64,
    pub(super) nxt: u64,
    /// Right edge of the peer's window.
    edge: u64,
    buffer_bytes: u64,
    board: Scoreboard,
    rack: Rack,
    recovery: Recovery,
    rate: Rate,
    pub(super) rtt: Rtt,
    flow: Flow,
    control: Box<dyn Control>,
    timeout_us: Option<u64>,
    /// A timer that comes before the timeout.
    early: Option<(Early, u64)>,
    probe: Option<Probe>,
    forced: Option<Forced>,
    /// After a timeout, new data show whether it was spurious (F-RTO).
    is_doubtful: bool,
    prefers_new: bool,
    pacing: Pacing,
    usage: Usage,
    sent_us: u64,
    pub(super) retransmitted: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Early {
    /// A loss probe is due.
    Probe,
    /// A segment is lost if it is still not acknowledged.
    Reordering,
}

/// A loss probe in flight.
#[derive(Clone, Copy, Debug)]
struct Probe {
    high: u64,
    is_retransmission: bool,
}

/// A segment that leaves whatever the window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forced {
    /// A loss probe.
    Probe,
    /// Asks for the window.
    Window,
}

/// Departure times.
#[derive(Debug, Default)]
struct Pacing {
    release_us: u64,
    /// Segments of the current train that may leave at once.
    train: u64,
    sent: u64,
}

/// How much of the window is used.
#[derive(Debug, Default)]
struct Usage {
    is_blocked: bool,
    is_limited: bool,
    most: u64,
    until: u64,
    /// Most in flight since the window was last full, and when it was.
    used: u64,
    full_us: u64,
}

/// A segment that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub(super) seq: u64,
    /// Bytes of payload.
    pub(super) len: u64,
    pub(super) fin: bool,
}

impl Sender {
    pub(super) fn new(control: Box<dyn Control>) -> Self {
        Self {
            data: VecDeque::new(),
            end: 1,
            is_finished: false,
            una: 1,
            nxt: 1,
            edge: 1,
            buffer_bytes: 0,
            board: Scoreboard::default(),
            rack: Rack::default(),
            recovery: Recovery::default(),
            rate: Rate::default(),
            rtt: Rtt::default(),
            flow: Flow::new(INITIAL_WINDOW),
            control,
            timeout_us: None,
            early: None,
            probe: None,
            forced: None,
            is_doubtful: false,
            prefers_new: false,
            pacing: Pacing::default(),
            usage: Usage::default(),
            sent_us: 0,
            retransmitted: 0,
        }
    }

    /// The handshake is complete; its round trip is the first sample.
    pub(super) fn establish(&mut self, now_us: u64, rtt_us: Option<u64>, window_bytes: u64) {
        self.edge = 1 + window_bytes;
        if let Some(rtt_us) = rtt_us {
            self.rtt.sample(rtt_us, 1, 1);
            self.rtt.sample_min(now_us, rtt_us);
        }
        self.sent_us = now_us;
        self.usage.full_us = now_us;
    }

    /// Room of the send buffer, which grows with the window.
    pub(super) fn room_bytes(&mut self) -> u64 {
        let factor = if self.control.owns_recovery() { 3 } else { 2 };
        let wanted = factor * self.flow.cwnd.max(INITIAL_WINDOW) * MSS * 3 / 2;
        self.buffer_bytes = self.buffer_bytes.max(wanted.min(BUFFER_BYTES_MAX));
        self.buffer_bytes.saturating_sub(self.data.len() as u64)
    }

    /// Whether a writer that was blocked can go on: a third of the buffer is free.
    pub(super) fn is_writable(&mut self) -> bool {
        self.room_bytes() >= self.buffer_bytes / 3
    }

    pub(super) fn write(&mut self, data: &[u8]) -> usize {
        let unsent = self.end - self.nxt.min(self.end);
        if unsent < MSS && self.board.in_flight() < self.flow.cwnd && self.board.lost() == 0 {
            self.rate.limit(self.board.in_flight());
        }
        let n = data.len().min(self.room_bytes() as usize);
        self.data.extend(&data[..n]);
        self.end += n as u64;
        n
    }

    /// Whether everything is acknowledged, the end included.
    pub(super) fn is_drained(&self) -> bool {
        self.una >= self.end + u64::from(self.is_finished)
    }

    /// The payload of a segment.
    pub(super) fn payload(&self, out: Outgoing) -> [&[u8]; 2] {
        let from = (out.seq - self.una.max(1)) as usize;
        let to = from + out.len as usize;
        let (first, second) = self.data.as_slices();
        let part = |bytes: &'_ [u8], skip: usize| {
            let clip = |at: usize| at.saturating_sub(skip).min(bytes.len());
            clip(from)..clip(to)
        };
        [&first[part(first, 0)], &second[part(second, first.len())]]
    }

    /// The next segment that leaves now.
    pub(super) fn next(&mut self, now_us: u64) -> Option<Outgoing> {
        self.flow.now_us = now_us;
        if let Some(forced) = self.forced.take() {
            return self.force(now_us, forced);
        }
        let has_new = self.has_new();
        let lost = self.board.first_lost().filter(|_| !(self.prefers_new && has_new));
        if lost.is_none() && !has_new {
            self.use_window(now_us);
            return None;
        }
        if lost.is_none() && self.board.outstanding() == 0 {
            self.restart(now_us);
        }
        if self.board.in_flight() >= self.flow.cwnd {
            self.usage.is_blocked = true;
            self.use_window(now_us);
            return None;
        }
        if self.pacing.train == 0 && self.pacing.release_us > now_us {
            return None;
        }
        match lost {
            Some((start, _)) => Some(self.retransmit(now_us, start)),
            None => Some(self.send_new(now_us)),
        }
    }

    /// Whether something new may be sent in the peer's window.
    fn has_new(&self) -> bool {
        let unsent = self.end > self.nxt && self.edge > self.nxt;
        unsent || (self.is_finished && self.nxt == self.end)
    }

    fn force(&mut self, now_us: u64, forced: Forced) -> Option<Outgoing> {
        if forced == Forced::Window {
            return Some(Outgoing { seq: self.una.max(1) - 1, len: 0, fin: false });
        }
        let is_retransmission = !self.has_new();
        let out = if is_retransmission {
            let (start, _) = self.board.last()?;
            self.retransmit(now_us, start)
        } else {
            self.send_new(now_us)
        };
        self.probe = Some(Probe { high: self.nxt, is_retransmission });
        self.early = None;
        self.timeout_us = Some(now_us + self.rtt.rto_us());
        Some(out)
    }

    fn send_new(&mut self, now_us: u64) -> Outgoing {
        let seq = self.nxt;
        let len = MSS.min(self.end - seq).min(self.edge.saturating_sub(seq));
        // The FIN goes with the last data.
        let fin = self.is_finished && seq + len == self.end;
        let mut sent = Sent { len: len + u64::from(fin), at_us: now_us, is_fin: fin, ..Sent::default() };
        let is_first = self.board.outstanding() == 0;
        self.rate.stamp(now_us, is_first, &mut sent);
        self.board.insert(seq, sent);
        self.nxt = seq + sent.len;
        if is_first {
            self.timeout_us = Some(now_us + self.rtt.rto_us());
        }
        self.left(now_us, len);
        self.schedule_probe(now_us);
        Outgoing { seq, len, fin }
    }

    fn retransmit(&mut self, now_us: u64, start: u64) -> Outgoing {
        let mut sent = self.board.merge(start).unwrap_or_else(|| unreachable!("it is on the scoreboard"));
        let is_first = self.board.first().is_some_and(|(first, _)| first == start);
        let old = sent;
        sent.at_us = now_us;
        sent.is_retransmitted = true;
        self.rate.stamp(now_us, self.board.outstanding() == 0, &mut sent);
        self.board.replace(start, old, sent);
        self.recovery.retransmitted((now_us / 1_000) as u32);
        self.retransmitted += 1;
        if is_first && self.early.is_none_or(|(early, _)| early != Early::Reordering) {
            self.timeout_us = Some(now_us + self.rtt.rto_us());
        }
        let len = sent.len - u64::from(sent.is_fin);
        self.left(now_us, len);
        Outgoing { seq: start, len, fin: sent.is_fin }
    }

    /// A segment leaves: the next one may leave when its time at the pacing rate is over.
    fn left(&mut self, now_us: u64, len: u64) {
        self.sent_us = now_us;
        self.recovery.sent += 1;
        self.pacing.sent += 1;
        let Some(rate) = self.control.pacing_rate(&self.flow).filter(|_| self.pacing.sent > INITIAL_WINDOW)
        else {
            return;
        };
        let pacing = &mut self.pacing;
        pacing.train = if pacing.train == 0 { burst(rate) } else { pacing.train } - 1;
        let cost_us = (len + 52) * 1_000_000 / rate.max(1);
        // Half of the time by which a timer was late is made up for.
        let credit_us = now_us.saturating_sub(pacing.release_us).min(cost_us / 2);
        pacing.release_us = pacing.release_us.max(now_us) + cost_us - credit_us;
    }

    /// TCP-14: an idle sender starts again from its initial window.
    fn restart(&mut self, now_us: u64) {
        let idle_us = now_us - self.sent_us;
        self.flow.is_app_limited = self.rate.is_app_limited();
        self.control.restarted(&mut self.flow, idle_us);
        let rto_us = self.rtt.rto_us();
        if idle_us > rto_us && !self.control.owns_recovery() {
            self.flow.ssthresh = self.flow.ssthresh.max(self.flow.cwnd * 3 / 4);
            let least = self.flow.cwnd.min(INITIAL_WINDOW);
            self.flow.cwnd = (self.flow.cwnd >> (idle_us / rto_us).min(32)).max(least);
        }
    }

    fn use_window(&mut self, now_us: u64) {
        let outstanding = self.board.outstanding();
        let usage = &mut self.usage;
        let limited = std::mem::take(&mut usage.is_blocked);
        if self.una >= usage.until || limited || (!usage.is_limited && outstanding > usage.most) {
            (usage.is_limited, usage.most, usage.until) = (limited, outstanding, self.nxt);
        }
        let is_limited = self.is_limited();
        let rto_us = self.rtt.rto_us();
        let usage = &mut self.usage;
        if is_limited {
            (usage.used, usage.full_us) = (0, now_us);
            return;
        }
        usage.used = usage.used.max(outstanding);
        let unused = now_us >= usage.full_us + rto_us && self.flow.phase == Phase::Open;
        if unused && !self.control.owns_recovery() {
            let used = usage.used.max(INITIAL_WINDOW);
            if used < self.flow.cwnd {
                self.flow.ssthresh = self.flow.ssthresh.max(self.flow.cwnd * 3 / 4);
                self.flow.cwnd = self.flow.cwnd.midpoint(used);
            }
            (self.usage.used, self.usage.full_us) = (0, now_us);
        }
    }

    /// Whether the window, rather than the application, limits what is in flight.
    const fn is_limited(&self) -> bool {
        self.usage.is_limited || (self.flow.is_in_slow_start() && self.flow.cwnd < 2 * self.usage.most)
    }

    /// TCP-6: a probe is due after two round trips without an acknowledgement.
    fn schedule_probe(&mut self, now_us: u64) {
        let permitted = self.flow.phase == Phase::Open
            && self.board.sacked() == 0
            && self.probe.is_none()
            && self.board.outstanding() > 0;
        let Some(smoothed) = self.rtt.smoothed_us().filter(|_| permitted) else { return };
        let extra = PROBE_EXTRA_US[usize::from(self.board.outstanding() > 1)];
        let at = now_us + ticks(2 * smoothed + extra);
        self.early = Some((Early::Probe, at.min(self.timeout_us.unwrap_or(at))));
    }

    /// An acknowledgement arrived.
    pub(super) fn acked(&mut self, now_us: u64, header: &Header) {
        let Some(una) = header.ack.filter(|&ack| ack <= self.nxt) else { return };
        let advanced = una > self.una;
        self.edge = self.edge.max(una + header.window_bytes);
        let mut ack = Ack { prior_in_flight: self.board.in_flight(), advanced, ..Ack::default() };
        let highest = self.board.highest_sacked;
        let found = self.mark(una, header);
        self.flow.now_us = now_us;
        self.measure(now_us, &found, header, &mut ack);
        for delivered in &found {
            self.rack.advance(now_us, delivered, self.flow.min_rtt_us);
            let late = !delivered.sent.is_retransmitted && delivered.start + delivered.sent.len <= highest;
            self.rack.has_reordering |= late;
        }
        let is_original = |one: &Delivered| !one.sent.is_retransmitted && one.start < self.recovery.high;
        let original = found.iter().any(is_original);
        let by_sack = found.iter().any(|one| one.by_sack);
        self.observe();
        let losses = self.rack.detect(&mut self.board, &self.flow);
        ack.lost = losses.lost;
        self.flow.lost += losses.lost;
        self.proceed(&ack, header.ts.1, losses, [original, by_sack]);
        self.resize(&ack);
        if advanced || !found.is_empty() {
            self.rearm(now_us, advanced);
        }
        if let Some(at) = losses.recheck_us {
            self.early = Some((Early::Reordering, ticks(at + 2_000)));
        }
    }

    /// Takes off the scoreboard what the acknowledgement covers.
    fn mark(&mut self, una: u64, header: &Header) -> Vec<Delivered> {
        let mut found = Vec::new();
        let duplicate = header.sacks.first().filter(|&&(start, end)| {
            start < una || header.sacks.get(1).is_some_and(|&(from, to)| from <= start && end <= to)
        });
        if duplicate.is_some() {
            self.rack.duplicate(una, self.nxt);
            self.recovery.duplicate();
            self.probe = None;
        }
        if una > self.una {
            let bytes = una.min(self.end) - self.una.min(self.end);
            self.data.drain(..bytes as usize);
            self.una = una;
        }
        self.board.acknowledge(self.una, &mut found);
        for &block in header.sacks.iter().skip(usize::from(duplicate.is_some())) {
            self.board.sack(block, &mut found);
        }
        self.settle_probe();
        found
    }

    /// TCP-6: a probe that repaired a loss is followed by a reduction of the window.
    fn settle_probe(&mut self) {
        let Some(probe) = self.probe else { return };
        if !probe.is_retransmission && self.una >= probe.high {
            self.probe = None;
        } else if self.una > probe.high {
            self.probe = None;
            if self.flow.phase == Phase::Open {
                let threshold = self.control.threshold(&self.flow);
                if !self.control.owns_recovery() {
                    self.flow.ssthresh = threshold;
                    self.flow.cwnd = self.flow.cwnd.min(threshold);
                }
            }
        }
    }

    /// Round trips and the delivery rate. TCP-9: retransmitted segments give no sample; the echoed timestamp does.
    fn measure(&mut self, now_us: u64, found: &[Delivered], header: &Header, ack: &mut Ack) {
        let once = found.iter().filter(|one| !one.sent.is_retransmitted).map(|one| one.sent.at_us);
        let (first, last) = (once.clone().min(), once.max());
        let stamped = || {
            let elapsed_ms = ((now_us / 1_000) as u32).wrapping_sub(header.ts.1);
            (ack.advanced && elapsed_ms < 1 << 20).then(|| u64::from(elapsed_ms) * 1_000)
        };
        if let Some(rtt_us) = first.map(|at| now_us - at).or_else(stamped) {
            self.rtt.sample(rtt_us, self.una, self.nxt);
        }
        ack.rtt_us = last.map(|at| now_us - at);
        if let Some(rtt_us) = ack.rtt_us {
            self.rtt.sample_min(now_us, rtt_us);
        }
        let before = self.rate.delivered;
        found.iter().for_each(|one| self.rate.count(now_us, one));
        ack.delivered = found.len() as u64;
        let alone = found.iter().all(|one| one.sent.len < MSS && one.sent.delivered == before);
        ack.is_delayed = found.len() == 1 && alone;
        ack.rate = self.rate.sample(now_us, self.rtt.min_us());
    }

    /// Brings what congestion control sees up to date.
    fn observe(&mut self) {
        let flow = &mut self.flow;
        flow.smoothed_us = self.rtt.smoothed_us();
        flow.min_rtt_us = self.rtt.min_us();
        flow.in_flight = self.board.in_flight();
        (flow.delivered, flow.delivered_us) = (self.rate.delivered, self.rate.delivered_us);
        (flow.una, flow.nxt) = (self.una, self.nxt);
        flow.is_app_limited = self.rate.is_app_limited();
        self.flow.is_limited = self.is_limited();
    }

    /// Moves between the phases of recovery.
    fn proceed(&mut self, ack: &Ack, echoed_ms: u32, losses: Losses, [original, by_sack]: [bool; 2]) {
        self.prefers_new = false;
        let is_over = self.una >= self.recovery.high;
        if self.flow.phase != Phase::Open && self.recovery.is_spurious(echoed_ms, ack.advanced) {
            self.undo();
        } else if self.flow.phase == Phase::Loss {
            self.proceed_in_loss(ack, is_over, original, by_sack);
        } else if self.flow.phase == Phase::Recovery && is_over {
            if !self.control.owns_recovery() {
                self.flow.cwnd = self.flow.ssthresh;
            }
            self.flow.phase = Phase::Open;
            self.rack.recovered();
        }
        let enters = match self.flow.phase {
            Phase::Open => self.board.lost() > 0,
            Phase::Recovery => false,
            Phase::Loss => losses.again,
        };
        if enters {
            self.enter_recovery();
        }
        self.flow.in_flight = self.board.in_flight();
    }

    /// TCP-10: F-RTO (RFC 5682): what was sent once and arrives after a timeout shows that the timeout was spurious.
    fn proceed_in_loss(&mut self, ack: &Ack, is_over: bool, original: bool, by_sack: bool) {
        if self.is_doubtful && original {
            return self.undo();
        }
        if is_over {
            self.flow.phase = Phase::Open;
            self.is_doubtful = false;
        } else if self.is_doubtful && self.nxt > self.recovery.high {
            self.is_doubtful = !by_sack && ack.advanced;
        } else if self.is_doubtful && ack.advanced {
            self.recovery.high = self.nxt;
            self.prefers_new = self.has_new();
            self.is_doubtful = self.prefers_new;
        }
    }

    fn undo(&mut self) {
        self.recovery.undo(&mut self.flow);
        self.control.undone(&mut self.flow);
        self.board.find_again();
        self.flow.phase = Phase::Open;
        (self.is_doubtful, self.rtt.backoff) = (false, 0);
    }

    /// TCP-7: one reduction of the window for all losses of a flight.
    fn enter_recovery(&mut self) {
        let threshold = self.control.threshold(&self.flow);
        self.flow.nxt = self.nxt;
        self.recovery.begin(&mut self.flow, Phase::Recovery, threshold, self.board.retransmitted());
        (self.is_doubtful, self.early, self.probe) = (false, None, None);
    }

    fn resize(&mut self, ack: &Ack) {
        self.control.sampled(&mut self.flow, ack);
        if self.control.owns_recovery() {
            self.control.acked(&mut self.flow, ack);
        } else if self.flow.phase == Phase::Recovery {
            self.recovery.pace(&mut self.flow, ack);
        } else if ack.delivered > 0 && (ack.advanced || self.rack.has_reordering) {
            self.control.acked(&mut self.flow, ack);
        }
    }

    fn rearm(&mut self, now_us: u64, advanced: bool) {
        if self.board.outstanding() == 0 {
            (self.timeout_us, self.early) = (None, None);
            let waits = self.end > self.nxt && self.edge <= self.nxt;
            self.timeout_us = waits.then(|| now_us + self.rtt.rto_us());
            return;
        }
        if advanced {
            self.timeout_us = Some(now_us + self.rtt.rto_us());
        }
        self.early = None;
        self.schedule_probe(now_us);
    }

    /// When it wants [`Self::expire`] or [`Self::next`] to be called.
    pub(super) fn deadline(&self) -> Option<u64> {
        let paced = self.pacing.train == 0
            && self.board.in_flight() < self.flow.cwnd
            && (self.board.lost() > 0 || self.has_new());
        let release = paced.then_some(self.pacing.release_us);
        [self.timeout_us, self.early.map(|(_, at)| at), release].into_iter().flatten().min()
    }

    /// A timer may be due.
    pub(super) fn expire(&mut self, now_us: u64) {
        self.flow.now_us = now_us;
        match self.early.filter(|&(_, at)| at <= now_us) {
            Some((Early::Probe, _)) => {
                self.forced = Some(Forced::Probe);
                self.early = None;
                self.timeout_us = Some(now_us + self.rtt.rto_us());
            }
            Some((Early::Reordering, _)) => self.recheck(now_us),
            None if self.timeout_us.is_some_and(|at| at <= now_us) => self.time_out(now_us),
            None => {}
        }
    }

    fn recheck(&mut self, now_us: u64) {
        self.early = None;
        self.observe();
        let losses = self.rack.detect(&mut self.board, &self.flow);
        self.flow.lost += losses.lost;
        if losses.lost > 0 {
            if self.flow.phase == Phase::Open || (self.flow.phase == Phase::Loss && losses.again) {
                self.enter_recovery();
            }
            self.flow.in_flight = self.board.in_flight();
            let ack = Ack { delivered: 1, lost: losses.lost, ..Ack::default() };
            if !self.control.owns_recovery() && self.flow.phase == Phase::Recovery {
                self.recovery.pace(&mut self.flow, &ack);
            }
        }
        match losses.recheck_us {
            Some(at) => self.early = Some((Early::Reordering, ticks(at + 2_000).max(now_us + 1))),
            None => self.timeout_us = self.timeout_us.map(|at| at.max(now_us + 1)),
        }
    }

    /// TCP-9: the timeout: one segment leaves, and the timeout doubles.
    fn time_out(&mut self, now_us: u64) {
        self.rtt.backoff += 1;
        self.timeout_us = Some(now_us + self.rtt.rto_us());
        if self.board.outstanding() == 0 {
            // TCP-13.
            self.forced = Some(Forced::Window);
            return;
        }
        let lost_before = self.board.lost();
        self.rack.expire(&mut self.board, now_us);
        self.observe();
        self.flow.lost += self.board.lost() - lost_before;
        let is_new = self.flow.phase == Phase::Open || self.una >= self.recovery.high;
        if is_new {
            let threshold = self.control.threshold(&self.flow);
            self.recovery.begin(&mut self.flow, Phase::Loss, threshold, self.board.retransmitted());
        }
        self.recovery.high = self.nxt;
        self.flow.phase = Phase::Loss;
        self.flow.cwnd = self.board.in_flight() + 1;
        self.control.timed_out(&mut self.flow);
        (self.is_doubtful, self.prefers_new) = (true, false);
        (self.early, self.probe) = (None, None);
        self.pacing.train = self.pacing.train.max(1);
    }
}
