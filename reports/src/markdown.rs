//! A report as Markdown.

use crate::facts::{Facts, SUMMARY_HEADS, facts, recorded, summary};
use sim::Outcome;
use sim::record::{Header, Recording};

/// A table over all runs, then one per run.
pub(crate) fn page(runs: &[Outcome]) -> String {
    let mut out = String::from("# Simulated runs\n\n");
    line(&mut out, &SUMMARY_HEADS.map(String::from));
    line(&mut out, &SUMMARY_HEADS.map(|_| "---".into()));
    runs.iter().for_each(|run| line(&mut out, &summary(run)));
    runs.iter().for_each(|run| section(&mut out, facts(run)));
    out
}

/// A section for each recording.
pub(crate) fn recordings(recordings: &[Recording]) -> String {
    let mut out = String::from("# Recorded runs\n");
    for recording in recordings {
        let Header { scenario, seed, description, .. } = &recording.header;
        let (heading, description) = (format!("{scenario}, seed {seed}, cut off"), description.clone());
        let cut_off = || Facts { heading, description, ok: false, rows: Vec::new() };
        let mut facts = recording.outcome().map_or_else(cut_off, facts);
        facts.rows.extend(recorded(recording));
        section(&mut out, facts);
    }
    out
}

fn section(out: &mut String, facts: Facts) {
    out.push_str(&format!("\n## {}\n\n{}\n\n| | |\n|---|---|\n", facts.heading, facts.description));
    facts.rows.into_iter().for_each(|(label, value)| line(out, &[label, value]));
}

pub(crate) fn line(out: &mut String, cells: &[String]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect();
    out.push_str(&format!("| {} |\n", cells.join(" | ")));
}
