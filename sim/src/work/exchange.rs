//! Messages and their replies on one stream: what requests, keystrokes and bursts have in common.

use super::flow::Flow;
use super::streams::Streams;
use crate::Side;
use crate::ids::Stream;
use crate::outcome::Activity;
use crate::rng::below;
use crate::transport::Port;
use engine::{Entropy, Instant};
use std::collections::VecDeque;
use std::time::Duration;

/// When the next message is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// That long after the reply to the one before.
    AfterReply { think_us: u64 },
    /// Whether replies come or not: the gap is drawn between 1/8 and 15/8 of the interval, and one in sixteen is eight
    /// times longer.
    Irregular { interval_us: u64 },
}

/// A conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) message_bytes: u64,
    pub(super) reply_bytes: u64,
    pub(super) count: Option<u64>,
    pub(super) pace: Pace,
    /// Messages without reply are sent again when their stream is reset; otherwise they are lost.
    pub(super) repeats: bool,
}

/// Both ends. The unit that is counted and timed is the message: from making it to the last byte of its reply.
#[derive(Debug)]
pub(super) struct Exchange {
    terms: Terms,
    streams: Streams,
    stream: Option<Stream>,
    /// When each message was made that has no reply yet.
    under_way: VecDeque<Instant>,
    /// Replies read on this stream.
    replies: u64,
}

impl Exchange {
    pub(super) fn new(name: &str, terms: Terms, dice: Entropy) -> Self {
        let streams = Streams::new(name, dice);
        Self { terms, streams, stream: None, under_way: VecDeque::new(), replies: 0 }
    }

    pub(super) fn tick(&mut self, port: &mut dyn Port, tag: u64) {
        if self.is_last_made() {
            return;
        }
        self.streams.begun += 1;
        self.under_way.push_back(port.now());
        self.offer(port);
        if let Some(wait_us) = self.wait_us().filter(|_| !self.is_last_made()) {
            port.wake_at(port.now() + Duration::from_micros(wait_us), tag);
        }
    }

    pub(super) fn advance(&mut self, port: &mut dyn Port, stream: Stream, tag: u64) {
        if self.stream != Some(stream) {
            return;
        }
        let terms = self.terms;
        let mut replies = self.replies;
        self.streams.advance(port, stream, |flow, side| match side {
            Side::Server => terms.reply(flow),
            Side::Client => replies = flow.down.reader.read / terms.reply_bytes,
        });
        while self.replies < replies {
            self.replies += 1;
            self.replied(port, tag);
        }
        self.end_if_last(port);
    }

    pub(super) fn reset(&mut self, port: &mut dyn Port, stream: Stream) {
        if self.streams.reset(port, stream).is_none() {
            return;
        }
        self.stream = None;
        self.replies = 0;
        if !self.terms.repeats {
            self.streams.lost += self.under_way.len() as u64;
            self.under_way.clear();
        }
        if !self.under_way.is_empty() || !self.is_last_made() {
            self.offer(port);
        }
    }

    pub(super) const fn stop(&mut self) {
        self.streams.stopped = true;
    }

    pub(super) const fn is_finite(&self) -> bool {
        self.terms.count.is_some()
    }

    pub(super) fn is_done(&self) -> bool {
        self.is_last_made() && self.under_way.is_empty() && self.streams.is_empty()
    }

    pub(super) fn owed_bytes(&self) -> u64 {
        self.under_way.len() as u64 * (self.terms.message_bytes + self.terms.reply_bytes)
    }

    pub(super) fn activity(&self) -> Activity {
        self.streams.activity()
    }

    fn is_last_made(&self) -> bool {
        self.streams.stopped || self.terms.count.is_some_and(|count| self.streams.begun >= count)
    }

    /// Opens a stream if there is none and offers every message that was made.
    fn offer(&mut self, port: &mut dyn Port) {
        if self.stream.is_none() {
            self.stream = self.streams.open(port, |_| {});
        }
        let Some(stream) = self.stream else { return };
        let bytes = (self.replies + self.under_way.len() as u64) * self.terms.message_bytes;
        self.streams.advance(port, stream, |flow, _| flow.up.offered = bytes);
    }

    fn replied(&mut self, port: &mut dyn Port, tag: u64) {
        let Some(made_at) = self.under_way.pop_front() else { return };
        self.streams.note_done(port.now(), made_at);
        if let Pace::AfterReply { think_us } = self.terms.pace
            && !self.is_last_made()
        {
            port.wake_at(port.now() + Duration::from_micros(think_us), tag);
        }
    }

    fn end_if_last(&mut self, port: &mut dyn Port) {
        let over = self.is_last_made() && self.under_way.is_empty();
        if let Some(stream) = self.stream.filter(|_| over && port.side() == Side::Client) {
            self.streams.advance(port, stream, |flow, _| flow.up.ends = true);
        }
    }

    fn wait_us(&mut self) -> Option<u64> {
        match self.terms.pace {
            Pace::AfterReply { .. } => None,
            Pace::Irregular { interval_us } => {
                let dice = self.streams.dice();
                let long = below(dice, 16) == 0;
                let gap_us = interval_us / 8 + below(dice, interval_us * 14 / 8 + 1);
                Some(if long { gap_us * 8 } else { gap_us })
            }
        }
    }
}

impl Terms {
    /// The server answers every whole message, and ends when the client did.
    const fn reply(self, flow: &mut Flow) {
        flow.down.offered = flow.up.reader.read / self.message_bytes * self.reply_bytes;
        flow.down.ends = flow.up.reader.ended;
    }
}

/// Implements [`super::Application`] for a workload that is one [`Exchange`].
macro_rules! exchange_application {
    ($workload:ident) => {
        impl $crate::work::Application for $workload {
            fn tick(&mut self, port: &mut dyn $crate::transport::Port, tag: u64) {
                self.0.tick(port, tag);
            }
            fn advance(&mut self, port: &mut dyn $crate::transport::Port, stream: $crate::ids::Stream) {
                self.0.advance(port, stream, $crate::work::START);
            }
            fn reset(&mut self, port: &mut dyn $crate::transport::Port, stream: $crate::ids::Stream) {
                self.0.reset(port, stream);
            }
            fn stop(&mut self, _now: engine::Instant) {
                self.0.stop();
            }
            fn is_finite(&self) -> bool {
                self.0.is_finite()
            }
            fn is_done(&self) -> bool {
                self.0.is_done()
            }
            fn owed_bytes(&self) -> u64 {
                self.0.owed_bytes()
            }
            fn outcome(&self) -> $crate::outcome::WorkOutcome {
                $crate::outcome::WorkOutcome::$workload(self.0.activity())
            }
        }
    };
}
pub(super) use exchange_application;
