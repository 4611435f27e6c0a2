//! Figures of many runs: medians and spread.

use super::figures::{Figure, Unit, figures};
use sim::report::{table, wrapped};
use sim::stats::{Interval, median_interval, quantile};
use sim::{Outcome, ScenarioFile};
use std::collections::BTreeMap;

/// One figure over many runs.
pub(crate) struct Spread {
    pub(crate) figure: Figure,
    /// Values by seed, and by the position among the runs of that seed.
    pub(crate) values: BTreeMap<(u64, usize), f64>,
}

impl Spread {
    /// Median over the runs.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    fn quantile(&self, share: f64) -> f64 {
        quantile(&self.ascending(), share).unwrap_or(0.0)
    }

    fn ascending(&self) -> Vec<f64> {
        let mut values: Vec<f64> = self.values.values().copied().collect();
        values.sort_by(f64::total_cmp);
        values
    }

    /// Median, its 95 % interval, and the range between the 5th and 95th percentile.
    pub(crate) fn numbers(&self) -> [String; 3] {
        let unit = self.figure.unit;
        let [median, low, high] = [0.5, 0.05, 0.95].map(|share| unit.number(self.quantile(share)));
        let interval = words(unit, median_interval(&self.ascending()));
        [median, interval, format!("{low} .. {high}")]
    }
}

/// An interval; `-` if too few values have none.
pub(crate) fn words(unit: Unit, interval: Option<Interval>) -> String {
    let words = |Interval { low, high }| format!("{} .. {}", unit.number(low), unit.number(high));
    interval.map_or_else(|| "-".into(), words)
}

/// Spreads of all figures, in the order of [`figures`].
pub(crate) fn spreads(runs: &[serde_json::Value]) -> Vec<Spread> {
    let mut spreads: Vec<Spread> = Vec::new();
    let mut times: BTreeMap<u64, usize> = BTreeMap::new();
    for run in runs {
        let seed = run["seed"].as_u64().unwrap_or(0);
        let nth = times.entry(seed).or_default();
        for (figure, value) in figures(run) {
            let known = spreads.iter().position(|spread| spread.figure == figure);
            let known = known.unwrap_or_else(|| {
                spreads.push(Spread { figure, values: BTreeMap::new() });
                spreads.len() - 1
            });
            spreads[known].values.insert((seed, *nth), value as f64);
        }
        *nth += 1;
    }
    spreads
}

/// Summary of many runs of one file as text.
pub(crate) fn summary(file: &ScenarioFile, runs: &[Outcome]) -> anyhow::Result<String> {
    let json = runs.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
    let failed: Vec<String> =
        runs.iter().filter(|run| !run.passed()).map(|run| run.seed.to_string()).collect();
    let transport = runs.first().map_or("", |run| run.transport.name());
    let mut out = format!("{}  {} runs over {transport}\n", file.name(), runs.len());
    for line in wrapped(file.description(), 98) {
        out.push_str(&format!("  {line}\n"));
    }
    out.push('\n');
    let rows = spreads(&json).into_iter().map(|spread| {
        let ([median, interval, most], unit) = (spread.numbers(), spread.figure.unit.name().into());
        let count = spread.values.len().to_string();
        [spread.figure.name, median, interval, most, count, unit]
    });
    out.push_str(&table(
        &["", "median", "95 % interval of it", "5 % .. 95 %", "n", ""],
        rows.collect::<Vec<_>>().as_slice(),
    ));
    out.push_str(&match failed.as_slice() {
        [] => "\n  all passed\n\n".into(),
        seeds => format!("\n  FAILED: {} runs, seeds {}\n\n", seeds.len(), seeds.join(" ")),
    });
    Ok(out)
}
