//! Verdicts as JUnit XML, for continuous integration.

use lab::conformance::Verdict;

/// Test cases of one suite.
pub(crate) struct Suite {
    pub(crate) name: String,
    pub(crate) cases: Vec<Case>,
}

/// A test case.
pub(crate) struct Case {
    pub(crate) class: String,
    pub(crate) name: String,
    pub(crate) verdict: Verdict,
    /// Why, for verdicts other than pass.
    pub(crate) why: String,
    pub(crate) seconds: f64,
    /// Command lines, logs or datagrams.
    pub(crate) output: String,
}

/// The document.
pub(crate) fn xml(suites: &[Suite]) -> String {
    let suites: String = suites.iter().map(suite).collect();
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n{suites}</testsuites>\n")
}

fn suite(suite: &Suite) -> String {
    let count = |of: &[Verdict]| suite.cases.iter().filter(|case| of.contains(&case.verdict)).count();
    format!(
        "<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">\n{}</testsuite>\n",
        escaped(&suite.name),
        suite.cases.len(),
        count(&[Verdict::Fail]),
        count(&[Verdict::Error]),
        count(&[Verdict::Unsupported, Verdict::NotMeasured]),
        suite.cases.iter().map(case).collect::<String>()
    )
}

fn case(case: &Case) -> String {
    let why = escaped(&case.why);
    let inner = match case.verdict {
        Verdict::Pass => String::new(),
        Verdict::Fail => format!("<failure message=\"{why}\"/>"),
        Verdict::Error => format!("<error message=\"{why}\"/>"),
        Verdict::Unsupported | Verdict::NotMeasured => {
            format!("<skipped message=\"{}: {why}\"/>", case.verdict.name())
        }
    };
    format!(
        "<testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\">{inner}<system-out>{}</system-out></testcase>\n",
        escaped(&case.class),
        escaped(&case.name),
        case.seconds,
        escaped(&case.output)
    )
}

/// Escapes markup, and removes characters that XML does not allow.
fn escaped(text: &str) -> String {
    let allowed = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t'));
    let text: String = allowed.collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
