use super::halves::{Reader, Writer, finish};
use super::{Application, Content, Pattern, START};
use crate::Side;
use crate::checks::Rule;
use crate::host::{Port, Stream};
use crate::outcome::{EchoOutcome, Latency, WorkOutcome};
use engine::mux::{ReadError, WriteError};
use engine::{Entropy, Instant};
use std::collections::VecDeque;
use std::time::Duration;

/// Small messages at an interval, each sent back by the server.
#[derive(Clone, Copy, Debug)]
pub struct EchoPlan {
    /// Bytes per message.
    pub message_bytes: u32,
    /// Time between two messages, microseconds.
    pub interval_us: u64,
}

/// Both ends of an echo.
///
/// The latency of a message runs from the tick that made it to the moment its last byte came back, so time during which
/// it waited for room to be written counts too.
#[derive(Debug)]
pub struct Echo {
    name: String,
    plan: EchoPlan,
    stream: Option<Stream>,
    stopped: bool,
    writer: Writer,
    reader: Reader,
    offered: u64,
    under_way: VecDeque<(u64, Instant)>,
    sent: u64,
    latency: Latency,
    mirror: Mirror,
}

impl Echo {
    /// An echo that has not started.
    pub fn new(name: &str, plan: &EchoPlan, dice: Entropy) -> Self {
        let pattern = Pattern::new(Content::Random, dice);
        Self {
            name: name.into(),
            plan: *plan,
            stream: None,
            stopped: false,
            writer: Writer::new(pattern.clone()),
            reader: Reader::new(pattern),
            offered: 0,
            under_way: VecDeque::new(),
            sent: 0,
            latency: Latency::default(),
            mirror: Mirror::default(),
        }
    }

    fn advance_client(&mut self, port: &mut dyn Port, stream: Stream) {
        self.writer.write_up_to(port, stream, self.offered);
        self.reader.read_all(port, stream);
        while let Some((_, made_at)) = self.under_way.pop_front_if(|(end, _)| *end <= self.reader.read) {
            self.latency.record(port.now().since(made_at));
        }
        if self.stopped && self.under_way.is_empty() {
            self.writer.finish(port, stream);
        }
    }
}

impl Application for Echo {
    fn tick(&mut self, port: &mut dyn Port, _tag: u64) {
        if self.stopped {
            return;
        }
        if self.stream.is_none() {
            self.stream = port.open();
        }
        self.offered += u64::from(self.plan.message_bytes);
        self.sent += 1;
        self.under_way.push_back((self.offered, port.now()));
        if let Some(stream) = self.stream {
            self.advance(port, stream);
        }
        port.wake_at(port.now() + Duration::from_micros(self.plan.interval_us), START);
    }

    fn advance(&mut self, port: &mut dyn Port, stream: Stream) {
        match port.side() {
            Side::Client => self.advance_client(port, stream),
            Side::Server => self.mirror.advance(port, stream),
        }
    }

    fn reset(&mut self, _port: &mut dyn Port, _stream: Stream) {}

    fn stop(&mut self) {
        self.stopped = true;
    }

    fn is_finite(&self) -> bool {
        false
    }

    fn is_done(&self) -> bool {
        self.stopped && (self.stream.is_none() || (self.reader.ended && self.mirror.finished))
    }

    fn outcome(&self) -> WorkOutcome {
        WorkOutcome::Echo(EchoOutcome {
            name: self.name.clone(),
            message_bytes: self.plan.message_bytes,
            interval_us: self.plan.interval_us,
            sent: self.sent,
            received: self.sent - self.under_way.len() as u64,
            bytes_written: self.writer.written,
            bytes_read: self.reader.read,
            latency_us: self.latency.percentiles(),
        })
    }
}

/// The server's end: writes back what it reads, and reads no more than it can write back.
#[derive(Debug, Default)]
struct Mirror {
    held: VecDeque<u8>,
    ended: bool,
    finished: bool,
}

impl Mirror {
    const HELD_BYTES_MAX: usize = 64 * 1024;

    fn advance(&mut self, port: &mut dyn Port, stream: Stream) {
        loop {
            let progress = self.read(port, stream) | self.write(port, stream);
            if self.ended && self.held.is_empty() && !self.finished {
                self.finished = true;
                finish(port, stream);
            }
            if !progress {
                return;
            }
        }
    }

    fn read(&mut self, port: &mut dyn Port, stream: Stream) -> bool {
        let room = Self::HELD_BYTES_MAX - self.held.len();
        if self.ended || room == 0 {
            return false;
        }
        match port.peek(stream) {
            Ok([]) => {
                self.ended = true;
                false
            }
            Ok(bytes) => {
                let n = bytes.len().min(room);
                self.held.extend(&bytes[..n]);
                port.consume(stream, n);
                true
            }
            Err(ReadError::Blocked) => false,
            Err(error) => {
                port.violate(Rule::Stream, format!("read on stream {stream}: {error}"));
                false
            }
        }
    }

    fn write(&mut self, port: &mut dyn Port, stream: Stream) -> bool {
        if self.held.is_empty() {
            return false;
        }
        match port.write(stream, self.held.make_contiguous()) {
            Ok(0) => {
                port.violate(Rule::Stream, format!("stream {stream} took nothing, unblocked"));
                false
            }
            Ok(n) => {
                self.held.drain(..n);
                true
            }
            Err(WriteError::Blocked) => false,
            Err(error) => {
                port.violate(Rule::Stream, format!("write on stream {stream}: {error}"));
                false
            }
        }
    }
}
