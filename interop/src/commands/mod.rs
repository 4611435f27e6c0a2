//! Commands that make a network.

mod decimals;
mod netns;
mod relay;
mod relay_bench;

pub(crate) use netns::NetnsArgs;
pub(crate) use relay::RelayArgs;
pub(crate) use relay_bench::RelayBenchArgs;

use anyhow::Context;
use sim::Scenario;
use std::path::Path;

fn read_scenario(path: &Path) -> anyhow::Result<Scenario> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(Scenario::parse(&path.display().to_string(), &text)?)
}
