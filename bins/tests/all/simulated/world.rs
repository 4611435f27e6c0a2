//! The two programs, applications and targets on simulated hosts, with the simulator's links between the programs.
//!
//! Time advances in steps of a millisecond: every host runs until it is idle, then the datagrams of the hosts enter the
//! links. UDP goes through the address translator and the [`Link`] of its direction, TCP arrives at once. There
//! is one thread, one seed and no system clock, so the same seed gives the same run.

use super::network::{Simulated, take_resets};
use bins::driver::run_simulated;
use bins::flags::Side as Program;
use engine::Instant;
use sim::host::Nat;
use sim::ids::PacketId;
use sim::link::Link;
use sim::net::{Event, Net};
use sim::outcome::Counters;
use sim::plan::{LinkPlan, NatPlan};
use sim::rng::Seed;
use sim::trace::{Kind, Trace};
use sim::transport::tunnel::SERVER_ADDRESS;
use sim::{Direction, Side};
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Once;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, LocalSet};
use turmoil_net::{
    EnterGuard, HostId, KernelConfig, Packet, TcpFlags, TcpSegment, Transport, UdpDatagram, netstat,
};

/// Where the client listens for applications.
pub(super) const LOCAL: &str = "192.168.1.1:12948";
/// Address of the targets: the host of the applications.
pub(super) const TARGET: &str = "192.168.9.1:80";

const CLIENT_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 1));
const OUTSIDE_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 9, 1));

const STEP: Duration = Duration::from_millis(1);

/// The shim counts steps, not time, and a lost SYN is none of these tests' business.
const TCP_RETRY_STEPS: u32 = 1000;

/// Bytes a TCP socket may have unread. The shim announces new space to its peer only when half of it is read at once, which the
/// drivers do, with their buffers of as many bytes.
pub(super) const TCP_BUFFER_BYTES: usize = 32_768;

thread_local! {
    static PANICS: Cell<u32> = const { Cell::new(0) };
}

/// What a program is: its tasks, their clock, and how to end it.
struct Machine {
    tasks: LocalSet,
    runtime: Runtime,
    main: Option<JoinHandle<Result<(), String>>>,
    stop: Rc<Notify>,
}

impl Machine {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        Self { tasks: LocalSet::new(), runtime, main: None, stop: Rc::default() }
    }
}

struct Host {
    id: HostId,
    machine: Option<Machine>,
    log: Vec<String>,
}

/// Result of an application, once it is there.
pub(super) struct App<T>(Rc<RefCell<Option<T>>>);

impl<T> App<T> {
    pub(super) fn is_done(&self) -> bool {
        self.0.borrow().is_some()
    }
}

pub(super) struct World {
    seed: Seed,
    now: Instant,
    starts: u64,
    guard: EnterGuard,
    client: Host,
    server: Host,
    outside: Host,
    net: Net,
    nat: Nat,
    up: Link,
    down: Link,
    trace: Trace,
    packets: Vec<Packet>,
}

impl World {
    /// Nothing runs yet but the clock; both directions are of that plan.
    pub(super) fn new(seed: u64, plan: &LinkPlan) -> Self {
        count_panics();
        bins::log::take();
        let config = KernelConfig::default()
            .recv_buf_cap(TCP_BUFFER_BYTES)
            .send_buf_cap(TCP_BUFFER_BYTES)
            .retx_threshold(TCP_RETRY_STEPS);
        let mut hosts = turmoil_net::Net::with_config(config);
        let mut host = |ip: IpAddr| Host { id: hosts.add_host(ip), machine: None, log: Vec::new() };
        let (client, server, mut outside) = (host(CLIENT_IP), host(SERVER_ADDRESS.ip()), host(OUTSIDE_IP));
        outside.machine = Some(Machine::new());
        let seed = Seed(seed);
        Self {
            seed,
            now: Instant::from_micros(0),
            starts: 0,
            guard: hosts.enter(),
            client,
            server,
            outside,
            net: Net::default(),
            nat: Nat::new(NatPlan::default()),
            up: Link::new(Direction::Up, plan, seed),
            down: Link::new(Direction::Down, plan, seed),
            trace: Trace::new(),
            packets: Vec::new(),
        }
    }

    /// Starts the program of `side` with its address options and `words`.
    pub(super) fn start(&mut self, side: Side, words: &[&str]) {
        let server = SERVER_ADDRESS.to_string();
        let (program, places) = match side {
            Side::Client => (Program::Client, ["-r", &server, "-l", LOCAL]),
            Side::Server => (Program::Server, ["-l", &server, "-t", TARGET]),
        };
        let words = places.iter().chain(words).map(|word| (*word).to_owned()).collect();
        let mut seed = [0; 32];
        self.seed.stream(&format!("program.{}", self.starts)).fill(&mut seed);
        self.starts += 1;
        let host = self.host(side);
        assert!(host.machine.is_none(), "the {} runs already", side.name());
        let mut machine = Machine::new();
        let stop = Rc::clone(&machine.stop);
        machine.main =
            Some(machine.tasks.spawn_local(run_simulated(Rc::new(Simulated), program, words, seed, stop)));
        host.machine = Some(machine);
    }

    /// Starts both programs with the same options.
    pub(super) fn start_both(&mut self, words: &[&str]) {
        self.start(Side::Server, words);
        self.start(Side::Client, words);
        self.run_ms(1);
    }

    /// Ends the program of that side as SIGKILL does: the system closes its sockets.
    pub(super) fn kill(&mut self, side: Side) {
        let id = self.host(side).id;
        self.guard.set_current(id);
        self.host(side).machine = None;
    }

    /// What SIGTERM does.
    pub(super) fn terminate(&mut self, side: Side) {
        let machine = self.host(side).machine.as_ref().unwrap();
        machine.stop.notify_one();
    }

    pub(super) fn is_running(&mut self, side: Side) -> bool {
        self.host(side).machine.is_some()
    }

    /// Runs an application, or a target, outside of both programs.
    pub(super) fn spawn<T: 'static>(&self, work: impl Future<Output = T> + 'static) -> App<T> {
        let result = Rc::new(RefCell::new(None));
        let copy = Rc::clone(&result);
        let machine = self.outside.machine.as_ref().unwrap();
        machine.tasks.spawn_local(async move {
            let value = work.await;
            *copy.borrow_mut() = Some(value);
        });
        App(result)
    }

    pub(super) fn run_ms(&mut self, ms: u64) {
        (0..ms).for_each(|_| self.step());
    }

    /// Runs until the application is done; panics with both logs when that takes longer than `limit_ms`.
    pub(super) fn wait<T>(&mut self, app: &App<T>, limit_ms: u64) -> T {
        self.until(limit_ms, |_| app.is_done());
        app.0.borrow_mut().take().unwrap()
    }

    /// Runs until `done`; returns how many milliseconds it took, and panics with both logs at the limit.
    pub(super) fn until(&mut self, limit_ms: u64, mut done: impl FnMut(&mut Self) -> bool) -> u64 {
        for passed_ms in 0..=limit_ms {
            if done(self) {
                return passed_ms;
            }
            self.step();
        }
        panic!("not done after {limit_ms} ms\nclient {:#?}\nserver {:#?}", self.client.log, self.server.log);
    }

    /// Changes the public address of every socket of the client.
    pub(super) fn rebind(&mut self) {
        self.nat.rebind();
    }

    /// Sets whether both links drop all datagrams.
    pub(super) fn set_blackout(&mut self, dead: bool) {
        self.up.set_blackout(dead);
        self.down.set_blackout(dead);
    }

    pub(super) fn counters(&self, direction: Direction) -> Counters {
        match direction {
            Direction::Up => *self.up.counters(),
            Direction::Down => *self.down.counters(),
        }
    }

    /// Public addresses the client was seen under.
    pub(super) fn client_addresses(&self) -> u64 {
        self.nat.given_out()
    }

    pub(super) fn log(&mut self, side: Side) -> &[String] {
        &self.host(side).log
    }

    pub(super) fn has_logged(&mut self, side: Side, text: &str) -> bool {
        self.log(side).iter().any(|line| line.contains(text))
    }

    /// Open TCP connections of that side.
    pub(super) fn connections(&self, side: Side) -> usize {
        let ip = match side {
            Side::Client => CLIENT_IP,
            Side::Server => SERVER_ADDRESS.ip(),
        };
        netstat(ip).entries.iter().filter(|entry| entry.peer.is_some()).count()
    }

    /// Hash over every datagram sent and delivered, and when.
    pub(super) fn hash(&self) -> u64 {
        self.trace.hash()
    }

    fn host(&mut self, side: Side) -> &mut Host {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    fn step(&mut self) {
        for host in [&mut self.outside, &mut self.client, &mut self.server] {
            self.guard.set_current(host.id);
            run_step(host);
        }
        assert_eq!(PANICS.get(), 0, "a task panicked");
        self.now = self.now + STEP;
        self.forward_resets();
        let mut packets = std::mem::take(&mut self.packets);
        self.guard.egress_all(&mut packets);
        packets.drain(..).for_each(|packet| self.forward(packet));
        self.packets = packets;
        self.deliver_due();
    }

    /// Both ends of a connection receive a reset before other packets that its closing sent.
    fn forward_resets(&self) {
        for (local, peer) in take_resets() {
            self.guard.deliver(reset(local, peer));
            self.guard.deliver(reset(peer, local));
        }
    }

    fn forward(&mut self, packet: Packet) {
        let Transport::Udp(datagram) = &packet.payload else {
            return self.guard.deliver(packet);
        };
        if packet.src == CLIENT_IP {
            let place = self.nat.outbound(self.now, u32::from(datagram.src_port));
            self.send(Side::Client, &datagram.payload, u64::from(place.0));
        } else if packet.src == SERVER_ADDRESS.ip() {
            let to = SocketAddr::new(packet.dst, datagram.dst_port);
            let Some(place) = self.nat.place(to) else { return };
            self.send(Side::Server, &datagram.payload, u64::from(place.0));
        }
    }

    /// `place` is the client's public address, as sender or receiver.
    fn send(&mut self, from: Side, datagram: &[u8], place: u64) {
        let packet = self.net.packets.insert_tagged(datagram, place);
        self.trace.record(self.now, from, Kind::Sent, self.net.packets.packet(packet).digest);
        self.link(from.sends()).send(packet);
    }

    fn deliver_due(&mut self) {
        while self.net.schedule.peek().is_some_and(|key| key.at <= self.now) {
            let Some((at, event)) = self.net.schedule.pop() else { return };
            match event {
                Event::Transmitted(direction) => self.link(direction).transmitted(at),
                Event::Deliver(direction, packet) => self.deliver(direction, packet),
                other => panic!("no link schedules {other:?}"),
            }
        }
    }

    fn deliver(&mut self, direction: Direction, id: PacketId) {
        let packet = self.net.packets.take(id);
        self.link(direction).link.delivered(packet.bytes.len() as u32);
        self.trace.record(self.now, direction.receiver(), Kind::Delivered, packet.digest);
        let place = sim::host::Place(packet.tag as u32);
        let public = self.nat.address(place).unwrap();
        match direction {
            Direction::Up => self.hand_over(public, SERVER_ADDRESS, &packet.bytes),
            Direction::Down => {
                if let Some(port) = self.nat.inbound(self.now, place) {
                    let to = SocketAddr::new(CLIENT_IP, u16::try_from(port).unwrap());
                    self.hand_over(SERVER_ADDRESS, to, &packet.bytes);
                }
            }
        }
        self.net.packets.restore(id, packet);
    }

    fn hand_over(&self, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        let payload = datagram.to_vec().into();
        let payload = Transport::Udp(UdpDatagram { src_port: from.port(), dst_port: to.port(), payload });
        self.guard.deliver(Packet { src: from.ip(), dst: to.ip(), ttl: 64, payload });
    }

    fn link(&mut self, direction: Direction) -> Road<'_> {
        let link = match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        };
        Road { link, net: &mut self.net, now: self.now }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Sockets close with their tasks, and need their network for it.
        for host in [&mut self.outside, &mut self.client, &mut self.server] {
            self.guard.set_current(host.id);
            host.machine = None;
        }
    }
}

/// A link with its schedule and packets.
struct Road<'a> {
    link: &'a mut Link,
    net: &'a mut Net,
    now: Instant,
}

impl Road<'_> {
    fn send(self, packet: PacketId) {
        self.link.send(self.net, self.now, packet);
    }

    fn transmitted(self, at: Instant) {
        self.link.transmitted(self.net, at);
    }
}

/// Runs the host's tasks for one step of its clock.
fn run_step(host: &mut Host) {
    let Some(machine) = &mut host.machine else { return };
    let step = async { tokio::time::sleep(STEP).await };
    machine.runtime.block_on(machine.tasks.run_until(step));
    host.log.extend(bins::log::take());
    if let Some(main) = machine.main.take_if(|main| main.is_finished()) {
        let result = machine.runtime.block_on(main).unwrap();
        assert_eq!(result, Ok(()), "a program failed");
        host.machine = None;
    }
}

fn reset(from: SocketAddr, to: SocketAddr) -> Packet {
    let segment = TcpSegment {
        src_port: from.port(),
        dst_port: to.port(),
        seq: 0,
        ack: 0,
        flags: TcpFlags { rst: true, ..TcpFlags::default() },
        window: 0,
        payload: Default::default(),
    };
    Packet { src: from.ip(), dst: to.ip(), ttl: 64, payload: Transport::Tcp(segment) }
}

/// A panic in a task of a program ends that task only, which no test must miss.
fn count_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            before(info);
        }));
    });
}
