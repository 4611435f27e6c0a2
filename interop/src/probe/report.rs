//! Verdicts as text and JUnit.

use crate::junit::{self, Suite, xml};
use lab::conformance::Verdict;
use lab::probe::{Probe, ProbeCase};
use std::fmt;

/// The form that continuous integration reads.
pub fn junit(probe: &Probe) -> String {
    let of_case = |case: &ProbeCase| junit::Case {
        class: case.ids.join(", "),
        name: case.title.clone(),
        verdict: case.verdict,
        why: case.why.clone(),
        seconds: case.ms as f64 / 1_000.0,
        output: case.datagrams.concat(),
    };
    xml(&[Suite { name: probe.subject.clone(), cases: probe.cases.iter().map(of_case).collect() }])
}

/// A table with the datagrams of failed checks.
pub struct Table<'p>(pub &'p Probe);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.0.subject)?;
        for case in &self.0.cases {
            let ids = case.ids.join(" ");
            writeln!(f, "  {:12}  {ids:18}  {}", case.verdict.name(), case.title)?;
            if !case.why.is_empty() {
                writeln!(f, "                {}", case.why)?;
            }
            if case.verdict == Verdict::Fail {
                for line in case.datagrams.iter().flat_map(|datagram| datagram.lines()) {
                    writeln!(f, "                | {line}")?;
                }
            }
        }
        let totals = Verdict::ALL.map(|verdict| format!("{} {}", self.0.count(verdict), verdict.name()));
        f.write_str(&totals.join(", "))
    }
}
