//! The tables of options in the manual (CLI-40).

use super::help::spellings;
use super::table;
use engine::options::{Flag, Group, KARST, KCPTUNB, Side, Value};
use std::fmt::Write;

/// Every option of both programs as Markdown tables, one per chapter.
pub fn markdown() -> String {
    let mut text = String::new();
    for group in Group::ALL {
        let _ = writeln!(text, "### {}\n", group.title());
        text.push_str(
            "| option | JSON key | client | server | since | meaning |\n|---|---|---|---|---|---|\n",
        );
        for flag in table().filter(|flag| flag.group == *group) {
            text.push_str(&row(flag));
        }
        text.push('\n');
    }
    text
}

fn row(flag: &Flag) -> String {
    let names: Vec<String> = spellings(flag).map(|spelling| format!("`{spelling}`")).collect();
    let json = flag.json.map_or("–".into(), |key| format!("`{key}`"));
    let default = |side| match flag.default_for(side) {
        None => "–".into(),
        Some(Value::Bool(false)) => "off".into(),
        Some(Value::Text(text)) if text.is_empty() => "empty".into(),
        Some(value) => format!("`{value}`"),
    };
    let since = match flag.since {
        KARST => "karst".into(),
        KCPTUNB => "kcptunB".into(),
        year => year.to_string(),
    };
    let environment = flag.env.map_or(String::new(), |name| format!("; environment `{name}`"));
    format!(
        "| {} | {json} | {} | {} | {since} | {}{environment} |\n",
        names.join(", "),
        default(Side::Client),
        default(Side::Server),
        flag.help().replace('|', "\\|"),
    )
}
