//! Comparison of simulated scenarios with real programs over the same links in real time.

mod page;

pub use page::Page;

use crate::contest::useful;
use crate::contest::{Contestant, Row, TrialOutcome, over_network, over_relay};
use crate::left_out::{LeftOut, Scope, left_out};
use crate::load::{data_path, goodput_kbit, latency_us};
use crate::path::index;
use serde::Serialize;
use sim::outcome::{Percentiles, WorkOutcome};
use sim::{Direction, Outcome, Scenario, play};

/// Accepted difference between real programs and the simulator, percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tolerance {
    /// For goodput.
    pub goodput: u64,
    /// For latency percentiles.
    pub latency: u64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { goodput: 10, latency: 20 }
    }
}

/// Name in tables of the kernel's TCP, with the congestion control of the scenario.
const KERNEL: &str = "kernel";

/// A scenario, simulated and with real programs.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// Name of the scenario.
    pub scenario: String,
    /// Description of the scenario.
    pub description: String,
    /// The simulated runs, one for each seed.
    pub simulated: Vec<Run>,
    /// Trials of the real programs.
    pub rows: Vec<Row>,
    /// The parts of the scenario that are not applied to real programs.
    pub left_out: Vec<LeftOut>,
}

/// Outcome of one run, simulated or real.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// Outcomes of the workloads.
    pub work: Vec<WorkOutcome>,
    /// IP packets handed to the links, up and down.
    pub sent_packets: [u64; 2],
    /// Bytes of these packets, up and down.
    pub sent_bytes: [u64; 2],
}

impl From<&TrialOutcome> for Run {
    fn from(trial: &TrialOutcome) -> Self {
        let links = &trial.path.links;
        Self {
            work: trial.work.clone(),
            sent_packets: [links[0].sent_packets, links[1].sent_packets],
            sent_bytes: [links[0].sent_bytes, links[1].sent_bytes],
        }
    }
}

impl From<&Outcome> for Run {
    fn from(outcome: &Outcome) -> Self {
        let links = &outcome.links;
        Self {
            work: outcome.workloads.clone(),
            sent_packets: [links.up.sent_packets, links.down.sent_packets],
            sent_bytes: [links.up.sent_bytes, links.down.sent_bytes],
        }
    }
}

/// A quantity that is compared between simulated and real runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Goodput of all transfers in that direction.
    Goodput(Direction),
    /// Median latency of the first workload that has latencies.
    P50,
    /// 90th percentile of those latencies.
    P90,
    /// 99th percentile of those latencies.
    P99,
    /// Size of an IP packet on the data path.
    Packet,
    /// Bytes of IP packets per byte of payload that arrived, on the data path.
    WirePerByte,
}

/// All quantities in table order.
pub const QUANTITIES: [Quantity; 7] = [
    Quantity::Goodput(Direction::Down),
    Quantity::Goodput(Direction::Up),
    Quantity::P50,
    Quantity::P90,
    Quantity::P99,
    Quantity::Packet,
    Quantity::WirePerByte,
];

impl Quantity {
    /// Name in tables, with the unit.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Goodput(Direction::Down) => "goodput down, Mbit/s",
            Self::Goodput(Direction::Up) => "goodput up, Mbit/s",
            Self::P50 => "p50, ms",
            Self::P90 => "p90, ms",
            Self::P99 => "p99, ms",
            Self::Packet => "mean packet, kB",
            Self::WirePerByte => "wire bytes per byte",
        }
    }

    /// The quantity of one run, in thousandths of the unit of its name; None if the run lacks it.
    pub fn of(self, run: &Run) -> Option<u64> {
        let work = &run.work;
        let path = data_path(work);
        let sent_bytes = run.sent_bytes[index(path)];
        let latency = |of: fn(&Percentiles) -> u64| latency_us(work).map(of);
        match self {
            Self::Goodput(direction) => goodput_kbit(work, direction),
            Self::P50 => latency(|latency| latency.p50),
            Self::P90 => latency(|latency| latency.p90),
            Self::P99 => latency(|latency| latency.p99),
            Self::Packet => sent_bytes.checked_div(run.sent_packets[index(path)]),
            Self::WirePerByte => (sent_bytes * 1000).checked_div(useful(work, path)),
        }
    }

    /// The tolerance, percent; None for quantities that only explain the others.
    pub const fn tolerance(self, tolerance: Tolerance) -> Option<u64> {
        match self {
            Self::Goodput(_) => Some(tolerance.goodput),
            Self::P50 | Self::P90 | Self::P99 => Some(tolerance.latency),
            Self::Packet | Self::WirePerByte => None,
        }
    }
}

impl Comparison {
    /// Simulates `scenario` with the seeds 1 to `seeds`.
    ///
    /// # Errors
    /// A run with a violation.
    pub fn simulate(scenario: &Scenario, seeds: u64) -> Result<Self, String> {
        let mut simulated = Vec::new();
        for seed in 1..=seeds {
            let outcome = play(scenario, seed);
            if let Some(violation) = outcome.violations.first() {
                return Err(format!("simulator, seed {seed}: {}: {}", violation.rule, violation.detail));
            }
            simulated.push(Run::from(&outcome));
        }
        let (name, description) = (scenario.name.clone(), scenario.description.clone());
        let scope = if scenario.baseline.is_some() { Scope::KernelTcp } else { Scope::Programs };
        let left_out = left_out(scenario, scope);
        Ok(Self { scenario: name, description, simulated, rows: Vec::new(), left_out })
    }

    /// Adds a run of a contestant: of programs through a relay, of the kernel's TCP between two namespaces.
    pub fn add_real(&mut self, scenario: &Scenario, contestant: &Contestant, seed: u64) {
        let is_kernel = matches!(contestant, Contestant::Tcp(_));
        let name = if is_kernel { KERNEL.to_owned() } else { contestant.name() };
        let at = self.rows.iter().position(|row| row.name == name).unwrap_or_else(|| {
            self.rows.push(Row { name, trials: Vec::new() });
            self.rows.len() - 1
        });
        let run = if is_kernel { over_network } else { over_relay };
        let trial = run(scenario, contestant, seed).map(TrialOutcome::without_progress);
        self.rows[at].trials.push((seed, trial));
    }

    /// Values of a quantity in the simulated runs, ascending.
    pub fn simulated(&self, quantity: Quantity) -> Vec<u64> {
        let mut values: Vec<u64> = self.simulated.iter().filter_map(|run| quantity.of(run)).collect();
        values.sort_unstable();
        values
    }
}

/// The median of ascending values.
pub(crate) fn median(values: &[u64]) -> Option<u64> {
    sim::stats::median_rounded(values)
}
