//! Measurements of pairs of tunnel programs against each other, and against kernel TCP, in alternating runs.

mod emulated;
pub mod lossy;
pub mod machine;
mod plan;
mod scale;
pub mod sink;
mod traffic;
mod trial;

pub use emulated::EmulatedPath;
pub use plan::{Planned, Row, Selection};
pub use trial::Amount;

use crate::pair::Setup;
use crate::peers::Peer;
use crate::results::{Case, ContestantRuns, DIRECT, Measurements, PeerFacts, Trial};
use crate::sys;
use anyhow::Context;
use std::time::Instant;

/// Called with all results so far after each case, so that an interruption does not lose hours of measurements.
pub type Save<'a> = &'a mut dyn FnMut(&Measurements) -> anyhow::Result<()>;

impl Measurements {
    /// No results yet, on this machine at this commit.
    pub fn begin(format: &str, command: String, runs: u64, seconds: u64, peers: Vec<PeerFacts>) -> Self {
        Self {
            format: format.to_owned(),
            machine: machine::machine(),
            commit: machine::commit(),
            command,
            runs: runs as usize,
            seconds,
            peers,
            cases: Vec::new(),
            skipped: Vec::new(),
        }
    }
}

/// Parameters of `karst-report bench`.
pub struct Bench {
    /// The pairs of programs.
    pub peers: Vec<Peer>,
    /// Congestion controls of kernel TCP, measured over emulated paths only.
    pub tcp: Vec<String>,
    /// The cases.
    pub plan: Vec<Planned>,
    /// Runs of each contestant.
    pub runs: u64,
    /// Duration and size of the load.
    pub amount: Amount,
}

impl Bench {
    /// Measures every case with all contestants in turn: A B A B.
    ///
    /// # Errors
    /// Stopped by a signal, or the results could not be saved. A run that fails is a result.
    pub fn run(&self, results: &mut Measurements, save: Save<'_>) -> anyhow::Result<()> {
        for planned in &self.plan {
            let case = self.case(planned, results)?;
            results.cases.push(case);
            save(results)?;
        }
        Ok(())
    }

    fn case(&self, planned: &Planned, results: &mut Measurements) -> anyhow::Result<Case> {
        let contestant = |name: String| ContestantRuns { name, commands: Vec::new(), trials: Vec::new() };
        let mut contestants: Vec<ContestantRuns> =
            self.contestants(planned, results).into_iter().map(contestant).collect();
        for run in 1..=self.runs {
            for contestant in &mut contestants {
                let start = Instant::now();
                let found = self.trial(planned, &contestant.name, run);
                let heading = format!(
                    "{} {run}/{} {} ({:.0?})",
                    planned.name,
                    self.runs,
                    contestant.name,
                    start.elapsed()
                );
                let found = reported(&heading, found, |(trial, _)| trial)?;
                match found {
                    Err(error) if contestant.name.starts_with(DIRECT) && run == 1 => {
                        results.skip(&contestant.name, &format!("{error:#}"));
                    }
                    Err(error) => contestant.trials.push(Trial::failed(&error)),
                    Ok((trial, commands)) => {
                        contestant.trials.push(trial);
                        contestant.commands = commands;
                    }
                }
            }
            contestants.retain(|contestant| !contestant.trials.is_empty());
        }
        let path = planned.path.as_ref().map(|path| path.info.clone());
        Ok(Case { name: planned.name.clone(), about: planned.about.clone(), path, contestants })
    }

    /// The contestants: all peers, and over emulated paths kernel TCP unless it was skipped before.
    fn contestants(&self, planned: &Planned, results: &Measurements) -> Vec<String> {
        let direct = self.tcp.iter().map(|control| format!("{DIRECT}{control}"));
        let works = |name: &String| planned.path.is_some() && !results.has_skipped(name);
        self.peers.iter().map(|peer| peer.name.clone()).chain(direct.filter(works)).collect()
    }

    fn trial(&self, planned: &Planned, contestant: &str, run: u64) -> anyhow::Result<(Trial, Vec<String>)> {
        let path = planned.path.as_ref();
        let Some(peer) = self.peers.iter().find(|peer| peer.name == contestant) else {
            let path = path.context("kernel TCP needs an emulated path")?;
            return trial::direct(
                path,
                contestant.strip_prefix(DIRECT).unwrap_or(contestant),
                run,
                self.amount,
            );
        };
        let conditions = path.map(|path| path.conditions(run)).transpose()?;
        let setup = Setup { path: conditions.as_ref(), ..Setup::new(peer, &planned.flags) };
        let on = |core| trial::run(planned.measure, Setup { core, ..setup }, self.amount);
        if planned.pinned { trial::pinned(|core| on(Some(core))) } else { on(None) }
    }
}

/// Logs the outcome of a run to the standard error; fails once a signal was received.
fn reported<T>(
    heading: &str,
    found: anyhow::Result<T>,
    trial: impl FnOnce(&T) -> &Trial,
) -> anyhow::Result<anyhow::Result<T>> {
    let outcome =
        found.as_ref().map_or_else(|error| format!("FAILED {error:#}"), |found| trial(found).line());
    eprintln!("{heading}: {outcome}");
    sys::pause(std::time::Duration::ZERO)?;
    Ok(found)
}

/// Jain's index of fairness: 1 for equal shares, 1/n if one of n has all, 0 if all shares are 0.
fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share.powi(2)).sum();
    if squares == 0.0 { 0.0 } else { sum * sum / (shares.len() as f64 * squares) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jain_index_of_known_shares() {
        assert!((jain(&[5.0; 100]) - 1.0).abs() < 1e-12);
        assert!((jain(&[7.0, 0.0, 0.0, 0.0]) - 0.25).abs() < 1e-12);
        assert!((jain(&[1.0, 2.0, 3.0]) - 36.0 / 42.0).abs() < 1e-12 && jain(&[0.0, 0.0]) == 0.0);
    }
}
