//! The keys of the machines, and the plans made of them.

use super::Refusal;
use super::rules::{DAY_US, MINUTE_US, each_within, refuse_if, within};
use crate::plan::{ClockPlan, HostPlan, Hosts, Stall, Timeline};
use crate::units::Millis;
use schemars::JsonSchema;
use serde::de::{Error, IntoDeserializer, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

const STALLS_MAX: usize = 1_000;
const CLOCK_OFFSET_MS_MAX: u64 = 1 << 33;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HostsKeys {
    /// The machine of the client.
    #[serde(default)]
    client: HostKeys,
    /// The machine of the server.
    #[serde(default)]
    server: HostKeys,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HostKeys {
    /// Room in the socket for datagrams that the process has not taken, bytes (4194304).
    receive_buffer_bytes: Option<Timeline<u64>>,
    /// When the process does not run.
    #[serde(default)]
    stalls: Vec<StallKeys>,
    /// The most by which a timer fires late.
    #[serde(default)]
    timer_slack_ms: Timeline<Millis>,
    /// Processor time per datagram sent or received, microseconds.
    #[serde(default)]
    cpu_us_per_datagram: Timeline<u64>,
    /// What the process's clock shows at the beginning, or `wrap`: 2^32 ms are crossed in the first quarter of the duration. Without it one seed in three does.
    clock_offset_ms: Option<ClockKey>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StallKeys {
    /// A single stall, at this time.
    at_ms: Option<Millis>,
    /// A stall each time this has passed.
    every_ms: Option<Millis>,
    /// Length of the stall.
    for_ms: Millis,
}

pub(super) fn plan(keys: &HostsKeys) -> Result<Hosts, Refusal> {
    Ok(Hosts { client: host("hosts.client", &keys.client)?, server: host("hosts.server", &keys.server)? })
}

fn host(at: &str, keys: &HostKeys) -> Result<HostPlan, Refusal> {
    let key = |name: &str| format!("{at}.{name}");
    let default = HostPlan::default();
    let buffer = keys.receive_buffer_bytes.clone().unwrap_or(default.receive_buffer_bytes);
    each_within(
        &key("receive_buffer_bytes"),
        Some(&buffer),
        1_500,
        1 << 40,
        "between 1500 and 1099511627776",
    )?;
    let slack = keys.timer_slack_ms.map(|slack| slack.us);
    each_within(&key("timer_slack_ms"), Some(&slack), 0, MINUTE_US, "at most a minute")?;
    let cpu = keys.cpu_us_per_datagram.clone();
    each_within(&key("cpu_us_per_datagram"), Some(&cpu), 0, 1_000_000, "at most 1000000")?;
    refuse_if(keys.stalls.len() > STALLS_MAX, key("stalls"), "must hold at most 1000 stalls")?;
    let stalls = keys.stalls.iter().enumerate();
    Ok(HostPlan {
        receive_buffer_bytes: buffer,
        stalls: stalls
            .map(|(n, keys)| stall(&format!("{at}.stalls[{n}]"), keys))
            .collect::<Result<_, _>>()?,
        timer_slack_us: slack,
        cpu_us_per_datagram: cpu,
        clock: clock(&key("clock_offset_ms"), keys.clock_offset_ms.as_ref())?,
    })
}

fn stall(at: &str, keys: &StallKeys) -> Result<Stall, Refusal> {
    let for_us = keys.for_ms.us;
    match (keys.at_ms, keys.every_ms) {
        (Some(start), None) => {
            within(&format!("{at}.at_ms"), start.us, 0, DAY_US, "at most a day")?;
            within(&format!("{at}.for_ms"), for_us, 1, DAY_US, "above 0 and at most a day")?;
            Ok(Stall::Once { at_us: start.us, for_us })
        }
        (None, Some(period)) => {
            within(&format!("{at}.every_ms"), period.us, 1_000, DAY_US, "between 1 ms and a day")?;
            let longest = period.us - 1;
            within(&format!("{at}.for_ms"), for_us, 1, longest, "above 0 and shorter than every_ms")?;
            Ok(Stall::Every { period_us: period.us, for_us })
        }
        _ => Err((at.into(), "needs either at_ms or every_ms".into())),
    }
}

fn clock(at: &str, key: Option<&ClockKey>) -> Result<ClockPlan, Refusal> {
    match key {
        None => Ok(ClockPlan::Seeded),
        Some(ClockKey::Wrap) => Ok(ClockPlan::Wrap),
        Some(ClockKey::Offset(offset)) => {
            within(at, offset.us, 0, CLOCK_OFFSET_MS_MAX * 1_000, "at most 8589934592, twice the wrap")?;
            Ok(ClockPlan::Offset { us: offset.us })
        }
    }
}

#[derive(Debug)]
enum ClockKey {
    Wrap,
    Offset(Millis),
}

impl JsonSchema for ClockKey {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "clock".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let start = generator.subschema_for::<Millis>();
        schemars::json_schema!({ "anyOf": [start, { "const": "wrap" }] })
    }
}

impl<'de> Deserialize<'de> for ClockKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OffsetOrWrap)
    }
}

struct OffsetOrWrap;

impl Visitor<'_> for OffsetOrWrap {
    type Value = ClockKey;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a time in ms, or \"wrap\"")
    }

    fn visit_u64<E: Error>(self, ms: u64) -> Result<ClockKey, E> {
        Millis::deserialize(ms.into_deserializer()).map(ClockKey::Offset)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ClockKey, E> {
        if text == "wrap" {
            return Ok(ClockKey::Wrap);
        }
        Millis::deserialize(text.into_deserializer()).map(ClockKey::Offset)
    }
}
