use super::streams::Streams;
use super::{Application, START};
use crate::Side;
use crate::ids::Stream;
use crate::outcome::{Stall, WorkOutcome};
use crate::plan::StalledReaderPlan;
use crate::transport::Port;
use engine::{Entropy, Instant};
use std::time::Duration;

/// Both ends of both. With version 2 of smux the healthy download goes on during the stall; with version 1 all streams
/// share one receive buffer, and when the stalled one has filled it, everything stands still until its reader resumes.
#[derive(Debug)]
pub struct StalledReader {
    plan: StalledReaderPlan,
    streams: Streams,
    healthy: Option<Stream>,
    stalled: Option<Stream>,
    phase: Phase,
    gap_since: Instant,
    stall: Stall,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Before,
    During,
    After,
}

const STALL: u64 = 1;
const RESUME: u64 = 2;

/// More than any run moves, in pieces as large as a reader wants.
const ENDLESS: u64 = u64::MAX / 4;

impl StalledReader {
    /// Both sides before the first request.
    pub fn new(name: &str, plan: &StalledReaderPlan, dice: Entropy) -> Self {
        Self {
            plan: *plan,
            streams: Streams::new(name, dice),
            healthy: None,
            stalled: None,
            phase: Phase::Before,
            gap_since: Instant::ZERO,
            stall: Stall::default(),
        }
    }

    fn open(&mut self, port: &mut dyn Port) -> Option<Stream> {
        self.streams.begun += 1;
        self.streams.open(port, |flow| flow.down.offered = ENDLESS)
    }

    fn begin(&mut self, port: &mut dyn Port) {
        self.healthy = self.open(port);
        self.stalled = self.open(port);
        let stall_at = port.now() + Duration::from_micros(self.plan.stall_after_us);
        port.wake_at(stall_at, STALL);
        if let Some(for_us) = self.plan.stall_for_us {
            port.wake_at(stall_at + Duration::from_micros(for_us), RESUME);
        }
    }

    fn set_stalled(&mut self, port: &mut dyn Port, stalled: bool) {
        self.note_healthy(port.now(), 0);
        self.gap_since = port.now();
        self.phase = if stalled { Phase::During } else { Phase::After };
        let Some(stream) = self.stalled else { return };
        self.streams.advance(port, stream, |flow, _| flow.down.stalled = stalled);
        // The end may have been waiting there, too: no further event reports it.
        self.advance(port, stream);
    }

    fn note_healthy(&mut self, now: Instant, bytes: u64) {
        if self.phase == Phase::During {
            let gap_us = now.since(self.gap_since).as_micros() as u64;
            self.stall.healthy_gap_us = self.stall.healthy_gap_us.max(gap_us);
            self.stall.healthy_bytes += bytes;
            self.gap_since = now;
        }
    }
}

impl Application for StalledReader {
    fn tick(&mut self, port: &mut dyn Port, tag: u64) {
        match tag {
            START if !self.streams.stopped => self.begin(port),
            STALL => self.set_stalled(port, true),
            RESUME => self.set_stalled(port, false),
            _ => {}
        }
    }

    fn advance(&mut self, port: &mut dyn Port, stream: Stream) {
        let stopped = self.streams.stopped;
        let before = self.streams.flow(stream).map_or(0, |flow| flow.down.reader.read);
        let mut read = before;
        self.streams.advance(port, stream, |flow, side| {
            read = flow.down.reader.read;
            if stopped {
                flow.down.offered = flow.down.writer.written;
                flow.down.ends = true;
            }
            flow.up.ends = flow.down.reader.ended;
            if side == Side::Server && flow.up.reader.ended {
                flow.down.ends = true;
            }
        });
        if self.healthy == Some(stream) && read > before {
            self.note_healthy(port.now(), read - before);
        } else if self.stalled == Some(stream) {
            self.stall.stalled_bytes += read - before;
        }
    }

    fn reset(&mut self, port: &mut dyn Port, stream: Stream) {
        if self.streams.reset(port, stream).is_none() || self.streams.stopped {
            return;
        }
        let opened = self.open(port);
        if self.healthy == Some(stream) {
            self.healthy = opened;
            return;
        }
        self.stalled = opened;
        let during = self.phase == Phase::During;
        if let Some(flow) = opened.and_then(|stream| self.streams.flow(stream)) {
            flow.down.stalled = during;
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
        activity.stall = Some(self.stall);
        WorkOutcome::StalledReader(activity)
    }
}
