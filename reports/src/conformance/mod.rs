//! The conformance page: runs of the matrix as a grid, and the requirements with their tests.

mod html;
mod markdown;
mod measured;
mod requirements;

pub(crate) use html::page;
pub(crate) use markdown::markdown;
pub(crate) use requirements::{Requirement, requirements};

use lab::conformance::Conformance;

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
