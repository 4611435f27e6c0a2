//! The figures of a trial on a lossy path.

use super::Times;
use crate::contest::TrialOutcome;
use crate::load::{Moment, streams_reset};
use crate::path::index;
use crate::results::{PathFacts, Trial};
use anyhow::{Context, ensure};
use sim::Direction;
use sim::outcome::WorkOutcome;

/// The figures of a download or upload with an echo beside it, from the counted part of the run.
pub(super) fn trial(
    run: &TrialOutcome,
    path: PathFacts,
    direction: Direction,
    times: Times,
) -> anyhow::Result<Trial> {
    let window = Window::new(&run.progress.0, times)?;
    let [bulk, echo] = [0, 1].map(|work| window.growth(|moment| read(moment, work)));
    let mut found = Trial { error: doubt(run), ..Trial::default() };
    found.record("goodput_mbit", bulk * 8.0 / window.us);
    let sent = window.growth(|moment| moment.path.sent_bytes[index(direction)]);
    if bulk + echo > 0.0 {
        found.record("wire_per_useful", sent / (bulk + echo));
    }
    let queue = window.median(|moment| moment.path.waiting_bytes[index(direction)]);
    found.record("queue_ms", queue * 8.0 / 1e3 / path.rate_mbit);
    let Some(WorkOutcome::Echo(echo)) = run.work.get(1) else { anyhow::bail!("the run has no echo") };
    if echo.latency_us.count > 0 {
        found.record("echo_p50_ms", echo.latency_us.p50 as f64 / 1e3);
        found.record("echo_p99_ms", echo.latency_us.p99 as f64 / 1e3);
    }
    found.record("echo_missing", echo.sent as f64 - echo.received as f64);
    found.record("late_p99_ms", run.path.added_us.p99 as f64 / 1e3);
    Ok(found)
}

/// Why the figures of a run are not valid.
pub(super) fn doubt(run: &TrialOutcome) -> Option<String> {
    let cut: u64 = run.work.iter().map(streams_reset).sum();
    match (run.path.overflow_packets, cut) {
        (0, 0) => None,
        (0, cut) => Some(format!("{cut} connections were cut")),
        (lost, _) => Some(format!("{lost} packets were lost outside the emulated path")),
    }
}

/// Bytes that a workload had read at that moment.
pub(super) fn read(moment: &Moment, work: usize) -> u64 {
    moment.read_bytes.get(work).copied().unwrap_or(0)
}

/// The counted part of a run.
struct Window<'a> {
    moments: &'a [Moment],
    /// Its length.
    us: f64,
}

impl<'a> Window<'a> {
    fn new(moments: &'a [Moment], times: Times) -> anyhow::Result<Self> {
        let from = times.warm_ms * 1000;
        let until = from + times.counted_ms * 1000;
        let first =
            moments.iter().position(|moment| moment.at_us >= from).context("the trial ended early")?;
        let last =
            moments.iter().rposition(|moment| moment.at_us <= until).context("the trial began late")?;
        ensure!(first < last, "the trial ended early");
        let us = moments[last].at_us - moments[first].at_us;
        Ok(Self { moments: &moments[first..=last], us: us as f64 })
    }

    /// Increase of a counter within the window.
    fn growth(&self, count: impl Fn(&Moment) -> u64) -> f64 {
        let [first, last] =
            [self.moments.first(), self.moments.last()].map(|moment| moment.map_or(0, &count));
        last as f64 - first as f64
    }

    fn median(&self, value: impl Fn(&Moment) -> u64) -> f64 {
        let mut values: Vec<u64> = self.moments.iter().map(value).collect();
        values.sort_unstable();
        sim::stats::median_rounded(&values).unwrap_or(0) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::super::LossyPath;
    use super::*;
    use crate::load::Progress;
    use crate::path::{PathState, Report};
    use sim::outcome::{EchoOutcome, Percentiles};

    fn run() -> TrialOutcome {
        let latency_us = Percentiles { count: 49, p50: 101_000, p99: 150_000, ..Percentiles::default() };
        let echo = EchoOutcome {
            name: "echo".to_owned(),
            message_bytes: 64,
            interval_us: 20_000,
            sent: 50,
            received: 49,
            bytes_written: 3_200,
            bytes_read: 3_136,
            latency_us,
            streams_reset: 0,
        };
        // 2.1 s of warm-up, then one counted second.
        let moments = [
            (0, [0, 0], 0, 9_999),
            (2_100_000, [500_000, 0], 1_000_000, 5_000),
            (2_600_000, [1_000_000, 500], 2_000_000, 2_500),
            (3_100_000, [1_500_000, 1_000], 3_001_000, 10_000),
            (3_600_000, [9_000_000, 9_000], 9_999_999, 9_999),
        ];
        let moment = |(at_us, read, sent, waiting): (u64, [u64; 2], u64, u64)| Moment {
            at_us,
            read_bytes: read.to_vec(),
            path: PathState { sent_bytes: [0, sent], waiting_bytes: [0, waiting] },
        };
        let path =
            Report { added_us: Percentiles { p99: 300, ..Percentiles::default() }, ..Report::default() };
        let work = vec![WorkOutcome::Echo(echo.clone()), WorkOutcome::Echo(echo)];
        TrialOutcome { work, path, progress: Progress(moments.map(moment).into()), load_hundredths: None }
    }

    fn found(run: &TrialOutcome) -> anyhow::Result<Trial> {
        let path = LossyPath::of_loss(1.0)?;
        trial(run, path.facts, Direction::Down, Times::new(&path, 1))
    }

    #[test]
    fn figures_cover_the_window_only() {
        let trial = found(&run()).unwrap();
        let expected = [
            ("echo_missing", 1.0),
            ("echo_p50_ms", 101.0),
            ("echo_p99_ms", 150.0),
            ("goodput_mbit", 8.0),
            ("late_p99_ms", 0.3),
            ("queue_ms", 2.0),
            ("wire_per_useful", 1.999),
        ];
        let found: Vec<(&str, f64)> =
            trial.metrics.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        assert_eq!((found, trial.error), (expected.to_vec(), None));
    }

    #[test]
    fn a_run_that_is_not_valid_is_marked() {
        let mut run = run();
        run.path.overflow_packets = 3;
        assert_eq!(found(&run).unwrap().error.unwrap(), "3 packets were lost outside the emulated path");
        run.progress.0.truncate(2);
        assert!(format!("{:#}", found(&run).unwrap_err()).contains("ended early"));
    }
}
