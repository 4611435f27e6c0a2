//! The comparison as a Markdown page and as JSON.

use super::{Comparison, QUANTITIES, Quantity, Tolerance, median};
use crate::contest::Row;
use serde_json::{Value, json};
use std::fmt;

/// The contents of the page.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// One comparison per scenario.
    pub comparisons: Vec<Comparison>,
    /// Tolerance of the verdicts.
    pub tolerance: Tolerance,
    /// Explanatory notes: Markdown at the end of the page.
    pub notes: String,
}

impl Page {
    /// The programs in the order of columns.
    fn contestants(&self) -> Vec<&str> {
        let first = self.comparisons.first();
        first
            .map(|comparison| comparison.rows.iter().map(|row| row.name.as_str()).collect())
            .unwrap_or_default()
    }

    /// Number of quantities of `name` within tolerance, and of all: for goodput, and for latency.
    fn within(&self, name: &str) -> [(usize, usize); 2] {
        let mut counts = [(0, 0); 2];
        for comparison in &self.comparisons {
            let Some(row) = comparison.rows.iter().find(|row| row.name == name) else { continue };
            for quantity in QUANTITIES {
                let Some(allowed) = quantity.tolerance(self.tolerance) else { continue };
                let Some(difference) = difference(comparison, row, quantity) else { continue };
                let count = &mut counts[usize::from(!matches!(quantity, Quantity::Goodput(_)))];
                count.1 += 1;
                count.0 += usize::from(difference.abs() <= allowed as f64);
            }
        }
        counts
    }

    /// The machine-readable form.
    pub fn to_json(&self) -> Value {
        let comparison = |comparison: &Comparison| {
            json!({
                "scenario": comparison.scenario,
                "left_out": comparison.left_out.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "simulated": comparison.simulated,
                "real": comparison.rows.iter().map(Row::to_json).collect::<Vec<_>>(),
            })
        };
        json!({
            "format": "karst-reality-1",
            "scenarios": self.comparisons.iter().map(comparison).collect::<Vec<_>>(),
        })
    }
}

/// Percent by which the median of `row` differs from the simulator's.
fn difference(comparison: &Comparison, row: &Row, quantity: Quantity) -> Option<f64> {
    let simulated = median(&comparison.simulated(quantity))?;
    let real = median(&real(row, quantity))?;
    (simulated > 0).then(|| (real as f64 - simulated as f64) * 100.0 / simulated as f64)
}

fn real(row: &Row, quantity: Quantity) -> Vec<u64> {
    row.values(|trial| quantity.of(&trial.into()))
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tolerance { goodput, latency } = self.tolerance;
        writeln!(f, "# Simulation against reality\n")?;
        writeln!(
            f,
            "The same scenario files in the simulator and with real programs over the same links in real time: tunnels through\n\
             `karst-interop relay`, the kernel's TCP between two network namespaces. Medians, with the smallest and the largest run; differences are those of the medians from\n\
             the simulator's. Aim: goodput within {goodput} %, latencies within {latency} %; larger differences are in bold.\n"
        )?;
        self.table(f)?;
        writeln!(f, "\n## Tolerance reached\n")?;
        for name in self.contestants() {
            let [goodputs, latencies] = self.within(name);
            writeln!(
                f,
                "- {name}: {} of {} goodputs within {goodput} %, {} of {} latency percentiles within {latency} %.",
                goodputs.0, goodputs.1, latencies.0, latencies.1
            )?;
        }
        self.scenarios(f)?;
        self.machine(f)?;
        if !self.notes.is_empty() {
            writeln!(f, "\n{}", self.notes.trim_end())?;
        }
        Ok(())
    }
}

impl Page {
    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.contestants();
        let head: String = names.iter().map(|name| format!(" {name} | |")).collect();
        writeln!(f, "| scenario | figure | simulator |{head}")?;
        writeln!(f, "|---|---|---:|{}", "---:|---:|".repeat(names.len()))?;
        for comparison in &self.comparisons {
            let mut scenario = comparison.scenario.as_str();
            for quantity in QUANTITIES {
                let simulated = comparison.simulated(quantity);
                if simulated.is_empty() {
                    continue;
                }
                write!(f, "| {scenario} | {} | {} |", quantity.name(), spread(&simulated))?;
                for row in &comparison.rows {
                    let difference = difference(comparison, row, quantity);
                    let allowed =
                        quantity.tolerance(self.tolerance).map_or(f64::INFINITY, |percent| percent as f64);
                    write!(f, " {} | {} |", spread(&real(row, quantity)), percent(difference, allowed))?;
                }
                writeln!(f)?;
                scenario = "";
            }
        }
        Ok(())
    }

    fn scenarios(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n## Scenarios\n")?;
        for comparison in &self.comparisons {
            let Comparison { scenario, description, simulated, .. } = comparison;
            writeln!(f, "- **{scenario}**: {description} Simulated seeds: {}.", simulated.len())?;
            for left_out in &comparison.left_out {
                writeln!(f, "  - {left_out}")?;
            }
            for doubt in comparison.rows.iter().flat_map(Row::doubts) {
                writeln!(f, "  - {}", doubt.lines().next().unwrap_or_default())?;
            }
        }
        Ok(())
    }

    /// Indicators of a loaded machine: load average and lateness of the relay.
    fn machine(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n## Load of the machine\n")?;
        writeln!(f, "| scenario | program | runs | load average | p99 of the delay the relay added, ms |")?;
        writeln!(f, "|---|---|---:|---:|---:|")?;
        for comparison in &self.comparisons {
            for row in &comparison.rows {
                let load = row.values(|trial| Some(trial.load_hundredths? * 10));
                let added = row.values(|trial| Some(trial.path.added_us.p99));
                let (good, all) = (row.good().count(), row.trials.len());
                let Row { name, .. } = row;
                let (load, added) = (spread(&load), spread(&added));
                writeln!(f, "| {} | {name} | {good} of {all} | {load} | {added} |", comparison.scenario)?;
            }
        }
        Ok(())
    }
}

/// Formats median, minimum and maximum of thousandths.
fn spread(values: &[u64]) -> String {
    let (Some(middle), Some(low), Some(high)) = (median(values), values.first(), values.last()) else {
        return "-".to_owned();
    };
    let decimals = if middle < 100_000 { 2 } else { 0 };
    let text = |value: u64| format!("{:.decimals$}", value as f64 / 1000.0);
    format!("{} ({}–{})", text(middle), text(*low), text(*high))
}

fn percent(difference: Option<f64>, allowed: f64) -> String {
    match difference {
        None => "-".to_owned(),
        Some(difference) if difference.abs() > allowed => format!("**{difference:+.1} %**"),
        Some(difference) => format!("{difference:+.1} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Run;
    use super::*;
    use crate::contest::TrialOutcome;
    use crate::path::Report;
    use sim::Direction;
    use sim::outcome::{BulkOutcome, WorkOutcome};

    fn work(goodput_kbit: u64) -> Vec<WorkOutcome> {
        vec![WorkOutcome::Bulk(BulkOutcome {
            name: "download".to_owned(),
            direction: Direction::Down,
            bytes_written: 1,
            bytes_read: 1,
            complete: true,
            start_us: 0,
            end_us: 1,
            measured_bytes: 1,
            measured_us: 1,
            goodput_kbit,
            streams_reset: 0,
        })]
    }

    fn page(simulated: u64, real: u64) -> Page {
        let trials = vec![(
            1,
            Ok(TrialOutcome {
                work: work(real),
                path: Report::default(),
                progress: crate::load::Progress::default(),
                load_hundredths: Some(150),
            }),
        )];
        let run = Run { work: work(simulated), sent_packets: [0, 1], sent_bytes: [0, 1] };
        let comparison = Comparison {
            scenario: "s".to_owned(),
            description: "d.".to_owned(),
            simulated: vec![run],
            rows: vec![Row { name: "karst".to_owned(), trials }],
            left_out: Vec::new(),
        };
        Page { comparisons: vec![comparison], ..Page::default() }
    }

    #[test]
    fn quantities_within_tolerance_are_counted() {
        let page = page(10_000, 11_000).to_string();
        assert!(page.contains("| 10.00 (10.00–10.00) | 11.00 (11.00–11.00) | +10.0 % |"), "{page}");
        assert!(page.contains("karst: 1 of 1 goodputs"), "{page}");
        assert!(page.contains("| s | karst | 1 of 1 | 1.50 (1.50–1.50) | 0.00 (0.00–0.00) |"), "{page}");
    }

    #[test]
    fn quantities_outside_tolerance_are_bold_and_not_counted() {
        let page = page(10_000, 8_900).to_string();
        assert!(page.contains("**-11.0 %**") && page.contains("karst: 0 of 1 goodputs"), "{page}");
    }
}
