use super::flow::Flow;
use super::{Application, Pattern, START};
use crate::Side;
use crate::ids::Stream;
use crate::outcome::{EchoOutcome, Latency, WorkOutcome};
use crate::plan::{Content, EchoPlan};
use crate::transport::Port;
use engine::{Entropy, Instant};
use std::collections::VecDeque;
use std::time::Duration;

/// Both ends of an echo. Messages that are under way when the stream is reset are lost; the next ones go on another stream.
///
/// The latency of a message runs from the tick that made it to the moment its last byte came back, so time during which
/// it waited for room to be written counts too.
#[derive(Debug)]
pub struct Echo {
    name: String,
    plan: EchoPlan,
    dice: Entropy,
    stream: Option<(Stream, Flow)>,
    stopped: bool,
    under_way: VecDeque<(u64, Instant)>,
    sent: u64,
    lost: u64,
    streams_reset: u64,
    /// Bytes written, and read, on streams that were reset.
    written_before: u64,
    read_before: u64,
    latency: Latency,
}

impl Echo {
    /// An echo that has not started.
    pub fn new(name: &str, plan: &EchoPlan, dice: Entropy) -> Self {
        Self {
            name: name.into(),
            plan: *plan,
            dice,
            stream: None,
            stopped: false,
            under_way: VecDeque::new(),
            sent: 0,
            lost: 0,
            streams_reset: 0,
            written_before: 0,
            read_before: 0,
            latency: Latency::default(),
        }
    }

    /// What comes back is what went out, so both directions carry the same pattern.
    fn open(&mut self, port: &mut dyn Port) {
        let Some(stream) = port.open() else { return };
        let pattern = Pattern::new(Content::Random, self.dice.clone());
        self.stream = Some((stream, Flow::new(pattern.clone(), pattern, port.now())));
    }
}

impl Application for Echo {
    fn tick(&mut self, port: &mut dyn Port, _tag: u64) {
        if self.stopped {
            return;
        }
        if self.stream.is_none() {
            self.open(port);
        }
        self.sent += 1;
        if let Some((stream, flow)) = &mut self.stream {
            let stream = *stream;
            flow.up.offered += u64::from(self.plan.message_bytes);
            self.under_way.push_back((flow.up.offered, port.now()));
            self.advance(port, stream);
        }
        port.wake_at(port.now() + Duration::from_micros(self.plan.interval_us), START);
    }

    fn advance(&mut self, port: &mut dyn Port, stream: Stream) {
        let Some((_, flow)) = self.stream.as_mut().filter(|(known, _)| *known == stream) else { return };
        flow.advance(port, stream);
        match port.side() {
            Side::Client => {
                let read = flow.down.reader.read;
                while let Some((_, made_at)) = self.under_way.pop_front_if(|(end, _)| *end <= read) {
                    self.latency.record(port.now().since(made_at));
                }
                flow.up.ends = self.stopped && self.under_way.is_empty();
            }
            Side::Server => {
                flow.down.offered = flow.up.reader.read;
                flow.down.ends = flow.up.reader.ended;
            }
        }
        flow.advance(port, stream);
    }

    fn reset(&mut self, port: &mut dyn Port, stream: Stream) {
        let Some((_, flow)) = self.stream.as_mut().filter(|(known, _)| *known == stream) else { return };
        if flow.is_over() {
            return;
        }
        if port.side() == Side::Server {
            return flow.restart_server();
        }
        self.written_before += flow.up.writer.written;
        self.read_before += flow.down.reader.read;
        self.stream = None;
        self.streams_reset += 1;
        self.lost += self.under_way.drain(..).count() as u64;
        self.dice = self.dice.fork();
    }

    fn stop(&mut self, _now: Instant) {
        self.stopped = true;
    }

    fn is_finite(&self) -> bool {
        false
    }

    fn is_done(&self) -> bool {
        self.stopped && self.stream.as_ref().is_none_or(|(_, flow)| flow.is_over())
    }

    fn owed_bytes(&self) -> u64 {
        2 * self.under_way.len() as u64 * u64::from(self.plan.message_bytes)
    }

    fn outcome(&self) -> WorkOutcome {
        let flow = self.stream.as_ref().map(|(_, flow)| flow);
        WorkOutcome::Echo(EchoOutcome {
            name: self.name.clone(),
            message_bytes: self.plan.message_bytes,
            interval_us: self.plan.interval_us,
            sent: self.sent,
            received: self.sent - self.lost - self.under_way.len() as u64,
            bytes_written: self.written_before + flow.map_or(0, |flow| flow.up.writer.written),
            bytes_read: self.read_before + flow.map_or(0, |flow| flow.down.reader.read),
            latency_us: self.latency.percentiles(),
            streams_reset: self.streams_reset,
        })
    }
}
