//! Result files of `karst-report bench` and `karst-report lines`, the input of report pages.
//!
//! Medians, ratios and verdicts are not stored: readers compute them from the trials.

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Version of the result file of `bench`. Keys are added, never removed or changed.
pub const FORMAT: &str = "karst-bench/1";

/// Version of the result file of `lines`: each case is a lossy path.
pub const LINES_FORMAT: &str = "karst-lines/1";

/// Prefix of contestants that are kernel TCP without a tunnel; the congestion control follows.
pub const DIRECT: &str = "tcp-";

/// The contents of a result file.
#[derive(Deserialize, Serialize)]
pub struct Measurements {
    /// [`FORMAT`] or [`LINES_FORMAT`].
    pub format: String,
    /// The machine that ran the measurements.
    pub machine: Machine,
    /// Commit of the working directory, with `+` when files differ from it.
    pub commit: Option<String>,
    /// The command line that repeats the measurement.
    pub command: String,
    /// Runs of each contestant.
    pub runs: usize,
    /// Seconds of each measurement.
    pub seconds: u64,
    /// The pairs of programs; the first is compared with all others.
    pub peers: Vec<PeerFacts>,
    /// The measurements, in the order in which they were made.
    pub cases: Vec<Case>,
    /// Contestants that could not be measured.
    pub skipped: Vec<Skipped>,
}

/// Hardware, kernel and load of a machine.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Machine {
    /// Model of the processor.
    pub cpu: String,
    /// Processor cores available to the program.
    pub cores: usize,
    /// Processor features that ciphers and codes use.
    pub features: Vec<String>,
    /// Main memory, MiB.
    pub memory_mib: u64,
    /// Release of the kernel.
    pub kernel: String,
    /// Name of the distribution.
    pub system: String,
    /// Whether a hypervisor runs it.
    pub virtual_machine: bool,
    /// Load average over the minute before the first run.
    pub load_before: f64,
}

/// Names, paths and version of a pair of programs.
#[derive(Clone, Deserialize, Serialize)]
pub struct PeerFacts {
    /// Name in tables.
    pub name: String,
    /// Path of the client.
    pub client: String,
    /// Path of the server.
    pub server: String,
    /// The first line of the client's `--version`.
    pub version: String,
}

/// One measurement of all contestants.
#[derive(Deserialize, Serialize)]
pub struct Case {
    /// Name of the row.
    pub name: String,
    /// Description of the load; for `lines`, the counted seconds.
    pub about: String,
    /// The emulated path between the programs; None for the loopback device.
    #[serde(rename = "line")]
    pub path: Option<PathInfo>,
    /// The runs, by contestant.
    #[serde(rename = "sides")]
    pub contestants: Vec<ContestantRuns>,
}

/// Name and description of an emulated path.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct PathInfo {
    /// `loss` or `rtt` when the case is a point of that curve; otherwise the name of a scenario.
    pub curve: String,
    /// Position on the curve: percent, or milliseconds.
    pub at: Option<f64>,
    /// Description of the links.
    pub links: String,
    /// Nominal figures; only `lines` records them.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "path")]
    pub facts: Option<PathFacts>,
}

/// Nominal figures of a path in the direction of the payload.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct PathFacts {
    /// Rate of the bottleneck.
    pub rate_mbit: f64,
    /// Loss rate, percent.
    pub loss_pct: f64,
    /// Mean round-trip time with empty queues.
    pub rtt_ms: f64,
}

/// All runs of one contestant in a case.
#[derive(Deserialize, Serialize)]
pub struct ContestantRuns {
    /// Name of the contestant.
    pub name: String,
    /// Command lines of the programs in the first run.
    pub commands: Vec<String>,
    /// The runs, in order.
    pub trials: Vec<Trial>,
}

/// One run of one contestant: figures, or the error that prevented them.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Trial {
    /// Figures by name; the name ends with the unit.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// Curves by name, as pairs of x and y.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub curves: BTreeMap<String, Vec<[f64; 2]>>,
    /// Why the run failed, or why its figures are not valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A contestant that could not be measured.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Name of the contestant.
    #[serde(rename = "what")]
    pub name: String,
    /// Why it could not be measured.
    #[serde(rename = "why")]
    pub reason: String,
}

impl Trial {
    /// A run without figures.
    pub fn failed(error: &anyhow::Error) -> Self {
        Self { error: Some(format!("{error:#}")), ..Self::default() }
    }

    /// Records a figure, rounded to thousandths; below 1, to four significant digits.
    pub fn record(&mut self, name: &str, value: f64) {
        self.metrics.insert(name.to_owned(), rounded(value));
    }

    /// Records a curve, its values rounded as figures are.
    pub fn record_curve(&mut self, name: &str, points: impl IntoIterator<Item = [f64; 2]>) {
        let points = points.into_iter().map(|[x, y]| [(x * 1e6).round() / 1e6, rounded(y)]);
        self.curves.insert(name.to_owned(), points.collect());
    }

    /// All figures in one line.
    pub fn line(&self) -> String {
        let figures = self.metrics.iter().map(|(name, value)| format!("{name} {value}"));
        figures.collect::<Vec<_>>().join(", ")
    }
}

/// Rounds to thousandths; below 1, to four significant digits.
fn rounded(value: f64) -> f64 {
    let scale =
        if value == 0.0 || value.abs() >= 1.0 { 1e3 } else { 10_f64.powf(4.0 - value.abs().log10().ceil()) };
    (value * scale).round() / scale
}

/// Whether the `format` key of a file begins with one of `names`, whatever its version.
///
/// # Errors
/// The file cannot be read.
pub fn has_format(path: &Path, names: &[&str]) -> anyhow::Result<bool> {
    #[derive(Deserialize)]
    struct Head {
        format: String,
    }
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let head: Result<Head, _> = serde_json::from_str(&text);
    Ok(head.is_ok_and(|head| names.iter().any(|name| head.format.starts_with(name))))
}

impl Measurements {
    /// Whether a file is a result file of `bench` or `lines`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn is_one(path: &Path) -> anyhow::Result<bool> {
        has_format(path, &["karst-bench/", "karst-lines/"])
    }

    /// Reads a result file.
    ///
    /// # Errors
    /// The file cannot be read, has another format or version, or names no peers.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let name = || path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(name)?;
        let found: Self = serde_json::from_str(&text).with_context(name)?;
        let known = [FORMAT, LINES_FORMAT].contains(&found.format.as_str());
        ensure!(known, "{}: format is `{}`, not `{FORMAT}` or `{LINES_FORMAT}`", name(), found.format);
        ensure!(found.is_of_lines() || !found.peers.is_empty(), "{}: no peers", name());
        Ok(found)
    }

    /// Whether `karst-report lines` wrote it.
    pub fn is_of_lines(&self) -> bool {
        self.format == LINES_FORMAT
    }

    /// Whether the programs carried datagrams as forged TCP.
    pub fn is_forged(&self) -> bool {
        let mut runs = self.cases.iter().flat_map(|case| &case.contestants);
        runs.any(|runs| runs.commands.iter().any(|command| forges(command.split(' '))))
    }

    /// The case of that name.
    pub fn case(&self, name: &str) -> Option<&Case> {
        self.cases.iter().find(|case| case.name == name)
    }

    /// Whether no run failed.
    pub fn is_complete(&self) -> bool {
        let mut trials = self.cases.iter().flat_map(|case| &case.contestants).flat_map(|runs| &runs.trials);
        trials.all(|trial| trial.error.is_none())
    }

    /// Records, and logs to the standard error, that a contestant is not measured.
    pub fn skip(&mut self, name: &str, reason: &str) {
        eprintln!("SKIPPED {name}: {reason}");
        self.skipped.push(Skipped { name: name.to_owned(), reason: reason.to_owned() });
    }

    /// Whether a contestant was skipped.
    pub fn has_skipped(&self, name: &str) -> bool {
        self.skipped.iter().any(|skipped| skipped.name == name)
    }
}

/// Whether the flags of a program make it carry datagrams as forged TCP.
pub fn forges<'f>(mut flags: impl Iterator<Item = &'f str>) -> bool {
    flags.any(|flag| flag == "--tcp" || flag.starts_with("--tcp="))
}

impl PathInfo {
    /// Name of the path: that of the scenario, or curve and position.
    pub fn name(&self) -> String {
        self.at.map_or_else(|| self.curve.clone(), |at| format!("{}-{at}", self.curve))
    }
}

impl Case {
    /// The runs of the contestant of that name.
    pub fn runs_of(&self, name: &str) -> Option<&ContestantRuns> {
        self.contestants.iter().find(|runs| runs.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_rounded_to_significant_digits() {
        let round = [0.0, 1234.56789, 0.012_345_678, -1.23456].map(rounded);
        assert_eq!(round, [0.0, 1234.568, 0.012_35, -1.235]);
    }
}
