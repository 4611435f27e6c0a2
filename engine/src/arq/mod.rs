//! KCP as kcp-go does it (kcp-go kcp.go, not C KCP): selective retransmission over datagrams.
//!
//! Given the same calls at the same virtual times an [`Arq`] emits the same bytes as kcp-go. [`Arq::poll_transmit`] writes one
//! datagram after the other straight into the caller's buffer.
//!
//! | part | contents |
//! |---|---|
//! | `conversation` | what both senders share, composed of the parts below |
//! | `send_buffer`, `receiver`, `window`, `rtt`, `pool` | segments out and in, the peer's window, the RTO, payload buffers |
//! | `peer_state` | signs that the peer, or this end, lost its state |
//! | `datagram` | the one place that writes segments |
//! | `input` | incoming datagrams |
//! | `sender` | one of two senders: `kcp`, the reference, or `paced`, under a [`Controller`](crate::congestion::Controller) |
//!
//! Differences between kcp-go generations follow [`Generation`].

mod conversation;
mod cwnd;
mod datagram;
mod input;
mod kcp;
mod observed;
mod paced;
mod peer_state;
mod pool;
mod progress;
mod receiver;
mod rtt;
mod segment;
mod send_buffer;
mod sender;
mod validation;
mod window;

pub use conversation::{Flush, MTU_MIN, State, Tuning};
pub use input::{InputError, Source};
pub use observed::Counters;
pub use paced::Recovery;
pub use receiver::{ACKS_MAX, RecvError};
pub use segment::{Command, Header, OVERHEAD};
pub use send_buffer::SendError;

use crate::Generation;
use crate::congestion::{ControlState, Controller, Path};
use crate::observe::{Histogram, Marks, Notes};
use crate::time::{Instant, diff};
use conversation::Conversation;
use core::ops::Range;
use datagram::Datagram;
use kcp::{KcpSender, UpdateClock};
use paced::PacedSender;
use segment::Queued;
use sender::Sender;

/// Fragments of a message at most.
const FRAGMENTS_MAX: usize = 255;

/// The oldest segment in flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Oldest {
    /// Sequence number.
    pub(crate) sn: u32,
    /// Of payload.
    pub(crate) bytes: usize,
    /// Transmissions so far.
    pub(crate) transmissions: u32,
}

/// One end of a conversation.
#[derive(Debug)]
pub struct Arq {
    core: Conversation,
    sender: Sender,
    update: UpdateClock,
}

impl Arq {
    /// A conversation with library defaults: windows 32, interval 100 ms, mtu 1400, message mode (KCP-4).
    pub fn new(conv: u32, generation: Generation) -> Self {
        Self {
            core: Conversation::new(conv, generation),
            sender: Sender::Kcp(KcpSender::new()),
            update: UpdateClock::new(),
        }
    }

    /// Starts the sequence numbers elsewhere than at 0. Only before the first segment.
    pub fn set_serials(&mut self, snd_una: u32, snd_nxt: u32, rcv_nxt: u32) {
        (self.core.outgoing.una, self.core.outgoing.nxt) = (snd_una, snd_nxt);
        self.core.receiver.set_first(rcv_nxt);
        self.core.peer.set_first(snd_una, rcv_nxt);
        if let Sender::Kcp(kcp) = &mut self.sender {
            kcp.set_first(snd_una);
        }
    }

    /// Puts a congestion controller in charge of sending, instead of the reference sender. Only before the first segment, and
    /// after [`Arq::set_tuning`].
    pub fn set_controller(&mut self, controller: Box<dyn Controller>, recovery: Recovery) {
        self.sender =
            Sender::Paced(Box::new(PacedSender::new(controller, recovery, self.core.params.tuning)));
    }

    /// Makes a sender under a controller share what it learns of the path with other conversations to the same peer, and use
    /// what they learned (CC-20). What it knew alone is forgotten.
    pub fn set_path(&mut self, path: Path) {
        if let Sender::Paced(paced) = &mut self.sender {
            paced.path = path;
        }
    }

    /// What is known of the path, if a controller is in charge.
    pub fn path(&self) -> Option<&Path> {
        match &self.sender {
            Sender::Kcp(_) => None,
            Sender::Paced(paced) => Some(&paced.path),
        }
    }

    /// Stream mode: writes fill up the last unnumbered segment and carry no fragment count.
    pub fn set_stream(&mut self, on: bool) {
        self.core.params.stream = on;
    }

    /// Sets the four tuning numbers (KCP-4).
    pub fn set_tuning(&mut self, tuning: Tuning) {
        self.core.params.tuning = Tuning { interval_ms: tuning.interval_ms.clamp(10, 5000), ..tuning };
        self.core.rtt.rto_ms_min = if tuning.nodelay { 30 } else { 100 };
    }

    /// Sets the windows in segments; 0 keeps a value.
    pub fn set_windows(&mut self, snd_wnd: u32, rcv_wnd: u32) {
        if snd_wnd > 0 {
            self.core.outgoing.wnd = snd_wnd;
        }
        if rcv_wnd > 0 {
            self.core.receiver.wnd = rcv_wnd;
        }
    }

    /// Sets the bytes of segments per datagram; `false` and no change below [`MTU_MIN`].
    pub fn set_mtu(&mut self, mtu: usize) -> bool {
        if mtu < MTU_MIN {
            return false;
        }
        self.core.params.mtu = mtu;
        self.core.pool.buffer_bytes = self.mss();
        true
    }

    /// KCP-29: from here on segments do not wait for their timeouts after an outage. Has no effect under a controller, whose
    /// timeouts are bounded.
    pub fn watch_outages(&mut self) {
        if let Sender::Kcp(kcp) = &mut self.sender {
            kcp.outage.watched = true;
        }
    }

    /// From here on segments may be replays or come from another process: KCP-32 (kcp-go lets a una beyond everything sent
    /// confirm what is queued), KCP-43, KCP-44, KCP-45.
    pub fn distrust_peer(&mut self) {
        self.core.params.distrusts_peer = true;
    }

    /// Repeats acknowledgements of out-of-order data under a controller, so that the loss of one is not taken for the loss of
    /// data. kcp-go counts each one against older segments, so the peer should be an end that does not.
    pub fn repeat_acks(&mut self, on: bool) {
        if let Sender::Paced(paced) = &mut self.sender {
            paced.repeat_acks(on);
        }
    }

    /// KCP-25: acknowledgements of transmissions before `now` give no samples of the round trip.
    pub fn distrust_samples_before(&mut self, now: Instant) {
        self.core.rtt.trust_from_ms = Some(now.ms());
        if let Sender::Paced(paced) = &mut self.sender {
            paced.sent.distrust_before(now);
        }
    }

    /// Plants a bug that simulations must find.
    #[cfg(feature = "planted")]
    pub(crate) fn set_planted(&mut self, planted: Option<crate::planted::Planted>) {
        self.core.params.planted = planted;
    }

    /// The conversation id.
    pub fn conv(&self) -> u32 {
        self.core.params.conv
    }

    /// Payload bytes of a full segment.
    pub fn mss(&self) -> usize {
        self.core.params.mss()
    }

    /// The send window in segments.
    pub fn snd_wnd(&self) -> u32 {
        self.core.outgoing.wnd
    }

    /// The flush interval, ms.
    pub fn interval_ms(&self) -> u32 {
        self.core.params.tuning.interval_ms
    }

    /// Segments queued or in flight; a session writes while this is below the send window (KCP-5).
    pub fn waitsnd(&self) -> usize {
        self.core.outgoing.waiting()
    }

    /// Serial numbers of the segments that wait, in flight or queued.
    pub(crate) fn serials_waiting(&self) -> Range<u32> {
        let una = self.core.outgoing.una;
        una..una.wrapping_add(self.waitsnd() as u32)
    }

    /// Whether segments were sent that are not acknowledged.
    pub(crate) fn awaits_acks(&self) -> bool {
        !self.core.outgoing.segments.is_empty()
    }

    /// Whether segments wait for the peer to open its window.
    pub fn waits_for_window(&self) -> bool {
        self.core.window.segments == 0 && self.waitsnd() > 0
    }

    /// Whether `send` should be given more data. Under a controller the queue is kept short, so that urgent data need not wait
    /// behind it (CC-13).
    pub fn wants_data(&self) -> bool {
        let queued_max = match &self.sender {
            Sender::Kcp(_) => usize::MAX,
            Sender::Paced(paced) => paced.queued_segments_max(self.mss()),
        };
        self.waitsnd() < self.snd_wnd() as usize && self.core.outgoing.queue.len() < queued_max
    }

    /// Payload bytes held: to be sent, to be acknowledged, and to be read.
    pub fn queued_bytes(&self) -> usize {
        self.core.outgoing.bytes() + self.core.receiver.bytes()
    }

    /// Frees all payload buffers kept for reuse.
    pub fn release_buffers(&mut self) {
        self.core.pool.release();
    }

    /// Frees the payload buffers that were not needed since the last call, and most unused room of the queues.
    pub fn trim(&mut self) {
        self.core.pool.trim();
        self.core.outgoing.trim();
        self.core.receiver.trim();
        if let Sender::Kcp(kcp) = &mut self.sender {
            kcp.overtaken.trim();
        }
    }

    /// KCP-23: probes the peer's window with the next flush, whether it is closed or not. The answer shows whether the peer
    /// still knows this conversation.
    pub fn probe_peer(&mut self) {
        self.core.window.ask = true;
        self.core.peer.probe_sent();
    }

    /// The next flush asks the peer for its window, which it answers whatever else is lost (KCP-40).
    pub(crate) const fn ask_window(&mut self) {
        self.core.window.ask = true;
    }

    /// Windows that the peer announced since creation: the answers to [`Arq::ask_window`], modulo 2^32.
    pub(crate) const fn window_answers(&self) -> u32 {
        self.core.observed.window_answers
    }

    /// Payload bytes of the largest segment delivered since the last call.
    pub(crate) const fn take_delivered_bytes_max(&mut self) -> usize {
        std::mem::replace(&mut self.core.observed.delivered_bytes_max, 0)
    }

    /// The segment for which una waits.
    pub(crate) fn oldest_in_flight(&self) -> Option<Oldest> {
        let segment = self.core.outgoing.segments.front().filter(|segment| !segment.acked)?;
        Some(Oldest { sn: self.core.outgoing.una, bytes: segment.data.len(), transmissions: segment.xmit })
    }

    /// The peer was heard again after a silence. Whether it hears this end, one segment shows (KCP-29).
    pub fn peer_is_back(&mut self, now: Instant) {
        self.sender.peer_is_back(&mut self.core, now);
    }

    /// Whether the peer has forgotten the conversation: it expects, or sends, segments again (KCP-23, KCP-28, KCP-31).
    pub fn peer_lost_state(&self) -> bool {
        self.core.peer.lost_state
    }

    /// Whether the peer acknowledged segments that were never sent, before any was received in order: it goes on with a
    /// conversation that this end has lost (KCP-30).
    pub fn peer_goes_on(&self) -> bool {
        self.core.peer.goes_on
    }

    /// Whether any segment was received in order.
    pub fn has_received(&self) -> bool {
        self.core.peer.has_received(self.core.receiver.nxt)
    }

    /// Whether `datagram` carries this conversation further than everything received before, which no replay can: new data,
    /// data sent later than any, or a higher una (KCP-24).
    pub fn advanced_by(&self, mut datagram: &[u8]) -> bool {
        let outgoing = &self.core.outgoing;
        while let Some((header, rest)) = Header::parse(datagram) {
            let Some((_, rest)) = rest.split_at_checked(header.len as usize) else { return false };
            if header.conv != self.conv() {
                return false;
            }
            let pushes =
                header.command() == Some(Command::Push) && self.core.receiver.is_advanced_by(&header);
            let confirms = diff(header.una, outgoing.una) > 0 && diff(header.una, outgoing.nxt) <= 0;
            if pushes || confirms {
                return true;
            }
            datagram = rest;
        }
        false
    }

    /// Makes the peer prove that it receives what this end sends (KCP-34), whose clock is sent with a secret offset. Only
    /// before the first segment.
    pub fn require_validation(&mut self, offset_ms: u32) {
        self.core.validation.require(offset_ms, self.core.outgoing.nxt);
        self.core.outgoing.allowance_bytes = Some(0);
    }

    /// Whether the peer acknowledged something, if it has to.
    pub fn is_validated(&self) -> bool {
        self.core.validation.is_done()
    }

    /// Acknowledges nothing until the peer is validated: meanwhile it retransmits, which allows this end to send more.
    pub(crate) fn hold_acks(&mut self) {
        self.core.receiver.una_held = Some(self.core.peer.rcv_first());
        let redundant = self.core.receiver.acks.len().saturating_sub(1);
        self.core.receiver.acks.drain(..redundant);
    }

    /// Acknowledges what arrived.
    pub(crate) fn release_acks(&mut self) {
        self.core.receiver.una_held = None;
    }

    /// The peer proved it by a path probe; [`Arq::set_validated`] follows.
    pub(crate) fn finish_validation(&mut self) {
        self.core.validation.finish();
    }

    /// The peer proved that it receives what this end sends.
    pub(crate) fn set_validated(&mut self) {
        self.core.validation.finish();
        self.core.receiver.una_held = None;
        self.core.outgoing.allowance_bytes = None;
    }

    /// Adds to the bytes of segments, headers included, that may leave for the first time before the peer is validated.
    pub(crate) fn add_allowance(&mut self, bytes: usize) {
        if !self.is_validated() {
            let allowance_bytes = self.core.outgoing.allowance_bytes.unwrap_or(0);
            self.core.outgoing.allowance_bytes = Some(allowance_bytes.saturating_add(bytes));
        }
    }

    /// Whether segments wait for a number.
    pub(crate) fn has_queued(&self) -> bool {
        !self.core.outgoing.queue.is_empty()
    }

    /// What is written from now on begins a segment of its own.
    pub(crate) fn seal_last(&mut self) {
        self.core.outgoing.sealed = self.has_queued();
    }

    /// Writes a datagram to which only a peer at the address it is sent to can answer; its length, and the value that
    /// [`Arq::take_path_answer`] returns with the answer. `None` before the first segment was sent.
    pub(crate) fn write_path_probe(
        &mut self,
        now: Instant,
        random: u32,
        out: &mut [u8],
    ) -> Option<(usize, u32)> {
        let mut datagram = Datagram::new(out);
        let token = self.core.write_path_probe(now.ms(), random, &mut datagram)?;
        Some((datagram.len(), token))
    }

    /// Bytes of a path probe; `None` before the first segment was sent.
    pub(crate) fn path_probe_bytes(&self) -> Option<usize> {
        let first = self.core.validation.first(&self.core.outgoing);
        first.map(|(_, first)| OVERHEAD + first.len())
    }

    /// The answer to a path probe that arrived since the last call.
    pub(crate) fn take_path_answer(&mut self) -> Option<u32> {
        self.core.validation.take_answer()
    }

    /// The answer to a path probe in a datagram of this conversation.
    pub(crate) fn path_answer_in(&self, now: Instant, datagram: &[u8]) -> Option<u32> {
        let mut sent_end = self.sender.sent_end(&self.core);
        if self.core.validation.probed_unsent(sent_end) {
            sent_end = sent_end.wrapping_add(1);
        }
        self.core.validation.find_answer(self.conv(), sent_end, datagram, now.ms())
    }

    /// Clock value of the peer's data that was sent last, among the data received.
    pub(crate) fn newest_ts(&self) -> Option<u32> {
        self.core.receiver.ts_top
    }

    /// Smoothed round trip; `None` before the first sample.
    pub(crate) fn srtt_ms(&self) -> Option<u32> {
        u32::try_from(self.core.rtt.srtt_ms).ok().filter(|&ms| ms > 0)
    }

    /// Counters since creation.
    pub fn counters(&self) -> &Counters {
        &self.core.observed.counters
    }

    /// Samples of the round trip since creation.
    pub fn round_trips(&self) -> Histogram {
        self.core.observed.round_trips
    }

    /// Coverage marks that were hit.
    pub fn marks(&self) -> Marks {
        self.core.marks()
    }

    /// Notes of this conversation, to which the tunnel adds those of FEC.
    pub(crate) const fn notes(&mut self) -> &mut Notes {
        &mut self.core.observed.notes
    }

    /// The controller's view of the path, if one is in charge.
    pub fn control_state(&self) -> Option<ControlState> {
        match &self.sender {
            Sender::Kcp(_) => None,
            Sender::Paced(paced) => Some(paced.control_state()),
        }
    }

    /// A number that changes when a datagram of the peer advances the conversation, by data in order or by acknowledgements of
    /// what was not acknowledged before. No replay does.
    pub const fn progress(&self) -> u32 {
        self.core.outgoing.una.wrapping_add(self.core.receiver.nxt)
    }

    /// All numbers of the state machine, for golden traces, digests and status pages.
    pub fn state(&self) -> State {
        State { ts_flush: self.update.ts_flush, ..self.sender.add_to(self.core.state()) }
    }

    /// Queues `data` (KCP-5).
    ///
    /// # Errors
    /// Empty data, or data of more than 255 segments.
    pub fn send(&mut self, mut data: &[u8]) -> Result<(), SendError> {
        if data.is_empty() {
            return Err(SendError::Empty);
        }
        let mss = self.mss();
        let core = &mut self.core;
        if core.params.stream {
            data = core.outgoing.extend_last(data, mss);
            if data.is_empty() {
                return Ok(());
            }
        }
        let count = data.len().div_ceil(mss);
        if count > FRAGMENTS_MAX {
            return Err(SendError::TooLong);
        }
        for (i, piece) in data.chunks(mss).enumerate() {
            let frg = if core.params.stream { 0 } else { (count - i - 1) as u8 };
            let data = core.pool.buffer_with(piece);
            core.outgoing.queue.push_back(Queued { frg, data });
        }
        self.check_invariants();
        Ok(())
    }

    /// Bytes of the next complete message.
    pub fn peek_size(&self) -> Option<usize> {
        self.core.receiver.peek_size()
    }

    /// Moves the next complete message into `buf` and returns its length (KCP-15).
    ///
    /// # Errors
    /// No complete message, or `buf` too short for it (the message stays).
    pub fn recv(&mut self, buf: &mut [u8]) -> Result<usize, RecvError> {
        let core = &mut self.core;
        let was_full = core.receiver.is_full();
        let len = core.receiver.read(buf, &mut core.pool)?;
        core.refill(was_full);
        self.check_invariants();
        Ok(len)
    }

    /// Takes the next segment's payload off the receive queue, whatever its fragment count: for stream readers, to which message
    /// boundaries mean nothing. Give the buffer back with [`Arq::recycle`].
    pub fn take(&mut self) -> Option<Vec<u8>> {
        let was_full = self.core.receiver.is_full();
        let segment = self.core.receiver.queue.pop_front()?;
        self.core.refill(was_full);
        self.check_invariants();
        Some(segment.data)
    }

    /// Gives a payload buffer back for reuse.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        self.core.pool.recycle(buffer);
    }

    /// Starts a flush at `now`; [`Arq::poll_transmit`] carries it out. Under a controller there is none: segments leave when
    /// they may.
    pub fn flush(&mut self, now: Instant, kind: Flush) {
        self.sender.flush(&mut self.core, now, kind);
        self.check_invariants();
    }

    /// Writes the next datagram into `out`, which must hold one mtu, and returns its length. `None` when the flush is over, or
    /// when nothing may leave now.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut [u8]) -> Option<usize> {
        self.poll_transmit_within(now, usize::MAX, out)
    }

    /// As [`Arq::poll_transmit`], for a datagram of at most `bytes_max`; longer segments wait.
    pub(crate) fn poll_transmit_within(
        &mut self,
        now: Instant,
        bytes_max: usize,
        out: &mut [u8],
    ) -> Option<usize> {
        if matches!(&self.sender, Sender::Kcp(kcp) if !kcp.is_flushing()) {
            return None;
        }
        let mut datagram = Datagram::new(&mut out[..self.core.params.mtu.min(bytes_max)]);
        self.sender.write(&mut self.core, now, &mut datagram);
        let len = datagram.len();
        self.check_invariants();
        (len > 0).then_some(len)
    }

    /// Whether a flush waits to be polled.
    pub fn flushing(&self) -> bool {
        matches!(&self.sender, Sender::Kcp(kcp) if kcp.is_flushing())
    }

    /// Milliseconds after which the flush that finished last is to be repeated: the interval, or less when a retransmission is
    /// due before (KCP-12).
    pub fn flush_next_ms(&self) -> u32 {
        match &self.sender {
            Sender::Kcp(kcp) => kcp.flush_next_ms,
            Sender::Paced(_) => self.interval_ms(),
        }
    }

    /// Whether a periodic flush could have anything to do, now or later.
    pub fn wants_flush(&self) -> bool {
        let core = &self.core;
        self.waitsnd() > 0 || !core.receiver.acks.is_empty() || core.window.has_probes() || self.flushing()
    }

    /// Whether a sender under a controller has a datagram to write now.
    pub fn may_transmit(&self, now: Instant) -> bool {
        matches!(&self.sender, Sender::Paced(paced) if paced.may_transmit(&self.core, now))
    }

    /// When a sender under a controller needs [`Arq::handle_timeout`].
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        match &self.sender {
            Sender::Kcp(_) => None,
            Sender::Paced(paced) => paced.poll_timeout(&self.core, now),
        }
    }

    /// Does what is due at `now`, if a controller is in charge.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Sender::Paced(paced) = &mut self.sender {
            paced.handle_timeout(&mut self.core, now);
            self.check_invariants();
        }
    }

    /// Milliseconds until the next window probe is due; `None` while the peer's window is open.
    pub fn probe_due_ms(&self, now: Instant) -> Option<u32> {
        self.core.window.probe_due_ms(now)
    }

    /// The C API's `ikcp_update`: flushes when the interval is over (KCP-12).
    pub fn update(&mut self, now: Instant) {
        if self.update.is_due(now, self.interval_ms()) {
            self.flush(now, Flush::Full);
        }
    }

    /// The C API's `ikcp_check`: the clock value at which `update` is to be called (KCP-12).
    pub fn check(&self, now: Instant) -> u32 {
        self.update.next(now, self.interval_ms(), self.core.outgoing.segments.iter())
    }

    /// Asserts what must hold between any two calls, in time that grows with the segments held. Debug builds check most of it
    /// after every call that changes state.
    pub fn assert_invariants(&self) {
        self.core.check_invariants();
        self.sender.check_invariants(&self.core);
        self.core.outgoing.check_segments();
        self.core.receiver.check_slots();
        if let Sender::Paced(paced) = &self.sender {
            paced.sent.check_records();
        }
    }

    fn check_invariants(&self) {
        if cfg!(debug_assertions) {
            self.core.check_invariants();
            self.sender.check_invariants(&self.core);
        }
    }
}
