//! One cell of the matrix: one client, one server, one setting, perhaps an impaired path.

use super::{Setting, Work, work};
use lab::peers::Program;
use lab::ports;
use lab::process::Process;
use lab::relay::Relay;
use sim::link::Counters;
use sim::plan::LinkPlan;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

/// A combination to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// The client program.
    pub client: Program,
    /// The server program.
    pub server: Program,
    /// Flags of both.
    pub setting: Setting,
    /// A relay between them; none: straight.
    pub impaired: Option<LinkPlan>,
    /// What goes through.
    pub work: Work,
}

/// Figures of a cell that passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// From the start of the programs to the last checked byte.
    pub elapsed: Duration,
    /// Bytes that were checked, both directions.
    pub bytes: usize,
    /// What the relay got and did not forward, if there was one, both directions together.
    pub relay: Option<Lost>,
}

/// Datagrams at a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// Received from both ends.
    pub received: u64,
    /// Not forwarded.
    pub lost: u64,
}

impl Lost {
    fn sum(links: &[Counters; 2]) -> Self {
        let sum = |of: fn(&Counters) -> u64| links.iter().map(of).sum();
        Self { received: sum(|counters| counters.sent_packets), lost: sum(Counters::dropped) }
    }
}

/// Err: why the cell failed, with the last output of both programs.
pub type Outcome = Result<Passed, String>;

impl Cell {
    /// `client -> server, setting, path`.
    pub fn name(&self) -> String {
        let path = self.impaired.as_ref().map_or("clean", |_| "impaired");
        format!("{} -> {}  {}  {path}", self.client.name, self.server.name, self.setting.name)
    }

    /// Runs it: starts everything, checks every byte, stops everything.
    pub fn run(&self) -> Outcome {
        let start = Instant::now();
        let io = |error: std::io::Error| format!("setting up: {error}");
        let target = TcpListener::bind(("127.0.0.1", 0)).map_err(io)?;
        let target_port = target.local_addr().map_err(io)?.port();
        let server_port = ports::free_udp().map_err(io)?;
        let client_port = ports::free_tcp().map_err(io)?;
        let flags = [flag("-t", target_port), flag("-l", server_port)].concat();
        let mut server = self.start(&self.server, flags)?;
        ports::wait_for_udp(server_port, Duration::from_secs(5), || server.ended().is_some());
        let relay = self.start_relay(server_port).map_err(io)?;
        let remote_port = relay.as_ref().map_or(server_port, |relay| relay.address().port());
        let mut client =
            self.start(&self.client, [flag("-r", remote_port), flag("-l", client_port)].concat())?;
        let found = work::run(client_port, target, self.work, || ended(&mut client, &mut server));
        found.map_err(|why| with_output(&why, &client, &server))?;
        Ok(Passed {
            elapsed: start.elapsed(),
            bytes: 2 * self.work.streams * self.work.stream_bytes,
            relay: relay.map(|relay| Lost::sum(&relay.report().links)),
        })
    }

    fn start(&self, program: &Program, mut flags: Vec<String>) -> Result<Process, String> {
        flags.extend(["--key", "live interoperability"].map(str::to_owned));
        flags.extend(self.setting.flags.iter().map(|flag| (*flag).to_owned()));
        Process::start(&program.path, &flags).map_err(|error| format!("{}: {error}", program.path.display()))
    }

    fn start_relay(&self, server_port: u16) -> std::io::Result<Option<Relay>> {
        let Some(plan) = &self.impaired else { return Ok(None) };
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Relay::start(at(0), at(server_port), [plan.clone(), plan.clone()], 1).map(Some)
    }
}

fn flag(name: &str, port: u16) -> Vec<String> {
    vec![name.to_owned(), format!("127.0.0.1:{port}")]
}

fn ended(client: &mut Process, server: &mut Process) -> Option<String> {
    let client = client.ended().map(|status| format!("client ended by itself: {status}"));
    client.or_else(|| server.ended().map(|status| format!("server ended by itself: {status}")))
}

fn with_output(why: &str, client: &Process, server: &Process) -> String {
    format!("{why}\nclient: {}\nserver: {}", client.output(), server.output())
}
