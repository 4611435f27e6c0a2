//! Two sessions of a multiplexer joined by pipes, applications on both, and a script that may also speak for either.

use super::Script;
use engine::mux::{self, Dialect, Mux, ReadError, Role, Settings, WriteError};
use engine::{CloseReason, Event, Instant, StreamId};
use std::collections::{BTreeMap, VecDeque};

/// Bytes on one pipe at which no more frames are taken.
const PIPE_BYTES_MAX: usize = 1 << 18;

/// Bytes offered to a session at once.
const RECEIVE_BYTES_MAX: usize = 4096;

/// [`smux2`] with version 1.
pub fn smux1(data: &[u8]) {
    run(Dialect::Smux, 1, data);
}

/// [`smux2`] with the smux of kcptunB.
pub fn smuxb(data: &[u8]) {
    run(Dialect::Smuxb, 1, data);
}

/// [`smux2`] with yamux.
pub fn yamux(data: &[u8]) {
    run(Dialect::Yamux, 0, data);
}

/// First bytes: settings; then operations.
///
/// The bucket's account always holds. Unless frames were forged, every stream delivers the written bytes in order, and
/// an application that only acts on events receives all of them.
pub fn smux2(data: &[u8]) {
    run(Dialect::Smux, 2, data);
}

fn run(dialect: Dialect, version: u8, data: &[u8]) {
    let mut script = Script::new(data);
    let mut pair = Pair::new(dialect, version, &mut script);
    while !script.is_over() {
        pair.step(&mut script);
        pair.check();
    }
    if !pair.forged {
        pair.settle();
    }
}

/// What one application knows of a stream.
#[derive(Debug, Default)]
struct Known {
    written: usize,
    read: usize,
    readable: bool,
    blocked: bool,
    finished: bool,
    closed: bool,
    /// Reset before it was finished.
    cut: bool,
    peer_finished: bool,
    peer_reset: bool,
    ended: bool,
}

struct End {
    mux: Box<dyn Mux>,
    settings: Settings,
    streams: BTreeMap<StreamId, Known>,
    /// Bytes on their way to this end.
    pipe: VecDeque<u8>,
    closed: Option<CloseReason>,
    /// Bytes it may still write, so that small buffers do not make a script endless.
    budget_bytes: usize,
}

struct Pair {
    now: Instant,
    ends: [End; 2],
    forged: bool,
}

impl Pair {
    fn new(dialect: Dialect, version: u8, script: &mut Script<'_>) -> Self {
        let receive_bytes_max = script.pick(&[1 << 20, 1, 100, 4096]);
        let closing = script.byte();
        let settings = Settings {
            dialect,
            version,
            half_close: closing & 1 != 0,
            announce: closing & 2 != 0,
            keepalive_ms: script.pick(&[10_000, 0, 1000]),
            frame_bytes_max: script.pick(&[8192, 1, 7, 64, 65_535]),
            receive_bytes_max,
            stream_bytes_max: script.pick(&[1 << 20, 1, 3, 50, 4096]).min(receive_bytes_max),
            streams_max: script.pick(&[16, 1, 4]),
            send_bytes_max: script.pick(&[65_536, 1, 50]),
            ..Settings::default()
        };
        let now = Instant::from_millis(5);
        let end = |role| End {
            mux: mux::start_session(settings.clone(), role, now),
            settings: settings.clone(),
            streams: BTreeMap::new(),
            pipe: VecDeque::new(),
            closed: None,
            budget_bytes: (20 * receive_bytes_max).clamp(500, 100_000),
        };
        Self { now, ends: [end(Role::Client), end(Role::Server)], forged: false }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let op = script.byte();
        let side = usize::from(op >> 7);
        let pipe_bytes = self.ends[1 - side].pipe.len();
        let end = &mut self.ends[side];
        match op & 15 {
            0 => end.open(),
            1 | 2 => {
                let id = end.stream(script);
                let len = usize::from(script.byte()) * script.pick(&[1, 3, 40]);
                end.write(side, id, len);
            }
            3 | 4 => {
                let id = end.stream(script);
                let n = usize::from(script.byte()) * 300;
                end.read(1 - side, id, n, !self.forged);
            }
            5 => {
                let id = end.stream(script);
                end.finish(id);
            }
            6 => {
                let id = end.stream(script);
                if op & 16 == 0 { end.close(id) } else { end.reset(id) }
            }
            7..=9 => {
                let frames = if pipe_bytes < PIPE_BYTES_MAX { usize::from(script.byte() % 64) } else { 0 };
                let bytes = end.frames(frames);
                self.ends[1 - side].pipe.extend(bytes);
            }
            10..=12 => {
                end.receive(usize::from(script.byte()) * 8);
            }
            13 => self.pass(u64::from(script.byte()) * 40),
            14 => {
                self.forged = true;
                self.ends[side].receive_forged(script.piece());
            }
            _ => {
                self.forged = true;
                let frame = forged_frame(&end.settings, script);
                end.receive_forged(&frame);
            }
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now = Instant::from_millis(self.now.as_millis() + ms);
        for end in &mut self.ends {
            end.mux.handle_timeout(self.now);
            assert!(end.mux.poll_timeout().is_none_or(|next| next.at > self.now), "a timer spins");
        }
    }

    fn check(&mut self) {
        for end in &mut self.ends {
            end.mux.assert_invariants();
            end.events();
            assert!(end.mux.stream_count() <= end.settings.streams_max, "too many streams");
        }
    }

    /// Lets both applications do what events allow until nothing moves, and asks whether that was everything.
    fn settle(&mut self) {
        loop {
            let mut moved = false;
            for side in [0, 1] {
                let bytes = self.ends[side].frames(1000);
                moved |= !bytes.is_empty();
                self.ends[1 - side].pipe.extend(bytes);
                moved |= self.ends[1 - side].receive(usize::MAX) > 0;
                self.ends[1 - side].events();
                moved |= self.ends[1 - side].read_all(side);
            }
            self.check();
            if !moved {
                break;
            }
        }
        if self.ends.iter().any(|end| end.closed.is_some()) {
            return;
        }
        for (side, end) in self.ends.iter().enumerate() {
            let peer = &self.ends[1 - side];
            assert!(end.pipe.is_empty() && !end.mux.has_frames(), "side {side} is stuck");
            for (id, known) in &end.streams {
                let Some(theirs) = peer.streams.get(id) else { continue };
                let open = !known.closed && !theirs.closed;
                let extended = self.ends.iter().all(End::is_extended);
                assert!(!extended || !known.cut || !theirs.ended, "a cut stream looks complete: {id:?}");
                assert!(
                    theirs.closed || known.written == theirs.read,
                    "{id:?} of side {side}: {known:?} {theirs:?}"
                );
                assert!(!open || !known.blocked || known.finished, "no Writable for {id:?} of side {side}");
                assert!(
                    !open || known.finished == theirs.ended,
                    "{id:?} of side {side}: {known:?} {theirs:?}"
                );
            }
        }
    }
}

impl End {
    fn is_extended(&self) -> bool {
        let Settings { dialect, announce, half_close, .. } = self.settings;
        dialect == Dialect::Smux && announce && half_close
    }

    /// One of the streams, or some other id.
    fn stream(&self, script: &mut Script<'_>) -> StreamId {
        let choice = usize::from(script.byte());
        let known = self.streams.keys().nth(choice % (self.streams.len() + 1));
        known.copied().unwrap_or(StreamId(choice as u32))
    }

    fn open(&mut self) {
        if let Ok(id) = self.mux.open() {
            self.streams.insert(id, Known::default());
        }
    }

    fn write(&mut self, side: usize, id: StreamId, len: usize) {
        let len = len.min(self.budget_bytes);
        let from = self.streams.get(&id).map_or(0, |known| known.written);
        let data: Vec<u8> = (from..from + len).map(|offset| pattern(side, id, offset)).collect();
        let room = self.mux.write_room(id);
        let result = self.mux.write(id, &data);
        let Some(known) = self.streams.get_mut(&id) else { return };
        match (room, result) {
            (_, Ok(0)) if len == 0 => {}
            (Ok(room), Ok(n)) => {
                assert!(0 < n && n == room.min(len), "wrote {n} of {len} into {room}");
                known.written += n;
                self.budget_bytes -= n;
                known.blocked = false;
            }
            (Ok(0), Err(WriteError::Blocked)) => known.blocked = true,
            (Err(expected), Err(error)) => assert_eq!(expected, error),
            (room, result) => panic!("room {room:?}, write {result:?}"),
        }
    }

    fn read(&mut self, peer: usize, id: StreamId, n: usize, honest: bool) {
        let result = self.mux.peek(id);
        let Some(known) = self.streams.get_mut(&id) else {
            assert!(result.is_err());
            return;
        };
        match result {
            Ok([]) => {
                assert!(known.peer_finished || known.ended, "an end without Finished");
                known.ended = true;
                known.readable = false;
            }
            Ok(bytes) => {
                let n = bytes.len().min(n);
                let wanted = (known.read..).map(|offset| pattern(peer, id, offset));
                assert!(
                    !honest || bytes.iter().copied().eq(wanted.take(bytes.len())),
                    "other bytes were written"
                );
                known.read += n;
                self.mux.consume(id, n);
            }
            Err(error) => {
                assert!(!honest || error != ReadError::Closed || self.closed.is_some());
                assert!(error != ReadError::Reset || known.peer_reset, "a reset without its event");
                known.readable = false;
            }
        }
    }

    /// Reads only what events announced.
    fn read_all(&mut self, peer: usize) -> bool {
        let ids: Vec<StreamId> = self.streams.keys().copied().collect();
        let mut moved = false;
        for id in ids {
            while self.streams.get(&id).is_some_and(|known| known.readable && !known.closed) {
                self.read(peer, id, usize::MAX, true);
                moved = true;
            }
        }
        moved
    }

    fn finish(&mut self, id: StreamId) {
        if self.mux.finish(id).is_ok() {
            self.streams.entry(id).or_default().finished = true;
        }
    }

    fn close(&mut self, id: StreamId) {
        self.mux.close(id);
        if let Some(known) = self.streams.get_mut(&id) {
            known.closed = true;
        }
    }

    fn reset(&mut self, id: StreamId) {
        self.mux.reset(id);
        if let Some(known) = self.streams.get_mut(&id) {
            known.cut = !known.finished && !known.closed;
            known.closed = true;
        }
    }

    fn frames(&mut self, limit: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for _ in 0..limit {
            let start = out.len();
            assert_eq!(self.mux.has_frames(), self.mux.poll_frame(&mut out));
            let frame = &out[start..];
            if frame.is_empty() {
                break;
            }
            self.check_frame(frame);
        }
        out
    }

    fn check_frame(&self, frame: &[u8]) {
        let limit = self.settings.frame_bytes_max;
        if self.settings.dialect == Dialect::Yamux {
            let len = u32::from_be_bytes([frame[8], frame[9], frame[10], frame[11]]) as usize;
            let payload = if frame[1] == 0 { len } else { 0 };
            assert_eq!((frame[0], frame.len()), (0, 12 + payload), "not one whole frame");
            return assert!(frame[1] != 0 || (1..=limit).contains(&len));
        }
        // The length of a NOP is a message of its own (SMUX-27, SMUX-29, SMUX-33).
        let len = if frame[1] == 3 { 0 } else { usize::from(u16::from_le_bytes([frame[2], frame[3]])) };
        assert_eq!((frame[0], frame.len()), (self.settings.version, 8 + len), "not one whole frame");
        assert!(frame[1] != 2 || (1..=limit).contains(&len));
    }

    fn receive(&mut self, n: usize) -> usize {
        let n = n.min(self.pipe.len()).min(RECEIVE_BYTES_MAX);
        let bytes: Vec<u8> = self.pipe.iter().take(n).copied().collect();
        let taken = self.input(&bytes);
        self.pipe.drain(..taken);
        taken
    }

    /// The script speaks; what is not taken is not said again.
    fn receive_forged(&mut self, bytes: &[u8]) {
        self.input(bytes);
    }

    fn input(&mut self, bytes: &[u8]) -> usize {
        match self.mux.input(bytes) {
            Ok(taken) => {
                assert!(taken <= bytes.len());
                assert!(taken == bytes.len() || !self.mux.input_ready(), "input stopped without a reason");
                taken
            }
            Err(error) => {
                assert_eq!(self.mux.input(b"more"), Err(error), "an error is final");
                bytes.len()
            }
        }
    }

    fn events(&mut self) {
        while let Some(event) = self.mux.poll_event() {
            match event {
                Event::Opened(id) => {
                    self.streams.insert(id, Known::default());
                }
                Event::Readable(id) => self.streams.entry(id).or_default().readable = true,
                Event::Writable(id) => self.streams.entry(id).or_default().blocked = false,
                Event::Finished(id) => {
                    let known = self.streams.entry(id).or_default();
                    assert!(!std::mem::replace(&mut known.peer_finished, true), "finished twice");
                }
                Event::Reset(id) => {
                    let known = self.streams.entry(id).or_default();
                    assert!(!std::mem::replace(&mut known.peer_finished, true), "reset after the end");
                    known.peer_reset = true;
                }
                Event::Stopped(id) => self.streams.entry(id).or_default().blocked = false,
                Event::Closed(reason) => {
                    assert_eq!(self.closed.replace(reason), None, "closed twice");
                    self.streams.clear();
                }
                other => panic!("unknown event {other:?}"),
            }
        }
    }
}

/// A frame with a header that makes sense, nearly.
fn forged_frame(settings: &Settings, script: &mut Script<'_>) -> Vec<u8> {
    let command = script.byte();
    let id = u32::from(script.byte() % 16);
    let mut payload = script.piece().to_vec();
    if settings.dialect == Dialect::Yamux {
        let len = if command & 64 == 0 { payload.len() as u32 } else { u32::from(script.short()) << 9 };
        let mut frame = vec![0, command % 4, 0, command >> 2 & 15];
        frame.extend_from_slice(&id.to_be_bytes());
        frame.extend_from_slice(&len.to_be_bytes());
        frame.extend_from_slice(if command.is_multiple_of(4) { &payload } else { &[] });
        return frame;
    }
    let commands = if settings.dialect == Dialect::Smuxb { 7 } else { 5 };
    if command % 8 == 4 && commands == 5 {
        payload.resize(8, 0);
    }
    let len = if command & 64 == 0 { payload.len() as u16 } else { script.short() };
    let mut frame = vec![settings.version, command % 8 % commands];
    frame.extend_from_slice(&len.to_le_bytes());
    frame.extend_from_slice(&id.to_le_bytes());
    frame.extend_from_slice(&payload);
    frame
}

fn pattern(side: usize, id: StreamId, offset: usize) -> u8 {
    (7 * offset + 13 * (offset >> 8) + 101 * side + 31 * id.0 as usize) as u8
}
