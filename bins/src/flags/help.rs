//! The help text, in the form of urfave/cli v1.

use super::{Flag, Kind, Side, TABLE};
use std::fmt::Write;

/// Help of one program: every option that has an effect, with its default (CLI-27).
pub fn help(side: Side) -> String {
    let rows: Vec<(String, String)> = TABLE
        .iter()
        .filter(|flag| flag.is_supported() && !flag.hidden)
        .filter_map(|flag| Some((left(flag), right(flag, flag.default_for(side)?))))
        .collect();
    let width = rows.iter().map(|(left, _)| left.len()).max().unwrap_or(0);
    let what = match side {
        Side::Client => "client",
        Side::Server => "server",
    };
    let mut text = format!(
        "NAME:\n   {program} - kcptun compatible {what}(with SMUX)\n\nUSAGE:\n   {program} [global options]\n\n\
         VERSION:\n   {version}\n\nGLOBAL OPTIONS:\n",
        program = side.program(),
        version = crate::VERSION,
    );
    for (left, right) in rows {
        let _ = writeln!(text, "   {left:width$}  {right}");
    }
    text
}

fn left(flag: &Flag) -> String {
    let value = if flag.kind() == Kind::Bool { "" } else { " value" };
    let mut forms = Vec::with_capacity(2);
    for name in std::iter::once(&flag.name).chain(flag.aliases) {
        let dashes = if name.len() == 1 { "-" } else { "--" };
        forms.push(format!("{dashes}{name}{value}"));
    }
    forms.join(", ")
}

fn right(flag: &Flag, default: &str) -> String {
    let mut text = flag.help.to_owned();
    let _ = match flag.kind() {
        Kind::Str if !default.is_empty() => write!(text, " (default: \"{default}\")"),
        Kind::Int => write!(text, " (default: {default})"),
        Kind::Str | Kind::Bool => Ok(()),
    };
    if let Some(name) = flag.env {
        let _ = write!(text, " [${name}]");
    }
    text
}
