//! Values of options, and the types that hold them.

use std::borrow::Cow;
use std::fmt;

/// A value as a command line or a JSON file gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(Cow<'static, str>),
    /// A 64-bit integer, as in Go.
    Int(i64),
    /// On or off.
    Bool(bool),
}

impl Value {
    /// Constant text, for tables.
    pub const fn text(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// Type of the value.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Int(_) => Kind::Int,
            Self::Bool(_) => Kind::Bool,
        }
    }
}

/// As Go prints it.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Int(number) => write!(f, "{number}"),
            Self::Bool(on) => write!(f, "{on}"),
        }
    }
}

/// Type of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// 64-bit integer.
    Int,
    /// On or off; needs no value on the command line.
    Bool,
}

impl Kind {
    /// The error of a value of another type; `found` describes it.
    pub fn refuse(self, found: &str) -> String {
        let expected = match self {
            Self::Text => "a string",
            Self::Int => "an integer",
            Self::Bool => "true or false",
        };
        format!("expected {expected}, found {found}")
    }

    /// [`Kind::refuse`] of a value.
    pub fn refuse_value(self, value: &Value) -> String {
        match value {
            Value::Text(_) => self.refuse("a string"),
            other => self.refuse(&other.to_string()),
        }
    }
}

/// A type that an option's value is stored as.
pub trait Typed: Sized {
    /// What command lines and files give.
    const KIND: Kind;

    /// The value as this type.
    ///
    /// # Errors
    /// It is of another kind, or not one of [`Typed::words`].
    fn read(value: &Value) -> Result<Self, String>;

    /// The opposite of [`Typed::read`].
    fn value(&self) -> Value;

    /// The names of a type that has only a few values; empty for any other.
    fn words() -> Vec<&'static str> {
        Vec::new()
    }
}

impl Typed for i64 {
    const KIND: Kind = Kind::Int;

    fn read(value: &Value) -> Result<Self, String> {
        if let Value::Int(number) = value { Ok(*number) } else { Err(Self::KIND.refuse_value(value)) }
    }

    fn value(&self) -> Value {
        Value::Int(*self)
    }
}

impl Typed for bool {
    const KIND: Kind = Kind::Bool;

    fn read(value: &Value) -> Result<Self, String> {
        if let Value::Bool(on) = value { Ok(*on) } else { Err(Self::KIND.refuse_value(value)) }
    }

    fn value(&self) -> Value {
        Value::Bool(*self)
    }
}

impl Typed for String {
    const KIND: Kind = Kind::Text;

    fn read(value: &Value) -> Result<Self, String> {
        if let Value::Text(text) = value { Ok(text.to_string()) } else { Err(Self::KIND.refuse_value(value)) }
    }

    fn value(&self) -> Value {
        Value::Text(self.clone().into())
    }
}

/// Empty text is `None`.
impl<T: Typed> Typed for Option<T> {
    const KIND: Kind = T::KIND;

    fn read(value: &Value) -> Result<Self, String> {
        if *value == Value::text("") { Ok(None) } else { T::read(value).map(Some) }
    }

    fn value(&self) -> Value {
        self.as_ref().map_or(Value::text(""), T::value)
    }

    fn words() -> Vec<&'static str> {
        T::words()
    }
}

/// The one of `all` whose name is `value`.
///
/// # Errors
/// Lists the names.
pub fn one_of<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str, value: &Value) -> Result<T, String> {
    let Value::Text(text) = value else { return Err(Kind::Text.refuse_value(value)) };
    let mut names: Vec<&str> = all.iter().map(|one| name(*one)).collect();
    let found = names.iter().position(|name| name == text);
    found.map(|index| all[index]).ok_or_else(|| {
        let last = names.pop().unwrap_or_default();
        format!("must be {} or {last}, not {text:?}", names.join(", "))
    })
}

/// Gives every variant of an enumeration its name: `ALL`, `name`, `from_name`, and the use as an option.
#[macro_export]
macro_rules! named {
    ($type:ident { $($variant:ident = $name:literal,)* }) => {
        impl $type {
            /// Every one, in the order of help texts.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As options and files spell it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The one of that name, whose case counts.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }

        impl $crate::options::Typed for $type {
            const KIND: $crate::options::Kind = $crate::options::Kind::Text;

            fn read(value: &$crate::options::Value) -> Result<Self, String> {
                $crate::options::one_of(Self::ALL, Self::name, value)
            }

            fn value(&self) -> $crate::options::Value {
                $crate::options::Value::text(self.name())
            }

            fn words() -> Vec<&'static str> {
                Self::ALL.iter().map(|one| one.name()).collect()
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Mode;

    #[test]
    fn values_of_another_type_are_refused_with_both_types() {
        assert_eq!(i64::read(&Value::text("x")).unwrap_err(), "expected an integer, found a string");
        assert_eq!(bool::read(&Value::Int(1)).unwrap_err(), "expected true or false, found 1");
        assert_eq!(String::read(&Value::Bool(true)).unwrap_err(), "expected a string, found true");
        assert_eq!(Mode::read(&Value::Int(3)).unwrap_err(), "expected a string, found 3");
    }

    #[test]
    fn unknown_names_are_refused_with_those_that_work() {
        let refused = Mode::read(&Value::text("Fast")).unwrap_err();
        assert_eq!(refused, "must be auto, fast3, fast2, fast, normal or manual, not \"Fast\"");
        assert_eq!(Option::<Mode>::read(&Value::text("")), Ok(None));
        assert_eq!(Mode::Auto.value(), Value::text("auto"));
    }
}
