//! `karst-sim swarm`.

use super::pool::Jobs;
use super::seeds::Seeds;
use super::to_stdout;
use anyhow::{Context, bail};
use engine::Mark;
use sim::Scenario;
use sim::tools::swarm::{self, Failure, Verdict, Weights};
use std::fmt::Write;
use std::path::PathBuf;

/// Event limit, far above the events of any swarm run.
pub(crate) const EVENTS_MAX: u64 = 5_000_000;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    seeds: Seeds,
    #[command(flatten)]
    jobs: Jobs,
    #[command(flatten)]
    generator: Generator,
    /// Minimum number of seeds from which every mark must be hit.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    marks_from: usize,
    /// Print the scenario of --seed instead of playing it.
    #[arg(long, requires = "seed")]
    print: bool,
    /// Print the weights.
    #[arg(long)]
    print_weights: bool,
}

/// Generates a scenario from a seed.
#[derive(clap::Args)]
pub(crate) struct Generator {
    /// Frequencies of the swarm's choices, JSON; --print-weights prints the default.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Enable this seeded bug of the engine.
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

impl Generator {
    pub(crate) fn weights(&self) -> anyhow::Result<Weights> {
        let Some(path) = &self.weights else { return Ok(Weights::default()) };
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| name.clone())?;
        Ok(Weights::parse(&name, &text)?)
    }

    /// Modifies a scenario before it is played.
    #[cfg(feature = "planted")]
    pub(crate) fn prepare(&self) -> impl Fn(&mut Scenario) + use<> {
        let bug = self.planted;
        move |scenario| bug.iter().for_each(|&bug| scenario.plant(bug))
    }

    /// Modifies a scenario before it is played.
    #[cfg(not(feature = "planted"))]
    #[expect(clippy::unused_self, reason = "the feature uses it to enable a bug")]
    pub(crate) fn prepare(&self) -> impl Fn(&mut Scenario) + use<> {
        |_| {}
    }

    /// The arguments that reproduce these settings.
    fn arguments(&self) -> String {
        let arguments =
            self.weights.as_ref().map_or(String::new(), |path| format!(" --weights {}", path.display()));
        #[cfg(feature = "planted")]
        let arguments =
            self.planted.map_or(arguments.clone(), |bug| format!("{arguments} --planted {}", bug.name()));
        arguments
    }
}

/// Result of one run.
struct SwarmRun {
    seed: u64,
    events: u64,
    marks: Vec<Mark>,
    failure: Option<Failure>,
}

pub(crate) fn main(args: &Args) -> anyhow::Result<bool> {
    let weights = args.generator.weights()?;
    if args.print_weights {
        return to_stdout(&format!("{}\n", serde_json::to_string_pretty(&weights)?)).map(|()| true);
    }
    let Some(seeds) = args.seeds.requested() else { bail!("swarm needs --seeds A..B or --seed S") };
    if args.print {
        let tree = swarm::scenario(&weights, *seeds.start());
        return to_stdout(&format!("{}\n", serde_json::to_string_pretty(&tree)?)).map(|()| true);
    }
    let seeds: Vec<u64> = seeds.collect();
    let prepare = args.generator.prepare();
    let runs = args.jobs.run(&seeds, |&seed| played(&weights, seed, &prepare))?;
    let mut out = String::new();
    let arguments = args.generator.arguments();
    for SwarmRun { seed, failure, .. } in &runs {
        if let Some(failure) = failure {
            writeln!(out, "seed {seed}: FAILED {failure}")?;
            writeln!(out, "  replay:   karst-sim swarm --seed {seed}{arguments}")?;
            writeln!(out, "  minimize: karst-sim shrink --swarm-seed {seed}{arguments}")?;
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
    to_stdout(&out)?;
    Ok(failed == 0 && !misses)
}

fn played(weights: &Weights, seed: u64, prepare: &impl Fn(&mut Scenario)) -> anyhow::Result<SwarmRun> {
    let mut scenario = Scenario::of_json(&format!("swarm seed {seed}"), swarm::scenario(weights, seed))?;
    prepare(&mut scenario);
    let verdict = Verdict::of(&scenario, seed, EVENTS_MAX);
    let (events, marks) = match verdict.outcome() {
        Some(outcome) => (outcome.events, outcome.marks.clone()),
        None => (0, Vec::new()),
    };
    Ok(SwarmRun { seed, events, marks, failure: verdict.failure() })
}

/// Appends the number of runs that hit each mark; returns the marks that no run hit.
fn marks(runs: &[SwarmRun], out: &mut String) -> anyhow::Result<Vec<&'static str>> {
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
