//! The page as Markdown.

use super::lossy;
use super::tables::{Section, sections, title};
use crate::markdown::line;
use lab::results::Measurements;

/// Renders the page; `notes` is Markdown, too.
pub(crate) fn page(bench: &Measurements, notes: &str) -> String {
    if bench.is_of_lines() {
        let lead = lossy::lead(bench) + " The page `index.html` has the charts.\n";
        return document(lossy::TITLE, &format!("\n{lead}"), lossy::sections(bench), notes);
    }
    document(title(bench), "", sections(bench), notes)
}

fn document(title: &str, lead: &str, sections: Vec<Section>, notes: &str) -> String {
    let mut out = format!("# {title}\n{lead}");
    let mut notes = Some(notes).filter(|notes| !notes.is_empty());
    for section in sections {
        out.push_str(&format!("\n## {}\n\n", section.heading));
        if !section.lead.is_empty() {
            out.push_str(&format!("{}\n\n", section.lead));
        }
        line(&mut out, &section.head);
        line(&mut out, &section.head.iter().map(|_| "---".into()).collect::<Vec<_>>());
        section.rows.iter().for_each(|row| line(&mut out, row));
        // Notes follow the goals.
        out.extend(notes.take().map(|notes| format!("\n{}\n", notes.trim())));
    }
    out
}
