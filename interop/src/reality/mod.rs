//! Simulation against reality: the same scenarios in the simulator and with real programs over the same links in real time.

mod page;

pub use page::Page;

use crate::contest::{Contestant, Row, over_relay};
use crate::load::Figure;
use sim::outcome::Percentiles;
use sim::{Direction, Scenario, World};

/// How far reality may be from the simulator, percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tolerance {
    /// Of goodputs.
    pub goodput: u64,
    /// Of latency percentiles.
    pub latency: u64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { goodput: 10, latency: 20 }
    }
}

/// A scenario in both worlds.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// Name of the scenario.
    pub scenario: String,
    /// What it shows.
    pub description: String,
    /// Figures of the simulated runs, one list for each seed.
    pub simulated: Vec<Vec<Figure>>,
    /// The real programs.
    pub rows: Vec<Row>,
}

/// A quantity that both worlds have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Goodput of all transfers in that direction.
    Goodput(Direction),
    /// Half of the echoes take at most this.
    EchoP50,
    /// Nine out of ten do.
    EchoP90,
    /// 99 out of a hundred do.
    EchoP99,
}

/// All of them, in the order of tables.
pub const QUANTITIES: [Quantity; 5] = [
    Quantity::Goodput(Direction::Down),
    Quantity::Goodput(Direction::Up),
    Quantity::EchoP50,
    Quantity::EchoP90,
    Quantity::EchoP99,
];

impl Quantity {
    /// Name in tables, with the unit.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Goodput(Direction::Down) => "goodput down, Mbit/s",
            Self::Goodput(Direction::Up) => "goodput up, Mbit/s",
            Self::EchoP50 => "echo p50, ms",
            Self::EchoP90 => "echo p90, ms",
            Self::EchoP99 => "echo p99, ms",
        }
    }

    /// The quantity in figures of one run, in thousandths of the unit of its name; None where there is none.
    pub fn of(self, figures: &[Figure]) -> Option<u64> {
        let echo =
            |of: fn(&Percentiles) -> u64| figures.iter().find_map(|figure| figure.latency_us()).map(of);
        match self {
            Self::Goodput(direction) => {
                let goodputs: Vec<u64> =
                    figures.iter().filter_map(|figure| figure.goodput_kbit(direction)).collect();
                (!goodputs.is_empty()).then(|| goodputs.iter().sum())
            }
            Self::EchoP50 => echo(|latency| latency.p50),
            Self::EchoP90 => echo(|latency| latency.p90),
            Self::EchoP99 => echo(|latency| latency.p99),
        }
    }

    /// The difference allowed, percent.
    pub const fn tolerance(self, tolerance: Tolerance) -> u64 {
        match self {
            Self::Goodput(_) => tolerance.goodput,
            _ => tolerance.latency,
        }
    }
}

impl Comparison {
    /// Plays `scenario` under that many seeds, from 1 on.
    ///
    /// # Errors
    /// A run that broke a rule.
    pub fn simulate(scenario: &Scenario, seeds: u64) -> Result<Self, String> {
        let mut simulated = Vec::new();
        for seed in 1..=seeds {
            let outcome = World::run(scenario, seed);
            if let Some(violation) = outcome.violations.first() {
                return Err(format!("simulator, seed {seed}: {}: {}", violation.rule, violation.detail));
            }
            simulated.push(outcome.workloads.iter().filter_map(Figure::of).collect());
        }
        let (name, description) = (scenario.name.clone(), scenario.description.clone());
        Ok(Self { scenario: name, description, simulated, rows: Vec::new() })
    }

    /// Runs a contestant once more through a relay.
    pub fn add_real(&mut self, scenario: &Scenario, contestant: &Contestant, seed: u64) {
        let name = contestant.name();
        let at = self.rows.iter().position(|row| row.name == name).unwrap_or_else(|| {
            self.rows.push(Row { name, trials: Vec::new() });
            self.rows.len() - 1
        });
        self.rows[at].trials.push((seed, over_relay(scenario, contestant, seed)));
    }

    /// A quantity in all simulated runs, ascending.
    pub fn simulated(&self, quantity: Quantity) -> Vec<u64> {
        let mut values: Vec<u64> = self.simulated.iter().filter_map(|figures| quantity.of(figures)).collect();
        values.sort_unstable();
        values
    }
}

/// The middle of ascending values.
pub(crate) fn median(values: &[u64]) -> Option<u64> {
    values.get(values.len() / 2).copied()
}
