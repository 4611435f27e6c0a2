//! Reading a command line the way Go's flag package and urfave/cli v1 do.

use super::find;
use super::go::{parse_bool, parse_int};
use engine::options::{Flag, Kind, Side, Value};

/// A command line, read.
#[derive(Debug, Default)]
pub struct CommandLine {
    /// Options and their values, in order.
    pub given: Vec<(&'static Flag, Value)>,
    /// The first word that is no option, at which reading stopped (CLI-4).
    pub word: Option<String>,
    /// What that word probably was meant to be.
    pub hint: Option<String>,
}

/// Why a command line was refused; the text names the word at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UsageError {
    /// No such option on this side.
    #[error("flag provided but not defined: -{name}{}; see --help", did_you_mean(.nearest.as_deref()))]
    Undefined {
        /// As written, without dashes.
        name: String,
        /// The option with the most similar name.
        nearest: Option<String>,
    },
    /// Words that kcptun would ignore, together with the options after them.
    #[error("unexpected word {word:?}: {hint}")]
    Leftover {
        /// As written.
        word: String,
        /// What it was meant to be, or how to have it ignored.
        hint: String,
    },
    /// A word such as `---x` or `-=x`.
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    /// The last word is an option that needs a value.
    #[error("flag needs an argument: -{0}")]
    NoValue(String),
    /// Not a value of the option's type.
    #[error("invalid value {value:?} for flag -{flag}: {reason}")]
    BadValue {
        /// As written.
        flag: String,
        /// As written.
        value: String,
        /// In Go's words.
        reason: super::GoError,
    },
    /// One option under two of its names.
    #[error("Cannot use two forms of the same flag: {0} {1}")]
    TwoForms(String, String),
}

/// Reads the options of `words`, which start behind the program's name (CLI-2 to CLI-6).
///
/// # Errors
/// The first problem, see [`UsageError`].
pub fn parse(side: Side, words: &[String]) -> Result<CommandLine, UsageError> {
    let mut line = CommandLine::default();
    let mut spellings: Vec<(&'static str, &str)> = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            line.word = rest.next().cloned();
            line.hint = Some("options end at the word --, remove it".into());
            break;
        }
        let Some((spelling, inline)) = split(word)? else {
            line.hint = hint(word, line.given.last());
            line.word = Some(word.clone());
            break;
        };
        let flag = find(side, spelling).ok_or_else(|| undefined(side, spelling))?;
        let value = match inline {
            Some(value) => value,
            None if flag.kind == Kind::Bool => "true",
            None => rest.next().ok_or_else(|| UsageError::NoValue(spelling.into()))?,
        };
        line.given.push((flag, read(flag, spelling, value)?));
        match spellings.iter().find(|(name, _)| *name == flag.name) {
            Some((_, earlier)) if *earlier != spelling => return Err(two_forms(flag, earlier, spelling)),
            Some(_) => {}
            None => spellings.push((flag.name, spelling)),
        }
    }
    Ok(line)
}

/// Dashes that word processors and chat programs write for hyphens.
pub(crate) const DASHES: [char; 8] =
    ['\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2015}', '\u{2212}', '\u{ff0d}'];

/// What a word that is no option was probably meant to be.
fn hint(word: &str, before: Option<&(&'static Flag, Value)>) -> Option<String> {
    let dashes = word.trim_start_matches(DASHES);
    if dashes.len() < word.len() {
        return Some(format!(
            "it begins with a typographic dash, write --{}",
            dashes.trim_start_matches('-')
        ));
    }
    match before {
        Some((flag, _))
            if flag.kind == Kind::Bool && (parse_bool(word).is_ok() || super::word(flag, word).is_some()) =>
        {
            Some(format!("--{} takes its value after an equals sign, write --{0}={word}", flag.name))
        }
        _ => None,
    }
}

fn undefined(side: Side, spelling: &str) -> UsageError {
    let names = super::of(side).flat_map(|flag| std::iter::once(&flag.name).chain(flag.aliases));
    let nearest = nearest(spelling, names.copied().filter(|name| name.len() > 1));
    UsageError::Undefined { name: spelling.into(), nearest: nearest.map(|name| format!("--{name}")) }
}

/// The name that `word` is most similar to, if it is similar enough to be meant.
pub(crate) fn nearest<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let word = word.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&word, &name.to_lowercase());
    let most = (word.chars().count() / 3).max(1);
    names
        .map(|name| (distance(name), name))
        .filter(|(far, _)| *far <= most)
        .min_by_key(|(far, _)| *far)
        .map(|(_, name)| name)
}

/// The end of a message about a name that does not exist.
pub(crate) fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or(String::new(), |nearest| format!(", did you mean {nearest}?"))
}

/// Name and value after `=` of a word; `None` when it is no option.
fn split(word: &str) -> Result<Option<(&str, Option<&str>)>, UsageError> {
    let Some(name) = word.strip_prefix('-').filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let name = name.strip_prefix('-').unwrap_or(name);
    if name.is_empty() || name.starts_with('-') || name.starts_with('=') {
        return Err(UsageError::Syntax(word.into()));
    }
    Ok(Some(match name.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (name, None),
    }))
}

fn read(flag: &'static Flag, spelling: &str, value: &str) -> Result<Value, UsageError> {
    let bad = |reason| UsageError::BadValue { flag: spelling.into(), value: value.into(), reason };
    match flag.kind {
        Kind::Text => Ok(Value::Text(value.to_owned().into())),
        Kind::Int => parse_int(value).map(Value::Int).map_err(bad),
        Kind::Bool => {
            parse_bool(value).map(Value::Bool).or_else(|reason| super::word(flag, value).ok_or(bad(reason)))
        }
    }
}

/// The alias comes first in the text, whatever the order on the command line.
fn two_forms(flag: &Flag, a: &str, b: &str) -> UsageError {
    let (alias, name) = if a == flag.name { (b, a) } else { (a, b) };
    UsageError::TwoForms(alias.into(), name.into())
}
