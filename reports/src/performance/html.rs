//! The page as self-contained HTML.

use super::charts::charts;
use super::lossy;
use super::tables::{Section, sections, title};
use crate::html::escaped;
use lab::results::Measurements;

const STYLE: &str = concat!(include_str!("../page.css"), include_str!("performance.css"));

/// Renders the page; `notes` is Markdown.
pub(crate) fn page(bench: &Measurements, notes: &str) -> String {
    if bench.is_of_lines() {
        let lead = lossy::lead(bench);
        return document(lossy::TITLE, &lead, lossy::sections(bench), notes, &lossy::charts(bench));
    }
    document(title(bench), &lead(bench), sections(bench), notes, &charts(bench))
}

/// Order of the document: goals, notes, charts, tables.
fn document(title: &str, lead: &str, sections: Vec<Section>, notes: &str, charts: &str) -> String {
    let mut notes_html = String::new();
    pulldown_cmark::html::push_html(&mut notes_html, pulldown_cmark::Parser::new(notes));
    let mut sections = sections.into_iter();
    let goals: String = sections.by_ref().take(1).map(|goals| section(&goals)).collect();
    let tables: String = sections.map(|one| section(&one)).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>karst: {}</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n\
         <p class=\"lead\">{}</p>\n</header>\n{goals}{notes_html}<h2>Charts</h2>\n<main class=\"charts\">\n{charts}</main>\n{tables}</body>\n</html>\n",
        title.to_lowercase(),
        escaped(lead),
    )
}

fn lead(bench: &Measurements) -> String {
    let names: Vec<&str> = bench.peers.iter().map(|peer| peer.name.as_str()).collect();
    let machine = &bench.machine;
    format!(
        "{} on {} with {} cores. Medians of {} alternating runs of {} s; thin lines span the lowest to the highest run.",
        names.join(" and "),
        machine.cpu,
        machine.cores,
        bench.runs,
        bench.seconds
    )
}

fn section(section: &Section) -> String {
    let cells = |tag: &str, cells: &[String]| -> String {
        let attribute = if tag == "th" { " scope=\"col\"" } else { "" };
        cells.iter().map(|cell| format!("<{tag}{attribute}>{}</{tag}>", escaped(cell))).collect()
    };
    let mut out = format!("<h2>{}</h2>\n", escaped(section.heading));
    if !section.lead.is_empty() {
        out.push_str(&format!("<p class=\"lead\">{}</p>\n", escaped(&section.lead)));
    }
    out.push_str("<div class=\"scroll\"><table>\n");
    if section.head.iter().any(|head| !head.is_empty()) {
        out.push_str(&format!("<thead><tr>{}</tr></thead>\n", cells("th", &section.head)));
    }
    out.push_str("<tbody>\n");
    for row in &section.rows {
        let class = match row.last().map(String::as_str) {
            Some("met") => " class=\"met\"",
            Some(last) if last.starts_with("NOT MET") => " class=\"missed\"",
            _ => "",
        };
        out.push_str(&format!("<tr{class}>{}</tr>\n", cells("td", row)));
    }
    out + "</tbody>\n</table></div>\n"
}
