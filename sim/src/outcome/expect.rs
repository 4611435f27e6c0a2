//! Evaluates the expectations of a scenario after its run.

use super::{FaultOutcome, Outcome, Percentiles};
use crate::plan::{Expectation, Measure, Quantile};
use crate::term::in_json;
use engine::terms;

impl Expectation {
    /// The measured figure, `None` if there is none, and whether the expectation is met. A figure that was not measured
    /// meets no expectation.
    pub fn judge(&self, outcome: &Outcome) -> (Option<u64>, bool) {
        let measured = self.measure.of(outcome);
        (measured, measured.is_some_and(|figure| self.limit.allows(figure)))
    }
}

impl Measure {
    /// The figure; `None` if the run did not measure it.
    pub fn of(&self, outcome: &Outcome) -> Option<u64> {
        let workload = |name: &String| outcome.workloads.iter().find(|work| work.name() == name);
        match self {
            Self::GoodputKbit(name) => workload(name)?.goodput_kbit(),
            Self::LatencyUs(name, quantile) => {
                let latency = workload(name)?.latency().filter(|latency| latency.count > 0)?;
                Some(quantile.of(latency))
            }
            Self::AmplificationUp => per_useful(outcome.links.up.sent_bytes, outcome.useful_bytes.up),
            Self::AmplificationDown => per_useful(outcome.links.down.sent_bytes, outcome.useful_bytes.down),
            Self::RecoveryUs => recovery_us(&outcome.faults),
            Self::DivertedBytes => Some(outcome.adversary.diverted_bytes),
            Self::DrainUs => outcome.ok.then(|| outcome.sim_us.saturating_sub(outcome.stopped_us)),
        }
    }

    /// Description, with the name of the workload.
    pub fn words(&self) -> String {
        match self {
            Self::GoodputKbit(name) => format!("goodput of {name}"),
            Self::LatencyUs(name, quantile) => format!("{} of {name}", quantile.words()),
            Self::AmplificationUp => "bytes up per useful byte".into(),
            Self::AmplificationDown => "bytes down per useful byte".into(),
            Self::RecoveryUs => "longest recovery".into(),
            Self::DrainUs => "time to drain".into(),
            Self::DivertedBytes => "bytes sent to the adversary".into(),
        }
    }

    /// Unit of the figure.
    pub const fn unit(&self) -> Unit {
        match self {
            Self::GoodputKbit(_) => Unit::KbitS,
            Self::LatencyUs(..) | Self::RecoveryUs | Self::DrainUs => Unit::Us,
            Self::AmplificationUp | Self::AmplificationDown => Unit::Thousandths,
            Self::DivertedBytes => Unit::Bytes,
        }
    }
}

terms! {
    /// Units of expectations.
    pub enum Unit {
        KbitS "kbit/s" "Thousands of bits per second."
        Us "us" "Microseconds."
        Thousandths "thousandths" "Thousandths of one."
        Bytes "bytes" "Bytes."
    }
}

in_json!(Unit);

impl Quantile {
    const fn of(self, latency: &Percentiles) -> u64 {
        match self {
            Self::P50 => latency.p50,
            Self::P90 => latency.p90,
            Self::P99 => latency.p99,
            Self::P999 => latency.p999,
            Self::Max => latency.max,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
            Self::Max => "longest",
        }
    }
}

/// `None` if there was no fault, or no data arrived after one in either direction.
fn recovery_us(faults: &[FaultOutcome]) -> Option<u64> {
    // A direction without a sender does not count.
    let of_fault = |fault: &FaultOutcome| fault.recovery_us.up.max(fault.recovery_us.down);
    let all: Option<Vec<u64>> = faults.iter().map(of_fault).collect();
    all?.into_iter().max()
}

fn per_useful(wire_bytes: u64, useful_bytes: u64) -> Option<u64> {
    (wire_bytes * 1_000).checked_div(useful_bytes)
}
