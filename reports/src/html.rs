//! Results as one self-contained HTML page.

use crate::distributions::charts;
use crate::facts::{SUMMARY_HEADS, facts, summary};
use sim::Outcome;

const STYLE: &str = concat!(
    include_str!("page.css"),
    include_str!("performance/performance.css"),
    include_str!("results.css")
);

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>karst: simulated runs</title>
<link rel="icon" href="data:,">
<style>
"#;

const HEADING: &str = "</style>\n</head>\n<body>\n<h1>Simulated runs</h1>\n";

/// Charts over the seeds of a scenario, a table over all runs, then one per run.
pub(crate) fn page(runs: &[Outcome]) -> String {
    let mut out = [HEAD, STYLE, HEADING, &charts(runs), "<h2>Runs</h2>\n"].concat();
    let heads: String = SUMMARY_HEADS.iter().map(|head| format!("<th>{}</th>", escaped(head))).collect();
    out.push_str(&format!("<div class=\"scroll\"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n"));
    for run in runs {
        let cells: String = summary(run).iter().map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
        out.push_str(&format!("<tr{}>{cells}</tr>\n", class(run.passed())));
    }
    out.push_str("</tbody>\n</table></div>\n");
    runs.iter().for_each(|run| section(&mut out, run));
    out.push_str("</body>\n</html>\n");
    out
}

fn section(out: &mut String, run: &Outcome) {
    let facts = facts(run);
    let (heading, description) = (escaped(&facts.heading), escaped(&facts.description));
    out.push_str(&format!("<section{}>\n<h2>{heading}</h2>\n", class(facts.ok)));
    out.push_str(&format!("<p>{description}</p>\n<table>\n<tbody>\n"));
    for (label, value) in &facts.rows {
        out.push_str(&format!("<tr><th>{}</th><td>{}</td></tr>\n", escaped(label), escaped(value)));
    }
    out.push_str("</tbody>\n</table>\n</section>\n");
}

const fn class(ok: bool) -> &'static str {
    if ok { "" } else { " class=\"failed\"" }
}

pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
