//! A tunnel of real programs: the client and the server of a peer on this machine, optionally with an emulated path between them.

use crate::mihomo;
use crate::path::Conditions;
use crate::peers::Peer;
use crate::ports::{Protocol, free_tcp, free_udp, local};
use crate::process::Process;
use crate::relay::Relay;
use crate::sys;
use sim::Side;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// Parameters of a pair.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// The programs.
    pub peer: &'a Peer,
    /// Flags of both programs, before those of the peer.
    pub flags: &'a [String],
    /// More flags of the client.
    pub client_flags: &'a [String],
    /// More flags of the server.
    pub server_flags: &'a [String],
    /// The processor core of both programs; None for any.
    pub core: Option<usize>,
    /// The path between the programs; None for the loopback device.
    pub path: Option<&'a Conditions>,
    /// Whether to measure the start-up time of the client by connecting to it.
    pub timed: bool,
}

impl<'a> Setup<'a> {
    /// Both programs with `flags`, over the loopback device.
    pub const fn new(peer: &'a Peer, flags: &'a [String]) -> Self {
        Self { peer, flags, client_flags: &[], server_flags: &[], core: None, path: None, timed: false }
    }
}

/// A running client and server.
#[derive(Debug)]
pub struct Pair {
    client: Process,
    server: Process,
    server_words: Vec<String>,
    server_port: u16,
    relay: Option<Relay>,
    _folders: Vec<mihomo::Folder>,
    /// Address to which applications connect.
    pub entry: SocketAddr,
    /// Time from the start of a program until it listens: client, server.
    pub started: [Duration; 2],
}

impl Pair {
    /// Starts the server, the relay and the client in front of `target`, each until it listens.
    ///
    /// # Errors
    /// A program cannot be started, ends, or does not listen.
    pub fn start(setup: Setup<'_>, target: SocketAddr) -> io::Result<Self> {
        let (server_at, client_at) = (free_udp()?, free_tcp()?);
        let relay = match setup.path {
            Some(conditions) => Some(Relay::start_captured(local(0), server_at, conditions, None)?),
            None => None,
        };
        let remote = relay.as_ref().map_or(server_at, Relay::address);
        let addresses = Addresses { remote, server: server_at, client: client_at, target };
        let mut folders = Vec::new();
        let mut start = |program: &Path, side, more: &[String]| {
            let flags: Vec<String> =
                setup.flags.iter().chain(more).chain(&setup.peer.extra).cloned().collect();
            let Started { process, words, folder } = addresses.start(program, side, &flags, setup.core)?;
            folders.extend(folder);
            io::Result::Ok((process, words))
        };
        let (mut server, server_words) = start(&setup.peer.server, Side::Server, setup.server_flags)?;
        let server_started = server.listens(Protocol::Udp, server_at.port())?;
        let (mut client, _) = start(&setup.peer.client, Side::Client, setup.client_flags)?;
        let client_started = match setup.timed {
            true => client.accepts(client_at)?,
            false => client.listens(Protocol::Tcp, client_at.port())?,
        };
        let started = [client_started, server_started];
        let server_port = server_at.port();
        Ok(Self {
            client,
            server,
            server_words,
            server_port,
            relay,
            _folders: folders,
            entry: client_at,
            started,
        })
    }

    /// Kills the server, and starts it again with the same flags after `pause`; returns when it listens.
    ///
    /// # Errors
    /// As [`Pair::start`].
    pub fn restart_server(&mut self, program: &Path, pause: Duration) -> io::Result<()> {
        self.server.end();
        sys::pause(pause)?;
        self.server = Process::start(program, &self.server_words, None)?;
        self.server.listens(Protocol::Udp, self.server_port).map(|_| ())
    }

    /// The relay between the programs, if there is one.
    pub const fn relay(&self) -> Option<&Relay> {
        self.relay.as_ref()
    }

    /// The command lines: server, client.
    pub fn commands(&self) -> Vec<String> {
        [&self.server, &self.client].map(|process| process.command().to_owned()).into()
    }

    /// The last lines of output: server, client.
    pub fn outputs(&self) -> Vec<String> {
        [&self.server, &self.client].map(Process::output).into()
    }

    /// The last lines of output of both programs.
    pub fn output(&self) -> String {
        format!("client: {}\nserver: {}", self.client.output(), self.server.output())
    }

    /// Processor time of both programs, seconds, with a resolution of 10 ms.
    ///
    /// # Errors
    /// A program has ended.
    pub fn cpu_s(&self) -> io::Result<f64> {
        Ok(self.client.cpu_s()? + self.server.cpu_s()?)
    }

    /// As [`Pair::cpu_s`] to the nanosecond, as long as no thread ends.
    ///
    /// # Errors
    /// A program has ended.
    pub fn fine_cpu_s(&self) -> io::Result<f64> {
        Ok(self.client.fine_cpu_s()? + self.server.fine_cpu_s()?)
    }

    /// Resident memory of client and server in MiB; with `peak`, the maximum so far.
    ///
    /// # Errors
    /// A program has ended.
    pub fn memories_mib(&self, peak: bool) -> io::Result<[f64; 2]> {
        Ok([self.client.memory_mib(peak)?, self.server.memory_mib(peak)?])
    }

    /// The sum of [`Pair::memories_mib`].
    ///
    /// # Errors
    /// A program has ended.
    pub fn memory_mib(&self, peak: bool) -> io::Result<f64> {
        Ok(self.memories_mib(peak)?.iter().sum())
    }

    /// Checks that both programs still run.
    ///
    /// # Errors
    /// One has ended; the message has its status and last output.
    pub fn check(&mut self) -> io::Result<()> {
        self.server.check()?;
        self.client.check()
    }
}

/// Addresses of the parts of a tunnel.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// Destination of the client: the server, or the relay in front of it.
    pub remote: SocketAddr,
    /// Where the server receives datagrams.
    pub server: SocketAddr,
    /// Where the client takes connections.
    pub client: SocketAddr,
    /// Where the server connects.
    pub target: SocketAddr,
}

/// A process of one end of a tunnel.
#[derive(Debug)]
pub struct Started {
    /// The process.
    pub process: Process,
    /// Its command line, without the program.
    pub words: Vec<String>,
    /// Its configuration, which has to outlive it; None for programs with kcptun's flags.
    pub folder: Option<mihomo::Folder>,
}

impl Addresses {
    /// Starts the program of a side with kcptun's `flags`; mihomo gets a configuration made of them, and is waited for, because it
    /// listens before it takes connections.
    ///
    /// # Errors
    /// It cannot be started, or ends.
    pub fn start(
        self,
        program: &Path,
        side: Side,
        flags: &[String],
        core: Option<usize>,
    ) -> io::Result<Started> {
        if !mihomo::is(program) {
            let words = [&self.flags(side), flags].concat();
            return Ok(Started { process: Process::start(program, &words, core)?, words, folder: None });
        }
        let folder = mihomo::Folder::new(side, self, flags)?;
        let words = folder.arguments();
        let mut process = Process::start(program, &words, core)?;
        process.wait(|| folder.is_up(), Duration::from_millis(1))?;
        Ok(Started { process, words, folder: Some(folder) })
    }

    /// The address flags of a program.
    pub(crate) fn flags(&self, side: Side) -> [String; 4] {
        let [(first, one), (second, other)] = match side {
            Side::Client => [("-r", self.remote), ("-l", self.client)],
            Side::Server => [("-l", self.server), ("-t", self.target)],
        };
        [first.to_owned(), one.to_string(), second.to_owned(), other.to_string()]
    }
}
