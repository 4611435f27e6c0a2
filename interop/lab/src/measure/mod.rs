//! Measurements of pairs of tunnel programs against each other, and against kernel TCP, in alternating runs.

mod emulated;
pub mod lossy;
mod machine;
mod plan;
mod scale;
pub mod sink;
mod traffic;
mod trial;

pub use emulated::EmulatedPath;
pub use plan::{Planned, Row, Wishes};
pub use trial::Amount;

use crate::pair::Setup;
use crate::peers::Peer;
use crate::results::{Case, DIRECT, Measurements, PeerFacts, Side, Trial};
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

/// What `karst-report bench` measures.
pub struct Bench {
    /// The pairs of programs.
    pub peers: Vec<Peer>,
    /// Congestion controls of kernel TCP, measured over emulated paths only.
    pub tcp: Vec<String>,
    /// The cases.
    pub plan: Vec<Planned>,
    /// Runs of each side.
    pub runs: u64,
    /// Size of the load.
    pub amount: Amount,
}

impl Bench {
    /// Measures every case on all sides in turn: A B A B.
    ///
    /// # Errors
    /// A signal asked to stop, or the results could not be saved. A run that fails is a result.
    pub fn run(&self, results: &mut Measurements, save: Save<'_>) -> anyhow::Result<()> {
        for planned in &self.plan {
            let case = self.case(planned, results)?;
            results.cases.push(case);
            save(results)?;
        }
        Ok(())
    }

    fn case(&self, planned: &Planned, results: &mut Measurements) -> anyhow::Result<Case> {
        let side = |name: String| Side { name, commands: Vec::new(), trials: Vec::new() };
        let mut sides: Vec<Side> = self.sides(planned, results).into_iter().map(side).collect();
        for run in 1..=self.runs {
            for side in &mut sides {
                let start = Instant::now();
                let found = self.trial(planned, &side.name, run);
                let heading =
                    format!("{} {run}/{} {} ({:.0?})", planned.name, self.runs, side.name, start.elapsed());
                let found = reported(&heading, found, |(trial, _)| trial)?;
                match found {
                    Err(error) if side.name.starts_with(DIRECT) && run == 1 => {
                        results.skip(&side.name, &format!("{error:#}"));
                    }
                    Err(error) => side.trials.push(Trial::failed(&error)),
                    Ok((trial, commands)) => {
                        side.trials.push(trial);
                        side.commands = commands;
                    }
                }
            }
            sides.retain(|side| !side.trials.is_empty());
        }
        let path = planned.path.as_ref().map(|path| path.info.clone());
        Ok(Case { name: planned.name.clone(), about: planned.about.clone(), path, sides })
    }

    /// The contestants: all peers, and over emulated paths kernel TCP unless it was skipped before.
    fn sides(&self, planned: &Planned, results: &Measurements) -> Vec<String> {
        let direct = self.tcp.iter().map(|control| format!("{DIRECT}{control}"));
        let works = |name: &String| planned.path.is_some() && !results.has_skipped(name);
        self.peers.iter().map(|peer| peer.name.clone()).chain(direct.filter(works)).collect()
    }

    fn trial(&self, planned: &Planned, side: &str, run: u64) -> anyhow::Result<(Trial, Vec<String>)> {
        let path = planned.path.as_ref();
        let Some(peer) = self.peers.iter().find(|peer| peer.name == side) else {
            let path = path.context("kernel TCP needs an emulated path")?;
            return trial::direct(path, side.strip_prefix(DIRECT).unwrap_or(side), run, self.amount);
        };
        let conditions = path.map(|path| path.conditions(run)).transpose()?;
        let setup = Setup { path: conditions.as_ref(), ..Setup::new(peer, &planned.flags) };
        let on = |core| trial::run(planned.measure, Setup { core, ..setup }, self.amount);
        if planned.pinned { trial::pinned(|core| on(Some(core))) } else { on(None) }
    }
}

/// Prints the outcome of a run to the standard error, and ends everything when a signal asked to stop.
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

/// Jain's index of fairness: 1 when all shares are equal, 1/n when one has everything, 0 when there is nothing to share.
fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share.powi(2)).sum();
    if squares == 0.0 { 0.0 } else { sum * sum / (shares.len() as f64 * squares) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_that_of_jain() {
        assert!((jain(&[5.0; 100]) - 1.0).abs() < 1e-12);
        assert!((jain(&[7.0, 0.0, 0.0, 0.0]) - 0.25).abs() < 1e-12);
        assert!((jain(&[1.0, 2.0, 3.0]) - 36.0 / 42.0).abs() < 1e-12 && jain(&[0.0, 0.0]) == 0.0);
    }
}
