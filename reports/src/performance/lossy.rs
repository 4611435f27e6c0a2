//! The page of `karst-report lines`: goals of `--mode auto`, the figures of every contestant, and the curves.

use super::charts::scaling;
use super::figures::{Spread, spread};
use super::goals::{Outcome, Verdict, number};
use super::tables::{Section, failures, machine_rows, section};
use crate::svg::{Along, Chart, Point, Series};
use lab::measure::lossy::SHARED;
use lab::results::{Case, ContestantRuns, Measurements, PathFacts};

/// Title of the page.
pub(crate) const TITLE: &str = "Lossy links";

/// The contestant that has goals.
const AUTO: &str = "auto";

/// The contestant whose goodput is the lower limit of that of [`AUTO`].
const REFERENCE: &str = "tcp-bbr";

/// karst auto sending to kcptun.
const TO_KCPTUN: [&str; 2] = ["auto-to-go-down", "auto-to-go-up"];

/// Loss of the links on which [`TO_KCPTUN`] must reach the goodput of [`AUTO`], percent.
const TO_KCPTUN_LOSS_PCT: f64 = 5.0;

/// Goals of flows over time: contestant, metric, title, limit, whether the limit is a minimum, unit.
const SHARED_GOALS: [(&str, &str, &str, f64, bool, &str); 7] = [
    ("auto + auto", "jain_index", "fairness (Jain)", 0.9, true, ""),
    ("tcp-bbr + auto", "least_share_pct", "the smaller share", 30.0, true, " %"),
    ("tcp-cubic + auto", "first_share_pct", "share of CUBIC", 25.0, true, " %"),
    ("auto, changes", "back_half_s", "rate halves: filled again after", 3.0, false, " s"),
    ("auto, changes", "back_fourfold_s", "rate rises fourfold: filled again after", 3.0, false, " s"),
    ("auto, changes", "back_blackout_s", "blackout of 5 s ends: filled again after", 3.0, false, " s"),
    ("auto, changes", "back_loss_s", "loss 0 to 15 %: filled again after", 3.0, false, " s"),
];

/// Metrics of the tables, with their column heads.
const SHOWN: [(&str, &str); 5] = [
    ("goodput_mbit", "goodput, Mbit/s"),
    ("wire_per_useful", "wire / useful"),
    ("echo_p50_ms", "echo p50, ms"),
    ("echo_p99_ms", "echo p99, ms"),
    ("queue_ms", "queue, ms"),
];

/// A goal on every link.
struct Goal {
    name: &'static str,
    metric: &'static str,
    unit: &'static str,
    /// Formula of the limit as text.
    formula: &'static str,
    limit: fn(&PathFacts) -> f64,
    /// Whether the limit is a minimum rather than a maximum.
    at_least: bool,
    /// Maximum loss rate of links to which the goal applies, percent.
    loss_pct_max: f64,
}

const GOALS: [Goal; 5] = [
    Goal {
        name: "goodput",
        metric: "goodput_mbit",
        unit: " Mbit/s",
        formula: "0.92 x rate x (1 - loss)",
        limit: |path| 0.92 * path.rate_mbit * (1.0 - path.loss_pct / 100.0),
        at_least: true,
        loss_pct_max: 100.0,
    },
    Goal {
        name: "bytes on the wire per useful byte",
        metric: "wire_per_useful",
        unit: "",
        formula: "(1 + 1.3 x loss) x 1.08",
        limit: |path| (1.0 + 1.3 * path.loss_pct / 100.0) * 1.08,
        at_least: false,
        loss_pct_max: 100.0,
    },
    Goal {
        name: "echo, p50",
        metric: "echo_p50_ms",
        unit: " ms",
        formula: "1.15 x round trip",
        limit: |path| 1.15 * path.rtt_ms,
        at_least: false,
        loss_pct_max: 5.0,
    },
    Goal {
        name: "echo, p99",
        metric: "echo_p99_ms",
        unit: " ms",
        formula: "2.2 x round trip + 20 ms",
        limit: |path| 2.2 * path.rtt_ms + 20.0,
        at_least: false,
        loss_pct_max: 5.0,
    },
    Goal {
        name: "queue, median",
        metric: "queue_ms",
        unit: " ms",
        formula: "0.25 x round trip",
        limit: |path| 0.25 * path.rtt_ms,
        at_least: false,
        loss_pct_max: 100.0,
    },
];

/// Verdicts on all goals, on all links that are not points of a curve.
pub(crate) fn verdicts(bench: &Measurements) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for case in bench.cases.iter().filter(|case| case.path.as_ref().is_some_and(|line| line.at.is_none())) {
        let Some(path) = case.path.as_ref().and_then(|path| path.facts) else { continue };
        let asked = GOALS.iter().filter(|goal| path.loss_pct <= goal.loss_pct_max);
        verdicts.extend(asked.map(|goal| goal.verdict(case, &path)));
        verdicts.push(compared(case, AUTO, REFERENCE, 1.0));
        if path.loss_pct == TO_KCPTUN_LOSS_PCT {
            verdicts.extend(TO_KCPTUN.map(|name| compared(case, name, AUTO, 0.9)));
        }
    }
    verdicts.extend(bench.case(SHARED).into_iter().flat_map(over_time));
    verdicts
}

/// Verdicts on the goals of flows over time.
fn over_time(case: &Case) -> Vec<Verdict> {
    let verdict =
        |(contestant, metric, title, limit, at_least, unit): (&str, &str, &str, f64, bool, &str)| {
            let word = if at_least { "at least" } else { "at most" };
            let goal = format!("{word} {}{unit}", number(limit));
            let name = format!("{contestant}: {title}");
            judged(name, goal, figure(case, contestant, metric), (limit, at_least), unit)
        };
    SHARED_GOALS.map(verdict).into()
}

impl Goal {
    fn verdict(&self, case: &Case, path: &PathFacts) -> Verdict {
        let limit = (self.limit)(path);
        let word = if self.at_least { "at least" } else { "at most" };
        let goal = format!("{word} {} = {}{}", self.formula, number(limit), self.unit);
        let name = format!("{}: {}", case.name, self.name);
        judged(name, goal, figure(case, AUTO, self.metric), (limit, self.at_least), self.unit)
    }
}

/// Compares a figure with a minimum or maximum.
fn judged(
    name: String,
    goal: String,
    found: Result<Spread, Outcome>,
    (limit, at_least): (f64, bool),
    unit: &str,
) -> Verdict {
    match found {
        Err(outcome) => Verdict { name, goal, measured: "-".into(), outcome },
        Ok(found) => {
            let holds = if at_least { found.median >= limit } else { found.median <= limit };
            Verdict { name, goal, measured: text(found, unit), outcome: decided(holds) }
        }
    }
}

/// Verdict whether the goodput of `first` reaches a share of that of `other`.
fn compared(case: &Case, first: &str, other: &str, share: f64) -> Verdict {
    let name = format!("{}: goodput, {first} / {other}", case.name);
    let metric = "goodput_mbit";
    let ours = figure(case, first, metric);
    let theirs = figure(case, other, metric);
    let (limit, measured, outcome) = match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => {
            let limit = share * theirs.median;
            let measured = text(ours, " Mbit/s");
            (format!(" = {} Mbit/s", number(limit)), measured, decided(ours.median >= limit))
        }
        (Err(outcome), _) => (String::new(), "-".into(), outcome),
        // A failed contestant is not compared.
        (_, Err(_)) => (String::new(), "-".into(), Outcome::Open(format!("{other}: not measured"))),
    };
    Verdict { name, goal: format!("at least {} x {other}{limit}", number(share)), measured, outcome }
}

fn decided(holds: bool) -> Outcome {
    if holds { Outcome::Met } else { Outcome::Missed(String::new()) }
}

fn figure(case: &Case, contestant: &str, metric: &str) -> Result<Spread, Outcome> {
    let runs = case.runs_of(contestant).map_or(&[][..], |contestant| &contestant.trials);
    let failed = runs.iter().filter(|trial| trial.error.is_some()).count();
    if failed > 0 {
        return Err(Outcome::Missed(format!("{failed} runs failed")));
    }
    spread(case, contestant, metric).ok_or_else(|| Outcome::Open("not measured".into()))
}

/// A median, with the lowest and the highest run if there are several.
fn text(spread: Spread, unit: &str) -> String {
    let [median, low, high] = [spread.median, spread.low, spread.high].map(number);
    if spread.count > 1 { format!("{median}{unit} ({low} .. {high})") } else { format!("{median}{unit}") }
}

/// The first paragraph of the page.
pub(crate) fn lead(bench: &Measurements) -> String {
    let machine = &bench.machine;
    format!(
        "A download beside an echo of 64 bytes every 20 ms, between two network namespaces joined by links that are emulated in real \
         time, on {} with {} cores. Each trial counts for {} s (along curves, for the time in the table of links) after a warm-up of 1.5 s and six round trips; {}. Bytes that waited behind a \
         loss during the warm-up count when they are read, so a short trial can exceed the link's rate.",
        machine.cpu,
        machine.cores,
        bench.seconds,
        if bench.runs == 1 { "one run each".to_owned() } else { format!("medians of {} runs", bench.runs) }
    )
}

/// All tables of the page that have rows.
pub(crate) fn sections(bench: &Measurements) -> Vec<Section> {
    let sections = [
        section(
            "Goals",
            "Goals of karst with --mode auto at both ends and defaults otherwise.",
            super::goal_rows(&verdicts(bench)),
        ),
        section("Links", LINKS_LEAD, rows(bench, false)),
        section("Curves", "", rows(bench, true)),
        section(
            "Over time",
            "Goodput of each flow per second; shares are those of the last ten seconds.",
            time_rows(bench),
        ),
        section("Contestants", "Without addresses, the key and defaults.", contestant_rows(bench)),
        section("Conditions", "", path_rows(bench)),
        section("Machine", "", machine_rows(bench)),
    ];
    sections.into_iter().chain(failures(bench)).filter(|section| !section.rows.is_empty()).collect()
}

const LINKS_LEAD: &str = "Bytes on the wire are those of IP packets in the direction of the payload; the queue is the median queueing delay at the \
    bottleneck. In auto-to-go-down karst with --mode auto sends to a kcptun client, in auto-to-go-up to a kcptun server over the reversed \
    link.";

/// Rows of all contestants on all links.
pub(crate) fn link_rows(bench: &Measurements) -> Vec<Vec<String>> {
    [rows(bench, false), rows(bench, true).into_iter().skip(1).collect()].concat()
}

/// Head and rows of all contestants on the links of files (or on the points of curves).
fn rows(bench: &Measurements, of_curves: bool) -> Vec<Vec<String>> {
    let mut rows = vec![vec!["link".to_owned(), "contestant".to_owned()]];
    rows[0].extend(SHOWN.map(|(_, title)| title.to_owned()));
    let is_selected = |case: &&Case| {
        case.path.as_ref().is_some_and(|path| path.facts.is_some() && path.at.is_some() == of_curves)
    };
    for case in bench.cases.iter().filter(is_selected) {
        for contestant in &case.contestants {
            let of = |(metric, _): (&str, &str)| {
                spread(case, &contestant.name, metric).map_or_else(|| "-".into(), |spread| text(spread, ""))
            };
            rows.push([vec![case.name.clone(), contestant.name.clone()], SHOWN.map(of).to_vec()].concat());
        }
    }
    rows
}

/// Rows with the conditions of the flows over time.
fn time_rows(bench: &Measurements) -> Vec<Vec<String>> {
    let mut rows = vec![["contestants", "conditions"].map(String::from).to_vec()];
    let contestants = bench.case(SHARED).into_iter().flat_map(|case| &case.contestants);
    rows.extend(contestants.map(|contestant| vec![contestant.name.clone(), contestant.commands.join("")]));
    rows
}

fn contestant_rows(bench: &Measurements) -> Vec<Vec<String>> {
    let mut rows = vec![["contestant", "programs"].map(String::from).to_vec()];
    let over_links = bench.cases.iter().filter(|case| case.name != SHARED);
    for contestant in over_links.flat_map(|case| &case.contestants) {
        let programs = if contestant.commands.is_empty() {
            "kernel TCP".to_owned()
        } else {
            contestant.commands.join(" & ")
        };
        let row = vec![contestant.name.clone(), programs];
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    rows
}

fn path_rows(bench: &Measurements) -> Vec<Vec<String>> {
    let mut rows = vec![
        ["link", "Mbit/s", "round trip, ms", "loss, %", "counted", "description"].map(String::from).to_vec(),
    ];
    for case in &bench.cases {
        let Some((info, facts)) = case.path.as_ref().and_then(|info| Some((info, info.facts?))) else {
            continue;
        };
        let numbers = [facts.rate_mbit, facts.rtt_ms, facts.loss_pct].map(number);
        let words = vec![case.about.clone(), info.links.clone()];
        rows.push([vec![case.name.clone()], numbers.to_vec(), words].concat());
    }
    rows
}

/// Charts of each figure over loss and over round trip, and of flows over time.
pub(crate) fn charts(bench: &Measurements) -> String {
    let metrics = [
        ("goodput", "goodput_mbit", "Mbit/s"),
        ("bytes on the wire per useful byte", "wire_per_useful", ""),
        ("echo, p50", "echo_p50_ms", "ms"),
        ("echo, p99", "echo_p99_ms", "ms"),
    ];
    let curve =
        |name, along| metrics.map(|(title, metric, unit)| scaling(bench, name, along, title, metric, unit));
    let [loss, rtt] = [curve("loss", "loss each way, %"), curve("rtt", "round trip, ms")];
    let times: Vec<Chart> =
        bench.case(SHARED).into_iter().flat_map(|case| &case.contestants).map(over_seconds).collect();
    loss.iter().chain(&rtt).chain(&times).map(Chart::figure).collect()
}

/// Goodput of each flow per second.
fn over_seconds(contestant: &ContestantRuns) -> Chart {
    let names: Vec<&str> = contestant.name.split(" + ").collect();
    let flows = [("first_mbit", "--orange", true), ("second_mbit", "--blue", false)];
    let series = flows.into_iter().enumerate().filter_map(|(at, (curve, hue, dashed))| {
        let points: Vec<Point> =
            super::figures::curve(contestant, curve).into_iter().map(Point::bare).collect();
        let name = if names.len() > 1 {
            format!("{} {}", ["first:", "second:"][at], names[at])
        } else {
            AUTO.into()
        };
        (!points.is_empty()).then_some(Series { name, hue, dashed, points })
    });
    Chart {
        id: format!("shared-{}", contestant.name.replace([' ', '+', ','], "-")),
        title: contestant.name.clone(),
        unit: "Mbit/s".into(),
        along: "seconds".into(),
        x: Along::Number,
        log: false,
        series: series.collect(),
    }
}
