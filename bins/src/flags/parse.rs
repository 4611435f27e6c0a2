//! Reading a command line the way Go's flag package and urfave/cli v1 do.

use super::go::{parse_bool, parse_int};
use super::{Field, Flag, Kind, Side, find};
use crate::config::Config;

/// What a command line said besides the values it stored.
#[derive(Debug, Default)]
pub struct Given {
    /// Names of the options given, in order, without repetition.
    pub names: Vec<&'static str>,
    /// The first word that is no option; the words after it are ignored (CLI-4).
    pub word: Option<String>,
}

/// Why a command line was refused; the text names the culprit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UsageError {
    /// No such option on this side.
    #[error("flag provided but not defined: -{0}")]
    Undefined(String),
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
    /// Known, but without effect, so refused.
    #[error("not supported yet: --{0}")]
    NotSupported(&'static str),
}

/// Stores the options of `words` (without the program's name) in `config` (CLI-2 to CLI-6).
///
/// # Errors
/// The first thing wrong, see [`UsageError`]; `config` is then half filled in.
pub fn parse(side: Side, words: &[String], config: &mut Config) -> Result<Given, UsageError> {
    let mut given = Given::default();
    let mut spellings: Vec<(&'static str, &str)> = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            given.word = rest.next().cloned();
            break;
        }
        let Some((spelling, inline)) = split(word)? else {
            given.word = Some(word.clone());
            break;
        };
        let flag = find(side, spelling).ok_or_else(|| UsageError::Undefined(spelling.into()))?;
        let value = match inline {
            Some(value) => value,
            None if flag.kind() == Kind::Bool => "true",
            None => rest.next().ok_or_else(|| UsageError::NoValue(spelling.into()))?,
        };
        store(flag, spelling, value, config)?;
        match spellings.iter().find(|(name, _)| *name == flag.name) {
            Some((_, earlier)) if *earlier != spelling => return Err(two_forms(flag, earlier, spelling)),
            Some(_) => {}
            None => {
                spellings.push((flag.name, spelling));
                given.names.push(flag.name);
            }
        }
    }
    Ok(given)
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

fn store(flag: &'static Flag, spelling: &str, value: &str, config: &mut Config) -> Result<(), UsageError> {
    let bad = |reason| UsageError::BadValue { flag: spelling.into(), value: value.into(), reason };
    match flag.field {
        Field::Str(field) => *field(config) = value.into(),
        Field::Int(field) => *field(config) = parse_int(value).map_err(bad)?,
        Field::Bool(field) => *field(config) = parse_bool(value).map_err(bad)?,
        Field::Later(_) => return Err(UsageError::NotSupported(flag.name)),
    }
    Ok(())
}

/// The alias comes first in the text, whatever the order on the command line.
fn two_forms(flag: &Flag, a: &str, b: &str) -> UsageError {
    let (alias, name) = if a == flag.name { (b, a) } else { (a, b) };
    UsageError::TwoForms(alias.into(), name.into())
}
