//! What `karst-report bench` measures: its result file, the figures in it, and the page made of them.
//!
//! Medians, ratios and verdicts are not read from the file but computed from its trials, always.

mod charts;
mod figures;
mod goals;
mod html;
pub(crate) mod lossy;
mod markdown;
mod svg;
mod tables;

pub(crate) use figures::figures;
pub(crate) use goals::verdicts;
pub(crate) use html::page as html;
pub(crate) use markdown::page as markdown;
pub(crate) use tables::{aligned, figure_rows, goal_rows, summary};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Version of the result file. Keys are only ever added to it.
pub(crate) const FORMAT: &str = "karst-bench/1";

/// The same of what `karst-report lines` measures: cases are lines, and sides whoever carried the load over them.
pub(crate) const LINES_FORMAT: &str = "karst-lines/1";

/// Begins the name of a side that is TCP without a tunnel; the congestion control follows.
pub(crate) const DIRECT: &str = "tcp-";

/// A result file.
#[derive(Deserialize, Serialize)]
pub(crate) struct Bench {
    pub(crate) format: String,
    pub(crate) machine: Machine,
    /// Commit of the working directory, with `+` when files differ from it.
    pub(crate) commit: Option<String>,
    /// How to do it again.
    pub(crate) command: String,
    pub(crate) runs: usize,
    pub(crate) seconds: u64,
    /// The first is compared with all others.
    pub(crate) peers: Vec<PeerFacts>,
    pub(crate) cases: Vec<Case>,
    pub(crate) skipped: Vec<Skipped>,
}

/// Where it was measured.
#[derive(Deserialize, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    /// What of the processor's features matters to ciphers and codes.
    pub(crate) features: Vec<String>,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: String,
    pub(crate) system: String,
    pub(crate) virtual_machine: bool,
    /// Processes that ran or wanted to before the first run, over the last minute.
    pub(crate) load_before: f64,
}

#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct PeerFacts {
    pub(crate) name: String,
    pub(crate) client: String,
    pub(crate) server: String,
    /// What the client says its version is.
    pub(crate) version: String,
}

/// One row of measurements, on all sides.
#[derive(Deserialize, Serialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) about: String,
    /// The line between the programs; none when they talk over the loopback device.
    pub(crate) line: Option<LineFacts>,
    pub(crate) sides: Vec<Side>,
}

#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct LineFacts {
    /// `loss` or `rtt` when the case is a point of that curve; otherwise the name of a scenario.
    pub(crate) curve: String,
    /// Where on the curve: percent, or milliseconds.
    pub(crate) at: Option<f64>,
    /// The links, in words.
    pub(crate) links: String,
    /// What they promise; `karst-report lines` notes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<PathFacts>,
}

/// The path that a payload takes.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct PathFacts {
    /// What passes the bottleneck.
    pub(crate) rate_mbit: f64,
    pub(crate) loss_pct: f64,
    /// Without any queue, in the mean.
    pub(crate) rtt_ms: f64,
}

#[derive(Deserialize, Serialize)]
pub(crate) struct Side {
    pub(crate) name: String,
    /// The programs of the first trial.
    pub(crate) commands: Vec<String>,
    pub(crate) trials: Vec<Trial>,
}

/// One run of one side: what it found, or why there is nothing.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Trial {
    /// By name, which ends in its unit.
    #[serde(default)]
    pub(crate) metrics: BTreeMap<String, f64>,
    /// Pairs of x and y, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) curves: BTreeMap<String, Vec<[f64; 2]>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Skipped {
    pub(crate) what: String,
    pub(crate) why: String,
}

impl Trial {
    pub(crate) fn failed(error: &anyhow::Error) -> Self {
        Self { error: Some(format!("{error:#}")), ..Self::default() }
    }

    /// Notes a figure, to the thousandth or to four digits.
    pub(crate) fn note(&mut self, name: &str, value: f64) {
        self.metrics.insert(name.to_owned(), rounded(value));
    }

    pub(crate) fn draw(&mut self, name: &str, points: impl IntoIterator<Item = [f64; 2]>) {
        let points = points.into_iter().map(|[x, y]| [(x * 1e6).round() / 1e6, rounded(y)]);
        self.curves.insert(name.to_owned(), points.collect());
    }
}

/// To thousandths; small values to four digits.
fn rounded(value: f64) -> f64 {
    let scale =
        if value == 0.0 || value.abs() >= 1.0 { 1e3 } else { 10_f64.powf(4.0 - value.abs().log10().ceil()) };
    (value * scale).round() / scale
}

impl Bench {
    /// Whether a text begins as a result file.
    pub(crate) fn is_one(path: &Path) -> anyhow::Result<bool> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
        }
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let head: Result<Head, _> = serde_json::from_str(&text);
        let ours = |format: &str| format.starts_with("karst-bench/") || format.starts_with("karst-lines/");
        Ok(head.is_ok_and(|head| ours(&head.format)))
    }

    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let name = || path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(name)?;
        let bench: Self = serde_json::from_str(&text).with_context(name)?;
        let known = [FORMAT, LINES_FORMAT].contains(&bench.format.as_str());
        ensure!(known, "{}: format is `{}`, not `{FORMAT}` or `{LINES_FORMAT}`", name(), bench.format);
        ensure!(bench.is_of_lines() || !bench.peers.is_empty(), "{}: no peers", name());
        Ok(bench)
    }

    /// Whether `karst-report lines` wrote it.
    pub(crate) fn is_of_lines(&self) -> bool {
        self.format == LINES_FORMAT
    }

    pub(crate) fn case(&self, name: &str) -> Option<&Case> {
        self.cases.iter().find(|case| case.name == name)
    }
}

impl LineFacts {
    /// A name for the line.
    pub(crate) fn curve_and_place(&self) -> String {
        self.at.map_or_else(|| self.curve.clone(), |at| format!("{}-{at}", self.curve))
    }
}

impl Case {
    pub(crate) fn side(&self, name: &str) -> Option<&Side> {
        self.sides.iter().find(|side| side.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One case with one metric, on two sides.
    pub(super) fn bench(case: &str, metric: &str, karst: &[f64], go: &[f64]) -> Bench {
        let side = |name: &str, values: &[f64]| {
            let trial = |value: &f64| {
                let metrics = BTreeMap::from([(metric.to_owned(), *value)]);
                Trial { metrics, ..Trial::default() }
            };
            Side { name: name.into(), commands: Vec::new(), trials: values.iter().map(trial).collect() }
        };
        let sides = vec![side("karst", karst), side("go", go)];
        let peer = |name: &str| PeerFacts {
            name: name.into(),
            client: String::new(),
            server: String::new(),
            version: String::new(),
        };
        Bench {
            format: FORMAT.into(),
            machine: Machine {
                cpu: "CPU".into(),
                cores: 2,
                features: Vec::new(),
                memory_mib: 1,
                kernel: String::new(),
                system: String::new(),
                virtual_machine: true,
                load_before: 0.0,
            },
            commit: None,
            command: String::new(),
            runs: karst.len(),
            seconds: 1,
            peers: vec![peer("karst"), peer("go")],
            cases: vec![Case { name: case.into(), about: String::new(), line: None, sides }],
            skipped: Vec::new(),
        }
    }

    #[test]
    fn figures_are_rounded_to_what_was_measured() {
        let round = [0.0, 1234.56789, 0.012_345_678, -1.23456].map(rounded);
        assert_eq!(round, [0.0, 1234.568, 0.012_35, -1.235]);
    }
}
