//! Figures over the seeds of scenarios, as charts: how often a value occurs, and how latency spreads.

use crate::facts::over;
use crate::svg::{Along, Chart, Point, Series};
use sim::outcome::{CURVE, Percentiles, WorkOutcome};
use sim::{Direction, Outcome, stats};
use std::collections::{BTreeMap, BTreeSet};

/// Fewest seeds of a scenario that make a distribution.
const SEEDS_MIN: usize = 3;

/// Most points of a latency curve, so that each shows its spread.
const POINTS_MAX: usize = 12;

/// Colours of the scenarios, by position.
const HUES: [&str; 6] = ["--blue", "--orange", "--green", "--violet", "--red", "--brown"];

/// Runs that differ in nothing but the seed.
struct Group<'a> {
    name: String,
    runs: Vec<&'a Outcome>,
}

/// Charts of all scenarios with enough seeds; empty without any.
pub(crate) fn charts(runs: &[Outcome]) -> String {
    let groups = groups(runs);
    let works: BTreeSet<&str> = groups.iter().flat_map(|group| works(group)).map(WorkOutcome::name).collect();
    let mut charts = Vec::new();
    for work in works {
        let title = |what: &str| format!("{what} of {work}");
        charts.push(cumulative(&groups, &title("Goodput"), "Mbit/s", |run| {
            Some(named(run, work)?.goodput_kbit()? as f64 / 1e3)
        }));
        let millis = |of: fn(&Percentiles) -> u64| {
            move |run: &Outcome| {
                let latency = named(run, work)?.latency().filter(|latency| latency.count > 0)?;
                Some(of(latency) as f64 / 1e3)
            }
        };
        charts.push(cumulative(&groups, &title("Median latency"), "ms", millis(|latency| latency.p50)));
        charts.push(cumulative(
            &groups,
            &title("99th percentile of latency"),
            "ms",
            millis(|latency| latency.p99),
        ));
        charts.push(latency(&groups, work));
    }
    for direction in [Direction::Up, Direction::Down] {
        let title = format!("Bytes on the wire per useful byte, {}", direction.name());
        charts.push(cumulative(&groups, &title, "", |run| {
            let (useful, link) = match direction {
                Direction::Up => (run.useful_bytes.up, &run.links.up),
                Direction::Down => (run.useful_bytes.down, &run.links.down),
            };
            (useful > 0).then(|| link.sent_bytes as f64 / useful as f64)
        }));
    }
    let drawn: String = charts.iter().map(Chart::figure).collect();
    if drawn.is_empty() {
        return drawn;
    }
    format!(
        "<h2>Over the seeds</h2>\n<p class=\"lead\">Share of runs whose figure is at most x. Curves of latency are medians over the \
         runs; thin lines span the lowest to the highest run.</p>\n<main class=\"charts\">\n{drawn}</main>\n"
    )
}

fn groups(runs: &[Outcome]) -> Vec<Group<'_>> {
    let mut by_name: BTreeMap<String, Vec<&Outcome>> = BTreeMap::new();
    for run in runs {
        by_name.entry(format!("{}{}", run.scenario, over(run))).or_default().push(run);
    }
    let groups = by_name.into_iter().map(|(name, runs)| Group { name, runs });
    groups.filter(|group| group.runs.len() >= SEEDS_MIN).collect()
}

fn works<'a>(group: &Group<'a>) -> impl Iterator<Item = &'a WorkOutcome> {
    group.runs.iter().copied().flat_map(|run| &run.workloads)
}

fn named<'a>(run: &'a Outcome, work: &str) -> Option<&'a WorkOutcome> {
    run.workloads.iter().find(|one| one.name() == work)
}

/// The empirical distribution function of a figure, in steps.
fn cumulative(groups: &[Group<'_>], title: &str, unit: &str, of: impl Fn(&Outcome) -> Option<f64>) -> Chart {
    let points = |group: &Group<'_>| {
        let mut values: Vec<f64> = group.runs.iter().filter_map(|run| of(run)).collect();
        values.sort_by(f64::total_cmp);
        let share = |rank: usize| 100.0 * rank as f64 / values.len() as f64;
        let steps = values
            .iter()
            .enumerate()
            .flat_map(|(rank, &value)| [[value, share(rank)], [value, share(rank + 1)]].map(Point::bare));
        steps.collect()
    };
    Chart {
        id: id(title),
        title: title.into(),
        unit: "% of runs".into(),
        along: unit.into(),
        x: Along::Number,
        log: false,
        series: series(groups, points),
    }
}

/// The distribution of a workload's latency: median, lowest and highest run at each share of samples.
fn latency(groups: &[Group<'_>], work: &str) -> Chart {
    let points = |group: &Group<'_>| {
        let curves = group.runs.iter().filter_map(|run| named(run, work)?.latency());
        let curves: Vec<Vec<(f64, u64)>> = curves.map(|latency| latency.points().collect()).collect();
        let every = CURVE.len().div_ceil(POINTS_MAX);
        let shares = CURVE.into_iter().enumerate().filter(|(at, share)| at % every == 0 || *share == 1.0);
        shares.filter_map(|(_, share)| point(&curves, share)).collect()
    };
    Chart {
        id: id(&format!("latency of {work}")),
        title: format!("Latency of {work}"),
        unit: "ms".into(),
        along: "share of samples that are faster".into(),
        x: Along::Share,
        log: true,
        series: series(groups, points),
    }
}

/// A share at which all runs have a quantile.
fn point(curves: &[Vec<(f64, u64)>], share: f64) -> Option<Point> {
    let of =
        |curve: &Vec<(f64, u64)>| curve.iter().find(|(at, _)| *at == share).map(|(_, us)| *us as f64 / 1e3);
    let mut values = curves.iter().map(of).collect::<Option<Vec<f64>>>()?;
    values.sort_by(f64::total_cmp);
    let (low, high) = (*values.first()?, *values.last()?);
    Some(Point { x: share, y: stats::quantile(&values, 0.5)?, low, high })
}

fn series(groups: &[Group<'_>], points: impl Fn(&Group<'_>) -> Vec<Point>) -> Vec<Series> {
    let of = |(at, group): (usize, &Group<'_>)| Series {
        name: format!("{} ({} runs)", group.name, group.runs.len()),
        hue: HUES[at % HUES.len()],
        dashed: at >= HUES.len(),
        points: points(group),
    };
    groups.iter().enumerate().map(of).collect()
}

fn id(title: &str) -> String {
    let sign = |sign: char| if sign.is_ascii_alphanumeric() { sign.to_ascii_lowercase() } else { '-' };
    title.chars().map(sign).collect()
}
