//! A pair of programs with the restarts and stalls of the scenario.

use crate::load::Carrier;
use crate::path::PathState;
use crate::process::Process;
use engine::Instant;
use sim::plan::{FaultKind, Stall};
use sim::{Scenario, Side};
use std::io;
use std::net::TcpStream;
use std::time::Duration;

/// The environment of a pair: the network of this machine, or two namespaces.
pub(super) trait Placement {
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
    placement: &'a dyn Placement,
    ends: [Supervised; 2],
}

const SIDES: [Side; 2] = [Side::Client, Side::Server];

/// One program and its scheduled faults.
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
    pub(super) fn start(placement: &'a dyn Placement, scenario: &Scenario) -> Result<Self, String> {
        let mut pair = Self { placement, ends: SIDES.map(|side| Supervised::new(side, scenario)) };
        for program in pair.ends.iter_mut().rev() {
            let began = std::time::Instant::now();
            program.start(placement)?;
            while !program.is_ready(placement) && program.ended().is_none() && began.elapsed() < START_LIMIT {
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
        self.placement.connect()
    }

    fn path_state(&self) -> PathState {
        self.placement.path_state()
    }

    fn supervise(&mut self, now: Duration) -> Result<[bool; 2], String> {
        for program in &mut self.ends {
            if let Some(status) = program.ended() {
                return Err(format!("the {} exited: {status}", program.side.name()));
            }
            program.restart(self.placement, now)?;
            program.stall(Instant::ZERO + now);
        }
        let placement = self.placement;
        let [client, server] = &mut self.ends;
        Ok([client.is_ready(placement), server.is_ready(placement)])
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

    fn start(&mut self, placement: &dyn Placement) -> Result<(), String> {
        let process = placement
            .start(self.side)
            .map_err(|error| format!("starting the {}: {error}", self.side.name()))?;
        (self.process, self.listens, self.stopped) = (Some(process), false, false);
        Ok(())
    }

    fn is_ready(&mut self, placement: &dyn Placement) -> bool {
        self.listens = self.process.is_some() && (self.listens || placement.listens(self.side));
        self.listens
    }

    fn ended(&mut self) -> Option<String> {
        self.process.as_mut().and_then(Process::ended)
    }

    fn restart(&mut self, placement: &dyn Placement, now: Duration) -> Result<(), String> {
        for restart in self.restarts.iter_mut().filter(|restart| !restart.killed && restart.at <= now) {
            restart.killed = true;
            // Dropping the process kills it.
            self.process = None;
        }
        let down = self.restarts.iter().any(|restart| restart.at <= now && now < restart.at + restart.for_);
        if self.process.is_none() && !down { self.start(placement) } else { Ok(()) }
    }

    fn stall(&mut self, now: Instant) {
        let stopped = self.stalls.iter().any(|stall| stall.end(now).is_some());
        if let Some(process) = self.process.as_ref().filter(|_| stopped != self.stopped) {
            process.suspend(stopped);
            self.stopped = stopped;
        }
    }
}
