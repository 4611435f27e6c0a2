use super::streams::Streams;
use super::{Application, START};
use crate::Side;
use crate::ids::Stream;
use crate::outcome::WorkOutcome;
use crate::plan::HalfClosePlan;
use crate::transport::Port;
use engine::{Entropy, Instant};
use std::time::Duration;

/// Both ends. The unit is the request: from opening its stream to the end of the whole reply. One whose stream is reset is
/// made again.
#[derive(Debug)]
pub struct HalfClose {
    plan: HalfClosePlan,
    streams: Streams,
    stream: Option<Stream>,
    began_at: Instant,
    reply_at: Option<Instant>,
}

const REPLY: u64 = 1;

impl HalfClose {
    /// Both sides before the first request.
    pub fn new(name: &str, plan: &HalfClosePlan, dice: Entropy) -> Self {
        let streams = Streams::new(name, dice);
        Self { plan: *plan, streams, stream: None, began_at: Instant::ZERO, reply_at: None }
    }

    fn request(&mut self, port: &mut dyn Port) {
        let bytes = self.plan.request_bytes;
        self.reply_at = None;
        self.stream = self.streams.open(port, |flow| {
            flow.up.offered = bytes;
            flow.up.ends = true;
        });
    }

    fn is_last_begun(&self) -> bool {
        self.streams.stopped || self.streams.begun >= self.plan.count
    }

    fn plan_reply(&mut self, port: &mut dyn Port) {
        if self.reply_at.is_none() {
            let at = port.now() + Duration::from_micros(self.plan.response_after_us);
            self.reply_at = Some(at);
            port.wake_at(at, REPLY);
        }
    }

    fn next(&mut self, port: &mut dyn Port) {
        self.streams.note_done(port.now(), self.began_at);
        self.stream = None;
        if !self.is_last_begun() {
            port.wake_at(port.now(), START);
        }
    }
}

impl Application for HalfClose {
    fn tick(&mut self, port: &mut dyn Port, tag: u64) {
        if tag == START && !self.is_last_begun() && self.stream.is_none() {
            self.streams.begun += 1;
            self.began_at = port.now();
            self.request(port);
        }
        if let (REPLY, Some(stream)) = (tag, self.stream) {
            self.advance(port, stream);
        }
    }

    fn advance(&mut self, port: &mut dyn Port, stream: Stream) {
        if self.stream != Some(stream) {
            // The client has the whole reply; the server's end may still be reading.
            self.streams.advance(port, stream, |_, _| {});
            return;
        }
        let due = self.reply_at.is_some_and(|at| at <= port.now());
        let bytes = self.plan.response_bytes;
        let (mut asked, mut whole) = (false, false);
        self.streams.advance(port, stream, |flow, side| match side {
            Side::Server if due => (flow.down.offered, flow.down.ends) = (bytes, true),
            Side::Server => asked = flow.up.reader.ended,
            Side::Client => whole = flow.down.reader.ended,
        });
        if asked {
            self.plan_reply(port);
        }
        if whole {
            self.next(port);
        }
    }

    fn reset(&mut self, port: &mut dyn Port, stream: Stream) {
        let gone = self.streams.reset(port, stream).is_some();
        if self.stream != Some(stream) {
            return;
        }
        // A server that starts from nothing has not been asked yet.
        if let Some(flow) = self.streams.flow(stream) {
            (flow.down.offered, flow.down.ends) = (0, false);
        }
        self.reply_at = None;
        if gone {
            self.request(port);
        }
    }

    fn stop(&mut self, _now: Instant) {
        self.streams.stopped = true;
    }

    fn is_finite(&self) -> bool {
        true
    }

    fn is_done(&self) -> bool {
        self.is_last_begun() && self.streams.is_empty()
    }

    fn owed_bytes(&self) -> u64 {
        (self.streams.begun - self.streams.done) * (self.plan.request_bytes + self.plan.response_bytes)
    }

    fn outcome(&self) -> WorkOutcome {
        WorkOutcome::HalfClose(self.streams.activity())
    }
}
