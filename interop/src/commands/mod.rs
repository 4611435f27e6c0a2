//! Commands that decode captures, judge programs and emulate networks.

mod decimals;
mod decode;
mod diff;
mod judge;
mod matrix;
mod netns;
mod probe;
mod reality;
mod relay;
mod relay_bench;

pub(crate) use decode::DecodeArgs;
pub(crate) use diff::DiffArgs;
pub(crate) use judge::JudgeArgs;
pub(crate) use matrix::MatrixArgs;
pub(crate) use netns::NetnsArgs;
pub(crate) use probe::ProbeArgs;
pub(crate) use reality::RealityArgs;
pub(crate) use relay::RelayArgs;
pub(crate) use relay_bench::RelayBenchArgs;

use anyhow::Context;
use lab::contest::Contestant;
use lab::left_out::LeftOut;
use lab::peers::Peer;
use serde_json::Value;
use sim::{Scenario, ScenarioFile};
use std::path::Path;

/// Prints the parts of a scenario that are not applied in real time.
fn print_left_out(file: &Path, left_out: &[LeftOut]) {
    for one in left_out {
        eprintln!("karst-interop: {}: {one}", file.display());
    }
}

/// Adds the parts of the scenario that were not applied to a report.
fn with_left_out(mut report: Value, left_out: &[LeftOut]) -> Value {
    report["left_out"] = left_out.iter().map(ToString::to_string).collect();
    report
}

/// Reads a scenario, and draws its random values with `seed`, or with the file's own; returns both.
fn read_scenario(path: &Path, seed: Option<u64>) -> anyhow::Result<(Scenario, u64)> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let file = ScenarioFile::parse(&path.display().to_string(), &text)?;
    let seed = seed.unwrap_or(file.seed());
    Ok((file.draw(seed)?, seed))
}

/// The pairs of programs of this machine.
fn found_tunnels() -> Vec<Contestant> {
    let found = Peer::find();
    for missing in &found.missing {
        eprintln!("SKIPPED {}: {}", missing.name, missing.reason);
    }
    found.peers.into_iter().map(Contestant::Tunnel).collect()
}
