//! The pages of simulated runs, recordings and measurements, and the program that writes them.

mod bench;
mod conformance;
mod distributions;
mod facts;
mod html;
mod markdown;
mod page;
mod performance;
mod program;
mod series;
mod svg;

pub use program::run;

use lab::conformance::Conformance;
use lab::probe::Probe;
use sim::record::Recording;

/// One recording as a self-contained HTML page of charts.
pub fn recording_page(recording: &Recording) -> String {
    page::page(std::slice::from_ref(recording))
}

/// Runs of the matrix and programs judged alone as a self-contained HTML page of conformance.
pub fn conformance_page(runs: Vec<Conformance>, probes: Vec<Probe>) -> String {
    conformance::page(&conformance::Contents { runs, probes, requirements: Vec::new() })
}
