//! karst-sim: plays scenario files and reports what happened.
//!
//! Exit code 0: every check held. 1: one did not. 2: a scenario or the command line was refused.

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use sim::outcome::Results;
use sim::report::Report;
use sim::{Outcome, Scenario, ScenarioError, World};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

const BROKEN: u8 = 1;
const REFUSED: u8 = 2;

/// Plays scenario files against the protocol engine in simulated time.
#[derive(Parser)]
#[command(
    name = "karst-sim",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Plays scenario files; what karst-sim does without a subcommand.
    Run(RunArgs),
}

#[derive(Args)]
struct RunArgs {
    /// Scenario files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Use this seed instead of the scenario's own.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Write the results as JSON, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let args = match cli.command {
        Some(Command::Run(args)) => args,
        None => cli.run,
    };
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(BROKEN),
        Err(error) => {
            eprintln!("karst-sim: {error:#}");
            ExitCode::from(REFUSED)
        }
    }
}

/// Plays all files; whether every check held. Nothing runs when one of them is refused.
fn run(args: &RunArgs) -> anyhow::Result<bool> {
    let scenarios = args.files.iter().map(load).collect::<anyhow::Result<Vec<_>>>()?;
    let mut runs = Vec::with_capacity(scenarios.len());
    for scenario in &scenarios {
        let outcome = timed(scenario, args.seed.unwrap_or(scenario.seed));
        write!(std::io::stdout(), "{}", Report(&outcome)).context("standard output")?;
        runs.push(outcome);
    }
    let ok = runs.iter().all(|outcome| outcome.ok);
    if let Some(path) = &args.json {
        let mut json = serde_json::to_string_pretty(&Results::new(runs)).context("results")?;
        json.push('\n');
        std::fs::write(path, json).with_context(|| path.display().to_string())?;
    }
    Ok(ok)
}

fn load(path: &PathBuf) -> anyhow::Result<Scenario> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| name.clone())?;
    Scenario::parse(&name, &text).map_err(|error: ScenarioError| error.into())
}

#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "how long a run takes is not part of it"
)]
fn timed(scenario: &Scenario, seed: u64) -> Outcome {
    let start = std::time::Instant::now();
    let mut outcome = World::run(scenario, seed);
    outcome.wall_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
    outcome
}
