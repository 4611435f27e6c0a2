//! The manual page, in roff's man macros, generated from the tables (CLI-40).

use super::help::{forms, what, with_default};
use super::of;
use crate::check::Fault;
use engine::options::{Group, Side};
use std::fmt::Write;

/// Manual page of one program, with every option.
pub fn man(side: Side) -> String {
    let program = side.program();
    let mut page = format!(
        ".TH {upper} 1 \"\" \"karst {version}\" \"User Commands\"\n.SH NAME\n{name} \\- kcptun compatible {what}\n\
         .SH SYNOPSIS\n.B {name}\n.RB [ check ]\n.RI [ options ]\n.SH DESCRIPTION\n{description}\n.SH OPTIONS\n{syntax}\n",
        upper = escape(&program.to_uppercase()),
        version = crate::VERSION,
        name = escape(program),
        what = what(side),
        description = escape(match side {
            Side::Client => CLIENT,
            Side::Server => SERVER,
        }),
        syntax = escape(SYNTAX),
    );
    for group in Group::ALL {
        let _ = writeln!(page, ".SS {}", group.title());
        for flag in of(side).filter(|flag| flag.group == *group) {
            let forms: Vec<String> = forms(flag).iter().map(|form| escape(form)).collect();
            let meaning = escape(&with_default(flag, side));
            let _ = writeln!(page, ".TP\n\\fB{}\\fR\n{meaning}", forms.join(", "));
        }
    }
    page.push_str(&sections());
    page
}

const CLIENT: &str = "Accepts local connections and carries them, each as a stream, over KCP sessions to karst-server or \
    kcptun's server.";
const SERVER: &str = "Accepts KCP sessions of karst-client or kcptun's client and connects each of their streams to the \
    target.";
const SYNTAX: &str = "One dash and two are equal. A value follows after an equals sign or as the next word; reading stops at \
    the first word that is no option. Numbers may have the prefixes 0x, 0o and 0b.";

/// Heading and paragraphs of what is not in the table.
const SECTIONS: &[(&str, &[(&str, &str)])] = &[
    (
        "ENVIRONMENT",
        &[
            ("KCPTUN_KEY", "The secret, unless --key gives one."),
            (
                "SS_REMOTE_HOST, SS_REMOTE_PORT, SS_LOCAL_HOST, SS_LOCAL_PORT, SS_PLUGIN_OPTIONS",
                "Set by shadowsocks, whose plugin both programs can be. The last one holds options as key=value;flag.",
            ),
            ("NOTIFY_SOCKET", "Set by systemd for services of Type=notify."),
        ],
    ),
    (
        "SIGNALS",
        &[
            (
                "SIGTERM, SIGINT",
                "Ends all streams, waits up to a second for what they had sent, and exits; at once when \
                sent again.",
            ),
            ("SIGUSR1", "Logs the counters."),
        ],
    ),
    (
        "EXIT STATUS",
        &[
            ("0", "Stopped by a signal, or printed what was requested. For check: everything works."),
            ("1", "A file, an address or the system stood in the way."),
            ("2", "The command line was wrong."),
        ],
    ),
];

const CHECK: &str = "With the word check before its options, the program runs nothing. It tries what a run with these options \
    needs, prints what works, what does not, and what to do, and measures the path. It takes 5 to 30 seconds. The exit status \
    is that of the first fault.";

fn sections() -> String {
    let mut text = String::new();
    for (heading, items) in SECTIONS {
        let _ = writeln!(text, ".SH {heading}");
        for (term, meaning) in *items {
            let _ = writeln!(text, ".TP\n\\fB{}\\fR\n{}", escape(term), escape(meaning));
        }
    }
    let _ = writeln!(text, ".SH CHECK\n{}", escape(CHECK));
    for fault in Fault::ALL {
        let _ = writeln!(text, ".TP\n\\fB{}\\fR\n{}", fault.code(), escape(fault.meaning()));
    }
    text
}

/// Text that roff shows as it is.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    if text.starts_with('.') { format!("\\&{text}") } else { text }
}
