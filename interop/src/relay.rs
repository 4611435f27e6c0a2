//! A UDP relay that impairs what passes it, in real time: `client -> relay -> server` and back.
//!
//! Decisions come from one seeded stream per direction. Real time decides the order in which datagrams meet them, so
//! two runs with one seed are alike, not identical; use the simulator for that.

use engine::Entropy;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Clients remembered at once; datagrams of further ones are dropped.
const CLIENTS_MAX: usize = 1024;

/// How often a blocked receive looks whether the relay was stopped.
const STOP_CHECK: Duration = Duration::from_millis(50);

/// What happens to the datagrams of one direction. Probabilities in parts per million.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Impairment {
    /// Never forwarded.
    pub loss_ppm: u32,
    /// Forwarded twice.
    pub duplicate_ppm: u32,
    /// Held back for another `reorder_us` on top of the delay, so that later ones overtake.
    pub reorder_ppm: u32,
    /// Extra delay of the reordered, microseconds.
    pub reorder_us: u32,
    /// Delay of every datagram, microseconds.
    pub delay_us: u32,
}

/// What a relay did in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Datagrams received.
    pub received: u64,
    /// Not forwarded on purpose.
    pub lost: u64,
    /// Forwarded twice.
    pub duplicated: u64,
    /// Held back.
    pub reordered: u64,
}

/// A running relay; stops when dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    /// Listens on `listen` (port 0 picks one) and forwards to `to`: `impair[0]` on the way there, `impair[1]` back.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn start(listen: SocketAddr, to: SocketAddr, impair: [Impairment; 2], seed: u64) -> io::Result<Self> {
        let socket = Arc::new(bind(listen)?);
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut entropy = Entropy::from_seed(bytes);
        let directions = impair.map(|impair| Direction::new(impair, entropy.fork()));
        let shared = Arc::new(Shared { to, stop: AtomicBool::new(false), directions });
        let (queue, due) = channel();
        let pacer = std::thread::spawn(move || pace(&due));
        let address = socket.local_addr()?;
        let up = Upstream { socket, shared: Arc::clone(&shared), queue };
        let reader = std::thread::spawn(move || up.run());
        Ok(Self { address, shared, threads: vec![reader, pacer] })
    }

    /// Where clients send to.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Counts so far, towards the server and back.
    pub fn counts(&self) -> [Counts; 2] {
        [self.shared.directions[0].counts.load(), self.shared.directions[1].counts.load()]
    }

    /// Runs until the process ends.
    pub fn wait(mut self) {
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_read_timeout(Some(STOP_CHECK))?;
    Ok(socket)
}

#[derive(Debug)]
struct Shared {
    to: SocketAddr,
    stop: AtomicBool,
    directions: [Direction; 2],
}

impl Shared {
    /// The next datagram, or None when the relay was stopped.
    fn receive(&self, socket: &UdpSocket, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        while !self.stop.load(Ordering::Relaxed) {
            // A refused destination shows up as an error here; it is no reason to stop.
            if let Ok(received) = socket.recv_from(buffer) {
                return Some(received);
            }
        }
        None
    }
}

/// One direction's decisions.
#[derive(Debug)]
struct Direction {
    impair: Impairment,
    entropy: Mutex<Entropy>,
    counts: AtomicCounts,
}

impl Direction {
    fn new(impair: Impairment, entropy: Entropy) -> Self {
        Self { impair, entropy: Mutex::new(entropy), counts: AtomicCounts::default() }
    }

    /// Queues a datagram as often and as late as the dice say.
    fn forward(&self, queue: &Sender<Departure>, socket: &Arc<UdpSocket>, to: SocketAddr, bytes: &[u8]) {
        let mut entropy = lock(&self.entropy);
        let [lost, duplicated, reordered] =
            [self.impair.loss_ppm, self.impair.duplicate_ppm, self.impair.reorder_ppm]
                .map(|ppm| hits(&mut entropy, ppm));
        drop(entropy);
        self.counts.count(lost, duplicated, reordered);
        if lost {
            return;
        }
        let extra_us = if reordered { self.impair.reorder_us } else { 0 };
        let at =
            Instant::now() + Duration::from_micros(u64::from(self.impair.delay_us) + u64::from(extra_us));
        for _ in 0..if duplicated { 2 } else { 1 } {
            let _ = queue.send(Departure { at, socket: Arc::clone(socket), to, bytes: bytes.to_vec() });
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// True `ppm` times in a million, from 32 bits of the stream.
fn hits(entropy: &mut Entropy, ppm: u32) -> bool {
    (u64::from(entropy.next_u32()) * 1_000_000) >> 32 < u64::from(ppm)
}

#[derive(Debug, Default)]
struct AtomicCounts([AtomicU64; 4]);

impl AtomicCounts {
    fn count(&self, lost: bool, duplicated: bool, reordered: bool) {
        let forwarded = !lost;
        for (counter, hit) in self.0.iter().zip([true, lost, forwarded && duplicated, forwarded && reordered])
        {
            counter.fetch_add(u64::from(hit), Ordering::Relaxed);
        }
    }

    fn load(&self) -> Counts {
        let [received, lost, duplicated, reordered] =
            [0, 1, 2, 3].map(|at| self.0[at].load(Ordering::Relaxed));
        Counts { received, lost, duplicated, reordered }
    }
}

/// A datagram on its way.
struct Departure {
    at: Instant,
    socket: Arc<UdpSocket>,
    to: SocketAddr,
    bytes: Vec<u8>,
}

/// Reads from the clients; every client gets a socket of its own towards the server.
struct Upstream {
    socket: Arc<UdpSocket>,
    shared: Arc<Shared>,
    queue: Sender<Departure>,
}

impl Upstream {
    fn run(self) {
        let mut clients: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
        let mut buffer = vec![0; 65_536];
        while let Some((len, from)) = self.shared.receive(&self.socket, &mut buffer) {
            let Some(towards) = self.towards_server(&mut clients, from) else { continue };
            self.shared.directions[0].forward(&self.queue, &towards, self.shared.to, &buffer[..len]);
        }
    }

    fn towards_server(
        &self,
        clients: &mut BTreeMap<SocketAddr, Arc<UdpSocket>>,
        client: SocketAddr,
    ) -> Option<Arc<UdpSocket>> {
        if let Some(socket) = clients.get(&client) {
            return Some(Arc::clone(socket));
        }
        if clients.len() >= CLIENTS_MAX {
            return None;
        }
        let any = if self.shared.to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = Arc::new(bind(any.parse().ok()?).ok()?);
        clients.insert(client, Arc::clone(&socket));
        let back = Downstream { socket: Arc::clone(&socket), client, out: Arc::clone(&self.socket) };
        let (shared, queue) = (Arc::clone(&self.shared), self.queue.clone());
        std::thread::spawn(move || back.run(&shared, &queue));
        Some(socket)
    }
}

/// Reads from the server for one client. Ends by itself when the relay stops.
struct Downstream {
    socket: Arc<UdpSocket>,
    client: SocketAddr,
    out: Arc<UdpSocket>,
}

impl Downstream {
    fn run(self, shared: &Shared, queue: &Sender<Departure>) {
        let mut buffer = vec![0; 65_536];
        while let Some((len, _)) = shared.receive(&self.socket, &mut buffer) {
            shared.directions[1].forward(queue, &self.out, self.client, &buffer[..len]);
        }
    }
}

/// Sends every datagram when it is due, equal times in the order of arrival. Ends when all readers have.
fn pace(due: &Receiver<Departure>) {
    let mut waiting = BinaryHeap::new();
    let mut departures = BTreeMap::new();
    let mut seq = 0_u64;
    loop {
        let wait =
            waiting.peek().map_or(Duration::from_secs(1), |Reverse((at, _)): &Reverse<(Instant, u64)>| {
                at.saturating_duration_since(Instant::now())
            });
        match due.recv_timeout(wait) {
            Ok(departure) => {
                waiting.push(Reverse((departure.at, seq)));
                departures.insert(seq, departure);
                seq += 1;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        while let Some(Reverse((_, seq))) =
            waiting.peek().copied().filter(|Reverse((at, _))| *at <= Instant::now())
        {
            waiting.pop();
            if let Some(Departure { socket, to, bytes, .. }) = departures.remove(&seq) {
                // Like a path, a relay does not tell when it could not deliver.
                let _ = socket.send_to(&bytes, to);
            }
        }
    }
}
