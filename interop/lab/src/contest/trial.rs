//! One run of one contestant over an emulated path with one seed.

use super::flags;
use super::supervisor::{Placement, Supervisor};
use crate::left_out::Scope;
use crate::load::{self, Carrier, Load, Progress};
use crate::netns::{End, Network, RIGHT};
use crate::pair::Addresses;
use crate::path::{Conditions, PathState, Report, index};
use crate::peers::Peer;
use crate::ports::{self, Protocol, local};
use crate::process::Process;
use crate::relay::Relay;
use crate::results::DIRECT;
use engine::options::Governor;
use serde::Serialize;
use sim::outcome::WorkOutcome;
use sim::{Direction, Scenario, Side, useful_bytes};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

pub(super) const TARGET_PORT: u16 = 5201;
const CLIENT_PORT: u16 = 12_948;
const SERVER_PORT: u16 = 29_900;

/// Send buffer of the load's sockets towards a tunnel.
const SEND_BUFFER_BYTES: usize = 32 * 1024;

/// A means of carrying the workloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contestant {
    /// Kernel TCP with this congestion control.
    Tcp(String),
    /// A pair of kcptun programs; its own flags follow those of the scenario.
    Tunnel(Peer),
}

impl Contestant {
    /// Name in tables.
    pub fn name(&self) -> String {
        match self {
            Self::Tcp(control) => format!("{DIRECT}{control}"),
            Self::Tunnel(peer) => peer.name.clone(),
        }
    }

    /// The parts of a scenario that apply to this contestant.
    pub const fn scope(&self) -> Scope {
        match self {
            Self::Tcp(_) => Scope::KernelTcp,
            Self::Tunnel(_) => Scope::Programs,
        }
    }
}

/// Outcome of one run.
#[derive(Debug, Clone)]
pub struct TrialOutcome {
    /// Outcomes of the workloads, in the scenario's order.
    pub work: Vec<WorkOutcome>,
    /// Counters of the path.
    pub path: Report,
    /// Progress of the workloads every 20 ms.
    pub progress: Progress,
    /// Load average of the machine over the last minute, hundredths.
    pub load_hundredths: Option<u64>,
}

/// Why a trial has no result.
pub(super) type Failure = String;

/// Outcomes of the workloads, and their progress.
pub(super) type Done = (Vec<WorkOutcome>, Progress);

impl TrialOutcome {
    /// Goodput of all transfers in `direction`, kbit/s; None when there is none.
    pub fn goodput_kbit(&self, direction: Direction) -> Option<u64> {
        load::goodput_kbit(&self.work, direction)
    }

    /// The direction that moved more payload.
    pub fn data_path(&self) -> Direction {
        load::data_path(&self.work)
    }

    /// Removes the progress records.
    #[must_use]
    pub fn without_progress(self) -> Self {
        Self { progress: Progress::default(), ..self }
    }

    /// Bytes of IP packets handed to the link per byte of payload that arrived, on the data path, thousandths.
    pub fn wire_per_useful_thousandths(&self) -> Option<u64> {
        let direction = self.data_path();
        let sent = self.path.links[index(direction)].sent_bytes;
        (sent * 1000).checked_div(useful(&self.work, direction))
    }
}

/// Payload that arrived in that direction.
pub fn useful(work: &[WorkOutcome], direction: Direction) -> u64 {
    let useful = useful_bytes(work);
    if direction == Direction::Up { useful.up } else { useful.down }
}

/// Runs `contestant` over two namespaces joined by the scenario's links.
///
/// # Errors
/// The network, a program, or the load failed.
pub fn over_network(
    scenario: &Scenario,
    contestant: &Contestant,
    seed: u64,
) -> Result<TrialOutcome, Failure> {
    let load = Load::new(scenario, seed);
    let network = Network::start(&Conditions::of(scenario, seed), None).map_err(|error| error.to_string())?;
    let work = match contestant {
        Contestant::Tcp(control) => by_tcp(&network, control, &load),
        Contestant::Tunnel(peer) => by_tunnel(&network, scenario, peer, &load),
    };
    finish(work?, || network.report())
}

fn by_tcp(network: &Network, control: &str, load: &Load) -> Result<Done, Failure> {
    let to = SocketAddr::from((RIGHT, TARGET_PORT));
    let named = |error: io::Error| format!("congestion control {control}: {error}");
    let target = network.listen(End::Right, to, Some(control)).map_err(named)?;
    network.begin();
    load.follow(&mut Direct { network, control, to }, &target)
}

/// Carrier over kernel TCP.
struct Direct<'a> {
    network: &'a Network,
    control: &'a str,
    to: SocketAddr,
}

impl Carrier for Direct<'_> {
    fn connect(&self) -> io::Result<TcpStream> {
        self.network.begin_connect(End::Left, self.to, Some(self.control))
    }

    fn path_state(&self) -> PathState {
        self.network.path_state()
    }
}

fn by_tunnel(network: &Network, scenario: &Scenario, peer: &Peer, load: &Load) -> Result<Done, Failure> {
    let placement = InNamespaces::new(network, scenario, 0, peer);
    let target = network.listen(End::Right, local(TARGET_PORT), None).and_then(shallow);
    let target = target.map_err(|error| error.to_string())?;
    let pair = Supervisor::start(&placement, scenario)?;
    network.begin();
    run_programs(load, pair, &target)
}

/// Programs in two namespaces.
pub(super) struct InNamespaces<'a> {
    network: &'a Network,
    programs: [&'a Path; 2],
    flags: [Vec<String>; 2],
    /// Ports of client and server.
    ports: [u16; 2],
}

impl<'a> InNamespaces<'a> {
    /// The pair of that number on the network.
    pub(super) fn new(network: &'a Network, scenario: &Scenario, number: u16, peer: &'a Peer) -> Self {
        let ports = [CLIENT_PORT + number, SERVER_PORT + number];
        let server = SocketAddr::from((RIGHT, ports[1]));
        let addresses =
            Addresses { remote: server, server, client: local(ports[0]), target: local(TARGET_PORT) };
        Self { network, programs: programs(peer), flags: all_flags(&addresses, scenario, peer), ports }
    }
}

impl Placement for InNamespaces<'_> {
    fn start(&self, side: Side) -> io::Result<Process> {
        let at = side as usize;
        self.network.start_program(end(side), self.programs[at], self.flags[at].clone())
    }

    fn listens(&self, side: Side) -> bool {
        self.network.is_bound(end(side), protocol(side), self.ports[side as usize])
    }

    fn connect(&self) -> io::Result<TcpStream> {
        self.network.connect(End::Left, local(self.ports[0]), None).and_then(shallow)
    }

    fn path_state(&self) -> PathState {
        self.network.path_state()
    }
}

const fn end(side: Side) -> End {
    match side {
        Side::Client => End::Left,
        Side::Server => End::Right,
    }
}

/// Protocol of the port on which the program of that side listens.
const fn protocol(side: Side) -> Protocol {
    match side {
        Side::Client => Protocol::Tcp,
        Side::Server => Protocol::Udp,
    }
}

/// Runs a pair of programs through a relay with the scenario's links.
///
/// # Errors
/// As [`over_network`].
pub fn over_relay(scenario: &Scenario, contestant: &Contestant, seed: u64) -> Result<TrialOutcome, Failure> {
    let io = |error: io::Error| format!("setting up: {error}");
    let Contestant::Tunnel(peer) = contestant else {
        return Err("a UDP relay does not carry kernel TCP".to_owned());
    };
    let load = Load::new(scenario, seed);
    let target = TcpListener::bind(local(0)).and_then(shallow).map_err(io)?;
    let server_address = ports::free_udp().map_err(io)?;
    let client_address = ports::free_tcp().map_err(io)?;
    let conditions = Conditions::of(scenario, seed);
    let relay = Relay::start_captured(local(0), server_address, &conditions, None).map_err(io)?;
    let addresses = Addresses {
        remote: relay.address(),
        server: server_address,
        client: client_address,
        target: target.local_addr().map_err(io)?,
    };
    let flags = all_flags(&addresses, scenario, peer);
    let placement = OnHost { programs: programs(peer), flags, addresses };
    let pair = Supervisor::start(&placement, scenario)?;
    relay.begin();
    let work = run_programs(&load, pair, &target)?;
    finish(work, || relay.report())
}

/// Programs on the loopback device.
struct OnHost<'a> {
    programs: [&'a Path; 2],
    flags: [Vec<String>; 2],
    addresses: Addresses,
}

impl Placement for OnHost<'_> {
    fn start(&self, side: Side) -> io::Result<Process> {
        let at = side as usize;
        Process::start(self.programs[at], &self.flags[at], None)
    }

    fn listens(&self, side: Side) -> bool {
        let address = if side == Side::Client { self.addresses.client } else { self.addresses.server };
        ports::is_bound("/proc/net", protocol(side), address.port())
    }

    fn connect(&self) -> io::Result<TcpStream> {
        TcpStream::connect(self.addresses.client).and_then(shallow)
    }

    fn path_state(&self) -> PathState {
        PathState::default()
    }
}

fn run_programs(load: &Load, mut pair: Supervisor<'_>, target: &TcpListener) -> Result<Done, Failure> {
    load.follow(&mut pair, target).map_err(|why| format!("{why}\n{}", pair.output()))
}

/// Limits the send buffer, so that data waits in the tunnel, as in the simulator, rather than in megabytes of socket buffer.
/// Accepted connections inherit the limit from the listener.
pub(super) fn shallow<S: AsFd>(socket: S) -> io::Result<S> {
    socket2::SockRef::from(&socket).set_send_buffer_size(SEND_BUFFER_BYTES)?;
    Ok(socket)
}

/// Paths of client and server.
fn programs(peer: &Peer) -> [&Path; 2] {
    [&peer.client, &peer.server]
}

/// Flags of client and server: addresses, the scenario's settings, those of the peer. Only karst's programs know `--governor`,
/// of which kcptun's sender is the value `off`.
fn all_flags(addresses: &Addresses, scenario: &Scenario, peer: &Peer) -> [Vec<String>; 2] {
    [(Side::Client, &scenario.client), (Side::Server, &scenario.server)].map(|(side, plan)| {
        let own = addresses.flags(side).into_iter();
        let mut settings = plan.settings.clone();
        if !peer.name.starts_with("karst") {
            settings.governor = Governor::On;
        }
        own.chain(flags(&settings)).chain(peer.extra.iter().cloned()).collect()
    })
}

pub(super) fn finish(
    (work, progress): Done,
    report: impl FnOnce() -> Report,
) -> Result<TrialOutcome, Failure> {
    // The emulator updates its overflow counter twice a second.
    std::thread::sleep(Duration::from_millis(600));
    Ok(TrialOutcome { work, path: report(), progress, load_hundredths: load_hundredths() })
}

fn load_hundredths() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    let load: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some((load * 100.0).round() as u64)
}

impl Serialize for TrialOutcome {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let line = self.path.to_json();
        let load = self.load_hundredths;
        let mut trial = serde_json::json!({ "workloads": self.work, "line": line, "load_hundredths": load });
        if !self.progress.0.is_empty() {
            trial["progress"] = self.progress.to_json();
        }
        trial.serialize(to)
    }
}
