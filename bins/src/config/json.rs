//! The JSON file, read as Go's encoding/json reads it (CLI-10 to CLI-13, cli.md section 3).

use super::Config;
use crate::flags::{Field, Flag, Kind, Side, TABLE};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::path::Path;

/// What a JSON file changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Names of the options it set.
    pub names: Vec<&'static str>,
    /// Keys that are no options of this side, as written.
    pub unknown: Vec<String>,
}

/// Why a JSON file was refused (CLI-12).
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct FileError {
    /// The file, as given.
    pub path: String,
    /// What is wrong with it.
    pub reason: FileReason,
}

/// What is wrong with a JSON file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileReason {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(std::io::Error),
    /// It holds nothing.
    #[error("the file is empty, expected a JSON object")]
    Empty,
    /// It is not JSON.
    #[error("not valid JSON: {0}")]
    Malformed(serde_json::Error),
    /// Its first value is not an object.
    #[error("expected a JSON object, found {0}")]
    NoObject(&'static str),
    /// A value of another type than the option's.
    #[error("key \"{key}\": expected {expected}, found {found}")]
    WrongType {
        /// As written in the file.
        key: String,
        /// The option's type.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// An option without effect, set to something else than its default (CLI-19).
    #[error("key \"{0}\": not supported yet")]
    NotSupported(String),
}

/// [`apply`] on the text of a file.
pub(super) fn apply_file(path: &Path, config: &mut Config) -> Result<Applied, FileError> {
    let refuse = |reason| FileError { path: path.display().to_string(), reason };
    let bytes = std::fs::read(path).map_err(|error| refuse(FileReason::Unreadable(error)))?;
    apply(&String::from_utf8_lossy(&bytes), config).map_err(refuse)
}

/// Stores the options of the first JSON value of `text` in `config`; what follows that value is ignored.
///
/// # Errors
/// See [`FileReason`]; `config` may then be half filled in.
pub fn apply(text: &str, config: &mut Config) -> Result<Applied, FileReason> {
    if text.trim_ascii().is_empty() {
        return Err(FileReason::Empty);
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let first = <&RawValue>::deserialize(&mut reader).map_err(FileReason::Malformed)?.get();
    let mut applied = Applied::default();
    if first == "null" {
        return Ok(applied);
    }
    if !first.starts_with('{') {
        return Err(FileReason::NoObject(describe(first)));
    }
    let pairs: Pairs<'_> = serde_json::from_str(first).map_err(FileReason::Malformed)?;
    for (key, value) in pairs.0 {
        match find(config.side, &key) {
            Some(flag) if value.get() != "null" => {
                store(flag, &key, value.get(), config)?;
                applied.names.push(flag.name);
            }
            Some(_) => {}
            None => applied.unknown.push(key),
        }
    }
    Ok(applied)
}

/// Keys match whatever their case.
fn find(side: Side, key: &str) -> Option<&'static Flag> {
    TABLE
        .iter()
        .filter(|flag| flag.default_for(side).is_some())
        .find(|flag| flag.json.is_some_and(|name| name.eq_ignore_ascii_case(key)))
}

/// CLI-11
fn store(flag: &Flag, key: &str, raw: &str, config: &mut Config) -> Result<(), FileReason> {
    let value = Value::read(flag.kind(), key, raw)?;
    match (flag.field, value) {
        (Field::Str(field), Value::Str(value)) => *field(config) = value,
        (Field::Int(field), Value::Int(value)) => *field(config) = value,
        (Field::Bool(field), Value::Bool(value)) => *field(config) = value,
        (_, value) => {
            // Files written for kcptun often spell out defaults of options they do not use.
            if flag.default_for(config.side) != Some(value.to_string().as_str()) {
                return Err(FileReason::NotSupported(key.into()));
            }
        }
    }
    Ok(())
}

enum Value {
    Str(String),
    Int(i64),
    Bool(bool),
}

impl Value {
    fn read(kind: Kind, key: &str, raw: &str) -> Result<Self, FileReason> {
        let (value, expected) = match kind {
            Kind::Str => (serde_json::from_str(raw).ok().map(Self::Str), "a string"),
            Kind::Int => (raw.parse().ok().map(Self::Int), "an integer"),
            Kind::Bool => (raw.parse().ok().map(Self::Bool), "true or false"),
        };
        let found = || match describe(raw) {
            "a number" => raw.to_owned(),
            other => other.to_owned(),
        };
        value.ok_or_else(|| FileReason::WrongType { key: key.into(), expected, found: found() })
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Str(value) => f.write_str(value),
            Self::Int(value) => write!(f, "{value}"),
            Self::Bool(value) => write!(f, "{value}"),
        }
    }
}

/// Name of the type of a valid JSON value.
fn describe(raw: &str) -> &'static str {
    match raw.bytes().next() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't') => "true",
        Some(b'f') => "false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// The entries of an object in their order, duplicates included, values unread.
struct Pairs<'t>(Vec<(String, &'t RawValue)>);

impl<'t> Deserialize<'t> for Pairs<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor)
    }
}

struct PairsVisitor;

impl<'t> Visitor<'t> for PairsVisitor {
    type Value = Pairs<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Pairs<'t>, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Pairs(pairs))
    }
}
