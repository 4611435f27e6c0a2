//! The help text: urfave/cli's lines, under headings.

use super::{Flag, Group, Kind, Side, TABLE};
use std::fmt::Write;

/// Help of one program: every option that has an effect, with its default; hidden ones only when `all` (CLI-27).
pub fn help(side: Side, all: bool) -> String {
    let rows: Vec<(Group, String, String)> = listed(side)
        .filter(|(flag, _)| all || !flag.hidden)
        .map(|(flag, default)| (flag.group, forms(flag).join(", "), right(flag, default)))
        .collect();
    let width = rows.iter().map(|(_, left, _)| left.len()).max().unwrap_or(0);
    let mut text = format!(
        "NAME:\n   {program} - kcptun compatible {what}(with SMUX)\n\nUSAGE:\n   {program} [options]\n\n\
         VERSION:\n   {version}\n\nOPTIONS:\n",
        program = side.program(),
        what = what(side),
        version = crate::VERSION,
    );
    for group in Group::ALL {
        let _ = writeln!(text, "\n {}:", group.title());
        for (_, left, right) in rows.iter().filter(|(of, ..)| of == group) {
            let _ = writeln!(text, "   {left:width$}  {right}");
        }
    }
    text
}

/// Options of `side` that have an effect, with their defaults, in the table's order.
pub(super) fn listed(side: Side) -> impl Iterator<Item = (&'static Flag, &'static str)> {
    TABLE
        .iter()
        .filter(|flag| flag.is_supported())
        .filter_map(move |flag| flag.default_for(side).map(|default| (flag, default)))
}

/// What the program is.
pub(super) const fn what(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}

/// `--name value` for every spelling.
pub(super) fn forms(flag: &Flag) -> Vec<String> {
    let value = if flag.kind() == Kind::Bool { "" } else { " value" };
    spellings(flag).map(|spelling| format!("{spelling}{value}")).collect()
}

/// Every spelling with its dashes.
pub(super) fn spellings(flag: &Flag) -> impl Iterator<Item = String> {
    std::iter::once(&flag.name).chain(flag.aliases).map(|name| {
        let dashes = if name.len() == 1 { "-" } else { "--" };
        format!("{dashes}{name}")
    })
}

fn right(flag: &Flag, default: &str) -> String {
    let mut text = flag.help.to_owned();
    if let Some(default) = shown_default(flag, default) {
        let _ = write!(text, " (default: {default})");
    }
    if let Some(name) = flag.env {
        let _ = write!(text, " [${name}]");
    }
    text
}

/// The default as the help shows it, if it is worth showing.
pub(super) fn shown_default(flag: &Flag, default: &str) -> Option<String> {
    match flag.kind() {
        Kind::Str if !default.is_empty() => Some(format!("\"{default}\"")),
        Kind::Int => Some(default.to_owned()),
        Kind::Str | Kind::Bool => None,
    }
}
