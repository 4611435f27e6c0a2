//! A scenario's workloads over real TCP connections: the same bytes at the same times as in the simulator, measured alike.
//!
//! Both ends live in this process, so latencies need one clock only. A connection starts with its workload's number, so that
//! the target's end knows what to do.

mod bulk;
mod echo;
mod ends;
mod figures;

pub use figures::{Figure, data_path, useful_bytes};

use ends::Run;
use sim::Scenario;
use sim::work::{WorkKind, WorkPlan};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// Makes a connection whose other end the target accepts.
pub type Connect<'a> = dyn Fn() -> io::Result<TcpStream> + Sync + 'a;

/// A connection names its workload in one byte.
const WORKLOADS_MAX: usize = 256;

/// What to do.
#[derive(Debug, Clone)]
pub struct Load {
    work: Vec<WorkPlan>,
    /// Sources stop then.
    duration: Duration,
    /// Time for the rest to arrive.
    drain: Duration,
    seed: u64,
}

impl Load {
    /// The workloads of `scenario` under the dice of `seed`.
    ///
    /// # Errors
    /// A workload that has no real-time twin.
    pub fn new(scenario: &Scenario, seed: u64) -> Result<Self, String> {
        let unknown = |plan: &&WorkPlan| !matches!(plan.kind, WorkKind::Bulk(_) | WorkKind::Echo(_));
        if let Some(plan) = scenario.work.iter().find(unknown) {
            return Err(format!("workload `{}`: only bulk and echo can run in real time", plan.name));
        }
        if scenario.work.len() > WORKLOADS_MAX {
            return Err(format!("more than {WORKLOADS_MAX} workloads"));
        }
        Ok(Self {
            work: scenario.work.clone(),
            duration: Duration::from_micros(scenario.duration_us),
            drain: Duration::from_micros(scenario.drain_us),
            seed,
        })
    }

    /// Does it: what each workload found, in the scenario's order. `failed` is asked now and then whether there is still
    /// hope.
    ///
    /// # Errors
    /// Bytes that arrived wrong, a connection that broke, what `failed` said, or a signal. That something did not arrive in
    /// time is no error: the figures say so.
    pub fn run(
        &self,
        connect: &Connect<'_>,
        target: &TcpListener,
        failed: &mut dyn FnMut() -> Option<String>,
    ) -> Result<Vec<Figure>, String> {
        Run::new(self).go(connect, target, failed)
    }
}
