//! `karst-sim swarm`.

use super::pool::Jobs;
use super::say;
use super::seeds::Seeds;
use anyhow::{Context, bail};
use engine::Mark;
use sim::Scenario;
use sim::tools::swarm::{self, Failure, Verdict, Weights};
use std::fmt::Write;
use std::path::PathBuf;

/// More events than any run of the swarm has, by far.
pub(crate) const EVENTS_MAX: u64 = 5_000_000;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    seeds: Seeds,
    #[command(flatten)]
    jobs: Jobs,
    #[command(flatten)]
    makes: Makes,
    /// A range of at least that many seeds must hit every mark.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    marks_from: usize,
    /// Print the scenario of the one seed instead of playing it.
    #[arg(long, requires = "seed")]
    print: bool,
    /// Print the weights.
    #[arg(long)]
    print_weights: bool,
}

/// Generates a scenario from a seed.
#[derive(clap::Args)]
pub(crate) struct Makes {
    /// Frequencies of the swarm's choices, JSON; --print-weights prints the default.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Put this bug into the engine first.
    #[cfg(feature = "planted")]
    #[arg(long, value_name = "BUG", value_parser = planted)]
    planted: Option<engine::planted::Planted>,
}

#[cfg(feature = "planted")]
fn planted(name: &str) -> Result<engine::planted::Planted, String> {
    use engine::planted::Planted;
    let names = || Planted::ALL.iter().map(|bug| bug.name()).collect::<Vec<_>>().join(", ");
    Planted::ALL
        .iter()
        .copied()
        .find(|bug| bug.name() == name)
        .ok_or_else(|| format!("must be one of {}", names()))
}

impl Makes {
    pub(crate) fn weights(&self) -> anyhow::Result<Weights> {
        let Some(path) = &self.weights else { return Ok(Weights::default()) };
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| name.clone())?;
        Ok(Weights::parse(&name, &text)?)
    }

    /// Applied to a scenario before it is played.
    #[cfg(feature = "planted")]
    pub(crate) fn prepare(&self) -> impl Fn(&mut Scenario) + use<> {
        let bug = self.planted;
        move |scenario| bug.iter().for_each(|&bug| scenario.plant(bug))
    }

    /// Applied to a scenario before it is played.
    #[cfg(not(feature = "planted"))]
    #[expect(clippy::unused_self, reason = "with the feature it says which bug")]
    pub(crate) fn prepare(&self) -> impl Fn(&mut Scenario) + use<> {
        |_| {}
    }

    /// The same again, as arguments.
    fn again(&self) -> String {
        let again =
            self.weights.as_ref().map_or(String::new(), |path| format!(" --weights {}", path.display()));
        #[cfg(feature = "planted")]
        let again = self.planted.map_or(again.clone(), |bug| format!("{again} --planted {}", bug.name()));
        again
    }
}

/// The kept part of a run.
struct Kept {
    seed: u64,
    events: u64,
    marks: Vec<Mark>,
    failure: Option<Failure>,
}

pub(crate) fn main(args: &Args) -> anyhow::Result<bool> {
    let weights = args.makes.weights()?;
    if args.print_weights {
        return say(&format!("{}\n", serde_json::to_string_pretty(&weights)?)).map(|()| true);
    }
    let Some(seeds) = args.seeds.asked() else { bail!("--seeds A..B or --seed S is needed") };
    if args.print {
        let tree = swarm::scenario(&weights, *seeds.start());
        return say(&format!("{}\n", serde_json::to_string_pretty(&tree)?)).map(|()| true);
    }
    let seeds: Vec<u64> = seeds.collect();
    let prepare = args.makes.prepare();
    let runs = args.jobs.run(&seeds, |&seed| played(&weights, seed, &prepare))?;
    let mut out = String::new();
    let again = args.makes.again();
    for Kept { seed, failure, .. } in &runs {
        if let Some(failure) = failure {
            writeln!(out, "seed {seed}: FAILED {failure}")?;
            writeln!(out, "  again:   karst-sim swarm --seed {seed}{again}")?;
            writeln!(out, "  smaller: karst-sim shrink --swarm-seed {seed}{again}")?;
        }
    }
    let failed = runs.iter().filter(|run| run.failure.is_some()).count();
    let events: u64 = runs.iter().map(|run| run.events).sum();
    let missed = marks(&runs, &mut out)?;
    writeln!(out, "{} runs, {failed} failed, {events} events", runs.len())?;
    let misses = runs.len() >= args.marks_from && !missed.is_empty();
    if misses {
        writeln!(out, "FAILED marks: never hit: {}", missed.join(", "))?;
    }
    say(&out)?;
    Ok(failed == 0 && !misses)
}

fn played(weights: &Weights, seed: u64, prepare: &impl Fn(&mut Scenario)) -> anyhow::Result<Kept> {
    let mut scenario = Scenario::of_json(&format!("swarm seed {seed}"), swarm::scenario(weights, seed))?;
    prepare(&mut scenario);
    let verdict = Verdict::of(&scenario, seed, EVENTS_MAX);
    let (events, marks) = match verdict.outcome() {
        Some(outcome) => (outcome.events, outcome.marks.clone()),
        None => (0, Vec::new()),
    };
    Ok(Kept { seed, events, marks, failure: verdict.failure() })
}

/// Writes how many runs hit each mark; those that none hit.
fn marks(runs: &[Kept], out: &mut String) -> anyhow::Result<Vec<&'static str>> {
    let mut missed = Vec::new();
    for mark in Mark::ALL {
        let hits = runs.iter().filter(|run| run.marks.contains(mark)).count();
        writeln!(out, "{hits:>8}  {:<22} {}", mark.name(), mark.meaning())?;
        if hits == 0 {
            missed.push(mark.name());
        }
    }
    Ok(missed)
}
