use crate::outcome::Outcome;
use crate::plan::Scenario;
use crate::record::Recorder;
use crate::trace::{Entry, Trace};
use crate::transport::tcp::TcpWorld;
use crate::world::World;

/// One run of a scenario in steps, over whatever the scenario says.
pub struct Run<'s>(Kind<'s>);

enum Kind<'s> {
    Karst(Box<World<'s>>),
    Tcp(Box<TcpWorld<'s>>),
}

/// Plays `scenario` to its end. The outcome depends on nothing but the arguments.
pub fn play(scenario: &Scenario, seed: u64) -> Outcome {
    let mut run = Run::new(scenario, seed);
    while run.step() {}
    run.finish()
}

impl<'s> Run<'s> {
    /// A run before its first event.
    pub fn new(scenario: &'s Scenario, seed: u64) -> Self {
        Self(match scenario.baseline {
            None => Kind::Karst(Box::new(World::new(scenario, seed))),
            Some(baseline) => Kind::Tcp(Box::new(TcpWorld::new(scenario, baseline, seed, Trace::new()))),
        })
    }

    /// As [`Run::new`], keeping a record of what enters the trace.
    pub fn recording(scenario: &'s Scenario, seed: u64) -> Self {
        Self(match scenario.baseline {
            None => Kind::Karst(Box::new(World::recording(scenario, seed))),
            Some(baseline) => {
                Kind::Tcp(Box::new(TcpWorld::new(scenario, baseline, seed, Trace::recording())))
            }
        })
    }

    /// Processes one event; false when that was the last.
    pub fn step(&mut self) -> bool {
        match &mut self.0 {
            Kind::Karst(world) => world.step(),
            Kind::Tcp(world) => world.step(),
        }
    }

    /// From here on keeps a recording, with the datagrams themselves if it `captures`.
    pub fn record(&mut self, captures: bool) {
        match &mut self.0 {
            Kind::Karst(world) => world.record(captures),
            Kind::Tcp(world) => world.record(captures),
        }
    }

    /// What records the run, if anything does.
    pub fn recorder(&mut self) -> Option<&mut Recorder> {
        match &mut self.0 {
            Kind::Karst(world) => world.recorder(),
            Kind::Tcp(world) => world.recorder(),
        }
    }

    /// What entered the trace since the last call; nothing when no record is kept.
    pub fn take_record(&mut self) -> Vec<Entry> {
        match &mut self.0 {
            Kind::Karst(world) => world.take_record(),
            Kind::Tcp(world) => world.take_record(),
        }
    }

    /// What the run found, and what comes of the scenario's expectations.
    pub fn finish(self) -> Outcome {
        match self.0 {
            Kind::Karst(world) => world.finish(),
            Kind::Tcp(world) => world.finish(),
        }
    }
}
