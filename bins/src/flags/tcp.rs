//! The value of `--tcp`: a switch that also takes a word.

use engine::forged::Variant;
use engine::options::{Kind, Typed, Value};

/// What carries datagrams instead of UDP, or beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tcp {
    /// UDP alone.
    #[default]
    Off,
    /// Forged TCP; a client begins as that program does, a server serves both.
    Forged(Variant),
}

impl Tcp {
    /// How a client begins; `None` for UDP.
    pub const fn variant(self) -> Option<Variant> {
        match self {
            Self::Off => None,
            Self::Forged(variant) => Some(variant),
        }
    }
}

impl Typed for Tcp {
    const KIND: Kind = Kind::Bool;

    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Bool(false) => Ok(Self::Off),
            Value::Bool(true) => Ok(Self::Forged(Variant::Upstream)),
            Value::Text(name) if *name == Variant::KcptunTcp.name() => Ok(Self::Forged(Variant::KcptunTcp)),
            other => Err(Kind::Bool.refuse_value(other)),
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Off => Value::Bool(false),
            Self::Forged(Variant::Upstream) => Value::Bool(true),
            Self::Forged(variant) => Value::text(variant.name()),
        }
    }
}
