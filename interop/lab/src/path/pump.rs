//! The thread that moves packets between a line and what it ends in.

use super::{Line, Move, PathState, Report};
use crate::sys::{Waiter, thread_cpu, wake_promptly};
use engine::Instant;
use sim::Direction;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Largest packet.
const PACKET_BYTES_MAX: usize = 65_536;

/// Packets read from one file before others get their turn.
const BATCH: usize = 64;

/// How often a waiting thread looks whether it was stopped.
const STOP_CHECK: Duration = Duration::from_millis(50);

/// How often the thread looks what was lost and what it cost.
const COSTS_CHECK: Duration = Duration::from_millis(500);

/// Where packets come from and go to.
pub(crate) trait Ends: Send {
    /// The next packet waiting at the file of that number in the waiter: direction, flow, length.
    fn receive(
        &mut self,
        file: usize,
        waiter: &mut Waiter,
        now: Instant,
        buffer: &mut [u8],
    ) -> Option<(Direction, u16, usize)>;

    /// Passes a packet on. Like a path, it does not tell when it could not deliver.
    fn send(&mut self, now: Instant, direction: Direction, flow: u16, bytes: &mut [u8]);

    /// The addresses of clients change.
    fn strike(&mut self, change: Move);

    /// Packets dropped because nobody had the client's address any more that they went to.
    fn nat_packets(&self) -> u64;

    /// Headers that a capture shows before a packet of `len` bytes.
    fn headers(&self, direction: Direction, flow: u16, len: usize) -> Vec<u8>;

    /// Files in the waiter.
    fn files(&self) -> usize;

    /// Packets that the system dropped before anybody read them; must stay 0 for a line to be what it claims.
    fn overflow_packets(&self) -> u64;
}

/// A running line; stops when dropped.
#[derive(Debug)]
pub(crate) struct Pump {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    line: Mutex<Line>,
    costs: Mutex<Costs>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Costs {
    /// Packets lost before they were read.
    overflow_packets: u64,
    /// Packets for addresses that were gone.
    nat_packets: u64,
    /// Processor time.
    cpu: Duration,
}

impl Pump {
    /// Runs `line` between `ends`, whose files `waiter` holds.
    pub(crate) fn start(line: Line, ends: impl Ends + 'static, waiter: Waiter) -> Self {
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            line: Mutex::new(line),
            costs: Mutex::default(),
        });
        let running = Arc::clone(&shared);
        let thread = std::thread::spawn(move || running.run(ends, waiter));
        Self { shared, thread: Some(thread) }
    }

    /// Lets the line's time begin, unless it has.
    pub(crate) fn begin(&self) {
        lock(&self.shared.line).begin();
    }

    /// How the line stands.
    pub(crate) fn state(&self) -> PathState {
        lock(&self.shared.line).state()
    }

    /// What has happened so far.
    pub(crate) fn report(&self) -> Report {
        let Costs { overflow_packets, nat_packets, .. } = *lock(&self.shared.costs);
        Report { overflow_packets, nat_packets, ..lock(&self.shared.line).report() }
    }

    /// Processor time the thread has used, up to half a second ago.
    pub(crate) fn cpu(&self) -> Duration {
        lock(&self.shared.costs).cpu
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self, mut ends: impl Ends, mut waiter: Waiter) {
        wake_promptly();
        let mut buffer = vec![0; PACKET_BYTES_MAX];
        let mut checked = std::time::Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            let idle = lock(&self.line).idle();
            waiter.wait(idle.map_or(STOP_CHECK, |idle| idle.min(STOP_CHECK)));
            self.turn(&mut ends, &mut waiter, &mut buffer);
            if checked.elapsed() > COSTS_CHECK {
                checked = std::time::Instant::now();
                *lock(&self.costs) = Costs {
                    overflow_packets: ends.overflow_packets(),
                    nat_packets: ends.nat_packets(),
                    cpu: thread_cpu(),
                };
            }
        }
    }

    fn turn(&self, ends: &mut impl Ends, waiter: &mut Waiter, buffer: &mut [u8]) {
        let mut line = lock(&self.line);
        line.strike(ends);
        let now = line.now();
        for file in 0..ends.files() {
            if !waiter.is_ready(file) {
                continue;
            }
            for _ in 0..BATCH {
                let Some((direction, flow, len)) = ends.receive(file, waiter, now, buffer) else { break };
                line.take(ends, direction, flow, &buffer[..len]);
            }
        }
        line.give(ends);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
