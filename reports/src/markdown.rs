//! A report as Markdown.

use crate::facts::{SUMMARY_HEADS, facts, summary};
use crate::results::Run;

/// A table over all runs, then one per run.
pub(crate) fn page(runs: &[Run]) -> String {
    let mut out = String::from("# Simulated runs\n\n");
    line(&mut out, &SUMMARY_HEADS.map(String::from));
    line(&mut out, &SUMMARY_HEADS.map(|_| "---".into()));
    runs.iter().for_each(|run| line(&mut out, &summary(run)));
    for run in runs {
        let facts = facts(run);
        out.push_str(&format!("\n## {}\n\n{}\n\n| | |\n|---|---|\n", facts.heading, facts.description));
        facts.rows.into_iter().for_each(|(label, value)| line(&mut out, &[label, value]));
    }
    out
}

pub(crate) fn line(out: &mut String, cells: &[String]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect();
    out.push_str(&format!("| {} |\n", cells.join(" | ")));
}
