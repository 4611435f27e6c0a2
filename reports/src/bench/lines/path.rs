//! Lines, as scenarios for a trial.

use super::contestants::Contestant;
use crate::performance::{LineFacts, PathFacts};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::path::Path;

/// Rate of the lines of curves.
const RATE_KBIT: u64 = 20_000;

/// Their queue.
const QUEUE_PACKETS: u64 = 100;

/// Round trip of the curve over loss, and loss of the curve over round trips.
const LOSS_RTT_MS: f64 = 100.0;
const RTT_LOSS_PCT: f64 = 2.0;

/// A line.
pub(super) struct Line {
    pub(super) facts: LineFacts,
    pub(super) path: PathFacts,
    /// A scenario, whose links matter.
    scenario: Value,
}

/// Of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    /// Does not count: windows grow.
    pub(super) warm_ms: u64,
    pub(super) counted_ms: u64,
    /// For echoes that are under way at the end.
    drain_ms: u64,
}

impl Times {
    pub(super) fn new(line: &Line, seconds: u64) -> Self {
        let rtt_ms = line.path.rtt_ms as u64;
        Self { warm_ms: 1_500 + 6 * rtt_ms, counted_ms: seconds * 1_000, drain_ms: 300 + 2 * rtt_ms }
    }
}

impl Line {
    /// The links of a scenario file.
    pub(super) fn of_file(file: &Path) -> anyhow::Result<Self> {
        let name = || file.display().to_string();
        let text = std::fs::read_to_string(file).with_context(name)?;
        let scenario: Value = serde_json::from_str(&text).with_context(name)?;
        let path = path(&scenario).with_context(name)?;
        let said = |key: &str| scenario[key].as_str().unwrap_or_default().to_owned();
        let (curve, links) = (said("name"), said("description"));
        if curve.is_empty() {
            bail!("{}: a scenario has a name", name());
        }
        Ok(Self { facts: LineFacts { curve, at: None, links, path: Some(path) }, path, scenario })
    }

    /// A point of the curve over loss.
    pub(super) fn of_loss(at: f64) -> Self {
        Self::of_curve("loss", at, at, LOSS_RTT_MS)
    }

    /// A point of the curve over round trips.
    pub(super) fn of_rtt(at: f64) -> Self {
        Self::of_curve("rtt", at, RTT_LOSS_PCT, at)
    }

    fn of_curve(curve: &str, at: f64, loss_pct: f64, rtt_ms: f64) -> Self {
        let link = json!({
            "mtu_bytes": 1500,
            "rate_kbit": RATE_KBIT,
            "queue_packets": QUEUE_PACKETS,
            "delay_ms": (rtt_ms / 2.0).to_string(),
            "loss_pct": loss_pct.to_string(),
        });
        let scenario = json!({
            "name": curve,
            "description": "A point of a curve.",
            "seed": 1,
            "links": { "up": link, "down": link },
        });
        let path = PathFacts { rate_mbit: RATE_KBIT as f64 / 1e3, loss_pct, rtt_ms };
        let links = format!(
            "{} Mbit/s, round trip {rtt_ms} ms, loss {loss_pct} % each way, queue {QUEUE_PACKETS} packets",
            path.rate_mbit
        );
        let facts = LineFacts { curve: curve.to_owned(), at: Some(at), links, path: Some(path) };
        Self { facts, path, scenario }
    }

    /// Whether it is no point of a curve.
    pub(super) const fn is_of_file(&self) -> bool {
        self.facts.at.is_none()
    }

    /// The scenario of a trial.
    pub(super) fn scenario(&self, who: &Contestant, times: Times) -> Value {
        let mut scenario = self.scenario.clone();
        if let Some(scenario) = scenario.as_object_mut() {
            ["expect", "baseline", "hosts", "faults"].iter().for_each(|key| drop(scenario.remove(*key)));
        }
        scenario["duration_ms"] = (times.warm_ms + times.counted_ms).into();
        scenario["drain_ms"] = times.drain_ms.into();
        scenario["client"] = who.settings[0].clone();
        scenario["server"] = who.settings[1].clone();
        let direction = if who.upload { "up" } else { "down" };
        scenario["workloads"] = json!([
            { "bulk": { "name": "bulk", "direction": direction } },
            { "echo": { "name": "echo", "message_bytes": 64, "interval_ms": 20, "start_ms": times.warm_ms } },
        ]);
        if who.upload {
            let links = &self.scenario["links"];
            scenario["links"] = json!({ "up": links["down"], "down": links["up"] });
        }
        scenario
    }
}

/// What the links promise to a download.
fn path(scenario: &Value) -> anyhow::Result<PathFacts> {
    let [up, down] = ["up", "down"].map(|direction| &scenario["links"][direction]);
    let number = |link: &Value, key: &str| match &link[key] {
        Value::Null => Ok(0.0),
        Value::String(text) => text.parse::<f64>().with_context(|| format!("links: {key} is not one number")),
        value => value.as_f64().with_context(|| format!("links: {key} is not one number")),
    };
    let [police, rate] = [number(down, "police_kbit")?, number(down, "rate_kbit")?];
    let rate_kbit = if police > 0.0 { police } else { rate };
    if rate_kbit <= 0.0 {
        bail!("links.down: neither rate_kbit nor police_kbit");
    }
    let [one, other] = [number(up, "delay_ms")?, number(down, "delay_ms")?];
    // Delay that wanders is half of its range in the mean.
    let wander = (number(up, "wander_ms")? + number(down, "wander_ms")?) / 2.0;
    let rtt_ms = one + other + wander;
    Ok(PathFacts { rate_mbit: rate_kbit / 1e3, loss_pct: number(down, "loss_pct")?, rtt_ms })
}

#[cfg(test)]
mod tests {
    use super::super::contestants::contestants;
    use super::*;

    #[test]
    fn a_path_is_what_the_links_say() {
        let of = |down: Value| {
            path(&json!({ "links": { "up": { "delay_ms": 20 }, "down": down } }))
                .map_err(|error| format!("{error:#}"))
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

    #[test]
    fn an_upload_meets_the_line_turned_round() {
        let line = Line::of_rtt(600.0);
        let mut line = Line { scenario: line.scenario.clone(), ..line };
        line.scenario["links"]["down"]["rate_kbit"] = 7.into();
        line.scenario["expect"] = json!({});
        let times = Times::new(&line, 8);
        assert_eq!(times, Times { warm_ms: 5_100, counted_ms: 8_000, drain_ms: 1_500 });
        let all = contestants(&[]);
        let down = line.scenario(&all[0], times);
        assert!(down["links"]["down"]["rate_kbit"] == 7 && down["expect"].is_null(), "{down}");
        let mut upload = contestants(&[]).remove(0);
        upload.upload = true;
        let up = line.scenario(&upload, times);
        assert_eq!(
            (&up["links"]["up"]["rate_kbit"], &up["workloads"][0]["bulk"]["direction"]),
            (&7.into(), &"up".into())
        );
        assert_eq!(
            (&up["duration_ms"], &up["workloads"][1]["echo"]["start_ms"]),
            (&13_100.into(), &5_100.into())
        );
    }
}
