//! The pages of simulated runs, recordings and measurements, and the program that writes them.

mod bench;
mod conformance;
mod facts;
mod html;
mod markdown;
mod page;
mod performance;
mod program;
mod series;

pub use program::run;

use sim::record::Recording;

/// One recording as a self-contained HTML page of charts.
pub fn recording_page(recording: &Recording) -> String {
    page::page(std::slice::from_ref(recording))
}

/// Runs of the conformance matrix as a self-contained HTML page.
pub fn conformance_page(runs: &[lab::conformance::Conformance]) -> String {
    conformance::page(runs, &[])
}
