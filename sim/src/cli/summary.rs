//! Figures of many runs: medians and spread.

use super::figures::{Figure, figures};
use sim::report::{table, wrapped};
use sim::{Outcome, ScenarioFile};
use std::collections::BTreeMap;

/// One figure over many runs.
pub(crate) struct Spread {
    pub(crate) figure: Figure,
    values: Vec<u64>,
}

impl Spread {
    /// Median over the runs.
    pub(crate) fn median(&self) -> u64 {
        self.quantile(50)
    }

    fn quantile(&self, percent: usize) -> u64 {
        self.values.get((self.values.len().max(1) - 1) * percent / 100).copied().unwrap_or(0)
    }

    /// Median, and the range between the 5th and 95th percentile.
    pub(crate) fn numbers(&self) -> [String; 2] {
        let [median, low, high] = [50, 5, 95].map(|percent| self.figure.unit.number(self.quantile(percent)));
        [median, format!("{low} .. {high}")]
    }
}

/// Spreads of all figures, in the order of [`figures`].
pub(crate) fn spreads(runs: &[serde_json::Value]) -> Vec<Spread> {
    let mut order: Vec<Figure> = Vec::new();
    let mut values: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for run in runs {
        for (figure, value) in figures(run) {
            let of_name = values.entry(figure.name.clone()).or_default();
            if of_name.is_empty() {
                order.push(figure);
            }
            of_name.push(value);
        }
    }
    let spread = |figure: Figure| {
        let mut values = values.remove(&figure.name).unwrap_or_default();
        values.sort_unstable();
        Spread { figure, values }
    };
    order.into_iter().map(spread).collect()
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
        let ([median, most], unit) = (spread.numbers(), spread.figure.unit.name().into());
        [spread.figure.name, median, most, unit]
    });
    out.push_str(&table(&["", "median", "5 % .. 95 %", ""], rows.collect::<Vec<_>>().as_slice()));
    out.push_str(&match failed.as_slice() {
        [] => "\n  all passed\n\n".into(),
        seeds => format!("\n  FAILED: {} runs, seeds {}\n\n", seeds.len(), seeds.join(" ")),
    });
    Ok(out)
}
