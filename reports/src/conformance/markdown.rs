//! The page as Markdown: totals, everything that is not green, deliberate faults, requirements without tests.

use super::measured::measured;
use super::{Contents, pairings, title};
use crate::markdown::line;
use lab::conformance::{Conformance, Verdict};
use lab::probe::Probe;

/// Renders the runs, the probes and the rules.
pub(crate) fn markdown(contents: &Contents) -> String {
    let Contents { runs, probes, requirements } = contents;
    let mut out = String::from("# Conformance\n");
    for run in runs {
        section(&mut out, run);
    }
    if !probes.is_empty() {
        probed(&mut out, probes);
    }
    if !requirements.is_empty() {
        let untested: Vec<&str> =
            requirements.iter().filter(|one| one.tests.is_empty()).map(|one| one.id.as_str()).collect();
        out.push_str(&format!("\n## Requirements\n\n{} rules; ", requirements.len()));
        match untested.as_slice() {
            [] => out.push_str("a test cites each.\n"),
            untested => out.push_str(&format!("not measured: {}.\n", untested.join(", "))),
        }
    }
    out
}

fn probed(out: &mut String, probes: &[Probe]) {
    out.push_str("\n## Programs alone\n\n");
    let mut head = vec!["program".to_owned(), "session".to_owned()];
    head.extend(Verdict::ALL.iter().map(|verdict| verdict.name().to_owned()));
    line(out, &head);
    line(out, &vec!["---".to_owned(); head.len()]);
    for probe in probes {
        let counts = Verdict::ALL.iter().map(|verdict| probe.count(*verdict).to_string());
        let facts = [probe.subject.clone(), probe.settings.clone()];
        line(out, &facts.into_iter().chain(counts).collect::<Vec<_>>());
    }
    out.push_str("\n| program | rules | required | verdict | reason |\n|---|---|---|---|---|\n");
    for probe in probes {
        for case in probe.cases.iter().filter(|case| case.verdict != Verdict::Pass) {
            let (rules, verdict) = (case.ids.join(", "), case.verdict.name().to_owned());
            line(out, &[probe.subject.clone(), rules, case.title.clone(), verdict, case.why.clone()]);
        }
    }
}

fn section(out: &mut String, run: &Conformance) {
    let caught = run.sabotaged.iter().filter(|one| one.caught).count();
    out.push_str(&format!(
        "\n## {}\n\n{} cases; reference {}; {caught} of {} deliberate faults found.\n\n",
        title(run),
        run.cases.len(),
        run.reference,
        run.sabotaged.len()
    ));
    let mut head = vec!["client → server".to_owned()];
    head.extend(Verdict::ALL.iter().map(|verdict| verdict.name().to_owned()));
    line(out, &head);
    line(out, &vec!["---".to_owned(); head.len()]);
    for pairing in pairings(run) {
        let count = |verdict: &Verdict| {
            run.cells.iter().filter(|cell| cell.verdict == *verdict && cell.pairing() == pairing).count()
        };
        let counts = Verdict::ALL.iter().map(|verdict| count(verdict).to_string());
        line(out, &std::iter::once(pairing.replace("->", "→")).chain(counts).collect::<Vec<_>>());
    }
    let others = run.cells.iter().filter(|cell| cell.verdict != Verdict::Pass);
    let rows: Vec<[String; 5]> = others
        .map(|cell| {
            let ending = cell.ending().map_or("", |ending| ending.name());
            let why = cell.why().unwrap_or("its control is not green");
            [
                cell.case.clone(),
                cell.pairing(),
                cell.verdict.name().to_owned(),
                ending.to_owned(),
                why.to_owned(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        out.push_str("\n| case | client → server | verdict | ending | reason |\n|---|---|---|---|---|\n");
        rows.iter().for_each(|row| line(out, row));
    }
    out.push_str(
        "\n| workload | client → server | n | median, ms | lowest to highest, ms |\n|---|---|---|---|---|\n",
    );
    for row in measured(run) {
        let spread = format!("{} to {}", row.min_ms, row.max_ms);
        line(out, &[row.work, row.pairing, row.n.to_string(), row.median_ms.to_string(), spread]);
    }
    out.push_str("\n| program | role | version | SHA-256 |\n|---|---|---|---|\n");
    for program in &run.programs {
        let hash = program.sha256.chars().take(16).collect();
        line(out, &[program.name.clone(), program.role.name().to_owned(), program.version.clone(), hash]);
    }
}
