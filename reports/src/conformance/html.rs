//! The page as self-contained HTML. A script builds the grid from the embedded results.

use super::measured::measured;
use super::{Contents, title};
use crate::html::escaped;
use lab::conformance::{Conformance, Verdict};
use serde_json::{Value, json};

const STYLE: &str = concat!(include_str!("../page.css"), include_str!("conformance.css"));
const SCRIPT: &str = include_str!("conformance.js");

/// Renders the runs, a tab for each, the probes and the rules.
pub(crate) fn page(contents: &Contents) -> String {
    let Contents { runs, probes, requirements } = contents;
    let data: Vec<Value> = runs.iter().map(data).collect();
    let verdicts: Value = Verdict::ALL.iter().map(|verdict| json!([verdict, verdict.name()])).collect();
    // A script element must not contain its end tag.
    let data = json!({ "verdicts": verdicts, "runs": data, "probes": probes, "requirements": requirements });
    let data = data.to_string().replace('<', "\\u003c");
    let tabs: String = runs.iter().enumerate().map(|(at, run)| tab(at, run)).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>karst: conformance</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>Conformance</h1>\n\
         <p class=\"lead\">{}</p>\n</header>\n\
         <div class=\"bar of-run\"><fieldset><legend>Run</legend>\n{tabs}</fieldset></div>\n{BODY}\
         <script type=\"application/json\" id=\"data\">{data}</script>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        escaped(&lead(contents)),
    )
}

const BODY: &str = r#"<section class="of-run"><p class="lead" id="about"></p>
<div class="tiles" id="totals"></div>
<h2>Matrix</h2>
<div class="filters" id="filters"></div>
<p class="note" id="seen" role="status"></p>
<div class="scroll"><table class="grid" id="grid"></table></div>
<p class="legend" id="legend"></p>
</section>
<section id="proofs" class="of-run"><h2>Deliberate faults</h2>
<p class="lead">The same judge, with a fault in one end of the reference pair. It must find each.</p>
<div class="scroll"><table></table></div></section>
<section id="figures" class="of-run"><h2>Durations</h2>
<p class="lead">Passed runs on a direct path, without the time of starting the programs.</p>
<div class="scroll"><table></table></div></section>
<section id="programs" class="of-run"><h2>Programs</h2><div class="scroll"><table></table></div></section>
<section id="probes"><h2>Programs alone</h2>
<p class="lead">The kit plays the other end of a session. A verdict opens the datagrams that show it.</p>
<div class="filters"><input type="search" id="check" placeholder="Search rules and checks" aria-label="Search rules and checks">
<label><input type="checkbox" id="faulty"> faults only</label></div>
<p class="note" id="checks" role="status"></p>
<div class="scroll"><table class="grid"></table></div></section>
<section id="requirements"><h2>Requirements</h2>
<p class="lead">The rules of the protocol, and the tests that cite them.</p>
<div class="filters"><input type="search" id="rule" placeholder="Search rules and tests" aria-label="Search rules and tests">
<label><input type="checkbox" id="untested"> not measured only</label></div>
<p class="note" id="rules" role="status"></p>
<div class="scroll"><table></table></div></section>
<dialog id="cell"><form method="dialog"><button aria-label="Close">Close</button></form><div></div></dialog>
"#;

fn lead(contents: &Contents) -> String {
    let Contents { runs, probes, requirements } = contents;
    let cells: usize = runs.iter().map(|run| run.cells.len()).sum();
    let tested = requirements.iter().filter(|one| !one.tests.is_empty()).count();
    let rules = match requirements.len() {
        0 => String::new(),
        all => format!(" {tested} of {all} rules are cited by tests."),
    };
    let matrix = match runs.len() {
        0 => String::new(),
        all => format!(
            "Clients of kcptun's protocol against servers: {cells} cells in {all} run{}. A cell counts only if the reference \
             pair passed the same case in the same run. ",
            plural(all)
        ),
    };
    let alone = match probes.len() {
        0 => String::new(),
        all => format!("{all} program{} judged alone.", plural(all)),
    };
    format!("{matrix}{alone}{rules}")
}

const fn plural(number: usize) -> &'static str {
    if number == 1 { "" } else { "s" }
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
    data
}
