//! Results of `karst-interop probe`, an input of the conformance page.

use crate::conformance::Verdict;
use crate::results::has_format;
use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Version of the result file. Keys are added, never removed or changed.
pub const FORMAT: &str = "karst-probe/2";

/// All verdicts about one program.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Probe {
    /// [`FORMAT`].
    pub format: String,
    /// Name of the program in tables.
    pub subject: String,
    /// Cipher, multiplexer, compression and FEC of the session, in words.
    pub settings: String,
    /// The checks in their order.
    pub cases: Vec<ProbeCase>,
}

/// One check and its verdict.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ProbeCase {
    /// Requirements that it observes.
    pub ids: Vec<String>,
    /// The required behaviour.
    pub title: String,
    /// The verdict: [`Verdict::Unsupported`] if the program does not take part in an extension, [`Verdict::Error`] if it cannot be
    /// reached or ended, [`Verdict::NotMeasured`] if the settings of the run do not allow the check.
    pub verdict: Verdict,
    /// Why, for verdicts other than pass.
    pub why: String,
    /// Time that the check took.
    pub ms: u64,
    /// The last datagrams of the check, in words.
    pub datagrams: Vec<String>,
}

impl Probe {
    /// Whether a file is a result file of `probe`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn is_one(path: &Path) -> anyhow::Result<bool> {
        has_format(path, &["karst-probe/"])
    }

    /// Reads a result file.
    ///
    /// # Errors
    /// The file cannot be read, or has another format or version.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let name = || path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(name)?;
        let head: serde_json::Value = serde_json::from_str(&text).with_context(name)?;
        let format = head["format"].as_str().unwrap_or_default();
        ensure!(format == FORMAT, "{}: format is `{format}`, not `{FORMAT}`", name());
        serde_json::from_value(head).with_context(name)
    }

    /// Number of cases with that verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.cases.iter().filter(|case| case.verdict == verdict).count()
    }

    /// Whether something passed, and nothing failed.
    pub fn is_success(&self) -> bool {
        self.count(Verdict::Pass) > 0 && !self.cases.iter().any(|case| case.verdict.is_red())
    }

    /// The verdict of the check of a requirement; the worst if there are more.
    pub fn verdict(&self, id: &str) -> Option<Verdict> {
        let of_id = self.cases.iter().filter(|case| case.ids.iter().any(|one| one == id));
        of_id.map(|case| case.verdict).max()
    }
}
