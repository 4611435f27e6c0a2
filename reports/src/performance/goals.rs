//! The performance goals of karst, and their verdicts.

use super::figures::{METRICS, ratio, spread};
use lab::results::{Case, Measurements};

/// Minimum number of runs of each contestant for a verdict.
const RUNS_MIN: usize = 5;

/// A limit on a median or on a ratio of medians.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    /// The first peer's median divided by the other's.
    RatioAtLeast(f64),
    RatioAtMost(f64),
    RatioAbove(f64),
    RatioBelow(f64),
    /// The first peer's median.
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
}

use Rule::{AtLeast, AtMost, Below, RatioAbove, RatioAtLeast, RatioAtMost, RatioBelow};

/// Titles of cases in goals.
const CASES: [(&str, &str); 8] = [
    ("throughput", "bulk"),
    ("throughput-plain", "bulk without FEC and compression"),
    ("idle", "100 idle sessions"),
    ("latency", "64-byte request"),
    ("scale", "many sessions"),
    ("pinned-throughput", "bulk, one core"),
    ("pinned-throughput-plain", "bulk without FEC and compression, one core"),
    ("pinned-latency", "64-byte request, one core"),
];

/// Case, metric, rule.
const GOALS: [(&str, &str, Rule); 27] = [
    ("throughput", "throughput_mbit", RatioAtLeast(7.0)),
    ("throughput-plain", "throughput_mbit", RatioAtLeast(5.0)),
    ("throughput", "cpu_s_per_gb", RatioAtMost(1.0 / 8.0)),
    ("throughput-plain", "cpu_s_per_gb", RatioAtMost(1.0 / 6.0)),
    ("throughput", "memory_peak_mib", RatioAtMost(0.25)),
    ("throughput-plain", "memory_peak_mib", RatioAtMost(0.25)),
    ("idle", "idle_cpu_pct", Below(0.1)),
    ("start", "client_start_ms", AtMost(10.0)),
    ("start", "server_start_ms", AtMost(10.0)),
    ("latency", "idle_p50_ms", RatioAtMost(0.5)),
    ("latency", "load_p50_ms", RatioAtMost(0.5)),
    ("latency", "load_p99_ms", RatioAtMost(0.5)),
    ("scale", "streams", AtLeast(10_000.0)),
    ("scale", "streams_served_pct", AtLeast(100.0)),
    // Half of name ten sessions carry is where a collapse begins.
    ("scale", "throughput_kept", AtLeast(0.5)),
    ("scale", "jain_index", AtLeast(0.95)),
    // A deviation of a tenth of the growth still counts as linear.
    ("scale", "memory_strays_pct", AtMost(10.0)),
    ("pinned-throughput", "throughput_mbit", RatioAbove(1.0)),
    ("pinned-throughput", "cpu_s_per_gb", RatioBelow(1.0)),
    ("pinned-throughput", "memory_peak_mib", RatioBelow(1.0)),
    ("pinned-throughput-plain", "throughput_mbit", RatioAbove(1.0)),
    ("pinned-throughput-plain", "cpu_s_per_gb", RatioBelow(1.0)),
    ("pinned-throughput-plain", "memory_peak_mib", RatioBelow(1.0)),
    ("pinned-latency", "idle_p50_ms", RatioBelow(1.0)),
    ("pinned-latency", "idle_p99_ms", RatioBelow(1.0)),
    ("pinned-latency", "load_p50_ms", RatioBelow(1.0)),
    ("pinned-latency", "load_p99_ms", RatioBelow(1.0)),
];

/// Those of forged TCP.
const FORGED_GOALS: [(&str, &str, Rule); 6] = [
    ("throughput", "throughput_mbit", RatioAtLeast(3.0)),
    ("throughput-plain", "throughput_mbit", RatioAtLeast(3.0)),
    ("throughput", "cpu_s_per_gb", RatioAtMost(1.0 / 3.0)),
    ("throughput-plain", "cpu_s_per_gb", RatioAtMost(1.0 / 3.0)),
    ("latency", "idle_p50_ms", RatioAtMost(1.0)),
    ("latency", "load_p50_ms", RatioAtMost(1.0)),
];

/// The verdict on a goal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Met,
    Missed(String),
    /// Not decided, with the reason.
    Open(String),
}

/// A goal and name came of it.
pub(crate) struct Verdict {
    pub(crate) name: String,
    pub(crate) goal: String,
    pub(crate) measured: String,
    pub(crate) outcome: Outcome,
}

impl Verdict {
    /// The verdict as the text of a cell.
    pub(crate) fn text(&self) -> String {
        match &self.outcome {
            Outcome::Met => "met".into(),
            Outcome::Missed(why) if why.is_empty() => "NOT MET".into(),
            Outcome::Missed(why) => format!("NOT MET: {why}"),
            Outcome::Open(why) => format!("open: {why}"),
        }
    }
}

/// Verdicts on all goals; a ratio has one verdict for each other peer.
pub(crate) fn verdicts(bench: &Measurements) -> Vec<Verdict> {
    let first = bench.peers.first().map_or("", |peer| peer.name.as_str());
    let others: Vec<&str> = bench.peers.iter().skip(1).map(|peer| peer.name.as_str()).collect();
    let mut verdicts = Vec::new();
    let goals = if bench.is_forged() { &FORGED_GOALS[..] } else { &GOALS };
    for &(case, metric, rule) in goals {
        let title = METRICS.iter().find(|known| known.name == metric).map_or(metric, |known| known.title);
        let about = CASES.iter().find(|(name, _)| *name == case).map_or(case, |(_, about)| *about);
        if !rule.is_ratio() {
            verdicts.push(verdict(bench.case(case), format!("{about}: {title}"), first, None, metric, rule));
            continue;
        }
        for other in &others {
            let name = format!("{about}: {title}, {first} / {other}");
            verdicts.push(verdict(bench.case(case), name, first, Some(other), metric, rule));
        }
    }
    verdicts
}

fn verdict(
    case: Option<&Case>,
    name: String,
    first: &str,
    other: Option<&str>,
    metric: &str,
    rule: Rule,
) -> Verdict {
    let (measured, outcome) = decide(case, first, other, metric, rule);
    let unit = rule.unit(metric);
    let measured = measured.map_or_else(|| "-".into(), |value| format!("{}{unit}", number(value)));
    Verdict { name, goal: format!("{}{unit}", rule.text()), measured, outcome }
}

fn decide(
    case: Option<&Case>,
    first: &str,
    other: Option<&str>,
    metric: &str,
    rule: Rule,
) -> (Option<f64>, Outcome) {
    let Some(case) = case else { return (None, Outcome::Open("not measured".into())) };
    let failed = case
        .runs_of(first)
        .map_or(0, |contestant| contestant.trials.iter().filter(|trial| trial.error.is_some()).count());
    if failed > 0 {
        return (None, Outcome::Missed(format!("{failed} runs failed")));
    }
    let Some(ours) = spread(case, first, metric) else { return (None, Outcome::Open("not measured".into())) };
    let (value, runs) = match other.map(|other| spread(case, other, metric)) {
        None => (ours.median, ours.count),
        Some(None) => return (None, Outcome::Open("nothing to compare with".into())),
        Some(Some(theirs)) => match ratio(ours, theirs) {
            Some(ratio) => (ratio, ours.count.min(theirs.count)),
            None => return (None, Outcome::Open("the other's is zero".into())),
        },
    };
    let outcome = match (rule.holds(value), runs < RUNS_MIN) {
        (false, _) => Outcome::Missed(String::new()),
        (true, true) => Outcome::Open(format!("holds, but in {runs} runs of {RUNS_MIN}")),
        (true, false) => Outcome::Met,
    };
    (Some(value), outcome)
}

impl Rule {
    const fn is_ratio(self) -> bool {
        matches!(self, RatioAtLeast(_) | RatioAtMost(_) | RatioAbove(_) | RatioBelow(_))
    }

    fn holds(self, value: f64) -> bool {
        match self {
            RatioAtLeast(limit) | AtLeast(limit) => value >= limit,
            RatioAtMost(limit) | AtMost(limit) => value <= limit,
            RatioAbove(limit) => value > limit,
            RatioBelow(limit) | Below(limit) => value < limit,
        }
    }

    fn text(self) -> String {
        let (word, limit) = match self {
            RatioAtLeast(limit) | AtLeast(limit) => ("at least", limit),
            RatioAtMost(limit) | AtMost(limit) => ("at most", limit),
            RatioAbove(limit) => ("more than", limit),
            RatioBelow(limit) | Below(limit) => ("less than", limit),
        };
        format!("{word} {}", number(limit))
    }

    /// Unit as a suffix of the figure.
    fn unit(self, metric: &str) -> String {
        let unit = METRICS.iter().find(|known| known.name == metric).map_or("", |known| known.unit);
        match unit {
            _ if self.is_ratio() => "x".into(),
            "" | "x" => unit.into(),
            unit => format!(" {unit}"),
        }
    }
}

/// Formats a number with three significant digits.
pub(crate) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 || size == 0.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        size if size >= 0.01 => 3,
        _ => 5,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::super::tests::bench;
    use super::*;

    fn of(verdicts: &[Verdict], name: &str) -> (String, String) {
        let found = verdicts.iter().find(|verdict| verdict.name == name).unwrap();
        (found.measured.clone(), found.text())
    }

    #[test]
    fn goals_follow_the_figures() {
        let name = "bulk: throughput, karst / go";
        let with = |karst: &[f64], go: &[f64]| {
            of(&verdicts(&bench("throughput", "throughput_mbit", karst, go)), name)
        };
        assert_eq!(with(&[700.0; 5], &[100.0; 5]), ("7x".into(), "met".into()));
        assert_eq!(with(&[699.0; 5], &[100.0; 5]), ("6.99x".into(), "NOT MET".into()));
        assert_eq!(with(&[800.0; 4], &[100.0; 5]), ("8x".into(), "open: holds, but in 4 runs of 5".into()));
        assert_eq!(with(&[600.0; 2], &[100.0; 2]).1, "NOT MET");
        assert_eq!(with(&[700.0; 5], &[0.0; 5]).1, "open: the other's is zero");
        assert_eq!(with(&[700.0; 5], &[]).1, "open: nothing to compare with");
    }

    #[test]
    fn forged_tcp_has_goals_of_its_own() {
        let mut bench = bench("throughput", "throughput_mbit", &[300.0; 5], &[100.0; 5]);
        bench.cases[0].contestants[0].commands = vec!["karst-server -l :1 --tcp".into()];
        let verdicts = verdicts(&bench);
        assert_eq!(of(&verdicts, "bulk: throughput, karst / go"), ("3x".into(), "met".into()));
        assert_eq!(verdicts.len(), FORGED_GOALS.len());
    }

    #[test]
    fn a_failed_run_misses_the_goal() {
        let mut bench = bench("idle", "idle_cpu_pct", &[0.05; 5], &[0.5; 5]);
        assert_eq!(of(&verdicts(&bench), "100 idle sessions: CPU, client plus server").1, "met");
        bench.cases[0].contestants[0].trials[0].error = Some("gone".into());
        assert_eq!(
            of(&verdicts(&bench), "100 idle sessions: CPU, client plus server").1,
            "NOT MET: 1 runs failed"
        );
        assert_eq!(of(&verdicts(&bench), "start: until the client listens").1, "open: not measured");
    }

    #[test]
    fn less_than_and_more_than_are_strict() {
        assert!(!Below(0.1).holds(0.1) && !RatioAbove(1.0).holds(1.0) && !RatioBelow(1.0).holds(1.0));
        assert!(
            AtMost(10.0).holds(10.0) && RatioAtMost(0.125).holds(0.125) && !RatioAtMost(0.125).holds(0.126)
        );
        assert!(!AtLeast(1.0).holds(f64::NAN) && !AtMost(1.0).holds(f64::NAN));
    }
}
