//! JSON as a tree, read without losing a key that stands twice.

use super::{Path, Refusal};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use std::fmt;

/// The text as a tree; refuses what is not JSON, keys that stand twice in one object, and text behind the end.
pub(super) fn tree(text: &str) -> Result<Value, Refusal> {
    let mut json = serde_json::Deserializer::from_str(text);
    let place = RefCell::new(Path::root());
    let tree = Tree { at: &Path::root(), place: &place }
        .deserialize(&mut json)
        .map_err(|error| (place.borrow().to_string(), error.to_string()))?;
    json.end().map_err(|error| (Path::root().to_string(), error.to_string()))?;
    Ok(tree)
}

/// Reads one value; `place` is left where the refused one stands.
#[derive(Clone, Copy)]
struct Tree<'a> {
    at: &'a Path,
    place: &'a RefCell<Path>,
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let at = self.at.item(list.len());
            match items.next_element_seed(Tree { at: &at, place: self.place })? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let at = self.at.key(&key);
            if object.contains_key(&key) {
                self.place.replace(at);
                return Err(A::Error::custom("stands twice"));
            }
            let value = entries.next_value_seed(Tree { at: &at, place: self.place })?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// Reads a type out of a tree; refuses unknown keys, missing keys and wrong types with their place.
pub(super) fn typed<T: for<'de> Deserialize<'de>>(tree: Value) -> Result<T, Refusal> {
    serde_path_to_error::deserialize(tree)
        .map_err(|error| (error.path().to_string(), error.inner().to_string()))
}
