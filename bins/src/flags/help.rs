//! The help text: urfave/cli's lines, under headings.

use super::of;
use engine::options::{Flag, Group, Kind, Side, Value};
use std::fmt::Write;

/// Help of one program: every option, with its default; those for experts only when `all` (CLI-27).
pub fn help(side: Side, all: bool) -> String {
    let rows: Vec<(Group, String, String)> = of(side)
        .filter(|flag| all || !flag.expert)
        .map(|flag| (flag.group, forms(flag).join(", "), right(flag, side)))
        .collect();
    let width = rows.iter().map(|(_, left, _)| left.len()).max().unwrap_or(0);
    let mut text = format!(
        "NAME:\n   {program} - kcptun compatible {what}(with SMUX)\n\nUSAGE:\n   {program} [options]\n   \
         {program} check [options]    try everything a run needs, and explain what does not work\n\n\
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

/// The noun for the program of that side.
pub(super) const fn what(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}

/// `--name value` for every spelling.
pub(super) fn forms(flag: &Flag) -> Vec<String> {
    let value = if flag.kind == Kind::Bool { "" } else { " value" };
    spellings(flag).map(|spelling| format!("{spelling}{value}")).collect()
}

/// Every spelling with its dashes.
pub(super) fn spellings(flag: &Flag) -> impl Iterator<Item = String> {
    std::iter::once(&flag.name).chain(flag.aliases).map(|name| {
        let dashes = if name.len() == 1 { "-" } else { "--" };
        format!("{dashes}{name}")
    })
}

fn right(flag: &Flag, side: Side) -> String {
    let mut text = with_default(flag, side);
    if let Some(name) = flag.env {
        let _ = write!(text, " [${name}]");
    }
    text
}

/// The meaning of an option and its default, unless that is empty or off.
pub(super) fn with_default(flag: &Flag, side: Side) -> String {
    match flag.default_for(side) {
        Some(Value::Text(text)) if !text.is_empty() => format!("{} (default: \"{text}\")", flag.help()),
        Some(Value::Int(number)) => format!("{} (default: {number})", flag.help()),
        _ => flag.help(),
    }
}
