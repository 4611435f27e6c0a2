//! Replays smux traces (`smux-trace-1`): two sessions over a lossless pipe, every frame, return value and count.

use super::{Mismatch, event};
use engine::mux::{Mux, OpenError, ProtocolError, ReadError, Role, Settings, Smux, WriteError};
use engine::{CloseReason, Deadline, Event, Instant, StreamId};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Replays a decompressed trace (`*.jsonl`); returns the number of compared events.
///
/// # Errors
/// The first event that differs from the engine, or a malformed line.
pub fn replay(text: &str) -> Result<usize, Mismatch> {
    let header = event::header(text)?;
    let mut replay = Replay::new(&header).map_err(|difference| Mismatch { line: 1, difference })?;
    event::for_each(text, |event| replay.event(event))
}

/// Two sessions, the frames in flight, and the virtual clock of their timers.
struct Replay {
    sides: [Side; 2],
    now: Instant,
}

impl Replay {
    fn new(header: &Value) -> Result<Self, String> {
        if header["format"] != "smux-trace-1" {
            return Err(format!("format is {}, not smux-trace-1", header["format"]));
        }
        let side = |name: &'static str, role| -> Result<Side, String> {
            Ok(Side::new(name, settings(header)?, role, event::number(&header[name], "payload_seed")?))
        };
        Ok(Self { sides: [side("A", Role::Client)?, side("B", Role::Server)?], now: Instant::ZERO })
    }

    fn event(&mut self, event: &Value) -> Result<(), String> {
        let op = event["op"].as_str().ok_or("event without op")?;
        let answer = match op {
            "idle" => self.idle(event::number(event, "ms")?).map(|()| Map::new())?,
            "state" => self.state(),
            _ => {
                let index = self.sides.iter().position(|side| event["ep"] == side.name);
                let index = index.ok_or("unknown endpoint")?;
                let answer = self.sides[index].apply(op, event)?;
                self.settle()?;
                answer.map_or_else(|| self.sides[index].write_result(), Ok)?
            }
        };
        self.compare_frames(event)?;
        self.compare_finished(event)?;
        compare_answer(op, event, &answer)?;
        self.compare_unread(event)
    }

    /// Advances the timers by `ms`.
    fn idle(&mut self, ms: u64) -> Result<(), String> {
        let end = self.now + Duration::from_millis(ms);
        loop {
            let [a, b] = self.sides.each_ref().map(|side| side.mux.poll_timeout());
            let Some(deadline) = Deadline::earliest(a, b).filter(|deadline| deadline.at <= end) else {
                break;
            };
            self.now = deadline.at;
            for side in &mut self.sides {
                side.mux.handle_timeout(deadline.at);
            }
            self.settle()?;
        }
        self.now = end;
        Ok(())
    }

    fn state(&self) -> Map<String, Value> {
        let mut state = Map::new();
        for side in &self.sides {
            state.insert(format!("{}_streams", side.name), side.mux.stream_count().into());
            state.insert(format!("{}_closed", side.name), side.closed.into());
        }
        state
    }

    /// Delivers frames, and runs sinks and blocked writers, until no frame is in flight.
    fn settle(&mut self) -> Result<(), String> {
        loop {
            let mut moved = false;
            for index in [0, 1] {
                let [a, b] = &mut self.sides;
                let (side, peer) = if index == 0 { (a, b) } else { (b, a) };
                side.retry_writers();
                side.take_frames();
                moved |= !side.outbox.is_empty();
                peer.inbox.append(&mut side.outbox);
                moved |= peer.deliver()?;
            }
            if !moved {
                return Ok(());
            }
        }
    }

    fn compare_frames(&mut self, event: &Value) -> Result<(), String> {
        for side in &mut self.sides {
            let sent = std::mem::take(&mut side.sent);
            let none = Vec::new();
            let recorded = event[format!("{}_frames", side.name)].as_array().unwrap_or(&none);
            let recorded = recorded.iter().map(|frame| event::unhex(frame.as_str().unwrap_or("?")));
            let recorded: Vec<_> = recorded.collect::<Result<_, _>>()?;
            if sent == recorded {
                continue;
            }
            let at = sent.iter().zip(&recorded).take_while(|(ours, theirs)| ours == theirs).count();
            return Err(format!(
                "{} frames of {} differ at index {at}: recorded [{}], engine [{}]",
                event["op"],
                side.name,
                describe(&recorded),
                describe(&sent)
            ));
        }
        Ok(())
    }

    fn compare_finished(&mut self, event: &Value) -> Result<(), String> {
        let mut recorded = event["finished"].as_array().cloned().unwrap_or_default();
        let mut ours: Vec<Value> = self.sides.iter_mut().flat_map(|side| side.finished.drain(..)).collect();
        let tag = |entry: &Value| entry["tag"].to_string();
        recorded.sort_by_key(tag);
        ours.sort_by_key(tag);
        if recorded != ours {
            return Err(format!(
                "finished in the background: recorded {}, engine {}",
                json!(recorded),
                json!(ours)
            ));
        }
        Ok(())
    }

    fn compare_unread(&self, event: &Value) -> Result<(), String> {
        for side in &self.sides {
            let recorded = event[format!("{}_unread", side.name)].as_u64().unwrap_or(0);
            if recorded != side.inbox.len() as u64 {
                return Err(format!(
                    "bytes {} has not read: recorded {recorded}, engine {}",
                    side.name,
                    side.inbox.len()
                ));
            }
        }
        Ok(())
    }
}

fn settings(header: &Value) -> Result<Settings, String> {
    let bytes = |name| Ok::<_, String>(event::number(header, name)? as usize);
    let keepalive = &header["keepalive"];
    let ms = |name| Ok::<_, String>(event::number(keepalive, name)? as u32);
    let disabled = keepalive["disabled"] == true;
    Ok(Settings {
        version: event::number(header, "version")? as u8,
        keepalive_ms: if disabled { 0 } else { ms("interval_ms")? },
        peer_timeout_ms: if disabled { 0 } else { ms("timeout_ms")? },
        frame_bytes_max: bytes("max_frame_size")?,
        receive_bytes_max: bytes("max_receive_buffer")?,
        stream_bytes_max: bytes("max_stream_buffer")?,
        unread_bytes_max: 262_144,
        streams_max: 1024,
        // Only the window bounds a Go write.
        send_bytes_max: usize::MAX,
        half_close: false,
        announce: false,
        ..Settings::default()
    })
}

fn compare_answer(op: &str, event: &Value, answer: &Map<String, Value>) -> Result<(), String> {
    let opens = matches!(op, "open" | "accept");
    let is_answer = |key: &str| match key {
        "ret" | "err" | "crc" => true,
        "sid" => opens,
        other => other.ends_with("_streams") || other.ends_with("_closed"),
    };
    let fields = event.as_object().ok_or("event is no object")?.iter();
    let recorded: Map<String, Value> =
        fields.filter(|(key, _)| is_answer(key)).map(|(key, value)| (key.clone(), value.clone())).collect();
    if recorded != *answer {
        return Err(format!("{op} answered: recorded {}, engine {}", json!(recorded), json!(answer)));
    }
    Ok(())
}

/// One session with the state that Go keeps outside: blocked writers, copy loops, the accept queue.
struct Side {
    name: &'static str,
    mux: Smux,
    payload_seed: u64,
    /// Frames sent during this event.
    sent: Vec<Vec<u8>>,
    outbox: VecDeque<u8>,
    inbox: VecDeque<u8>,
    framing: Framing,
    accepted: VecDeque<StreamId>,
    writers: Vec<Writer>,
    sinks: Vec<Sink>,
    finished: Vec<Value>,
    broken: Option<ProtocolError>,
    closed: bool,
}

struct Writer {
    /// None if the event waits for the write.
    tag: Option<String>,
    id: StreamId,
    left: VecDeque<u8>,
    len: usize,
    failed: Option<&'static str>,
}

struct Sink {
    tag: String,
    id: StreamId,
    bytes: u64,
    crc: crc32fast::Hasher,
}

impl Side {
    fn new(name: &'static str, settings: Settings, role: Role, payload_seed: u64) -> Self {
        Self {
            name,
            mux: Smux::new(settings, role, Instant::ZERO),
            payload_seed,
            sent: Vec::new(),
            outbox: VecDeque::new(),
            inbox: VecDeque::new(),
            framing: Framing::default(),
            accepted: VecDeque::new(),
            writers: Vec::new(),
            sinks: Vec::new(),
            finished: Vec::new(),
            broken: None,
            closed: false,
        }
    }

    /// Executes one operation; returns its answer, or None for a write, which is answered after [`Replay::settle`].
    fn apply(&mut self, op: &str, event: &Value) -> Result<Option<Map<String, Value>>, String> {
        let stream = || event::number(event, "sid").map(|id| StreamId(id as u32));
        let tag = || event["tag"].as_str().map(str::to_owned).ok_or("no tag");
        Ok(Some(match op {
            "open" => self.open(),
            "accept" => self.accept(),
            "read" => self.read(stream()?, event::number(event, "cap")? as usize),
            "close" => self.close(stream()?),
            "close_session" => {
                self.mux.shut(CloseReason::Local);
                Map::new()
            }
            "inject" => {
                self.inbox.extend(event::unhex(event["hex"].as_str().ok_or("no hex")?)?);
                self.deliver()?;
                Map::new()
            }
            "writeto_start" => {
                let crc = crc32fast::Hasher::new();
                self.sinks.push(Sink { tag: tag()?, id: stream()?, bytes: 0, crc });
                self.run_sinks()?;
                Map::new()
            }
            "write_start" => {
                self.start_write(Some(tag()?), stream()?, event)?;
                Map::new()
            }
            "write" => {
                self.start_write(None, stream()?, event)?;
                return Ok(None);
            }
            other => return Err(format!("unknown operation {other}")),
        }))
    }

    fn open(&mut self) -> Map<String, Value> {
        match self.mux.open() {
            Ok(id) => {
                self.framing.restart(id);
                object([("sid", id.0.into())])
            }
            Err(OpenError::Closed) => object([("err", "closed".into())]),
            Err(error) => object([("err", error.to_string().into())]),
        }
    }

    fn accept(&mut self) -> Map<String, Value> {
        match self.accepted.pop_front() {
            Some(id) => object([("sid", id.0.into())]),
            None if self.broken.is_some() => object([("err", "invalid protocol".into())]),
            None => object([("err", "timeout".into())]),
        }
    }

    fn close(&mut self, id: StreamId) -> Map<String, Value> {
        if matches!(self.mux.write_room(id), Err(WriteError::UnknownStream | WriteError::Closed)) {
            return object([("err", "closed".into())]);
        }
        self.mux.close(id);
        Map::new()
    }

    fn read(&mut self, id: StreamId, cap: usize) -> Map<String, Value> {
        match self.take(id, cap) {
            Ok(data) => object([("ret", data.len().into()), ("crc", crc32fast::hash(&data).into())]),
            Err(error) => object([("ret", 0.into()), ("err", error.into())]),
        }
    }

    /// One read as in Go: at most `cap` bytes, and not beyond one PSH.
    fn take(&mut self, id: StreamId, cap: usize) -> Result<Vec<u8>, &'static str> {
        let readable = self.mux.peek(id).map_err(|error| match error {
            ReadError::Blocked => "timeout",
            ReadError::UnknownStream => "EOF",
            _ => "invalid protocol",
        })?;
        if readable.is_empty() {
            return Err("EOF");
        }
        let n = readable.len().min(cap).min(self.framing.push_left(id));
        let data = readable[..n].to_vec();
        self.framing.consume(id, n);
        self.mux.consume(id, n);
        Ok(data)
    }

    fn start_write(&mut self, tag: Option<String>, id: StreamId, event: &Value) -> Result<(), String> {
        let len = event::number(event, "len")?;
        let left = event::pattern(self.payload_seed, event::number(event, "off")?, len).into();
        self.writers.push(Writer { tag, id, left, len: len as usize, failed: None });
        Ok(())
    }

    fn retry_writers(&mut self) {
        for writer in &mut self.writers {
            while writer.failed.is_none() && !writer.left.is_empty() {
                match self.mux.write(writer.id, writer.left.make_contiguous()) {
                    Ok(n) => drop(writer.left.drain(..n)),
                    Err(WriteError::Blocked) => break,
                    Err(WriteError::PeerFinished) => writer.failed = Some("EOF"),
                    Err(WriteError::PeerOverrun) => writer.failed = Some("peer consumed more than sent"),
                    Err(_) => writer.failed = Some("closed"),
                }
            }
        }
        let over =
            |writer: &mut Writer| writer.tag.is_some() && (writer.failed.is_some() || writer.left.is_empty());
        let over: Vec<_> = self.writers.extract_if(.., over).collect();
        for mut writer in over {
            let tag = writer.tag.take();
            let mut entry = writer.result();
            entry.insert("tag".into(), tag.into());
            self.finished.push(entry.into());
        }
    }

    /// Result of the write that the event waits for.
    fn write_result(&mut self) -> Result<Map<String, Value>, String> {
        let at = self.writers.iter().position(|writer| writer.tag.is_none()).ok_or("no write")?;
        let writer = self.writers.remove(at);
        if writer.failed.is_none() && !writer.left.is_empty() {
            return Err(format!("write is still blocked with {} bytes left", writer.left.len()));
        }
        Ok(writer.result())
    }

    fn take_frames(&mut self) {
        let mut frame = Vec::new();
        while self.mux.poll_frame(&mut frame) {
            self.outbox.extend(&frame);
            self.sent.push(std::mem::take(&mut frame));
        }
    }

    /// Passes arrived bytes to the session, header and payload separately; returns whether there were any.
    fn deliver(&mut self) -> Result<bool, String> {
        let before = self.inbox.len();
        while self.broken.is_none() && !self.inbox.is_empty() {
            let piece = self.framing.wanted().min(self.inbox.len());
            let piece = self.inbox.make_contiguous()[..piece].to_vec();
            match self.mux.input(&piece) {
                Ok(0) => break,
                Ok(n) if n == piece.len() => {}
                Ok(n) => return Err(format!("the session read {n} of {} bytes", piece.len())),
                Err(error) => self.broken = Some(error),
            }
            self.framing.passed(&piece);
            self.inbox.drain(..piece.len());
            self.take_events();
            self.run_sinks()?;
        }
        self.take_events();
        self.run_sinks()?;
        Ok(self.inbox.len() != before)
    }

    fn take_events(&mut self) {
        while let Some(event) = self.mux.poll_event() {
            match event {
                Event::Opened(id) => {
                    self.framing.restart(id);
                    self.accepted.push_back(id);
                }
                Event::Closed(_) => self.closed = true,
                _ => {}
            }
        }
    }

    /// Each PSH is one read, and its UPD leaves before the next.
    fn run_sinks(&mut self) -> Result<(), String> {
        for mut sink in std::mem::take(&mut self.sinks) {
            let error = loop {
                match self.take(sink.id, usize::MAX) {
                    Ok(data) => {
                        sink.bytes += data.len() as u64;
                        sink.crc.update(&data);
                        self.take_frames();
                    }
                    Err(error) => break error,
                }
            };
            // Go returns an error to a copy loop whose stream was closed locally, and EOF to a plain read.
            let error = match self.mux.write_room(sink.id) {
                Err(WriteError::UnknownStream) => "closed",
                _ => error,
            };
            if error == "timeout" {
                self.sinks.push(sink);
                continue;
            }
            let crc = sink.crc.finalize();
            self.finished.push(json!({"tag": sink.tag, "ret": sink.bytes, "crc": crc, "err": error}));
        }
        Ok(())
    }
}

impl Writer {
    /// Go returns 0 with every error of a write except a closed stream, regardless of the bytes sent.
    fn result(&self) -> Map<String, Value> {
        match self.failed {
            None => object([("ret", self.len.into())]),
            Some("closed") => {
                object([("ret", (self.len - self.left.len()).into()), ("err", "closed".into())])
            }
            Some(error) => object([("ret", 0.into()), ("err", error.into())]),
        }
    }
}

/// Tracks the ends of PSHs: Go reads at most one PSH, the engine reads across them.
#[derive(Default)]
struct Framing {
    header: Vec<u8>,
    body: Option<Body>,
    pushes: BTreeMap<StreamId, VecDeque<usize>>,
}

struct Body {
    push: Option<StreamId>,
    len: usize,
    left: usize,
}

impl Framing {
    const HEADER_LEN: usize = 8;

    fn restart(&mut self, id: StreamId) {
        self.pushes.insert(id, VecDeque::new());
    }

    /// Bytes until the end of the current header or body.
    fn wanted(&self) -> usize {
        self.body.as_ref().map_or(Self::HEADER_LEN - self.header.len(), |body| body.left)
    }

    fn passed(&mut self, piece: &[u8]) {
        let Some(body) = &mut self.body else { return self.passed_header(piece) };
        body.left -= piece.len();
        if body.left > 0 {
            return;
        }
        if let Some(pushes) = body.push.and_then(|id| self.pushes.get_mut(&id)) {
            pushes.push_back(body.len);
        }
        self.body = None;
    }

    fn passed_header(&mut self, piece: &[u8]) {
        self.header.extend_from_slice(piece);
        if self.header.len() < Self::HEADER_LEN {
            return;
        }
        let (command, len, id) = split_header(&self.header);
        self.header.clear();
        self.body = match command {
            2 if len > 0 => Some(Body { push: Some(StreamId(id)), len, left: len }),
            4 => Some(Body { push: None, len: 8, left: 8 }),
            _ => None,
        };
    }

    /// Unread bytes of the oldest PSH.
    fn push_left(&self, id: StreamId) -> usize {
        self.pushes.get(&id).and_then(|pushes| pushes.front()).copied().unwrap_or(usize::MAX)
    }

    fn consume(&mut self, id: StreamId, n: usize) {
        let Some(pushes) = self.pushes.get_mut(&id) else { return };
        match pushes.front_mut() {
            Some(left) if *left > n => *left -= n,
            _ => drop(pushes.pop_front()),
        }
    }
}

/// Command, length and stream id of a frame of at least 8 bytes.
fn split_header(frame: &[u8]) -> (u8, usize, u32) {
    let id = frame[4..].first_chunk().map_or(0, |id| u32::from_le_bytes(*id));
    (frame[1], usize::from(u16::from_le_bytes([frame[2], frame[3]])), id)
}

fn object<const N: usize>(entries: [(&str, Value); N]) -> Map<String, Value> {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The frames as one line.
fn describe(frames: &[Vec<u8>]) -> String {
    let frames: Vec<String> = frames.iter().map(|frame| describe_frame(frame)).collect();
    frames.join(" | ")
}

fn describe_frame(frame: &[u8]) -> String {
    if frame.len() < Framing::HEADER_LEN {
        return format!("{} bytes", frame.len());
    }
    let (command, len, id) = split_header(frame);
    let body = &frame[Framing::HEADER_LEN..];
    let word = |at: usize| {
        body.get(at..).and_then(|word| word.first_chunk()).map_or(0, |word| u32::from_le_bytes(*word))
    };
    let (version, crc) = (frame[0], crc32fast::hash(body));
    match command {
        0 => format!("v{version} SYN {id}"),
        1 => format!("v{version} FIN {id}"),
        2 => format!("v{version} PSH {id} len {len} crc {crc:08x}"),
        3 => format!("v{version} NOP {id}"),
        4 => format!("v{version} UPD {id} consumed {} window {}", word(0), word(4)),
        other => format!("v{version} command {other} stream {id} len {len}"),
    }
}
