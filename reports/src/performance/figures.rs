//! Medians, spreads and ratios of measured figures.

use lab::results::{Case, ContestantRuns, Measurements};

/// Name, title and unit of a figure.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Metric {
    /// Key in the trials of a result file.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
}

const fn metric(name: &'static str, title: &'static str, unit: &'static str) -> Metric {
    Metric { name, title, unit }
}

/// All metrics in display order.
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

/// Median and range over the runs of one contestant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) count: usize,
}

/// One metric of one case for all contestants.
pub(crate) struct Figure<'a> {
    pub(crate) case: &'a Case,
    pub(crate) metric: &'static Metric,
    /// Spreads in the order of [`contestants`].
    pub(crate) spreads: Vec<Option<Spread>>,
}

/// Names of the peers, then of kernel TCP where it was measured.
pub(crate) fn contestants(bench: &Measurements) -> Vec<String> {
    let mut names: Vec<String> = bench.peers.iter().map(|peer| peer.name.clone()).collect();
    for contestant in bench.cases.iter().flat_map(|case| &case.contestants) {
        if !names.contains(&contestant.name) {
            names.push(contestant.name.clone());
        }
    }
    names
}

/// All figures that at least one contestant has.
pub(crate) fn figures(bench: &Measurements) -> Vec<Figure<'_>> {
    let contestants = contestants(bench);
    let figure = |case, metric: &'static Metric| {
        let spreads: Vec<_> =
            contestants.iter().map(|contestant| spread(case, contestant, metric.name)).collect();
        spreads.iter().any(Option::is_some).then_some(Figure { case, metric, spreads })
    };
    bench
        .cases
        .iter()
        .flat_map(|case| METRICS.iter().filter_map(move |metric| figure(case, metric)))
        .collect()
}

impl Figure<'_> {
    /// The first contestant's median divided by that of contestant `other`.
    pub(crate) fn ratio(&self, other: usize) -> Option<f64> {
        ratio(self.spreads[0]?, self.spreads[other]?)
    }
}

pub(crate) fn ratio(first: Spread, other: Spread) -> Option<f64> {
    (other.median != 0.0).then(|| first.median / other.median)
}

/// Spread of a metric over the runs of a contestant; None if no run has it.
pub(crate) fn spread(case: &Case, contestant: &str, metric: &str) -> Option<Spread> {
    let values =
        case.runs_of(contestant)?.trials.iter().filter_map(|trial| trial.metrics.get(metric).copied());
    spread_of(values.collect())
}

fn spread_of(mut values: Vec<f64>) -> Option<Spread> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (*values.first()?, *values.last()?);
    Some(Spread { median: median(&values), low, high, count: values.len() })
}

/// Median of sorted values; the mean of the middle two for an even number.
fn median(sorted: &[f64]) -> f64 {
    sim::stats::quantile(sorted, 0.5).unwrap_or(0.0)
}

/// A curve of a contestant: at each x the median over its runs.
pub(crate) fn curve(contestant: &ContestantRuns, name: &str) -> Vec<[f64; 2]> {
    let runs: Vec<&Vec<[f64; 2]>> =
        contestant.trials.iter().filter_map(|trial| trial.curves.get(name)).collect();
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
    fn medians_of_odd_and_even_counts() {
        let odd = spread_of(vec![3.0, 1.0, 100.0]).unwrap();
        assert_eq!((odd.median, odd.low, odd.high, odd.count), (3.0, 1.0, 100.0, 3));
        assert_eq!(spread_of(vec![4.0, 1.0, 2.0, 100.0]).unwrap().median, 3.0);
        assert_eq!((spread_of(vec![7.0]).unwrap().median, spread_of(Vec::new())), (7.0, None));
    }

    #[test]
    fn a_ratio_to_zero_is_none() {
        let of = |median| Spread { median, low: median, high: median, count: 1 };
        assert_eq!((ratio(of(3.0), of(2.0)), ratio(of(3.0), of(0.0))), (Some(1.5), None));
    }
}
