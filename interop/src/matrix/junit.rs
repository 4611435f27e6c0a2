//! Results as JUnit XML, for continuous integration.

use lab::conformance::{CellResult, Conformance, Verdict};

/// One suite for each pairing, and one for the deliberate faults.
pub fn junit(found: &Conformance) -> String {
    let mut pairings: Vec<String> = found.cells.iter().map(CellResult::pairing).collect();
    pairings.sort();
    pairings.dedup();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for pairing in pairings {
        let cells: Vec<&CellResult> = found.cells.iter().filter(|cell| cell.pairing() == pairing).collect();
        let count = |is: fn(Verdict) -> bool| cells.iter().filter(|cell| is(cell.verdict)).count();
        out.push_str(&format!(
            "<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">\n",
            escaped(&pairing),
            cells.len(),
            count(|verdict| verdict == Verdict::Fail),
            count(|verdict| verdict == Verdict::Error),
            count(|verdict| matches!(verdict, Verdict::Unsupported | Verdict::NotMeasured)),
        ));
        cells.iter().for_each(|cell| out.push_str(&test_case(cell)));
        out.push_str("</testsuite>\n");
    }
    let missed = found.sabotaged.iter().filter(|one| !one.caught).count();
    out.push_str(&format!(
        "<testsuite name=\"deliberate faults\" tests=\"{}\" failures=\"{missed}\" errors=\"0\" skipped=\"0\">\n",
        found.sabotaged.len()
    ));
    for one in &found.sabotaged {
        let name = escaped(&format!("{}: {}", one.case, one.fault));
        let inner = if one.caught { "" } else { "<failure message=\"the judge did not notice the fault\"/>" };
        out.push_str(&format!("<testcase classname=\"judge\" name=\"{name}\">{inner}</testcase>\n"));
    }
    out.push_str("</testsuite>\n</testsuites>\n");
    out
}

fn test_case(cell: &CellResult) -> String {
    let seconds = cell.runs.iter().map(|run| run.elapsed_ms).sum::<u64>() as f64 / 1e3;
    let why = escaped(cell.why().unwrap_or("its control is not green"));
    let ending = cell.ending().map_or("no session", |ending| ending.name());
    let inner = match cell.verdict {
        Verdict::Pass => String::new(),
        Verdict::Fail => format!("<failure message=\"{why}\" type=\"{ending}\"/>"),
        Verdict::Error => format!("<error message=\"{why}\" type=\"{ending}\"/>"),
        Verdict::Unsupported | Verdict::NotMeasured => {
            format!("<skipped message=\"{}: {why}\"/>", cell.verdict.name())
        }
    };
    let output = escaped(&[cell.commands.join("\n"), cell.logs.join("\n")].join("\n"));
    format!(
        "<testcase classname=\"{}\" name=\"{}\" time=\"{seconds:.3}\">{inner}<system-out>{output}</system-out></testcase>\n",
        escaped(&cell.pairing()),
        escaped(&cell.case),
    )
}

/// Escapes markup, and removes characters that XML does not allow.
fn escaped(text: &str) -> String {
    let allowed = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t'));
    let text: String = allowed.collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
