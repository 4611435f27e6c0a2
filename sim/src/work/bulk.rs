use super::halves::{Reader, Writer, finish, read_nothing};
use super::{Application, Content, Pattern};
use crate::Direction;
use crate::host::{Port, Stream};
use crate::outcome::{BulkOutcome, WorkOutcome};
use engine::{Entropy, Instant};

/// A transfer in one direction.
#[derive(Clone, Debug)]
pub struct BulkPlan {
    /// Which way the bytes go.
    pub direction: Direction,
    /// How many; `None` is as many as fit until the sources stop.
    pub bytes: Option<u64>,
    /// What they are like.
    pub content: Content,
    /// The receiver expects another byte at this offset: tests use it to prove that the comparison can fail. Scenario
    /// files cannot set it.
    pub tampered_at: Option<u64>,
}

/// Both ends of a transfer. The writer ends the stream after the last byte, the reader when it has read that end.
#[derive(Debug)]
pub struct Bulk {
    name: String,
    direction: Direction,
    bytes: Option<u64>,
    stream: Option<Stream>,
    stopped: bool,
    writer: Writer,
    reader: Reader,
    reader_finished: bool,
    writer_ended: bool,
    started_at: Option<Instant>,
    last_read_at: Option<Instant>,
}

impl Bulk {
    /// A transfer that has not started.
    pub fn new(name: &str, plan: &BulkPlan, dice: Entropy) -> Self {
        let pattern = Pattern::new(plan.content, dice);
        Self {
            name: name.into(),
            direction: plan.direction,
            bytes: plan.bytes,
            stream: None,
            stopped: false,
            writer: Writer::new(pattern.clone()),
            reader: Reader::new(pattern).tampered(plan.tampered_at),
            reader_finished: false,
            writer_ended: false,
            started_at: None,
            last_read_at: None,
        }
    }

    fn advance_writer(&mut self, port: &mut dyn Port, stream: Stream) {
        let limit = if self.stopped { 0 } else { self.bytes.unwrap_or(u64::MAX) };
        self.writer.write_up_to(port, stream, limit);
        if self.writer.written >= limit {
            self.writer.finish(port, stream);
        }
        if !self.writer_ended {
            self.writer_ended = read_nothing(port, stream);
        }
    }

    fn advance_reader(&mut self, port: &mut dyn Port, stream: Stream) {
        let before = self.reader.read;
        self.reader.read_all(port, stream);
        if self.reader.read > before {
            self.last_read_at = Some(port.now());
        }
        if self.reader.ended && !self.reader_finished {
            self.reader_finished = true;
            finish(port, stream);
        }
    }

    fn is_complete(&self) -> bool {
        self.reader.ended
            && self.reader.read == self.writer.written
            && self.bytes.is_none_or(|bytes| bytes == self.reader.read)
    }
}

impl Application for Bulk {
    fn tick(&mut self, port: &mut dyn Port, _tag: u64) {
        if self.stopped {
            return;
        }
        self.started_at = Some(port.now());
        self.stream = port.open();
        if let Some(stream) = self.stream {
            self.advance(port, stream);
        }
    }

    fn advance(&mut self, port: &mut dyn Port, stream: Stream) {
        if port.side() == self.direction.sender() {
            self.advance_writer(port, stream);
        } else {
            self.advance_reader(port, stream);
        }
    }

    fn reset(&mut self, _port: &mut dyn Port, _stream: Stream) {}

    fn stop(&mut self) {
        self.stopped = true;
    }

    fn is_finite(&self) -> bool {
        self.bytes.is_some()
    }

    fn is_done(&self) -> bool {
        let never_started = self.stopped && self.stream.is_none() && self.bytes.is_none();
        never_started || (self.is_complete() && self.reader_finished && self.writer_ended)
    }

    fn outcome(&self) -> WorkOutcome {
        let us = |at: Option<Instant>| at.map_or(0, Instant::as_micros);
        let (start_us, end_us) = (us(self.started_at), us(self.last_read_at));
        let elapsed_us = end_us.saturating_sub(start_us);
        WorkOutcome::Bulk(BulkOutcome {
            name: self.name.clone(),
            direction: self.direction.name().into(),
            bytes_written: self.writer.written,
            bytes_read: self.reader.read,
            complete: self.is_complete(),
            start_us,
            end_us,
            goodput_kbit: (self.reader.read * 8_000).checked_div(elapsed_us).unwrap_or(0),
        })
    }
}
