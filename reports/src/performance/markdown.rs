//! The page as Markdown.

use super::Bench;
use super::lossy;
use super::tables::{Section, sections};
use crate::markdown::line;

pub(crate) fn page(bench: &Bench) -> String {
    if bench.is_of_lines() {
        let lead = lossy::lead(bench) + " The page `index.html` has the charts.\n";
        return document(lossy::TITLE, &format!("\n{lead}"), lossy::sections(bench));
    }
    document("Performance", "", sections(bench))
}

fn document(title: &str, lead: &str, sections: Vec<Section>) -> String {
    let mut out = format!("# {title}\n{lead}");
    for section in sections {
        out.push_str(&format!("\n## {}\n\n", section.heading));
        if !section.lead.is_empty() {
            out.push_str(&format!("{}\n\n", section.lead));
        }
        line(&mut out, &section.head);
        line(&mut out, &section.head.iter().map(|_| "---".into()).collect::<Vec<_>>());
        section.rows.iter().for_each(|row| line(&mut out, row));
    }
    out
}
