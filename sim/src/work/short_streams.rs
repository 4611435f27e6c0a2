use super::fetch::Fetch;
use super::streams::Streams;
use super::{Application, START};
use crate::Side;
use crate::ids::Stream;
use crate::outcome::WorkOutcome;
use crate::plan::ShortStreamsPlan;
use crate::transport::Port;
use engine::{Entropy, Instant};
use std::time::Duration;

/// Both ends of all of them. A stream that is reset is not tried again: another follows soon.
#[derive(Debug)]
pub struct ShortStreams {
    plan: ShortStreamsPlan,
    streams: Streams,
}

impl ShortStreams {
    /// None opened yet.
    pub fn new(name: &str, plan: &ShortStreamsPlan, dice: Entropy) -> Self {
        Self { plan: *plan, streams: Streams::new(name, dice) }
    }

    fn fetch(&self) -> Fetch {
        Fetch {
            request_bytes: self.plan.request_bytes,
            reply_bytes: self.plan.response_bytes,
            proxy: self.plan.proxy,
        }
    }

    fn all_begun(&self) -> bool {
        self.streams.stopped || self.plan.count.is_some_and(|count| self.streams.begun >= count)
    }
}

impl Application for ShortStreams {
    fn tick(&mut self, port: &mut dyn Port, _tag: u64) {
        if self.all_begun() {
            return;
        }
        let fetch = self.fetch();
        self.streams.begun += 1;
        self.streams.open(port, |flow| fetch.begin(flow));
        if !self.all_begun() {
            port.wake_at(port.now() + Duration::from_micros(self.plan.interval_us), START);
        }
    }

    fn advance(&mut self, port: &mut dyn Port, stream: Stream) {
        let fetch = self.fetch();
        let Some(began_at) = self.streams.flow(stream).map(|flow| flow.opened_at) else { return };
        let mut whole = false;
        self.streams.advance(port, stream, |flow, side| {
            let ended = flow.down.reader.ended;
            whole = side == Side::Client && ended && !flow.up.ends;
            fetch.react(flow, side);
        });
        if whole {
            self.streams.note_done(port.now(), began_at);
        }
    }

    fn reset(&mut self, port: &mut dyn Port, stream: Stream) {
        if self.streams.reset(port, stream).is_some_and(|flow| !flow.up.ends) {
            self.streams.lost += 1;
        }
    }

    fn stop(&mut self, _now: Instant) {
        self.streams.stopped = true;
    }

    fn is_finite(&self) -> bool {
        self.plan.count.is_some()
    }

    fn is_done(&self) -> bool {
        self.all_begun() && self.streams.is_empty()
    }

    fn owed_bytes(&self) -> u64 {
        let open = self.streams.begun - self.streams.done - self.streams.lost;
        open * (self.plan.request_bytes + self.plan.response_bytes)
    }

    fn outcome(&self) -> WorkOutcome {
        WorkOutcome::ShortStreams(self.streams.activity())
    }
}
