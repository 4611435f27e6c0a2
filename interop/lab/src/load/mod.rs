//! A scenario's workloads over real TCP connections: the simulator's applications, driven by the wall clock.
//!
//! Both ends live in this process, on one thread, so one clock measures latencies, and a connection that ends before all written
//! bytes arrived is detected as cut; its application is then notified as in the simulator. Each stream is a separate connection
//! that starts with its number, which identifies it at the target.

mod figures;
mod pipe;
mod run;
mod streams;

pub use figures::{data_path, goodput_kbit, is_complete, latency_us, streams_reset};

use crate::path::PathState;
use run::Run;
use serde_json::{Value, json};
use sim::Scenario;
use sim::outcome::WorkOutcome;
use sim::plan::{WorkPlan, all_healed_at};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// Makes the connections of a load.
pub trait Carrier {
    /// Starts a connection to the target; it need not be established yet.
    ///
    /// # Errors
    /// An error of the system.
    fn connect(&self) -> io::Result<TcpStream>;

    /// As [`Carrier::connect`], for the workload of that number.
    ///
    /// # Errors
    /// An error of the system.
    fn connect_for(&self, _work: usize) -> io::Result<TcpStream> {
        self.connect()
    }

    /// A connection of the workload of that number arrived at the target.
    ///
    /// # Errors
    /// An error of the system.
    fn arrived(&self, _work: usize, _socket: &TcpStream) -> io::Result<()> {
        Ok(())
    }

    /// State of the path under it; zero when unknown.
    fn path_state(&self) -> PathState {
        PathState::default()
    }

    /// Applies the faults that are due; called every few milliseconds with the time since the start of the load. Returns whether
    /// the client runs, and whether the server runs.
    ///
    /// # Errors
    /// The load cannot continue.
    fn supervise(&mut self, _now: Duration) -> Result<[bool; 2], String> {
        Ok([true; 2])
    }
}

/// Default time for data in flight to arrive after the sources have stopped.
const DRAIN: Duration = Duration::from_secs(30);

/// The workloads of a run.
#[derive(Debug, Clone)]
pub struct Load {
    work: Vec<WorkPlan>,
    /// Time after which sources stop.
    duration: Duration,
    /// Time at which the last fault has healed.
    healed: Duration,
    /// Time for data in flight to arrive.
    drain: Duration,
    seed: u64,
}

impl Load {
    /// The workloads of `scenario` under `seed`.
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        Self {
            work: scenario.work.clone(),
            duration: Duration::from_micros(scenario.duration_us),
            healed: Duration::from_micros(all_healed_at(&scenario.faults).as_micros()),
            drain: scenario.drain_us.map_or(DRAIN, Duration::from_micros),
            seed,
        }
    }

    /// Runs the workloads; their outcomes in the scenario's order.
    ///
    /// # Errors
    /// Corrupted bytes, a connection that cannot be made, an error of the carrier, or a signal. Data that did not arrive in time,
    /// and connections that were cut, are no errors: the outcomes count them.
    pub fn run(&self, carrier: &mut dyn Carrier, target: &TcpListener) -> Result<Vec<WorkOutcome>, String> {
        Ok(self.follow(carrier, target)?.0)
    }

    /// As [`Load::run`], with the progress every 20 ms.
    ///
    /// # Errors
    /// As [`Load::run`].
    pub fn follow(
        &self,
        carrier: &mut dyn Carrier,
        target: &TcpListener,
    ) -> Result<(Vec<WorkOutcome>, Progress), String> {
        Run::new(self, target).map_err(|error| format!("target: {error}"))?.go(carrier)
    }
}

/// Progress of a run, sampled every 20 ms.
#[derive(Debug, Clone, Default)]
pub struct Progress(pub Vec<Moment>);

/// Progress at one time.
#[derive(Debug, Clone)]
pub struct Moment {
    /// Time since the start of the load.
    pub at_us: u64,
    /// Bytes that each workload had read.
    pub read_bytes: Vec<u64>,
    /// State of the path.
    pub path: PathState,
}

impl Progress {
    /// The machine-readable form, a list for each figure; workloads in the scenario's order.
    pub fn to_json(&self) -> Value {
        let Self(moments) = self;
        let list = |of: &dyn Fn(&Moment) -> u64| moments.iter().map(of).collect::<Vec<_>>();
        let works = moments.first().map_or(0, |moment| moment.read_bytes.len());
        let read: Vec<_> = (0..works).map(|work| list(&|moment| moment.read_bytes[work])).collect();
        let [up, down] = [0, 1].map(|at| {
            (list(&|moment| moment.path.sent_bytes[at]), list(&|moment| moment.path.waiting_bytes[at]))
        });
        json!({
            "at_us": list(&|moment| moment.at_us),
            "read_bytes": read,
            "sent_bytes": { "up": up.0, "down": down.0 },
            "waiting_bytes": { "up": up.1, "down": down.1 },
        })
    }
}
