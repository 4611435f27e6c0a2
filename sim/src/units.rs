//! Quantities of scenario files: decimals read digit by digit, so that no float decides anything.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::borrow::Cow;
use std::fmt;

/// A time in milliseconds with up to three decimals, held in microseconds: `20` or `"0.25"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis {
    /// The time in microseconds.
    pub us: u64,
}

/// A percentage with up to four decimals, at most 100, held in parts per million: `2` or `"0.05"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent {
    /// The share in parts per million.
    pub ppm: u32,
}

/// A count with up to three decimals, held in thousandths: `3` or `"2.5"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Milli {
    /// The count in thousandths.
    pub thousandths: u64,
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self { us: from.deserialize_any(Decimal { decimals: 3 })? })
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let ppm = from.deserialize_any(Decimal { decimals: 4 })?;
        if ppm > 1_000_000 {
            return Err(D::Error::custom("more than 100 percent"));
        }
        Ok(Self { ppm: ppm as u32 })
    }
}

impl<'de> Deserialize<'de> for Milli {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self { thousandths: from.deserialize_any(Decimal { decimals: 3 })? })
    }
}

impl JsonSchema for Millis {
    fn schema_name() -> Cow<'static, str> {
        "milliseconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        decimal_schema("Milliseconds, with up to three decimals as a string.", 3)
    }
}

impl JsonSchema for Percent {
    fn schema_name() -> Cow<'static, str> {
        "percent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        decimal_schema("Percent, at most 100, with up to four decimals as a string.", 4)
    }
}

impl JsonSchema for Milli {
    fn schema_name() -> Cow<'static, str> {
        "count".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        decimal_schema("A count, with up to three decimals as a string.", 3)
    }
}

/// What [`Decimal`] accepts.
fn decimal_schema(description: &str, decimals: u32) -> Schema {
    let pattern = format!(r"^[0-9]+(\.[0-9]{{1,{decimals}}})?$");
    json_schema!({
        "description": description,
        "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "pattern": pattern }]
    })
}

/// Accepts an integer, or a string of digits with at most `decimals` after the point.
struct Decimal {
    decimals: u32,
}

impl Visitor<'_> for Decimal {
    type Value = u64;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "an integer, or a string with at most {} decimals such as \"0.5\"", self.decimals)
    }

    fn visit_u64<E: Error>(self, whole: u64) -> Result<u64, E> {
        whole.checked_mul(10_u64.pow(self.decimals)).ok_or_else(|| E::custom("too large"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        scaled(text, self.decimals).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }
}

/// `text` times 10^`decimals`; `None` when it is not plain digits with at most that many decimals.
fn scaled(text: &str, decimals: u32) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || fraction.len() > decimals as usize {
        return None;
    }
    let missing = decimals - fraction.len() as u32;
    let fraction = fraction.parse::<u64>().ok()? * 10_u64.pow(missing);
    whole.parse::<u64>().ok()?.checked_mul(10_u64.pow(decimals))?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        assert_eq!(serde_json::from_str::<Millis>("20").unwrap().us, 20_000);
        assert_eq!(serde_json::from_str::<Millis>("\"0.25\"").unwrap().us, 250);
        assert_eq!(serde_json::from_str::<Percent>("\"0.0001\"").unwrap().ppm, 1);
        assert_eq!(serde_json::from_str::<Percent>("100").unwrap().ppm, 1_000_000);
        assert_eq!(serde_json::from_str::<Milli>("\"2.5\"").unwrap().thousandths, 2_500);
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in
            ["0.5", "-1", "\"1.0000001\"", "\"-1\"", "\"1e3\"", "\"\"", "\".5\"", "\"1.\"", "true", "null"]
        {
            assert!(serde_json::from_str::<Percent>(bad).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<Percent>("\"100.0001\"").is_err());
        assert!(serde_json::from_str::<Millis>("18446744073709551615").is_err());
        assert!(serde_json::from_str::<Millis>("\"18446744073709551615\"").is_err());
    }
}
