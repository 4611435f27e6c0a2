//! Seed flags.

use std::ops::RangeInclusive;

/// Maximum number of seeds of one command.
const SEEDS_MAX: u64 = 1_000_000;

#[derive(clap::Args)]
pub(crate) struct Seeds {
    /// Use this seed instead of the scenario's own.
    #[arg(long, value_name = "S", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Play all these seeds, both ends included.
    #[arg(long, value_name = "A..B", value_parser = range)]
    seeds: Option<RangeInclusive<u64>>,
}

impl Seeds {
    /// The requested seeds; `None` without a flag.
    pub(crate) fn requested(&self) -> Option<RangeInclusive<u64>> {
        self.seeds.clone().or(self.seed.map(|seed| seed..=seed))
    }
}

fn range(text: &str) -> Result<RangeInclusive<u64>, String> {
    let ends = text.split_once("..").and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    let (first, last): (u64, u64) =
        ends.ok_or("must be two integers separated by two points, such as 1..20")?;
    if first > last || last - first >= SEEDS_MAX {
        return Err(format!("must contain between 1 and {SEEDS_MAX} seeds"));
    }
    Ok(first..=last)
}
