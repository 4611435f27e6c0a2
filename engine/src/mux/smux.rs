//! smux, versions 1 and 2, as smux v1.5.52 speaks it (protocol smux.md; smux session.go, stream.go, shaper.go).
//!
//! Additional rules where smux has none: a peer's stream beyond `streams_max` is answered with a FIN and otherwise ignored
//! (SMUX-22), UPDs of one stream that wait to be sent are merged into the latest (SMUX-15), and adjacent writes that wait
//! together share frames (SMUX-16). All three look like a Go peer to a Go peer.

mod frame;
mod stream;

use super::ticker::{LATE, Ticker};
use super::{Mux, OpenError, ProtocolError, ReadError, Role, Settings, WriteError};
use crate::event::{CloseReason, Event, StreamId};
use crate::observe::{Mark, Marks};
use crate::qpp::NO_PADS;
use crate::sampled::Sampled;
use crate::time::{Deadline, Instant, Timer};
use frame::{Command, HEADER_LEN, Header, UPDATE_LEN};
use std::collections::{BTreeMap, VecDeque};
use stream::{Fin, RESET, STOP, Stream};

/// Refused streams whose FIN was not sent yet; a peer that opens more gets no answer for them (SMUX-22).
const REFUSALS_MAX: usize = 1024;

/// Turns given up that may wait in the queue, beyond as many as are still wanted: removing them costs a constant for each.
const GIVEN_UP_MAX: usize = 64;

/// Stream id of the NOP that announces half-close; every smux reads a NOP without looking at its id (SMUX-26).
pub(super) const ANNOUNCEMENT: StreamId = StreamId(0x6b61_7273);

/// One end of a smux session.
#[derive(Debug)]
pub struct Smux {
    settings: Settings,
    role: Role,
    last_id: Option<u32>,
    streams: BTreeMap<StreamId, Stream>,
    /// Whose frame is next. Bounded by twice the streams and a constant (SMUX-32).
    turns: VecDeque<Turn>,
    /// Turns in the queue whose streams gave them up.
    given_up: usize,
    turns_taken: u64,
    /// Bytes that wait in all streams to be framed.
    send_bytes: usize,
    refused: VecDeque<StreamId>,
    /// The refusal in front was marked as a reset (SMUX-33); its FIN comes next.
    refusal_marked: bool,
    nop_queued: bool,
    /// Half-close is wanted and waits for the peer's announcement.
    half_close_offered: bool,
    peer_announced: bool,
    /// QPP-11
    peer_pads: Option<u16>,
    /// The peer's first frame has shown whether it announces, or this side does not offer anything.
    peer_identified: bool,
    reading: Reading,
    /// Bytes that may still be received, the only limit (SMUX-13); a frame may overdraw it once (SMUX-14).
    bucket: i64,
    broken: Option<ProtocolError>,
    heard: bool,
    keepalive: Option<Ticker>,
    peer_check: Option<Ticker>,
    events: VecDeque<Event>,
    closed: bool,
    marks: Marks,
    checks: Sampled,
}

impl Smux {
    /// A session whose timers start at `now`. Settings outside their limits are brought to the nearest limit.
    pub fn new(mut settings: Settings, role: Role, now: Instant) -> Self {
        settings.frame_bytes_max = settings.frame_bytes_max.clamp(1, usize::from(u16::MAX));
        settings.receive_bytes_max = settings.receive_bytes_max.clamp(1, i32::MAX as usize);
        settings.stream_bytes_max = settings.stream_bytes_max.clamp(1, i32::MAX as usize);
        settings.send_bytes_max = settings.send_bytes_max.clamp(1, i32::MAX as usize);
        let half_close_offered = settings.announce && settings.half_close;
        settings.half_close &= !settings.announce;
        let announces = half_close_offered && role == Role::Client;
        let ticker = |ms| (settings.keepalive_ms > 0).then(|| Ticker::new(now, ms));
        Self {
            last_id: Some(match role {
                Role::Client => 1,
                Role::Server => 0,
            }),
            streams: BTreeMap::new(),
            turns: announces.then_some(Turn::Announcement).into_iter().collect(),
            given_up: 0,
            turns_taken: 0,
            send_bytes: 0,
            refused: VecDeque::new(),
            refusal_marked: false,
            nop_queued: false,
            half_close_offered,
            peer_announced: false,
            peer_pads: None,
            peer_identified: !half_close_offered,
            reading: Reading::Header(Partial::default()),
            bucket: settings.receive_bytes_max as i64,
            broken: None,
            heard: false,
            keepalive: ticker(settings.keepalive_ms),
            peer_check: ticker(settings.peer_timeout_ms),
            events: VecDeque::new(),
            closed: false,
            marks: Marks::NONE,
            checks: Sampled::default(),
            settings,
            role,
        }
    }

    fn check(&mut self) {
        if self.checks.is_due(self.streams.len()) {
            self.assert_invariants();
        }
    }

    fn unused_id(&mut self) -> Option<StreamId> {
        loop {
            // SMUX-3: once the next addition would overflow, no stream can be opened any more.
            self.last_id = self.last_id.and_then(|id| id.checked_add(2));
            let id = StreamId(self.last_id?);
            if !self.streams.contains_key(&id) {
                return Some(id);
            }
        }
    }

    /// The stream as the application knows it.
    fn known(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.streams.get_mut(&id).filter(|stream| !stream.closed)
    }

    /// Queues the stream for its next frame, if it has one and is not queued.
    fn take_turn(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.turn.is_some() || !stream.send.has_frames() {
            return;
        }
        self.turns_taken += 1;
        stream.turn = Some(self.turns_taken);
        self.turns.push_back(Turn::Stream(id, self.turns_taken));
    }

    fn forget_if_done(&mut self, id: StreamId) {
        if self.streams.get(&id).is_some_and(Stream::is_done)
            && let Some(stream) = self.streams.remove(&id)
        {
            self.send_bytes -= stream.send.queued_bytes();
        }
    }

    /// A stream that has nothing to send gives up its turn. Its place in the queue is removed with others (SMUX-32).
    fn give_up_turn(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.turn.is_none() || stream.send.has_frames() {
            return;
        }
        stream.turn = None;
        self.given_up += 1;
        let wanted = self.turns.len() - self.given_up;
        if self.given_up > wanted + GIVEN_UP_MAX || planted!(self.settings, QuadraticTurns) {
            let streams = &self.streams;
            self.turns.retain(|turn| turn.is_wanted(streams));
            self.given_up = 0;
        }
    }

    /// The next turn that its stream did not give up.
    fn next_turn(&mut self) -> Option<Turn> {
        loop {
            let turn = self.turns.pop_front()?;
            if turn.is_wanted(&self.streams) {
                return Some(turn);
            }
            self.given_up -= 1;
        }
    }

    /// This side stops reading the stream: returns its bytes to the bucket and cancels a queued UPD.
    fn stop_receiving(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        self.bucket += stream.receive.discard() as i64;
        if self.settings.is_extended() && !stream.receive.peer_finished {
            stream.send.queue_stop();
        } else {
            stream.send.forget_reader();
        }
        self.give_up_turn(id);
        self.take_turn(id);
        if let Reading::Payload { id: reading, wanted, .. } = &mut self.reading
            && *reading == id
        {
            *wanted = false;
        }
    }

    /// Appends one frame of the stream whose turn it is, and queues the stream again if it has more.
    fn put_stream_frame(&mut self, id: StreamId, out: &mut Vec<u8>) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.turn = None;
        let before = stream.send.queued_bytes();
        stream.send.put_frame(id, &self.settings, out);
        self.send_bytes -= before - stream.send.queued_bytes();
        if stream.take_writable(&self.settings) {
            self.events.push_back(Event::Writable(id));
        }
        self.take_turn(id);
        self.forget_if_done(id);
    }

    fn put_refusal(&mut self, out: &mut Vec<u8>) {
        let Some(&id) = self.refused.front() else { return };
        let mark = self.settings.is_extended() && !self.refusal_marked;
        self.refusal_marked = mark;
        let (command, len) = if mark { (Command::Nop, RESET) } else { (Command::Fin, 0) };
        Header { command, len, id }.put(self.settings.version, out);
        if !mark {
            self.refused.pop_front();
        }
        if !self.refused.is_empty() {
            self.turns.push_back(Turn::Refusal);
        }
    }
}

/// Receiving (SMUX-2 to SMUX-9).
impl Smux {
    /// Consumes the start of `bytes`; returns how many, 0 while the bucket is empty.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, ProtocolError> {
        match &mut self.reading {
            Reading::Header(_) if self.bucket <= 0 => {
                self.marks.hit(Mark::BufferFull);
                Ok(0)
            }
            Reading::Header(head) => {
                let n = head.fill(bytes);
                let Some(bytes) = head.complete() else { return Ok(n) };
                self.heard = true;
                let header = Header::parse(self.settings.version, bytes)?;
                self.reading = self.handle_header(header);
                Ok(n)
            }
            Reading::Update { id, payload } => {
                let (n, id) = (payload.fill(bytes), *id);
                if let Some(payload) = payload.complete() {
                    self.reading = Reading::Header(Partial::default());
                    self.handle_update(id, payload);
                }
                Ok(n)
            }
            Reading::Payload { id, left, wanted } => {
                let n = bytes.len().min(*left);
                self.heard |= n > 0; // SMUX-30
                *left -= n;
                let (id, wanted, complete) = (*id, *wanted, *left == 0);
                if complete {
                    self.reading = Reading::Header(Partial::default());
                }
                if wanted {
                    self.handle_payload(id, &bytes[..n], complete);
                }
                Ok(n)
            }
        }
    }

    /// Handles a header; returns what to read next. Lengths of frames that have no payload are ignored (SMUX-7).
    fn handle_header(&mut self, header: Header) -> Reading {
        let id = header.id;
        let announcement = header.command == Command::Nop && id == ANNOUNCEMENT;
        if announcement {
            self.handle_announcement(header.len);
        }
        if !std::mem::replace(&mut self.peer_identified, true) {
            self.queue_deferred();
        }
        match header.command {
            Command::Nop if announcement => {}
            Command::Nop if !self.settings.is_extended() => {}
            Command::Nop => self.handle_steering(id, header.len),
            Command::Syn => self.handle_syn(id),
            Command::Fin => self.handle_end(id, false),
            Command::Update => return Reading::Update { id, payload: Partial::default() },
            Command::Push if header.len == 0 => {} // SMUX-6
            Command::Push => {
                let wanted = self.known(id).is_some_and(|stream| !stream.receive.end_told); // SMUX-5, SMUX-24
                self.marks.hit_if(Mark::LatePayload, !wanted);
                return Reading::Payload { id, left: usize::from(header.len), wanted };
            }
        }
        Reading::Header(Partial::default())
    }

    /// SMUX-26: the server only answers an announcement, so that a peer without extensions sees nothing unusual.
    fn handle_announcement(&mut self, pads: u16) {
        if !self.half_close_offered {
            self.peer_announced = true;
            return;
        }
        let first = !std::mem::replace(&mut self.peer_announced, true);
        self.settings.half_close = true;
        match self.role {
            Role::Server if first => self.turns.push_back(Turn::Announcement),
            Role::Client if first => {
                self.peer_pads = Some(pads);
                if pads != self.settings.pads {
                    self.turns.push_back(Turn::Announcement);
                }
            }
            Role::Server if pads != 0 => self.peer_pads = Some(if pads == NO_PADS { 0 } else { pads }),
            _ => {}
        }
    }

    /// The length of an announcement (QPP-11). A client's first one has none: smux before 2019 reads that many bytes.
    fn announced_pads(&self) -> u16 {
        match (self.role, self.peer_pads, self.settings.pads) {
            (Role::Client, None, _) => 0,
            (Role::Client, Some(_), 0) => NO_PADS,
            (_, _, pads) => pads,
        }
    }

    /// The peer's first frame has shown what it understands: queues the resets that waited for it. Once per session, in time
    /// proportional to the number of streams.
    fn queue_deferred(&mut self) {
        let deferred = |stream: &Stream| stream.send.fin == Fin::Deferred;
        let ids = self.streams.iter().filter(|(_, stream)| deferred(stream)).map(|(id, _)| *id);
        for id in ids.collect::<Vec<_>>() {
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.send.fin = Fin::Queued;
            }
            self.take_turn(id);
        }
    }

    /// A NOP with the id of a stream reports about the peer's end of it: length 0 starts or ends a pause, the largest length
    /// means that it stopped reading, the second largest that it was reset, and others are KiB that it read (SMUX-27,
    /// SMUX-29, SMUX-33).
    fn handle_steering(&mut self, id: StreamId, len: u16) {
        if len == RESET {
            return self.handle_end(id, true);
        }
        let Some(stream) = self.streams.get_mut(&id) else { return };
        match len {
            0 => {
                stream.send.held = !stream.send.held;
                self.marks.hit(if stream.send.held { Mark::Pause } else { Mark::Resume });
            }
            STOP if stream.send.stopped => {}
            STOP => {
                self.send_bytes -= stream.send.queued_bytes();
                stream.send.stop();
                self.marks.hit(Mark::Stop);
                self.events.push_back(Event::Stopped(id));
            }
            kibibytes => {
                stream.send.add_credit(kibibytes, &self.settings);
                self.marks.hit(Mark::Credit);
            }
        }
        if stream.take_writable(&self.settings) {
            self.events.push_back(Event::Writable(id));
        }
        self.give_up_turn(id);
        self.take_turn(id);
        self.forget_if_done(id);
    }

    /// Makes the peer pause a stream whose unread bytes would leave too little for the others, or resume it (SMUX-27). A share of what is free, not of the whole, leaves room however many readers stall.
    fn judge_hold(&mut self, id: StreamId) {
        if !self.settings.is_extended() || id == ANNOUNCEMENT {
            return;
        }
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.receive.peer_finished) else {
            return;
        };
        let unread = stream.receive.readable_bytes() as i64;
        // An overdrawn bucket has no share to give, but without unread bytes nothing would end the pause of a stream.
        let share = (self.bucket / 8).clamp(0, self.settings.unread_bytes_max as i64);
        let hold = unread > if stream.send.hold_wanted { share / 2 } else { share };
        if hold != stream.send.hold_wanted {
            stream.send.hold_wanted = hold;
            self.give_up_turn(id);
            self.take_turn(id);
        }
    }

    fn handle_syn(&mut self, id: StreamId) {
        if self.streams.contains_key(&id) {
            return; // SMUX-4
        }
        if self.streams.len() >= self.settings.streams_max {
            return self.refuse(id);
        }
        self.streams.insert(id, Stream::new(false));
        self.events.push_back(Event::Opened(id));
    }

    /// Answers a SYN beyond the limit with a FIN (SMUX-22).
    fn refuse(&mut self, id: StreamId) {
        if self.refused.len() >= REFUSALS_MAX {
            return;
        }
        if self.refused.is_empty() {
            self.turns.push_back(Turn::Refusal);
        }
        self.refused.push_back(id);
    }

    /// The peer's direction ended; a reset ends this side's, too.
    fn handle_end(&mut self, id: StreamId, reset: bool) {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.closed) else { return };
        if std::mem::replace(&mut stream.receive.peer_finished, true) {
            return;
        }
        stream.send.forget_reader();
        if reset {
            stream.receive.reset = true;
            self.send_bytes -= stream.send.queued_bytes();
            stream.send.stop();
            self.marks.hit(Mark::Reset);
        }
        if stream.receive.take_wake() {
            self.events.push_back(Event::Readable(id));
        }
        if stream.take_writable(&self.settings) {
            self.events.push_back(Event::Writable(id));
        }
        self.events.push_back(if reset { Event::Reset(id) } else { Event::Finished(id) });
        self.give_up_turn(id);
        self.take_turn(id);
    }

    fn handle_payload(&mut self, id: StreamId, bytes: &[u8], complete: bool) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.receive.push_partial(bytes);
        if !complete {
            return;
        }
        self.bucket -= stream.receive.commit() as i64;
        if stream.receive.take_wake() {
            self.events.push_back(Event::Readable(id));
        }
        self.judge_hold(id);
    }

    fn handle_update(&mut self, id: StreamId, payload: [u8; UPDATE_LEN]) {
        let (consumed, window) = frame::parse_update(payload);
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.closed) else { return };
        stream.send.set_window(consumed, window);
        if stream.take_writable(&self.settings) {
            self.events.push_back(Event::Writable(id));
        }
    }
}

impl Mux for Smux {
    fn open(&mut self) -> Result<StreamId, OpenError> {
        if self.closed {
            return Err(OpenError::Closed);
        }
        if self.role == Role::Server && !self.peer_identified {
            return Err(OpenError::Refused); // SMUX-33
        }
        if self.streams.len() >= self.settings.streams_max {
            return Err(OpenError::TooManyStreams);
        }
        let id = self.unused_id().ok_or(OpenError::IdsExhausted)?;
        self.streams.insert(id, Stream::new(true));
        self.take_turn(id);
        self.check();
        Ok(id)
    }

    fn write_room(&self, id: StreamId) -> Result<usize, WriteError> {
        if self.closed {
            return Err(WriteError::Closed);
        }
        let stream = self.streams.get(&id).filter(|stream| !stream.closed);
        stream.ok_or(WriteError::UnknownStream)?.write_room(&self.settings)
    }

    fn write(&mut self, id: StreamId, data: &[u8]) -> Result<usize, WriteError> {
        if data.is_empty() {
            return Ok(0);
        }
        let room = self.write_room(id)?;
        let stream = self.known(id).ok_or(WriteError::UnknownStream)?;
        if room == 0 {
            stream.send.writer_waits = true;
            let by_window = stream.send.queued_bytes() < self.settings.send_bytes_max;
            let stall = if self.settings.version == 1 { Mark::CreditStall } else { Mark::WindowStall };
            self.marks.hit_if(stall, by_window);
            return Err(WriteError::Blocked);
        }
        let n = data.len().min(room);
        stream.send.push(&data[..n]);
        let half_closed = stream.receive.peer_finished;
        self.send_bytes += n;
        self.marks.hit_if(Mark::HalfClose, half_closed);
        self.take_turn(id);
        self.check();
        Ok(n)
    }

    fn peek(&mut self, id: StreamId) -> Result<&mut [u8], ReadError> {
        let no_more = self.closed || self.broken.is_some();
        let closed = self.closed;
        let Some(stream) = self.known(id) else {
            return Err(if closed { ReadError::Closed } else { ReadError::UnknownStream });
        };
        if stream.receive.readable_bytes() == 0 {
            if !stream.receive.peer_finished {
                stream.receive.reader_told = false;
                return Err(if no_more { ReadError::Closed } else { ReadError::Blocked });
            }
            stream.receive.end_told = true;
            let reset = stream.receive.reset;
            self.stop_receiving(id);
            self.forget_if_done(id);
            self.check();
            return if reset { Err(ReadError::Reset) } else { Ok(&mut []) };
        }
        // Found above; looked up again because a borrow returned on one path only cannot be held across the others.
        self.known(id).map(|stream| stream.receive.readable()).ok_or(ReadError::UnknownStream)
    }

    fn is_inside_frame(&self, id: StreamId) -> bool {
        matches!(self.reading, Reading::Payload { id: reading, .. } if reading == id)
    }

    fn consume(&mut self, id: StreamId, n: usize) {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.closed) else { return };
        debug_assert!(n <= stream.receive.readable_bytes());
        let n = n.min(stream.receive.readable_bytes());
        if n == 0 {
            return;
        }
        self.bucket += n as i64;
        debug_assert!(self.bucket <= self.settings.receive_bytes_max as i64);
        if let Some(consumed) = stream.receive.consume(n, &self.settings) {
            stream.send.queue_update(consumed);
            self.take_turn(id);
        }
        self.judge_hold(id);
        self.check();
    }

    fn finish(&mut self, id: StreamId) -> Result<(), WriteError> {
        if self.closed {
            return Err(WriteError::Closed);
        }
        let forgets = planted!(self.settings, LostFin);
        let stream = self.known(id).ok_or(WriteError::UnknownStream)?;
        if stream.send.fin != Fin::Open {
            return Err(WriteError::Finished);
        }
        stream.send.fin = if forgets && stream.send.queued_bytes() > 0 { Fin::Sent } else { Fin::Queued };
        self.take_turn(id);
        self.check();
        Ok(())
    }

    fn close(&mut self, id: StreamId) {
        let Some(stream) = self.known(id) else { return };
        stream.closed = true;
        if stream.send.fin == Fin::Open {
            stream.send.fin = Fin::Queued;
        }
        self.stop_receiving(id);
        self.take_turn(id);
        self.forget_if_done(id);
        self.check();
    }

    fn reset(&mut self, id: StreamId) -> bool {
        let identified = self.peer_identified;
        let Some(stream) = self.known(id) else { return false };
        let cut = stream.send.reset(identified);
        self.close(id);
        cut
    }

    fn drop_unsent(&mut self) {
        let waits = |stream: &Stream| stream.send.reset && stream.send.queued_bytes() > 0;
        let ids = self.streams.iter().filter(|(_, stream)| waits(stream)).map(|(id, _)| *id);
        for id in ids.collect::<Vec<_>>() {
            if let Some(stream) = self.streams.get_mut(&id) {
                self.send_bytes -= stream.send.queued_bytes();
                stream.send.drop_queue();
            }
            self.give_up_turn(id);
            self.take_turn(id);
        }
        self.check();
    }

    fn input(&mut self, bytes: &[u8]) -> Result<usize, ProtocolError> {
        if let Some(error) = self.broken {
            return Err(error); // SMUX-9
        }
        if self.closed {
            return Ok(bytes.len());
        }
        let mut used = 0;
        while used < bytes.len() {
            match self.step(&bytes[used..]) {
                Ok(0) => break,
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
        let Some(turn) = self.next_turn() else { return false };
        match turn {
            Turn::Stream(id, _) => self.put_stream_frame(id, out),
            Turn::Refusal => self.put_refusal(out),
            Turn::Keepalive => {
                self.nop_queued = false;
                Header { command: Command::Nop, len: 0, id: StreamId(0) }.put(self.settings.version, out);
            }
            Turn::Announcement => {
                let len = self.announced_pads();
                Header { command: Command::Nop, len, id: ANNOUNCEMENT }.put(self.settings.version, out);
            }
        }
        self.check();
        true
    }

    fn has_frames(&self) -> bool {
        self.turns.len() > self.given_up
    }

    fn poll_event(&mut self) -> Option<Event> {
        loop {
            let event = self.events.pop_front()?;
            let (Event::Opened(id)
            | Event::Readable(id)
            | Event::Writable(id)
            | Event::Finished(id)
            | Event::Reset(id)
            | Event::Stopped(id)) = event
            else {
                return Some(event);
            };
            if self.known(id).is_some() {
                return Some(event);
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.keepalive.as_mut().is_some_and(|ticker| ticker.tick(now)) {
            // SMUX-20; SMUX-33: before its announcement a server would look like one that does not announce.
            if self.role == Role::Client || self.peer_identified {
                self.probe();
            }
        }
        if let Some(ticker) = self.peer_check.as_mut().filter(|ticker| now.since(ticker.next) >= LATE) {
            *ticker = Ticker { next: now + ticker.period, ..*ticker }; // SMUX-31
        }
        if self.peer_check.as_mut().is_some_and(|ticker| ticker.tick(now)) {
            // SMUX-21: while the bucket is empty nothing is read, so silence has no meaning.
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
        self.turns.clear();
        (self.given_up, self.send_bytes) = (0, 0);
        self.refused.clear();
        self.keepalive = None;
        self.peer_check = None;
        self.events.push_back(Event::Closed(reason));
        self.check();
    }

    fn stream_count(&self) -> usize {
        self.streams.len()
    }

    fn fullest(&self) -> Option<StreamId> {
        let unread = |stream: &Stream| stream.receive.readable_bytes();
        self.streams.iter().max_by_key(|(_, stream)| unread(stream)).map(|(id, _)| *id)
    }

    fn marks(&self) -> Marks {
        self.marks
    }

    fn sent_bytes(&self, id: StreamId) -> Option<(u32, u32)> {
        self.streams.get(&id).map(|stream| stream.send.sent_bytes())
    }

    fn is_flushed(&self) -> bool {
        !self.has_frames() && self.streams.values().all(|stream| stream.send.is_flushed())
    }

    fn queued_bytes(&self) -> usize {
        let partial_bytes = match self.reading {
            Reading::Payload { id, .. } => {
                self.streams.get(&id).map_or(0, |stream| stream.receive.partial_bytes())
            }
            _ => 0,
        };
        let unread_bytes = self.settings.receive_bytes_max as i64 - self.bucket;
        if self.closed { 0 } else { self.send_bytes + unread_bytes as usize + partial_bytes }
    }

    fn probe(&mut self) {
        if !self.closed && !std::mem::replace(&mut self.nop_queued, true) {
            self.turns.push_back(Turn::Keepalive);
            self.check();
        }
    }

    fn peer_half_closes(&self) -> bool {
        self.peer_announced
    }

    fn peer_pads(&self) -> Option<u16> {
        self.peer_pads
    }

    /// The bucket's account and the queue of turns.
    fn assert_invariants(&self) {
        if self.closed {
            return assert!(self.streams.is_empty() && self.turns.is_empty());
        }
        let unread: usize = self.streams.values().map(|stream| stream.receive.readable_bytes()).sum();
        let receive_bytes_max = self.settings.receive_bytes_max as i64;
        assert_eq!(self.bucket, receive_bytes_max - unread as i64, "the bucket lost count");
        assert!(self.bucket > -i64::from(u16::MAX), "overdrawn by more than a frame");
        let partial: usize = self.streams.values().map(|stream| stream.receive.partial_bytes()).sum();
        assert!(partial < usize::from(u16::MAX), "more than one frame is incomplete");
        assert!(self.refused.len() <= REFUSALS_MAX);
        let queued_bytes: usize = self.streams.values().map(Stream::queued_bytes).sum();
        assert_eq!(self.queued_bytes(), queued_bytes, "queued bytes lost count");
        let waits = self.streams.iter().filter(|(_, stream)| stream.turn.is_some());
        let waiting: Vec<StreamId> = waits.map(|(id, _)| *id).collect();
        let has_frames = self.streams.iter().filter(|(_, stream)| stream.send.has_frames());
        assert!(has_frames.map(|(id, _)| *id).eq(waiting.iter().copied()), "a turn for nothing, or none");
        let wanted = || self.turns.iter().filter(|turn| turn.is_wanted(&self.streams));
        let stream_of = |turn: &Turn| if let Turn::Stream(id, _) = turn { Some(*id) } else { None };
        let mut turns: Vec<StreamId> = wanted().filter_map(stream_of).collect();
        turns.sort_unstable();
        assert_eq!(turns, waiting, "every stream that waits has one turn");
        let announcements = self.turns.iter().filter(|turn| **turn == Turn::Announcement).count();
        assert!(announcements <= 1, "announced twice");
        let others = usize::from(self.nop_queued) + usize::from(!self.refused.is_empty()) + announcements;
        assert_eq!(wanted().count(), turns.len() + others, "keepalive or refusals without their turn");
        assert_eq!(self.turns.len(), wanted().count() + self.given_up, "turns given up lost count");
        assert!(self.given_up <= wanted().count() + GIVEN_UP_MAX, "too many turns given up");
    }
}

/// Source of the next frame; each is queued at most once (SMUX-15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// With the number of the turn.
    Stream(StreamId, u64),
    Refusal,
    Keepalive,
    Announcement,
}

impl Turn {
    fn is_wanted(&self, streams: &BTreeMap<StreamId, Stream>) -> bool {
        match self {
            Self::Stream(id, number) => streams.get(id).is_some_and(|stream| stream.turn == Some(*number)),
            Self::Refusal | Self::Keepalive | Self::Announcement => true,
        }
    }
}

/// What the next byte from the peer belongs to.
#[derive(Debug)]
enum Reading {
    Header(Partial<HEADER_LEN>),
    Update { id: StreamId, payload: Partial<UPDATE_LEN> },
    Payload { id: StreamId, left: usize, wanted: bool },
}

/// A field of fixed size that was received in part.
#[derive(Debug)]
struct Partial<const N: usize> {
    bytes: [u8; N],
    have: usize,
}

impl<const N: usize> Default for Partial<N> {
    fn default() -> Self {
        Self { bytes: [0; N], have: 0 }
    }
}

impl<const N: usize> Partial<N> {
    fn fill(&mut self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(N - self.have);
        self.bytes[self.have..self.have + n].copy_from_slice(&bytes[..n]);
        self.have += n;
        n
    }

    fn complete(&self) -> Option<[u8; N]> {
        (self.have == N).then_some(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SMUX-3
    #[test]
    fn ids_run_out_for_good() {
        for (role, last) in [(Role::Client, u32::MAX), (Role::Server, u32::MAX - 1)] {
            let mut mux = Smux::new(Settings::default(), role, Instant::ZERO);
            mux.last_id = Some(last - 2);
            assert_eq!(mux.open(), Ok(StreamId(last)));
            assert_eq!(mux.open(), Err(OpenError::IdsExhausted));
            assert_eq!(mux.open(), Err(OpenError::IdsExhausted));
        }
    }
}
