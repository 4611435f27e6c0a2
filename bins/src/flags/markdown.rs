//! The table of options for readers (CLI-40).

use super::help::spellings;
use super::{Flag, Group, KARST, TABLE};
use std::fmt::Write;

/// Every option of both programs as Markdown tables, one per chapter.
pub fn markdown() -> String {
    let mut text = String::new();
    for group in Group::ALL {
        let _ = writeln!(text, "### {}\n", group.title());
        text.push_str(
            "| option | JSON key | client | server | since | meaning |\n|---|---|---|---|---|---|\n",
        );
        for flag in TABLE.iter().filter(|flag| flag.group == *group && flag.is_supported()) {
            text.push_str(&row(flag));
        }
        text.push('\n');
    }
    let refused: Vec<String> =
        TABLE.iter().filter(|flag| !flag.is_supported()).map(|flag| format!("`--{}`", flag.name)).collect();
    if !refused.is_empty() {
        let _ = writeln!(text, "Known, but refused for now: {}.", refused.join(", "));
    }
    text
}

fn row(flag: &Flag) -> String {
    let names: Vec<String> = spellings(flag).map(|spelling| format!("`{spelling}`")).collect();
    let json = flag.json.map_or("–".into(), |key| format!("`{key}`"));
    let default = |default: Option<&str>| match default {
        None => "–".into(),
        Some("") => "empty".into(),
        Some("false") => "off".into(),
        Some(text) => format!("`{text}`"),
    };
    let since = if flag.since == KARST { "karst".into() } else { flag.since.to_string() };
    let environment = flag.env.map_or(String::new(), |name| format!("; environment `{name}`"));
    format!(
        "| {} | {json} | {} | {} | {since} | {}{environment} |\n",
        names.join(", "),
        default(flag.client),
        default(flag.server),
        flag.help.replace('|', "\\|"),
    )
}
