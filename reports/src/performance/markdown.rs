//! The page as Markdown.

use super::Bench;
use super::tables::sections;
use crate::markdown::line;

pub(crate) fn page(bench: &Bench) -> String {
    let mut out = String::from("# Performance\n");
    for section in sections(bench) {
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
