//! Values that differ from seed to seed: `"10..80"` and `{"choice": [...]}`, drawn before anything is read as a number.
//!
//! Every place has its own dice, named by its path, so that one range more does not disturb the others.

use super::{Path, Refusal};
use crate::rng::{Seed, below};
use serde_json::Value;

/// Who decides.
#[derive(Clone, Copy, Debug)]
pub(super) enum Draw {
    /// Dice of that seed.
    Seed(Seed),
    /// No seed: the alternative of that number everywhere, and the lower end of ranges for even numbers, the upper for
    /// odd ones. Enough of them together have taken every alternative and both ends of every range.
    Probe(usize),
}

impl Draw {
    /// An integer in `0..bound`; `bound` is at least 1.
    fn below(self, at: &Path, bound: u64) -> u64 {
        match self {
            Self::Seed(seed) => below(&mut seed.stream(&format!("draw.{at}")), bound),
            Self::Probe(number) => (number as u64).min(bound - 1),
        }
    }

    fn within(self, at: &Path, width: u64) -> u64 {
        match self {
            Self::Seed(_) => self.below(at, width.saturating_add(1)),
            Self::Probe(number) => width * (number as u64 % 2),
        }
    }
}

/// `tree` with every range and every choice replaced by a value.
pub(super) fn drawn(tree: Value, draw: Draw) -> Result<Value, Refusal> {
    if tree.get("seed").is_some_and(|seed| seed.is_string() || seed.is_object()) {
        return Err(("seed".into(), "must be an integer; it cannot be drawn".into()));
    }
    value(tree, &Path::root(), draw)
}

/// How many [`Draw::Probe`]s it takes to see every alternative of `tree`; 1 when there is nothing to draw.
pub(super) fn probes(tree: &Value) -> usize {
    match tree {
        Value::String(text) => 1 + usize::from(range(text).is_some()),
        Value::Array(items) => items.iter().map(probes).max().unwrap_or(1),
        Value::Object(entries) => {
            let inside = entries.values().map(probes).max().unwrap_or(1);
            alternatives(tree).map_or(inside, |all| all.len().max(inside))
        }
        _ => 1,
    }
}

fn value(tree: Value, at: &Path, draw: Draw) -> Result<Value, Refusal> {
    if let Some(all) = alternatives(&tree) {
        if all.is_empty() {
            return Err((at.to_string(), "a choice needs something to choose from".into()));
        }
        let index = draw.below(at, all.len() as u64) as usize;
        // Another path, so that a range among the alternatives does not throw the same dice again.
        return value(all[index].clone(), &at.key("choice").item(index), draw)
            .map_err(|(_, reason)| (at.to_string(), reason));
    }
    match tree {
        Value::String(text) => match range(&text) {
            Some(range) => range.drawn(at, draw),
            None => Ok(Value::String(text)),
        },
        Value::Array(items) => {
            let items = items.into_iter().enumerate();
            items.map(|(index, item)| value(item, &at.item(index), draw)).collect()
        }
        Value::Object(entries) => {
            let drawn = entries.into_iter().map(|(key, entry)| {
                let entry = value(entry, &at.key(&key), draw)?;
                Ok((key, entry))
            });
            drawn.collect()
        }
        other => Ok(other),
    }
}

fn alternatives(tree: &Value) -> Option<&Vec<Value>> {
    let entries = tree.as_object()?;
    if entries.len() == 1 { entries.get("choice")?.as_array() } else { None }
}

/// A range in units of the last decimal of the end that has more of them.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    low: Option<u64>,
    high: Option<u64>,
    decimals: usize,
}

/// `text` as a range: two runs of digits, each with an optional fraction, joined by two points.
fn range(text: &str) -> Option<Range> {
    let (low, high) = text.split_once("..")?;
    let ([low, low_fraction], [high, high_fraction]) = (parts(low)?, parts(high)?);
    let decimals = low_fraction.len().max(high_fraction.len());
    let scaled = |whole: &str, fraction: &str| format!("{whole}{fraction:0<decimals$}").parse().ok();
    Some(Range { low: scaled(low, low_fraction), high: scaled(high, high_fraction), decimals })
}

/// Digits before and behind the point.
fn parts(decimal: &str) -> Option<[&str; 2]> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match decimal.split_once('.') {
        Some((whole, fraction)) => (digits(whole) && digits(fraction)).then_some([whole, fraction]),
        None => digits(decimal).then_some([decimal, ""]),
    }
}

impl Range {
    fn drawn(&self, at: &Path, draw: Draw) -> Result<Value, Refusal> {
        let refused = |reason: &str| (at.to_string(), reason.to_string());
        let (low, high) = self.low.zip(self.high).ok_or_else(|| refused("the range has too many digits"))?;
        let width = high.checked_sub(low).ok_or_else(|| refused("the range ends before it begins"))?;
        let value = low + draw.within(at, width);
        if self.decimals == 0 {
            return Ok(Value::Number(value.into()));
        }
        let digits = format!("{value:0>width$}", width = self.decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - self.decimals);
        Ok(Value::String(format!("{whole}.{fraction}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeSet;

    fn by_seed(tree: &Value, seed: u64) -> Value {
        drawn(tree.clone(), Draw::Seed(Seed(seed))).unwrap()
    }

    #[test]
    fn a_range_reaches_every_value_of_its_width_and_no_other() {
        let values = |range: &str| -> BTreeSet<String> {
            (0..400).map(|seed| by_seed(&json!({ "v": range }), seed)["v"].to_string()).collect()
        };
        assert_eq!(values("10..13"), ["10", "11", "12", "13"].map(String::from).into());
        assert_eq!(values("7..7"), ["7".to_string()].into());
        assert_eq!(values("0.9..1.1"), ["\"0.9\"", "\"1.0\"", "\"1.1\""].map(String::from).into());
        assert_eq!(values("0..0.02"), ["\"0.00\"", "\"0.01\"", "\"0.02\""].map(String::from).into());
    }

    #[test]
    fn a_choice_reaches_every_alternative_also_ranges_and_objects() {
        let tree = json!({ "v": { "choice": [1, "5..6", { "a": "8..9" }] } });
        let seen: BTreeSet<String> = (0..200).map(|seed| by_seed(&tree, seed)["v"].to_string()).collect();
        assert_eq!(seen, ["1", "5", "6", "{\"a\":8}", "{\"a\":9}"].map(String::from).into());
    }

    #[test]
    fn places_have_their_own_dice() {
        let one = json!({ "a": "0..1000000" });
        let two = json!({ "a": "0..1000000", "b": "0..1000000" });
        assert_eq!(by_seed(&one, 5)["a"], by_seed(&two, 5)["a"]);
        assert_ne!(by_seed(&two, 5)["a"], by_seed(&two, 5)["b"]);
        assert_ne!(by_seed(&two, 5)["a"], by_seed(&two, 6)["a"]);
    }

    #[test]
    fn probes_see_every_alternative_and_both_ends() {
        let tree =
            json!({ "v": { "choice": [1, 2, 3] }, "w": "4..8", "x": [{ "choice": [{ "y": "1..2" }] }] });
        assert_eq!(probes(&tree), 3);
        let probe = |number| drawn(tree.clone(), Draw::Probe(number)).unwrap();
        let seen: Vec<_> = (0..3).map(probe).map(|tree| (tree["v"].clone(), tree["w"].clone())).collect();
        assert_eq!(seen, [(json!(1), json!(4)), (json!(2), json!(8)), (json!(3), json!(4))]);
        assert_eq!(probes(&json!({ "v": 1 })), 1);
    }

    #[test]
    fn what_cannot_be_drawn_is_refused_with_its_place() {
        let refused = |tree: Value| drawn(tree, Draw::Seed(Seed(1))).unwrap_err();
        assert_eq!(refused(json!({ "a": [{ "b": "9..3" }] })).0, "a[0].b");
        assert!(refused(json!({ "a": "0..99999999999999999999" })).1.contains("too many digits"));
        assert!(refused(json!({ "a": { "choice": [] } })).1.contains("something to choose"));
        assert_eq!(refused(json!({ "a": { "choice": ["9..3"] } })).0, "a");
        assert!(refused(json!({ "seed": "1..9" })).1.contains("cannot be drawn"));
    }

    #[test]
    fn other_strings_stay_as_they_are() {
        let tree = json!({ "a": "1...2", "b": "..2", "c": "1..", "d": "x..y", "e": "1.5", "f": { "choice": [1], "more": 2 } });
        assert_eq!(by_seed(&tree, 1), tree);
    }
}
