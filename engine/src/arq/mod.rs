//! KCP as kcp-go does it (kcp-go kcp.go, not C KCP): selective retransmission over datagrams.
//!
//! Given the same calls at the same virtual times an [`Arq`] emits the same bytes as kcp-go. A flush does not build
//! packets: it freezes a plan, and [`Arq::poll_transmit`] writes one datagram after the other straight into the
//! caller's buffer. A caller that stops polling loses nothing; the plan waits, and the next flush extends it.
//!
//! Differences between kcp-go generations follow [`Generation`].

mod beginning;
mod flush;
mod input;
mod outage;
mod overtaken;
mod paced;
mod rtt;
mod segment;

pub use input::{ACKS_MAX, InputError, Source};
pub use segment::{Command, Header, OVERHEAD};

use crate::Generation;
use crate::observe::{Mark, Marks, Note, Notes};
use crate::time::{Instant, diff};
use beginning::Beginning;
use flush::Plan;
use outage::Outage;
use overtaken::Overtaken;
use paced::Paced;
use rtt::Rtt;
use std::collections::VecDeque;

/// Smallest datagram size that is accepted (KCP-4).
pub const MTU_MIN: usize = 50;

/// Transmissions of one segment after which kcp-go marks the link dead (and goes on).
const DEAD_LINK: u32 = 20;

/// Payload buffers kept for reuse.
const POOL_BUFFERS_MAX: usize = 1024;

/// Which parts of a flush to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flush {
    /// Acknowledgements only; the 2026 generation also answers probes and numbers queued segments (KCP-8).
    AckOnly,
    /// Acknowledgements, probes, new segments, retransmissions.
    Full,
}

/// Why `send` refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Nothing to send: an empty segment would stall the peer's reader (KCP-3).
    #[error("empty message")]
    Empty,
    /// More than 255 fragments.
    #[error("message needs more than 255 fragments")]
    TooLong,
}

/// Why `recv` returned nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// No complete message.
    #[error("no complete message")]
    Blocked,
    /// The buffer is shorter than the message.
    #[error("buffer is shorter than the message")]
    BufferTooSmall,
}

/// The five numbers of `ikcp_nodelay` and friends; `None`-like negative values of Go are resolved by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Minimum RTO 30 instead of 100 ms, and a backoff of half an RTO.
    pub nodelay: bool,
    /// Flush interval, clamped to 10..=5000 ms.
    pub interval_ms: u32,
    /// Acknowledgements of later segments that trigger a fast retransmission; 0 off.
    pub resend: u32,
    /// No congestion window.
    pub nc: bool,
}

/// Totals counted by the ARQ, under the names of kcp-go's SNMP counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Segments encoded.
    pub out_segs: u64,
    /// Segments in error-free inputs.
    pub in_segs: u64,
    /// Retransmissions by timeout.
    pub lost_segs: u64,
    /// Retransmissions by duplicate acknowledgements.
    pub fast_retrans_segs: u64,
    /// Retransmissions by an acknowledgement while nothing new could be sent.
    pub early_retrans_segs: u64,
    /// PUSH segments that were not new.
    pub repeat_segs: u64,
}

/// One end of a conversation.
#[derive(Debug)]
pub struct Arq {
    conv: u32,
    generation: Generation,
    stream: bool,
    mtu: usize,
    nodelay: bool,
    interval_ms: u32,
    resend: u32,
    nc: bool,
    snd_wnd: u32,
    rcv_wnd: u32,
    rmt_wnd: u32,
    snd_una: u32,
    snd_nxt: u32,
    rcv_nxt: u32,
    rtt: Rtt,
    cwnd: u32,
    ssthresh: u32,
    incr: u32,
    ask_window: bool,
    tell_window: bool,
    ts_probe: u32,
    probe_wait_ms: u32,
    dead: bool,
    updated: bool,
    ts_flush: u32,
    snd_queue: VecDeque<Queued>,
    /// Consecutive sns from `snd_una` on.
    snd_buf: VecDeque<InFlight>,
    /// What acknowledgements of later segments say of them, one for each.
    overtaken: Overtaken,
    /// The first sn that was not sent yet.
    unsent_sn: u32,
    /// No segment that was sent times out before; `None` when none is known to wait.
    resend_ms_min: Option<u32>,
    /// Acknowledgements may have made a segment due since all were looked at.
    suspects: bool,
    rcv_queue: VecDeque<Queued>,
    /// Slot i holds sn `rcv_nxt + i`, if it arrived out of order or while the queue was full.
    rcv_buf: VecDeque<Option<Queued>>,
    rcv_buf_len: usize,
    acks: VecDeque<(u32, u32)>,
    /// Clock at which snd_una moved last.
    una_moved_ms: u32,
    /// Highest sn received, plus one.
    rcv_top: u32,
    /// When, on the peer's clock, the latest data was sent that was received.
    push_ts_top: Option<u32>,
    /// Where the sns started: the una of a peer that knows nothing.
    snd_first: u32,
    /// A window probe of [`Arq::probe_peer`] waits for its answer.
    probing: bool,
    peer_lost_state: bool,
    /// Where the sns of the peer started.
    rcv_first: u32,
    peer_goes_on: bool,
    /// What the peer sent first.
    beginning: Beginning,
    outage: Outage,
    plan: Option<Plan>,
    /// A sender under a controller, instead of the reference.
    paced: Option<Box<Paced>>,
    flush_next_ms: u32,
    pool: Vec<Vec<u8>>,
    /// Fewest buffers in the pool since it was trimmed.
    pool_unused: usize,
    counters: Counters,
    pub(crate) notes: Notes,
    marks: Marks,
    #[cfg(feature = "planted")]
    pub(crate) planted: Option<crate::planted::Planted>,
}

/// A payload waiting in one of the queues.
#[derive(Debug)]
struct Queued {
    frg: u8,
    data: Vec<u8>,
}

/// A numbered segment that una has not passed.
#[derive(Debug)]
struct InFlight {
    frg: u8,
    acked: bool,
    /// Clock at which that was told first.
    acked_ms: u32,
    data: Vec<u8>,
    resendts: u32,
    rto_ms: u32,
    xmit: u32,
}

impl Arq {
    /// A conversation with library defaults: windows 32, interval 100 ms, mtu 1400, message mode (KCP-4).
    pub fn new(conv: u32, generation: Generation) -> Self {
        Self {
            conv,
            generation,
            stream: false,
            mtu: 1400,
            nodelay: false,
            interval_ms: 100,
            resend: 0,
            nc: false,
            snd_wnd: 32,
            rcv_wnd: 32,
            rmt_wnd: 32,
            snd_una: 0,
            snd_nxt: 0,
            rcv_nxt: 0,
            rtt: Rtt::new(),
            cwnd: 0,
            ssthresh: 2,
            incr: 0,
            ask_window: false,
            tell_window: false,
            ts_probe: 0,
            probe_wait_ms: 0,
            dead: false,
            updated: false,
            ts_flush: 100,
            snd_queue: VecDeque::new(),
            snd_buf: VecDeque::new(),
            overtaken: Overtaken::default(),
            unsent_sn: 0,
            resend_ms_min: None,
            suspects: false,
            rcv_queue: VecDeque::new(),
            rcv_buf: VecDeque::new(),
            rcv_buf_len: 0,
            acks: VecDeque::new(),
            una_moved_ms: 0,
            rcv_top: 0,
            push_ts_top: None,
            snd_first: 0,
            probing: false,
            peer_lost_state: false,
            rcv_first: 0,
            peer_goes_on: false,
            beginning: Beginning::default(),
            outage: Outage::default(),
            plan: None,
            paced: None,
            flush_next_ms: 100,
            pool: Vec::new(),
            pool_unused: 0,
            counters: Counters::default(),
            notes: Notes::default(),
            marks: Marks::NONE,
            #[cfg(feature = "planted")]
            planted: None,
        }
    }

    /// Starts the sequence numbers elsewhere than at 0. Only before the first segment.
    pub fn set_serials(&mut self, snd_una: u32, snd_nxt: u32, rcv_nxt: u32) {
        (self.snd_una, self.snd_nxt, self.rcv_nxt) = (snd_una, snd_nxt, rcv_nxt);
        (self.snd_first, self.rcv_first, self.rcv_top) = (snd_una, rcv_nxt, rcv_nxt);
        self.unsent_sn = snd_una;
    }

    /// Stream mode: writes fill up the last unnumbered segment and carry no fragment count.
    pub fn set_stream(&mut self, on: bool) {
        self.stream = on;
    }

    /// Sets the four tuning numbers (KCP-4).
    pub fn set_tuning(&mut self, tuning: Tuning) {
        self.nodelay = tuning.nodelay;
        self.rtt.rto_ms_min = if tuning.nodelay { 30 } else { 100 };
        self.interval_ms = tuning.interval_ms.clamp(10, 5000);
        self.resend = tuning.resend;
        self.nc = tuning.nc;
    }

    /// KCP-25: acknowledgements of what was sent before `now` are no samples of the round trip.
    pub fn distrust_samples_before(&mut self, now: Instant) {
        self.rtt.trust_from_ms = Some(now.ms());
        if let Some(paced) = &mut self.paced {
            paced.sent.distrust_before(now);
        }
    }

    /// Sets the windows in segments; 0 keeps a value.
    pub fn set_windows(&mut self, snd_wnd: u32, rcv_wnd: u32) {
        if snd_wnd > 0 {
            self.snd_wnd = snd_wnd;
        }
        if rcv_wnd > 0 {
            self.rcv_wnd = rcv_wnd;
        }
    }

    /// Sets the bytes of segments per datagram; `false` and no change below [`MTU_MIN`].
    pub fn set_mtu(&mut self, mtu: usize) -> bool {
        if mtu < MTU_MIN {
            return false;
        }
        self.mtu = mtu;
        true
    }

    /// The conversation id.
    pub fn conv(&self) -> u32 {
        self.conv
    }

    /// Payload bytes of a full segment.
    pub fn mss(&self) -> usize {
        self.mtu - OVERHEAD
    }

    /// The send window in segments.
    pub fn snd_wnd(&self) -> u32 {
        self.snd_wnd
    }

    /// The flush interval, ms.
    pub fn interval_ms(&self) -> u32 {
        self.interval_ms
    }

    /// Segments queued or in flight; a session writes while this is below the send window (KCP-5).
    pub fn waitsnd(&self) -> usize {
        self.snd_queue.len() + self.snd_buf.len()
    }

    /// Whether something waits for the peer to open its window.
    pub fn waits_for_window(&self) -> bool {
        self.rmt_wnd == 0 && self.waitsnd() > 0
    }

    /// Payload bytes held: to be sent, to be acknowledged, and to be read.
    pub fn queued_bytes(&self) -> usize {
        let queued = self.snd_queue.iter().chain(&self.rcv_queue).chain(self.rcv_buf.iter().flatten());
        let in_flight = self.snd_buf.iter().map(|segment| segment.data.len());
        queued.map(|segment| segment.data.len()).chain(in_flight).sum()
    }

    /// Frees all payload buffers kept for reuse.
    pub fn release_buffers(&mut self) {
        self.pool = Vec::new();
        self.pool_unused = 0;
    }

    /// Frees the payload buffers that were not needed since the last call, and what the queues have room for beyond need.
    pub fn trim(&mut self) {
        self.pool.truncate(self.pool.len().saturating_sub(self.pool_unused));
        self.pool_unused = self.pool.len();
        self.pool.shrink_to_fit();
        self.snd_queue.shrink_to(2 * self.snd_queue.len());
        self.snd_buf.shrink_to(2 * self.snd_buf.len());
        self.overtaken.trim();
        self.rcv_queue.shrink_to(2 * self.rcv_queue.len());
        self.rcv_buf.shrink_to(2 * self.rcv_buf.len());
        self.acks.shrink_to(2 * self.acks.len());
    }

    /// Asks the peer's window with the next flush, whether it is closed or not: the answer shows whether it still knows
    /// this conversation (KCP-23).
    pub fn probe_peer(&mut self) {
        self.ask_window = true;
        self.probing = true;
    }

    /// Whether the peer turned out to have forgotten the conversation: it expects sns again that it had confirmed (KCP-23).
    pub fn peer_lost_state(&self) -> bool {
        self.peer_lost_state
    }

    /// Whether the peer confirmed what was never sent, before anything was received in order: it goes on with a conversation
    /// that this end has lost (KCP-30).
    pub fn peer_goes_on(&self) -> bool {
        self.peer_goes_on
    }

    /// Whether anything was received in order.
    pub fn has_received(&self) -> bool {
        self.rcv_nxt != self.rcv_first
    }

    /// Whether `datagram` carries this conversation further than everything received before: data beyond the highest sn,
    /// data sent later than any, or a higher una. No replay can (KCP-24). Without the second a peer that moves while its
    /// window is full of data that arrived, but was not confirmed to its new address, could never prove itself.
    pub fn advanced_by(&self, mut datagram: &[u8]) -> bool {
        while let Some((header, rest)) = Header::parse(datagram) {
            let Some((_, rest)) = rest.split_at_checked(header.len as usize) else { return false };
            if header.conv != self.conv {
                return false;
            }
            let ahead = diff(header.sn, self.rcv_top);
            let later = self.push_ts_top.is_some_and(|top| diff(header.ts, top) > 0);
            let in_window = (0..self.rcv_wnd as i32).contains(&ahead) || (later && ahead < 0);
            let pushes = header.command() == Some(Command::Push) && in_window;
            let confirms = diff(header.una, self.snd_una) > 0 && diff(header.una, self.snd_nxt) <= 0;
            if pushes || confirms {
                return true;
            }
            datagram = rest;
        }
        false
    }

    /// Counters since creation.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Rare paths that were taken.
    pub fn marks(&self) -> Marks {
        let mut marks = self.marks;
        marks.hit_if(Mark::FastRetransmit, self.counters.fast_retrans_segs > 0);
        marks.hit_if(Mark::EarlyRetransmit, self.counters.early_retrans_segs > 0);
        marks.hit_if(Mark::Timeout, self.counters.lost_segs > 0);
        marks.hit_if(Mark::RepeatedSegment, self.counters.repeat_segs > 0);
        marks.hit_if(Mark::DeadLink, self.dead);
        marks.hit_if(Mark::LostState, self.peer_lost_state);
        marks.hit_if(Mark::PeerGoesOn, self.peer_goes_on);
        marks
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
        if self.stream {
            data = self.extend_last(data, mss);
            if data.is_empty() {
                return Ok(());
            }
        }
        let count = data.len().div_ceil(mss);
        if count > 255 {
            return Err(SendError::TooLong);
        }
        for (i, piece) in data.chunks(mss).enumerate() {
            let frg = if self.stream { 0 } else { (count - i - 1) as u8 };
            let data = self.buffer_with(piece);
            self.snd_queue.push_back(Queued { frg, data });
        }
        Ok(())
    }

    fn extend_last<'a>(&mut self, data: &'a [u8], mss: usize) -> &'a [u8] {
        let Some(last) = self.snd_queue.back_mut() else { return data };
        let room = mss.saturating_sub(last.data.len()).min(data.len());
        last.data.extend_from_slice(&data[..room]);
        &data[room..]
    }

    /// Bytes of the next complete message.
    pub fn peek_size(&self) -> Option<usize> {
        let first = self.rcv_queue.front()?;
        if first.frg == 0 {
            return Some(first.data.len());
        }
        if self.rcv_queue.len() < usize::from(first.frg) + 1 {
            return None;
        }
        let mut size = 0;
        for segment in &self.rcv_queue {
            size += segment.data.len();
            if segment.frg == 0 {
                break;
            }
        }
        Some(size)
    }

    /// Moves the next complete message into `buf` and returns its length (KCP-15).
    ///
    /// # Errors
    /// No complete message, or `buf` too short for it (the message stays).
    pub fn recv(&mut self, buf: &mut [u8]) -> Result<usize, RecvError> {
        let size = self.peek_size().ok_or(RecvError::Blocked)?;
        if size > buf.len() {
            return Err(RecvError::BufferTooSmall);
        }
        let was_full = self.rcv_queue.len() >= self.rcv_wnd as usize;
        let mut at = 0;
        while let Some(segment) = self.rcv_queue.pop_front() {
            buf[at..at + segment.data.len()].copy_from_slice(&segment.data);
            at += segment.data.len();
            let last = segment.frg == 0;
            self.recycle(segment.data);
            if last {
                break;
            }
        }
        self.refill(was_full);
        Ok(at)
    }

    /// Takes the next segment's payload off the receive queue, whatever its fragment count: for stream readers, to whom
    /// message borders mean nothing. Give the buffer back with [`Arq::recycle`].
    pub fn take(&mut self) -> Option<Vec<u8>> {
        let was_full = self.rcv_queue.len() >= self.rcv_wnd as usize;
        let segment = self.rcv_queue.pop_front()?;
        self.refill(was_full);
        Some(segment.data)
    }

    /// Gives a payload buffer back for reuse.
    pub fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.pool.len() < POOL_BUFFERS_MAX && buffer.capacity() > 0 {
            buffer.clear();
            self.pool.push(buffer);
        }
    }

    /// A reader that made room in a full queue announces it at the next flush (KCP-15).
    fn refill(&mut self, was_full: bool) {
        self.move_in_order();
        if was_full && self.rcv_queue.len() < self.rcv_wnd as usize {
            self.tell_window = true;
            self.marks.hit(Mark::WindowReopened);
        }
    }

    fn move_in_order(&mut self) {
        while self.rcv_queue.len() < self.rcv_wnd as usize {
            let Some(slot) = self.rcv_buf.front_mut() else { return };
            let Some(segment) = slot.take() else { return };
            self.rcv_buf.pop_front();
            self.rcv_buf_len -= 1;
            self.rcv_queue.push_back(segment);
            self.notes.add(Note::InOrder { sn: self.rcv_nxt });
            self.rcv_nxt = self.rcv_nxt.wrapping_add(1);
        }
        self.marks.hit(Mark::QueueFull);
    }

    fn buffer_with(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut buffer = self.pool.pop().unwrap_or_else(|| Vec::with_capacity(self.mss().max(bytes.len())));
        self.pool_unused = self.pool_unused.min(self.pool.len());
        buffer.extend_from_slice(bytes);
        buffer
    }

    /// Free receive window as announced to the peer; the out-of-order buffer does not count (KCP-6).
    fn wnd_unused(&self) -> u16 {
        self.rcv_wnd.saturating_sub(self.rcv_queue.len() as u32) as u16
    }

    /// All numbers of the state machine, for golden traces, digests and status pages.
    pub fn state(&self) -> State {
        State {
            snd_una: self.snd_una,
            snd_nxt: self.snd_nxt,
            rcv_nxt: self.rcv_nxt,
            srtt_ms: self.rtt.srtt_ms,
            rttvar_ms: self.rtt.rttvar_ms,
            rto_ms: self.rtt.rto_ms,
            cwnd: self.cwnd,
            ssthresh: self.ssthresh,
            incr: self.incr,
            rmt_wnd: self.rmt_wnd,
            ask_window: self.ask_window,
            tell_window: self.tell_window,
            ts_probe: self.ts_probe,
            probe_wait_ms: self.probe_wait_ms,
            dead: self.dead,
            snd_queue: self.snd_queue.len(),
            snd_buf: self.snd_buf.len(),
            rcv_queue: self.rcv_queue.len(),
            rcv_buf: self.rcv_buf_len,
            acks: self.acks.len(),
            ts_flush: self.ts_flush,
        }
    }

    /// Asserts what must hold between any two calls.
    pub fn assert_invariants(&self) {
        assert_eq!(
            self.snd_nxt.wrapping_sub(self.snd_una),
            self.snd_buf.len() as u32,
            "send buffer has holes"
        );
        assert_eq!(self.overtaken.len(), self.snd_buf.len(), "a segment without a count, or the reverse");
        if let Some(paced) = &self.paced {
            assert_eq!(paced.sent.len(), self.snd_buf.len(), "a segment without a record, or the reverse");
        }
        assert!(self.rcv_buf_len <= self.rcv_wnd.max(self.rcv_buf.len() as u32) as usize);
        assert_eq!(self.rcv_buf.iter().flatten().count(), self.rcv_buf_len);
        assert!(diff(self.snd_nxt, self.snd_una) >= 0, "una passed nxt");
    }
}

/// Numbers of the state machine; lengths are in segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "kcp-go's own field names, described in kcp.md")]
pub struct State {
    pub snd_una: u32,
    pub snd_nxt: u32,
    pub rcv_nxt: u32,
    pub srtt_ms: i32,
    pub rttvar_ms: i32,
    pub rto_ms: u32,
    pub cwnd: u32,
    pub ssthresh: u32,
    pub incr: u32,
    pub rmt_wnd: u32,
    pub ask_window: bool,
    pub tell_window: bool,
    pub ts_probe: u32,
    pub probe_wait_ms: u32,
    pub dead: bool,
    pub snd_queue: usize,
    pub snd_buf: usize,
    pub rcv_queue: usize,
    pub rcv_buf: usize,
    pub acks: usize,
    pub ts_flush: u32,
}
