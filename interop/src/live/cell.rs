//! One cell of the matrix: a client, a server, a setting, and a clean or impaired path.

use super::{Setting, Work, work};
use crate::Program;
use lab::mihomo;
use lab::pair::{Pair, Setup};
use lab::path::Conditions;
use lab::peers::Peer;
use lab::ports::local;
use sim::outcome::Counters;
use sim::plan::LinkPlan;
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// A combination of programs, setting and path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// The client program.
    pub client: Program,
    /// The server program.
    pub server: Program,
    /// Flags of both programs.
    pub setting: Setting,
    /// Links of a relay between the programs; None for a direct connection.
    pub impaired: Option<LinkPlan>,
    /// Number and size of the streams.
    pub work: Work,
}

/// Figures of a cell that passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// Time from the start of the programs to the last checked byte.
    pub elapsed: Duration,
    /// Number of checked bytes in both directions.
    pub bytes: usize,
    /// Sum of the relay's counters over both directions; None for a direct connection.
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

    /// Starts the programs, checks every byte, stops the programs.
    pub fn run(&self) -> Outcome {
        let start = Instant::now();
        let io = |error: std::io::Error| format!("setting up: {error}");
        let target = TcpListener::bind(local(0)).map_err(io)?;
        let peer = Peer {
            name: self.name(),
            client: self.client.path.clone(),
            server: self.server.path.clone(),
            extra: Vec::new(),
        };
        let flags: Vec<String> = ["--key", "live interoperability"]
            .iter()
            .chain(self.setting.flags)
            .map(ToString::to_string)
            .collect();
        let conditions = self.impaired.as_ref().map(|plan| Conditions {
            links: [plan.clone(), plan.clone()],
            seed: 1,
            ..Conditions::default()
        });
        let setup = Setup {
            client_flags: &self.client.flags,
            server_flags: &self.server.flags,
            path: conditions.as_ref(),
            ..Setup::new(&peer, &flags)
        };
        let target_at = target.local_addr().map_err(io)?;
        // One that mihomo writes and karst does not remove, or the other way round.
        let head = mihomo::head(target_at);
        let head = match [&self.client.path, &self.server.path].map(|path| mihomo::is(path)) {
            [true, false] => work::Head { received: head.len(), ..Default::default() },
            [false, true] => work::Head { sent: head, ..Default::default() },
            _ => work::Head::default(),
        };
        let mut pair = Pair::start(setup, target_at).map_err(|error| error.to_string())?;
        let entry = pair.entry;
        let ended = || pair.check().err().map(|error| error.to_string());
        let found = work::run(entry, target, self.work, head, ended);
        found.map_err(|why| format!("{why}\n{}", pair.output()))?;
        Ok(Passed {
            elapsed: start.elapsed(),
            bytes: 2 * self.work.streams * self.work.stream_bytes,
            relay: pair.relay().map(|relay| Lost::sum(&relay.report().links)),
        })
    }
}
