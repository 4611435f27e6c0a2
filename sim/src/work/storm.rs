use super::streams::Streams;
use super::{Application, START};
use crate::Side;
use crate::ids::Stream;
use crate::outcome::WorkOutcome;
use crate::plan::StormPlan;
use crate::transport::Port;
use engine::{Entropy, Instant};
use std::collections::VecDeque;
use std::time::Duration;

/// Both ends. The client closes without waiting for anything; the server must still get every byte and the end. The unit
/// is the stream: from opening it to the moment the server read its end.
#[derive(Debug)]
pub struct Storm {
    plan: StormPlan,
    streams: Streams,
    open: VecDeque<Stream>,
}

impl Storm {
    /// Nothing opened yet.
    pub fn new(name: &str, plan: &StormPlan, dice: Entropy) -> Self {
        Self { plan: *plan, streams: Streams::new(name, dice), open: VecDeque::new() }
    }

    fn all_begun(&self) -> bool {
        self.streams.stopped || self.streams.begun >= self.plan.count
    }

    fn close_oldest(&mut self, port: &mut dyn Port, keep: u64) {
        while self.open.len() as u64 > keep {
            let Some(stream) = self.open.pop_front() else { return };
            port.close(stream);
            // What the tunnel had no room for is not sent any more, and nothing is read on this side.
            if let Some(flow) = self.streams.flow(stream) {
                flow.up.offered = flow.up.writer.written;
                flow.up.writer.finished = true;
                flow.down.reader.ended = true;
            }
        }
    }
}

impl Application for Storm {
    fn tick(&mut self, port: &mut dyn Port, _tag: u64) {
        if self.all_begun() {
            return self.close_oldest(port, 0);
        }
        self.streams.begun += 1;
        let bytes = self.plan.bytes;
        let opened = self.streams.open(port, |flow| flow.up.offered = bytes);
        self.open.extend(opened);
        self.close_oldest(port, self.plan.open_max);
        port.wake_at(port.now() + Duration::from_micros(self.plan.interval_us), START);
    }

    fn advance(&mut self, port: &mut dyn Port, stream: Stream) {
        let Some(began_at) = self.streams.flow(stream).map(|flow| flow.opened_at) else { return };
        let over = self.streams.advance(port, stream, |flow, side| {
            if side == Side::Server {
                flow.down.ends = flow.up.reader.ended;
            }
        });
        if over {
            self.streams.note_done(port.now(), began_at);
        }
    }

    fn reset(&mut self, port: &mut dyn Port, stream: Stream) {
        if self.streams.reset(port, stream).is_some() {
            self.open.retain(|&open| open != stream);
            self.streams.lost += 1;
        }
    }

    fn stop(&mut self, _now: Instant) {
        self.streams.stopped = true;
    }

    fn is_finite(&self) -> bool {
        true
    }

    fn is_done(&self) -> bool {
        self.all_begun() && self.open.is_empty() && self.streams.is_empty()
    }

    fn owed_bytes(&self) -> u64 {
        self.streams.owed_bytes()
    }

    fn outcome(&self) -> WorkOutcome {
        WorkOutcome::Storm(self.streams.activity())
    }
}
