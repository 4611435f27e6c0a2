//! Results of `karst-interop matrix`, the input of the conformance page.
//!
//! A cell is one case between one client and one server. Totals and colours are not stored: readers compute them from the
//! cells.

use crate::results::{Machine, Skipped, has_format};
use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Version of the result file. Keys are added, never removed or changed.
pub const FORMAT: &str = "karst-conformance/1";

/// The contents of a result file.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Conformance {
    /// [`FORMAT`].
    pub format: String,
    /// The machine that ran the matrix.
    pub machine: Machine,
    /// Commit of the working directory, with `+` when files differ from it.
    pub commit: Option<String>,
    /// The command line that repeats the run.
    pub command: String,
    /// Where the programs ran.
    pub placement: Placement,
    /// Title of the run on the page, such as the name of a deliberately broken program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Seed of the covering cases and of the paths.
    pub seed: u64,
    /// Runs of each cell.
    pub runs: u64,
    /// Name of the pair whose own cells are the controls.
    pub reference: String,
    /// All programs.
    pub programs: Vec<ProgramFacts>,
    /// All cases, in the order of the matrix.
    pub cases: Vec<CaseFacts>,
    /// All cells.
    pub cells: Vec<CellResult>,
    /// Cells of the reference pair with a deliberate fault. Each must have failed, or the judge is blind.
    pub sabotaged: Vec<Sabotaged>,
    /// Cases and programs that could not be run.
    pub skipped: Vec<Skipped>,
}

/// Where programs ran.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// Processes on the loopback device.
    Native,
    /// Client, server, relay and target in containers of their own.
    Containers,
}

impl Placement {
    /// Name on pages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Containers => "containers",
        }
    }
}

/// Role of a program.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Accepts TCP and dials the server.
    Client,
    /// Accepts tunnels and dials the target.
    Server,
}

impl Role {
    /// Name on pages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// A program of the matrix.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ProgramFacts {
    /// Name in tables.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Path relative to the working directory, or the name of an image.
    pub path: String,
    /// Flags in addition to those of each case.
    pub flags: Vec<String>,
    /// First line of `--version`.
    pub version: String,
    /// SHA-256 of the file, lower-case hexadecimal; of an image its digest.
    pub sha256: String,
}

/// A case of the matrix.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct CaseFacts {
    /// Unique name.
    pub name: String,
    /// Group: corner, cover, path.
    pub group: String,
    /// Parameters by name, as shown in filters.
    pub parameters: BTreeMap<String, String>,
    /// Description of the workload.
    pub about: String,
}

/// Verdict of a cell.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All streams behaved as the workload requires.
    Pass,
    /// The cell does not count: its control is not green, or the case could not be run here.
    NotMeasured,
    /// A program refused the flags of the case, though it starts without them.
    Unsupported,
    /// A program ended, did not start, or did not listen.
    Error,
    /// The programs ran, and a stream did not behave as required within the time limit.
    Fail,
}

impl Verdict {
    /// All verdicts.
    pub const ALL: [Self; 5] = [Self::Pass, Self::Fail, Self::Error, Self::Unsupported, Self::NotMeasured];

    /// Name on pages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::NotMeasured => "not measured",
            Self::Unsupported => "unsupported",
            Self::Error => "error",
            Self::Fail => "fail",
        }
    }

    /// Whether it accuses a program.
    pub const fn is_red(self) -> bool {
        matches!(self, Self::Error | Self::Fail)
    }
}

/// How the streams of a session ended, worst last.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Each end read the end of each stream after all its bytes.
    Clean,
    /// A stream was cut or reset.
    Reset,
    /// A stream stayed open at one end after the other end had closed it.
    Leak,
    /// A stream did not finish within the time limit.
    Timeout,
}

impl Ending {
    /// Name on pages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Reset => "reset",
            Self::Leak => "leak",
            Self::Timeout => "timeout",
        }
    }
}

/// One run of a cell.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct CellRun {
    /// Verdict of this run alone.
    pub verdict: Verdict,
    /// How its streams ended; None when no program ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// The first thing that went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Time of the workload, without that of starting the programs.
    pub elapsed_ms: u64,
    /// Payload that was checked, in both directions.
    pub bytes: u64,
    /// Datagrams that reached the relay, and those that it did not forward.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<[u64; 2]>,
}

/// A cell with all its runs.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct CellResult {
    /// Name of the case.
    pub case: String,
    /// Name of the client program.
    pub client: String,
    /// Name of the server program.
    pub server: String,
    /// Verdict of the cell: the worst of its runs, or not measured without a green control.
    pub verdict: Verdict,
    /// The worst verdict of its runs.
    pub observed: Verdict,
    /// The runs, in order.
    pub runs: Vec<CellRun>,
    /// Command lines of server and client, without folders.
    pub commands: Vec<String>,
    /// Last lines of output of server and client in the last run.
    pub logs: Vec<String>,
    /// The command that repeats the cell with its control.
    pub replay: String,
}

/// A cell of the reference pair with a deliberate fault.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Sabotaged {
    /// Name of the case.
    pub case: String,
    /// The fault.
    pub fault: String,
    /// The outcome.
    pub run: CellRun,
    /// Whether the judge noticed the fault; otherwise it is blind, and the run proves nothing.
    pub caught: bool,
}

impl CellResult {
    /// `CLIENT -> SERVER`.
    pub fn pairing(&self) -> String {
        format!("{} -> {}", self.client, self.server)
    }

    /// The worst ending of its runs.
    pub fn ending(&self) -> Option<Ending> {
        self.runs.iter().filter_map(|run| run.ending).max()
    }

    /// The first thing that went wrong.
    pub fn why(&self) -> Option<&str> {
        self.runs.iter().find_map(|run| run.why.as_deref())
    }
}

impl Conformance {
    /// Whether a file is a result file of `matrix`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn is_one(path: &Path) -> anyhow::Result<bool> {
        has_format(path, &["karst-conformance/"])
    }

    /// Reads a result file.
    ///
    /// # Errors
    /// The file cannot be read, or has another format or version.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let name = || path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(name)?;
        let found: Self = serde_json::from_str(&text).with_context(name)?;
        ensure!(found.format == FORMAT, "{}: format is `{}`, not `{FORMAT}`", name(), found.format);
        Ok(found)
    }

    /// The contents of a result file: a line for each cell, so that two files can be compared.
    ///
    /// # Errors
    /// None that is expected.
    pub fn to_text(&self) -> serde_json::Result<String> {
        let lines = |value: &Value| -> String {
            let Value::Array(elements) = value else { return value.to_string() };
            let elements: Vec<String> = elements.iter().map(|one| format!("\n  {one}")).collect();
            format!("[{}]", elements.join(","))
        };
        let value = serde_json::to_value(self)?;
        let keys: Vec<String> = value
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), lines(value)))
            .collect();
        Ok(format!("{{\n{}\n}}\n", keys.join(",\n")))
    }

    /// Cells of that verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.cells.iter().filter(|cell| cell.verdict == verdict).count()
    }

    /// Whether the judge noticed every deliberate fault, and there was one.
    pub fn is_judge_sighted(&self) -> bool {
        !self.sabotaged.is_empty() && self.sabotaged.iter().all(|one| one.caught)
    }

    /// Downgrades each cell whose control is not green; a control that was not run is not green.
    pub fn apply_controls(&mut self) {
        let is_reference = |cell: &CellResult| cell.client == self.reference && cell.server == self.reference;
        let controls = self.cells.iter().filter(|cell| is_reference(cell));
        let green: Vec<String> =
            controls.filter(|cell| cell.observed == Verdict::Pass).map(|cell| cell.case.clone()).collect();
        for cell in &mut self.cells {
            cell.verdict = if green.contains(&cell.case) { cell.observed } else { Verdict::NotMeasured };
        }
    }
}
