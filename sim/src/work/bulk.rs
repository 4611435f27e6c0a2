use super::flow::Flow;
use super::{Application, Pattern};
use crate::ids::Stream;
use crate::outcome::{BulkOutcome, WorkOutcome};
use crate::plan::BulkPlan;
use crate::transport::Port;
use crate::{Direction, Side};
use engine::{Entropy, Instant};

/// Both ends of a transfer. The writer ends the stream after the last byte, the reader when it has read that end. When the
/// stream is reset, another one carries what is missing.
#[derive(Debug)]
pub struct Bulk {
    name: String,
    plan: BulkPlan,
    dice: Entropy,
    stream: Option<(Stream, Flow)>,
    /// When the sources stopped, and the bytes read until then.
    stopped: Option<(Instant, u64)>,
    /// Bytes read, and written, on streams that were reset.
    read_before: u64,
    written_before: u64,
    streams_reset: u64,
    started_at: Option<Instant>,
    last_read_at: Option<Instant>,
}

impl Bulk {
    /// A transfer that has not started.
    pub fn new(name: &str, plan: &BulkPlan, dice: Entropy) -> Self {
        Self {
            name: name.into(),
            plan: *plan,
            dice,
            stream: None,
            stopped: None,
            read_before: 0,
            written_before: 0,
            streams_reset: 0,
            started_at: None,
            last_read_at: None,
        }
    }

    fn open(&mut self, port: &mut dyn Port) {
        let Some(stream) = port.open() else { return };
        let pattern = Pattern::new(self.plan.content, self.dice.clone());
        let mut flow = Flow::new(pattern.clone(), pattern, port.now());
        let half = flow.half(self.plan.direction);
        half.reader.tampered_at = self.plan.tampered_at.filter(|_| self.streams_reset == 0);
        half.offered = match (self.stopped.is_some(), self.plan.bytes) {
            (_, Some(bytes)) => bytes.saturating_sub(self.read_before),
            (false, None) => u64::MAX,
            (true, None) => 0,
        };
        half.ends = self.stopped.is_some() || self.plan.bytes.is_some();
        self.stream = Some((stream, flow));
        self.advance(port, stream);
    }

    fn is_complete(&self) -> bool {
        let Some((_, flow)) = &self.stream else { return false };
        let half = if self.plan.direction == Direction::Up { &flow.up } else { &flow.down };
        // More when a server that came back read again what it had read before.
        let all = self.plan.bytes.is_none_or(|bytes| bytes <= self.read_before + half.reader.read);
        half.reader.ended && half.reader.read == half.writer.written && all
    }

    /// An endless transfer that was to start after the sources stopped.
    const fn never_started(&self) -> bool {
        self.stopped.is_some() && self.stream.is_none() && self.plan.bytes.is_none()
    }

    /// Bytes, and when the last of them was read, that goodput counts. An endless transfer is measured until the sources
    /// stop: after that its buffers drain, which is no transfer at the rate of the path.
    fn measured(&self) -> (u64, Option<Instant>) {
        match (self.plan.bytes, self.stopped) {
            (None, Some((at, bytes_read))) => (bytes_read, Some(at)),
            _ => (self.moved().0, self.last_read_at),
        }
    }

    /// Bytes read and written on all streams.
    fn moved(&self) -> (u64, u64) {
        let (read, written) = self.stream.as_ref().map_or((0, 0), |(_, flow)| match self.plan.direction {
            Direction::Up => (flow.up.reader.read, flow.up.writer.written),
            Direction::Down => (flow.down.reader.read, flow.down.writer.written),
        });
        (self.read_before + read, self.written_before + written)
    }
}

impl Application for Bulk {
    fn tick(&mut self, port: &mut dyn Port, _tag: u64) {
        if self.stopped.is_none() || self.plan.bytes.is_some() {
            self.started_at = Some(port.now());
            self.open(port);
        }
    }

    fn advance(&mut self, port: &mut dyn Port, stream: Stream) {
        let direction = self.plan.direction;
        let Some((_, flow)) = self.stream.as_mut().filter(|(known, _)| *known == stream) else { return };
        let half = flow.half(direction);
        if self.stopped.is_some() && !half.ends {
            (half.offered, half.ends) = (half.writer.written, true);
        }
        let before = half.reader.read;
        flow.advance(port, stream);
        let half = flow.half(direction);
        if half.reader.read > before {
            self.last_read_at = Some(port.now());
        }
        if half.reader.ended && port.side() == direction.receiver() {
            flow.half(direction.opposite()).ends = true;
            flow.advance(port, stream);
        }
    }

    fn reset(&mut self, port: &mut dyn Port, stream: Stream) {
        let direction = self.plan.direction;
        let Some((_, flow)) = self.stream.as_mut().filter(|(known, _)| *known == stream) else { return };
        if flow.is_over() {
            return;
        }
        let half = flow.half(direction);
        let (read, written) = (half.reader.read, half.writer.written);
        if port.side() == Side::Server {
            if direction == Direction::Up {
                self.read_before += read;
            }
            return flow.restart_server();
        }
        self.read_before += read;
        self.written_before += written;
        self.streams_reset += 1;
        self.dice = self.dice.fork();
        self.open(port);
    }

    fn stop(&mut self, now: Instant) {
        self.stopped = Some((now, self.moved().0));
    }

    fn is_finite(&self) -> bool {
        self.plan.bytes.is_some()
    }

    fn is_done(&self) -> bool {
        let over = self.stream.as_ref().is_some_and(|(_, flow)| flow.is_over());
        self.never_started() || (over && self.is_complete())
    }

    fn owed_bytes(&self) -> u64 {
        let (read, written) = self.moved();
        self.plan.bytes.unwrap_or(written).saturating_sub(read)
    }

    fn outcome(&self) -> WorkOutcome {
        let us = |at: Option<Instant>| at.map_or(0, Instant::as_micros);
        let (start_us, end_us) = (us(self.started_at), us(self.last_read_at));
        let (bytes_read, bytes_written) = self.moved();
        let (measured_bytes, measured_until) = self.measured();
        let measured_us = us(measured_until.filter(|_| self.started_at.is_some())).saturating_sub(start_us);
        WorkOutcome::Bulk(BulkOutcome {
            name: self.name.clone(),
            direction: self.plan.direction,
            bytes_written,
            bytes_read,
            complete: self.never_started() || self.is_complete(),
            start_us,
            end_us,
            measured_bytes,
            measured_us,
            goodput_kbit: (measured_bytes * 8_000).checked_div(measured_us).unwrap_or(0),
            streams_reset: self.streams_reset,
        })
    }
}
