//! What all workloads of many streams or messages share: their flows, their dice, and what was counted.

use super::Pattern;
use super::flow::Flow;
use crate::Side;
use crate::ids::Stream;
use crate::outcome::{Activity, Latency, PerDirection};
use crate::plan::Content;
use crate::transport::Port;
use engine::{Entropy, Instant};
use std::collections::BTreeMap;

/// The streams of one workload.
#[derive(Debug)]
pub(super) struct Streams {
    name: String,
    dice: Entropy,
    content: Content,
    flows: BTreeMap<Stream, Flow>,
    /// No new work from here on.
    pub(super) stopped: bool,
    /// Messages, requests, objects or streams begun, whatever the workload counts.
    pub(super) begun: u64,
    /// Those that ended well.
    pub(super) done: u64,
    /// Those that were given up because their stream was reset.
    pub(super) lost: u64,
    opened: u64,
    completed: u64,
    reset: u64,
    /// Bytes of streams that are over.
    bytes: PerDirection<u64>,
    /// Time of what `done` counts.
    pub(super) latency: Latency,
    /// From opening a stream to its end.
    stream_time: Latency,
}

impl Streams {
    pub(super) fn new(name: &str, dice: Entropy) -> Self {
        Self {
            name: name.into(),
            dice,
            content: Content::Random,
            flows: BTreeMap::new(),
            stopped: false,
            begun: 0,
            done: 0,
            lost: 0,
            opened: 0,
            completed: 0,
            reset: 0,
            bytes: PerDirection::default(),
            latency: Latency::default(),
            stream_time: Latency::default(),
        }
    }

    /// Opens a stream and lets `prepare` set what its ends offer.
    pub(super) fn open(&mut self, port: &mut dyn Port, prepare: impl FnOnce(&mut Flow)) -> Option<Stream> {
        let stream = port.open()?;
        let mut pattern = || Pattern::small(self.content, self.dice.fork());
        let mut flow = Flow::new(pattern(), pattern(), port.now());
        prepare(&mut flow);
        flow.advance(port, stream);
        self.flows.insert(stream, flow);
        self.opened += 1;
        Some(stream)
    }

    /// Advances a stream on the port's side, lets `react` inspect it, and advances it again if that changed what its
    /// ends offer. A stream that is over is forgotten; true then. Unknown ones are ignored.
    pub(super) fn advance(
        &mut self,
        port: &mut dyn Port,
        stream: Stream,
        react: impl FnOnce(&mut Flow, Side),
    ) -> bool {
        let Some(flow) = self.flows.get_mut(&stream) else { return false };
        flow.advance(port, stream);
        react(flow, port.side());
        flow.advance(port, stream);
        if flow.is_over() {
            self.completed += 1;
            self.stream_time.record(port.now().since(flow.opened_at));
            self.forget(stream);
            port.forget(stream);
            return true;
        }
        false
    }

    /// What becomes of a stream whose carrier is gone on the port's side: on the client it is forgotten and given back,
    /// on the server its end starts from nothing, should it arrive again.
    pub(super) fn reset(&mut self, port: &dyn Port, stream: Stream) -> Option<Flow> {
        match port.side() {
            Side::Client => {
                let flow = self.forget(stream)?;
                self.reset += 1;
                Some(flow)
            }
            Side::Server => {
                self.flows.get_mut(&stream)?.restart_server();
                None
            }
        }
    }

    /// Forgets a stream.
    pub(super) fn forget(&mut self, stream: Stream) -> Option<Flow> {
        let flow = self.flows.remove(&stream)?;
        self.bytes.up += flow.up.reader.read;
        self.bytes.down += flow.down.reader.read;
        Some(flow)
    }

    pub(super) fn flow(&mut self, stream: Stream) -> Option<&mut Flow> {
        self.flows.get_mut(&stream)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    pub(super) fn dice(&mut self) -> &mut Entropy {
        &mut self.dice
    }

    /// One of what the workload counts is done that was begun at `since`.
    pub(super) fn note_done(&mut self, now: Instant, since: Instant) {
        self.done += 1;
        self.latency.record(now.since(since));
    }

    /// Bytes offered that were not read.
    pub(super) fn owed_bytes(&self) -> u64 {
        self.flows.values().map(Flow::owed_bytes).sum()
    }

    pub(super) fn activity(&self) -> Activity {
        let live = |read: fn(&Flow) -> u64| self.flows.values().map(read).sum::<u64>();
        Activity {
            name: self.name.clone(),
            begun: self.begun,
            done: self.done,
            lost: self.lost,
            streams_opened: self.opened,
            streams_completed: self.completed,
            streams_reset: self.reset,
            bytes_up: self.bytes.up + live(|flow| flow.up.reader.read),
            bytes_down: self.bytes.down + live(|flow| flow.down.reader.read),
            latency_us: self.latency.percentiles(),
            stream_us: self.stream_time.percentiles(),
            one_way_us: None,
            stall: None,
        }
    }
}
