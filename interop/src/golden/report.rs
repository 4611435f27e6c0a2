//! The verdicts as a table and as JSON.

use super::{Case, Found, Verdict};
use serde_json::{Value, json};
use std::fmt;

/// Ignored files in the table; the JSON form names all.
const IGNORED_SHOWN: usize = 20;

/// The verdicts of a golden replay; `Display` is the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report(pub Found);

/// Cases by verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Cases without a difference.
    pub pass: usize,
    /// Cases with a difference.
    pub fail: usize,
    /// Cases in a dialect that the engine lacks.
    pub unsupported: usize,
    /// Damaged files; they count as failures.
    pub broken: usize,
    /// Number of comparisons in passed cases.
    pub compared: usize,
}

impl Report {
    /// Counts the verdicts.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for case in &self.0.cases {
            match &case.verdict {
                Verdict::Pass { compared, .. } => {
                    totals.pass += 1;
                    totals.compared += compared;
                }
                Verdict::Fail { .. } => totals.fail += 1,
                Verdict::Unsupported { .. } => totals.unsupported += 1,
                Verdict::Broken { .. } => totals.broken += 1,
            }
        }
        totals
    }

    /// Whether at least one case was found and none failed.
    pub fn is_success(&self) -> bool {
        !self.0.cases.is_empty() && !self.0.cases.iter().any(|case| case.verdict.is_failure())
    }

    /// The machine-readable form.
    pub fn to_json(&self) -> Value {
        let totals = self.totals();
        json!({
            "format": "karst-golden-report-1",
            "totals": {
                "pass": totals.pass, "fail": totals.fail, "unsupported": totals.unsupported,
                "broken": totals.broken, "compared": totals.compared,
            },
            "cases": self.0.cases.iter().map(case_json).collect::<Vec<_>>(),
            "ignored": self.0.ignored.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
        })
    }
}

fn case_json(case: &Case) -> Value {
    let (word, text) = words(&case.verdict);
    json!({ "path": case.path.to_string_lossy(), "format": case.format, "verdict": word, "detail": text })
}

/// The verdict as one word, and its details.
fn words(verdict: &Verdict) -> (&'static str, String) {
    match verdict {
        Verdict::Pass { compared, unchecked: None } => ("pass", format!("{compared} compared")),
        Verdict::Pass { compared, unchecked: Some(unchecked) } => {
            ("pass", format!("{compared} compared; {unchecked}"))
        }
        Verdict::Fail { why } => ("FAIL", why.clone()),
        Verdict::Unsupported { why } => ("unsupported", why.clone()),
        Verdict::Broken { why } => ("BROKEN", why.clone()),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.cases.iter().map(|case| case.path.display().to_string()).collect();
        let width = names.iter().map(String::len).max().unwrap_or(0);
        for (name, case) in names.iter().zip(&self.0.cases) {
            let (word, text) = words(&case.verdict);
            writeln!(f, "{name:width$}  {word:11}  {text}")?;
        }
        for path in self.0.ignored.iter().take(IGNORED_SHOWN) {
            writeln!(f, "{:width$}  ignored", path.display())?;
        }
        if self.0.ignored.len() > IGNORED_SHOWN {
            writeln!(f, "and {} more files ignored", self.0.ignored.len() - IGNORED_SHOWN)?;
        }
        let Totals { pass, fail, unsupported, broken, compared } = self.totals();
        write!(
            f,
            "{pass} pass, {fail} fail, {unsupported} unsupported, {broken} broken; {compared} comparisons"
        )
    }
}
