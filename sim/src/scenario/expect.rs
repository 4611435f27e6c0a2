//! The keys of expectations, and the list made of them.

use super::Refusal;
use super::rules::refuse_if;
use crate::plan::{Expectation, Limit, Measure, Quantile, WorkPlan};
use crate::units::{Milli, Millis};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    /// Payload per time of a workload, by its name, kbit/s.
    #[serde(default)]
    pub(super) goodput_kbit: BTreeMap<String, GoodputKeys>,
    /// Latency of a workload, by its name.
    #[serde(default)]
    pub(super) latency_ms: BTreeMap<String, LatencyKeys>,
    /// Bytes on the wire per useful byte, at most.
    pub(super) amplification: Option<AmplificationKeys>,
    /// Longest time from the healing of any fault until bytes arrive again that were sent later.
    pub(super) recovery_ms: Option<Millis>,
    /// Longest time from the stop of the sources until everything has arrived.
    pub(super) drained_ms: Option<Millis>,
    /// Most bytes on the wire from the server to addresses of the adversary.
    pub(super) diverted_bytes: Option<u64>,
}

/// Between these, both included.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GoodputKeys {
    /// At least this.
    pub(super) min: Option<u64>,
    /// At most this.
    pub(super) max: Option<u64>,
}

/// At most these.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LatencyKeys {
    /// Median, at most.
    pub(super) p50: Option<Millis>,
    /// 90th percentile, at most.
    pub(super) p90: Option<Millis>,
    /// 99th percentile, at most.
    pub(super) p99: Option<Millis>,
    /// 99.9th percentile, at most.
    pub(super) p999: Option<Millis>,
    /// Maximum, at most.
    pub(super) max: Option<Millis>,
}

/// Bytes on the wire per useful byte, at most.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AmplificationKeys {
    /// From the client to the server.
    pub(super) up: Option<Milli>,
    /// From the server to the client.
    pub(super) down: Option<Milli>,
}

pub(super) fn plan(expect: &Expect, work: &[WorkPlan]) -> Result<Vec<Expectation>, Refusal> {
    let mut list = Vec::new();
    for (name, keys) in &expect.goodput_kbit {
        known(&format!("expect.goodput_kbit.{name}"), name, work)?;
        let mut add = |limit| list.push(Expectation { measure: Measure::GoodputKbit(name.clone()), limit });
        keys.min.map(Limit::AtLeast).map(&mut add);
        keys.max.map(Limit::AtMost).map(&mut add);
    }
    for (name, keys) in &expect.latency_ms {
        known(&format!("expect.latency_ms.{name}"), name, work)?;
        list.extend(latencies(name, keys));
    }
    if let Some(keys) = &expect.amplification {
        let limits = [(Measure::AmplificationUp, keys.up), (Measure::AmplificationDown, keys.down)];
        list.extend(limits.into_iter().filter_map(|(measure, most)| {
            Some(Expectation { measure, limit: Limit::AtMost(most?.thousandths) })
        }));
    }
    let times = [(Measure::RecoveryUs, expect.recovery_ms), (Measure::DrainUs, expect.drained_ms)];
    list.extend(
        times
            .into_iter()
            .filter_map(|(measure, most)| Some(Expectation { measure, limit: Limit::AtMost(most?.us) })),
    );
    list.extend(
        expect
            .diverted_bytes
            .map(|most| Expectation { measure: Measure::DivertedBytes, limit: Limit::AtMost(most) }),
    );
    Ok(list)
}

fn latencies(name: &str, keys: &LatencyKeys) -> impl Iterator<Item = Expectation> {
    let limits = [
        (Quantile::P50, keys.p50),
        (Quantile::P90, keys.p90),
        (Quantile::P99, keys.p99),
        (Quantile::P999, keys.p999),
        (Quantile::Max, keys.max),
    ];
    limits.into_iter().filter_map(move |(quantile, most)| {
        let limit = Limit::AtMost(most?.us);
        Some(Expectation { measure: Measure::LatencyUs(name.into(), quantile), limit })
    })
}

fn known(path: &str, name: &str, work: &[WorkPlan]) -> Result<(), Refusal> {
    let unknown = work.iter().all(|plan| plan.name != name);
    refuse_if(unknown, path.into(), "no workload has that name")
}
