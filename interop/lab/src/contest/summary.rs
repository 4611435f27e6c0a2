//! Summary of trials by contestant: medians, spread, a table.

use super::TrialOutcome;
use crate::left_out::LeftOut;
use crate::load;
use serde_json::{Value, json};
use sim::Direction;
use sim::outcome::Percentiles;
use sim::stats::median_rounded;
use std::fmt;

/// All trials of one contestant.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// Name of the contestant.
    pub name: String,
    /// Trials by seed, or the reason why one failed.
    pub trials: Vec<(u64, Result<TrialOutcome, String>)>,
}

/// Trials of all contestants on one scenario.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Name of the scenario.
    pub scenario: String,
    /// The contestants.
    pub rows: Vec<Row>,
    /// The parts of the scenario that were not applied.
    pub left_out: Vec<LeftOut>,
}

impl Row {
    /// Median of `figure` over the trials; None when no trial has it.
    pub fn median(&self, figure: impl Fn(&TrialOutcome) -> Option<u64>) -> Option<u64> {
        median_rounded(&self.values(figure))
    }

    /// Values of `figure` in the trials, ascending.
    pub fn values(&self, figure: impl Fn(&TrialOutcome) -> Option<u64>) -> Vec<u64> {
        let mut values: Vec<u64> = self.good().filter_map(figure).collect();
        values.sort_unstable();
        values
    }

    /// Median over the trials of a percentile of the first workload with latencies, microseconds.
    pub fn latency_us(&self, of: impl Fn(&Percentiles) -> u64) -> Option<u64> {
        self.median(|trial| load::latency_us(&trial.work).map(&of))
    }

    /// Trials with a result.
    pub fn good(&self) -> impl Iterator<Item = &TrialOutcome> {
        self.trials.iter().filter_map(|(_, trial)| trial.as_ref().ok())
    }

    /// Reasons to doubt the results: failures, unfinished workloads, packets lost outside the links.
    pub fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        for (seed, trial) in &self.trials {
            match trial {
                Err(why) => doubts.push(format!("{}, seed {seed}: {why}", self.name)),
                Ok(trial) => {
                    if trial.path.overflow_packets > 0 {
                        let lost = trial.path.overflow_packets;
                        doubts.push(format!(
                            "{}, seed {seed}: {lost} packets lost outside the links",
                            self.name
                        ));
                    }
                    for work in trial.work.iter().filter(|work| !load::is_complete(work)) {
                        let name = work.name();
                        doubts.push(format!("{}, seed {seed}: {name}: data is missing", self.name));
                    }
                    let cut: u64 = trial.work.iter().map(load::streams_reset).sum();
                    if cut > 0 {
                        doubts.push(format!("{}, seed {seed}: {cut} connections were cut", self.name));
                    }
                }
            }
        }
        doubts
    }

    /// The machine-readable form: medians, then every trial.
    pub fn to_json(&self) -> Value {
        let trials: Vec<Value> = self
            .trials
            .iter()
            .map(|(seed, trial)| match trial {
                Ok(trial) => json!({ "seed": seed, "ok": true, "result": trial }),
                Err(why) => json!({ "seed": seed, "ok": false, "why": why }),
            })
            .collect();
        json!({
            "name": self.name,
            "median": {
                "goodput_down_kbit": self.median(|trial| trial.goodput_kbit(Direction::Down)),
                "goodput_up_kbit": self.median(|trial| trial.goodput_kbit(Direction::Up)),
                "wire_per_useful_thousandths": self.median(TrialOutcome::wire_per_useful_thousandths),
                "latency_p50_us": self.latency_us(|latency| latency.p50),
                "latency_p99_us": self.latency_us(|latency| latency.p99),
                "standing_queue_us": self.median(standing_queue_us),
                "added_p99_us": self.median(|trial| Some(trial.path.added_us.p99)),
            },
            "trials": trials,
        })
    }
}

/// Standing queue: median transit time on the data path minus the minimum.
pub(super) fn standing_queue_us(trial: &TrialOutcome) -> Option<u64> {
    let transit = &trial.path.transit_us[crate::path::index(trial.data_path())];
    Some(transit.p50.saturating_sub(transit.min))
}

impl Summary {
    /// The machine-readable form.
    pub fn to_json(&self) -> Value {
        json!({
            "format": "karst-contest-1",
            "scenario": self.scenario,
            "left_out": self.left_out.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "contestants": self.rows.iter().map(Row::to_json).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(0).max(4);
        writeln!(f, "{}: medians; goodput with its spread", self.scenario)?;
        writeln!(
            f,
            "{:width$}  {:>22}  {:>22}  {:>9}  {:>9}  {:>9}  {:>9}  runs",
            "", "down Mbit/s", "up Mbit/s", "wire/byte", "p50", "p99", "queue"
        )?;
        for row in &self.rows {
            writeln!(
                f,
                "{:width$}  {:>22}  {:>22}  {:>9}  {:>9}  {:>9}  {:>9}  {}/{}",
                row.name,
                spread(&row.values(|trial| trial.goodput_kbit(Direction::Down))),
                spread(&row.values(|trial| trial.goodput_kbit(Direction::Up))),
                thousandths(row.median(TrialOutcome::wire_per_useful_thousandths), 2, ""),
                thousandths(row.latency_us(|latency| latency.p50), 1, " ms"),
                thousandths(row.latency_us(|latency| latency.p99), 1, " ms"),
                thousandths(row.median(standing_queue_us), 1, " ms"),
                row.good().count(),
                row.trials.len(),
            )?;
        }
        let doubts: Vec<String> = self.rows.iter().flat_map(Row::doubts).collect();
        doubts.iter().try_for_each(|doubt| writeln!(f, "! {}", doubt.replace('\n', "\n    ")))
    }
}

fn spread(values: &[u64]) -> String {
    let (Some(median), Some(low), Some(high)) = (median_rounded(values), values.first(), values.last())
    else {
        return "-".to_owned();
    };
    let mbit = |kbit: u64| kbit as f64 / 1000.0;
    format!("{:.2} ({:.2}-{:.2})", mbit(median), mbit(*low), mbit(*high))
}

fn thousandths(value: Option<u64>, decimals: usize, unit: &str) -> String {
    value.map_or("-".to_owned(), |value| format!("{:.decimals$}{unit}", value as f64 / 1000.0))
}
