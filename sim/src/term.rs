//! Serialization of [`Term`]s by name.

use engine::observe::Term;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::Serializer;
use serde_json::{Value, json};

/// Writes the name, for `#[serde(with = "term")]`.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<T: Term, S: Serializer>(term: &T, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(term.name())
}

/// Reads a name.
///
/// # Errors
/// No value of `T` has that name.
pub fn deserialize<'de, T: Term, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    let name = String::deserialize(from)?;
    T::from_name(&name).ok_or_else(|| {
        let names: Vec<String> = T::ALL.iter().map(|term| format!("`{}`", term.name())).collect();
        D::Error::custom(format!("unknown variant `{name}`, expected one of {}", names.join(", ")))
    })
}

/// The schema of a name.
pub fn schema<T: Term>(_: &mut SchemaGenerator) -> Schema {
    let one = |term: &T| json!({ "type": "string", "const": term.name(), "description": term.meaning() });
    json_schema!({ "oneOf": T::ALL.iter().map(one).collect::<Vec<Value>>() })
}

/// Lists of names, for `#[serde(with = "term::list")]`.
pub mod list {
    use super::{Deserializer, Schema, SchemaGenerator, Serializer, Term, json_schema};
    use serde::Deserialize;

    /// Writes the names.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<T: Term, S: Serializer>(terms: &[T], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(terms.iter().map(|term| term.name()))
    }

    /// Reads names.
    ///
    /// # Errors
    /// No value of `T` has one of them.
    pub fn deserialize<'de, T: Term, D: Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
        struct One<T>(T);

        impl<'de, T: Term> Deserialize<'de> for One<T> {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                super::deserialize(from).map(Self)
            }
        }

        Ok(Vec::deserialize(from)?.into_iter().map(|One(term)| term).collect())
    }

    /// The schema of the list.
    pub fn schema<T: Term>(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": super::schema::<T>(generator) })
    }
}

/// Implements serde's traits and the schema for a [`Term`] of this crate.
macro_rules! in_json {
    ($($Type:ty)+) => {
        $(impl serde::Serialize for $Type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                $crate::term::serialize(self, to)
            }
        }

        impl<'de> serde::Deserialize<'de> for $Type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                $crate::term::deserialize(from)
            }
        }

        impl schemars::JsonSchema for $Type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($Type).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::term::schema::<Self>(generator)
            }
        })+
    };
}

pub(crate) use in_json;
