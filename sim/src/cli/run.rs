//! `karst-sim run`.

use super::pool::Jobs;
use super::record::Outputs;
use super::seeds::Seeds;
use super::settings::{self, Setting};
use super::summary::summary;
use super::{load, play, save, to_stdout};
use sim::report::Report;
use sim::{Outcome, ScenarioFile};
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Scenario files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    seeds: Seeds,
    #[command(flatten)]
    jobs: Jobs,
    /// Set this value in the scenarios, such as client.mode=fast3.
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<Setting>,
    /// Also play the same workloads over direct TCP.
    #[arg(long, value_name = "cubic|bbr|reno", num_args = 0..=1, require_equals = true, default_missing_value = "cubic")]
    tcp: Option<String>,
    /// Also write the results as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    outputs: Outputs,
}

/// Plays all files, once all of them have been read without error.
pub(crate) fn main(args: &Args) -> anyhow::Result<bool> {
    let files = args.files.iter().map(|path| settings::apply(load(path)?, &args.set));
    let files = with_baseline(files.collect::<anyhow::Result<Vec<_>>>()?, args.tcp.as_deref())?;
    args.outputs.requested(files.len())?;
    let mut runs = Vec::new();
    for file in &files {
        runs.extend(report(args, file)?);
    }
    let passed = runs.iter().all(Outcome::passed);
    save(args.json.as_ref(), runs)?;
    Ok(passed)
}

/// All files, each followed by the same one over direct TCP if `tcp` is given.
fn with_baseline(files: Vec<ScenarioFile>, tcp: Option<&str>) -> anyhow::Result<Vec<ScenarioFile>> {
    let Some(tcp) = tcp else { return Ok(files) };
    let mut both = Vec::with_capacity(2 * files.len());
    for file in files {
        // Expectations apply to the tunnel only.
        let direct = file.with("baseline", tcp.into())?.with("expect", serde_json::json!({}))?;
        both.extend([file, direct]);
    }
    Ok(both)
}

/// Plays one file; prints a report of a single run, or a summary of many and reports of those that failed.
fn report(args: &Args, file: &ScenarioFile) -> anyhow::Result<Vec<Outcome>> {
    let seeds: Vec<u64> = args.seeds.requested().unwrap_or(file.seed()..=file.seed()).collect();
    let runs = if args.outputs.requested(seeds.len())? {
        vec![args.outputs.play(file, seeds[0])?]
    } else {
        args.jobs.run(&seeds, |&seed| play(file, seed))?
    };
    let many = runs.len() > 1;
    for run in runs.iter().filter(|run| !many || !run.passed()) {
        to_stdout(&format!("{}\n", Report(run)))?;
    }
    if many {
        to_stdout(&summary(file, &runs)?)?;
    }
    Ok(runs)
}
