//! Completions of shells, generated from the tables (CLI-40).

use super::help::spellings;
use super::of;
use crate::check;
use engine::forged::Variant;
use engine::options::{Flag, Kind, Side};
use std::fmt::Write;

/// A shell with completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// GNU bash.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
}

engine::named! { Shell { Bash = "bash", Zsh = "zsh", Fish = "fish", } }

/// The script that a shell loads to complete the options of one program.
pub fn completions(side: Side, shell: Shell) -> String {
    match shell {
        Shell::Bash => bash(side),
        Shell::Zsh => zsh(side),
        Shell::Fish => fish(side),
    }
}

/// Numbers with a name in the help: the only ones that an option has.
const NUMBERS: &[(&str, &[&str])] =
    &[("smuxver", &["1", "2"]), ("nodelay", &["0", "1"]), ("nc", &["0", "1"]), ("resend", &["0", "1", "2"])];

/// What a shell offers after an option.
enum Values {
    /// After an equals sign only.
    Switch(Vec<&'static str>),
    Words(Vec<&'static str>),
    File,
    Text,
}

fn values(flag: &Flag) -> Values {
    let words = flag.words();
    if let Some((_, numbers)) = NUMBERS.iter().find(|(name, _)| *name == flag.name) {
        return Values::Words(numbers.to_vec());
    }
    match flag.kind {
        Kind::Bool => {
            let word =
                [Variant::KcptunTcp.name()].into_iter().filter(|word| super::word(flag, word).is_some());
            Values::Switch(["true", "false"].into_iter().chain(word).collect())
        }
        _ if flag.file => Values::File,
        _ if words.is_empty() => Values::Text,
        _ => Values::Words(words),
    }
}

fn bash(side: Side) -> String {
    let program = side.program();
    let function = format!("_{}", program.replace('-', "_"));
    let mut cases = String::new();
    for flag in of(side) {
        let offer = |words: &[&str]| format!("COMPREPLY=($(compgen -W '{}' -- \"$cur\"))", words.join(" "));
        let reply = match values(flag) {
            Values::Switch(words) => format!("[[ $equals ]] && {}", offer(&words)),
            Values::Words(words) => offer(&words),
            Values::File => "COMPREPLY=($(compgen -f -- \"$cur\"))".into(),
            Values::Text => "COMPREPLY=()".into(),
        };
        let spellings: Vec<String> = spellings(flag).map(|word| one_dash(&word)).collect();
        let end = if flag.kind == Kind::Bool { " && return" } else { "; return" };
        let _ = writeln!(cases, "    {}) {reply}{end} ;;", spellings.join("|"));
    }
    let all: Vec<String> = of(side).flat_map(spellings).collect();
    let with_one_dash: Vec<String> = all.iter().map(|word| one_dash(word)).collect();
    // The shell splits words at an equals sign. Both spellings of an option, with one dash and two, have the same values.
    format!(
        "{function}() {{\n  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} names equals=''\n  \
         if [[ $cur == '=' ]]; then cur=''; equals=1; \
         elif [[ $prev == '=' ]]; then prev=${{COMP_WORDS[COMP_CWORD-2]}}; equals=1; fi\n  \
         case \"${{prev/#--/-}}\" in\n{cases}  esac\n  names='{}'\n  \
         [[ $cur == -[^-]* ]] && names='{}'\n  \
         [[ $COMP_CWORD == 1 && $cur != -* ]] && names=\"{check} $names\"\n  COMPREPLY=($(compgen -W \"$names\" -- \"$cur\"))\n}}\n\
         complete -F {function} {program}\n",
        all.join(" "),
        with_one_dash.join(" "),
        check = check::WORD,
    )
}

fn zsh(side: Side) -> String {
    let program = side.program();
    let mut text = format!("#compdef {program}\n_arguments \\\n  '1::command:({})'", check::WORD);
    for flag in of(side) {
        let help = quoted(
            &flag.help().replace('\\', "\\\\").replace('[', "\\[").replace(']', "\\]").replace(':', "\\:"),
        );
        let action = match values(flag) {
            Values::Switch(words) => format!("::value:({})", words.join(" ")),
            Values::Words(words) => format!(":value:({})", words.join(" ")),
            Values::File => ":file:_files".into(),
            Values::Text => ":value: ".into(),
        };
        // With a hyphen behind the equals sign, the value is never the next word.
        let equals = if flag.kind == Kind::Bool { "=-" } else { "=" };
        let short = |word: &String| word.starts_with("--").then(|| one_dash(word));
        let spellings: Vec<String> = spellings(flag).collect();
        for spelling in spellings.iter().cloned().chain(spellings.iter().filter_map(short)) {
            let equals = if spelling.len() > 2 { equals } else { "" };
            let _ = write!(text, " \\\n  '{spelling}{equals}[{help}]{action}'");
        }
    }
    text.push('\n');
    text
}

fn fish(side: Side) -> String {
    let program = side.program();
    let mut text = format!(
        "complete -c {program} -f\ncomplete -c {program} -n __fish_use_subcommand -a {} -d 'try everything a run needs'\n",
        check::WORD
    );
    for flag in of(side) {
        let _ = write!(text, "complete -c {program}");
        for name in std::iter::once(&flag.name).chain(flag.aliases) {
            let _ = match name.len() {
                1 => write!(text, " -s {name}"),
                _ => write!(text, " -l {name} -o {name}"),
            };
        }
        let _ = match values(flag) {
            // An option without -x takes a value after an equals sign only.
            Values::Switch(words) => write!(text, " -a '{}'", words.join(" ")),
            Values::Words(words) => write!(text, " -x -a '{}'", words.join(" ")),
            Values::File => write!(text, " -r -F"),
            Values::Text => write!(text, " -x"),
        };
        let _ = writeln!(text, " -d '{}'", flag.help().replace('\\', "\\\\").replace('\'', "\\'"));
    }
    text
}

/// The spelling with one dash, which means the same (CLI-2).
fn one_dash(spelling: &str) -> String {
    spelling.replacen("--", "-", 1)
}

/// Escaped for single quotes of a POSIX shell.
fn quoted(text: &str) -> String {
    text.replace('\'', "'\\''")
}
