//! One run of a load: waits for sockets and timers, and advances the applications.

use super::pipe::index;
use super::streams::{SocketPort, Streams, Wake};
use super::{Carrier, Load, Moment, Progress};
use crate::sys::{self, Waiter};
use engine::Instant;
use sim::ids::Stream;
use sim::outcome::WorkOutcome;
use sim::rng::Seed;
use sim::work::{Application, START, application};
use sim::{Side, useful_bytes};
use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Interval at which the carrier is supervised_at and signals are checked.
const SUPERVISE_INTERVAL: Duration = Duration::from_millis(5);

/// Minimum age of a connection whose application is notified of a cut, so that an application that reconnects at once does not spin.
const RESET_AFTER: Duration = Duration::from_millis(100);

/// Interval of progress records.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(20);

const SIDES: [Side; 2] = [Side::Client, Side::Server];

pub(super) struct Run<'a> {
    load: &'a Load,
    target: &'a TcpListener,
    start: std::time::Instant,
    work: Vec<Box<dyn Application>>,
    streams: Streams,
    running: [bool; 2],
    /// Timers of the client's applications that expired while the client did not run.
    held: Vec<Wake>,
    /// Streams that were cut at the client, whose application was not notified yet.
    cut: Vec<Stream>,
    stopped_at: Option<Instant>,
    supervised_at: Option<std::time::Instant>,
    progress: Progress,
}

impl<'a> Run<'a> {
    pub(super) fn new(load: &'a Load, target: &'a TcpListener) -> io::Result<Self> {
        target.set_nonblocking(true)?;
        let mut streams = Streams::default();
        for (work, plan) in load.work.iter().enumerate() {
            let wake = Wake { work, side: Side::Client, tag: START };
            streams.wake_at(Instant::from_micros(plan.start_us), wake);
        }
        Ok(Self {
            load,
            target,
            start: std::time::Instant::now(),
            work: load.work.iter().map(|plan| application(plan, Seed(load.seed))).collect(),
            streams,
            running: [true; 2],
            held: Vec::new(),
            cut: Vec::new(),
            stopped_at: None,
            supervised_at: None,
            progress: Progress::default(),
        })
    }

    pub(super) fn go(mut self, carrier: &mut dyn Carrier) -> Result<(Vec<WorkOutcome>, Progress), String> {
        while !self.is_over() {
            self.supervise(carrier)?;
            self.record_progress(carrier);
            self.wake(carrier);
            let ready = self.wait();
            for (stream, side) in ready {
                self.advance(carrier, side, stream);
            }
            for stream in self.streams.accept(self.target, carrier) {
                self.advance(carrier, Side::Server, stream);
            }
            self.settle(carrier);
            self.stop_when_done(carrier);
            if let Some(why) = self.streams.violation.take() {
                return Err(why);
            }
        }
        Ok((self.work.iter().map(|work| work.outcome()).collect(), self.progress))
    }

    fn record_progress(&mut self, carrier: &dyn Carrier) {
        let at_us = self.now().as_micros();
        let last = self.progress.0.last().map(|moment| moment.at_us);
        if last.is_some_and(|last| at_us < last + PROGRESS_INTERVAL.as_micros() as u64) {
            return;
        }
        let useful = self.work.iter().map(|work| useful_bytes(&[work.outcome()]));
        let read_bytes = useful.map(|useful| useful.up + useful.down).collect();
        self.progress.0.push(Moment { at_us, read_bytes, path: carrier.path_state() });
    }

    /// Whether all workloads are done, or the time limit has passed.
    fn is_over(&self) -> bool {
        let Some(stopped_at) = self.stopped_at else { return false };
        let healed_at = Instant::ZERO + self.load.healed;
        let limit = stopped_at.max(healed_at) + self.load.drain;
        self.work.iter().all(|work| work.is_done()) || self.now() > limit
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.start.elapsed().as_micros() as u64)
    }

    fn supervise(&mut self, carrier: &mut dyn Carrier) -> Result<(), String> {
        if self.supervised_at.is_some_and(|at| at.elapsed() < SUPERVISE_INTERVAL) {
            return Ok(());
        }
        self.supervised_at = Some(std::time::Instant::now());
        if sys::is_stopping() {
            return Err("stopped by a signal".to_owned());
        }
        let running = carrier.supervise(self.start.elapsed())?;
        let was = std::mem::replace(&mut self.running, running);
        if was[0] && !running[0] {
            self.cut.extend(self.streams.cut_all(Side::Client));
        }
        if was[1] && !running[1] {
            for stream in self.streams.cut_all(Side::Server) {
                self.reset(carrier, Side::Server, stream);
            }
        }
        if !was[0] && running[0] {
            let now = self.now();
            std::mem::take(&mut self.held).into_iter().for_each(|wake| self.streams.wake_at(now, wake));
            self.advance_all(carrier, Side::Client);
        }
        Ok(())
    }

    /// Fires the timers that are due. Applications see the deadline, so lateness does not accumulate and counts as latency.
    fn wake(&mut self, carrier: &dyn Carrier) {
        let now = self.now();
        while let Some((at, wake)) = self.streams.take_wake(now) {
            let Wake { work, side, tag } = wake;
            if side == Side::Client && !self.running[0] {
                self.held.push(wake);
                continue;
            }
            let mut port = SocketPort { now: at, side, work, streams: &mut self.streams, carrier };
            self.work[work].tick(&mut port, tag);
        }
    }

    /// Waits for sockets, timers and connections; returns the ends of streams that are ready.
    fn wait(&self) -> Vec<(Stream, Side)> {
        let mut waiter = Waiter::default();
        waiter.watch(self.target.as_raw_fd(), [true, false]);
        self.streams.unidentified().for_each(|socket| waiter.watch(socket.as_raw_fd(), [true, false]));
        let first = waiter.len();
        let mut waiting = Vec::new();
        for (stream, pipe) in &self.streams.pipes {
            for side in SIDES.into_iter().filter(|side| self.running[index(*side)]) {
                let Some(end) = pipe.ends[index(side)].as_ref() else { continue };
                let wants = end.wants();
                if wants != [false; 2] {
                    waiter.watch(end.socket.as_raw_fd(), wants);
                    waiting.push((*stream, side));
                }
            }
        }
        let idle = self.streams.wakes_at().map(|at| at.since(self.now()));
        waiter.wait(idle.map_or(SUPERVISE_INTERVAL, |idle| idle.min(SUPERVISE_INTERVAL)));
        let ready = |(at, end)| waiter.is_ready(first + at).then_some(end);
        waiting.into_iter().enumerate().filter_map(ready).collect()
    }

    /// Advances the application of a stream on one side.
    fn advance(&mut self, carrier: &dyn Carrier, side: Side, stream: Stream) {
        let now = self.now();
        let Some(pipe) = self.streams.pipes.get_mut(&stream) else { return };
        let work = pipe.work;
        if let Err(error) = pipe.flush(side) {
            let name = &self.load.work[work].name;
            self.streams.violation.get_or_insert_with(|| format!("workload `{name}`: connecting: {error}"));
        }
        let Some(end) = pipe.end(side) else { return };
        end.wake();
        let mut port = SocketPort { now, side, work, streams: &mut self.streams, carrier };
        self.work[work].advance(&mut port, stream);
    }

    fn advance_all(&mut self, carrier: &dyn Carrier, side: Side) {
        let streams: Vec<Stream> = self.streams.pipes.keys().copied().collect();
        streams.into_iter().for_each(|stream| self.advance(carrier, side, stream));
    }

    /// Notifies applications of streams that ended, and of connections that were cut.
    fn settle(&mut self, carrier: &dyn Carrier) {
        for side in SIDES {
            let pipes = self.streams.pipes.iter();
            let ended: Vec<Stream> =
                pipes.filter(|(_, pipe)| pipe.is_end_unseen(side)).map(|(stream, _)| *stream).collect();
            ended.into_iter().for_each(|stream| self.advance(carrier, side, stream));
        }
        for side in SIDES {
            let pipes = self.streams.pipes.iter();
            let broken: Vec<Stream> =
                pipes.filter(|(_, pipe)| pipe.is_broken(side)).map(|(stream, _)| *stream).collect();
            for stream in broken {
                if let Some(pipe) = self.streams.pipes.get_mut(&stream) {
                    pipe.cut[index(side)] = true;
                }
                match side {
                    Side::Client => self.cut.push(stream),
                    Side::Server => self.reset(carrier, side, stream),
                }
            }
        }
        self.notify_cut(carrier);
        self.streams.sweep();
    }

    fn notify_cut(&mut self, carrier: &dyn Carrier) {
        if !self.running[0] {
            return;
        }
        for stream in std::mem::take(&mut self.cut) {
            let Some(pipe) = self.streams.pipes.get(&stream) else { continue };
            if pipe.opened.elapsed() < RESET_AFTER {
                self.cut.push(stream);
                continue;
            }
            self.reset(carrier, Side::Client, stream);
        }
    }

    fn reset(&mut self, carrier: &dyn Carrier, side: Side, stream: Stream) {
        let now = self.now();
        let Some(work) = self.streams.pipes.get(&stream).map(|pipe| pipe.work) else { return };
        let mut port = SocketPort { now, side, work, streams: &mut self.streams, carrier };
        self.work[work].reset(&mut port, stream);
        if let Some(pipe) = self.streams.pipes.get_mut(&stream) {
            pipe.notified[index(side)] = true;
        }
    }

    /// Stops the sources after the duration, or once all finite workloads are done.
    fn stop_when_done(&mut self, carrier: &dyn Carrier) {
        if self.stopped_at.is_some() {
            return;
        }
        let mut finite = self.work.iter().filter(|work| work.is_finite()).peekable();
        let done = finite.peek().is_some() && finite.all(|work| work.is_done());
        if !done && self.start.elapsed() < self.load.duration {
            return;
        }
        let now = self.now();
        self.stopped_at = Some(now);
        self.work.iter_mut().for_each(|work| work.stop(now));
        for side in SIDES {
            if self.running[index(side)] {
                self.advance_all(carrier, side);
            }
        }
    }
}
