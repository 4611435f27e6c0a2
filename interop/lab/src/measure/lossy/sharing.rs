//! Two flows that share a path, and one flow on a path that changes: goodput over time.

use super::figures::{doubt, read};
use crate::contest::TrialOutcome;
use crate::load::Moment;
use crate::measure::jain;
use crate::results::Trial;
use serde_json::{Value, json};

/// Start of the second flow.
const SECOND_AT_MS: u64 = 2_000;

/// Interval over which shares are computed.
const SHARES_FROM_S: u64 = 20;
const SHARES_UNTIL_S: u64 = 30;

/// Changes of the path: time, new rate, new loss rate.
const CHANGES: [Change; 5] = [
    Change { name: "back_half_s", at_ms: 8_000, rate_mbit: 10.0, loss_pct: 0.0 },
    Change { name: "back_fourfold_s", at_ms: 16_000, rate_mbit: 40.0, loss_pct: 0.0 },
    Change { name: "back_blackout_s", at_ms: 29_000, rate_mbit: 40.0, loss_pct: 0.0 },
    Change { name: "back_loss_s", at_ms: 37_000, rate_mbit: 40.0, loss_pct: 15.0 },
    Change { name: "", at_ms: 45_000, rate_mbit: 0.0, loss_pct: 0.0 },
];

/// Duration of the blackout, which ends at its entry above.
const BLACKOUT_MS: u64 = 5_000;

/// Share of the path's capacity that a flow must reach over one second to have adapted.
const ADAPTED: f64 = 0.9;

struct Change {
    /// Name of the figure that measures the adaptation.
    name: &'static str,
    at_ms: u64,
    rate_mbit: f64,
    loss_pct: f64,
}

/// A case whose figures are taken from the goodput over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimedCase {
    /// Two flows; the first starts alone.
    OnSharedPath([&'static str; 2]),
    /// One flow on a path that changes.
    OnChangingPath(&'static str),
}

/// The cases in measurement order.
pub(super) const TIMED_CASES: [TimedCase; 4] = [
    TimedCase::OnSharedPath(["auto", "auto"]),
    TimedCase::OnSharedPath(["tcp-bbr", "auto"]),
    TimedCase::OnSharedPath(["tcp-cubic", "auto"]),
    TimedCase::OnChangingPath("auto"),
];

impl TimedCase {
    /// Names of the contestants, in the order of their flows.
    pub(super) fn names(&self) -> &[&'static str] {
        match self {
            Self::OnSharedPath(names) => names,
            Self::OnChangingPath(name) => std::slice::from_ref(name),
        }
    }

    /// Name on the page.
    pub(super) fn name(&self) -> String {
        match self {
            Self::OnSharedPath([first, second]) => format!("{first} + {second}"),
            Self::OnChangingPath(name) => format!("{name}, changes"),
        }
    }

    /// Description of the path and its changes.
    pub(super) const fn about(&self) -> &'static str {
        match self {
            Self::OnSharedPath(_) => {
                "20 Mbit/s, round trip 40 ms, no loss, queue 100 packets; the second begins after 2 s"
            }
            Self::OnChangingPath(_) => {
                "20 Mbit/s, round trip 40 ms, queue 100 packets; 10 Mbit/s after 8 s, 40 Mbit/s after 16 s, nothing passes from 24 s to 29 s, \
                 15 % loss each way after 37 s; until 45 s"
            }
        }
    }

    /// The scenario as JSON.
    pub(super) fn scenario(&self, settings: &[Value; 2]) -> Value {
        let mut link =
            json!({ "mtu_bytes": 1500, "rate_kbit": 20_000, "queue_packets": 100, "delay_ms": 20 });
        let bulk = |name: &str, start_ms| json!({ "bulk": { "name": name, "direction": "down", "start_ms": start_ms } });
        let (work, until_ms) = match self {
            Self::OnSharedPath(_) => {
                (vec![bulk("first", 0), bulk("second", SECOND_AT_MS)], SHARES_UNTIL_S * 1_000)
            }
            Self::OnChangingPath(_) => {
                let [half, fourfold, blackout, loss, end] = CHANGES;
                let kbit = |change: &Change| json!([change.at_ms, (change.rate_mbit * 1e3) as u64]);
                link["rate_kbit"] = json!([[0, 20_000], kbit(&half), kbit(&fourfold)]);
                link["blackout"] =
                    json!([[0, false], [blackout.at_ms - BLACKOUT_MS, true], [blackout.at_ms, false]]);
                link["loss_pct"] = json!([[0, 0], [loss.at_ms, loss.loss_pct as u64]]);
                (vec![bulk("first", 0)], end.at_ms)
            }
        };
        json!({
            "name": "shared",
            "description": self.about(),
            "seed": 1,
            "duration_ms": until_ms,
            "drain_ms": 300,
            "links": { "up": link, "down": link },
            "client": settings[0],
            "server": settings[1],
            "workloads": work,
        })
    }

    /// Derives the figures of a run.
    pub(super) fn trial(&self, run: &TrialOutcome) -> anyhow::Result<Trial> {
        let moments = &run.progress.0;
        let flows = self.names().len();
        let Some(last) = moments.last().filter(|moment| moment.read_bytes.len() == flows) else {
            anyhow::bail!("the run does not have {flows} flows");
        };
        let mut found = Trial { error: doubt(run), ..Trial::default() };
        for (flow, name) in ["first_mbit", "second_mbit"].into_iter().enumerate().take(flows) {
            let rate = |second: u64| mbit(moments, flow, second * 1_000_000, (second + 1) * 1_000_000);
            let seconds = 0..last.at_us / 1_000_000;
            found.record_curve(name, seconds.map(|second| [second as f64 + 0.5, rate(second)]));
        }
        match self {
            Self::OnSharedPath(_) => shares(moments, &mut found),
            Self::OnChangingPath(_) => adaptation(moments, &mut found),
        }
        Ok(found)
    }
}

/// Records shares and fairness of two flows over the last seconds.
fn shares(moments: &[Moment], found: &mut Trial) {
    let rates = [0, 1].map(|flow| mbit(moments, flow, SHARES_FROM_S * 1_000_000, SHARES_UNTIL_S * 1_000_000));
    let sum: f64 = rates.iter().sum();
    if sum > 0.0 {
        found.record("jain_index", jain(&rates));
        found.record("first_share_pct", 100.0 * rates[0] / sum);
        found.record("least_share_pct", 100.0 * rates[0].min(rates[1]) / sum);
        found.record("goodput_mbit", sum);
    }
}

/// Records for each change the time until the first second in which the flow fills the path, or until the next change.
fn adaptation(moments: &[Moment], found: &mut Trial) {
    for (change, next) in CHANGES.iter().zip(&CHANGES[1..]) {
        // The period before a blackout ends where the blackout begins.
        let blackout_ms = if next.name == "back_blackout_s" { BLACKOUT_MS } else { 0 };
        let (from, until) = (change.at_ms * 1000, (next.at_ms - blackout_ms) * 1000);
        let enough = ADAPTED * 0.92 * change.rate_mbit * (1.0 - change.loss_pct / 100.0);
        let starts = moments.iter().map(|moment| moment.at_us);
        let mut starts = starts.filter(|at| (from..=until - 1_000_000).contains(at));
        let filled = starts.find(|start| mbit(moments, 0, *start, start + 1_000_000) >= enough);
        found.record(change.name, (filled.unwrap_or(until) - from) as f64 / 1e6);
    }
}

/// Mean goodput of a flow between two times.
fn mbit(moments: &[Moment], flow: usize, from_us: u64, until_us: u64) -> f64 {
    let count = |us: u64| {
        let at = moments.partition_point(|moment| moment.at_us < us).min(moments.len() - 1);
        moments.get(at).map_or(0, |moment| read(moment, flow)) as f64
    };
    (count(until_us) - count(from_us)) * 8.0 / (until_us - from_us) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Progress;
    use crate::path::{PathState, Report};

    /// Progress every 100 ms until `seconds`; rates in Mbit/s by flow and second.
    fn run(seconds: u64, rate: impl Fn(usize, f64) -> f64, flows: usize) -> TrialOutcome {
        let mut read = vec![0.0; flows];
        let moment = |tenth: u64| {
            let at_us = tenth * 100_000;
            let read_bytes = read.iter().map(|read| *read as u64).collect();
            for (flow, read) in read.iter_mut().enumerate() {
                *read += rate(flow, at_us as f64 / 1e6) * 1e6 / 8.0 / 10.0;
            }
            Moment { at_us, read_bytes, path: PathState::default() }
        };
        let progress = Progress((0..=seconds * 10).map(moment).collect());
        TrialOutcome { work: Vec::new(), path: Report::default(), progress, load_hundredths: None }
    }

    fn metric(trial: &Trial, name: &str) -> f64 {
        trial.metrics[name]
    }

    #[test]
    fn shares_are_computed_over_the_last_seconds() {
        let case = TimedCase::OnSharedPath(["tcp-bbr", "auto"]);
        let rate = |flow, second: f64| if second < 20.0 { 1.0 } else { [15.0, 5.0][flow] };
        let trial = case.trial(&run(30, rate, 2)).unwrap();
        assert!((metric(&trial, "first_share_pct") - 75.0).abs() < 0.01, "{:?}", trial.metrics);
        assert!((metric(&trial, "least_share_pct") - 25.0).abs() < 0.01);
        assert!((metric(&trial, "jain_index") - 0.8).abs() < 0.001);
        assert_eq!((trial.curves["second_mbit"].len(), trial.curves["second_mbit"][25]), (30, [25.5, 5.0]));
        assert!(case.trial(&run(30, rate, 1)).is_err());
    }

    #[test]
    fn adaptation_ends_with_the_first_full_second() {
        let case = TimedCase::OnChangingPath("auto");
        // Adapts two seconds after each change, but never after the last one.
        let passes = |second: f64| match second {
            ..8.0 => 20.0,
            10.0..16.0 => 9.5,
            18.0..24.0 => 38.0,
            31.0..37.0 => 38.0,
            37.0.. => 25.0,
            _ => 1.0,
        };
        let trial = case.trial(&run(45, |_, second| passes(second), 1)).unwrap();
        let of = |name| metric(&trial, name);
        let expected =
            [("back_half_s", 2.0), ("back_fourfold_s", 2.0), ("back_blackout_s", 2.0), ("back_loss_s", 8.0)];
        for (name, seconds) in expected {
            assert!((of(name) - seconds).abs() < 0.25, "{name}: {}", of(name));
        }
    }

    #[test]
    fn scenarios_have_their_flows_and_changes() {
        let settings = [json!({}), json!({})];
        let scenario = TimedCase::OnSharedPath(["tcp-bbr", "tcp-cubic"]).scenario(&settings);
        assert_eq!(
            (&scenario["workloads"][1]["bulk"]["start_ms"], &scenario["duration_ms"]),
            (&2_000.into(), &30_000.into())
        );
        let changes = TimedCase::OnChangingPath("auto").scenario(&settings);
        let down = &changes["links"]["down"];
        assert_eq!(down["rate_kbit"], json!([[0, 20_000], [8_000, 10_000], [16_000, 40_000]]));
        assert_eq!(down["blackout"], json!([[0, false], [24_000, true], [29_000, false]]));
    }
}
