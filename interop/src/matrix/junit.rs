//! Results of a matrix as JUnit XML.

use crate::junit::{Case, Suite, xml};
use lab::conformance::{CellResult, Conformance, Ending, Sabotaged, Verdict};

/// One suite for each pairing, and one for the deliberate faults.
pub fn junit(found: &Conformance) -> String {
    let mut pairings: Vec<String> = found.cells.iter().map(CellResult::pairing).collect();
    pairings.sort();
    pairings.dedup();
    let of_pairing = |name: String| {
        let cells = found.cells.iter().filter(|cell| cell.pairing() == name);
        let cases = cells.map(of_cell).collect();
        Suite { name, cases }
    };
    let faults =
        Suite { name: "deliberate faults".into(), cases: found.sabotaged.iter().map(of_fault).collect() };
    xml(&pairings.into_iter().map(of_pairing).chain([faults]).collect::<Vec<_>>())
}

fn of_cell(cell: &CellResult) -> Case {
    let ending = cell.ending().map_or("no session", Ending::name);
    Case {
        class: cell.pairing(),
        name: cell.case.clone(),
        verdict: cell.verdict,
        why: format!("{ending}: {}", cell.why().unwrap_or("its control is not green")),
        seconds: cell.runs.iter().map(|run| run.elapsed_ms).sum::<u64>() as f64 / 1e3,
        output: [&cell.commands[..], &cell.logs].concat().join("\n"),
    }
}

fn of_fault(one: &Sabotaged) -> Case {
    Case {
        class: "judge".into(),
        name: format!("{}: {}", one.case, one.fault),
        verdict: if one.caught { Verdict::Pass } else { Verdict::Fail },
        why: "the judge did not notice the fault".into(),
        seconds: one.run.elapsed_ms as f64 / 1e3,
        output: String::new(),
    }
}
