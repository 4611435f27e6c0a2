//! One client-server association: crypt, FEC, ARQ, compression and multiplexing.
//!
//! The layers are plain fields; this module only carries bytes between them. Inwards: open, rebuild lost datagrams,
//! feed the ARQ, decompress, split into streams. Outwards: frames are made only while the ARQ has room, so that a slow
//! path shows as backpressure at the stream's `write` and nowhere else.

mod black_hole;
mod burden;
mod config;
mod flush_timer;
mod health;
mod identity;
mod inbound;
mod liveness;
mod migrate;
mod mismatch;
mod outbound;
mod pads;
mod paths;
mod queue_delay;
mod rate_limiter;
mod receive;
mod recognition;
mod reports;
mod stall;
mod transmit;
mod trial;

pub use burden::Burden;
pub use config::{MTU_MAX, TunnelConfig};
pub(crate) use identity::{Identity, Incoming};
pub use mismatch::Mismatch;
pub(crate) use receive::admit;
pub use transmit::Transmit;

use crate::arq::{Arq, Flush, Recovery};
use crate::congestion::{Auto, Path};
use crate::entropy::Entropy;
use crate::event::{CloseReason, Event, StreamId};
use crate::mux::{self, Dialect, Mux, OpenError, ReadError, Role, WriteError};
use crate::nonce::Nonces;
use crate::observe::{Mark, Marks, Note, Stats};
use crate::time::{Deadline, Instant, Timer};
use core::ops::Range;
use core::time::Duration;
use flush_timer::FlushTimer;
use health::Health;
use inbound::{Inbound, Recognition};
use outbound::Outbound;
use pads::Pads;
use paths::Paths;
use rate_limiter::RateLimiter;
use reports::Reports;
use std::net::SocketAddr;
use std::sync::Arc;

/// What a session did with a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Handled {
    /// The layers processed it.
    Used,
    /// It was counted and dropped.
    Dropped(DropReason),
}

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DropReason {
    /// Too short for its headers.
    Short,
    /// Longer than [`MTU_MAX`], which no peer sends (CRYPT-19).
    Oversize,
    /// This process sent it (CRYPT-18).
    Reflected,
    /// CRC or tag wrong: damaged, or another key or cipher.
    Checksum,
    /// Of another conversation, and not its first segment.
    ForeignConv,
    /// The ARQ could not parse it.
    Malformed,
    /// It acknowledges what was never sent (KCP-32).
    NeverSent,
    /// From port 0, to which nothing can be sent (KCP-41).
    NoSource,
    /// No session has its address, and it does not start one.
    NoSession,
    /// The server holds as many sessions as it may.
    TooManySessions,
    /// The server accepts no new sessions at present.
    NotAccepting,
    /// From an unknown address, and it carries nothing new of its conversation (KCP-24).
    MoveRefused,
    /// The first data of a conversation that ended (KCP-33).
    Replayed,
    /// An out-of-band packet, which kcptun does not use (FEC-7).
    OutOfBand,
    /// The tunnel is closed.
    Closed,
}

/// One association. See the crate's manual for the order of calls.
pub struct Tunnel {
    config: Arc<TunnelConfig>,
    role: Role,
    peer: SocketAddr,
    nonces: Nonces,
    /// For path probes.
    entropy: Entropy,
    arq: Arq,
    mux: Box<dyn Mux>,
    /// The client has not shown yet what it speaks.
    recognition: Option<Recognition>,
    /// Dialect, and version if it is smux.
    spoken: (Dialect, u8),
    pads: Pads,
    inbound: Inbound,
    outbound: Outbound,
    flush: FlushTimer,
    health: Health,
    paths: Paths,
    /// Something was sent that the client acknowledges.
    greeted: bool,
    /// Datagrams wait because the peer has acknowledged nothing yet.
    starved: bool,
    reports: Reports,
}

impl Tunnel {
    /// The client's side of a new association with the server at `to`, under a random conversation id.
    pub fn connect(config: &Arc<TunnelConfig>, now: Instant, to: SocketAddr, mut entropy: Entropy) -> Self {
        let conv = entropy.next_u32();
        Self::new(config, now, Role::Client, to, conv, entropy)
    }

    /// The server's side of an association that the client at `from` started.
    pub(crate) fn accept(
        config: &Arc<TunnelConfig>,
        now: Instant,
        from: SocketAddr,
        conv: u32,
        entropy: Entropy,
    ) -> Self {
        Self::new(config, now, Role::Server, from, conv, entropy)
    }

    fn new(
        config: &Arc<TunnelConfig>,
        now: Instant,
        role: Role,
        peer: SocketAddr,
        conv: u32,
        mut entropy: Entropy,
    ) -> Self {
        let mut arq = Arq::new(conv, config.generation);
        arq.set_stream(true);
        arq.set_tuning(config.tuning);
        arq.set_windows(config.snd_wnd, config.rcv_wnd);
        arq.set_mtu(config.segment_bytes_max());
        #[cfg(feature = "planted")]
        {
            arq.set_planted(config.planted);
        }
        arq.set_serials(config.first_sn, config.first_sn, config.first_sn);
        if config.distrust_peer {
            arq.distrust_peer();
        }
        if config.probe && !config.governed {
            arq.watch_outages();
        }
        if role == Role::Server && config.distrust_peer {
            arq.require_validation(entropy.next_u32());
        }
        if config.governed {
            let segment_bytes = config.segment_bytes_max();
            let recovery = if config.auto { Recovery::Timed } else { Recovery::Tuned };
            arq.set_controller(Box::new(Auto::new(segment_bytes, config.rate_bytes_s)), recovery);
        }
        // In phase, so that the keepalives of many sessions fall together.
        let ticks_from = now.ms_multiple_after(config.mux.keepalive_ms / 5);
        Self {
            config: Arc::clone(config),
            role,
            peer,
            nonces: entropy.nonces(),
            entropy,
            mux: mux::start_session(config.mux.clone(), role, ticks_from),
            recognition: (config.recognise && role == Role::Server)
                .then(|| Recognition::new(now, ticks_from)),
            spoken: (config.mux.dialect, config.mux.version),
            pads: Pads::new(config.qpp.clone()),
            inbound: Inbound::new(config, conv),
            outbound: Outbound::new(config, now),
            flush: FlushTimer::new(now, arq.interval_ms()),
            health: Health::new(now),
            paths: Paths::new(now),
            greeted: false,
            starved: false,
            reports: Reports::default(),
            arq,
        }
    }

    /// The conversation id.
    pub fn conv(&self) -> u32 {
        self.arq.conv()
    }

    /// The peer's address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Why the tunnel is closed, if it is.
    pub fn closed(&self) -> Option<CloseReason> {
        self.reports.closed
    }

    /// Whether the tunnel is closed.
    pub fn is_closed(&self) -> bool {
        self.reports.closed.is_some()
    }

    /// Whether every byte that was written has been acknowledged.
    pub fn drained(&self) -> bool {
        self.arq.waitsnd() == 0 && !self.mux.has_frames()
    }

    /// Serial numbers of the segments that are not acknowledged, those in the queue included; `None` while frames wait for
    /// room in it.
    pub fn unacknowledged(&self) -> Option<Range<u32>> {
        (!self.mux.has_frames()).then(|| self.arq.serials_waiting())
    }

    /// Whether, moreover, no stream has bytes, an end or a reset left to send.
    pub fn is_flushed(&self) -> bool {
        self.arq.waitsnd() == 0 && self.mux.is_flushed()
    }

    /// The dialect spoken, and its version if it is smux; `None` as long as a client has not shown what it speaks.
    pub fn spoken(&self) -> Option<(Dialect, u8)> {
        self.recognition.is_none().then_some(self.spoken)
    }

    /// The option that differs from the peer's, once the session failed because of it.
    pub fn mismatch(&self) -> Option<Mismatch> {
        self.inbound.mismatch
    }

    /// How long the peer has left sent data unanswered; zero while it answers.
    pub fn silent_for(&self, now: Instant) -> Duration {
        self.health.liveness.silent_for(now)
    }

    /// Whether the peer ever sent a valid datagram.
    pub fn was_heard(&self) -> bool {
        self.reports.stats.in_pkts > 0
    }

    /// Whether the peer supports half-closed streams (SMUX-26).
    pub fn peer_half_closes(&self) -> bool {
        self.mux.peer_half_closes()
    }

    /// Bytes queued in this session: to be framed, sent, acknowledged or read.
    pub fn queued_bytes(&self) -> usize {
        self.mux.queued_bytes() + self.arq.queued_bytes() + self.inbound.queued_bytes()
    }

    /// Streams held by the multiplexer.
    pub fn stream_count(&self) -> usize {
        self.mux.stream_count()
    }

    /// See [`Arq::set_path`].
    pub(crate) fn set_path(&mut self, path: Path) {
        self.arq.set_path(path);
    }

    /// The ARQ, for status pages and checks.
    pub fn arq(&self) -> &Arq {
        &self.arq
    }

    /// Counters since creation.
    pub fn stats(&self) -> Stats {
        let arq = self.arq.counters();
        let state = self.arq.state();
        let mut stats = Stats {
            in_segs: arq.in_segs,
            out_segs: arq.out_segs,
            lost_segs: arq.lost_segs,
            fast_retrans_segs: arq.fast_retrans_segs,
            early_retrans_segs: arq.early_retrans_segs,
            retrans_segs: arq.lost_segs + arq.fast_retrans_segs + arq.early_retrans_segs,
            repeat_segs: arq.repeat_segs,
            ring_buffer_snd_queue: state.snd_queue as u64,
            ring_buffer_rcv_queue: state.rcv_queue as u64,
            ring_buffer_snd_buffer: state.snd_buf as u64,
            marks: self.marks(),
            round_trips: self.arq.round_trips(),
            ..self.reports.stats
        };
        if let Some(decoder) = &self.inbound.shards.decoder {
            let fec = decoder.counters();
            stats.fec_full_shards = fec.full_shards;
            stats.fec_parity_shards = fec.parity_shards;
            stats.fec_errs = fec.errs;
            stats.fec_recovered = fec.recovered;
            stats.fec_shard_set = fec.shard_set;
            stats.fec_shard_min = fec.shard_min;
        }
        stats
    }

    fn marks(&self) -> Marks {
        let mut marks = self.reports.stats.marks.or(self.arq.marks()).or(self.mux.marks());
        marks = self.outbound.encoder.iter().fold(marks, |marks, encoder| marks.or(encoder.marks()));
        marks = self.inbound.shards.decoder.iter().fold(marks, |marks, decoder| marks.or(decoder.marks()));
        marks.hit_if(Mark::Damaged, self.reports.stats.in_csum_errors > 0);
        marks.hit_if(Mark::Migration, self.reports.stats.migrations > 0);
        marks.hit_if(Mark::StreamCut, self.reports.stats.streams_cut > 0);
        marks.hit_if(Mark::SessionRotated, self.reports.closed == Some(CloseReason::Local));
        marks.hit_if(Mark::SessionReplaced, self.reports.closed == Some(CloseReason::Replaced));
        marks.hit_if(Mark::PeerTimeout, self.reports.closed == Some(CloseReason::PeerTimeout));
        marks
    }

    /// Bytes of the datagrams that this end's path does not deliver although it delivers small ones (KCP-40); `None` as long as
    /// that is not known. A smaller mtu at this end helps.
    pub const fn black_hole(&self) -> Option<usize> {
        self.health.black_hole.found()
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// The session is closed, or holds as many streams as it may.
    pub fn open_stream(&mut self, now: Instant) -> Result<StreamId, OpenError> {
        if self.is_closed() {
            return Err(OpenError::Closed);
        }
        let id = self.mux.open()?;
        self.pads.add(id);
        self.settle(now);
        Ok(id)
    }

    /// Writes to a stream; returns how many bytes were taken, at least one of a non-empty `data`.
    ///
    /// # Errors
    /// [`WriteError::Blocked`] when nothing fits now; [`Event::Writable`] follows.
    pub fn write(&mut self, now: Instant, id: StreamId, data: &[u8]) -> Result<usize, WriteError> {
        if self.is_closed() {
            return Err(WriteError::Closed);
        }
        let taken = if self.pads.has(id) {
            let room = self.mux.write_room(id)?.min(data.len());
            // Without room the multiplexer must see the attempt: it returns blocked, and wakes the writer later.
            self.mux.write(id, if room > 0 { self.pads.encrypt(id, &data[..room]) } else { data })?
        } else {
            self.mux.write(id, data)?
        };
        self.follow_write(now, id);
        self.health.liveness.active(now);
        self.settle(now);
        Ok(taken)
    }

    /// The first unread bytes of a stream; empty at its end.
    ///
    /// # Errors
    /// [`ReadError::Blocked`] when nothing is there yet; [`Event::Readable`] follows.
    pub fn peek(&mut self, id: StreamId) -> Result<&[u8], ReadError> {
        let bytes = self.mux.peek(id)?;
        self.pads.decrypt(id, bytes);
        Ok(bytes)
    }

    /// Whether the last data frame of a stream has arrived in part only.
    pub fn is_inside_frame(&self, id: StreamId) -> bool {
        self.mux.is_inside_frame(id)
    }

    /// Marks the first `n` peeked bytes as read.
    pub fn consume(&mut self, now: Instant, id: StreamId, n: usize) {
        self.pads.consumed(id, n);
        self.mux.advance(now);
        self.mux.consume(id, n);
        self.note_read(id);
        self.health.liveness.active(now);
        self.settle(now);
    }

    /// Reads from a stream into `buf`; 0 at its end.
    ///
    /// # Errors
    /// As [`Tunnel::peek`].
    pub fn read(&mut self, now: Instant, id: StreamId, buf: &mut [u8]) -> Result<usize, ReadError> {
        let bytes = self.peek(id)?;
        let n = bytes.len().min(buf.len());
        buf[..n].copy_from_slice(&bytes[..n]);
        self.consume(now, id, n);
        Ok(n)
    }

    /// Ends the sending direction of a stream after what was written; reading goes on.
    ///
    /// # Errors
    /// The stream or the session is gone.
    pub fn finish(&mut self, now: Instant, id: StreamId) -> Result<(), WriteError> {
        if self.is_closed() {
            return Err(WriteError::Closed);
        }
        self.mux.finish(id)?;
        self.settle(now);
        Ok(())
    }

    /// Ends a stream in both directions: what was written is still sent, what arrives is discarded.
    pub fn close_stream(&mut self, now: Instant, id: StreamId) {
        self.mux.close(id);
        self.pads.remove(id);
        self.settle(now);
    }

    /// Ends a stream in both directions after a failure: what was written is still sent, and then a peer that half-closes
    /// reads [`ReadError::Reset`] instead of an end. Other peers cannot be notified, and read an end. Returns false when this
    /// side's direction was finished before: then it ends in order.
    pub fn reset_stream(&mut self, now: Instant, id: StreamId) -> bool {
        let cut = self.mux.reset(id);
        self.pads.remove(id);
        self.settle(now);
        cut
    }

    /// Stops waiting for the readers of streams that were reset here: what they did not take is dropped.
    pub fn drop_unsent(&mut self, now: Instant) {
        self.mux.drop_unsent();
        self.settle(now);
    }

    /// Ends the session on this side. The protocol has no message for it: the peer detects it by its keepalive timeout. To
    /// lose no data, wait for [`Tunnel::drained`] first.
    pub fn close(&mut self, now: Instant, reason: CloseReason) {
        if self.is_closed() {
            return;
        }
        self.settle(now);
        self.reports.close(reason);
        self.arq.flush(now, Flush::Full);
        self.flush.disarm();
    }

    /// Frees buffers kept for reuse; for drivers that are short of memory.
    pub fn release_buffers(&mut self) {
        self.arq.release_buffers();
    }

    /// Stops or resumes passing received bytes to streams; for drivers that are short of memory. The receive window closes.
    pub fn hold_input(&mut self, now: Instant, hold: bool) {
        self.inbound.held = hold;
        self.settle(now);
    }

    /// The next event, or `None`.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.reports.events.pop_front()
    }

    /// Starts recording [`Note`]s of decisions and their causes, read by [`Tunnel::poll_note`].
    pub fn keep_notes(&mut self) {
        self.arq.notes().keep();
    }

    /// The next note, if notes are recorded.
    pub fn poll_note(&mut self) -> Option<Note> {
        self.arq.notes().poll()
    }

    /// When [`Tunnel::handle_timeout`] has to be called.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        if self.is_closed() {
            return None;
        }
        let path = self.path_deadline();
        let flush = self.flush.deadline().map(|at| Deadline { at, why: Timer::Flush });
        let probe = self.health.liveness.probe_at().filter(|_| self.probes());
        let probe = probe.map(|at| Deadline { at, why: Timer::Probe });
        let limiter = self.outbound.limiter.as_ref();
        let pace = limiter.and_then(RateLimiter::resume_at).map(|at| Deadline { at, why: Timer::Pace });
        [self.mux.poll_timeout(), probe, pace, self.stall_deadline(), self.trial_deadline(), path]
            .into_iter()
            .fold(flush, Deadline::earliest)
    }

    /// Runs the timers that are due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.is_closed() {
            return;
        }
        self.note_pause(now);
        self.mux.handle_timeout(now);
        if self.health.liveness.is_dead(now) {
            return self.close(now, CloseReason::Refused);
        }
        self.probe_if_silent(now);
        if self.config.probe {
            self.health.black_hole.watch(now, &mut self.arq, self.config.mtu);
        }
        self.cut_if_stalled(now);
        self.handle_path_timeout(now);
        if self.health.trim_due(now) {
            self.arq.trim();
        }
        self.arq.handle_timeout(now);
        if !self.config.governed && self.flush.start(now, self.arq.interval_ms()) {
            self.arq.flush(now, Flush::Full);
        }
        self.settle(now);
    }

    /// Only clients probe: they can dial another session.
    fn probes(&self) -> bool {
        self.config.probe && self.role == Role::Client
    }

    /// KCP-25: after a pause of this process, or a jump of its clock, elapsed times are not the path's.
    pub(super) fn note_pause(&mut self, now: Instant) {
        if self.flush.was_paused(now) {
            self.arq.distrust_samples_before(now);
            self.paths.advanced_at = now;
        }
    }

    fn probe_if_silent(&mut self, now: Instant) {
        if self.stream_count() == 0 {
            self.health.liveness.forget_streams();
        }
        if self.probes() && self.health.liveness.probe_due(now, self.arq.state().rto_ms) {
            self.send_probe(now);
        }
    }

    fn send_probe(&mut self, now: Instant) {
        self.arq.probe_peer();
        self.reports.stats.marks.hit(Mark::Probe);
        self.mux.probe();
        self.arq.flush(now, Flush::Full);
    }

    /// The system reports that nothing listens on the peer's port (an ICMP message). Anyone can forge that, so that the peer is
    /// probed, and the session ends only if it stays silent (KCP-60). Without effect on a server, and without `probe`.
    pub fn peer_refused(&mut self, now: Instant) {
        if !self.probes() || self.is_closed() {
            return;
        }
        if self.health.liveness.refused(now, self.arq.state().rto_ms) {
            self.send_probe(now);
        }
        self.settle(now);
    }

    /// Carries bytes between the layers until nothing moves, and re-arms the flush timer.
    fn settle(&mut self, now: Instant) {
        if !self.is_closed() {
            self.mux.advance(now);
            self.recognition.iter_mut().for_each(|recognition| recognition.now = now);
            self.exchange(now);
            // Frames that left may have ended streams, whose share of the session's buffer others get.
            while self.waits_for_input() {
                self.exchange(now);
            }
            if self.is_closed() {
                // As kcp-go: the acknowledgement shows the peer, once it is forgotten here, that it was received (SMUX-40).
                self.arq.release_acks();
                self.arq.flush(now, Flush::AckOnly);
            }
        }
        self.collect_events();
        self.watch_stall(now);
        self.health.traffic.note(now, self.stream_bytes());
        self.arm_flush(now);
        self.check();
    }

    fn exchange(&mut self, now: Instant) {
        self.pump_in();
        self.compare_pads();
        self.watch_trial(now);
        if !self.is_closed() {
            self.pump_out(now);
        }
    }

    /// Whether bytes wait that the multiplexer would take.
    fn waits_for_input(&self) -> bool {
        let may_wait =
            self.is_closed() || self.inbound.held || !self.mux.input_ready() || self.recognition.is_some();
        !may_wait && self.inbound.queued_bytes() > 0
    }

    /// Ends a session whose peer has other permutation pads (QPP-11); a client's once the server knows.
    fn compare_pads(&mut self) {
        let own = self.config.mux.pads;
        let Some(peer) = self.mux.peer_pads().filter(|peer| *peer != own) else { return };
        if !self.is_closed() && (self.role == Role::Server || self.drained()) {
            self.inbound.mismatch = Some(Mismatch::of_pads(own, peer));
            self.reports.close(CloseReason::Pads);
        }
    }

    fn check(&self) {
        debug_assert!(!self.waits_for_input(), "bytes wait that the multiplexer would take");
        debug_assert!(!self.is_closed() || self.flush.deadline().is_none(), "a closed tunnel has a deadline");
        debug_assert!(self.outbound.held.len() <= self.config.mtu, "a datagram above the mtu waits");
        debug_assert!(self.role == Role::Server || self.is_validated(), "a client waits for validation");
    }

    fn collect_events(&mut self) {
        while let Some(event) = self.mux.poll_event() {
            match event {
                Event::Closed(reason) => self.reports.close(reason),
                event => {
                    if let Event::Opened(id) = event {
                        self.pads.add(id);
                    }
                    self.reports.events.push_back(event);
                }
            }
        }
    }

    /// Re-arms the flush timer.
    fn arm_flush(&mut self, now: Instant) {
        match self.is_closed() {
            true => self.flush.disarm(),
            false => self.flush.arm(now, &self.arq, self.config.governed),
        }
        if self.starved {
            self.flush.defer(now);
        }
    }
}

impl core::fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Tunnel")
            .field("role", &self.role)
            .field("peer", &self.peer)
            .field("conv", &self.conv())
            .field("closed", &self.reports.closed)
            .field("streams", &self.mux.stream_count())
            .finish_non_exhaustive()
    }
}
