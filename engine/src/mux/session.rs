//! What the dialects without extensions of karst's own have in common: streams, their queues and ends, the shared receive
//! buffer, and whose frame is next. A dialect adds its frames and its flow control as a [`Wire`].
//!
//! The rules are those of smux with the same numbers: SMUX-3 (ids), SMUX-14 (receive buffer), SMUX-16 (frame size),
//! SMUX-17 to SMUX-19 (ends), SMUX-21 and SMUX-31 (liveness), SMUX-24 (late data).

use super::ticker::{LATE, Ticker};
use super::{Mux, OpenError, ProtocolError, ReadError, Role, Settings, WriteError};
use crate::byte_queue::ByteQueue;
use crate::event::{CloseReason, Event, StreamId};
use crate::observe::{Mark, Marks};
use crate::sampled::Sampled;
use crate::time::{Deadline, Instant, Timer};
use core::fmt::Debug;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};

/// Answers to the peer that may wait to be sent; more are dropped.
const ANSWERS_MAX: usize = 1024;

/// Length of the longest header.
pub(super) const HEADER_BYTES_MAX: usize = 12;

/// Frames and flow control of a dialect.
pub(super) trait Wire: Debug + Send + Sized + 'static {
    /// What a stream holds besides its queues and ends.
    type Flow: Debug + Send;

    /// Bytes of a header.
    const HEADER_BYTES: usize;

    /// Number of the first stream opened here; the others follow by twos.
    fn first_id(role: Role) -> u32;

    /// Whether the peer takes new streams.
    fn may_open(&self) -> bool {
        true
    }

    /// The interval of keepalive frames and of the check whether the peer was heard, ms; 0 for none.
    fn periods_ms(settings: &Settings) -> [u32; 2];

    /// The state of a new stream.
    fn flow(&mut self, settings: &Settings, now: Instant, id: StreamId, opened_here: bool) -> Self::Flow;

    /// Acts on a header.
    ///
    /// # Errors
    /// The peer violated the protocol.
    fn handle_header(session: &mut Session<Self>, header: &[u8]) -> Result<Payload, ProtocolError>;

    /// Bytes that the peer takes beyond those written.
    fn window(_: &Self::Flow) -> usize {
        usize::MAX
    }

    /// `n` bytes were written.
    fn wrote(_: &mut Self::Flow, _n: usize) {}

    /// Whether the peer knows the stream, or may learn of it now.
    fn may_announce(_: &Self::Flow) -> bool {
        true
    }

    /// Whether data may be sent now.
    fn may_send(_: &Self::Flow) -> bool {
        true
    }

    /// Whether a frame without data is due.
    fn has_control(flow: &Self::Flow) -> bool;

    /// Appends the frame that is due.
    fn put_control(session: &mut Session<Self>, id: StreamId, out: &mut Vec<u8>);

    /// Appends a frame with this data.
    fn put_data(flow: &mut Self::Flow, id: StreamId, data: &[u8], out: &mut Vec<u8>);

    /// Appends the frame that ends a direction: in order, or, if the dialect knows that, as a reset.
    fn put_end(flow: &mut Self::Flow, id: StreamId, reset: bool, out: &mut Vec<u8>);

    /// Appends a frame of the session.
    fn put_session_frame(session: &mut Session<Self>, frame: Control, out: &mut Vec<u8>);

    /// `n` bytes of the payload of a frame are readable; all of it if `complete`.
    fn delivered(_: &mut Session<Self>, _id: StreamId, _n: usize, _complete: bool) {}

    /// The application read `n` bytes.
    fn consumed(_: &mut Session<Self>, _id: StreamId, _n: usize) {}

    /// The application found nothing to read.
    fn found_empty(_: &mut Session<Self>, _id: StreamId) {}

    /// A stream of this side is gone; the peer may never have known it.
    fn forgotten(_: &mut Session<Self>, _id: StreamId, _flow: &Self::Flow) {}
}

/// What follows a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Payload {
    /// Stream of the payload; `None` to drop it.
    pub(super) id: Option<StreamId>,
    pub(super) left: usize,
}

impl Payload {
    pub(super) const NONE: Self = Self { id: None, left: 0 };
}

/// A frame that belongs to no stream held here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    Keepalive,
    /// The answer to the peer's keepalive with this number.
    Answer(u32),
    /// The peer's stream is refused (SMUX-22).
    Refusal(StreamId),
}

#[derive(Debug)]
pub(super) struct Stream<F> {
    pub(super) flow: F,
    send: ByteQueue,
    written: u32,
    fin: Fin,
    /// The end of the sending direction is a reset.
    cut: bool,
    writer_waits: bool,
    receive: ByteQueue,
    pub(super) peer_finished: bool,
    peer_reset: bool,
    /// The peer's direction ended by a reset, not by an end before it.
    cut_by_peer: bool,
    end_told: bool,
    /// A Readable event was reported, and no read returned blocked since.
    reader_told: bool,
    /// Closed here: held only to send its last frames.
    pub(super) closed: bool,
}

/// The end of the sending direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fin {
    Open,
    Queued,
    Sent,
}

impl<F> Stream<F> {
    fn new(flow: F) -> Self {
        Self {
            flow,
            send: ByteQueue::default(),
            written: 0,
            fin: Fin::Open,
            cut: false,
            writer_waits: false,
            receive: ByteQueue::default(),
            peer_finished: false,
            peer_reset: false,
            cut_by_peer: false,
            end_told: false,
            reader_told: false,
            closed: false,
        }
    }

    /// Bytes that the application has not read.
    pub(super) fn unread(&self) -> usize {
        self.receive.len()
    }

    fn has_frames<W: Wire<Flow = F>>(&self) -> bool {
        let end_due = self.send.is_empty() && self.fin == Fin::Queued;
        let data_due = !self.send.is_empty() && W::may_send(&self.flow);
        W::may_announce(&self.flow) && (W::has_control(&self.flow) || data_due || end_due)
    }

    fn is_done<W: Wire<Flow = F>>(&self) -> bool {
        let unknown = self.closed && !W::may_announce(&self.flow);
        unknown || self.fin == Fin::Sent && (self.closed || self.end_told)
    }

    fn write_room<W: Wire<Flow = F>>(&self, settings: &Settings) -> Result<usize, WriteError> {
        if self.peer_reset {
            return Err(WriteError::PeerFinished);
        }
        if self.fin != Fin::Open {
            return Err(WriteError::Finished);
        }
        if self.peer_finished && !settings.half_close {
            return Err(WriteError::PeerFinished);
        }
        Ok(W::window(&self.flow).min(settings.send_bytes_max.saturating_sub(self.send.len())))
    }

    /// Whether to wake a blocked writer now, once per blocked write; for data when half its queue is free.
    fn take_writable<W: Wire<Flow = F>>(&mut self, settings: &Settings) -> bool {
        if !self.writer_waits {
            return false;
        }
        let wake = match self.write_room::<W>(settings) {
            Ok(room) => room > 0 && self.send.len() <= settings.send_bytes_max / 2,
            Err(_) => true,
        };
        self.writer_waits = !wake;
        wake
    }
}

/// One end of a session.
#[derive(Debug)]
pub(super) struct Session<W: Wire> {
    pub(super) wire: W,
    pub(super) settings: Settings,
    /// The latest time that the tunnel has reported.
    pub(super) now: Instant,
    next_id: Option<u32>,
    streams: BTreeMap<StreamId, Stream<W::Flow>>,
    /// The streams that have a frame; each sends one per turn, in the order of their numbers.
    ready: BTreeSet<StreamId>,
    /// The stream whose turn was last.
    served: StreamId,
    /// Frames of the session, sent before those of streams; at most [`ANSWERS_MAX`] and a keepalive.
    control: VecDeque<Control>,
    send_bytes: usize,
    header: [u8; HEADER_BYTES_MAX],
    header_have: usize,
    payload: Payload,
    /// Bytes that may still be received.
    bucket: usize,
    broken: Option<ProtocolError>,
    heard: bool,
    pub(super) keepalive: Option<Ticker>,
    peer_check: Option<Ticker>,
    events: VecDeque<Event>,
    closed: bool,
    pub(super) marks: Marks,
    checks: Sampled,
}

impl<W: Wire> Session<W> {
    /// A session whose timers start at `now`. Settings outside their limits are brought to the nearest limit.
    pub(super) fn new(wire: W, mut settings: Settings, role: Role, now: Instant) -> Self {
        settings.frame_bytes_max = settings.frame_bytes_max.clamp(1, usize::from(u16::MAX));
        settings.receive_bytes_max = settings.receive_bytes_max.clamp(1, i32::MAX as usize);
        settings.stream_bytes_max = settings.stream_bytes_max.clamp(1, i32::MAX as usize);
        settings.send_bytes_max = settings.send_bytes_max.clamp(1, i32::MAX as usize);
        // Neither dialect has a word for it that old peers know.
        settings.half_close &= !settings.announce;
        let ticker = |ms| (ms > 0).then(|| Ticker::new(now, ms));
        let [keepalive_ms, peer_check_ms] = W::periods_ms(&settings);
        Self {
            wire,
            now,
            next_id: Some(W::first_id(role)),
            streams: BTreeMap::new(),
            ready: BTreeSet::new(),
            served: StreamId(0),
            control: VecDeque::new(),
            send_bytes: 0,
            header: [0; HEADER_BYTES_MAX],
            header_have: 0,
            payload: Payload::NONE,
            bucket: settings.receive_bytes_max,
            broken: None,
            heard: false,
            keepalive: ticker(keepalive_ms),
            peer_check: ticker(peer_check_ms),
            events: VecDeque::new(),
            closed: false,
            marks: Marks::NONE,
            checks: Sampled::default(),
            settings,
        }
    }

    fn check(&mut self) {
        if self.checks.is_due(self.streams.len()) {
            self.assert_invariants();
        }
    }

    /// Bytes that may still be received from the peer.
    pub(super) const fn free_bytes(&self) -> usize {
        self.bucket
    }

    pub(super) fn stream(&mut self, id: StreamId) -> Option<&mut Stream<W::Flow>> {
        self.streams.get_mut(&id)
    }

    /// The stream as the application knows it.
    pub(super) fn known(&mut self, id: StreamId) -> Option<&mut Stream<W::Flow>> {
        self.streams.get_mut(&id).filter(|stream| !stream.closed)
    }

    /// Puts the stream among those that have a frame, or takes it out, and forgets it when nothing is left to do.
    pub(super) fn refresh(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.take_writable::<W>(&self.settings) {
            self.events.push_back(Event::Writable(id));
        }
        if stream.is_done::<W>() {
            self.ready.remove(&id);
            self.forget(id);
        } else if stream.has_frames::<W>() {
            self.ready.insert(id);
        } else {
            self.ready.remove(&id);
        }
    }

    fn forget(&mut self, id: StreamId) {
        let Some(stream) = self.streams.remove(&id) else { return };
        self.send_bytes -= stream.send.len();
        self.bucket += stream.receive.len();
        W::forgotten(self, id, &stream.flow);
    }

    /// Queues a frame of the session; one keepalive, and [`ANSWERS_MAX`] others.
    pub(super) fn queue(&mut self, frame: Control) {
        let room = match frame {
            Control::Keepalive => !self.control.contains(&Control::Keepalive),
            _ => self.control.len() < ANSWERS_MAX,
        };
        if room && !self.closed {
            self.control.push_back(frame);
        }
    }

    /// The peer opens a stream. Whether it exists now.
    pub(super) fn open_from_peer(&mut self, id: StreamId) -> bool {
        if self.streams.len() >= self.settings.streams_max {
            self.queue(Control::Refusal(id));
            return false;
        }
        let flow = self.wire.flow(&self.settings, self.now, id, false);
        self.streams.insert(id, Stream::new(flow));
        self.events.push_back(Event::Opened(id));
        self.refresh(id);
        true
    }

    /// The peer's direction ended; a reset ends this side's, too.
    pub(super) fn end_from_peer(&mut self, id: StreamId, reset: bool) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if reset {
            self.send_bytes -= stream.send.len();
            stream.send = ByteQueue::default();
            stream.peer_reset = true;
            stream.fin = Fin::Sent; // The peer has forgotten the stream.
        }
        if !stream.closed && !std::mem::replace(&mut stream.peer_finished, true) {
            stream.cut_by_peer = reset;
            if !std::mem::replace(&mut stream.reader_told, true) {
                self.events.push_back(Event::Readable(id));
            }
            self.events.push_back(if reset { Event::Reset(id) } else { Event::Finished(id) });
            self.marks.hit_if(Mark::Reset, reset);
        }
        self.refresh(id);
    }

    /// What a payload of `len` bytes for this stream is read into. Late data is dropped (SMUX-24).
    pub(super) fn payload_for(&mut self, id: StreamId, len: usize) -> Payload {
        let wanted = self.known(id).is_some_and(|stream| !stream.end_told);
        self.marks.hit_if(Mark::LatePayload, !wanted && len > 0);
        Payload { id: Some(id).filter(|_| wanted), left: len }
    }

    /// Consumes the start of `bytes`; returns how many.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, ProtocolError> {
        if self.payload.left > 0 {
            return Ok(self.take_payload(bytes));
        }
        let n = bytes.len().min(W::HEADER_BYTES - self.header_have);
        self.header[self.header_have..self.header_have + n].copy_from_slice(&bytes[..n]);
        self.header_have += n;
        if self.header_have == W::HEADER_BYTES {
            self.header_have = 0;
            self.heard = true;
            let header = self.header;
            self.payload = W::handle_header(self, &header[..W::HEADER_BYTES])?;
        }
        Ok(n)
    }

    fn take_payload(&mut self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.payload.left).min(self.bucket);
        self.heard |= n > 0; // SMUX-30
        self.payload.left -= n;
        let complete = self.payload.left == 0;
        // A stream that was closed meanwhile has no reader.
        let Some(id) = self.payload.id.filter(|id| self.known(*id).is_some()) else { return n };
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.receive.push(&bytes[..n]);
            self.bucket -= n;
            if n > 0 && !std::mem::replace(&mut stream.reader_told, true) {
                self.events.push_back(Event::Readable(id));
            }
        }
        W::delivered(self, id, n, complete);
        self.refresh(id);
        n
    }

    fn put_stream_frame(&mut self, id: StreamId, out: &mut Vec<u8>) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if W::has_control(&stream.flow) {
            W::put_control(self, id, out);
        } else if !stream.send.is_empty() {
            let len = stream.send.len().min(self.settings.frame_bytes_max);
            W::put_data(&mut stream.flow, id, &stream.send.as_slice()[..len], out);
            stream.send.consume(len);
            self.send_bytes -= len;
        } else {
            stream.fin = Fin::Sent;
            W::put_end(&mut stream.flow, id, stream.cut, out);
        }
        self.refresh(id);
    }

    fn unused_id(&mut self) -> Option<StreamId> {
        loop {
            let id = StreamId(self.next_id?);
            self.next_id = id.0.checked_add(2);
            if !self.streams.contains_key(&id) {
                return Some(id);
            }
        }
    }

    /// As [`Mux::close`], and whether this side's direction was cut short.
    fn end_here(&mut self, id: StreamId, reset: bool) -> bool {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.closed) else { return false };
        stream.closed = true;
        let cut = reset && stream.fin == Fin::Open;
        if stream.fin == Fin::Open {
            stream.fin = Fin::Queued;
        }
        stream.cut = cut;
        self.bucket += stream.receive.len();
        stream.receive = ByteQueue::default();
        self.refresh(id);
        self.check();
        cut
    }
}

impl<W: Wire> Mux for Session<W> {
    fn advance(&mut self, now: Instant) {
        self.now = now;
    }

    fn open(&mut self) -> Result<StreamId, OpenError> {
        if self.closed {
            return Err(OpenError::Closed);
        }
        if !self.wire.may_open() {
            return Err(OpenError::Refused);
        }
        if self.streams.len() >= self.settings.streams_max {
            return Err(OpenError::TooManyStreams);
        }
        let id = self.unused_id().ok_or(OpenError::IdsExhausted)?;
        let flow = self.wire.flow(&self.settings, self.now, id, true);
        self.streams.insert(id, Stream::new(flow));
        self.refresh(id);
        self.check();
        Ok(id)
    }

    fn write_room(&self, id: StreamId) -> Result<usize, WriteError> {
        if self.closed {
            return Err(WriteError::Closed);
        }
        let stream = self.streams.get(&id).filter(|stream| !stream.closed);
        stream.ok_or(WriteError::UnknownStream)?.write_room::<W>(&self.settings)
    }

    fn write(&mut self, id: StreamId, data: &[u8]) -> Result<usize, WriteError> {
        if data.is_empty() {
            return Ok(0);
        }
        let room = self.write_room(id)?;
        let stream = self.known(id).ok_or(WriteError::UnknownStream)?;
        if room == 0 {
            stream.writer_waits = true;
            let by_window = W::window(&stream.flow) == 0;
            self.marks.hit_if(Mark::WindowStall, by_window);
            return Err(WriteError::Blocked);
        }
        let n = data.len().min(room);
        stream.send.push(&data[..n]);
        stream.written = stream.written.wrapping_add(n as u32);
        W::wrote(&mut stream.flow, n);
        let half_closed = stream.peer_finished;
        self.send_bytes += n;
        self.marks.hit_if(Mark::HalfClose, half_closed);
        self.refresh(id);
        self.check();
        Ok(n)
    }

    fn peek(&mut self, id: StreamId) -> Result<&mut [u8], ReadError> {
        let no_more = self.closed || self.broken.is_some();
        let closed = self.closed;
        let Some(stream) = self.known(id) else {
            return Err(if closed { ReadError::Closed } else { ReadError::UnknownStream });
        };
        if stream.receive.is_empty() {
            if !stream.peer_finished {
                stream.reader_told = false;
                W::found_empty(self, id);
                self.refresh(id);
                return Err(if no_more { ReadError::Closed } else { ReadError::Blocked });
            }
            stream.end_told = true;
            let reset = stream.cut_by_peer;
            self.refresh(id);
            self.check();
            return if reset { Err(ReadError::Reset) } else { Ok(&mut []) };
        }
        // Found above; looked up again because a borrow returned on one path only cannot be held across the others.
        self.known(id).map(|stream| stream.receive.as_mut_slice()).ok_or(ReadError::UnknownStream)
    }

    fn is_inside_frame(&self, id: StreamId) -> bool {
        self.payload.left > 0 && self.payload.id == Some(id)
    }

    fn consume(&mut self, id: StreamId, n: usize) {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.closed) else { return };
        let n = n.min(stream.receive.len());
        if n == 0 {
            return;
        }
        stream.receive.consume(n);
        self.bucket += n;
        W::consumed(self, id, n);
        self.refresh(id);
        self.check();
    }

    fn finish(&mut self, id: StreamId) -> Result<(), WriteError> {
        if self.closed {
            return Err(WriteError::Closed);
        }
        let stream = self.known(id).ok_or(WriteError::UnknownStream)?;
        if stream.fin != Fin::Open && !stream.peer_reset {
            return Err(WriteError::Finished);
        }
        if !stream.peer_reset {
            stream.fin = Fin::Queued;
        }
        self.refresh(id);
        self.check();
        Ok(())
    }

    fn close(&mut self, id: StreamId) {
        self.end_here(id, false);
    }

    fn reset(&mut self, id: StreamId) -> bool {
        self.end_here(id, true)
    }

    fn drop_unsent(&mut self) {
        let waits = |stream: &Stream<W::Flow>| stream.cut && !stream.send.is_empty();
        let ids = self.streams.iter().filter(|(_, stream)| waits(stream)).map(|(id, _)| *id);
        for id in ids.collect::<Vec<_>>() {
            if let Some(stream) = self.streams.get_mut(&id) {
                self.send_bytes -= stream.send.len();
                stream.send = ByteQueue::default();
            }
            self.refresh(id);
        }
        self.check();
    }

    fn input(&mut self, bytes: &[u8]) -> Result<usize, ProtocolError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        if self.closed {
            return Ok(bytes.len());
        }
        let mut used = 0;
        while used < bytes.len() {
            if self.bucket == 0 {
                self.marks.hit(Mark::BufferFull);
                break;
            }
            match self.step(&bytes[used..]) {
                Ok(n) => used += n,
                Err(error) => {
                    self.broken = Some(error);
                    return Err(error);
                }
            }
        }
        self.check();
        Ok(used)
    }

    fn input_ready(&self) -> bool {
        self.bucket > 0
    }

    fn poll_frame(&mut self, out: &mut Vec<u8>) -> bool {
        if let Some(frame) = self.control.pop_front() {
            W::put_session_frame(self, frame, out);
            return true;
        }
        let after = self.ready.range((Excluded(self.served), Unbounded)).next();
        let Some(id) = after.or_else(|| self.ready.first()).copied() else { return false };
        self.served = id;
        self.put_stream_frame(id, out);
        self.check();
        true
    }

    fn has_frames(&self) -> bool {
        !self.control.is_empty() || !self.ready.is_empty()
    }

    fn poll_event(&mut self) -> Option<Event> {
        loop {
            let event = self.events.pop_front()?;
            let (Event::Opened(id)
            | Event::Readable(id)
            | Event::Writable(id)
            | Event::Finished(id)
            | Event::Reset(id)) = event
            else {
                return Some(event);
            };
            if self.known(id).is_some() {
                return Some(event);
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        if self.keepalive.as_mut().is_some_and(|ticker| ticker.tick(now)) {
            self.queue(Control::Keepalive);
        }
        if let Some(ticker) = self.peer_check.as_mut().filter(|ticker| now.since(ticker.next) >= LATE) {
            *ticker = Ticker { next: now + ticker.period, ..*ticker }; // SMUX-31
        }
        if self.peer_check.as_mut().is_some_and(|ticker| ticker.tick(now)) {
            let heard = std::mem::take(&mut self.heard);
            if !heard && self.bucket > 0 {
                self.shut(CloseReason::PeerTimeout);
            }
        }
    }

    fn poll_timeout(&self) -> Option<Deadline> {
        let keepalive = self.keepalive.map(|ticker| Deadline { at: ticker.next, why: Timer::Keepalive });
        let peer_check = self.peer_check.map(|ticker| Deadline { at: ticker.next, why: Timer::PeerCheck });
        Deadline::earliest(keepalive, peer_check)
    }

    fn shut(&mut self, reason: CloseReason) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        self.streams.clear();
        self.ready.clear();
        self.control.clear();
        self.send_bytes = 0;
        self.keepalive = None;
        self.peer_check = None;
        self.events.push_back(Event::Closed(reason));
        self.check();
    }

    fn stream_count(&self) -> usize {
        self.streams.len()
    }

    fn fullest(&self) -> Option<StreamId> {
        self.streams.iter().max_by_key(|(_, stream)| stream.unread()).map(|(id, _)| *id)
    }

    fn queued_bytes(&self) -> usize {
        if self.closed { 0 } else { self.send_bytes + self.settings.receive_bytes_max - self.bucket }
    }

    fn is_flushed(&self) -> bool {
        let flushed = |stream: &Stream<W::Flow>| stream.send.is_empty() && stream.fin != Fin::Queued;
        !self.has_frames() && self.streams.values().all(flushed)
    }

    fn sent_bytes(&self, id: StreamId) -> Option<(u32, u32)> {
        let stream = self.streams.get(&id)?;
        Some((stream.written, stream.written.wrapping_sub(stream.send.len() as u32)))
    }

    fn probe(&mut self) {
        self.queue(Control::Keepalive);
    }

    fn marks(&self) -> Marks {
        self.marks
    }

    fn peer_half_closes(&self) -> bool {
        false
    }

    fn assert_invariants(&self) {
        if self.closed {
            return assert!(self.streams.is_empty() && self.ready.is_empty() && self.control.is_empty());
        }
        let unread: usize = self.streams.values().map(Stream::unread).sum();
        assert_eq!(self.bucket + unread, self.settings.receive_bytes_max, "the bucket lost count");
        let unsent: usize = self.streams.values().map(|stream| stream.send.len()).sum();
        assert_eq!(self.send_bytes, unsent, "unsent bytes lost count");
        let has_frames = self.streams.iter().filter(|(_, stream)| stream.has_frames::<W>());
        assert!(has_frames.map(|(id, _)| id).eq(&self.ready), "a turn for nothing, or none");
        assert!(!self.streams.values().any(Stream::is_done::<W>), "a stream has nothing left to do");
        assert!(self.control.len() <= ANSWERS_MAX + 1);
    }
}
