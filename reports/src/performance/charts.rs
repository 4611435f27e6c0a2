//! The charts of a performance page.

use super::figures::{contestants, curve, spread};
use crate::svg::{Along, Chart, Point, Series};
use lab::results::{Case, DIRECT, Measurements};

/// Colours of the peers by position; kernel TCP has its own.
const HUES: [&str; 4] = ["--blue", "--orange", "--violet", "--red"];

/// Contestants over lossy links: name, colour, and whether the curve is dashed.
const STYLES: [(&str, &str, bool); 7] = [
    ("auto", "--blue", false),
    ("go-fast3", "--orange", true),
    ("go-fast2", "--violet", true),
    ("fast3", "--orange", false),
    ("fast2", "--violet", false),
    ("fast", "--red", false),
    ("normal", "--brown", false),
];

/// Cases that carry one bulk stream, with their labels below bars.
const BULK: [(&str, &str); 4] = [
    ("throughput", "default"),
    ("throughput-plain", "no FEC, no snappy"),
    ("pinned-throughput", "one core"),
    ("pinned-throughput-plain", "one core, no FEC"),
];

/// All charts that have data.
pub(crate) fn charts(bench: &Measurements) -> String {
    let mut charts = vec![
        bars(bench, "throughput", "Throughput", "throughput_mbit", "Mbit/s"),
        bars(bench, "cpu", "Processor time", "cpu_s_per_gb", "s/GB, client plus server"),
        bars(bench, "memory", "Peak memory", "memory_peak_mib", "MiB, client plus server"),
    ];
    for (case, title) in [("latency", "Latency of a request"), ("pinned-latency", "Latency, one core")] {
        charts.push(latency(bench.case(case), bench, case, title));
    }
    for case in with_percentiles(bench) {
        let id = format!("latency-{}", case.name.replace(' ', "-"));
        charts.push(latency(Some(case), bench, &id, &format!("Latency, {}", case.name)));
    }
    for (name, along) in [("loss", "loss each way, %"), ("rtt", "round trip, ms")] {
        let metrics = [
            ("throughput", "throughput_mbit", "Mbit/s"),
            ("latency under load, p50", "load_p50_ms", "ms"),
            ("latency under load, p99", "load_p99_ms", "ms"),
            ("processor time", "cpu_s_per_gb", "s/GB, client plus server"),
        ];
        charts.extend(metrics.map(|(title, metric, unit)| scaling(bench, name, along, title, metric, unit)));
    }
    charts.push(over_time(bench));
    charts.push(over_sessions(bench));
    charts.iter().map(Chart::figure).collect()
}

/// Cases whose percentile curves are drawn: scenarios, and the middle point of each curve.
fn with_percentiles(bench: &Measurements) -> Vec<&Case> {
    let on = |curve: &str| {
        let points = bench
            .cases
            .iter()
            .filter(|case| case.path.as_ref().is_some_and(|path| path.at.is_some() && path.curve == curve));
        let points: Vec<&Case> = points.collect();
        points.get(points.len().saturating_sub(1) / 2).copied()
    };
    let scenarios =
        bench.cases.iter().filter(|case| case.path.as_ref().is_some_and(|path| path.at.is_none()));
    ["loss", "rtt"].into_iter().filter_map(on).chain(scenarios).collect()
}

fn style(bench: &Measurements, contestant: usize, name: &str) -> (&'static str, bool) {
    let style = STYLES.iter().find(|(style, ..)| bench.is_of_lines() && *style == name);
    style.map_or_else(|| (hue(contestant, name), false), |(_, hue, dashed)| (*hue, *dashed))
}

fn hue(contestant: usize, name: &str) -> &'static str {
    match name.strip_prefix(DIRECT) {
        Some("cubic") => "--green",
        Some(_) => "--grey",
        None => HUES[contestant.min(HUES.len() - 1)],
    }
}

/// One series per contestant that has points.
fn series(bench: &Measurements, points: impl Fn(&str) -> Vec<Point>) -> Vec<Series> {
    let contestants = contestants(bench).into_iter().enumerate();
    let series = contestants.map(|(at, name)| {
        let (hue, dashed) = style(bench, at, &name);
        Series { hue, dashed, points: points(&name), name }
    });
    series.filter(|series| !series.points.is_empty()).collect()
}

fn point(case: &Case, contestant: &str, metric: &str, x: f64) -> Option<Point> {
    let spread = spread(case, contestant, metric)?;
    Some(Point { x, y: spread.median, low: spread.low, high: spread.high })
}

fn bars(bench: &Measurements, id: &str, title: &str, metric: &str, unit: &str) -> Chart {
    let cases: Vec<(&Case, &str)> =
        BULK.iter().filter_map(|(case, name)| Some((bench.case(case)?, *name))).collect();
    let of = |contestant: &str| {
        let points =
            cases.iter().zip(0..).filter_map(|((case, _), x)| point(case, contestant, metric, f64::from(x)));
        points.collect()
    };
    let groups = cases.iter().map(|(_, name)| (*name).to_owned()).collect();
    Chart {
        id: id.into(),
        title: title.into(),
        unit: unit.into(),
        along: String::new(),
        x: Along::Groups(groups),
        log: false,
        series: series(bench, of),
    }
}

/// Percentile curves: dashed when idle, solid under load.
fn latency(case: Option<&Case>, bench: &Measurements, id: &str, title: &str) -> Chart {
    let mut all = Vec::new();
    for (name, word, dashed) in [("load_latency_ms", "under load", false), ("idle_latency_ms", "idle", true)]
    {
        let of = |contestant: &str| {
            let contestant = case.and_then(|case| case.runs_of(contestant));
            contestant
                .map_or_else(Vec::new, |contestant| curve(contestant, name))
                .into_iter()
                .map(Point::bare)
                .collect()
        };
        let named = |series: Series| Series { name: format!("{} {word}", series.name), dashed, ..series };
        all.extend(series(bench, of).into_iter().map(named));
    }
    Chart {
        id: id.into(),
        title: title.into(),
        unit: "ms".into(),
        along: "share of requests that are faster".into(),
        x: Along::Share,
        log: true,
        series: all,
    }
}

/// A metric along the curve over loss or round trip.
pub(super) fn scaling(
    bench: &Measurements,
    name: &str,
    along: &str,
    title: &str,
    metric: &str,
    unit: &str,
) -> Chart {
    let at = |case: &Case| case.path.as_ref().filter(|path| path.curve == name).and_then(|path| path.at);
    let of = |contestant: &str| {
        bench.cases.iter().filter_map(|case| point(case, contestant, metric, at(case)?)).collect()
    };
    Chart {
        id: format!("{name}-{metric}"),
        title: format!("{}: {title}", if name == "loss" { "Loss" } else { "Round trip" }),
        unit: unit.into(),
        along: along.into(),
        x: Along::Number,
        log: metric.ends_with("_ms"),
        series: series(bench, of),
    }
}

/// Memory over time in the first run of each contestant.
fn over_time(bench: &Measurements) -> Chart {
    let of = |contestant: &str| {
        let contestant = bench.case("throughput").and_then(|case| case.runs_of(contestant));
        let run = contestant
            .and_then(|contestant| contestant.trials.iter().find_map(|trial| trial.curves.get("memory_mib")));
        run.into_iter().flatten().copied().map(Point::bare).collect()
    };
    Chart {
        id: "memory-time".into(),
        title: "Memory over time, bulk".into(),
        unit: "MiB, client plus server".into(),
        along: "seconds since the start of the stream, first run".into(),
        x: Along::Number,
        log: false,
        series: series(bench, of),
    }
}

fn over_sessions(bench: &Measurements) -> Chart {
    let mut all = Vec::new();
    for (name, word, dashed) in
        [("memory_server_mib", "server", false), ("memory_client_mib", "client", true)]
    {
        let of = |contestant: &str| {
            let contestant = bench.case("scale").and_then(|case| case.runs_of(contestant));
            contestant
                .map_or_else(Vec::new, |contestant| curve(contestant, name))
                .into_iter()
                .map(Point::bare)
                .collect()
        };
        let named = |series: Series| Series { name: format!("{} {word}", series.name), dashed, ..series };
        all.extend(series(bench, of).into_iter().map(named));
    }
    Chart {
        id: "memory-sessions".into(),
        title: "Memory by sessions, idle".into(),
        unit: "MiB".into(),
        along: "sessions, each with ten streams".into(),
        x: Along::Number,
        log: false,
        series: all,
    }
}
