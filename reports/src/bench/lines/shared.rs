//! Two flows on one line, and a line that changes: what becomes of goodput over time.

use super::contestants::Contestant;
use super::figures::{doubt, numbers};
use crate::performance::Trial;
use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

/// Whoever is first has the line for itself until then.
const SECOND_AT_MS: u64 = 2_000;

/// The shares of two flows are those from then until the end.
const SHARES_FROM_S: usize = 20;
const SHARES_UNTIL_S: usize = 30;

/// When the line changes, and to what: what passes it then, Mbit/s, as loss lets it.
const CHANGES: [Change; 5] = [
    Change { name: "back_half_s", at_ms: 8_000, rate_mbit: 10.0, loss_pct: 0.0 },
    Change { name: "back_fourfold_s", at_ms: 16_000, rate_mbit: 40.0, loss_pct: 0.0 },
    Change { name: "back_blackout_s", at_ms: 29_000, rate_mbit: 40.0, loss_pct: 0.0 },
    Change { name: "back_loss_s", at_ms: 37_000, rate_mbit: 40.0, loss_pct: 15.0 },
    Change { name: "", at_ms: 45_000, rate_mbit: 0.0, loss_pct: 0.0 },
];

/// The blackout ends when its entry above begins.
const BLACKOUT_MS: u64 = 5_000;

/// A line is followed when goodput over a second is that share of what passes.
const FOLLOWED: f64 = 0.9;

struct Change {
    /// Of the figure.
    name: &'static str,
    at_ms: u64,
    rate_mbit: f64,
    loss_pct: f64,
}

/// What is measured over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Play {
    /// Two flows, the first one begins.
    Two([&'static str; 2]),
    /// One flow on a line that changes.
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
    /// Who takes part.
    pub(super) fn names(&self) -> &[&'static str] {
        match self {
            Self::Two(names) => names,
            Self::Changes(name) => std::slice::from_ref(name),
        }
    }

    /// As the page calls it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Two([first, second]) => format!("{first} + {second}"),
            Self::Changes(name) => format!("{name}, changes"),
        }
    }

    /// What happens, in words.
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
            Self::Two(_) => {
                (vec![bulk("first", 0), bulk("second", SECOND_AT_MS)], SHARES_UNTIL_S as u64 * 1_000)
            }
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

    /// For `karst-interop netns`.
    pub(super) fn flags(&self, of: &[&Contestant]) -> Vec<String> {
        let tcp: Vec<String> = of.iter().filter_map(|who| who.control()).collect();
        let tcp = if tcp.is_empty() { "none".to_owned() } else { tcp.join(",") };
        let mut flags = vec!["--together".to_owned(), "--tcp".to_owned(), tcp];
        for (at, peer) in of.iter().filter_map(|who| who.peer()).enumerate() {
            flags.extend(["--peer".to_owned(), format!("{at}{peer}")]);
        }
        flags
    }

    /// The figures of the only trial in `contest`.
    pub(super) fn trial(&self, contest: &Value) -> anyhow::Result<Trial> {
        let trial = &contest["contestants"][0]["trials"][0];
        if trial["ok"] != true {
            bail!("{}", trial["why"].as_str().unwrap_or("no trial"));
        }
        let result = &trial["result"];
        let at = numbers(&result["progress"]["at_us"])?;
        let read = result["progress"]["read_bytes"].as_array().context("no progress")?;
        let read = read.iter().map(numbers).collect::<anyhow::Result<Vec<_>>>()?;
        ensure!(read.len() == self.names().len() && !at.is_empty(), "not as many flows as asked for");
        let mut found = Trial { error: doubt(result), ..Trial::default() };
        for (name, read) in ["first_mbit", "second_mbit"].into_iter().zip(&read) {
            let seconds = (at[at.len() - 1] / 1e6) as usize;
            let rate = |second: usize| mbit(&at, read, second as f64 * 1e6, (second + 1) as f64 * 1e6);
            found.draw(name, (0..seconds).map(|second| [second as f64 + 0.5, rate(second)]));
        }
        match self {
            Self::Two(_) => shares(&at, &read, &mut found),
            Self::Changes(_) => back(&at, &read[0], &mut found),
        }
        Ok(found)
    }
}

/// How two flows share the line in the end.
fn shares(at: &[f64], read: &[Vec<f64>], found: &mut Trial) {
    let [from, until] = [SHARES_FROM_S, SHARES_UNTIL_S].map(|second| second as f64 * 1e6);
    let rates: Vec<f64> = read.iter().map(|read| mbit(at, read, from, until)).collect();
    let sum: f64 = rates.iter().sum();
    let squares: f64 = rates.iter().map(|rate| rate * rate).sum();
    if sum > 0.0 {
        found.note("jain_index", sum * sum / (squares * rates.len() as f64));
        found.note("first_share_pct", 100.0 * rates[0] / sum);
        found.note("least_share_pct", 100.0 * rates.iter().copied().fold(f64::MAX, f64::min) / sum);
        found.note("goodput_mbit", sum);
    }
}

/// Time from each change until a second begins in which the line is filled; the time until the next one if there is none.
fn back(at: &[f64], read: &[f64], found: &mut Trial) {
    for (change, next) in CHANGES.iter().zip(&CHANGES[1..]) {
        // The next change is a blackout's beginning for what comes before a blackout.
        let blackout = if next.name == "back_blackout_s" { BLACKOUT_MS } else { 0 };
        let (from, until) = (change.at_ms as f64 * 1e3, (next.at_ms - blackout) as f64 * 1e3);
        let enough = FOLLOWED * 0.92 * change.rate_mbit * (1.0 - change.loss_pct / 100.0);
        let starts = at.iter().copied().filter(|at| (from..=until - 1e6).contains(at));
        let filled = starts.into_iter().find(|start| mbit(at, read, *start, start + 1e6) >= enough);
        found.note(change.name, (filled.unwrap_or(until) - from) / 1e6);
    }
}

/// Goodput between two moments.
fn mbit(at: &[f64], read: &[f64], from_us: f64, until_us: f64) -> f64 {
    let count = |us: f64| {
        let index = at.partition_point(|at| *at < us).min(at.len() - 1);
        read.get(index).copied().unwrap_or(0.0)
    };
    (count(until_us) - count(from_us)) * 8.0 / (until_us - from_us)
}

#[cfg(test)]
mod tests {
    use super::super::contestants::contestants;
    use super::*;

    /// Progress every 100 ms until `seconds`; rates in Mbit/s by flow and second.
    fn contest(seconds: usize, rate: impl Fn(usize, f64) -> f64, flows: usize) -> Value {
        let at: Vec<u64> = (0..=seconds as u64 * 10).map(|tenth| tenth * 100_000).collect();
        let read = |flow: usize| {
            let mut sum = 0.0;
            let grow = |at: &u64| {
                let was = sum;
                sum += rate(flow, *at as f64 / 1e6) * 1e6 / 8.0 / 10.0;
                was
            };
            at.iter().map(grow).collect::<Vec<f64>>()
        };
        let progress = json!({ "at_us": at, "read_bytes": (0..flows).map(read).collect::<Vec<_>>() });
        json!({ "contestants": [{ "trials": [{ "ok": true, "result": { "progress": progress } }] }] })
    }

    fn metric(trial: &Trial, name: &str) -> f64 {
        trial.metrics[name]
    }

    #[test]
    fn shares_are_those_of_the_end() {
        let play = Play::Two(["tcp-bbr", "auto"]);
        let rate = |flow, second: f64| if second < 20.0 { 1.0 } else { [15.0, 5.0][flow] };
        let trial = play.trial(&contest(30, rate, 2)).unwrap();
        assert!((metric(&trial, "first_share_pct") - 75.0).abs() < 0.01, "{:?}", trial.metrics);
        assert!((metric(&trial, "least_share_pct") - 25.0).abs() < 0.01);
        assert!((metric(&trial, "jain_index") - 0.8).abs() < 0.001);
        assert_eq!((trial.curves["second_mbit"].len(), trial.curves["second_mbit"][25]), (30, [25.5, 5.0]));
        assert!(play.trial(&contest(30, rate, 1)).is_err());
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
        let trial = play.trial(&contest(45, |_, second| passes(second), 1)).unwrap();
        let of = |name| metric(&trial, name);
        let expected =
            [("back_half_s", 2.0), ("back_fourfold_s", 2.0), ("back_blackout_s", 2.0), ("back_loss_s", 8.0)];
        for (name, seconds) in expected {
            assert!((of(name) - seconds).abs() < 0.25, "{name}: {}", of(name));
        }
    }

    #[test]
    fn both_flows_are_on_the_line() {
        let all = contestants(&[]);
        let [bbr, cubic] = [&all[0], &all[1]];
        let play = Play::Two(["tcp-bbr", "tcp-cubic"]);
        assert_eq!(play.flags(&[bbr, cubic]), ["--together", "--tcp", "bbr,cubic"]);
        let scenario = play.scenario(&bbr.settings);
        assert_eq!(
            (&scenario["workloads"][1]["bulk"]["start_ms"], &scenario["duration_ms"]),
            (&2_000.into(), &30_000.into())
        );
        let changes = Play::Changes("auto").scenario(&bbr.settings);
        let down = &changes["links"]["down"];
        assert_eq!(down["rate_kbit"], json!([[0, 20_000], [8_000, 10_000], [16_000, 40_000]]));
        assert_eq!(down["blackout"], json!([[0, false], [24_000, true], [29_000, false]]));
    }
}
