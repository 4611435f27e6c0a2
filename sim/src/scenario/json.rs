//! JSON as a tree that keeps what a usual reader loses: keys that occur twice are refused, and decimals are exact.

use super::{Path, Refusal};
use crate::units;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::fmt;

/// Levels of arrays and objects inside each other.
const DEPTH_MAX: usize = 64;

/// The text as a tree, in which a number that is not an integer is the string of its digits, as `"22.5"`, so that units read it
/// exactly. Refuses what is not JSON, keys that occur twice in one object, and text behind the end.
pub(super) fn tree(text: &str) -> Result<Value, Refusal> {
    let raw = read::<&RawValue>(text, &Path::root())?;
    value(raw.get(), &Path::root(), DEPTH_MAX)
}

fn value(raw: &str, at: &Path, depth: usize) -> Result<Value, Refusal> {
    match raw.as_bytes() {
        [b'{' | b'[', ..] if depth == 0 => Err((at.to_string(), "is nested too deeply".into())),
        [b'{', ..] => {
            let mut object = Map::new();
            for (key, raw) in read::<Entries<'_>>(raw, at)?.0 {
                let at = at.key(&key);
                if object.contains_key(&key) {
                    return Err((at.to_string(), "occurs twice".into()));
                }
                object.insert(key, value(raw.get(), &at, depth - 1)?);
            }
            Ok(Value::Object(object))
        }
        [b'[', ..] => {
            let items = read::<Vec<&RawValue>>(raw, at)?.into_iter().enumerate();
            items.map(|(index, raw)| value(raw.get(), &at.item(index), depth - 1)).collect()
        }
        [b'-' | b'0'..=b'9', ..] => number(raw).map_err(|reason| (at.to_string(), reason)),
        _ => read(raw, at),
    }
}

fn read<'t, T: Deserialize<'t>>(text: &'t str, at: &Path) -> Result<T, Refusal> {
    serde_json::from_str(text).map_err(|error| (at.to_string(), error.to_string()))
}

fn number(raw: &str) -> Result<Value, String> {
    let plain = units::plain(raw).map_err(|reason| format!("{raw}: {reason}"))?;
    if plain.contains('.') {
        return Ok(Value::String(plain));
    }
    let whole = plain.parse::<u64>().map(Value::from).or_else(|_| plain.parse::<i64>().map(Value::from));
    whole.map_err(|_| format!("{raw}: the number is too large"))
}

/// The entries of an object in their order, values unread.
struct Entries<'t>(Vec<(String, &'t RawValue)>);

impl<'t> Deserialize<'t> for Entries<'t> {
    fn deserialize<D: Deserializer<'t>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'t> Visitor<'t> for EntriesVisitor {
    type Value = Entries<'t>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Entries<'t>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}

/// Reads a type out of a tree; refuses unknown keys, missing keys and wrong types with their place.
pub(super) fn typed<T: for<'de> Deserialize<'de>>(tree: Value) -> Result<T, Refusal> {
    serde_path_to_error::deserialize(tree)
        .map_err(|error| (error.path().to_string(), error.inner().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn decimals_keep_their_digits_and_exact_exponents_are_integers() {
        let text =
            r#"{"a": [0.1, 22.50, 1e3, 1.5E+1, 25e-1, -0.25, 7.0, 0.0], "b": 18446744073709551615, "c": -3}"#;
        let expected = json!({
            "a": ["0.1", "22.5", 1000, 15, "2.5", "-0.25", 7, 0], "b": 18_446_744_073_709_551_615_u64, "c": -3
        });
        assert_eq!(tree(text).unwrap(), expected);
        let long = "0.1000000000000000055511151231257827";
        assert_eq!(tree(long).unwrap(), json!(long), "a float would be 0.1");
    }

    #[test]
    fn numbers_that_nothing_holds_are_refused_with_their_place() {
        for (number, reason) in [
            ("1e400", "too large"),
            ("-1e400", "too large"),
            ("1e-400", "too many digits"),
            ("18446744073709551616", "too large"),
            ("1e99999999999999999999", "exponent"),
        ] {
            let (path, got) = tree(&format!("{{\"a\": [1, {number}]}}")).unwrap_err();
            assert_eq!(path, "a[1]");
            assert!(got.starts_with(number) && got.contains(reason), "{got}");
        }
        assert_eq!(tree("0e99999").unwrap(), json!(0));
    }

    #[test]
    fn deep_nesting_is_refused() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(tree(&nested(DEPTH_MAX)).is_ok());
        assert!(tree(&nested(100_000)).unwrap_err().1.contains("too deeply"));
    }
}
