//! The emulated paths of measurements: the links of a scenario file, or a point of a curve over loss or round-trip time.

use crate::path::Conditions;
use crate::results::{PathFacts, PathInfo};
use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use sim::{Scenario, ScenarioFile};
use std::path::Path;

/// An emulated path with its name and description.
#[derive(Clone, Debug)]
pub struct EmulatedPath {
    /// Name and description.
    pub info: PathInfo,
    /// Scenario as JSON, of which only the network is used.
    pub(super) scenario: Value,
}

/// The bottleneck of the paths along a curve.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bottleneck {
    pub(super) rate_kbit: u64,
    /// Scenario key of the queue limit, the limit, and its description.
    pub(super) queue: (&'static str, u64, &'static str),
}

/// A point of a curve.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    /// `loss` or `rtt`.
    pub(super) curve: &'static str,
    /// Position on the curve: percent, or milliseconds.
    pub(super) at: f64,
    /// Loss rate in each direction.
    pub(super) loss_pct: f64,
    pub(super) rtt_ms: f64,
}

impl EmulatedPath {
    /// The links of a scenario file.
    ///
    /// # Errors
    /// The file cannot be read, is not JSON, or names no scenario.
    pub fn of_file(file: &Path) -> anyhow::Result<Self> {
        let shown = || file.display().to_string();
        let text = std::fs::read_to_string(file).with_context(shown)?;
        let scenario: Value = serde_json::from_str(&text).with_context(shown)?;
        let text = |key: &str| scenario[key].as_str().unwrap_or_default().to_owned();
        let (curve, links) = (text("name"), text("description"));
        ensure!(!curve.is_empty(), "{}: the scenario has no name", shown());
        Ok(Self { info: PathInfo { curve, at: None, links, facts: None }, scenario })
    }

    /// A path with the same links in both directions.
    pub(super) fn of_point(point: Point, bottleneck: Bottleneck) -> Self {
        let Point { curve, at, loss_pct, rtt_ms } = point;
        let (queue, limit, limit_text) = bottleneck.queue;
        let link = json!({
            "mtu_bytes": 1500,
            "rate_kbit": bottleneck.rate_kbit,
            queue: limit,
            "delay_ms": (rtt_ms / 2.0).to_string(),
            "loss_pct": loss_pct.to_string(),
        });
        let scenario = json!({
            "name": curve,
            "description": "A point of a curve.",
            "seed": 1,
            "duration_ms": 1000,
            "links": { "up": link, "down": link },
            // A scenario needs a workload; measurements replace it.
            "workloads": [{ "echo": { "name": "echo", "message_bytes": 64, "interval_ms": 100 } }],
        });
        let rate_mbit = bottleneck.rate_kbit as f64 / 1e3;
        let links = format!(
            "{rate_mbit} Mbit/s, round trip {rtt_ms} ms, loss {loss_pct} % each way, queue {limit_text}"
        );
        Self { info: PathInfo { curve: curve.to_owned(), at: Some(at), links, facts: None }, scenario }
    }

    /// Whether the links come from a scenario file.
    pub(super) const fn is_of_file(&self) -> bool {
        self.info.at.is_none()
    }

    /// The network of the scenario under a seed.
    pub(super) fn conditions(&self, seed: u64) -> anyhow::Result<Conditions> {
        Ok(Conditions::of(&drawn(&self.scenario, seed)?, seed).without_restarts())
    }

    /// Nominal figures for a download.
    pub(super) fn facts(&self) -> anyhow::Result<PathFacts> {
        let [up, down] = ["up", "down"].map(|direction| &self.scenario["links"][direction]);
        let number = |link: &Value, key: &str| match &link[key] {
            Value::Null => Ok(0.0),
            Value::String(text) => {
                text.parse::<f64>().with_context(|| format!("links: {key} is not one number"))
            }
            value => value.as_f64().with_context(|| format!("links: {key} is not one number")),
        };
        let [police, rate] = [number(down, "police_kbit")?, number(down, "rate_kbit")?];
        let rate_kbit = if police > 0.0 { police } else { rate };
        if rate_kbit <= 0.0 {
            bail!("links.down: neither rate_kbit nor police_kbit");
        }
        let [one, other] = [number(up, "delay_ms")?, number(down, "delay_ms")?];
        // The mean of a varying delay is half of its range.
        let wander = (number(up, "wander_ms")? + number(down, "wander_ms")?) / 2.0;
        let rtt_ms = one + other + wander;
        Ok(PathFacts { rate_mbit: rate_kbit / 1e3, loss_pct: number(down, "loss_pct")?, rtt_ms })
    }
}

/// Parses the scenario and draws its random values with `seed`.
pub(super) fn drawn(scenario: &Value, seed: u64) -> anyhow::Result<Scenario> {
    let name = scenario["name"].as_str().unwrap_or("scenario");
    Ok(ScenarioFile::parse(name, &scenario.to_string())?.draw(seed)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_those_of_the_links() {
        let of = |down: Value| {
            let scenario = json!({ "links": { "up": { "delay_ms": 20 }, "down": down } });
            let info = PathInfo { curve: String::new(), at: None, links: String::new(), facts: None };
            EmulatedPath { info, scenario }.facts().map_err(|error| format!("{error:#}"))
        };
        let facts = |rate_mbit, loss_pct, rtt_ms| Ok(PathFacts { rate_mbit, loss_pct, rtt_ms });
        assert_eq!(
            of(json!({ "rate_kbit": 8000, "delay_ms": 22, "loss_pct": "0.5" })),
            facts(8.0, 0.5, 42.0)
        );
        assert_eq!(
            of(json!({ "rate_kbit": 100, "police_kbit": 10, "wander_ms": 8 })),
            facts(0.01, 0.0, 24.0)
        );
        assert!(
            of(json!({ "rate_kbit": [[0, 5], [9, 7]] })).unwrap_err().contains("rate_kbit is not one number")
        );
        assert!(of(json!({ "rate_kbit": "10..80" })).unwrap_err().contains("rate_kbit"));
        assert!(of(json!({})).unwrap_err().contains("neither"));
    }
}
