//! Quantities of scenario files: decimals are parsed digit by digit, so no float affects a decision.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::borrow::Cow;
use std::fmt;

/// A time in milliseconds with up to three decimals, stored in microseconds: `20` or `0.25`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis {
    /// The time in microseconds.
    pub us: u64,
}

/// A percentage with up to four decimals, at most 100, stored in parts per million: `2` or `0.05`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent {
    /// The share in parts per million.
    pub ppm: u32,
}

/// A count with up to three decimals, stored in thousandths: `3` or `2.5`.
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
        decimal_schema("Milliseconds, with up to three decimals.", 3)
    }
}

impl JsonSchema for Percent {
    fn schema_name() -> Cow<'static, str> {
        "percent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        decimal_schema("Percent, at most 100, with up to four decimals.", 4)
    }
}

impl JsonSchema for Milli {
    fn schema_name() -> Cow<'static, str> {
        "count".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        decimal_schema("A count, with up to three decimals.", 3)
    }
}

/// Schema of the numbers that [`Decimal`] accepts; a schema cannot limit the decimals.
fn decimal_schema(description: &str, decimals: u32) -> Schema {
    let pattern = format!(r"^[0-9]+(\.[0-9]{{1,{decimals}}})?$");
    json_schema!({
        "description": description,
        "anyOf": [{ "type": "number", "minimum": 0 }, { "type": "string", "pattern": pattern }]
    })
}

/// Accepts an integer, or a string of digits with at most `decimals` after the point, the form that the parser of scenario files
/// gives to a number with decimals.
struct Decimal {
    decimals: u32,
}

impl Visitor<'_> for Decimal {
    type Value = u64;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a number with at most {} decimals", self.decimals)
    }

    fn visit_u64<E: Error>(self, whole: u64) -> Result<u64, E> {
        whole.checked_mul(10_u64.pow(self.decimals)).ok_or_else(|| E::custom("too large"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        scaled(text, self.decimals).map_err(E::custom)
    }
}

/// Parses `text` times 10^`decimals`.
///
/// # Errors
/// `text` is not a decimal with at most that many decimals, or does not fit 64 bits.
pub fn scaled(text: &str, decimals: u32) -> Result<u64, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || fraction.len() > decimals as usize {
        return Err(format!("expected a number from 0 with at most {decimals} decimals, found {text}"));
    }
    let fraction = format!("{fraction:0<width$}", width = decimals as usize);
    format!("{whole}{fraction}").parse().map_err(|_| format!("{text} is too large"))
}

/// Rewrites a JSON number without exponent and trailing zeros: `"1e3"` is `1000`, `"22.50"` is `22.5`.
///
/// # Errors
/// `text` is not a JSON number, or has too many digits for any quantity.
pub fn plain(text: &str) -> Result<String, &'static str> {
    /// Maximum digits before the point, and after it.
    const DIGITS_MAX: i32 = 40;
    let (sign, number) = text.strip_prefix('-').map_or(("", text), |number| ("-", number));
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return Err("not a number");
    }
    let exponent: i32 = exponent.parse().map_err(|_| "the exponent is out of range")?;
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Ok("0".into());
    }
    // Position of the point, counted from the first digit.
    let point = exponent.saturating_add(whole.len() as i32);
    let places = (significant.len() as i32).saturating_sub(point);
    if point > DIGITS_MAX {
        return Err("the number is too large");
    }
    if places > DIGITS_MAX {
        return Err("too many digits after the point");
    }
    let zeros = |count: i32| "0".repeat(count.max(0) as usize);
    let padded = format!("{}{significant}{}", zeros(1 - point), zeros(-places));
    let (whole, fraction) = padded.split_at(point.max(1) as usize);
    let whole = Some(whole.trim_start_matches('0')).filter(|whole| !whole.is_empty()).unwrap_or("0");
    let point = if fraction.is_empty() { "" } else { "." };
    Ok(format!("{sign}{whole}{point}{fraction}"))
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
    fn malformed_numbers_are_refused() {
        for bad in
            ["0.5", "-1", "\"1.0000001\"", "\"-1\"", "\"1e3\"", "\"\"", "\".5\"", "\"1.\"", "true", "null"]
        {
            assert!(serde_json::from_str::<Percent>(bad).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<Percent>("\"100.0001\"").is_err());
        assert!(serde_json::from_str::<Millis>("18446744073709551615").is_err());
        assert!(serde_json::from_str::<Millis>("\"18446744073709551615\"").is_err());
    }

    #[test]
    fn plain_removes_exponents_and_trailing_zeros() {
        for (text, expected) in [
            ("0", "0"),
            ("-0.0", "0"),
            ("0.1", "0.1"),
            ("0.100", "0.1"),
            ("22.50", "22.5"),
            ("100", "100"),
            ("1e3", "1000"),
            ("1.25e1", "12.5"),
            ("1.5E+2", "150"),
            ("1e-3", "0.001"),
            ("120e-1", "12"),
            ("-3.50", "-3.5"),
            ("0.001e3", "1"),
        ] {
            assert_eq!(plain(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["1e400", "1e-400", "1e99999999999", "", "-", ".5", "1.", "0x1", "1e", "e1"] {
            assert!(plain(text).is_err(), "{text}");
        }
    }
}
