//! Medians and ratios.

use lab::results::{Case, Measurements, Side};

/// A kind of figure.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Metric {
    /// As trials call it.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
}

const fn metric(name: &'static str, title: &'static str, unit: &'static str) -> Metric {
    Metric { name, title, unit }
}

/// All of them, in the order in which they are shown.
pub(crate) const METRICS: [Metric; 19] = [
    metric("throughput_mbit", "throughput", "Mbit/s"),
    metric("few_throughput_mbit", "throughput of 10 sessions", "Mbit/s"),
    metric("throughput_kept", "throughput against 10 sessions", "x"),
    metric("cpu_s_per_gb", "CPU, client plus server", "s/GB"),
    metric("idle_p50_ms", "latency idle, p50", "ms"),
    metric("idle_p99_ms", "latency idle, p99", "ms"),
    metric("load_p50_ms", "latency under load, p50", "ms"),
    metric("load_p99_ms", "latency under load, p99", "ms"),
    metric("load_requests", "requests under load", ""),
    metric("idle_cpu_pct", "CPU, client plus server", "%"),
    metric("client_start_ms", "until the client listens", "ms"),
    metric("server_start_ms", "until the server listens", "ms"),
    metric("jain_index", "fairness (Jain)", ""),
    metric("streams_served_pct", "streams served", "%"),
    metric("served_after_s", "all streams served after", "s"),
    metric("streams", "streams", ""),
    metric("memory_kib_per_session", "memory per idle session", "KiB"),
    metric("memory_strays_pct", "memory off a straight line", "% of growth"),
    metric("memory_peak_mib", "peak memory, client plus server", "MiB"),
];

/// The runs of one side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) count: usize,
}

/// One metric of one case.
pub(crate) struct Figure<'a> {
    pub(crate) case: &'a Case,
    pub(crate) metric: &'static Metric,
    /// Of each side of the result file, in its order.
    pub(crate) spreads: Vec<Option<Spread>>,
}

/// The peers, and TCP without a tunnel where it was measured.
pub(crate) fn sides(bench: &Measurements) -> Vec<String> {
    let mut names: Vec<String> = bench.peers.iter().map(|peer| peer.name.clone()).collect();
    for side in bench.cases.iter().flat_map(|case| &case.sides) {
        if !names.contains(&side.name) {
            names.push(side.name.clone());
        }
    }
    names
}

/// Every metric that some side of some case has.
pub(crate) fn figures(bench: &Measurements) -> Vec<Figure<'_>> {
    let sides = sides(bench);
    let figure = |case, metric: &'static Metric| {
        let spreads: Vec<_> = sides.iter().map(|side| spread(case, side, metric.name)).collect();
        spreads.iter().any(Option::is_some).then_some(Figure { case, metric, spreads })
    };
    bench
        .cases
        .iter()
        .flat_map(|case| METRICS.iter().filter_map(move |metric| figure(case, metric)))
        .collect()
}

impl Figure<'_> {
    /// The first side's median by that of side `other`.
    pub(crate) fn ratio(&self, other: usize) -> Option<f64> {
        ratio(self.spreads[0]?, self.spreads[other]?)
    }
}

pub(crate) fn ratio(first: Spread, other: Spread) -> Option<f64> {
    (other.median != 0.0).then(|| first.median / other.median)
}

/// What the side's runs found; none when there is nothing.
pub(crate) fn spread(case: &Case, side: &str, metric: &str) -> Option<Spread> {
    let values = case.side(side)?.trials.iter().filter_map(|trial| trial.metrics.get(metric).copied());
    spread_of(values.collect())
}

fn spread_of(mut values: Vec<f64>) -> Option<Spread> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (*values.first()?, *values.last()?);
    Some(Spread { median: median(&values), low, high, count: values.len() })
}

/// Of sorted values; between the two in the middle when there are two.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

/// A curve of that side: at each x the median of its runs.
pub(crate) fn curve(side: &Side, name: &str) -> Vec<[f64; 2]> {
    let runs: Vec<&Vec<[f64; 2]>> = side.trials.iter().filter_map(|trial| trial.curves.get(name)).collect();
    let Some(first) = runs.first() else { return Vec::new() };
    let at = |index: usize| {
        let mut values: Vec<f64> =
            runs.iter().filter_map(|run| run.get(index).map(|point| point[1])).collect();
        values.sort_by(f64::total_cmp);
        [first[index][0], median(&values)]
    };
    (0..first.len()).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_do_not_depend_on_the_order_and_lie_between_two() {
        let odd = spread_of(vec![3.0, 1.0, 100.0]).unwrap();
        assert_eq!((odd.median, odd.low, odd.high, odd.count), (3.0, 1.0, 100.0, 3));
        assert_eq!(spread_of(vec![4.0, 1.0, 2.0, 100.0]).unwrap().median, 3.0);
        assert_eq!((spread_of(vec![7.0]).unwrap().median, spread_of(Vec::new())), (7.0, None));
    }

    #[test]
    fn nothing_is_divided_by_zero() {
        let of = |median| Spread { median, low: median, high: median, count: 1 };
        assert_eq!((ratio(of(3.0), of(2.0)), ratio(of(3.0), of(0.0))), (Some(1.5), None));
    }
}
