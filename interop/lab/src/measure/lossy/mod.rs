//! Comparison of karst, kcptun and kernel TCP over the same lossy paths.
//!
//! One trial is a download and an echo on a stream of its own, between two network namespaces joined by an emulated path.

mod entrants;
mod figures;
mod sharing;

use super::emulated::{Bottleneck, EmulatedPath, Point, drawn};
use super::{Save, reported};
use crate::contest::{over_network, together};
use crate::peers::Found;
use crate::results::{Case, ContestantRuns, LINES_FORMAT, Measurements, PathFacts, PathInfo, Trial};
use anyhow::{Context, ensure};
use entrants::{Entrant, entrants};
use serde_json::{Value, json};
use sharing::{TIMED_CASES, TimedCase};
use std::path::Path;
use std::time::Instant;

/// Name of the case of flows over time; its contestants are the flows that share a path, or one flow on a path that changes.
pub const SHARED: &str = "shared";

/// The bottleneck of the paths along curves.
const BOTTLENECK: Bottleneck = Bottleneck { rate_kbit: 20_000, queue: ("queue_packets", 100, "100 packets") };

/// Round trip of the curve over loss, and loss of the curve over round trips.
const LOSS_RTT_MS: f64 = 100.0;
const RTT_LOSS_PCT: f64 = 2.0;

/// An emulated path with its nominal figures.
pub struct LossyPath {
    path: EmulatedPath,
    facts: PathFacts,
}

impl LossyPath {
    /// The links of a scenario file.
    ///
    /// # Errors
    /// The file cannot be read, or its links have no constant rate, delay and loss.
    pub fn of_file(file: &Path) -> anyhow::Result<Self> {
        Self::new(EmulatedPath::of_file(file)?).with_context(|| file.display().to_string())
    }

    /// A point of the curve over loss, percent in each direction.
    ///
    /// # Errors
    /// None for a number.
    pub fn of_loss(at: f64) -> anyhow::Result<Self> {
        let point = Point { curve: "loss", at, loss_pct: at, rtt_ms: LOSS_RTT_MS };
        Self::new(EmulatedPath::of_point(point, BOTTLENECK))
    }

    /// A point of the curve over round-trip time, milliseconds.
    ///
    /// # Errors
    /// None for a number.
    pub fn of_rtt(at: f64) -> anyhow::Result<Self> {
        let point = Point { curve: "rtt", at, loss_pct: RTT_LOSS_PCT, rtt_ms: at };
        Self::new(EmulatedPath::of_point(point, BOTTLENECK))
    }

    fn new(mut path: EmulatedPath) -> anyhow::Result<Self> {
        let facts = path.facts()?;
        path.info.facts = Some(facts);
        Ok(Self { path, facts })
    }

    /// The scenario of a trial.
    fn scenario(&self, entrant: &Entrant, times: Times) -> Value {
        let mut scenario = self.path.scenario.clone();
        if let Some(scenario) = scenario.as_object_mut() {
            ["expect", "baseline", "hosts", "faults"].iter().for_each(|key| drop(scenario.remove(*key)));
        }
        scenario["duration_ms"] = (times.warm_ms + times.counted_ms).into();
        scenario["drain_ms"] = times.drain_ms.into();
        scenario["client"] = entrant.settings[0].clone();
        scenario["server"] = entrant.settings[1].clone();
        let direction = if entrant.upload { "up" } else { "down" };
        scenario["workloads"] = json!([
            { "bulk": { "name": "bulk", "direction": direction } },
            { "echo": { "name": "echo", "message_bytes": 64, "interval_ms": 20, "start_ms": times.warm_ms } },
        ]);
        if entrant.upload {
            let links = &self.path.scenario["links"];
            scenario["links"] = json!({ "up": links["down"], "down": links["up"] });
        }
        scenario
    }
}

/// Durations of the phases of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    /// Warm-up, not counted: windows grow.
    warm_ms: u64,
    counted_ms: u64,
    /// Time for echoes in flight to arrive.
    drain_ms: u64,
}

impl Times {
    fn new(path: &LossyPath, seconds: u64) -> Self {
        let rtt_ms = path.facts.rtt_ms as u64;
        Self { warm_ms: 1_500 + 6 * rtt_ms, counted_ms: seconds * 1_000, drain_ms: 300 + 2 * rtt_ms }
    }
}

/// Parameters of `karst-report lines`.
pub struct Lines {
    /// Paths in measurement order.
    pub paths: Vec<LossyPath>,
    /// Whether to measure flows that share a path, and a flow on a path that changes.
    pub shared: bool,
    /// Names of the selected contestants; empty for all.
    pub only: Vec<String>,
    /// Runs of each contestant on each path.
    pub runs: u64,
    /// Counted seconds of each trial on the paths of files.
    pub time: u64,
    /// Counted seconds of each trial along curves.
    pub curve_time: u64,
}

impl Lines {
    /// Measures every contestant on every path in turn.
    ///
    /// # Errors
    /// An unknown contestant, termination by a signal, or results that could not be saved. A run that fails is a result.
    pub fn run(&self, command: String, found: &Found, save: Save<'_>) -> anyhow::Result<Measurements> {
        let peers = found.peers.iter().map(|peer| peer.bare_facts()).collect();
        let mut results = Measurements::begin(LINES_FORMAT, command, self.runs, self.time, peers);
        found.missing.iter().for_each(|missing| results.skip(&missing.name, &missing.reason));
        let entrants = self.entrants(found)?;
        for path in &self.paths {
            let case = self.case(path, &entrants, &mut results)?;
            results.cases.push(case);
            save(&results)?;
        }
        if self.shared {
            let case = self.shared_case(&entrants, &mut results)?;
            results.cases.push(case);
            save(&results)?;
        }
        Ok(results)
    }

    fn entrants(&self, found: &Found) -> anyhow::Result<Vec<Entrant>> {
        let mut entrants = entrants(found);
        for name in &self.only {
            let known = entrants.iter().any(|entrant| entrant.name == name);
            ensure!(known, "unknown contestant {name:?}, or one without programs");
        }
        entrants.retain(|entrant| self.only.is_empty() || self.only.iter().any(|only| only == entrant.name));
        Ok(entrants)
    }

    fn case(
        &self,
        path: &LossyPath,
        entrants: &[Entrant],
        results: &mut Measurements,
    ) -> anyhow::Result<Case> {
        let is_of_file = path.path.is_of_file();
        let here: Vec<&Entrant> = entrants
            .iter()
            .filter(|entrant| entrant.is_measured(is_of_file) && !results.has_skipped(entrant.name))
            .collect();
        let runs = |entrant: &&Entrant| ContestantRuns {
            name: entrant.name.into(),
            commands: entrant.commands(),
            trials: Vec::new(),
        };
        let mut contestants: Vec<ContestantRuns> = here.iter().map(runs).collect();
        let times = Times::new(path, if is_of_file { self.time } else { self.curve_time });
        let name = path.path.info.name();
        for seed in 1..=self.runs {
            for (entrant, runs) in here.iter().zip(&mut contestants) {
                let start = Instant::now();
                let trial = trial(path, entrant, times, seed);
                let heading =
                    format!("{name} {seed}/{} {} ({:.1?})", self.runs, entrant.name, start.elapsed());
                match reported(&heading, trial, |trial| trial)? {
                    Err(error) if entrants::is_missing(&error) => {
                        results.skip(entrant.name, &format!("{error:#}"))
                    }
                    trial => runs.trials.push(trial.unwrap_or_else(|error| Trial::failed(&error))),
                }
            }
        }
        contestants.retain(|runs| !runs.trials.is_empty());
        let about = format!("{} s", times.counted_ms / 1000);
        Ok(Case { name, about, path: Some(path.path.info.clone()), contestants })
    }

    /// Measures flows that share a path, and one flow on a path that changes.
    fn shared_case(&self, entrants: &[Entrant], results: &mut Measurements) -> anyhow::Result<Case> {
        let info = PathInfo { curve: SHARED.to_owned(), at: None, links: String::new(), facts: None };
        let mut case =
            Case { name: SHARED.to_owned(), about: String::new(), path: Some(info), contestants: Vec::new() };
        for timed in TIMED_CASES {
            let find = |name: &&str| entrants.iter().find(|entrant| entrant.name == *name);
            let Some(of) = timed.names().iter().map(find).collect::<Option<Vec<_>>>() else {
                results.skip(&timed.name(), "a contestant is missing");
                continue;
            };
            let mut runs = ContestantRuns {
                name: timed.name(),
                commands: vec![timed.about().to_owned()],
                trials: Vec::new(),
            };
            for seed in 1..=self.runs {
                let heading = format!("{SHARED} {seed}/{} {}", self.runs, runs.name);
                let trial = reported(&heading, shared_trial(timed, &of, seed), |trial| trial)?;
                runs.trials.push(trial.unwrap_or_else(|error| Trial::failed(&error)));
            }
            case.contestants.push(runs);
        }
        Ok(case)
    }
}

fn trial(path: &LossyPath, entrant: &Entrant, times: Times, seed: u64) -> anyhow::Result<Trial> {
    let scenario = drawn(&path.scenario(entrant, times), seed)?;
    let run = over_network(&scenario, &entrant.contestant, seed).map_err(anyhow::Error::msg)?;
    figures::trial(&run, path.facts, entrant.direction(), times)
}

fn shared_trial(case: TimedCase, of: &[&Entrant], seed: u64) -> anyhow::Result<Trial> {
    // Kernel TCP has no settings; the last contestant is the tunnel if there is one.
    let scenario = drawn(&case.scenario(&of[of.len() - 1].settings), seed)?;
    let contestants: Vec<_> = of.iter().map(|entrant| entrant.contestant.clone()).collect();
    let run = match &contestants[..] {
        [alone] => over_network(&scenario, alone, seed),
        several => together(&scenario, several, seed),
    };
    case.trial(&run.map_err(anyhow::Error::msg)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_uses_the_reversed_path() {
        let mut path = LossyPath::of_rtt(600.0).unwrap();
        path.path.scenario["links"]["down"]["rate_kbit"] = 7.into();
        path.path.scenario["expect"] = json!({});
        let times = Times::new(&path, 8);
        assert_eq!(times, Times { warm_ms: 5_100, counted_ms: 8_000, drain_ms: 1_500 });
        let mut entrant = entrants(&Found::default()).remove(0);
        let down = path.scenario(&entrant, times);
        assert!(down["links"]["down"]["rate_kbit"] == 7 && down["expect"].is_null(), "{down}");
        entrant.upload = true;
        let up = path.scenario(&entrant, times);
        assert_eq!(
            (&up["links"]["up"]["rate_kbit"], &up["workloads"][0]["bulk"]["direction"]),
            (&7.into(), &"up".into())
        );
        assert_eq!(
            (&up["duration_ms"], &up["workloads"][1]["echo"]["start_ms"]),
            (&13_100.into(), &5_100.into())
        );
    }
}
