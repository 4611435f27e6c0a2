//! The ratchet: a list of cells that passed, and must pass in every later run.

use anyhow::Context;
use lab::conformance::{Conformance, Verdict};
use std::collections::BTreeSet;
use std::path::Path;

/// Cells that passed once: a line for each, `PLACEMENT<TAB>CLIENT -> SERVER<TAB>CASE`, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ratchet(BTreeSet<String>);

impl Ratchet {
    /// Reads a list; a file that does not exist is an empty one.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Ok(Self(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()))
    }

    /// Cells of `found` that are on the list and did not pass, with their verdicts. Cells that were not run do not count;
    /// those whose control failed do.
    pub fn broken(&self, found: &Conformance) -> Vec<String> {
        let cells = lines(found).filter(|(line, verdict)| *verdict != Verdict::Pass && self.0.contains(line));
        cells.map(|(line, verdict)| format!("{}: {}", line.replace('\t', ": "), verdict.name())).collect()
    }

    /// Adds the cells that passed.
    pub fn add(&mut self, found: &Conformance) {
        self.0.extend(lines(found).filter(|(_, verdict)| *verdict == Verdict::Pass).map(|(line, _)| line));
    }

    /// Writes the list.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text: String = self.0.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(path, text).with_context(|| path.display().to_string())
    }
}

fn lines(found: &Conformance) -> impl Iterator<Item = (String, Verdict)> {
    let placement = found.placement.name();
    found
        .cells
        .iter()
        .map(move |cell| (format!("{placement}\t{}\t{}", cell.pairing(), cell.case), cell.verdict))
}
