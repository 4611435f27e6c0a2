//! Values that change over time.

use crate::units::Millis;
use engine::Instant;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::StrDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// A value over time: constant, or one that jumps at known times.
///
/// In scenario files it is the plain value, or an array of `[at_ms, value]` pairs whose first time is 0 and whose times
/// ascend: `20` or `[[0, 20], [5000, 80], [8000, 20]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline<T> {
    first: T,
    /// From that microsecond on; ascending, above 0.
    later: Vec<(u64, T)>,
}

impl<T> From<T> for Timeline<T> {
    fn from(always: T) -> Self {
        Self { first: always, later: Vec::new() }
    }
}

impl<T: Copy> Timeline<T> {
    /// The value from `us` microseconds on becomes `value`; times ascend from call to call, and start above 0.
    #[must_use]
    pub fn then(mut self, us: u64, value: T) -> Self {
        debug_assert!(self.later.last().map_or(0, |(at, _)| *at) < us);
        self.later.push((us, value));
        self
    }

    /// The value at `now`.
    pub fn at(&self, now: Instant) -> T {
        if self.later.is_empty() {
            return self.first;
        }
        let passed = self.later.partition_point(|(us, _)| *us <= now.as_micros());
        if passed == 0 { self.first } else { self.later[passed - 1].1 }
    }

    /// When the values begin, microseconds, ascending from 0.
    pub fn times(&self) -> impl Iterator<Item = u64> {
        std::iter::once(0).chain(self.later.iter().map(|(us, _)| *us))
    }

    /// All values, in order.
    pub fn values(&self) -> impl Iterator<Item = T> {
        std::iter::once(self.first).chain(self.later.iter().map(|(_, value)| *value))
    }

    /// The values from `now` on, in order.
    pub fn values_from(&self, now: Instant) -> impl Iterator<Item = T> {
        let later = self.later.iter().filter(move |(us, _)| *us > now.as_micros());
        std::iter::once(self.at(now)).chain(later.map(|(_, value)| *value))
    }

    /// The first time from `now` on at which `wanted` holds, with its value; `None` if it never does.
    pub fn first(&self, now: Instant, wanted: impl Fn(T) -> bool) -> Option<(Instant, T)> {
        let current = std::iter::once((now, self.at(now)));
        let later = self.later.iter().map(|(us, value)| (Instant::from_micros(*us), *value));
        current.chain(later.filter(|(at, _)| *at > now)).find(|(_, value)| wanted(*value))
    }

    /// Every value changed by `change`.
    pub fn map<U>(&self, mut change: impl FnMut(T) -> U) -> Timeline<U> {
        let first = change(self.first);
        Timeline { first, later: self.later.iter().map(|(us, value)| (*us, change(*value))).collect() }
    }

    /// Both values at any time; changes whenever one of them does.
    pub fn zip<U: Copy>(&self, other: &Timeline<U>) -> Timeline<(T, U)> {
        let mut times: Vec<u64> = self.later.iter().map(|(us, _)| *us).collect();
        times.extend(other.later.iter().map(|(us, _)| *us));
        times.sort_unstable();
        times.dedup();
        let both = |us| (self.at(Instant::from_micros(us)), other.at(Instant::from_micros(us)));
        Timeline { first: both(0), later: times.into_iter().map(|us| (us, both(us))).collect() }
    }
}

impl<T: JsonSchema> JsonSchema for Timeline<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}_over_time", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (time, value) = (generator.subschema_for::<Millis>(), generator.subschema_for::<T>());
        let pair = json_schema!({
            "type": "array", "prefixItems": [time, value], "minItems": 2, "maxItems": 2
        });
        json_schema!({
            "description": "One value, or pairs of the time in milliseconds and the value from then on.",
            "anyOf": [value, { "type": "array", "items": pair, "minItems": 1 }]
        })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Timeline<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(PlainOrPairs(PhantomData))
    }
}

/// Reads an array as pairs, and hands anything else to `T`, so that errors keep their place and `T`'s own words.
struct PlainOrPairs<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for PlainOrPairs<T> {
    type Value = Timeline<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a value, or an array of [at_ms, value] pairs")
    }

    fn visit_bool<E: Error>(self, plain: bool) -> Result<Timeline<T>, E> {
        T::deserialize(plain.into_deserializer()).map(Timeline::from)
    }

    fn visit_u64<E: Error>(self, plain: u64) -> Result<Timeline<T>, E> {
        T::deserialize(plain.into_deserializer()).map(Timeline::from)
    }

    fn visit_i64<E: Error>(self, plain: i64) -> Result<Timeline<T>, E> {
        T::deserialize(plain.into_deserializer()).map(Timeline::from)
    }

    fn visit_f64<E: Error>(self, plain: f64) -> Result<Timeline<T>, E> {
        T::deserialize(plain.into_deserializer()).map(Timeline::from)
    }

    fn visit_str<E: Error>(self, plain: &str) -> Result<Timeline<T>, E> {
        T::deserialize(StrDeserializer::new(plain)).map(Timeline::from)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pairs: A) -> Result<Timeline<T>, A::Error> {
        let Some(Pair::<T>(start, first)) = pairs.next_element()? else {
            return Err(A::Error::custom("a schedule needs at least one [at_ms, value] pair"));
        };
        if start.us != 0 {
            return Err(A::Error::custom("a schedule starts with a pair at 0"));
        }
        let mut timeline: Timeline<T> = first.into();
        let mut before_us = 0;
        while let Some(Pair::<T>(at, value)) = pairs.next_element()? {
            if at.us <= before_us {
                return Err(A::Error::custom("the times of a schedule ascend"));
            }
            before_us = at.us;
            timeline.later.push((at.us, value));
        }
        Ok(timeline)
    }
}

/// One step of a schedule. A type of its own, because serde's tuples complain about their length in other words.
struct Pair<T>(Millis, T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pair<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(OnePair(PhantomData))
    }
}

struct OnePair<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OnePair<T> {
    type Value = Pair<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a pair [at_ms, value]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Pair<T>, A::Error> {
        let at = items.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        let value = items.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
        if items.next_element::<serde::de::IgnoredAny>()?.is_some() {
            return Err(A::Error::invalid_length(3, &self));
        }
        Ok(Pair(at, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Percent;

    fn at<T: Copy>(timeline: &Timeline<T>, us: u64) -> T {
        timeline.at(Instant::from_micros(us))
    }

    fn refusal<T: for<'de> Deserialize<'de>>(json: &str) -> (String, String) {
        let from = &mut serde_json::Deserializer::from_str(json);
        let error = serde_path_to_error::deserialize::<_, Timeline<T>>(from).map(|_| ()).unwrap_err();
        (error.path().to_string(), error.inner().to_string())
    }

    #[test]
    fn a_plain_value_holds_for_ever() {
        let timeline: Timeline<Millis> = serde_json::from_str("\"0.5\"").unwrap();
        assert_eq!((at(&timeline, 0).us, at(&timeline, u64::MAX).us), (500, 500));
        assert!(at(&serde_json::from_str::<Timeline<bool>>("true").unwrap(), 9));
    }

    #[test]
    fn a_schedule_jumps_at_its_times() {
        let timeline: Timeline<u64> = serde_json::from_str("[[0, 5], [10, 7], [\"10.5\", 6]]").unwrap();
        let values: Vec<u64> = [0, 9_999, 10_000, 10_499, 10_500, 99_999].map(|us| at(&timeline, us)).into();
        assert_eq!(values, [5, 5, 7, 7, 6, 6]);
        assert_eq!(timeline, Timeline::from(5).then(10_000, 7).then(10_500, 6));
        assert_eq!(timeline.values().collect::<Vec<_>>(), [5, 7, 6]);
        let from = |us| timeline.values_from(Instant::from_micros(us)).collect::<Vec<_>>();
        assert_eq!((from(9_999), from(10_000), from(99_999)), (vec![5, 7, 6], vec![7, 6], vec![6]));
        let first = |us: u64, wanted: u64| timeline.first(Instant::from_micros(us), |value| value == wanted);
        assert_eq!(first(3, 5), Some((Instant::from_micros(3), 5)));
        assert_eq!(first(3, 6), Some((Instant::from_micros(10_500), 6)));
        assert_eq!(first(10_001, 5), None);
    }

    #[test]
    fn two_timelines_change_whenever_one_does() {
        let (a, b) =
            (Timeline::from(1).then(10, 2).then(20, 3), Timeline::from('x').then(10, 'y').then(15, 'z'));
        let both = Timeline::from((1, 'x')).then(10, (2, 'y')).then(15, (2, 'z')).then(20, (3, 'z'));
        assert_eq!(a.zip(&b), both);
        assert_eq!(a.map(|n| n * 10), Timeline::from(10).then(10, 20).then(20, 30));
    }

    #[test]
    fn errors_keep_their_place_and_their_words() {
        assert!(refusal::<Percent>("\"two\"").1.contains("with at most 4 decimals"));
        assert!(refusal::<Percent>("{}").1.contains("array of [at_ms, value] pairs"));
        let (path, reason) = refusal::<Percent>("[[0, 1], [10, 101]]");
        assert_eq!((path.as_str(), reason.contains("more than 100 percent")), ("[1][1]", true));
        let (path, reason) = refusal::<Percent>("[[0, 1], [\"x\", 1]]");
        assert_eq!((path.as_str(), reason.contains("3 decimals")), ("[1][0]", true));
        assert!(refusal::<u64>("[[0]]").1.contains("expected a pair"));
        assert!(refusal::<u64>("[[0, 1, 2]]").1.contains("expected a pair"));
        assert!(refusal::<u64>("[[1, 5]]").1.contains("at 0"));
        assert!(refusal::<u64>("[]").1.contains("at least one"));
        assert!(refusal::<u64>("[[0, 5], [10, 6], [10, 7]]").1.contains("ascend"));
        assert!(refusal::<u64>("-1").1.contains("invalid value"));
    }
}
