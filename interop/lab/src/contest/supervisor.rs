//! A pair of programs that is restarted and suspended as the scenario says.

use crate::load::Carrier;
use crate::path::PathState;
use crate::process::Process;
use engine::Instant;
use sim::plan::{FaultKind, Stall};
use sim::{Scenario, Side};
use std::io;
use std::net::TcpStream;
use std::time::Duration;

/// The place where a pair runs: this machine, or two namespaces.
pub(super) trait Site {
    /// Starts the program of that side.
    fn start(&self, side: Side) -> io::Result<Process>;
    /// Whether the program of that side listens.
    fn listens(&self, side: Side) -> bool;
    /// Connects to the client.
    fn connect(&self) -> io::Result<TcpStream>;
    /// State of the path under the programs.
    fn path_state(&self) -> PathState;
}

/// Time limit for a program to listen.
const START_LIMIT: Duration = Duration::from_secs(5);

/// A client and a server under supervision.
pub(super) struct Supervisor<'a> {
    site: &'a dyn Site,
    ends: [Supervised; 2],
}

const SIDES: [Side; 2] = [Side::Client, Side::Server];

/// One program, and its faults to come.
struct Supervised {
    side: Side,
    /// None while it does not run.
    process: Option<Process>,
    listens: bool,
    stopped: bool,
    restarts: Vec<Restart>,
    stalls: Vec<Stall>,
}

struct Restart {
    at: Duration,
    for_: Duration,
    killed: bool,
}

impl<'a> Supervisor<'a> {
    /// Starts the server, then the client, each until it listens.
    pub(super) fn start(site: &'a dyn Site, scenario: &Scenario) -> Result<Self, String> {
        let mut pair = Self { site, ends: SIDES.map(|side| Supervised::new(side, scenario)) };
        for program in pair.ends.iter_mut().rev() {
            let began = std::time::Instant::now();
            program.start(site)?;
            while !program.is_ready(site) && program.ended().is_none() && began.elapsed() < START_LIMIT {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(pair)
    }

    /// The last output of both programs.
    pub(super) fn output(&self) -> String {
        let output = |program: &Supervised| program.process.as_ref().map_or(String::new(), Process::output);
        format!("client: {}\nserver: {}", output(&self.ends[0]), output(&self.ends[1]))
    }
}

impl Carrier for Supervisor<'_> {
    fn connect(&self) -> io::Result<TcpStream> {
        self.site.connect()
    }

    fn path_state(&self) -> PathState {
        self.site.path_state()
    }

    fn tend(&mut self, now: Duration) -> Result<[bool; 2], String> {
        for program in &mut self.ends {
            if let Some(status) = program.ended() {
                return Err(format!("the {} ended by itself: {status}", program.side.name()));
            }
            program.restart(self.site, now)?;
            program.stall(Instant::ZERO + now);
        }
        let site = self.site;
        let [client, server] = &mut self.ends;
        Ok([client.is_ready(site), server.is_ready(site)])
    }
}

impl Supervised {
    fn new(side: Side, scenario: &Scenario) -> Self {
        let restarts = scenario.faults.iter().filter(|fault| match fault.kind {
            FaultKind::ClientRestart { .. } => side == Side::Client,
            FaultKind::ServerRestart => side == Side::Server,
            _ => false,
        });
        let us = Duration::from_micros;
        let host = if side == Side::Client { &scenario.hosts.client } else { &scenario.hosts.server };
        Self {
            side,
            process: None,
            listens: false,
            stopped: false,
            restarts: restarts
                .map(|fault| Restart { at: us(fault.at_us), for_: us(fault.for_us), killed: false })
                .collect(),
            stalls: host.stalls.clone(),
        }
    }

    fn start(&mut self, site: &dyn Site) -> Result<(), String> {
        let process =
            site.start(self.side).map_err(|error| format!("starting the {}: {error}", self.side.name()))?;
        (self.process, self.listens, self.stopped) = (Some(process), false, false);
        Ok(())
    }

    fn is_ready(&mut self, site: &dyn Site) -> bool {
        self.listens = self.process.is_some() && (self.listens || site.listens(self.side));
        self.listens
    }

    fn ended(&mut self) -> Option<String> {
        self.process.as_mut().and_then(Process::ended)
    }

    fn restart(&mut self, site: &dyn Site, now: Duration) -> Result<(), String> {
        for restart in self.restarts.iter_mut().filter(|restart| !restart.killed && restart.at <= now) {
            restart.killed = true;
            // Dropping the process kills it.
            self.process = None;
        }
        let down = self.restarts.iter().any(|restart| restart.at <= now && now < restart.at + restart.for_);
        if self.process.is_none() && !down { self.start(site) } else { Ok(()) }
    }

    fn stall(&mut self, now: Instant) {
        let stopped = self.stalls.iter().any(|stall| stall.end(now).is_some());
        if let Some(process) = self.process.as_ref().filter(|_| stopped != self.stopped) {
            process.suspend(stopped);
            self.stopped = stopped;
        }
    }
}
