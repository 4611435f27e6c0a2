//! One contestant on one network with one seed.

use super::flags;
use crate::line::{Conditions, Report};
use crate::live::ports;
use crate::live::process::Process;
use crate::load::{Connect, Figure, Load, data_path, useful_bytes};
use crate::netns::{End, Network, RIGHT};
use crate::relay::Relay;
use serde::Serialize;
use sim::{Direction, Scenario};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

const TARGET_PORT: u16 = 5201;
const CLIENT_PORT: u16 = 12_948;
const SERVER_PORT: u16 = 29_900;

/// Room of the load's sockets towards a tunnel.
const SEND_BUFFER_BYTES: usize = 32 * 1024;

/// Who carries the load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contestant {
    /// Kernel TCP with that congestion control.
    Tcp(String),
    /// A pair of kcptun programs.
    Tunnel {
        /// Name in tables.
        name: String,
        /// The client program.
        client: PathBuf,
        /// The server program.
        server: PathBuf,
        /// Flags of both, after those of the scenario.
        extra: Vec<String>,
    },
}

impl Contestant {
    /// Name in tables.
    pub fn name(&self) -> String {
        match self {
            Self::Tcp(control) => format!("tcp-{control}"),
            Self::Tunnel { name, .. } => name.clone(),
        }
    }

    /// Reads `NAME=CLIENT,SERVER[,FLAG...]`.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not NAME=CLIENT,SERVER[,FLAG...]");
        let (name, rest) = text.split_once('=').ok_or_else(wrong)?;
        let mut parts = rest.split(',');
        let (Some(client), Some(server)) = (parts.next(), parts.next()) else { return Err(wrong()) };
        for path in [client, server] {
            if !std::path::Path::new(path).is_file() {
                return Err(format!("{path}: no such program"));
            }
        }
        let extra = parts.map(str::to_owned).collect();
        Ok(Self::Tunnel { name: name.to_owned(), client: client.into(), server: server.into(), extra })
    }
}

/// What one trial found.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The workloads, in the scenario's order.
    pub figures: Vec<Figure>,
    /// The line under them.
    pub line: Report,
}

/// Why a trial has no result.
type Failure = String;

impl Trial {
    /// Goodput of all transfers in `direction`, kbit/s; None when there is none.
    pub fn goodput_kbit(&self, direction: Direction) -> Option<u64> {
        sum(self.figures.iter().filter_map(|figure| figure.goodput_kbit(direction)))
    }

    /// The direction that moved more payload.
    pub fn data_path(&self) -> Direction {
        data_path(&self.figures)
    }

    /// Bytes of IP packets handed to the line per byte of payload that arrived, thousandths, on the data path.
    pub fn wire_per_useful_thousandths(&self) -> Option<u64> {
        let direction = self.data_path();
        let sent = self.line.links[crate::line::index(direction)].sent_bytes;
        (sent * 1000).checked_div(useful_bytes(&self.figures, direction))
    }
}

fn sum(values: impl Iterator<Item = u64>) -> Option<u64> {
    values.fold(None, |sum, value| Some(sum.unwrap_or(0) + value))
}

/// Runs `contestant` over two namespaces joined by the scenario's links.
///
/// # Errors
/// The network, a program, or the load failed.
pub fn over_network(scenario: &Scenario, contestant: &Contestant, seed: u64) -> Result<Trial, Failure> {
    let load = Load::new(scenario, seed)?;
    let network = Network::start(&Conditions::of(scenario, seed), None).map_err(|error| error.to_string())?;
    let figures = match contestant {
        Contestant::Tcp(control) => by_tcp(&network, control, &load),
        Contestant::Tunnel { client, server, extra, .. } => {
            by_tunnel(&network, scenario, [client, server], extra, &load)
        }
    };
    finish(figures?, || network.report())
}

fn by_tcp(network: &Network, control: &str, load: &Load) -> Result<Vec<Figure>, Failure> {
    let to = SocketAddr::from((RIGHT, TARGET_PORT));
    let named = |error: io::Error| format!("congestion control {control}: {error}");
    let target = network.listen(End::Right, to, Some(control)).map_err(named)?;
    load.run(&|| network.connect(End::Left, to, Some(control)), &target, &mut || None)
}

fn by_tunnel(
    network: &Network,
    scenario: &Scenario,
    [client, server]: [&PathBuf; 2],
    extra: &[String],
    load: &Load,
) -> Result<Vec<Figure>, Failure> {
    let server_address = SocketAddr::from((RIGHT, SERVER_PORT));
    let addresses = Addresses {
        remote: server_address,
        server: server_address,
        client: local(CLIENT_PORT),
        target: local(TARGET_PORT),
    };
    let [client_flags, server_flags] = addresses.flags(scenario, extra);
    let named = |path: &PathBuf| {
        let path = path.display().to_string();
        move |error: io::Error| format!("{path}: {error}")
    };
    let target = network.listen(End::Right, local(TARGET_PORT), None).and_then(shallow);
    let target = target.map_err(|error| error.to_string())?;
    let mut server = network.start_program(End::Right, server, server_flags).map_err(named(server))?;
    network.await_port(End::Right, "udp", SERVER_PORT, || server.ended().is_some());
    let mut client = network.start_program(End::Left, client, client_flags).map_err(named(client))?;
    network.await_port(End::Left, "tcp", CLIENT_PORT, || client.ended().is_some());
    let connect = || network.connect(End::Left, local(CLIENT_PORT), None).and_then(shallow);
    run_programs(load, &connect, &target, &mut client, &mut server)
}

/// Runs a pair of programs through a relay with the scenario's links.
///
/// # Errors
/// As [`over_network`].
pub fn over_relay(scenario: &Scenario, contestant: &Contestant, seed: u64) -> Result<Trial, Failure> {
    let io = |error: io::Error| format!("setting up: {error}");
    let Contestant::Tunnel { client, server, extra, .. } = contestant else {
        return Err("kernel TCP does not pass a UDP relay".to_owned());
    };
    let load = Load::new(scenario, seed)?;
    let target = TcpListener::bind(local(0)).and_then(shallow).map_err(io)?;
    let server_address = local(ports::free_udp().map_err(io)?);
    let client_address = local(ports::free_tcp().map_err(io)?);
    let conditions = Conditions::of(scenario, seed);
    let relay = Relay::start_captured(local(0), server_address, &conditions, None).map_err(io)?;
    let target_address = target.local_addr().map_err(io)?;
    let addresses = Addresses {
        remote: relay.address(),
        server: server_address,
        client: client_address,
        target: target_address,
    };
    let [client_flags, server_flags] = addresses.flags(scenario, extra);
    let mut server = Process::start(server, &server_flags).map_err(io)?;
    await_port("udp", server_address.port(), &mut server);
    let mut client = Process::start(client, &client_flags).map_err(io)?;
    await_port("tcp", client_address.port(), &mut client);
    let connect = || TcpStream::connect(client_address).and_then(shallow);
    let figures = run_programs(&load, &connect, &target, &mut client, &mut server)?;
    drop((client, server));
    finish(figures, || relay.report())
}

fn await_port(protocol: &str, port: u16, program: &mut Process) {
    let start = std::time::Instant::now();
    let waits = |program: &mut Process| start.elapsed() < Duration::from_secs(5) && program.ended().is_none();
    while waits(program) && !ports::is_bound("/proc/net", protocol, port) {
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn run_programs(
    load: &Load,
    connect: &Connect<'_>,
    target: &TcpListener,
    client: &mut Process,
    server: &mut Process,
) -> Result<Vec<Figure>, Failure> {
    let figures = load.run(connect, target, &mut || {
        let client = client.ended().map(|status| format!("the client ended by itself: {status}"));
        client.or_else(|| server.ended().map(|status| format!("the server ended by itself: {status}")))
    });
    figures.map_err(|why| format!("{why}\nclient: {}\nserver: {}", client.output(), server.output()))
}

/// Keeps what waits for a tunnel in the tunnel, where the simulator has it, instead of in megabytes of socket buffers. What a
/// listener accepts is like the listener.
fn shallow<S: AsFd>(socket: S) -> io::Result<S> {
    socket2::SockRef::from(&socket).set_send_buffer_size(SEND_BUFFER_BYTES)?;
    Ok(socket)
}

/// Where the parts of a tunnel listen, and where its client sends to.
struct Addresses {
    remote: SocketAddr,
    server: SocketAddr,
    client: SocketAddr,
    target: SocketAddr,
}

impl Addresses {
    /// Flags of client and server.
    fn flags(&self, scenario: &Scenario, extra: &[String]) -> [Vec<String>; 2] {
        let with = |own: [(&str, SocketAddr); 2], settings| {
            let own = own.iter().flat_map(|(flag, address)| [(*flag).to_owned(), address.to_string()]);
            own.chain(flags(settings)).chain(extra.iter().cloned()).collect()
        };
        [
            with([("-r", self.remote), ("-l", self.client)], &scenario.client.settings),
            with([("-l", self.server), ("-t", self.target)], &scenario.server.settings),
        ]
    }
}

fn finish(figures: Vec<Figure>, report: impl FnOnce() -> Report) -> Result<Trial, Failure> {
    // The line notes twice a second what it lost.
    std::thread::sleep(Duration::from_millis(600));
    Ok(Trial { figures, line: report() })
}

const fn local(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

impl Serialize for Trial {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        serde_json::json!({ "workloads": self.figures, "line": self.line.to_json() }).serialize(to)
    }
}
