//! Verdicts as text, JSON and JUnit.

use super::Verdict;
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
    /// The verdict.
    pub verdict: Verdict,
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
    pub fn count(&self, name: &str) -> usize {
        self.cases.iter().filter(|case| case.verdict.name() == name).count()
    }

    /// Whether something passed, and nothing failed.
    pub fn is_success(&self) -> bool {
        self.count("pass") > 0 && self.count("fail") + self.count("error") == 0
    }

    /// The verdict of the check of a requirement; the worst if there are more.
    pub fn verdict(&self, id: &str) -> Option<&Verdict> {
        let of_id = self.cases.iter().filter(|case| case.ids.iter().any(|one| one == id));
        of_id
            .map(|case| &case.verdict)
            .max_by_key(|verdict| matches!(verdict, Verdict::Fail(_) | Verdict::Error(_)))
    }

    /// The machine-readable form.
    pub fn to_json(&self) -> Value {
        let case = |case: &Case| {
            json!({
                "ids": case.ids, "title": case.title, "verdict": case.verdict.name(), "why": case.verdict.why(),
                "ms": case.time.as_millis() as u64, "datagrams": case.datagrams,
            })
        };
        let totals: serde_json::Map<String, Value> = ["pass", "fail", "unsupported", "error", "not measured"]
            .into_iter()
            .map(|name| (name.to_owned(), self.count(name).into()))
            .collect();
        json!({
            "format": "karst-probe/1", "subject": self.subject, "totals": totals,
            "cases": self.cases.iter().map(case).collect::<Vec<_>>(),
        })
    }

    /// The form that continuous integration reads.
    pub fn to_junit(&self) -> String {
        let seconds: f64 = self.cases.iter().map(|case| case.time.as_secs_f64()).sum();
        let skipped = self.count("unsupported") + self.count("not measured");
        let mut out = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{skipped}\" time=\"{seconds:.3}\">\n",
            escaped(&self.subject),
            self.cases.len(),
            self.count("fail"),
            self.count("error")
        );
        for case in &self.cases {
            let (ids, title) = (case.ids.join(", "), escaped(&case.title));
            out.push_str(&format!(
                "  <testcase classname=\"{ids}\" name=\"{title}\" time=\"{:.3}\">\n",
                case.time.as_secs_f64()
            ));
            let why = escaped(case.verdict.why());
            let shown = escaped(&case.datagrams.concat());
            out.push_str(&match case.verdict {
                Verdict::Pass => String::new(),
                Verdict::Fail(_) => format!("    <failure message=\"{why}\">{shown}</failure>\n"),
                Verdict::Error(_) => format!("    <error message=\"{why}\">{shown}</error>\n"),
                Verdict::Unsupported(_) => format!("    <skipped message=\"unsupported: {why}\"/>\n"),
                Verdict::NotMeasured(_) => format!("    <skipped message=\"not measured: {why}\"/>\n"),
            });
            out.push_str("  </testcase>\n");
        }
        out + "</testsuite>\n"
    }
}

fn escaped(text: &str) -> String {
    let printable = |c: &char| !c.is_control() || *c == '\n';
    let text: String = text.chars().filter(printable).collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.subject)?;
        for case in &self.cases {
            let ids = case.ids.join(" ");
            writeln!(f, "  {:12}  {ids:18}  {}", case.verdict.name(), case.title)?;
            if !case.verdict.why().is_empty() {
                writeln!(f, "                {}", case.verdict.why())?;
            }
            if matches!(case.verdict, Verdict::Fail(_)) {
                for line in case.datagrams.iter().flat_map(|datagram| datagram.lines()) {
                    writeln!(f, "                | {line}")?;
                }
            }
        }
        let of = |name| self.count(name);
        write!(
            f,
            "{} pass, {} fail, {} unsupported, {} error, {} not measured",
            of("pass"),
            of("fail"),
            of("unsupported"),
            of("error"),
            of("not measured")
        )
    }
}
