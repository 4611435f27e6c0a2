//! Which charts there are.

use super::figures::{curve, sides, spread};
use super::svg::{Along, Chart, Point, Series};
use lab::results::{Case, DIRECT, Measurements};

/// Of the peers, in their order; TCP without a tunnel has its own.
const HUES: [&str; 4] = ["--blue", "--orange", "--violet", "--red"];

/// Contestants over lossy links: name, colour, and whether the curve is dashed.
const LOOKS: [(&str, &str, bool); 7] = [
    ("auto", "--blue", false),
    ("go-fast3", "--orange", true),
    ("go-fast2", "--violet", true),
    ("fast3", "--orange", false),
    ("fast2", "--violet", false),
    ("fast", "--red", false),
    ("normal", "--brown", false),
];

/// Cases that carry one bulk stream, and what they are called below bars.
const BULK: [(&str, &str); 4] = [
    ("throughput", "default"),
    ("throughput-plain", "no FEC, no snappy"),
    ("pinned-throughput", "one core"),
    ("pinned-throughput-plain", "one core, no FEC"),
];

/// All charts that have something to show.
pub(crate) fn charts(bench: &Measurements) -> String {
    let mut charts = vec![
        bars(bench, "throughput", "Throughput", "throughput_mbit", "Mbit/s"),
        bars(bench, "cpu", "Processor time", "cpu_s_per_gb", "s/GB, client plus server"),
        bars(bench, "memory", "Peak memory", "memory_peak_mib", "MiB, client plus server"),
    ];
    for (case, title) in [("latency", "Latency of a request"), ("pinned-latency", "Latency, one core")] {
        charts.push(latency(bench.case(case), bench, case, title));
    }
    for case in telling(bench) {
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

/// The lines whose percentile curves are drawn: scenarios, and the middle of each curve.
fn telling(bench: &Measurements) -> Vec<&Case> {
    let on = |curve: &str| {
        let points = bench
            .cases
            .iter()
            .filter(|case| case.path.as_ref().is_some_and(|line| line.at.is_some() && line.curve == curve));
        let points: Vec<&Case> = points.collect();
        points.get(points.len().saturating_sub(1) / 2).copied()
    };
    let scenarios =
        bench.cases.iter().filter(|case| case.path.as_ref().is_some_and(|line| line.at.is_none()));
    ["loss", "rtt"].into_iter().filter_map(on).chain(scenarios).collect()
}

fn look(bench: &Measurements, side: usize, name: &str) -> (&'static str, bool) {
    let known = LOOKS.iter().find(|(known, ..)| bench.is_of_lines() && *known == name);
    known.map_or_else(|| (hue(side, name), false), |(_, hue, dashed)| (*hue, *dashed))
}

fn hue(side: usize, name: &str) -> &'static str {
    match name.strip_prefix(DIRECT) {
        Some("cubic") => "--green",
        Some(_) => "--grey",
        None => HUES[side.min(HUES.len() - 1)],
    }
}

/// A series for each side.
fn series(bench: &Measurements, points: impl Fn(&str) -> Vec<Point>) -> Vec<Series> {
    let sides = sides(bench).into_iter().enumerate();
    let series = sides.map(|(at, name)| {
        let (hue, dashed) = look(bench, at, &name);
        Series { hue, dashed, points: points(&name), name }
    });
    series.filter(|series| !series.points.is_empty()).collect()
}

fn point(case: &Case, side: &str, metric: &str, x: f64) -> Option<Point> {
    let spread = spread(case, side, metric)?;
    Some(Point { x, y: spread.median, low: spread.low, high: spread.high })
}

fn bars(bench: &Measurements, id: &str, title: &str, metric: &str, unit: &str) -> Chart {
    let cases: Vec<(&Case, &str)> =
        BULK.iter().filter_map(|(case, name)| Some((bench.case(case)?, *name))).collect();
    let of = |side: &str| {
        let points =
            cases.iter().zip(0..).filter_map(|((case, _), x)| point(case, side, metric, f64::from(x)));
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

/// Percentile curves: idle dashed, under load not.
fn latency(case: Option<&Case>, bench: &Measurements, id: &str, title: &str) -> Chart {
    let mut all = Vec::new();
    for (name, word, dashed) in [("load_latency_ms", "under load", false), ("idle_latency_ms", "idle", true)]
    {
        let of = |side: &str| {
            let side = case.and_then(|case| case.side(side));
            side.map_or_else(Vec::new, |side| curve(side, name)).into_iter().map(Point::bare).collect()
        };
        let named = |series: Series| Series { name: format!("{} {word}", series.name), dashed, ..series };
        all.extend(series(bench, of).into_iter().map(named));
    }
    Chart {
        id: id.into(),
        title: title.into(),
        unit: "ms".into(),
        along: "so many requests are faster".into(),
        x: Along::Share,
        log: true,
        series: all,
    }
}

/// A metric along a curve of lines.
pub(super) fn scaling(
    bench: &Measurements,
    name: &str,
    along: &str,
    title: &str,
    metric: &str,
    unit: &str,
) -> Chart {
    let at = |case: &Case| case.path.as_ref().filter(|line| line.curve == name).and_then(|line| line.at);
    let of =
        |side: &str| bench.cases.iter().filter_map(|case| point(case, side, metric, at(case)?)).collect();
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

/// The first run of each side.
fn over_time(bench: &Measurements) -> Chart {
    let of = |side: &str| {
        let side = bench.case("throughput").and_then(|case| case.side(side));
        let run = side.and_then(|side| side.trials.iter().find_map(|trial| trial.curves.get("memory_mib")));
        run.into_iter().flatten().copied().map(Point::bare).collect()
    };
    Chart {
        id: "memory-time".into(),
        title: "Memory over time, bulk".into(),
        unit: "MiB, client plus server".into(),
        along: "seconds since the stream began, first run".into(),
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
        let of = |side: &str| {
            let side = bench.case("scale").and_then(|case| case.side(side));
            side.map_or_else(Vec::new, |side| curve(side, name)).into_iter().map(Point::bare).collect()
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
