//! One run of a load: starts both ends of every workload at their times, and stops them.

use super::{Connect, Figure, Load};
use crate::sys;
use sim::work::{Pattern, WorkKind, WorkPlan};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::Scope;
use std::time::{Duration, Instant};

/// How long a blocked call goes on before it looks whether the run is over.
const CHECK: Duration = Duration::from_millis(100);

/// What all ends share.
pub(super) struct Run<'a> {
    pub(super) load: &'a Load,
    start: Instant,
    /// Sources offer nothing more.
    stopped: AtomicBool,
    /// Everything ends at once.
    over: AtomicBool,
    /// Finite workloads that have not finished.
    finite: AtomicUsize,
    /// Workloads without a figure.
    open: AtomicUsize,
    figures: Mutex<Vec<Option<Figure>>>,
    error: Mutex<Option<String>>,
}

impl<'a> Run<'a> {
    pub(super) fn new(load: &'a Load) -> Self {
        Self {
            load,
            start: Instant::now(),
            stopped: AtomicBool::new(false),
            over: AtomicBool::new(false),
            finite: AtomicUsize::new(load.work.iter().filter(|plan| is_finite(plan)).count()),
            open: AtomicUsize::new(load.work.len()),
            figures: Mutex::new(vec![None; load.work.len()]),
            error: Mutex::default(),
        }
    }

    pub(super) fn go(
        self,
        connect: &Connect<'_>,
        target: &TcpListener,
        failed: &mut dyn FnMut() -> Option<String>,
    ) -> Result<Vec<Figure>, String> {
        std::thread::scope(|scope| {
            scope.spawn(|| self.accept(scope, target));
            for index in 0..self.load.work.len() {
                let run = &self;
                scope.spawn(move || run.client(scope, connect, index));
            }
            self.conduct(failed);
            self.over.store(true, Ordering::Relaxed);
        });
        let error = self.error.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = error {
            return Err(error);
        }
        let figures = self.figures.into_inner().unwrap_or_else(PoisonError::into_inner);
        figures
            .into_iter()
            .zip(&self.load.work)
            .map(|(figure, plan)| figure.ok_or_else(|| format!("workload `{}`: no connection", plan.name)))
            .collect()
    }

    /// Decides when the sources stop, and when the run is over.
    fn conduct(&self, failed: &mut dyn FnMut() -> Option<String>) {
        let has_finite = self.finite.load(Ordering::Relaxed) > 0;
        let mut limit = None;
        while self.open.load(Ordering::Relaxed) > 0 && !self.is_over() {
            std::thread::sleep(Duration::from_millis(5));
            if let Some(why) = failed() {
                self.fail(why);
            }
            if sys::is_stopping() {
                self.fail("stopped by a signal".to_owned());
            }
            let done = has_finite && self.finite.load(Ordering::Relaxed) == 0;
            if limit.is_none() && (done || self.start.elapsed() >= self.load.duration) {
                self.stopped.store(true, Ordering::Relaxed);
                limit = Some(Instant::now() + self.load.drain);
            }
            if limit.is_some_and(|limit| Instant::now() > limit) {
                return;
            }
        }
    }

    fn accept<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, target: &TcpListener) {
        if let Err(error) = target.set_nonblocking(true) {
            return self.fail(format!("target: {error}"));
        }
        while !self.is_over() {
            match target.accept() {
                Ok((stream, _)) => _ = scope.spawn(move || self.target(stream)),
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn client<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, connect: &Connect<'_>, index: usize) {
        let plan = &self.load.work[index];
        self.sleep_until(Duration::from_micros(plan.start_us));
        let opened = Instant::now();
        let named = |error: io::Error| format!("workload `{}`: {error}", plan.name);
        let stream = match connect().and_then(prepared) {
            Ok(stream) => stream,
            Err(error) => return self.fail(named(error)),
        };
        if let Err(error) = self.write_all(&stream, &[index as u8]) {
            return self.fail(named(error));
        }
        if let WorkKind::Bulk(bulk) = &plan.kind {
            self.bulk_client(index, bulk, &stream, opened);
        } else if let WorkKind::Echo(echo) = &plan.kind {
            self.echo_client(scope, index, echo, stream);
        }
    }

    fn target(&self, stream: TcpStream) {
        let Ok(stream) = prepared(stream) else { return };
        let mut number = [0];
        let Ok(1) = self.read(&stream, &mut number) else { return };
        match self.load.work.get(usize::from(number[0])).map(|plan| &plan.kind) {
            Some(WorkKind::Bulk(bulk)) => self.bulk_target(usize::from(number[0]), bulk, &stream),
            Some(WorkKind::Echo(_)) => self.mirror(&stream),
            _ => self.fail(format!("target: a connection for workload {}", number[0])),
        }
    }

    /// The bytes of a workload.
    pub(super) fn pattern(&self, index: usize, content: sim::work::Content) -> Pattern {
        let dice = sim::rng::Seed(self.load.seed).stream(&format!("work.{}", self.load.work[index].name));
        Pattern::new(content, dice)
    }

    /// Keeps a workload's figure.
    pub(super) fn found(&self, index: usize, figure: Figure) {
        lock(&self.figures)[index] = Some(figure);
        if is_finite(&self.load.work[index]) {
            self.finite.fetch_sub(1, Ordering::Relaxed);
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Ends the run for that reason, unless there is one already.
    pub(super) fn fail(&self, why: String) {
        lock(&self.error).get_or_insert(why);
        self.over.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed) || self.is_over()
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Sleeps until that time of the run; false when it was stopped before.
    pub(super) fn sleep_until(&self, at: Duration) -> bool {
        while let Some(left) = at.checked_sub(self.start.elapsed()).filter(|left| !left.is_zero()) {
            if self.is_stopped() {
                return false;
            }
            std::thread::sleep(left.min(CHECK));
        }
        !self.is_stopped()
    }

    pub(super) fn at(&self, time: Duration) -> Instant {
        self.start + time
    }

    /// What has arrived, at least one byte; 0 at the end of the stream, and when the run is over.
    pub(super) fn read(&self, mut stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.is_over() {
            match stream.read(buffer) {
                Err(error) if is_timeout(&error) => {}
                result => return result,
            }
        }
        Ok(0)
    }

    /// As [`Run::read`], but None when nothing came for a moment.
    pub(super) fn read_or_pause(
        &self,
        mut stream: &TcpStream,
        buffer: &mut [u8],
    ) -> io::Result<Option<usize>> {
        match stream.read(buffer) {
            Err(error) if is_timeout(&error) => Ok(None),
            result => result.map(Some),
        }
    }

    /// Writes something; 0 when the run is over.
    pub(super) fn write(&self, mut stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        while !self.is_over() {
            match stream.write(bytes) {
                Err(error) if is_timeout(&error) => {}
                result => return result,
            }
        }
        Ok(0)
    }

    /// Writes everything unless the run is over before.
    pub(super) fn write_all(&self, stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() && !self.is_over() {
            let n = self.write(stream, bytes)?;
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// Reads until the peer has ended the stream, so that closing it cuts nothing off.
    pub(super) fn await_end(&self, stream: &TcpStream) {
        let mut buffer = [0; 1024];
        while self.read(stream, &mut buffer).is_ok_and(|n| n > 0) {}
    }
}

fn is_finite(plan: &WorkPlan) -> bool {
    matches!(&plan.kind, WorkKind::Bulk(bulk) if bulk.bytes.is_some())
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn prepared(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(CHECK))?;
    stream.set_write_timeout(Some(CHECK))?;
    Ok(stream)
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
