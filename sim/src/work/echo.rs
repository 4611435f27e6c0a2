use super::halves::{Reader, Writer, finish};
use super::{Application, Content, Pattern};
use crate::Side;
use crate::checks::Rule;
use crate::host::Port;
use crate::outcome::{EchoOutcome, Latency, WorkOutcome};
use engine::mux::{ReadError, WriteError};
use engine::{Entropy, Instant, StreamId};
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
    stream: Option<StreamId>,
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

    fn advance_client(&mut self, port: &mut Port<'_>, id: StreamId) {
        self.writer.write_up_to(port, id, self.offered);
        self.reader.read_all(port, id);
        while let Some((_, made_at)) = self.under_way.pop_front_if(|(end, _)| *end <= self.reader.read) {
            self.latency.record(port.now().since(made_at));
        }
        if self.stopped && self.under_way.is_empty() {
            self.writer.finish(port, id);
        }
    }
}

impl Application for Echo {
    fn tick(&mut self, port: &mut Port<'_>) -> Option<Instant> {
        if self.stopped {
            return None;
        }
        if self.stream.is_none() {
            self.stream = port.open_stream();
        }
        self.offered += u64::from(self.plan.message_bytes);
        self.sent += 1;
        self.under_way.push_back((self.offered, port.now()));
        self.advance(port);
        Some(port.now() + Duration::from_micros(self.plan.interval_us))
    }

    fn advance(&mut self, port: &mut Port<'_>) {
        let Some(id) = self.stream else { return };
        match port.side() {
            Side::Client => self.advance_client(port, id),
            Side::Server => self.mirror.advance(port, id),
        }
    }

    fn stop(&mut self) {
        self.stopped = true;
    }

    fn is_finite(&self) -> bool {
        false
    }

    fn is_done(&self) -> bool {
        self.stopped && (self.stream.is_none() || (self.reader.ended && self.mirror.finished))
    }

    fn stream(&self) -> Option<StreamId> {
        self.stream
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

    fn advance(&mut self, port: &mut Port<'_>, id: StreamId) {
        loop {
            let progress = self.read(port, id) | self.write(port, id);
            if self.ended && self.held.is_empty() && !self.finished {
                self.finished = true;
                finish(port, id);
            }
            if !progress {
                return;
            }
        }
    }

    fn read(&mut self, port: &mut Port<'_>, id: StreamId) -> bool {
        let room = Self::HELD_BYTES_MAX - self.held.len();
        if self.ended || room == 0 {
            return false;
        }
        match port.peek(id) {
            Ok([]) => {
                self.ended = true;
                false
            }
            Ok(bytes) => {
                let n = bytes.len().min(room);
                self.held.extend(&bytes[..n]);
                port.consume(id, n);
                true
            }
            Err(ReadError::Blocked) => false,
            Err(error) => {
                port.violate(Rule::Stream, format!("read on stream {}: {error}", id.0));
                false
            }
        }
    }

    fn write(&mut self, port: &mut Port<'_>, id: StreamId) -> bool {
        if self.held.is_empty() {
            return false;
        }
        match port.write(id, self.held.make_contiguous()) {
            Ok(0) => {
                port.violate(Rule::Stream, format!("stream {} took nothing, unblocked", id.0));
                false
            }
            Ok(n) => {
                self.held.drain(..n);
                true
            }
            Err(WriteError::Blocked) => false,
            Err(error) => {
                port.violate(Rule::Stream, format!("write on stream {}: {error}", id.0));
                false
            }
        }
    }
}
