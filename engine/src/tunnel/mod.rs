//! One client-server association: crypt, FEC, ARQ, compression and multiplexing.
//!
//! The layers are plain fields; this module only carries bytes between them. Inwards: open, rebuild lost datagrams,
//! feed the ARQ, decompress, split into streams. Outwards: frames are made only while the ARQ has room, so that a slow
//! path shows as backpressure at the stream's `write` and nowhere else.

mod burden;
mod config;
mod identity;
mod liveness;
mod migrate;
mod mismatch;
mod pacer;
mod queue_delay;
mod receive;
mod stall;
mod transmit;

pub use burden::Burden;
pub use config::{MTU_MAX, TunnelConfig};
pub(crate) use identity::{Identity, Incoming};
pub use mismatch::Mismatch;
pub use transmit::Transmit;

use crate::arq::{Arq, Flush};
use crate::congestion::Auto;
use crate::entropy::Entropy;
use crate::event::{CloseReason, Event, StreamId};
use crate::fec;
use crate::mux::{Mux, OpenError, ReadError, Role, Smux, WriteError};
use crate::observe::{Mark, Marks, Note, Stats};
use crate::qpp::Generator;
use crate::snappy;
use crate::time::{Deadline, Instant, Timer};
use burden::Traffic;
use core::time::Duration;
use liveness::Liveness;
use pacer::Pacer;
use queue_delay::QueueDelay;
use stall::Stall;
use std::collections::{BTreeMap, VecDeque};
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
    /// CRC or tag wrong: damaged, or another key or cipher.
    Checksum,
    /// Another conversation that does not start with sn 0.
    ForeignConv,
    /// The ARQ could not parse it.
    Malformed,
    /// No session, and nothing that could start one.
    NoSession,
    /// The server holds as many sessions as it may.
    TooManySessions,
    /// The server accepts no new sessions at present.
    NotAccepting,
    /// From an unknown address, but it does not advance its conversation, or that moved just before (KCP-24).
    MoveRefused,
    /// Out-of-band packets carry nothing for kcptun (FEC-7).
    OutOfBand,
    /// The tunnel is closed.
    Closed,
}

/// How often buffers that were not needed meanwhile are freed.
const TRIM_INTERVAL: Duration = Duration::from_secs(10);

/// Lateness that no busy machine explains.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// One association. See the crate's manual for the order of calls.
pub struct Tunnel {
    config: Arc<TunnelConfig>,
    role: Role,
    peer: SocketAddr,
    entropy: Entropy,
    arq: Arq,
    fec_out: Option<fec::Encoder>,
    fec_in: Option<fec::Decoder>,
    fec_proof: fec::ShapeProof,
    snappy_out: Option<snappy::Encoder>,
    snappy_in: Option<snappy::Decoder>,
    mux: Box<dyn Mux>,
    pads: BTreeMap<StreamId, StreamPads>,
    events: VecDeque<Event>,
    closed: Option<CloseReason>,
    stats: Stats,
    liveness: Liveness,
    pacer: Option<Pacer>,
    stall: Stall,
    traffic: Traffic,
    queue_delay: QueueDelay,
    /// The driver has no memory for more: what arrives stays in the ARQ, whose window closes.
    input_held: bool,
    trim_at: Instant,
    moved_at: Option<Instant>,
    /// Number of the last data packet that came with FEC.
    shard_seqid: Option<u32>,
    /// First bytes of the peer's stream, before and after decompression.
    first_raw: [u8; 4],
    first_plain: [u8; 4],
    mismatch: Option<Mismatch>,
    /// Next periodic flush (KCP-12).
    flush_at: Instant,
    /// `flush_at`, or later, if a flush could have anything to do then.
    flush_deadline: Option<Instant>,
    /// A periodic flush is being polled; its end decides when the next one is due.
    flush_periodic: bool,
    /// A received segment that the multiplexer has not taken completely (without compression).
    plain: Vec<u8>,
    plain_at: usize,
    frame: Vec<u8>,
    chunk: Vec<u8>,
    held: Vec<u8>,
}

/// Permutation pad state of one stream (QPP-1).
struct StreamPads {
    out: Generator,
    inward: Generator,
    /// Bytes at the head of the receive queue that are already decrypted.
    opened: usize,
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
        entropy: Entropy,
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
        if config.probe && !config.auto {
            arq.watch_outages();
        }
        if config.auto {
            let segment_bytes = config.segment_bytes_max();
            arq.set_controller(Box::new(Auto::new(segment_bytes, config.rate_bytes_s)));
        }
        let (fec_out, fec_in) = fec_ends(config);
        let interval_ms = arq.interval_ms();
        // Keepalives of many sessions fall together.
        let ticks_from = now.ms_multiple_after(config.mux.keepalive_ms / 5);
        Self {
            config: Arc::clone(config),
            role,
            peer,
            entropy,
            arq,
            fec_out,
            fec_in,
            fec_proof: fec::ShapeProof::new(config.fec.unwrap_or(fec::Shape::ONE_TO_ONE)),
            snappy_out: config.compress.then(snappy::Encoder::new),
            snappy_in: config.compress.then(snappy::Decoder::new),
            mux: Box::new(Smux::new(config.mux.clone(), role, ticks_from)),
            pads: BTreeMap::new(),
            events: VecDeque::new(),
            closed: None,
            stats: Stats::default(),
            liveness: Liveness::default(),
            pacer: Pacer::new(config.rate_bytes_s, now),
            stall: Stall::default(),
            traffic: Traffic::default(),
            queue_delay: QueueDelay::default(),
            input_held: false,
            trim_at: now + TRIM_INTERVAL,
            moved_at: None,
            shard_seqid: None,
            first_raw: [0; 4],
            first_plain: [0; 4],
            mismatch: None,
            flush_at: now.ms_multiple_after(interval_ms),
            flush_deadline: None,
            flush_periodic: false,
            plain: Vec::new(),
            plain_at: 0,
            frame: Vec::new(),
            chunk: Vec::new(),
            held: Vec::new(),
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
        self.closed
    }

    /// Whether the tunnel is closed.
    pub fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Whether every byte that was written has been acknowledged.
    pub fn drained(&self) -> bool {
        self.arq.waitsnd() == 0 && !self.mux.has_frames()
    }

    /// Which setting differs from the peer's, once a session failed because of one.
    pub fn mismatch(&self) -> Option<Mismatch> {
        self.mismatch
    }

    /// How long nothing has been heard since something was sent that the peer must answer; zero while it answers.
    pub fn silent_for(&self, now: Instant) -> Duration {
        self.liveness.silent_for(now)
    }

    /// Whether the peer ever sent a valid datagram.
    pub fn was_heard(&self) -> bool {
        self.stats.in_pkts > 0
    }

    /// Whether the peer passes on the end of one direction alone (SMUX-26).
    pub fn peer_half_closes(&self) -> bool {
        self.mux.peer_half_closes()
    }

    /// Bytes that wait in this session: to be framed, sent or acknowledged, and to be read.
    pub fn queued_bytes(&self) -> usize {
        let inward =
            self.plain.len() - self.plain_at + self.snappy_in.as_ref().map_or(0, |d| d.decoded().len());
        self.mux.queued_bytes() + self.arq.queued_bytes() + inward
    }

    /// Streams alive.
    pub fn stream_count(&self) -> usize {
        self.mux.stream_count()
    }

    /// The state of the ARQ, for status pages and checks.
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
            ..self.stats
        };
        if let Some(decoder) = &self.fec_in {
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
        let mut marks = self.stats.marks.or(self.arq.marks()).or(self.mux.marks());
        marks = self.fec_out.iter().fold(marks, |marks, encoder| marks.or(encoder.marks()));
        marks = self.fec_in.iter().fold(marks, |marks, decoder| marks.or(decoder.marks()));
        marks.hit_if(Mark::Damaged, self.stats.in_csum_errors > 0);
        marks.hit_if(Mark::Migration, self.stats.migrations > 0);
        marks.hit_if(Mark::StreamCut, self.stats.streams_cut > 0);
        marks.hit_if(Mark::SessionRotated, self.closed == Some(CloseReason::Local));
        marks.hit_if(Mark::SessionReplaced, self.closed == Some(CloseReason::Replaced));
        marks.hit_if(Mark::PeerTimeout, self.closed == Some(CloseReason::PeerTimeout));
        marks
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
        self.attach_pads(id);
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
        let taken = match (&self.config.qpp, self.pads.get_mut(&id)) {
            (Some(qpp), Some(pads)) => {
                let room = self.mux.write_room(id)?.min(data.len());
                self.frame.clear();
                self.frame.extend_from_slice(&data[..room]);
                if room > 0 {
                    pads.out.encrypt(qpp, &mut self.frame);
                }
                // Without room the multiplexer must see that something was to be written: it says blocked and wakes.
                self.mux.write(id, if room > 0 { &self.frame } else { data })?
            }
            _ => self.mux.write(id, data)?,
        };
        self.follow_write(now, id);
        self.liveness.active(now);
        self.settle(now);
        Ok(taken)
    }

    /// The first unread bytes of a stream; empty at its end.
    ///
    /// # Errors
    /// [`ReadError::Blocked`] when nothing is there yet; [`Event::Readable`] follows.
    pub fn peek(&mut self, id: StreamId) -> Result<&[u8], ReadError> {
        let bytes = self.mux.peek(id)?;
        if let (Some(qpp), Some(pads)) = (&self.config.qpp, self.pads.get_mut(&id)) {
            let opened = pads.opened.min(bytes.len());
            pads.inward.decrypt(qpp, &mut bytes[opened..]);
            pads.opened = pads.opened.max(bytes.len());
        }
        Ok(bytes)
    }

    /// Marks the first `n` peeked bytes as read.
    pub fn consume(&mut self, now: Instant, id: StreamId, n: usize) {
        if let Some(pads) = self.pads.get_mut(&id) {
            pads.opened = pads.opened.saturating_sub(n);
        }
        self.mux.consume(id, n);
        self.note_read(id);
        self.liveness.active(now);
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
        self.pads.remove(&id);
        self.settle(now);
    }

    /// Ends the session on this side. The peer is not told (the protocol has no message for it) and finds out by its
    /// keepalive timeout; callers who care wait for [`Tunnel::drained`] first.
    pub fn close(&mut self, now: Instant, reason: CloseReason) {
        if self.is_closed() {
            return;
        }
        self.settle(now);
        self.shut(reason);
        self.arq.flush(now, Flush::Full);
        self.flush_deadline = None;
    }

    /// Frees buffers kept for reuse: a driver short of memory asks for them.
    pub fn release_buffers(&mut self) {
        self.arq.release_buffers();
    }

    /// Stops taking in stream bytes, or goes on: a driver short of memory lets the peer wait.
    pub fn hold_input(&mut self, now: Instant, hold: bool) {
        self.input_held = hold;
        self.settle(now);
    }

    fn shut(&mut self, reason: CloseReason) {
        if self.closed.is_none() {
            self.closed = Some(reason);
            self.events.push_back(Event::Closed(reason));
        }
    }

    /// The next event, or `None`.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// From here on keeps [`Note`]s of what happens and why, to be taken by [`Tunnel::poll_note`].
    pub fn keep_notes(&mut self) {
        self.arq.notes().keep();
    }

    /// The next note, if any are kept.
    pub fn poll_note(&mut self) -> Option<Note> {
        self.arq.notes().poll()
    }

    /// When [`Tunnel::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        if self.is_closed() {
            return None;
        }
        let flush = self.flush_deadline.map(|at| Deadline { at, why: Timer::Flush });
        let probe = self.liveness.probe_at().filter(|_| self.probes());
        let probe = probe.map(|at| Deadline { at, why: Timer::Probe });
        let pace = self.pacer.as_ref().and_then(Pacer::resume_at).map(|at| Deadline { at, why: Timer::Pace });
        [self.mux.poll_timeout(), probe, pace, self.stall_deadline()]
            .into_iter()
            .fold(flush, Deadline::earliest)
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.is_closed() {
            return;
        }
        self.note_pause(now);
        self.mux.handle_timeout(now);
        self.probe_if_silent(now);
        self.cut_if_stalled(now);
        if self.trim_at <= now {
            self.trim_at = now + TRIM_INTERVAL;
            self.arq.trim();
        }
        self.arq.handle_timeout(now);
        if !self.config.auto && self.flush_deadline.is_some() && self.flush_at <= now {
            self.arq.flush(now, Flush::Full);
            self.flush_periodic = true;
            self.flush_at = now.ms_boundary_after(self.arq.interval_ms());
        }
        self.settle(now);
    }

    /// Servers do not probe: it is the client that can dial anew.
    fn probes(&self) -> bool {
        self.config.probe && self.role == Role::Client
    }

    /// KCP-25: while acknowledgements are awaited a flush is due every interval, so that a call long after it shows that
    /// this end stood still, or that its clock jumped. The path had no part in that time.
    pub(super) fn note_pause(&mut self, now: Instant) {
        if self.flush_deadline.is_some_and(|at| now.since(at) >= PAUSE_MIN) {
            self.arq.distrust_samples_before(now);
        }
    }

    fn probe_if_silent(&mut self, now: Instant) {
        if self.stream_count() == 0 {
            self.liveness.forget_streams();
        }
        if self.probes() && self.liveness.probe_due(now, self.arq.state().rto_ms) {
            self.arq.probe_peer();
            self.stats.marks.hit(Mark::Probe);
            self.mux.probe();
            self.arq.flush(now, Flush::Full);
        }
    }

    /// Carries bytes between the layers until nothing moves, and re-arms the flush timer.
    fn settle(&mut self, now: Instant) {
        if !self.is_closed() {
            self.pump_in();
            self.pump_out(now);
        }
        self.collect_events();
        self.watch_stall(now);
        self.traffic.note(now, self.stats.bytes_sent + self.stats.bytes_received);
        self.arm_flush(now);
    }

    fn collect_events(&mut self) {
        while let Some(event) = self.mux.poll_event() {
            match event {
                Event::Opened(id) => {
                    self.attach_pads(id);
                    self.events.push_back(event);
                }
                Event::Closed(reason) => self.shut(reason),
                event => self.events.push_back(event),
            }
        }
    }

    fn attach_pads(&mut self, id: StreamId) {
        if let Some(qpp) = &self.config.qpp {
            let pads = StreamPads { out: qpp.generator(), inward: qpp.generator(), opened: 0 };
            self.pads.insert(id, pads);
        }
    }

    /// KCP-12, with one liberty: while a flush could not do anything the timer sleeps. It goes on in the phase of the
    /// driver's clock, so that all sessions that have little to do wake the machine together.
    fn arm_flush(&mut self, now: Instant) {
        let interval_ms = self.arq.interval_ms();
        // A flush that is due stays due.
        if self.flush_deadline != Some(self.flush_at) && self.flush_at <= now {
            self.flush_at = now.ms_multiple_after(interval_ms);
        }
        self.flush_deadline = if self.is_closed() {
            None
        } else if self.config.auto {
            self.arq.poll_timeout(now)
        } else if self.arq.wants_flush() {
            Some(self.flush_at)
        } else {
            self.arq.probe_due_ms(now).map(|wait_ms| self.flush_at.max(now.ms_boundary_after(wait_ms)))
        };
    }
}

/// What a session sends parity with, and rebuilds with.
fn fec_ends(config: &TunnelConfig) -> (Option<fec::Encoder>, Option<fec::Decoder>) {
    let Some(shape) = config.fec else { return (None, None) };
    let newest = config.first_shard / shape.total() as u32;
    let encoder = fec::Encoder::with_next_seqid(shape, config.first_shard).with_generation(config.generation);
    let decoder = fec::Decoder::new(Some(shape), config.generation).with_newest_group(newest);
    (Some(encoder).filter(|_| config.sends_shards()), Some(decoder))
}

impl core::fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Tunnel")
            .field("role", &self.role)
            .field("peer", &self.peer)
            .field("conv", &self.conv())
            .field("closed", &self.closed)
            .field("streams", &self.mux.stream_count())
            .finish_non_exhaustive()
    }
}
