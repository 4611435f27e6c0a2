//! Verdicts as text, JSON and JUnit.

use crate::junit::{self, Suite, xml};
use lab::conformance::Verdict;
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

/// One check and its verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Requirements that it observes.
    pub ids: Vec<String>,
    /// The required behaviour.
    pub title: String,
    /// The verdict: [`Verdict::Unsupported`] if the program does not take part in an extension, [`Verdict::Error`] if it cannot be
    /// reached or ended, [`Verdict::NotMeasured`] if the settings of the run do not allow the check.
    pub verdict: Verdict,
    /// Why, for verdicts other than pass.
    pub why: String,
    /// Time that the check took.
    pub time: Duration,
    /// The last datagrams of the check, in words.
    pub datagrams: Vec<String>,
}

/// All verdicts about one program; `Display` is a table with the datagrams of failed checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The program.
    pub subject: String,
    /// The checks in their order.
    pub cases: Vec<Case>,
}

impl Report {
    /// Number of cases with that verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.cases.iter().filter(|case| case.verdict == verdict).count()
    }

    /// Whether something passed, and nothing failed.
    pub fn is_success(&self) -> bool {
        self.count(Verdict::Pass) > 0 && !self.cases.iter().any(|case| case.verdict.is_red())
    }

    /// The verdict of the check of a requirement; the worst if there are more.
    pub fn verdict(&self, id: &str) -> Option<Verdict> {
        let of_id = self.cases.iter().filter(|case| case.ids.iter().any(|one| one == id));
        of_id.map(|case| case.verdict).max()
    }

    /// The machine-readable form.
    pub fn to_json(&self) -> Value {
        let case = |case: &Case| {
            json!({
                "ids": case.ids, "title": case.title, "verdict": case.verdict.name(), "why": case.why,
                "ms": case.time.as_millis() as u64, "datagrams": case.datagrams,
            })
        };
        let total = |verdict: Verdict| (verdict.name().to_owned(), self.count(verdict).into());
        let totals: serde_json::Map<String, Value> = Verdict::ALL.map(total).into_iter().collect();
        json!({
            "format": "karst-probe/1", "subject": self.subject, "totals": totals,
            "cases": self.cases.iter().map(case).collect::<Vec<_>>(),
        })
    }

    /// The form that continuous integration reads.
    pub fn to_junit(&self) -> String {
        let of_case = |case: &Case| junit::Case {
            class: case.ids.join(", "),
            name: case.title.clone(),
            verdict: case.verdict,
            why: case.why.clone(),
            seconds: case.time.as_secs_f64(),
            output: case.datagrams.concat(),
        };
        xml(&[Suite { name: self.subject.clone(), cases: self.cases.iter().map(of_case).collect() }])
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.subject)?;
        for case in &self.cases {
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
        let totals = Verdict::ALL.map(|verdict| format!("{} {}", self.count(verdict), verdict.name()));
        f.write_str(&totals.join(", "))
    }
}
