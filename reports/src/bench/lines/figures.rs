//! What a trial found, from what `karst-interop netns` wrote.

use super::contestants::Contestant;
use super::path::{Line, Times};
use crate::performance::Trial;
use anyhow::{Context, bail, ensure};
use serde_json::Value;

/// The figures of the only trial in `contest`.
pub(super) fn trial(contest: &Value, line: &Line, who: &Contestant, times: Times) -> anyhow::Result<Trial> {
    let trial = &contest["contestants"][0]["trials"][0];
    if trial["ok"] != true {
        bail!("{}", trial["why"].as_str().unwrap_or("no trial"));
    }
    let result = &trial["result"];
    let progress = Window::new(&result["progress"], times)?;
    let way = if who.upload { "up" } else { "down" };
    let mut found = Trial::default();
    let read = &result["progress"]["read_bytes"];
    let bulk = progress.moved(&read[0])?;
    found.note("goodput_mbit", bulk * 8.0 / progress.us);
    let useful = bulk + progress.moved(&read[1])?;
    let sent = progress.moved(&result["progress"]["sent_bytes"][way])?;
    if useful > 0.0 {
        found.note("wire_per_useful", sent / useful);
    }
    let queue = progress.median(&result["progress"]["waiting_bytes"][way])?;
    found.note("queue_ms", queue * 8.0 / 1e3 / line.path.rate_mbit);
    let echo = &result["workloads"][1];
    let latency = &echo["latency_us"];
    if latency["count"].as_u64().is_some_and(|count| count > 0) {
        for (name, percentile) in [("echo_p50_ms", "p50"), ("echo_p99_ms", "p99")] {
            found.note(name, latency[percentile].as_f64().context("latency")? / 1e3);
        }
    }
    let count = |value: &Value| value.as_f64().unwrap_or(0.0);
    found.note("echo_missing", count(&echo["sent"]) - count(&echo["received"]));
    found.note("late_p99_ms", count(&result["line"]["added_us"]["p99"]) / 1e3);
    found.error = doubt(result);
    Ok(found)
}

/// Why the figures mean nothing.
pub(super) fn doubt(result: &Value) -> Option<String> {
    let overflow = result["line"]["overflow_packets"].as_u64().unwrap_or(0);
    let works = result["workloads"].as_array().into_iter().flatten();
    let cut: u64 = works.filter_map(|work| work["streams_reset"].as_u64()).sum();
    match (overflow, cut) {
        (0, 0) => None,
        (0, cut) => Some(format!("{cut} connections were cut")),
        (lost, _) => Some(format!("{lost} packets were lost outside of the line")),
    }
}

/// The part of a trial that counts.
struct Window {
    first: usize,
    last: usize,
    /// How long it is.
    us: f64,
}

impl Window {
    fn new(progress: &Value, times: Times) -> anyhow::Result<Self> {
        let at = numbers(&progress["at_us"])?;
        let from = times.warm_ms as f64 * 1e3;
        let until = from + times.counted_ms as f64 * 1e3;
        let first = at.iter().position(|at| *at >= from).context("the trial ended early")?;
        let last = at.iter().rposition(|at| *at <= until).context("the trial began late")?;
        ensure!(first < last, "the trial ended early");
        Ok(Self { first, last, us: at[last] - at[first] })
    }

    /// By how much a count grew.
    fn moved(&self, counts: &Value) -> anyhow::Result<f64> {
        let counts = numbers(counts)?;
        let at = |at: usize| counts.get(at).copied().context("a list is too short");
        Ok(at(self.last)? - at(self.first)?)
    }

    fn median(&self, values: &Value) -> anyhow::Result<f64> {
        let values = numbers(values)?;
        let mut values = values.get(self.first..=self.last).context("a list is too short")?.to_vec();
        values.sort_by(f64::total_cmp);
        Ok(values[values.len() / 2])
    }
}

pub(super) fn numbers(list: &Value) -> anyhow::Result<Vec<f64>> {
    let list = list.as_array().context("karst-interop netns did not note the progress")?;
    Ok(list.iter().filter_map(Value::as_f64).collect())
}

#[cfg(test)]
mod tests {
    use super::super::contestants::contestants;
    use super::*;
    use serde_json::json;

    fn contest() -> Value {
        let result = json!({
            "workloads": [
                { "streams_reset": 0 },
                { "sent": 50, "received": 49, "streams_reset": 0, "latency_us": { "count": 49, "p50": 101_000, "p99": 150_000 } },
            ],
            "line": { "overflow_packets": 0, "added_us": { "p99": 300 } },
            "progress": {
                // Warm for 2.1 s, then a second.
                "at_us": [0, 2_100_000, 2_600_000, 3_100_000, 3_600_000],
                "read_bytes": [[0, 500_000, 1_000_000, 1_500_000, 9_000_000], [0, 0, 500, 1_000, 9_000]],
                "sent_bytes": { "up": [0, 0, 0, 0, 0], "down": [0, 1_000_000, 2_000_000, 3_001_000, 9_999_999] },
                "waiting_bytes": { "up": [0, 0, 0, 0, 0], "down": [9_999, 5_000, 2_500, 10_000, 9_999] },
            },
        });
        json!({ "contestants": [{ "trials": [{ "ok": true, "result": result }] }] })
    }

    fn found(contest: &Value) -> anyhow::Result<Trial> {
        let line = Line::of_loss(1.0);
        let times = Times::new(&line, 1);
        trial(contest, &line, &contestants(&[])[0], times)
    }

    #[test]
    fn only_the_window_counts() {
        let trial = found(&contest()).unwrap();
        let expected = [
            ("echo_missing", 1.0),
            ("echo_p50_ms", 101.0),
            ("echo_p99_ms", 150.0),
            ("goodput_mbit", 8.0),
            ("late_p99_ms", 0.3),
            ("queue_ms", 2.0),
            ("wire_per_useful", 1.999),
        ];
        let found: Vec<(&str, f64)> =
            trial.metrics.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        assert_eq!((found, trial.error), (expected.to_vec(), None));
    }

    #[test]
    fn what_means_nothing_is_said() {
        let mut contest = contest();
        let result = &mut contest["contestants"][0]["trials"][0]["result"];
        result["line"]["overflow_packets"] = 3.into();
        assert_eq!(found(&contest).unwrap().error.unwrap(), "3 packets were lost outside of the line");
        contest["contestants"][0]["trials"][0]["result"]["progress"]["at_us"] = json!([0, 1]);
        assert!(format!("{:#}", found(&contest).unwrap_err()).contains("ended early"));
        contest["contestants"][0]["trials"][0] = json!({ "ok": false, "why": "no root" });
        assert_eq!(format!("{:#}", found(&contest).unwrap_err()), "no root");
    }
}
