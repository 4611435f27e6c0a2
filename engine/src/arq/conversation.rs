//! The parts of a conversation that do not depend on its sender.

use super::observed::Observed;
use super::peer_state::PeerState;
use super::pool::BufferPool;
use super::receiver::Receiver;
use super::rtt::Rtt;
use super::segment::OVERHEAD;
use super::send_buffer::SendBuffer;
use super::validation::Validation;
use super::window::PeerWindow;
use crate::Generation;
use crate::observe::{Mark, Marks};
use crate::time::Instant;

/// Smallest datagram size that is accepted (KCP-4).
pub const MTU_MIN: usize = 50;

/// What both senders work on.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) params: Params,
    pub(super) rtt: Rtt,
    pub(super) outgoing: SendBuffer,
    pub(super) receiver: Receiver,
    pub(super) window: PeerWindow,
    pub(super) peer: PeerState,
    pub(super) validation: Validation,
    pub(super) pool: BufferPool,
    pub(super) observed: Observed,
}

/// Which parts of a flush to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flush {
    /// Acknowledgements only; the 2026 generation also answers probes and numbers queued segments (KCP-8).
    AckOnly,
    /// Acknowledgements, probes, new segments, retransmissions.
    Full,
}

/// The numbers of `ikcp_nodelay`; the caller resolves Go's negative values, which keep a number as it is.
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

/// Constants of a conversation once it has begun.
#[derive(Debug)]
pub(super) struct Params {
    pub(super) conv: u32,
    pub(super) generation: Generation,
    /// Writes fill up the last unnumbered segment and carry no fragment count.
    pub(super) stream: bool,
    /// Bytes of segments per datagram.
    pub(super) mtu: usize,
    pub(super) tuning: Tuning,
    /// See [`super::Arq::distrust_peer`].
    pub(super) distrusts_peer: bool,
    #[cfg(feature = "planted")]
    pub(super) planted: Option<crate::planted::Planted>,
}

impl Params {
    /// Payload bytes of a full segment.
    #[inline]
    pub(super) const fn mss(&self) -> usize {
        self.mtu - OVERHEAD
    }
}

impl Conversation {
    /// KCP-4: windows 32, interval 100 ms, mtu 1400, message mode.
    pub(super) fn new(conv: u32, generation: Generation) -> Self {
        let params = Params {
            conv,
            generation,
            stream: false,
            mtu: 1400,
            tuning: Tuning { nodelay: false, interval_ms: 100, resend: 0, nc: false },
            distrusts_peer: false,
            #[cfg(feature = "planted")]
            planted: None,
        };
        let observed = Observed::default();
        Self {
            pool: BufferPool::new(params.mss()),
            params,
            rtt: Rtt::new(),
            outgoing: SendBuffer::new(),
            receiver: Receiver::new(),
            window: PeerWindow::new(),
            peer: PeerState::default(),
            validation: Validation::default(),
            observed,
        }
    }

    /// Segments that may be numbered from una on, as far as the two ends' windows go.
    #[inline]
    pub(super) fn send_window(&self) -> u32 {
        self.outgoing.wnd.min(self.window.segments)
    }

    /// KCP-9: schedules a probe of a closed window.
    #[inline]
    pub(super) fn schedule_probe(&mut self, now: Instant) {
        self.window.schedule_probe(now.ms(), self.params.generation, &mut self.observed.marks);
    }

    /// A reader took segments from the queue: moves up what waits behind it, and announces room in a queue that was full with
    /// the next flush (KCP-15).
    #[inline]
    pub(super) fn refill(&mut self, was_full: bool) {
        self.receiver.move_in_order(&mut self.observed);
        if was_full && !self.receiver.is_full() {
            self.window.tell = true;
            self.observed.marks.hit(Mark::WindowReopened);
        }
    }

    /// Coverage marks of everything but the sender.
    pub(super) fn marks(&self) -> Marks {
        let (counters, mut marks) = (&self.observed.counters, self.observed.marks);
        marks.hit_if(Mark::FastRetransmit, counters.fast_retrans_segs > 0);
        marks.hit_if(Mark::EarlyRetransmit, counters.early_retrans_segs > 0);
        marks.hit_if(Mark::Timeout, counters.lost_segs > 0);
        marks.hit_if(Mark::RepeatedSegment, counters.repeat_segs > 0);
        marks.hit_if(Mark::DeadLink, self.outgoing.dead);
        marks.hit_if(Mark::LostState, self.peer.lost_state);
        marks.hit_if(Mark::PeerGoesOn, self.peer.goes_on);
        marks
    }

    /// The numbers of kcp-go's state machine that do not depend on the sender.
    pub(super) fn state(&self) -> State {
        State {
            snd_una: self.outgoing.una,
            snd_nxt: self.outgoing.nxt,
            rcv_nxt: self.receiver.nxt,
            srtt_ms: self.rtt.srtt_ms,
            rttvar_ms: self.rtt.rttvar_ms,
            rto_ms: self.rtt.rto_ms,
            cwnd: 0,
            ssthresh: 2,
            incr: 0,
            rmt_wnd: self.window.segments,
            ask_window: self.window.ask,
            tell_window: self.window.tell,
            ts_probe: self.window.ts_probe,
            probe_wait_ms: self.window.probe_wait_ms,
            dead: self.outgoing.dead,
            snd_queue: self.outgoing.queue.len(),
            snd_buf: self.outgoing.segments.len(),
            rcv_queue: self.receiver.queue.len(),
            rcv_buf: self.receiver.reordered_len(),
            acks: self.receiver.acks.len(),
            ts_flush: 0,
        }
    }

    /// Asserts what must hold between two calls, in constant time.
    pub(super) fn check_invariants(&self) {
        assert!(self.params.mtu >= MTU_MIN, "mtu below the minimum");
        self.outgoing.check_invariants();
        self.receiver.check_invariants();
        self.window.check_invariants();
        self.pool.check_invariants();
        self.rtt.check_invariants();
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
