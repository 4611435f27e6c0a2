//! The run of a scenario: one event loop for all transports.

mod simulation;

use crate::check::Limits;
use crate::outcome::Outcome;
use crate::plan::Scenario;
use crate::record::Recorder;
use crate::rng::Seed;
use crate::trace::{Entry, Trace};
use crate::transport::tcp::Tcp;
use crate::transport::tunnel::Tunnels;
use crate::transport::{Network, Transport};
use simulation::Simulation;

/// One run of a scenario.
pub struct World<'s> {
    scenario: &'s Scenario,
    over: Over<'s>,
}

/// The transport of a run.
enum Over<'s> {
    Tunnels(Box<Simulation<'s, Tunnels>>),
    Tcp(Box<Simulation<'s, Tcp>>),
}

/// Plays `scenario` to its end: until all workloads are done and nothing is left to acknowledge, until the time for that is
/// up, or until a rule is broken. The outcome depends on nothing but the arguments.
pub fn play(scenario: &Scenario, seed: u64) -> Outcome {
    let mut world = World::new(scenario, seed);
    while world.step() {}
    world.finish()
}

impl<'s> World<'s> {
    /// A run before its first event; [`play`] in steps.
    pub fn new(scenario: &'s Scenario, seed: u64) -> Self {
        let (network, dice) = (Network::new(scenario, seed), Seed(seed));
        let over = match scenario.baseline {
            None => {
                let tunnels = Tunnels::new(scenario, network, dice);
                Over::Tunnels(Box::new(Simulation::new(scenario, seed, tunnels)))
            }
            Some(baseline) => {
                let tcp = Tcp::new(baseline, network, dice);
                Over::Tcp(Box::new(Simulation::new(scenario, seed, tcp)))
            }
        };
        Self { scenario, over }
    }

    /// As [`World::new`], keeping a record of what enters the trace.
    pub fn recording(scenario: &'s Scenario, seed: u64) -> Self {
        let mut world = Self::new(scenario, seed);
        world.network_mut().trace = Trace::recording();
        world
    }

    /// Changes the limits of memory and windows, to which only tunnels are held: tests tighten one to prove that runs are
    /// held to it.
    pub fn tighten(&mut self, change: impl FnOnce(&mut Limits)) {
        if let Over::Tunnels(run) = &mut self.over {
            change(run.transport.limits_mut());
        }
    }

    /// Records from here on, including the datagrams if `captures`.
    pub fn record(&mut self, captures: bool) {
        let recorder = Recorder::new(self.scenario, captures);
        self.network_mut().net.recorder = Some(Box::new(recorder));
    }

    /// The recorder, if the run is recorded.
    pub fn recorder(&mut self) -> Option<&mut Recorder> {
        self.network_mut().net.recorder.as_deref_mut()
    }

    /// Entries of the trace since the last call; empty unless made by [`World::recording`].
    pub fn take_record(&mut self) -> Vec<Entry> {
        self.network_mut().trace.take_record()
    }

    /// Streams that the simulator itself remembers: those that are not over.
    pub fn streams_remembered(&self) -> usize {
        match &self.over {
            Over::Tunnels(run) => run.transport.streams_remembered(),
            Over::Tcp(run) => run.transport.streams_remembered(),
        }
    }

    /// Processes one event; false when that was the last.
    pub fn step(&mut self) -> bool {
        match &mut self.over {
            Over::Tunnels(run) => run.step(),
            Over::Tcp(run) => run.step(),
        }
    }

    /// What the run found so far, and what comes of the scenario's expectations.
    pub fn finish(self) -> Outcome {
        match self.over {
            Over::Tunnels(run) => run.finish(),
            Over::Tcp(run) => run.finish(),
        }
    }

    fn network_mut(&mut self) -> &mut Network {
        match &mut self.over {
            Over::Tunnels(run) => run.transport.network_mut(),
            Over::Tcp(run) => run.transport.network_mut(),
        }
    }
}
