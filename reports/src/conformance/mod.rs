//! The conformance page: runs of the matrix as a grid, and the requirements with their tests.

mod html;
mod markdown;
mod measured;
mod requirements;

pub(crate) use html::page;
pub(crate) use markdown::markdown;
pub(crate) use requirements::{Requirement, requirements};

use anyhow::ensure;
use lab::conformance::Conformance;
use lab::probe::Probe;
use std::path::PathBuf;

/// Everything that a page of conformance shows.
#[derive(Default)]
pub(crate) struct Contents {
    /// Runs of the matrix, a tab for each.
    pub(crate) runs: Vec<Conformance>,
    /// Programs judged alone.
    pub(crate) probes: Vec<Probe>,
    /// Rules with the tests that cite them.
    pub(crate) requirements: Vec<Requirement>,
}

impl Contents {
    /// Reads result files of `matrix` and `probe`; `None` if there are none among the files.
    ///
    /// # Errors
    /// A file cannot be read, or is of another kind than the rest.
    pub(crate) fn read(files: &[PathBuf]) -> anyhow::Result<Option<Self>> {
        let mut contents = Self::default();
        for path in files {
            if Conformance::is_one(path)? {
                contents.runs.push(Conformance::read(path)?);
            } else if Probe::is_one(path)? {
                contents.probes.push(Probe::read(path)?);
            }
        }
        let found = contents.runs.len() + contents.probes.len();
        ensure!(
            found == 0 || found == files.len(),
            "results of `karst-interop matrix` and `probe` cannot share a page with other results"
        );
        Ok((found > 0).then_some(contents))
    }
}

/// Title of a run on the page.
fn title(run: &Conformance) -> String {
    run.title.clone().unwrap_or_else(|| run.placement.name().to_owned())
}

/// The pairings of a run, in the order of its cells.
fn pairings(run: &Conformance) -> Vec<String> {
    let mut all = Vec::new();
    for cell in &run.cells {
        let pairing = cell.pairing();
        if !all.contains(&pairing) {
            all.push(pairing);
        }
    }
    all
}
