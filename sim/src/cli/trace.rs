//! `karst-sim trace`.

use super::{load, to_stdout};
use sim::World;
use std::fmt::Write;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Scenario file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Use this seed instead of the scenario's own.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
}

pub(crate) fn main(args: &Args) -> anyhow::Result<bool> {
    let file = load(&args.file)?;
    let seed = args.seed.unwrap_or(file.seed());
    let scenario = file.draw(seed)?;
    let mut run = World::recording(&scenario, seed);
    let mut running = true;
    while running {
        running = run.step();
        let mut lines = String::new();
        for entry in run.take_record() {
            writeln!(lines, "{entry}")?;
        }
        to_stdout(&lines)?;
    }
    Ok(true)
}
