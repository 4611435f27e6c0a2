//! Two flows that share a path, and one flow on a path that changes: goodput over time.

use super::figures::{doubt, read};
use crate::contest::Trial as Run;
use crate::load::Moment;
use crate::measure::jain;
use crate::results::Trial;
use serde_json::{Value, json};

/// Start of the second flow.
const SECOND_AT_MS: u64 = 2_000;

/// Shares are those of the goodput from then until the end.
const SHARES_FROM_S: u64 = 20;
const SHARES_UNTIL_S: u64 = 30;

/// The changes of the path: time, and rate and loss from then on.
const CHANGES: [Change; 5] = [
    Change { name: "back_half_s", at_ms: 8_000, rate_mbit: 10.0, loss_pct: 0.0 },
    Change { name: "back_fourfold_s", at_ms: 16_000, rate_mbit: 40.0, loss_pct: 0.0 },
    Change { name: "back_blackout_s", at_ms: 29_000, rate_mbit: 40.0, loss_pct: 0.0 },
    Change { name: "back_loss_s", at_ms: 37_000, rate_mbit: 40.0, loss_pct: 15.0 },
    Change { name: "", at_ms: 45_000, rate_mbit: 0.0, loss_pct: 0.0 },
];

/// The blackout ends when its entry above begins.
const BLACKOUT_MS: u64 = 5_000;

/// A flow has adapted when its goodput over a second is that share of what the path can carry.
const ADAPTED: f64 = 0.9;

struct Change {
    /// Name of the figure.
    name: &'static str,
    at_ms: u64,
    rate_mbit: f64,
    loss_pct: f64,
}

/// A measurement over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Play {
    /// Two flows; the first starts alone.
    Two([&'static str; 2]),
    /// One flow on a path that changes.
    Changes(&'static str),
}

/// All of them.
pub(super) const PLAYS: [Play; 4] = [
    Play::Two(["auto", "auto"]),
    Play::Two(["tcp-bbr", "auto"]),
    Play::Two(["tcp-cubic", "auto"]),
    Play::Changes("auto"),
];

impl Play {
    /// The contestants.
    pub(super) fn names(&self) -> &[&'static str] {
        match self {
            Self::Two(names) => names,
            Self::Changes(name) => std::slice::from_ref(name),
        }
    }

    /// Name on the page.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Two([first, second]) => format!("{first} + {second}"),
            Self::Changes(name) => format!("{name}, changes"),
        }
    }

    /// The course of events, in words.
    pub(super) const fn about(&self) -> &'static str {
        match self {
            Self::Two(_) => {
                "20 Mbit/s, round trip 40 ms, no loss, queue 100 packets; the second begins after 2 s"
            }
            Self::Changes(_) => {
                "20 Mbit/s, round trip 40 ms, queue 100 packets; 10 Mbit/s after 8 s, 40 Mbit/s after 16 s, nothing passes from 24 s to 29 s, \
                 15 % loss each way after 37 s; until 45 s"
            }
        }
    }

    /// The scenario.
    pub(super) fn scenario(&self, settings: &[Value; 2]) -> Value {
        let mut link =
            json!({ "mtu_bytes": 1500, "rate_kbit": 20_000, "queue_packets": 100, "delay_ms": 20 });
        let bulk = |name: &str, start_ms| json!({ "bulk": { "name": name, "direction": "down", "start_ms": start_ms } });
        let (work, until_ms) = match self {
            Self::Two(_) => (vec![bulk("first", 0), bulk("second", SECOND_AT_MS)], SHARES_UNTIL_S * 1_000),
            Self::Changes(_) => {
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

    /// The figures of a run.
    pub(super) fn trial(&self, run: &Run) -> anyhow::Result<Trial> {
        let moments = &run.progress.0;
        let flows = self.names().len();
        let Some(last) = moments.last().filter(|moment| moment.read_bytes.len() == flows) else {
            anyhow::bail!("the run has not {flows} flows");
        };
        let mut found = Trial { error: doubt(run), ..Trial::default() };
        for (flow, name) in ["first_mbit", "second_mbit"].into_iter().enumerate().take(flows) {
            let rate = |second: u64| mbit(moments, flow, second * 1_000_000, (second + 1) * 1_000_000);
            let seconds = 0..last.at_us / 1_000_000;
            found.record_curve(name, seconds.map(|second| [second as f64 + 0.5, rate(second)]));
        }
        match self {
            Self::Two(_) => shares(moments, &mut found),
            Self::Changes(_) => adaptation(moments, &mut found),
        }
        Ok(found)
    }
}

/// How two flows share the path in the end.
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

/// Time from each change until a second begins in which the flow fills the path; the time until the next change if none does.
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

/// Goodput of a flow between two times.
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
    fn run(seconds: u64, rate: impl Fn(usize, f64) -> f64, flows: usize) -> Run {
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
        Run { work: Vec::new(), path: Report::default(), progress, load_hundredths: None }
    }

    fn metric(trial: &Trial, name: &str) -> f64 {
        trial.metrics[name]
    }

    #[test]
    fn shares_are_those_of_the_end() {
        let play = Play::Two(["tcp-bbr", "auto"]);
        let rate = |flow, second: f64| if second < 20.0 { 1.0 } else { [15.0, 5.0][flow] };
        let trial = play.trial(&run(30, rate, 2)).unwrap();
        assert!((metric(&trial, "first_share_pct") - 75.0).abs() < 0.01, "{:?}", trial.metrics);
        assert!((metric(&trial, "least_share_pct") - 25.0).abs() < 0.01);
        assert!((metric(&trial, "jain_index") - 0.8).abs() < 0.001);
        assert_eq!((trial.curves["second_mbit"].len(), trial.curves["second_mbit"][25]), (30, [25.5, 5.0]));
        assert!(play.trial(&run(30, rate, 1)).is_err());
    }

    #[test]
    fn a_change_is_followed_when_a_second_is_full() {
        let play = Play::Changes("auto");
        // Two seconds late everywhere; never after the last change.
        let passes = |second: f64| match second {
            ..8.0 => 20.0,
            10.0..16.0 => 9.5,
            18.0..24.0 => 38.0,
            31.0..37.0 => 38.0,
            37.0.. => 25.0,
            _ => 1.0,
        };
        let trial = play.trial(&run(45, |_, second| passes(second), 1)).unwrap();
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
        let scenario = Play::Two(["tcp-bbr", "tcp-cubic"]).scenario(&settings);
        assert_eq!(
            (&scenario["workloads"][1]["bulk"]["start_ms"], &scenario["duration_ms"]),
            (&2_000.into(), &30_000.into())
        );
        let changes = Play::Changes("auto").scenario(&settings);
        let down = &changes["links"]["down"];
        assert_eq!(down["rate_kbit"], json!([[0, 20_000], [8_000, 10_000], [16_000, 40_000]]));
        assert_eq!(down["blackout"], json!([[0, false], [24_000, true], [29_000, false]]));
    }
}
