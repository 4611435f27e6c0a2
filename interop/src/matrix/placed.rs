//! Running programs: on the loopback device, or, for forged TCP, in two network namespaces.

use super::judge::{Dialer, Tunnel, dialer};
use lab::netns::{End, Network, RIGHT};
use lab::pair::Pair;
use lab::path::Conditions;
use lab::ports::{Protocol, local};
use lab::process::Process;
use sim::outcome::Counters;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Ports in the namespaces.
const SERVER_PORT: u16 = 29_900;
const CLIENT_PORT: u16 = 12_948;
const TARGET_PORT: u16 = 7_007;

/// Time between the end of a server and its next start.
const RESTART_PAUSE: Duration = Duration::from_millis(500);

/// Time limit for a program in a namespace to listen.
const LISTEN_LIMIT: Duration = Duration::from_secs(10);

/// Programs of forged TCP listen before they capture.
const CAPTURE_PAUSE: Duration = Duration::from_millis(300);

/// A client and a server.
pub(super) enum Placed<'a> {
    /// On the loopback device.
    Host {
        /// The programs.
        pair: Pair,
        /// The server's executable.
        server: &'a Path,
    },
    /// In two network namespaces.
    Net(NetPair),
}

impl Placed<'_> {
    /// Command lines: server, client.
    pub(super) fn commands(&self) -> Vec<String> {
        match self {
            Self::Host { pair, .. } => pair.commands(),
            Self::Net(pair) => pair.both().map(|process| process.command().to_owned()).into(),
        }
    }

    /// Last lines of output: server, client.
    pub(super) fn outputs(&self) -> Vec<String> {
        match self {
            Self::Host { pair, .. } => pair.outputs(),
            Self::Net(pair) => pair.both().map(Process::output).into(),
        }
    }

    /// Packets that reached the emulated path, and those that it dropped.
    pub(super) fn relayed(&self) -> Option<[u64; 2]> {
        let links = match self {
            Self::Host { pair, .. } => pair.relay()?.report().links,
            Self::Net(pair) => pair.network.report().links,
        };
        let sum = |of: fn(&Counters) -> u64| links.iter().map(of).sum();
        Some([sum(|counters| counters.sent_packets), sum(Counters::dropped)])
    }
}

impl Tunnel for Placed<'_> {
    fn dialer(&self) -> Dialer {
        match self {
            Self::Host { pair, .. } => dialer(pair.entry),
            Self::Net(pair) => {
                let network = Arc::clone(&pair.network);
                Arc::new(move || network.connect(End::Left, local(CLIENT_PORT), None))
            }
        }
    }

    fn check(&mut self) -> Result<(), String> {
        let checked = match self {
            Self::Host { pair, .. } => pair.check(),
            Self::Net(pair) => pair.server.check().and_then(|()| pair.client.check()),
        };
        checked.map_err(|error| error.to_string())
    }

    fn restart_server(&mut self) -> Result<(), String> {
        match self {
            Self::Host { pair, server } => {
                pair.restart_server(server, RESTART_PAUSE).map_err(|error| error.to_string())
            }
            Self::Net(_) => Err("servers in namespaces are not restarted".to_owned()),
        }
    }
}

/// Programs in two network namespaces; they end with the network.
pub(super) struct NetPair {
    server: Process,
    client: Process,
    network: Arc<Network>,
}

impl NetPair {
    /// Starts the programs, each with its flags; returns them with the listener of the target.
    pub(super) fn start(
        programs: [&Path; 2],
        flags: [Vec<String>; 2],
        conditions: &Conditions,
    ) -> io::Result<(Self, TcpListener)> {
        let network = Network::start(conditions, None).map_err(io::Error::other)?;
        let target = network.listen(End::Right, local(TARGET_PORT), None)?;
        let server_at = SocketAddr::from((RIGHT, SERVER_PORT)).to_string();
        let (client_at, target_at) = (local(CLIENT_PORT).to_string(), local(TARGET_PORT).to_string());
        let [of_client, of_server] = flags;
        let words = |own: [&str; 4], flags: Vec<String>| {
            own.iter().map(ToString::to_string).chain(flags).collect::<Vec<String>>()
        };
        let [client, server] = programs;
        let start = |end, path, words, protocol, port| -> io::Result<Process> {
            let mut process = network.start_program(end, path, words)?;
            let begun = Instant::now();
            while !network.is_bound(end, protocol, port) {
                process.check()?;
                if begun.elapsed() > LISTEN_LIMIT {
                    let why = format!("{} does not listen after {LISTEN_LIMIT:?}", path.display());
                    return Err(io::Error::new(ErrorKind::TimedOut, why));
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            std::thread::sleep(CAPTURE_PAUSE);
            Ok(process)
        };
        let of_server = words(["-l", &server_at, "-t", &target_at], of_server);
        let server = start(End::Right, server, of_server, Protocol::Udp, SERVER_PORT)?;
        let of_client = words(["-r", &server_at, "-l", &client_at], of_client);
        let client = start(End::Left, client, of_client, Protocol::Tcp, CLIENT_PORT)?;
        Ok((Self { server, client, network: Arc::new(network) }, target))
    }

    const fn both(&self) -> [&Process; 2] {
        [&self.server, &self.client]
    }
}
