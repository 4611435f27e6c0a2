use super::streams::Streams;
use super::{Application, START};
use crate::ids::Stream;
use crate::outcome::{Latency, PerDirection, WorkOutcome};
use crate::plan::GameTicksPlan;
use crate::transport::Port;
use crate::{Direction, Side};
use engine::{Entropy, Instant};
use std::collections::VecDeque;
use std::time::Duration;

/// Both ends of one stream. The unit is the message in either direction; messages whose stream is reset are lost.
#[derive(Debug)]
pub struct GameTicks {
    plan: GameTicksPlan,
    streams: Streams,
    stream: Option<Stream>,
    up: Lane,
    down: Lane,
    server_ticks: bool,
}

/// The messages of one direction.
#[derive(Debug, Default)]
struct Lane {
    bytes: u64,
    /// Where each message ends that was not read, and when it was made.
    under_way: VecDeque<(u64, Instant)>,
    latency: Latency,
}

impl GameTicks {
    /// Nothing sent yet.
    pub fn new(name: &str, plan: &GameTicksPlan, dice: Entropy) -> Self {
        let streams = Streams::new(name, dice);
        let (up, down) = (Lane::new(plan.up_bytes), Lane::new(plan.down_bytes));
        Self { plan: *plan, streams, stream: None, up, down, server_ticks: false }
    }

    fn make(&mut self, port: &mut dyn Port, stream: Stream) {
        let direction = port.side().sends();
        let Some(flow) = self.streams.flow(stream) else { return };
        let lane = if direction == Direction::Up { &mut self.up } else { &mut self.down };
        let half = flow.half(direction);
        half.offered += lane.bytes;
        lane.under_way.push_back((half.offered, port.now()));
        self.streams.begun += 1;
        self.advance(port, stream);
    }

    fn note_read(&mut self, now: Instant, up: u64, down: u64) {
        for (lane, read) in [(&mut self.up, up), (&mut self.down, down)] {
            while let Some((_, made_at)) = lane.under_way.pop_front_if(|(end, _)| *end <= read) {
                lane.latency.record(now.since(made_at));
                self.streams.note_done(now, made_at);
            }
        }
    }
}

impl Lane {
    fn new(bytes: u64) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// Forgets what is under way; how many.
    fn lose(&mut self) -> u64 {
        self.under_way.drain(..).count() as u64
    }
}

impl Application for GameTicks {
    fn tick(&mut self, port: &mut dyn Port, _tag: u64) {
        if self.streams.stopped {
            return;
        }
        if self.stream.is_none() && port.side() == Side::Client {
            self.stream = self.streams.open(port, |_| {});
        }
        if let Some(stream) = self.stream.filter(|&stream| port.has(stream)) {
            self.make(port, stream);
        }
        port.wake_at(port.now() + Duration::from_micros(self.plan.interval_us), START);
    }

    fn advance(&mut self, port: &mut dyn Port, stream: Stream) {
        if port.side() == Side::Server && !self.server_ticks && !self.streams.stopped {
            self.server_ticks = true;
            port.wake_at(port.now(), START);
        }
        let ends = self.streams.stopped;
        let (mut up, mut down) = (0, 0);
        self.streams.advance(port, stream, |flow, side| {
            flow.half(side.sends()).ends = ends;
            (up, down) = (flow.up.reader.read, flow.down.reader.read);
        });
        if self.stream == Some(stream) {
            self.note_read(port.now(), up, down);
        }
    }

    fn reset(&mut self, port: &mut dyn Port, stream: Stream) {
        let gone = self.streams.reset(port, stream).is_some();
        if self.stream != Some(stream) {
            return;
        }
        if gone {
            self.streams.lost += self.up.lose() + self.down.lose();
            self.stream = None;
        } else if let Some(flow) = self.streams.flow(stream) {
            flow.down.offered = 0;
            self.streams.lost += self.down.lose();
        }
    }

    fn stop(&mut self, _now: Instant) {
        self.streams.stopped = true;
    }

    fn is_finite(&self) -> bool {
        false
    }

    fn is_done(&self) -> bool {
        self.streams.stopped && self.streams.is_empty()
    }

    fn owed_bytes(&self) -> u64 {
        self.streams.owed_bytes()
    }

    fn outcome(&self) -> WorkOutcome {
        let mut activity = self.streams.activity();
        activity.one_way_us =
            Some(PerDirection { up: self.up.latency.percentiles(), down: self.down.latency.percentiles() });
        WorkOutcome::GameTicks(activity)
    }
}
