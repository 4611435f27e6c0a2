//! The seeds to play.

use std::ops::RangeInclusive;

/// Most seeds of one call.
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
    /// The seeds asked for; `None` when nothing was asked.
    pub(crate) fn asked(&self) -> Option<RangeInclusive<u64>> {
        self.seeds.clone().or(self.seed.map(|seed| seed..=seed))
    }
}

fn range(text: &str) -> Result<RangeInclusive<u64>, String> {
    let ends = text.split_once("..").and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    let (first, last): (u64, u64) = ends.ok_or("must be two integers joined by two points, such as 1..20")?;
    if first > last || last - first >= SEEDS_MAX {
        return Err(format!("must hold between 1 and {SEEDS_MAX} seeds"));
    }
    Ok(first..=last)
}
