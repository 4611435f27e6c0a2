//! The figures of a run for comparisons, read from its JSON form, so that results files can be compared as well.

use serde_json::Value;

/// Name and unit of a figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Kbit,
    Us,
    Thousandths,
    Count,
}

impl Unit {
    /// The figure without its unit.
    pub(crate) fn number(self, value: f64) -> String {
        let (value, decimals) = self.scaled(value);
        format!("{value:.decimals$}")
    }

    /// The figure with its sign.
    pub(crate) fn signed(self, value: f64) -> String {
        let (value, decimals) = self.scaled(value);
        format!("{value:+.decimals$}")
    }

    fn scaled(self, value: f64) -> (f64, usize) {
        match self {
            Self::Kbit | Self::Thousandths => (value / 1e3, 3),
            Self::Us => (value / 1e3, 1),
            Self::Count => (value, usize::from(value.fract() != 0.0)),
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kbit => "Mbit/s",
            Self::Us => "ms",
            Self::Thousandths | Self::Count => "",
        }
    }
}

/// Figures of a run in display order.
pub(crate) fn figures(run: &Value) -> Vec<(Figure, u64)> {
    let mut list = Vec::new();
    let mut add = |name: String, unit, value: Option<u64>| {
        list.extend(value.map(|value| (Figure { name, unit }, value)));
    };
    for work in run["workloads"].as_array().into_iter().flatten() {
        let name = work["name"].as_str().unwrap_or_default();
        add(format!("{name} goodput"), Unit::Kbit, work["goodput_kbit"].as_u64());
        let latency = &work["latency_us"];
        if latency["count"].as_u64().is_some_and(|count| count > 0) {
            for quantile in ["p50", "p90", "p99", "max"] {
                add(format!("{name} {quantile}"), Unit::Us, latency[quantile].as_u64());
            }
        }
    }
    for direction in ["up", "down"] {
        let link = &run["links"][direction];
        let (sent, useful) = (link["sent_bytes"].as_u64(), run["useful_bytes"][direction].as_u64());
        let per_useful =
            sent.zip(useful).and_then(|(sent, useful)| sent.checked_mul(1_000)?.checked_div(useful));
        add(format!("bytes {direction} per useful byte"), Unit::Thousandths, per_useful);
    }
    for side in ["client", "server"] {
        let counted = run[side]["out_segs"].as_u64().is_some_and(|segments| segments > 0);
        let retransmitted = run[side]["retrans_segs"].as_u64().filter(|_| counted);
        add(format!("{side} retransmissions"), Unit::Count, retransmitted);
    }
    for (fault, of) in run["faults"].as_array().into_iter().flatten().enumerate() {
        for direction in ["up", "down"] {
            let kind = of["kind"].as_str().unwrap_or_default();
            let name = format!("fault {} {kind}, recovery {direction}", fault + 1);
            add(name, Unit::Us, of["recovery_us"][direction].as_u64());
        }
    }
    add("simulated time".into(), Unit::Us, run["sim_us"].as_u64());
    list
}
