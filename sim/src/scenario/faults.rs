//! The keys of faults and of the address translator, and the plans made of them.

use super::Refusal;
use super::rules::{DAY_US, refuse_if, within};
use crate::Side;
use crate::plan::{FaultKind, FaultName, FaultPlan, NatPlan, Ways};
use crate::units::{Millis, Percent};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

const FAULTS_MAX: usize = 1_000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fault {
    /// The server dies with all its sessions, and comes back without them.
    ServerRestart(RestartKeys),
    /// The client dies with all its tunnels, and comes back without them.
    ClientRestart(ClientRestartKeys),
    /// The client's public port changes.
    NatRebinding(AtKeys),
    /// The client's public address changes.
    AddressChange(AtKeys),
    /// Nothing gets through.
    Blackout(BlackoutKeys),
    /// A side's clock jumps ahead, as after a suspended process; never back, since tunnels live by a monotonic clock.
    ClockStep(ClockStepKeys),
    /// A side resets all its streams, as a program that stops does; without half-close at both ends nothing happens.
    StreamReset(StreamResetKeys),
    /// A share of packets arrives twice.
    DuplicateStorm(ShareKeys),
    /// A share of datagrams has flipped bits.
    Corruption(ShareKeys),
    /// Only one direction gets through.
    OneWay(OneWayKeys),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AtKeys {
    /// When it begins, before `duration_ms`.
    at_ms: Millis,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RestartKeys {
    /// When it begins, before `duration_ms`.
    at_ms: Millis,
    /// How long the process does not run; it comes back with nothing.
    down_ms: Millis,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClientRestartKeys {
    /// When it begins, before `duration_ms`.
    at_ms: Millis,
    /// How long the process does not run; it comes back with nothing.
    down_ms: Millis,
    /// Its next tunnel has the public address of the last one.
    #[serde(default)]
    keep_address: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BlackoutKeys {
    /// When it begins, before `duration_ms`.
    at_ms: Millis,
    /// How long it lasts.
    for_ms: Millis,
    /// The links that are dead.
    #[serde(default)]
    direction: WaysKey,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OneWayKeys {
    /// When it begins, before `duration_ms`.
    at_ms: Millis,
    /// How long it lasts.
    for_ms: Millis,
    /// The only direction that gets through.
    direction: WayKey,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClockStepKeys {
    /// The side whose clock jumps.
    side: SideKey,
    /// When it begins, before `duration_ms`.
    at_ms: Millis,
    /// By how much it jumps ahead.
    #[serde(deserialize_with = "ahead")]
    by_ms: Millis,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StreamResetKeys {
    /// The side that resets all its streams.
    side: SideKey,
    /// When it begins, before `duration_ms`.
    at_ms: Millis,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ShareKeys {
    /// When it begins, before `duration_ms`.
    at_ms: Millis,
    /// How long it lasts.
    for_ms: Millis,
    /// Share of packets that are affected, percent.
    pct: Percent,
    /// The links that are affected.
    #[serde(default)]
    direction: WaysKey,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum WaysKey {
    #[default]
    Both,
    Up,
    Down,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum WayKey {
    Up,
    Down,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum SideKey {
    Client,
    Server,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NatKeys {
    /// A mapping over which nothing was sent for that long is forgotten; without it, mappings last.
    timeout_ms: Option<Millis>,
    /// Inbound datagrams keep a mapping alive, too.
    #[serde(default)]
    inbound_refreshes: bool,
}

pub(super) fn nat(keys: &NatKeys) -> Result<NatPlan, Refusal> {
    let timeout_us = keys.timeout_ms.map(|timeout| timeout.us);
    within("nat.timeout_ms", timeout_us.unwrap_or(DAY_US), 1_000, DAY_US, "between 1 ms and a day")?;
    Ok(NatPlan { timeout_us, inbound_refreshes: keys.inbound_refreshes })
}

/// `duration_us`: faults begin before the sources stop, or they would show nothing.
pub(super) fn plan(list: &[Fault], duration_us: u64) -> Result<Vec<FaultPlan>, Refusal> {
    refuse_if(list.len() > FAULTS_MAX, "faults".into(), "must hold at most 1000 faults")?;
    list.iter().enumerate().map(|(index, fault)| one_plan(index, fault, duration_us)).collect()
}

fn one_plan(index: usize, fault: &Fault, duration_us: u64) -> Result<FaultPlan, Refusal> {
    let (at, length, kind) = read(fault);
    let plan = FaultPlan { at_us: at.us, for_us: length.map_or(0, |(_, length)| length.us), kind };
    let name = match fault {
        Fault::Blackout(_) => FaultName::Blackout,
        Fault::OneWay(_) => FaultName::OneWay,
        _ => kind.name(),
    };
    let key = |key: &str| format!("faults[{index}].{name}.{key}");
    within(&key("at_ms"), plan.at_us, 0, duration_us - 1, "before duration_ms")?;
    if let Some((name, _)) = length {
        within(&key(name), plan.for_us, 1_000, DAY_US, "between 1 ms and a day")?;
    }
    if let FaultKind::ClockStep { by_us, .. } = kind {
        within(&key("by_ms"), by_us, 1_000, DAY_US, "between 1 ms and a day")?;
    }
    Ok(plan)
}

/// Refuses a step back in words.
fn ahead<'de, D: Deserializer<'de>>(from: D) -> Result<Millis, D::Error> {
    let number = serde_json::Value::deserialize(from)?;
    if number.as_i64().is_some_and(|ms| ms < 0) || number.as_str().is_some_and(|ms| ms.starts_with('-')) {
        let reason = "must be above 0: tunnels live by a monotonic clock, and a clock that steps back is the wall clock";
        return Err(D::Error::custom(reason));
    }
    serde_json::from_value(number).map_err(D::Error::custom)
}

/// When it begins, the key and value of its length if it has one, and what it does.
fn read(fault: &Fault) -> (Millis, Option<(&'static str, Millis)>, FaultKind) {
    match fault {
        Fault::ServerRestart(keys) => (keys.at_ms, Some(("down_ms", keys.down_ms)), FaultKind::ServerRestart),
        Fault::ClientRestart(keys) => {
            let kind = FaultKind::ClientRestart { keep_address: keys.keep_address };
            (keys.at_ms, Some(("down_ms", keys.down_ms)), kind)
        }
        Fault::NatRebinding(keys) => (keys.at_ms, None, FaultKind::NatRebinding),
        Fault::AddressChange(keys) => (keys.at_ms, None, FaultKind::AddressChange),
        Fault::Blackout(keys) => {
            (keys.at_ms, Some(("for_ms", keys.for_ms)), FaultKind::Blackout(keys.direction.ways()))
        }
        Fault::ClockStep(keys) => {
            (keys.at_ms, None, FaultKind::ClockStep { side: keys.side.side(), by_us: keys.by_ms.us })
        }
        Fault::StreamReset(keys) => (keys.at_ms, None, FaultKind::StreamReset { side: keys.side.side() }),
        Fault::DuplicateStorm(keys) => {
            let kind = FaultKind::DuplicateStorm { ppm: keys.pct.ppm, ways: keys.direction.ways() };
            (keys.at_ms, Some(("for_ms", keys.for_ms)), kind)
        }
        Fault::Corruption(keys) => {
            let kind = FaultKind::Corruption { ppm: keys.pct.ppm, ways: keys.direction.ways() };
            (keys.at_ms, Some(("for_ms", keys.for_ms)), kind)
        }
        Fault::OneWay(keys) => {
            (keys.at_ms, Some(("for_ms", keys.for_ms)), FaultKind::Blackout(keys.direction.other()))
        }
    }
}

impl SideKey {
    const fn side(self) -> Side {
        match self {
            Self::Client => Side::Client,
            Self::Server => Side::Server,
        }
    }
}

impl WaysKey {
    const fn ways(self) -> Ways {
        match self {
            Self::Both => Ways::Both,
            Self::Up => Ways::Up,
            Self::Down => Ways::Down,
        }
    }
}

impl WayKey {
    const fn other(self) -> Ways {
        match self {
            Self::Up => Ways::Down,
            Self::Down => Ways::Up,
        }
    }
}
