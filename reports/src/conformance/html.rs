//! The page as self-contained HTML. A script builds the grid from the embedded results.

use super::measured::measured;
use super::{Requirement, title};
use crate::html::escaped;
use lab::conformance::{Conformance, Verdict};
use serde_json::{Value, json};

const STYLE: &str = concat!(include_str!("../page.css"), include_str!("conformance.css"));
const SCRIPT: &str = include_str!("conformance.js");

/// Renders the runs, a tab for each.
pub(crate) fn page(runs: &[Conformance], requirements: &[Requirement]) -> String {
    let data: Vec<Value> = runs.iter().map(data).collect();
    // A script element must not contain its end tag.
    let data = json!({ "runs": data, "requirements": requirements }).to_string().replace('<', "\\u003c");
    let tabs: String = runs.iter().enumerate().map(|(at, run)| tab(at, run)).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>karst: conformance</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>Conformance</h1>\n\
         <p class=\"lead\">{}</p>\n</header>\n\
         <div class=\"bar\"><fieldset><legend>Run</legend>\n{tabs}</fieldset></div>\n{BODY}\
         <script type=\"application/json\" id=\"data\">{data}</script>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        escaped(&lead(runs, requirements)),
    )
}

const BODY: &str = r#"<p class="lead" id="about"></p>
<div class="tiles" id="totals"></div>
<h2>Matrix</h2>
<div class="filters" id="filters"></div>
<p class="note" id="seen" role="status"></p>
<div class="scroll"><table class="grid" id="grid"></table></div>
<p class="legend" id="legend"></p>
<section id="proofs"><h2>Deliberate faults</h2>
<p class="lead">The same judge, with a fault in one end of the reference pair. It must find each.</p>
<div class="scroll"><table></table></div></section>
<section id="figures"><h2>Durations</h2>
<p class="lead">Passed runs on a direct path, without the time of starting the programs.</p>
<div class="scroll"><table></table></div></section>
<section id="programs"><h2>Programs</h2><div class="scroll"><table></table></div></section>
<section id="requirements"><h2>Requirements</h2>
<p class="lead">The rules of the protocol, and the tests that cite them.</p>
<div class="filters"><input type="search" id="rule" placeholder="Search rules and tests" aria-label="Search rules and tests">
<label><input type="checkbox" id="untested"> not measured only</label></div>
<p class="note" id="rules" role="status"></p>
<div class="scroll"><table></table></div></section>
<dialog id="cell"><form method="dialog"><button aria-label="Close">Close</button></form><div></div></dialog>
"#;

fn lead(runs: &[Conformance], requirements: &[Requirement]) -> String {
    let cells: usize = runs.iter().map(|run| run.cells.len()).sum();
    let tested = requirements.iter().filter(|one| !one.tests.is_empty()).count();
    let rules = match requirements.len() {
        0 => String::new(),
        all => format!(" {tested} of {all} rules are cited by tests."),
    };
    format!(
        "Clients of kcptun's protocol against servers: {cells} cells in {} run{}. A cell counts only if the reference pair \
         passed the same case in the same run.{rules}",
        runs.len(),
        if runs.len() == 1 { "" } else { "s" },
    )
}

fn tab(at: usize, run: &Conformance) -> String {
    let checked = if at == 0 { " checked" } else { "" };
    format!(
        "<label><input type=\"radio\" name=\"run\" value=\"{at}\"{checked}><span>{}</span></label>\n",
        escaped(&title(run))
    )
}

/// What the script needs of a run.
fn data(run: &Conformance) -> Value {
    let mut data = json!(run);
    data["title"] = title(run).into();
    data["measured"] = json!(measured(run));
    data["verdicts"] = Verdict::ALL.iter().map(|verdict| json!([verdict, verdict.name()])).collect();
    data
}
