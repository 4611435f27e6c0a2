//! The JSON file, read as Go's encoding/json reads it (CLI-10 to CLI-13, cli.md section 3).

use crate::flags::{self, Side};
use crate::platform::text::path_of;
use engine::options::{Flag, Value, text_of};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::io::Read;

/// A JSON file, read.
#[derive(Debug, Default)]
pub struct JsonFile {
    /// Options and their values, in order.
    pub given: Vec<(&'static Flag, Value)>,
    /// Keys that are not options of this side, as written.
    pub unknown: Vec<String>,
    /// The file had bytes that are not UTF-8.
    pub replaced: bool,
}

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why a JSON file was refused (CLI-12).
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct FileError {
    /// The file, as given.
    pub path: String,
    /// What is wrong.
    pub reason: FileReason,
}

/// What is wrong with a JSON file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileReason {
    /// The file cannot be read.
    #[error("{0}")]
    Unreadable(std::io::Error),
    /// No configuration is that large.
    #[error("larger than {} MiB", FILE_BYTES_MAX >> 20)]
    Large,
    /// The file is empty.
    #[error("the file is empty, expected a JSON object")]
    Empty,
    /// UTF-16 without a byte order mark, or cut off.
    #[error("UTF-16 that cannot be read, save the file as UTF-8")]
    Utf16,
    /// The text is not JSON.
    #[error("not valid JSON: {0}")]
    Malformed(serde_json::Error),
    /// Quotation marks that JSON does not know.
    #[error("not valid JSON: the quotation mark at line {line} column {column} must be \"")]
    Quotes {
        /// From 1.
        line: usize,
        /// Byte in the line, from 1.
        column: usize,
    },
    /// Its first value is not an object.
    #[error("expected a JSON object, found {0}")]
    NoObject(&'static str),
    /// A value of another type than the option's.
    #[error("key \"{key}\": {reason}")]
    WrongType {
        /// As written in the file.
        key: String,
        /// Expected and found type.
        reason: String,
    },
}

/// [`parse`] of the text of a file.
pub(super) fn read(path: &str, side: Side) -> Result<JsonFile, FileError> {
    let refuse = |reason| FileError { path: path.into(), reason };
    let mut bytes = Vec::new();
    std::fs::File::open(path_of(path))
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| refuse(FileReason::Unreadable(error)))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(refuse(FileReason::Large));
    }
    let read = decode(&bytes)
        .and_then(|(text, replaced)| parse(&text, side).map(|file| JsonFile { replaced, ..file }));
    read.map_err(refuse)
}

/// The text of a file as Go's decoder sees it, and whether bytes were replaced: every byte that is not UTF-8 is U+FFFD. Editors of
/// Windows write a byte order mark, and UTF-16 with it (CLI-71).
fn decode(bytes: &[u8]) -> Result<(String, bool), FileReason> {
    let units = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let text = rest
            .is_empty()
            .then(|| String::from_utf16(&pairs.iter().map(|pair| unit(*pair)).collect::<Vec<_>>()));
        text.and_then(Result::ok).map(|text| (text, false)).ok_or(FileReason::Utf16)
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => units(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => units(rest, u16::from_be_bytes),
        [b'{', 0, ..] | [0, b'{', ..] => Err(FileReason::Utf16),
        [0xef, 0xbb, 0xbf, rest @ ..] | rest => {
            Ok((replace_invalid(rest), std::str::from_utf8(rest).is_err()))
        }
    }
}

fn replace_invalid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// Reads the options of the first JSON value of `text`; the rest is ignored.
///
/// # Errors
/// See [`FileReason`].
pub fn parse(text: &str, side: Side) -> Result<JsonFile, FileReason> {
    if text.trim_ascii().is_empty() {
        return Err(FileReason::Empty);
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let first = <&RawValue>::deserialize(&mut reader).map_err(|error| malformed(text, error))?.get();
    let mut file = JsonFile::default();
    if first == "null" {
        return Ok(file);
    }
    if !first.starts_with('{') {
        return Err(FileReason::NoObject(describe(first)));
    }
    let pairs: Pairs<'_> = serde_json::from_str(first).map_err(FileReason::Malformed)?;
    for (key, raw) in pairs.0 {
        match find(side, &key) {
            Some(_) if raw.get() == "null" => {}
            Some(flag) => file.given.push((flag, value(flag, &key, raw.get())?)),
            None => file.unknown.push(key),
        }
    }
    Ok(file)
}

/// Keys match whatever their case.
fn find(side: Side, key: &str) -> Option<&'static Flag> {
    flags::of(side)
        .find(|flag| flag.json.into_iter().chain(flag.json_alias).any(|name| name.eq_ignore_ascii_case(key)))
}

/// The key of this side that is most similar to one of neither side (CLI-80).
pub(super) fn nearest(side: Side, key: &str) -> Option<&'static str> {
    if [Side::Client, Side::Server].into_iter().any(|side| find(side, key).is_some()) {
        return None;
    }
    flags::nearest(key, flags::of(side).filter_map(|flag| flag.json))
}

/// A text that is no JSON, because of typographic quotation marks or otherwise.
fn malformed(text: &str, error: serde_json::Error) -> FileReason {
    let line = text.split('\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let at = line.get(error.column().saturating_sub(1)..).unwrap_or_default();
    if at.starts_with(['\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}', '\u{201e}', '\u{ff02}', '\'']) {
        return FileReason::Quotes { line: error.line(), column: error.column() };
    }
    FileReason::Malformed(error)
}

/// CLI-11
fn value(flag: &Flag, key: &str, raw: &str) -> Result<Value, FileReason> {
    let wrong = |reason| FileReason::WrongType { key: key.into(), reason };
    let found = describe(raw);
    let texts = || serde_json::from_str::<Vec<String>>(raw).ok().map(|texts| texts.join(","));
    let value = match found {
        "an array" if flag.list => texts().map(|text| Value::Text(text.into())),
        "a string" => Some(Value::Text(text_of(unquote(raw).as_bytes()).into())),
        "a number" => raw.parse().ok().map(Value::Int),
        _ => raw.parse().ok().map(Value::Bool),
    };
    let Some(value) = value else {
        return Err(wrong(flag.kind.refuse(if found == "a number" { raw } else { found })));
    };
    let word = matches!(&value, Value::Text(text) if flags::word(flag, text).is_some());
    if value.kind() != flag.kind && !word {
        return Err(wrong(flag.kind.refuse_value(&value)));
    }
    Ok(value)
}

/// The text of a valid JSON string as Go reads it: half of a surrogate pair is U+FFFD (Go encoding/json decode.go).
fn unquote(raw: &str) -> String {
    if let Ok(text) = serde_json::from_str(raw) {
        return text;
    }
    let mut units: Vec<u16> = Vec::new();
    let mut rest = raw.get(1..raw.len() - 1).unwrap_or_default().chars();
    let mut unit = [0; 2];
    while let Some(character) = rest.next() {
        let character = match (character, if character == '\\' { rest.next() } else { None }) {
            (_, Some('u')) => {
                let digits: String = rest.by_ref().take(4).collect();
                units.push(u16::from_str_radix(&digits, 16).unwrap_or(0xfffd));
                continue;
            }
            (_, Some('n')) => '\n',
            (_, Some('t')) => '\t',
            (_, Some('r')) => '\r',
            (_, Some('b')) => '\u{8}',
            (_, Some('f')) => '\u{c}',
            (_, Some(escaped)) => escaped,
            (character, None) => character,
        };
        units.extend_from_slice(character.encode_utf16(&mut unit));
    }
    String::from_utf16_lossy(&units)
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
