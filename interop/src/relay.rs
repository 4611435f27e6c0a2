//! A UDP relay that behaves as a link of the simulator, in real time: `client -> relay -> server` and back.
//!
//! Every client gets a path of its own: two [`Link`]s, one per direction, with the dice of the seed and its number. Real time
//! decides when datagrams meet them, so two runs with one seed are alike, not identical; the simulator repeats itself exactly.

use engine::Instant;
use sim::Direction;
use sim::link::{Counters, Link, LinkPlan};
use sim::net::{Event, Net};
use sim::rng::Seed;
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Clients remembered at once; datagrams of further ones are dropped.
const CLIENTS_MAX: usize = 1024;

/// How often a blocked receive looks whether the relay was stopped.
const STOP_CHECK: Duration = Duration::from_millis(50);

/// A running relay; stops when dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    /// Listens on `listen` (port 0 picks one) and forwards to `to`: over `plans[0]` on the way there, `plans[1]` back.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn start(listen: SocketAddr, to: SocketAddr, plans: [LinkPlan; 2], seed: u64) -> io::Result<Self> {
        let socket = Arc::new(bind(listen)?);
        let address = socket.local_addr()?;
        let shared = Arc::new(Shared { to, stop: AtomicBool::new(false), counters: Mutex::default() });
        let (queue, arrivals) = channel();
        let pacer = Pacer {
            plans,
            seed,
            start: std::time::Instant::now(),
            paths: Vec::new(),
            shared: Arc::clone(&shared),
        };
        let pacer = std::thread::spawn(move || pacer.run(&arrivals));
        let reader = Reader { socket, shared: Arc::clone(&shared), queue, clients: BTreeMap::new() };
        let reader = std::thread::spawn(move || reader.run());
        Ok(Self { address, shared, threads: vec![reader, pacer] })
    }

    /// Where clients send to.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Totals of each client so far, towards the server and back, in the order in which the clients appeared.
    pub fn counters(&self) -> Vec<[Counters; 2]> {
        lock(&self.shared.counters).clone()
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Shared {
    to: SocketAddr,
    stop: AtomicBool,
    counters: Mutex<Vec<[Counters; 2]>>,
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

/// From the reading threads to the pacer.
enum Arrival {
    /// A new client: its path gets the next number.
    Client { towards_server: Arc<UdpSocket>, towards_client: Arc<UdpSocket>, client: SocketAddr },
    /// A datagram on the path of that number.
    Datagram { path: usize, direction: Direction, bytes: Vec<u8> },
}

/// Reads from the clients; every client gets a socket of its own towards the server.
struct Reader {
    socket: Arc<UdpSocket>,
    shared: Arc<Shared>,
    queue: Sender<Arrival>,
    clients: BTreeMap<SocketAddr, usize>,
}

impl Reader {
    fn run(mut self) {
        let mut buffer = vec![0; 65_536];
        while let Some((len, from)) = self.shared.receive(&self.socket, &mut buffer) {
            let Some(path) = self.path(from) else { continue };
            let bytes = buffer[..len].to_vec();
            let _ = self.queue.send(Arrival::Datagram { path, direction: Direction::Up, bytes });
        }
    }

    fn path(&mut self, client: SocketAddr) -> Option<usize> {
        if let Some(path) = self.clients.get(&client) {
            return Some(*path);
        }
        let path = self.clients.len();
        if path >= CLIENTS_MAX {
            return None;
        }
        let any = if self.shared.to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let towards_server = Arc::new(bind(any.parse().ok()?).ok()?);
        self.clients.insert(client, path);
        let (from_server, towards_client) = (Arc::clone(&towards_server), Arc::clone(&self.socket));
        let _ = self.queue.send(Arrival::Client { towards_server, towards_client, client });
        let (shared, queue) = (Arc::clone(&self.shared), self.queue.clone());
        std::thread::spawn(move || read_answers(path, &from_server, &shared, &queue));
        Some(path)
    }
}

/// Reads from the server for one client. Ends by itself when the relay stops.
fn read_answers(path: usize, socket: &UdpSocket, shared: &Shared, queue: &Sender<Arrival>) {
    let mut buffer = vec![0; 65_536];
    while let Some((len, _)) = shared.receive(socket, &mut buffer) {
        let bytes = buffer[..len].to_vec();
        let _ = queue.send(Arrival::Datagram { path, direction: Direction::Down, bytes });
    }
}

/// The links of one client, and where they end.
struct Path {
    net: Net,
    links: [Link; 2],
    towards_server: Arc<UdpSocket>,
    towards_client: Arc<UdpSocket>,
    client: SocketAddr,
}

/// Drives all links with the clock.
struct Pacer {
    plans: [LinkPlan; 2],
    seed: u64,
    start: std::time::Instant,
    paths: Vec<Path>,
    shared: Arc<Shared>,
}

impl Pacer {
    /// Ends when all reading threads have.
    fn run(mut self, arrivals: &Receiver<Arrival>) {
        loop {
            match arrivals.recv_timeout(self.idle()) {
                Ok(arrival) => self.arrive(arrival),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.deliver();
        }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.start.elapsed().as_micros() as u64)
    }

    /// Time until something is due.
    fn idle(&self) -> Duration {
        let due = self.paths.iter().filter_map(|path| path.net.schedule.peek()).map(|key| key.at).min();
        due.map_or(Duration::from_secs(1), |at| at.since(self.now()))
    }

    fn arrive(&mut self, arrival: Arrival) {
        let now = self.now();
        match arrival {
            Arrival::Client { towards_server, towards_client, client } => {
                let seed = Seed(self.seed.wrapping_add(self.paths.len() as u64));
                let link = |direction: Direction| Link::new(direction, &self.plans[index(direction)], seed);
                let links = [link(Direction::Up), link(Direction::Down)];
                self.paths.push(Path { net: Net::default(), links, towards_server, towards_client, client });
                lock(&self.shared.counters).push([Counters::default(); 2]);
            }
            Arrival::Datagram { path: number, direction, bytes } => {
                let path = &mut self.paths[number];
                let packet = path.net.packets.insert(&bytes);
                path.links[index(direction)].send(&mut path.net, now, packet);
                self.publish(number);
            }
        }
    }

    /// Everything that is due.
    fn deliver(&mut self) {
        let now = self.now();
        for number in 0..self.paths.len() {
            let mut any = false;
            while self.paths[number].net.schedule.peek().is_some_and(|key| key.at <= now) {
                self.paths[number].step(self.shared.to);
                any = true;
            }
            if any {
                self.publish(number);
            }
        }
    }

    fn publish(&self, number: usize) {
        let links = &self.paths[number].links;
        lock(&self.shared.counters)[number] = [*links[0].counters(), *links[1].counters()];
    }
}

impl Path {
    /// The next event, at the time it was scheduled for.
    fn step(&mut self, server: SocketAddr) {
        match self.net.schedule.pop() {
            Some((at, Event::Transmitted(direction))) => {
                self.links[index(direction)].transmitted(&mut self.net, at)
            }
            Some((_, Event::Deliver(direction, id))) => {
                let packet = self.net.packets.take(id);
                self.links[index(direction)].delivered(packet.bytes.len() as u32);
                // Like a path, a relay does not tell when it could not deliver.
                let _ = match direction {
                    Direction::Up => self.towards_server.send_to(&packet.bytes, server),
                    Direction::Down => self.towards_client.send_to(&packet.bytes, self.client),
                };
                self.net.packets.restore(id, packet);
            }
            _ => {}
        }
    }
}

const fn index(direction: Direction) -> usize {
    match direction {
        Direction::Up => 0,
        Direction::Down => 1,
    }
}
