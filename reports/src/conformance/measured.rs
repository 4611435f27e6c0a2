//! Measurements of the passed runs of a matrix: their number, median and spread.

use super::pairings;
use lab::conformance::{Conformance, Verdict};
use serde::Serialize;

/// Durations of one workload between one client and one server, over all cases and runs on a direct path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Measured {
    pub(crate) work: String,
    pub(crate) pairing: String,
    /// Passed runs.
    pub(crate) n: usize,
    pub(crate) median_ms: u64,
    pub(crate) min_ms: u64,
    pub(crate) max_ms: u64,
}

/// A row for each workload and pairing with a passed run.
pub(crate) fn measured(run: &Conformance) -> Vec<Measured> {
    let parameter = |case: &str, key: &str| {
        let facts = run.cases.iter().find(|facts| facts.name == case);
        facts.and_then(|facts| facts.parameters.get(key)).map_or("", String::as_str)
    };
    let mut works: Vec<&str> = run.cases.iter().map(|case| parameter(&case.name, "work")).collect();
    works.sort_unstable();
    works.dedup();
    let mut rows = Vec::new();
    for work in works {
        for pairing in pairings(run) {
            let cells = run.cells.iter().filter(|cell| cell.pairing() == pairing);
            let cells = cells.filter(|cell| {
                parameter(&cell.case, "work") == work && parameter(&cell.case, "path") == "direct"
            });
            let runs = cells.flat_map(|cell| &cell.runs).filter(|one| one.verdict == Verdict::Pass);
            let mut times: Vec<u64> = runs.map(|one| one.elapsed_ms).collect();
            times.sort_unstable();
            let median_ms = sim::stats::median_rounded(&times);
            if let (Some(min_ms), Some(median_ms), Some(max_ms)) = (times.first(), median_ms, times.last()) {
                let n = times.len();
                let work = work.to_owned();
                rows.push(Measured { work, pairing, n, median_ms, min_ms: *min_ms, max_ms: *max_ms });
            }
        }
    }
    rows
}
