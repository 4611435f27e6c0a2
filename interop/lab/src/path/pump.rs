//! The thread that moves packets between the emulator and its interfaces.

use super::{AddressChange, Emulator, PathState, Report};
use crate::sys::{Waiter, thread_cpu, wake_promptly};
use engine::Instant;
use sim::Direction;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Largest packet.
const PACKET_BYTES_MAX: usize = 65_536;

/// Maximum number of packets read from one file before the next file.
const BATCH: usize = 64;

/// Interval at which the thread checks whether it was stopped.
const STOP_CHECK: Duration = Duration::from_millis(50);

/// Interval at which drops and processor time are updated.
const COSTS_CHECK: Duration = Duration::from_millis(500);

/// The sockets or devices at both ends of a path.
pub(crate) trait Interfaces: Send {
    /// Receives a packet from the file with that index in the waiter: direction, flow, length.
    fn receive(
        &mut self,
        file: usize,
        waiter: &mut Waiter,
        now: Instant,
        buffer: &mut [u8],
    ) -> Option<(Direction, u16, usize)>;

    /// Forwards a packet; failures are silent, as on a real path.
    fn send(&mut self, now: Instant, direction: Direction, flow: u16, bytes: &mut [u8]);

    /// Changes the addresses of clients.
    fn apply(&mut self, change: AddressChange);

    /// Packets dropped because the NAT mapping of their destination had expired.
    fn nat_packets(&self) -> u64;

    /// Headers that a capture shows before a packet of `len` bytes.
    fn headers(&self, direction: Direction, flow: u16, len: usize) -> Vec<u8>;

    /// Number of files in the waiter.
    fn files(&self) -> usize;

    /// Packets that the system dropped before they were read; the emulation is valid only if this is 0.
    fn overflow_packets(&self) -> u64;
}

/// A running path; stops when dropped.
#[derive(Debug)]
pub(crate) struct Pump {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    emulator: Mutex<Emulator>,
    costs: Mutex<Costs>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Costs {
    /// Packets lost before they were read.
    overflow_packets: u64,
    /// Packets to expired NAT mappings.
    nat_packets: u64,
    /// Processor time of the thread.
    cpu: Duration,
}

impl Pump {
    /// Runs `emulator` between `interfaces`, whose files `waiter` holds.
    pub(crate) fn start(emulator: Emulator, interfaces: impl Interfaces + 'static, waiter: Waiter) -> Self {
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            emulator: Mutex::new(emulator),
            costs: Mutex::default(),
        });
        let running = Arc::clone(&shared);
        let thread = std::thread::spawn(move || running.run(interfaces, waiter));
        Self { shared, thread: Some(thread) }
    }

    /// Starts the scenario's clock unless it runs.
    pub(crate) fn begin(&self) {
        lock(&self.shared.emulator).begin();
    }

    /// Bytes sent and waiting.
    pub(crate) fn state(&self) -> PathState {
        lock(&self.shared.emulator).state()
    }

    /// Counters and distributions so far.
    pub(crate) fn report(&self) -> Report {
        let Costs { overflow_packets, nat_packets, .. } = *lock(&self.shared.costs);
        Report { overflow_packets, nat_packets, ..lock(&self.shared.emulator).report() }
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
    fn run(&self, mut interfaces: impl Interfaces, mut waiter: Waiter) {
        wake_promptly();
        let mut buffer = vec![0; PACKET_BYTES_MAX];
        let mut checked = std::time::Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            let idle = lock(&self.emulator).idle();
            waiter.wait(idle.map_or(STOP_CHECK, |idle| idle.min(STOP_CHECK)));
            self.turn(&mut interfaces, &mut waiter, &mut buffer);
            if checked.elapsed() > COSTS_CHECK {
                checked = std::time::Instant::now();
                *lock(&self.costs) = Costs {
                    overflow_packets: interfaces.overflow_packets(),
                    nat_packets: interfaces.nat_packets(),
                    cpu: thread_cpu(),
                };
            }
        }
    }

    fn turn(&self, interfaces: &mut impl Interfaces, waiter: &mut Waiter, buffer: &mut [u8]) {
        let mut emulator = lock(&self.emulator);
        emulator.apply(interfaces);
        let now = emulator.now();
        for file in 0..interfaces.files() {
            if !waiter.is_ready(file) {
                continue;
            }
            for _ in 0..BATCH {
                let Some((direction, flow, len)) = interfaces.receive(file, waiter, now, buffer) else {
                    break;
                };
                emulator.enqueue(interfaces, direction, flow, &buffer[..len]);
            }
        }
        emulator.deliver(interfaces);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
