//! A tunnel: the two programs of a peer, perhaps with a line between them.

use super::line::{Line, Relay};
use super::peer::Peer;
use super::process::{Process, Protocol};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

/// How a pair is started.
#[derive(Clone, Copy)]
pub(crate) struct Setup<'a> {
    pub(crate) peer: &'a Peer,
    /// Flags of both.
    pub(crate) flags: &'a [String],
    /// More flags of the client.
    pub(crate) client_flags: &'a [String],
    /// Cores of both programs; none for all.
    pub(crate) cores: Option<&'a str>,
    pub(crate) line: Option<&'a Line>,
    pub(crate) seed: u64,
    /// Whether how long the start takes is what counts.
    pub(crate) bare: bool,
}

/// A running client and server.
pub(crate) struct Pair {
    client: Process,
    server: Process,
    _relay: Option<Relay>,
    /// Where applications connect to.
    pub(crate) entry: SocketAddr,
    /// From the start of a program until it listens: client, server.
    pub(crate) started: [Duration; 2],
}

impl Pair {
    /// Starts the server, the line and the client in front of `target`, each until it listens.
    pub(crate) fn start(setup: Setup<'_>, target: SocketAddr) -> anyhow::Result<Self> {
        let [server_at, entry] = [local(free_udp()?), local(free_tcp()?)];
        let start = if setup.bare { start_bare } else { Process::start };
        let with = |own: [(&str, SocketAddr); 2], more: &[String]| -> Vec<String> {
            let own = own.iter().flat_map(|(flag, address)| [(*flag).to_owned(), address.to_string()]);
            own.chain(setup.flags.iter().chain(more).chain(&setup.peer.extra).cloned()).collect()
        };
        let flags = with([("-l", server_at), ("-t", target)], &[]);
        let mut server = start(&setup.peer.server, &flags, setup.cores)?;
        let server_started = server.listens(Protocol::Udp, server_at.port())?;
        let relay = setup.line.map(|line| line.relay(server_at, setup.seed)).transpose()?;
        let remote = relay.as_ref().map_or(server_at, |relay| relay.address);
        let flags = with([("-r", remote), ("-l", entry)], setup.client_flags);
        let mut client = start(&setup.peer.client, &flags, setup.cores)?;
        let client_started = match setup.bare {
            true => client.accepts(entry)?,
            false => client.listens(Protocol::Tcp, entry.port())?,
        };
        Ok(Self { client, server, _relay: relay, entry, started: [client_started, server_started] })
    }

    /// The command lines.
    pub(crate) fn commands(&self) -> Vec<String> {
        vec![self.server.command.clone(), self.client.command.clone()]
    }

    /// Processor time of both.
    pub(crate) fn cpu_s(&self) -> anyhow::Result<f64> {
        Ok(self.client.cpu_s()? + self.server.cpu_s()?)
    }

    /// The same to the nanosecond, as long as no thread ends.
    pub(crate) fn fine_cpu_s(&self) -> anyhow::Result<f64> {
        Ok(self.client.fine_cpu_s()? + self.server.fine_cpu_s()?)
    }

    /// Memory of both.
    pub(crate) fn memory_mib(&self, peak: bool) -> anyhow::Result<f64> {
        let [client, server] = self.memories_mib(peak)?;
        Ok(client + server)
    }

    /// Memory of client and server.
    pub(crate) fn memories_mib(&self, peak: bool) -> anyhow::Result<[f64; 2]> {
        Ok([self.client.memory_mib(peak)?, self.server.memory_mib(peak)?])
    }

    /// Refuses a pair of which one ended by itself.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        self.server.check()?;
        self.client.check()
    }
}

fn start_bare(program: &std::path::Path, flags: &[String], _: Option<&str>) -> anyhow::Result<Process> {
    Process::start_bare(program, flags)
}

/// An address of this machine.
pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A UDP port that nobody is bound to at this moment.
pub(crate) fn free_udp() -> anyhow::Result<u16> {
    Ok(UdpSocket::bind(local(0))?.local_addr()?.port())
}

fn free_tcp() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(local(0))?.local_addr()?.port())
}
